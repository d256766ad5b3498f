"""The script behind the page "Explore the records", of records made by hand; and scripts of others that pages load."""

import dataclasses
import json
import re
from pathlib import Path

import made_runs
import numpy as np
import plotly.offline
import pytest

from tslib.config import TuneConfig
from tslib.errors import ResourceError
from tslib.runs.store import RunStore
from tslib.study.book import explorer
from tslib.study.names import setting_name

LIB = Path(__file__).resolve().parents[3] / "book" / "_static" / "lib"
SHARED = {"task": "gsm8k", "answer_every": 0}


@pytest.fixture
def store(tmp_path):
    """Four runs: a pair, one of another task, and one that goes on when it is correct."""
    store = RunStore(tmp_path / "runs")
    loops = {"h1_count": lambda step: 10 - step / 30, "cross_entropy": lambda step: 1 / step}
    store.save(made_runs.record(TuneConfig(regularizer="tsloss", **SHARED), 97, last=97))
    store.save(made_runs.record(TuneConfig(**SHARED), None, **loops))
    store.save(made_runs.record(TuneConfig(stop_when_correct=False, lr=0.01, sample_seed=2, **SHARED), 12, last=5))
    store.save(made_runs.record(TuneConfig(**SHARED | {"task": "mmlu"}), 3, h0_mean_lifespan=np.nan))
    return store


def read(script):
    return json.loads(re.fullmatch(r"RECORDS = (.*);\n", script)[1])


def column(data, name):
    values = data["columns"][name]
    return [values["of"][place] for place in values["at"]] if isinstance(values, dict) else values


def test_the_columns(store):
    pair = [TuneConfig(**SHARED), TuneConfig(regularizer="tsloss", **SHARED)]
    data = read(explorer.script(store, pair))
    assert column(data, "task") == ["GSM8K"] * 3 + ["MMLU"], "most runs first"
    assert column(data, "hash")[:2] == data["example"] == [config.hash for config in pair], "a pair stands together"
    assert column(data, "regularizer")[:2] == ["cross-entropy alone", "TSLoss"]
    assert column(data, "iterations") == [None, 97, 12, 3]
    assert column(data, "steps") == [300, 97, 5, 300]
    assert column(data, "settings") == ["", "", f"{setting_name('lr', 0.01)}, goes on when correct", ""]
    assert column(data, "pair") == ["0/0", "0/0", "2/0", "0/0"]
    assert column(data, "folder")[3] == "mmlu_smollm2-135m_none"
    assert set(data["fields"]) == {"task", "regulariser", "draw of problems", "learning rate", "stops when correct"}
    assert data["fields"]["stops when correct"] == {"of": ["yes", "no"], "at": [0, 0, 1, 0]}


def test_the_curves_are_thinned_and_rounded(store):
    first, _, third, other = read(explorer.script(store))["curves"]
    assert first["step"] == [*range(1, 300, 5), 300]
    assert first["loss"][:3] == [1, 0.1667, 0.09091], "1, 1/6 and 1/11 with four digits"
    assert first["loss"][-1] == 0.003333
    assert first["at"] == list(range(0, 301, 20))
    assert first["h1"] == pytest.approx([10 - step / 30 for step in first["at"]], rel=1e-3)
    assert set(first["entropy"]) == {3}
    assert third["step"] == [1, 2, 3, 4, 5]
    assert set(other["h0"]) == {None}, "not a number"


def test_a_damaged_record_and_none(store, tmp_path):
    path = store.folders()[0]
    (path / "steps.parquet").write_bytes(b"")
    with pytest.raises(ResourceError, match=rf"^{re.escape(str(path))} is not a readable record"):
        explorer.script(store)
    with pytest.raises(ResourceError, match="no records in"):
        explorer.script(RunStore(tmp_path / "none"))


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"method": "prefix-tuning"}, "prefix tuning"),
        ({"lambda_repel": 10.0, "tau": 0.1}, "τ = 0.1, λ repel = 10"),
        ({"answer_every": 25, "check_every": 5}, "a check every 5 steps, a reply every 25 steps"),
        (
            {"max_context": 1024, "batch_size": 2, "samples": 10},
            "10 problems at once, 2 problems a step, questions of 1024 tokens at most",
        ),
        ({"dtype": "bfloat16", "device": "cpu", "seed": 3, "max_steps": 20}, "bfloat16"),
    ],
)
def test_settings_are_said_as_a_person_would(fields, said):
    assert explorer.changed(TuneConfig(**{"answer_every": 0} | fields)) == said


def test_no_setting_is_said_in_code():
    said = explorer.changed(TuneConfig(prompt_scale="sqrt_d", weight_decay=0.1, optimizer="adam"))
    assert "√d" in said
    assert "_" not in said


def test_plotly_is_the_one_that_figures_are_made_for():
    """And every script of others is named with its version and licence."""
    version = plotly.offline.get_plotlyjs_version()
    with (LIB / "plotly-basic.min.js").open(encoding="utf-8") as file:
        head = file.read(200)
    assert f"plotly.js (basic - minified) v{version}\n" in head
    said = (LIB / "LICENSES.txt").read_text(encoding="utf-8")
    assert f"plotly.js-basic-dist-min {version}," in said
    named = re.findall(r"^(\S+\.(?:js|css)) ", said, flags=re.MULTILINE)
    assert sorted([*named, "LICENSES.txt"]) == sorted(path.name for path in LIB.iterdir())
    tables = re.search(r"DataTables ([\d.]+)", (LIB / "dataTables.min.js").read_text(encoding="utf-8")[:100])[1]
    assert f"datatables.net {tables}," in said


def test_the_committed_records_begin_with_a_pair(tmp_path, monkeypatch):
    """Without TSLoss and with it, of the same draw from the same seed."""
    seen = []
    monkeypatch.setattr(explorer, "script", lambda _, example, progress: seen.extend(example) or "RECORDS = {};\n")
    explorer.write(tmp_path / "static" / "records.js", explorer.Evidence())
    assert (tmp_path / "static" / "records.js").read_text() == "RECORDS = {};\n"
    one, other = seen
    assert dataclasses.replace(one, regularizer="tsloss") == dataclasses.replace(other, regularizer="tsloss")
    assert {one.regularizer, other.regularizer} == {"none", "tsloss"}
