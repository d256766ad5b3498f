"""An audit makes runs again and finds what a record does not have from its run."""

import dataclasses
import shutil

import pytest

from tslib.__main__ import main
from tslib.errors import InputError
from tslib.runs.audit import audit, compare
from tslib.runs.store import RunStore
from tslib.runs.sweeps import work

pytestmark = pytest.mark.usefixtures("own_cache")


def test_an_audit_finds_what_was_changed(short, tmp_path, capsys):
    store = RunStore(tmp_path / "runs")
    work(short, store, [config.hash for config in short.configs[:2]], progress=False)
    assert main(["audit", str(store.root), "--sample", "9"]) == 0
    assert capsys.readouterr().out.count("bits") == 2
    assert main(["rerun", short.configs[0].hash, "--store", str(store.root)]) == 0
    assert "The same bits: all numbers of 3 steps" in capsys.readouterr().out
    record = store.get(short.configs[0])
    steps = record.steps.assign(cross_entropy=record.steps["cross_entropy"] * 1.0001)
    store.save(dataclasses.replace(record, steps=steps, iterations_to_correct=2))
    (finding,) = [one for one in audit(store, 2, progress=False) if one.differences]
    assert finding.differences == ("iterations to correct 2, again None", "the table of steps is not the same")
    assert finding.loss == pytest.approx(1e-4, rel=1e-2)
    (store.path(short.configs[1]) / "record.json").write_text("{}")
    assert main(["audit", str(store.root)]) == 1
    assert "2 of 2 records are not what their runs give now" in capsys.readouterr().err


def test_on_another_machine_an_audit_allows_for_rounding(short, tmp_path):
    store = RunStore(tmp_path / "runs")
    record = store.run(short.configs[0], progress=False)
    elsewhere = dataclasses.replace(record, environment=record.environment | {"machine": "another"})

    def found(**changes):
        return compare("name", dataclasses.replace(elsewhere, **changes), record)

    def steps(factor):
        return record.steps.assign(cross_entropy=record.steps["cross_entropy"] * factor)

    assert found().expected == "tolerance"
    assert found(steps=steps(1.01)).differences == ()
    assert "a loss of the first 3 steps differs by 2.9%, 2% may be" in found(steps=steps(1.03)).differences
    assert found(iterations_to_correct=5).differences == ("iterations to correct 5, again None",)


def test_a_loss_of_nothing_is_like_itself_and_far_from_any_other(short, tmp_path):
    """Where every token is certain, the cross-entropy is 0 to single precision."""
    record = RunStore(tmp_path / "runs").run(short.configs[0], progress=False)
    elsewhere = record.environment | {"machine": "another"}
    certain = dataclasses.replace(record, steps=record.steps.assign(cross_entropy=0.0), environment=elsewhere)
    assert compare("name", certain, certain).loss == 0
    again = dataclasses.replace(record, steps=record.steps.assign(cross_entropy=1e-7))
    finding = compare("name", certain, again)
    assert finding.loss == float("inf")
    assert len(finding.differences) == 1
    assert finding.differences[0].startswith("a loss of the first 3 steps differs by inf%")


def test_an_audit_that_is_interrupted_prints_what_it_found(short, tmp_path, monkeypatch, capsys):
    store = RunStore(tmp_path / "runs")
    work(short, store, [config.hash for config in short.configs], progress=False)
    made = []

    def tune(config, **_):
        made.append(config)
        record = store.get(config)
        return dataclasses.replace(record, status="interrupted") if len(made) == 3 else record

    monkeypatch.setattr("tslib.runs.audit.tune", tune)
    assert main(["audit", str(store.root), "--sample", "4"]) == 130
    out, err = capsys.readouterr()
    assert out.count("bits") == 2
    assert err.endswith("interrupted\n")
    assert len(made) == 3, "the fourth is not made"


def test_records_in_a_precision_that_is_imitated_are_counted_and_not_drawn(short, tmp_path, monkeypatch, capsys):
    store = RunStore(tmp_path / "runs")
    records = [store.run(config, progress=False) for config in short.configs[:2]]
    coarse = dataclasses.replace(records[0].config, dtype="bfloat16")
    store.save(dataclasses.replace(records[0], config=coarse))
    made = []

    def tune(config, **_):
        made.append(config.dtype)
        return store.get(config)

    monkeypatch.setattr("tslib.runs.audit.tune", tune)
    monkeypatch.setattr("tslib.models.loading.computes", lambda dtype, *_: dtype != "bfloat16")
    monkeypatch.setattr("tslib.kernels.precision.computes", lambda dtype, *_: dtype != "bfloat16")
    monkeypatch.setattr("tslib.kernels.precision.slowdown", lambda *_: 7.2)
    assert main(["audit", str(store.root), "--sample", "9"]) == 0
    assert made == ["float32", "float32"]
    said = "a step of the 1 records in it, which {}, take about 7 times as long as in float32\n"
    assert capsys.readouterr().err.endswith(said.format("are left out unless --any-dtype is given"))
    assert main(["audit", str(store.root), "--sample", "9", "--any-dtype"]) == 0
    assert sorted(made[2:]) == ["bfloat16", "float32", "float32"]
    assert capsys.readouterr().err.endswith(said.format("may be drawn"))
    for record in records:
        shutil.rmtree(store.path(record.config))
    with pytest.raises(InputError, match=r"all 1 records in .* are in bfloat16, .* give --any-dtype to draw from them"):
        list(audit(store, 1))


def test_an_audit_of_nothing(tmp_path):
    with pytest.raises(InputError, match="no records in"):
        list(audit(RunStore(tmp_path), 1))
