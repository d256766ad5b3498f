"""What a sweep file means, what is missing of it, and how long that takes."""

import dataclasses
import io
import json
import re
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest
import yaml
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from made_sweeps import grid, sweep_of
from pydantic import ValidationError

from tslib.__main__ import main
from tslib.config import TuneConfig, explain
from tslib.errors import InputError, ResourceError
from tslib.records.durable import sealed
from tslib.runs import grids
from tslib.runs.store import RunStore
from tslib.runs.sweeps import Sweep, estimate, groups, missing, status
from tslib.study.report.sweeps import plan

pytestmark = pytest.mark.usefixtures("own_cache")

TWO = """
title: Two grids
grids:
  - name: second
    priority: 2
    fields: {lr: [0.1, 0.01], regularizer: [none, tsloss], weight: [1, 2]}
  - name: first
    pairs: [[3, 4], [5, 6]]
    fields: {regularizer: [none, l2]}
    evaluate: {limit: 7}
"""
ROOT = Path(__file__).resolve().parents[2]


def test_what_a_file_means(tmp_path):
    sweep = sweep_of(tmp_path / "two.yaml", TWO)
    assert (sweep.title, [grid.name for grid in sweep.grids]) == ("Two grids", ["first", "second"])
    first, second = sweep.configs[:4], sweep.configs[4:]
    assert [(c.sample_seed, c.seed, c.regularizer) for c in first] == [
        *((3, 4, "none"), (3, 4, "l2")),
        *((5, 6, "none"), (5, 6, "l2")),
    ]
    assert [(c.lr, c.regularizer, c.weight) for c in second] == [
        *((0.1, "none", 1), (0.1, "tsloss", 1), (0.1, "tsloss", 2)),
        *((0.01, "none", 1), (0.01, "tsloss", 1), (0.01, "tsloss", 2)),
    ], "cross-entropy alone is one run, whatever the weight"
    assert [one.limit for one in sweep.evaluations(first[0])] == [7]
    assert sweep.evaluations(second[0]) == []


def test_models_as_they_are_are_declared_beside_runs_and_done_by_priority(tmp_path):
    text = (
        TWO
        + """
untuned:
  - name: between them
    priority: 2
    fields: {task: [mmlu, gsm8k], limit: 9}
  - {name: before all, priority: 0, fields: {task: mmlu, scoring: likelihood}}
"""
    )
    sweep = sweep_of(tmp_path / "three.yaml", text)
    assert [(one.task, one.scoring, one.limit, one.run) for one in sweep.as_they_are] == [
        *(("mmlu", "likelihood", 100, ""), ("mmlu", "generate", 9, ""), ("gsm8k", "generate", 9, ""))
    ]
    likelihood, *others = sweep.as_they_are
    assert sweep.jobs == (likelihood, *sweep.configs, *others)
    alone = sweep_of(tmp_path / "alone.yaml", "title: t\nuntuned: [{name: n, fields: {task: mmlu}}]")
    assert (alone.configs, len(alone.jobs)) == ((), 1)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("title: t", "it has neither grids nor untuned"),
        ("title: t\nuntuned: [{name: n, fields: {run: abc}}]", "models as they are have no run"),
        ("title: t\nuntuned: [{name: n, fields: {lr: 1}}]", "grid 'n': lr=1: unknown; known: model, task, run, split"),
        ("title: t\nuntuned: [{name: n, fields: {limit: []}}]", "a list of values is empty"),
        ("title: t\ngrids: [{name: n, arms: []}]", "a list of values is empty"),
        ("title: t\ngrids: [{name: n, arms: [{seed: 1}], pairs: [[0, 0]]}]", "['seed'] are given as pairs already"),
        ("", "is not a sweep: the file: Input should be"),
        ("[1, 2]", "is not a sweep: the file"),
        ("title: t\ngrids: []", "is not a sweep: it has neither grids nor untuned"),
        ("title: t\ngrids: 3", "is not a sweep: grids: Input should be a valid list"),
        ("title: t\ngrids: [{name: g, priorty: 2}]", "grids.0.priorty: Unexpected keyword argument"),
        (grid("fields: {n_token: 3}"), "grid 'g': n_token=3: unknown; known: model, task"),
        (grid("fields: {n_tokens: [3, 0]}"), "grid 'g': n_tokens=0: Input should be greater than or equal to 1"),
        (grid("fields: {seed: []}"), "grid 'g': a list of values is empty"),
        (grid("pairs: []"), "grid 'g': a list of values is empty"),
        (grid("fields: {seed: [1]}, pairs: [[0, 0]]"), "grid 'g': ['seed'] are given as pairs already"),
        (grid("fields: {1: 2}"), "is not a sweep: grids.0.fields.1"),
        (grid("evaluate: {limit: 0}"), "grid 'g', evaluate: limit=0: Input should be greater"),
        (grid("fields: {seed: 1, seed: 2}"), "seed is given twice"),
        (
            grid(f"fields: {{seed: {list(range(400))}, sample_seed: {list(range(400))}}}"),
            "has 160000 runs: give at most",
        ),
        ("title: [", "is not a sweep (ParserError"),
        # from a stranger
        ('title: !!python/object/apply:os.system ["touch pwned"]\ngrids: []', "ConstructorError"),
        ("title: !!python/name:os.system\ngrids: []", "ConstructorError"),
        ("a: &a [x, x]\nb: &b [*a, *a]\ntitle: *b", "it has an alias"),
        (grid("fields: {model: [" * 3000), "is not a sweep"),
        ("\x00", "is not a sweep"),
        ("#" * 2**21, "it has more than 1048576 bytes"),
    ],
)
def test_a_file_that_is_no_sweep(tmp_path, monkeypatch, text, said):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(InputError) as caught:
        sweep_of(tmp_path / "bad.yaml", text)
    assert said in str(caught.value)
    assert "bad.yaml" in str(caught.value)
    assert [path.name for path in tmp_path.iterdir() if path.name != "cache"] == ["bad.yaml"]


def test_no_file(tmp_path, capsys):
    assert main(["sweep", str(tmp_path / "none.yaml")]) == 1
    assert "cannot read the sweep" in capsys.readouterr().err


@pytest.mark.parametrize("name", ["../../etc/passwd", "/etc/passwd", "..", "a/../../b", "x" * 500])
def test_no_name_leads_out_of_the_store(tmp_path, name):
    store = RunStore(tmp_path / "runs")
    path = store.path(TuneConfig(model=name))
    assert path.parent == store.root
    assert len(path.name) < 150


# 10,000 random configs, and 2,000 documents and changes of records

plain = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8) | st.just("tsloss")
value = st.recursive(
    plain, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=2)
)
names = st.sampled_from([field.name for field in dataclasses.fields(TuneConfig)] + ["preset", "nonesuch", ""])
defaults = {field.name: field.default for field in dataclasses.fields(TuneConfig)}


@settings(max_examples=4_000, suppress_health_check=list(HealthCheck))
@given(st.dictionaries(names, value, max_size=3), st.sampled_from(["dict", "json", "yaml"]))
@example({"lr": 1e400}, "dict")
@example({"blocks": 1}, "dict")
@example({"model": "\ud800"}, "dict")
def test_any_config_is_valid_or_a_named_error(fields, form):
    if form == "json":
        fields = json.loads(json.dumps(fields))
    elif form == "yaml":
        try:
            fields = yaml.load(io.StringIO(yaml.safe_dump(fields)), Loader=grids._Loader)
        except yaml.reader.ReaderError:
            return  # a character that YAML does not have, which the reader names
    configs, errors = made_of(fields)
    assert len(configs) + len(errors) == 1
    for said in errors:
        assert any(re.search(rf"(^|; ){re.escape(name or 'config')}[.=]", said) for name in fields), said
    for config in configs:
        assert TuneConfig(**config.as_dict()) == config
        assert len(config.hash) == 12


def made_of(fields) -> tuple[list[TuneConfig], list[str]]:
    """The config of some fields, or what is said against it; any other error is the test's failure."""
    try:
        return [TuneConfig(**fields)], []
    except ValidationError as error:
        return [], [explain(error)]


def against(kind: type[Exception], call, *arguments) -> list[str]:
    """What is said by an error of a kind, if there is one."""
    try:
        call(*arguments)
    except kind as error:
        return [str(error)]
    return []


@settings(max_examples=2_000, suppress_health_check=list(HealthCheck))
@given(value)
def test_any_document_is_a_sweep_or_a_named_error(tmp_path, content):
    path = tmp_path / "fuzz.yaml"
    path.write_text(yaml.safe_dump({"title": "t", "grids": [{"name": "g", "fields": content}]}))
    assert all("fuzz.yaml" in said for said in against(InputError, Sweep.load, path))


@settings(max_examples=2_000, suppress_health_check=list(HealthCheck))
@given(st.data())
def test_any_change_of_a_record_is_noticed(tmp_path_factory, two_steps, data):
    """Even if whoever made it knows how to seal a record: then it is a readable record or a named error."""
    store = RunStore(tmp_path_factory.getbasetemp() / "fuzz")
    path = store.path(two_steps.config) / "record.json"
    if not path.exists():
        store.save(two_steps)
        path.with_name("good.json").write_bytes(path.read_bytes())
    content = json.loads(path.with_name("good.json").read_text())
    name = data.draw(st.sampled_from(sorted(content)))
    changed = data.draw(value.filter(lambda other: other != content[name] or type(other) is not type(content[name])))
    forged = data.draw(st.booleans()) and name != "checksum"
    try:
        path.write_text(json.dumps(sealed(content | {name: changed}) if forged else content | {name: changed}))
    except (ValueError, UnicodeEncodeError):
        return  # NaN is not sealed
    for read in (store.records, store.table):
        said = against(ResourceError, read)
        assert all(path.parent.name in one for one in said)
        assert said or forged, "an honest change is always noticed"


@pytest.mark.parametrize("steps", [-1, 2**63, -(2**63) - 1])
@pytest.mark.parametrize("name", ["iterations_to_correct", "iterations_to_answer"])
def test_steps_that_no_table_holds_are_named(two_steps, tmp_path, name, steps):
    store = RunStore(tmp_path)
    store.save(two_steps)
    path = store.path(two_steps.config) / "record.json"
    path.write_text(json.dumps(sealed(json.loads(path.read_text()) | {name: steps})))
    for read in (store.records, store.table):
        (said,) = against(ResourceError, read)
        assert path.parent.name in said
        assert name in said


# what is missing, and how long it takes


def test_what_is_missing(done):
    sweep, store = done
    assert missing(sweep, store) == [sweep.configs[1]]
    store.checkpoint_path(sweep.configs[1]).write_text("")
    assert status(sweep, store).to_dict("records") == [
        {"priority": 1, "grid": "g", "runs": 2, "done": 1, "begun": 1, "missing": 1, "censored": 1, "diverged": 0}
    ]
    said = plan(sweep, store, jobs=2)
    assert said.endswith("1 of 2 runs are missing; about 0:00:45 with 2 at once, by the runs that are done")


def test_a_damaged_or_interrupted_record_is_missing(done, two_steps):
    sweep, store = done
    store.save(dataclasses.replace(two_steps, config=sweep.configs[1], status="interrupted"))
    (store.path(sweep.configs[0]) / "steps.parquet").write_bytes(b"")
    assert missing(sweep, store) == list(sweep.configs)


def test_done_and_outcome_agree(done):
    sweep, store = done
    config = sweep.configs[0]
    assert store.outcome(config) == store.done(config).summary()
    assert store.outcome(sweep.configs[1]) is store.done(sweep.configs[1]) is None
    for name in ("steps.parquet", "record.json"):
        path = store.path(config) / name
        content = path.read_bytes()
        path.write_bytes(content[:-9])
        assert store.outcome(config) is store.done(config) is None
        path.write_bytes(content)
    other = store.path(sweep.configs[1])
    store.path(config).rename(other)  # a record under another's name
    assert store.outcome(sweep.configs[1]) is store.done(sweep.configs[1]) is None


def test_time_by_the_runs_that_are_most_alike():
    configs = [TuneConfig(), TuneConfig(max_steps=7), TuneConfig(model="other")]
    rows = [(configs[0], 10.0), (configs[0], 30.0), (configs[0], 20.0), (TuneConfig(max_steps=9), 100.0)]
    table = pd.DataFrame([config.as_dict() | {"seconds": seconds} for config, seconds in rows])
    assert estimate(configs[:1], table) == (20.0, 0), "the median of the same kind"
    assert estimate(configs[1:2], table) == (25.0, 0), "of the same model and task"
    assert estimate(configs[2:], table) == (0.0, 1), "of none"
    assert estimate(configs, pd.DataFrame()) == (0.0, 3)


def test_jobs_share_a_model():
    configs = [TuneConfig(seed=seed, model=model) for seed in range(3) for model in ("a", "b")]
    assert [[(c.model, c.seed) for c in job] for job in groups(configs, 2)] == [
        *([("a", 0), ("a", 1)], [("b", 0), ("b", 1)]),
        *([("a", 2)], [("b", 2)]),
    ]


def test_what_is_compared_is_made_by_one_job(tmp_path):
    """The arms of a pair stay together, whatever a job's size; several pairs share a job where they fit."""
    arms = "arms: [{regularizer: none}, {regularizer: tsloss, weight: [1, 30]}, {lr: 0.1}]"
    sweep = sweep_of(tmp_path / "arms.yaml", grid(f"fields: {{lr: 0.03}}, {arms}, pairs: [[3, 3], [4, 4], [5, 5]]"))
    first = [(c.sample_seed, c.regularizer, c.weight, c.lr) for c in sweep.configs[:4]]
    assert first == [(3, "none", 1, 0.03), (3, "tsloss", 1, 0.03), (3, "tsloss", 30, 0.03), (3, "none", 1, 0.1)]
    for size, pairs in ((1, [[3], [4], [5]]), (7, [[3], [4], [5]]), (8, [[3, 4], [5]]), (12, [[3, 4, 5]])):
        jobs = groups(sweep.configs, size)
        assert [sorted({c.sample_seed for c in job}) for job in jobs] == pairs
        assert sorted(c.hash for job in jobs for c in job) == sorted(c.hash for c in sweep.configs)


def test_a_table_of_two_thousand_records_opens_one_small_file_of_each(two_steps, tmp_path, monkeypatch):
    store = RunStore(tmp_path / "many")
    text = (store.save(two_steps) / "record.json").read_text()
    for seed in range(1000, 2999):
        config = dataclasses.replace(two_steps.config, seed=seed)
        path = store.path(config)
        path.mkdir()
        content = json.loads(text) | {"config": config.as_dict(), "hash": config.hash}
        (path / "record.json").write_text(json.dumps(sealed(content), indent=1))
    monkeypatch.setattr(pd, "read_parquet", None)
    table = store.table()
    assert len(table) == 2000
    assert set(table["seed"]) == {two_steps.config.seed, *range(1000, 2999)}


def test_tables_and_seals_from_the_command_line(done, capsys):
    _, store = done
    assert main(["table", "--store", str(store.root)]) == 0
    table = pd.read_csv(io.StringIO(capsys.readouterr().out))
    assert table[["seed", "seconds"]].to_numpy().tolist() == [[0, 90.0]]
    path = store.folders()[0] / "record.json"
    content = json.loads(path.read_text())
    path.write_text(json.dumps({name: said for name, said in content.items() if name not in ("files", "checksum")}))
    assert main(["table", "--store", str(store.root)]) == 1
    assert "python -m tslib seal" in capsys.readouterr().err
    assert main(["seal", str(store.root)]) == 0
    assert main(["table", "--store", str(store.root)]) == 0


def test_the_committed_sweeps_can_be_read():
    paths = sorted((ROOT / "data" / "sweeps").glob("*.yaml"))
    assert "short.yaml" in [path.name for path in paths]
    assert len(Sweep.load(ROOT / "data" / "sweeps" / "short.yaml").configs) == 60
    for path in paths:
        sweep = Sweep.load(path)
        assert sweep.jobs
        for one, runs in zip(sweep.grids, sweep.runs, strict=True):
            assert len(runs) == len(one.configs()) > 0, f"{path.name}, {one.name}: a run is declared twice"


@pytest.mark.parametrize("module", ["runs.sweeps", "runs.engine", "study.evidence"])
def test_a_look_at_records_opens_no_models(module):
    """Transformers takes longer to open than all the rest."""
    code = f"import sys, tslib.{module}; print([name for name in ('transformers', 'peft') if name in sys.modules])"
    assert subprocess.check_output([sys.executable, "-c", code], text=True).strip() == "[]"
