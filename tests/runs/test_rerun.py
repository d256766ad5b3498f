"""One named run made again: what is said, on records made by hand; and the command, on a real run."""

import dataclasses

import made_runs
import pytest

from tslib.__main__ import main
from tslib.config import TuneConfig
from tslib.runs import rerun
from tslib.runs.store import RunStore

WHERE = {
    **{"code": "0123456789ab", "packages": {"torch": "1"}, "platform": "Linux", "machine": "a processor"},
    **{"device": "cpu", "threads": 1, "model": {"name": "m"}, "dtype": "float32"},
}


def made(iterations=100, losses=1.0, **environment):
    """A record of 20 steps, two checkpoints and four bars."""
    record = made_runs.record(TuneConfig(), iterations, last=20, cross_entropy=losses)
    return dataclasses.replace(record, environment=WHERE | environment)


def test_the_same_bits():
    assert rerun.sentence(made(), made()) == (
        "The same bits: all numbers of 20 steps, 2 checkpoints and 4 bars; the same 100 iterations to correct."
    )
    assert rerun.sentence(made(None), made(None)).endswith("; correct in none of 300 steps, as recorded.")
    assert rerun.sentence(made(machine="another"), made()).startswith("The same bits: ")


def test_other_bits_on_another_machine():
    """The loss is 2 in the record; again it is 2.001 for ten steps, then 3."""
    record, again = made(losses=2.0), made(losses=lambda step: 2.001 + 0.999 * (step > 10), machine="b", threads=2)
    assert rerun.sentence(record, again) == (
        "Not the same bits: the same 100 iterations to correct; losses differ by at most 0.05 % in the first 10 steps "
        "and 50 % in all 20 that both runs have. Not the record's here: processor, number of threads. Rounding may "
        "then differ and grows from step to step; an audit allows 2 % in the first 10 losses and 20 % in the "
        "iterations."
    )


@pytest.mark.parametrize(
    ("one", "other", "said"),
    [
        (100, 110, "100 iterations to correct in the record, 110 iterations to correct now, 10 % more; losses"),
        (100, 75, "100 iterations to correct in the record, 75 iterations to correct now, 25 % fewer; losses"),
        (100, None, "100 iterations to correct in the record, correct in none of 300 steps now; losses"),
        (None, 7, "correct in none of 300 steps in the record, 7 iterations to correct now; losses"),
    ],
)
def test_other_iterations(one, other, said):
    assert said in rerun.sentence(made(one), made(other, 1.01))


def test_other_bits_where_they_should_be_the_same_are_a_fault():
    said = rerun.sentence(made(), dataclasses.replace(made(), rows=["toy/1"]))
    assert "; losses differ by at most 0 % in the first 10 steps" in said
    assert "; rows not those of the record. Code, packages," in said
    assert said.endswith("are the record's, so that they should be: a fault.")


def test_what_is_announced():
    record = dataclasses.replace(made(threads=2), results={"steps_done": 20, "seconds": 180.0})
    assert rerun.announcement("x_1", record) == "x_1: 20 steps, which took 3 minutes on a processor, with 2 threads"
    short = dataclasses.replace(made(), results={"steps_done": 20, "seconds": 90.4})
    assert rerun.announcement("x_1", short).endswith(" took 90 s on a processor, with 1 thread")


def test_the_command(own_cache, tmp_path, monkeypatch, capsys):
    """The run itself is made in the tests of audits, which make runs again in the same way."""
    store, record = RunStore(tmp_path / "runs"), made()
    path = store.save(record)
    before = {file: file.read_bytes() for file in store.root.rglob("*") if file.is_file()}
    asked = ["rerun", record.config.hash, "--store", str(store.root)]
    gives = {"again": record, "seen": []}
    monkeypatch.setattr("tslib.runs.audit.tune", lambda *config, **_: gives["seen"].extend(config) or gives["again"])
    assert main(asked) == 0
    assert gives["seen"] == [record.config]
    announced, said = capsys.readouterr().out.splitlines()
    assert announced == f"{path.name}: 20 steps, which took 1 s on a processor, with 1 thread"
    assert said.startswith("The same bits: all numbers of 20 steps, ")
    assert {file: file.read_bytes() for file in store.root.rglob("*") if file.is_file()} == before

    gives["again"] = made(losses=2.0)
    assert main(asked) == 1
    out, err = capsys.readouterr()
    assert (
        "Not the same bits: the same 100 iterations to correct; losses differ by at most 100 % in the first 10" in out
    )
    assert err.endswith("error: that is more than may be: the table of steps is not the same\n")
    gives["again"] = made(losses=1.001, threads=2)
    assert main(asked) == 0, "as much as rounding may do"
    assert main(["rerun", "nonesuch", "--store", str(store.root)]) == 1
    assert "have a name that ends in 'nonesuch': give the folder of one, or the hash" in capsys.readouterr().err
