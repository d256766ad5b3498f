"""What a sweep file means, what is missing, and that whatever goes wrong costs no other run anything."""

import dataclasses
import io
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pandas as pd
import psutil
import pytest
import torture
import yaml
from filelock import FileLock
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from tslib import engine, report_sweeps, sweeps
from tslib.__main__ import main
from tslib.audit import audit, compare
from tslib.config import TuneConfig, explain
from tslib.durable import locked, sealed
from tslib.errors import InputError, ResourceError
from tslib.records import RunStore
from tslib.report_sweeps import plan
from tslib.sweeps import Sweep, estimate, groups, missing, status, work

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


def sweep_of(path: Path, text: str) -> Sweep:
    path.write_text(text)
    return Sweep.load(path)


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


def grid(text: str) -> str:
    return f"title: t\ngrids:\n  - {{name: g, {text}}}\n"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "is not a sweep: the file: Input should be"),
        ("[1, 2]", "is not a sweep: the file"),
        ("title: t\ngrids: []", "is not a sweep: grids: List should have at least 1 item"),
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


@settings(max_examples=10_000, suppress_health_check=list(HealthCheck))
@given(st.dictionaries(names, value, max_size=3), st.sampled_from(["dict", "json", "yaml"]))
@example({"lr": 1e400}, "dict")
@example({"model": "\ud800"}, "dict")
def test_any_config_is_valid_or_a_named_error(fields, form):
    if form == "json":
        fields = json.loads(json.dumps(fields))
    elif form == "yaml":
        try:
            fields = yaml.load(io.StringIO(yaml.safe_dump(fields)), Loader=sweeps._Loader)
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


# what is missing, and how long it takes


@pytest.fixture
def done(two_steps, tmp_path):
    """A store with the first of two runs of a sweep."""
    store = RunStore(tmp_path / "runs")
    sweep = sweep_of(tmp_path / "s.yaml", grid("fields: {seed: [0, 1], device: cpu}"))
    store.save(dataclasses.replace(two_steps, config=sweep.configs[0], results=two_steps.results | {"seconds": 90.0}))
    return sweep, store


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


# jobs


@pytest.fixture
def short(tmp_path, tiny_model):
    """A sweep of four short runs."""
    fields = f"model: {tiny_model}, task: multiple-choice, n_tokens: 2, max_steps: 3, answer_every: 0, device: cpu, "
    fields += "lr: [0.03, 1.0e+30], regularizer: [none, tsloss]"
    return sweep_of(tmp_path / "short.yaml", grid(f"fields: {{{fields}}}"))


def test_a_diverged_run_and_a_failing_one_keep_no_other_from_being_done(short, tmp_path, monkeypatch, capsys):
    from tslib import tuning

    store = RunStore(tmp_path / "runs")
    real = tuning.tune

    def tune(config, **given):
        if config == short.configs[0]:
            raise RuntimeError("DefaultCPUAllocator: can't allocate memory")
        return real(config, **given)

    monkeypatch.setattr(tuning, "tune", tune)
    failed = work(short, store, [config.hash for config in short.configs], progress=False)
    name = store.path(short.configs[0]).name
    assert failed == [f"{name}: RuntimeError: DefaultCPUAllocator: can't allocate memory"]
    assert f"error: {failed[0]}" in capsys.readouterr().err
    statuses = [record.status if record else None for record in map(store.get, short.configs)]
    assert statuses == [None, "finished", "diverged", "diverged"]
    assert status(short, store)[["done", "missing", "diverged"]].to_numpy().tolist() == [[3, 1, 2]]
    monkeypatch.setattr(tuning, "tune", real)
    assert work(short, store, [config.hash for config in short.configs], progress=False) == []
    assert missing(short, store) == []


def test_a_run_is_missing_until_it_is_evaluated(tmp_path, tiny_model, monkeypatch):
    fields = f"model: {tiny_model}, n_tokens: 2, max_steps: 2, answer_every: 0, device: cpu, lr: [0.03, 1.0e+30]"
    evaluate = "evaluate: {limit: 2, max_new_tokens: 4}"
    sweep = sweep_of(tmp_path / "evaluated.yaml", grid(f"fields: {{{fields}}}, {evaluate}"))
    store = RunStore(tmp_path / "runs")
    hashes = [config.hash for config in sweep.configs]

    def stop(*_arguments, **_options):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:  # killed between a run and its evaluation
        patch.setattr("tslib.evaluation.evaluate", stop)
        with pytest.raises(KeyboardInterrupt):
            work(sweep, store, hashes, progress=False)
    assert store.outcome(sweep.configs[0])["status"] == "finished"
    assert missing(sweep, store) == list(sweep.configs)
    assert work(sweep, store, hashes, progress=False) == []
    assert missing(sweep, store) == []
    (path,) = (store.root / "evaluations").glob("*.json")  # a diverged run's prompt is not evaluated
    assert json.loads(path.read_text())["config"]["run"] == sweep.configs[0].hash
    path.write_text("{}")
    assert missing(sweep, store) == [sweep.configs[0]]
    assert work(sweep, store, hashes, progress=False) == []
    assert missing(sweep, store) == []
    assert (store.root / "evaluations" / "damaged" / f"{path.name}.1").is_file()


def test_a_run_that_the_sweep_does_not_have(short, tmp_path):
    with pytest.raises(InputError, match=r"short.yaml has no run 0123456789ab"):
        work(short, RunStore(tmp_path / "runs"), ["0123456789ab"])


def test_a_disk_that_is_full_for_a_while(short, tmp_path, capsys):
    """A file system of half a megabyte, which another file fills up."""
    disk = tmp_path / "disk"
    disk.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=400k", "none", str(disk)], capture_output=True)
    if mounted.returncode:
        pytest.skip(f"a file system can be mounted by root only: {mounted.stderr.decode().strip()}")
    try:
        store = RunStore(disk / "runs")
        hashes = [config.hash for config in short.configs]
        assert work(short, store, hashes[:1], progress=False) == []
        size = os.statvfs(disk)
        (disk / "filler").write_bytes(b"x" * (size.f_bavail * size.f_frsize - 8192))
        failed = work(short, store, hashes, progress=False)
        assert len(failed) == 3
        assert all("cannot write a record to" in one and "No space left on device" in one for one in failed)
        assert [path.name for path in store.root.iterdir()] == [store.path(short.configs[0]).name], "nothing half done"
        (disk / "filler").unlink()
        assert work(short, store, hashes, progress=False) == []
        assert missing(short, store) == []
    finally:
        subprocess.run(["umount", str(disk)], check=True)


def test_a_second_process_waits_and_takes_what_the_first_has_made(short, tmp_path):
    store = RunStore(tmp_path / "runs")
    config = short.configs[0]
    command = [sys.executable, "-m", "tslib", "work", str(short.path), config.hash, "--store", str(store.root)]
    with locked(store._lock(config)):
        other = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
        with pytest.raises(subprocess.TimeoutExpired):
            other.wait(12)
        store.get_or_run(config, progress=False)
        written = (store.path(config) / "record.json").read_bytes()
    _, said = other.communicate(timeout=120)
    assert other.returncode == 0, said
    assert (store.path(config) / "record.json").read_bytes() == written
    assert [path.name for path in store.root.iterdir()] == [store.path(config).name]


def test_what_killed_processes_left_is_removed(done):
    sweep, store = done
    name = store.path(sweep.configs[0]).name
    other = store.path(sweep.configs[1]).name
    (store.root / f".{name}.123").mkdir()
    (store.root / f"..{name}.checkpoint.123").write_text("half")
    (store.root / f".{name}.lock").write_text("")
    (store.root / ".probe.9").write_text("")
    store.path(sweep.configs[0]).rename(store.root / f".{name}.123.old")  # between the two renames of a save
    (store.root / f".{other}.checkpoint").write_text("a state to go on from")
    (store.root / f".{other}.4").mkdir()
    with FileLock(store._lock(sweep.configs[1])):  # as another process holds it that is still at work
        store.tidy()
        assert (store.root / f".{other}.4").is_dir()
    store.tidy()
    assert sorted(path.name for path in store.root.iterdir()) == sorted([name, f".{other}.checkpoint"])
    assert store.get(sweep.configs[0]).results["seconds"] == 90.0


# the engine


def test_a_sweep_from_the_command_line(short, tmp_path, capsys, monkeypatch):
    root = tmp_path / "runs"
    command = ["sweep", str(short.path), "--store", str(root), "--jobs", "1"]
    assert main([*command, "--show"]) == 0
    assert "4 of 4 runs are missing; how long 4 of them take is not known" in capsys.readouterr().out
    assert not root.exists() or not list(root.iterdir())
    assert main(command) == 0
    assert capsys.readouterr().out.endswith(f"all 4 runs are done: {root}\n")
    store = RunStore(root)
    assert sorted(path.name for path in root.iterdir()) == sorted(store.path(c).name for c in short.configs)
    monkeypatch.setattr(engine.subprocess, "Popen", None)  # nothing more is started
    assert main(command) == 0


def test_runs_are_made_in_the_order_of_priorities(tmp_path, tiny_model):
    fields = f"model: {tiny_model}, task: multiple-choice, n_tokens: 2, max_steps: 1, answer_every: 0, device: cpu"
    grids = [f"  - {{name: g{p}, priority: {p}, fields: {{{fields}, seed: {p}}}}}\n" for p in (2, 3, 1)]
    sweep = sweep_of(tmp_path / "order.yaml", "title: t\ngrids:\n" + "".join(grids))
    store = RunStore(tmp_path / "runs")
    assert engine.run(sweep, store, jobs=1, group=1) == []
    made = sorted(store.folders(), key=lambda path: (path / "record.json").stat().st_mtime_ns)
    assert [store.load(path).config.seed for path in made] == [1, 2, 3]


def test_two_sweeps_at_once_on_one_store(short, tmp_path):
    store = RunStore(tmp_path / "runs")
    processes = [torture.start(short.path, store.root, jobs=1, group=4) for _ in range(2)]
    assert [process.wait(300) for process in processes] == [0, 0]
    assert sorted(path.name for path in store.root.iterdir()) == sorted(store.path(c).name for c in short.configs)


def test_a_run_that_fails_is_named_with_its_reason(short, tmp_path, capsys):
    fields = f"model: {short.configs[0].model}, task: multiple-choice, n_tokens: [2, 2000], max_steps: 1, device: cpu"
    broken = grid(f"fields: {{{fields}}}")
    sweep = sweep_of(tmp_path / "broken.yaml", broken)
    assert main(["sweep", str(sweep.path), "--store", str(tmp_path / "runs"), "--jobs", "1"]) == 1
    err = capsys.readouterr().err
    assert "error: 1 of 2 runs are still missing; the same command tries again" in err
    assert f"{RunStore(tmp_path / 'runs').path(sweep.configs[1]).name}: " in err
    assert "(2000 virtual tokens" in err
    assert (tmp_path / "runs" / "sweep.log").is_file()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_sweep_that_is_stopped_keeps_the_runs_under_way(tmp_path, tiny_model, number):
    """It starts no more runs; and nobody is left running."""
    fields = f"model: {tiny_model}, n_tokens: 2, max_steps: 1000000, answer_every: 0, device: cpu, seed: [0, 1, 2]"
    sweep = sweep_of(
        tmp_path / "long.yaml", grid(f"fields: {{{fields}, task: two-hop, lr: 1.0e-9, check_every: 1000}}")
    )
    store = RunStore(tmp_path / "runs")
    command = [sys.executable, "-m", "tslib", "sweep", str(sweep.path), "--store", str(store.root), "--jobs", "2"]
    process = subprocess.Popen(
        [*command, "--group", "1", "--checkpoint-every", "0.5"],
        stderr=subprocess.PIPE,
        text=True,
        # a shell's background jobs, and all that they start, ignore SIGINT
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )
    deadline = time.monotonic() + 120
    while sum(store.checkpoint_path(config).exists() for config in sweep.configs) < 2:
        assert time.monotonic() < deadline
        assert process.poll() is None
        time.sleep(0.2)
    everybody = psutil.Process(process.pid).children(recursive=True)
    process.send_signal(number)
    _, said = process.communicate(timeout=60)
    assert process.returncode == 130
    assert said.endswith("interrupted\n")
    assert [one for one in everybody if one.is_running() and one.status() != psutil.STATUS_ZOMBIE] == []
    assert sum(store.checkpoint_path(config).exists() for config in sweep.configs) == 2
    assert status(sweep, store)[["done", "begun", "missing"]].to_numpy().tolist() == [[0, 2, 3]]
    assert not (store.root / ".sweep").exists()


def test_ten_kills(tmp_path):
    """Short: the long version is make torture."""
    found = torture.torture(tmp_path, kills=10, seed=1)
    assert found["kills"] == {"all": 3, "jobs": 3, "engine": 2, "command": 2}
    assert found["runs"] >= 6
    assert [found[name] for name in ("missing", "differences", "stray", "damaged")] == [[], [], [], []]


# the book's rules

ROOT = Path(__file__).resolve().parents[1]


@pytest.fixture
def checkout(tmp_path):
    """A copy of what the rules read, with empty pages and book that are newer than all of it."""
    copy = tmp_path / "checkout"
    ignored = shutil.ignore_patterns("__pycache__", "executed")
    for name in ("tslib", "notebooks", "book", "data"):
        shutil.copytree(ROOT / name, copy / name, ignore=ignored)
    for name in ("Snakefile", "_config.yml", "_toc.yml"):
        shutil.copy(ROOT / name, copy / name)
    made = [copy / "_build/tables/runs.csv"]
    made += [copy / "book/executed" / page.name for page in sorted((copy / "notebooks").glob("*.ipynb"))]
    made += [copy / "_build/html/index.html"]
    for path in made:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("")
        time.sleep(0.02)
    return copy


def asked_for(checkout: Path) -> list[str]:
    """The jobs that making the book would take."""
    command = [sys.executable, "-m", "snakemake", "book", "--dry-run", "--quiet", "rules", "--cores", "1"]
    environment = os.environ | {"PYTHONPATH": str(checkout)}
    process = subprocess.run(
        [*command, "--rerun-triggers", "mtime", "--nolock"],
        cwd=checkout,
        env=environment,
        capture_output=True,
        text=True,
    )
    assert process.returncode == 0, process.stdout + process.stderr
    lines = (process.stdout + process.stderr).splitlines()
    found = [line.split()[0] for line in lines if re.fullmatch(r"(notebook|tables|book|runs)\s+\d+", line)]
    pages = [re.search(r"page=(\S+)", line)[1] for line in lines if "wildcards: page=" in line]
    return sorted(set(found)) + sorted(set(pages))


def test_a_change_asks_only_for_what_depends_on_it(checkout):
    pages = sorted(page.stem for page in (checkout / "notebooks").glob("*.ipynb"))
    assert len(pages) >= 6
    assert asked_for(checkout) == []
    os.utime(checkout / "book" / "assumptions.md")
    assert asked_for(checkout) == ["book"]
    os.utime(checkout / "_build" / "html" / "index.html")
    os.utime(checkout / "notebooks" / f"{pages[3]}.ipynb")
    assert asked_for(checkout)[:2] == ["book", "notebook"]
    os.utime(next((checkout / "data" / "results").glob("*/record.json")))
    assert asked_for(checkout)[:3] == ["book", "notebook", "tables"]


def test_what_the_book_says_of_torture(tmp_path):
    assert report_sweeps.torture(tmp_path / "none.json") == "No outcome is committed yet, so none is given here."
    found = {"kills": {"all": 3, "jobs": 4}, "sweeps": 2, "runs": 24, "resumed": 5}
    found |= {"missing": [], "differences": [], "damaged": ["a"], "stray": []}
    (tmp_path / "torture.json").write_text(json.dumps(found))
    assert report_sweeps.torture(tmp_path / "torture.json") == (
        "The committed outcome, `data/results/torture.json`: "
        "7 kills (3 of all, 4 of jobs) in 2 sweeps, of 24 runs in all, 5 of which went on from a state. Numbers that "
        "differ from the undisturbed runs': 0; missing records: 0; damaged records: 1; "
        "files that should not be there: 0."
    )


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
        assert Sweep.load(path).configs


# audits


def test_an_audit_finds_what_was_changed(short, tmp_path, capsys):
    store = RunStore(tmp_path / "runs")
    work(short, store, [config.hash for config in short.configs[:2]], progress=False)
    assert main(["audit", str(store.root), "--sample", "9"]) == 0
    assert capsys.readouterr().out.count("bits") == 2
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

    monkeypatch.setattr("tslib.audit.tune", tune)
    assert main(["audit", str(store.root), "--sample", "4"]) == 130
    out, err = capsys.readouterr()
    assert out.count("bits") == 2
    assert err.endswith("interrupted\n")
    assert len(made) == 3, "the fourth is not made"


def test_an_audit_of_nothing(tmp_path):
    with pytest.raises(InputError, match="no records in"):
        list(audit(RunStore(tmp_path), 1))
