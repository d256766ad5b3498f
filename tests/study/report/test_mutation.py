import json
from pathlib import Path
from types import SimpleNamespace

import yaml
from fastest_first import STATISTICS, FastestFirst

from tslib.study.report import mutation as report_mutation

LISTED = Path(__file__).resolve().parents[3] / "data" / "mutation" / "survivors.yaml"


def test_what_the_book_says_of_changes(tmp_path):
    assert report_mutation.mutation(tmp_path / "none.json") == "No outcome is committed yet, so none is given here."
    modules = {"tslib.a": {"changes": 30, "survived": 3}, "tslib.b": {"changes": 10, "survived": 0}}
    path = tmp_path / "mutation.json"
    path.write_text(json.dumps({"environment": {"mutmut": "3.8.1"}, "modules": modules}))
    assert report_mutation.mutation(path) == (
        "The committed outcome, `data/results/mutation.json`, by mutmut 3.8.1: of 40 changes the tests noticed 37, "
        "which is 92.5%.\n\n"
        "| module | changes | not noticed | noticed |\n| --- | --: | --: | --: |\n"
        "| `tslib.a` | 30 | 3 | 90% |\n| `tslib.b` | 10 | 0 | 100% |"
    )


def test_the_tests_of_a_change_run_the_fastest_first(tmp_path):
    (tmp_path / STATISTICS).write_text(json.dumps({"duration_by_test": {"slow": 2.0, "fast": 0.1, "faster": 0.01}}))
    items = [SimpleNamespace(nodeid=name) for name in ("slow", "fast", "unknown", "faster")]
    FastestFirst().pytest_collection_modifyitems(SimpleNamespace(rootpath=tmp_path), items)
    assert [item.nodeid for item in items] == ["unknown", "faster", "fast", "slow"]
    FastestFirst().pytest_collection_modifyitems(SimpleNamespace(rootpath=tmp_path / "before"), items)
    assert [item.nodeid for item in items] == ["unknown", "faster", "fast", "slow"], "nothing is known: as they were"


def test_each_survivor_of_the_committed_record_has_a_reason():
    groups = yaml.safe_load(LISTED.read_text(encoding="utf-8"))
    assert all(group["reason"].strip() and group["changes"] for group in groups)
    listed = [(change["in"], change["old"], change["new"]) for group in groups for change in group["changes"]]
    assert len(set(listed)) == len(listed)
    modules = json.loads(report_mutation.MUTATION.read_text(encoding="utf-8"))["modules"]
    changes, survived = (sum(module[name] for module in modules.values()) for name in ("changes", "survived"))
    assert survived <= min(len(listed), 0.15 * changes)
    for where, old, _ in listed:  # a function that has changed since is to be tried again
        module = ".".join(where.split(".")[:3])  # tslib, its room, and the file
        text = Path(LISTED.parents[2], *module.split(".")).with_suffix(".py").read_text(encoding="utf-8")
        assert " ".join(old.split()) in " ".join(text.split()), where
