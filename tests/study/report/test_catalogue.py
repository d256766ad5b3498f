"""The tables of benchmarks and models: what they say is what reading and fetching say."""

import json

import pytest

from tslib.models import loading as models
from tslib.models.loading import MODELS
from tslib.study.report import catalogue
from tslib.tasks import FAMILIES, TASKS


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """A folder with three rows of GSM8K, one of them twice, and one of the 27 subsets of BBH."""
    monkeypatch.setenv("TSLIB_DATA_DIR", str(tmp_path))
    rows = [{"question": f"What is {i} + 1?", "answer": f"#### {i + 1}"} for i in (1, 2, 1)]
    for split in ("train", "test"):
        path = tmp_path / "gsm8k" / f"{split}.jsonl"
        path.parent.mkdir(exist_ok=True)
        path.write_text("\n".join(map(json.dumps, rows)))
    (tmp_path / "bbh").mkdir()
    examples = [{"input": f"If you take {i} steps, do you return?", "target": "No"} for i in range(40)]
    (tmp_path / "bbh" / "navigate.json").write_text(json.dumps({"canary": "", "examples": examples}))
    return tmp_path


def test_tasks(folder, few_made):
    table = catalogue.tasks().set_index("task")
    assert list(table.index) == list(FAMILIES)
    assert table.loc["gsm8k", ["train", "test", "here"]].tolist() == [2, 2, "yes"]
    bbh = table.loc["bbh"]
    assert bbh["train"] + bbh["test"] == 40
    assert (bbh["subsets"], bbh["here"]) == (27, "1 of 27 subsets")
    assert table.loc["hotpotqa", ["train", "test", "here"]].tolist() == ["", "", "no"]
    assert table.loc["gsm-symbolic", ["train", "here", "how to get it"]].tolist() == [
        1,
        "yes, made",
        "nothing to do: it is generated",
    ]
    for name, task in FAMILIES.items():
        assert table.loc[name, "licence"] == task.licence
        if task.hub:
            assert task.hub.repo in table.loc[name, "how to get it"]
            assert task.layout in table.loc[name, "how to get it"]


def test_files_that_are_malformed_or_not_all_there(folder, few_made):
    (folder / "gsm8k" / "test.jsonl").unlink()
    (folder / "bbh" / "navigate.json").write_text("{")
    table = catalogue.tasks().set_index("task")
    assert table.loc["gsm8k", ["train", "test", "here"]].tolist() == [2, "", "in part"]
    assert table.loc["bbh", "here"] == "malformed: load it to see where"


def test_tasks_without_a_folder(few_made, monkeypatch):
    monkeypatch.delenv("TSLIB_DATA_DIR", raising=False)
    monkeypatch.setattr("datasets.load_dataset", None)  # the hub is not asked
    table = catalogue.tasks().set_index("task")
    read = [name for name, task in FAMILIES.items() if task.layout]
    assert set(table.loc[read, "here"]) == {"TSLIB_DATA_DIR is not set"}
    assert set(table.loc[read, "train"]) == {""}


def test_readings(folder, few_made):
    table = catalogue.readings().set_index(["task", "split"])
    row = table.loc[("gsm8k", "train")]
    assert row[["read", "used", "in another split", "refused", "why"]].tolist() == [3, 2, 0, 1, "1 × repeats"]
    train, test, whole = (table.loc[("bbh", split)] for split in ("train", "test", "all"))
    assert (train["in another split"], test["in another split"], whole["in another split"]) == (
        test["used"],
        train["used"],
        0,
    )
    assert (table["read"] == table["used"] + table["in another split"] + table["refused"]).all()
    assert ("hotpotqa", "train") not in table.index


def test_every_stand_in_stands_in_for_something():
    """Each benchmark that is read has one, which is made and needs no download."""
    read = [task for task in FAMILIES.values() if task.layout]
    assert {task.name for task in read} == {
        *("gsm8k", "math", "bbh", "mmlu", "mmlu-cf", "hotpotqa", "hotpotqa-short", "longbench", "rsvqa-hr", "rsvqa-lr"),
    }
    for task in read:
        assert not TASKS[task.stand_in].layout
    assert len(TASKS) == len(FAMILIES) + sum(len(task.subsets) for task in FAMILIES.values())


def test_models(own_cache, monkeypatch, tmp_path):
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path / "hub"))
    table = catalogue.models().set_index("model")
    assert list(table.index) == list(MODELS)
    assert table.loc["smollm2-135m", ["here", "licence"]].tolist() == ["yes", "Apache-2.0"]
    # 49152 x 576 embeddings (tied), 30 layers of attention (9 and 3 heads of 64), MLP (1536) and norms, the last norm
    layer = 576 * (2 * 576 + 2 * 192) + 3 * 576 * 1536 + 2 * 576
    count = 49152 * 576 + 30 * layer + 576
    assert table.loc["smollm2-135m", "parameters"] == f"{count / 1e6:,.0f} M" == "135 M"
    assert table.loc["gemma-2b-it", ["here", "parameters"]].tolist() == ["no", "2,506 M"]
    assert table.loc["gemma3-270m", "how to get it"] == "python -m tslib fetch gemma3-270m --accept-gemma-terms"
    monkeypatch.setenv("TSLIB_CACHE", str(tmp_path / "empty"))
    assert models.cache_dir().exists() is False
    assert catalogue.models().set_index("model").loc["smollm2-135m", "here"] == "no"


def test_plain():
    table = catalogue.models()[["model", "here"]].head(2)
    lines = catalogue.plain(table).splitlines()
    assert lines[0] == "model         here"
    assert lines[1].startswith("smollm2-135m  ")
    assert len(lines) == 3
