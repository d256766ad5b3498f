"""The runs of a sweep are made, and whatever goes wrong costs no other run anything."""

import json
import os
import signal
import subprocess
import sys
import time

import psutil
import pytest
import torture
from filelock import FileLock
from made_sweeps import grid, sweep_of

from tslib.__main__ import main
from tslib.errors import InputError
from tslib.records.durable import locked
from tslib.runs import engine
from tslib.runs.store import RunStore
from tslib.runs.sweeps import missing, status, work
from tslib.study.report import sweeps as report_sweeps

pytestmark = pytest.mark.usefixtures("own_cache")

# jobs


def test_a_diverged_run_and_a_failing_one_keep_no_other_from_being_done(short, tmp_path, monkeypatch, capsys):
    from tslib.tuning import loop as tuning

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
        patch.setattr("tslib.runs.evaluation.evaluate", stop)
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


def test_a_model_as_it_is_is_evaluated_once(tmp_path, tiny_model, capsys):
    """By Snakemake, beside a run; a file that is damaged is made again."""
    path = tmp_path / "both.yaml"
    sweep = sweep_of(
        path,
        grid(f"fields: {{model: {tiny_model}, n_tokens: 2, max_steps: 2, answer_every: 0, device: cpu}}")
        + f"\nuntuned: [{{name: u, fields: {{model: {tiny_model}, limit: 2, max_new_tokens: 4, device: cpu}}}}]\n",
    )
    store = RunStore(tmp_path / "runs")
    command = ["sweep", str(path), "--store", str(store.root), "--jobs", "1"]
    assert main([*command, "--show"]) == 0
    out, _ = capsys.readouterr()
    assert "2 of 2 runs are missing" in out
    assert "how long evaluations of models as they are take is not estimated" in out
    assert main(command) == 0
    assert "all 2 runs are done" in capsys.readouterr().out
    (made,) = (store.root / "evaluations").glob("*.json")
    assert json.loads(made.read_text())["config"] == sweep.as_they_are[0].as_dict()
    assert status(sweep, store)["done"].tolist() == [1, 1]
    made.write_text("{}")
    assert missing(sweep, store) == list(sweep.as_they_are)
    assert work(sweep, store, [sweep.as_they_are[0].hash], progress=False) == []
    assert missing(sweep, store) == []


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


def test_relative_paths_mean_the_same_in_jobs_whatever_the_home(tiny_folder, tmp_path, capfd, monkeypatch):
    """The record is the one that ``tune`` makes from the same folder, whatever signs the store's name has."""
    (tmp_path / "mymodel").symlink_to(tiny_folder)
    (tmp_path / "rows" / "gsm8k").mkdir(parents=True)
    rows = [json.dumps({"question": f"{i} and {i}?", "answer": f"{i} + {i} = {2 * i}.\n#### {2 * i}"}) for i in (2, 3)]
    (tmp_path / "rows" / "gsm8k" / "train.jsonl").write_text("\n".join(rows))
    (tmp_path / "home").write_text("a file")
    fields = {"task": "gsm8k", "model": "mymodel", "n_tokens": 2, "max_steps": 1, "answer_every": 0, "device": "cpu"}
    (tmp_path / "s.yaml").write_text(grid(f"fields: {json.dumps(fields)}"))
    monkeypatch.chdir(tmp_path)
    environment = {"TSLIB_DATA_DIR": "rows", "TSLIB_CACHE": "kept", "HOME": str(tmp_path / "home")}
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("PYTHONPATH", os.path.relpath(engine.SNAKEFILE.parent))
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    store = "a store: #1 é{x}'s"
    assert main(["sweep", "s.yaml", "--store", store, "--jobs", "1"]) == 0
    assert len(list((tmp_path / "kept" / "prompts").iterdir())) == 1
    given = [word for name, value in fields.items() for word in (f"--{name.replace('_', '-')}", str(value))]
    assert main(["tune", *given, "--store", store]) == 0
    assert "made before and is only shown" in capfd.readouterr().out
    (record,) = RunStore(store).records()
    assert len(record.prompts) == 2


def test_the_jobs_keep_their_order_and_the_cache_folder_of_their_caller(tmp_path):
    """Snakemake has one of its own; here it starts a program that says where it finds itself, and for which runs."""
    says = "import os, sys; print('job:', os.environ.get('XDG_CACHE_HOME'), os.getcwd(), sys.argv[1:4])"
    (tmp_path / "tslib.py").write_text(says)
    settings = {"sweep": "/s.yaml", "caller": str(tmp_path), "XDG_CACHE_HOME": "it's here"}
    settings["plan"] = [[run] for run in "cab"]
    (tmp_path / "plan.json").write_text(json.dumps(settings))
    command = [sys.executable, "-m", "snakemake", "runs", "--snakefile", str(engine.SNAKEFILE), "--cores", "1"]
    command += ["--directory", str(tmp_path / "inside"), "--configfile", str(tmp_path / "plan.json")]
    process = subprocess.run(command, capture_output=True, text=True, cwd=engine.SNAKEFILE.parent)
    said = [line for line in process.stdout.splitlines() if line.startswith("job: ")]
    assert said == [f"job: it's here {tmp_path} ['work', '/s.yaml', '{run}']" for run in "cab"], process.stderr


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


def test_each_process_is_killed_once(tmp_path):
    """Short: the long version is make torture."""
    found = torture.torture(tmp_path, kills=4, seed=1, longest=5.0)
    assert found["kills"] == {"all": 1, "jobs": 1, "engine": 1, "command": 1}
    assert found["runs"] >= 6
    assert [found[name] for name in ("missing", "differences", "stray", "damaged")] == [[], [], [], []]


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
