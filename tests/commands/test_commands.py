"""The command line: what it prints, what it leaves, and how it fails - in one line, with a status that says so."""

import contextlib
import dataclasses
import errno
import os
import pty
import re
import shlex
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tslib.__main__ import app, main, names
from tslib.config import PRESETS, TuneConfig
from tslib.errors import ResourceError
from tslib.losses.registry import REGULARIZERS
from tslib.models import fetching
from tslib.models.fetching import WheelSource
from tslib.models.loading import MODELS
from tslib.prompts.methods import METHODS
from tslib.runs.store import RunStore
from tslib.runs.sweeps import Sweep
from tslib.tasks import FAMILIES
from tslib.vision.encoders import ENCODERS

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def no_run(monkeypatch):
    """Fail the test if anything is run."""

    def tune(config, progress=True, checkpoint=None):
        raise AssertionError(f"{config} was run")

    monkeypatch.setattr("tslib.tuning.loop.tune", tune)


def failure(capsys, *arguments: str) -> tuple[int, str]:
    """Status of a command that fails, and the one line that it says."""
    status = main(list(arguments))
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith("error: ")
    assert err.endswith("\n")
    assert err.count("\n") == 1, err
    assert "Traceback" not in err
    return status, err.removeprefix("error: ").rstrip("\n")


# what is rejected before anything is done


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        ("tune --task gsm9k", r"task='gsm9k': unknown task 'gsm9k': choose one of gsm8k, gsm-symbolic.*"),
        ("tune --task bbh/nonesuch", r"task='bbh/nonesuch': unknown subset 'nonesuch' of task bbh: choose one of .*"),
        ("evaluate --shots -1", r"shots=-1: Input should be greater than or equal to 0"),
        ("evaluate --scoring guess", r"invalid choice 'guess' for argument '--scoring'.*"),
        ("tune --regularizer tsloss2", r"regularizer='tsloss2': unknown; known: none, tsloss, .*"),
        ("tune --n-tokens 0", r"n_tokens=0: Input should be greater than or equal to 1"),
        ("tune --lr -1", r"lr=-1.0: Input should be greater than 0"),
        ("tune --weight nan", r"weight=nan: Input should be a finite number"),
        ("tune --samples many", r"Error parsing --samples: .*'many' \(see python -m tslib tune --help\)"),
        ("tune --init zeros", r"invalid choice 'zeros' for argument '--init'\. .*'gaussian', .*'vocabulary', 'text'.*"),
        ("tune --preset best", r"invalid choice 'best' for argument '--preset'\. .*'paper', 'tuned', 'fast'.*"),
        ("tune --preset", r".*--preset.*"),
        ("tune --learning-rate 1", r"Unrecognized options: --learning-rate.*"),
        ("tune --n-tokens 0 --samples 0", r"samples=0: .*; n_tokens=0: .*"),
        ("tuen", rf"unknown command 'tuen': give one of {', '.join(names)}"),
        ("", rf"Expected one of \{{{', '.join(names)}\}}\. \(see python -m tslib --help\)"),
        ("experiment", r"Missing from python -m tslib experiment: NAME .*"),
        ("align --steps 0", r"steps must be at least 1, not 0"),
        ("align --captions 2", r"captions is a share and lr above 0; given 2\.0 and 0\.001"),
        ("fetch a b", r"Unrecognized options: b .*"),
    ],
)
def test_a_command_line_that_is_rejected(capsys, no_run, arguments, line):
    status, said = failure(capsys, *arguments.split())
    assert status == 2
    assert re.fullmatch(line, said)


@pytest.mark.parametrize("command", ["fetch nonesuch", "tune --model nonesuch"])
def test_an_unknown_model(capsys, tmp_path, command):
    where = [] if command.startswith("fetch") else ["--store", str(tmp_path)]
    status, said = failure(capsys, *command.split(), *where)
    assert status == 1
    assert re.fullmatch(r"unknown model 'nonesuch': give one of smollm2-135m, .* or an existing folder", said)


def test_an_unknown_experiment(capsys):
    assert failure(capsys, "experiment", "warp") == (
        1,
        "unknown experiment 'warp'; known: evidence, grasp, learning_rate, recipe, sceptic, short, tour, untuned",
    )


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        ("sweep data/sweeps/short.yaml --threads 0", "threads must be at least 1, not 0"),
        ("sweep data/sweeps/short.yaml --checkpoint-every -0.5", "checkpoint-every must be at least 0, not -0.5"),
        ("work data/sweeps/short.yaml f3428d36d890 --threads 0", "threads must be at least 1, not 0"),
        ("audit data/results --sample -1", "sample must be at least 1, not -1"),
        ("audit data/results --sample 0", "sample must be at least 1, not 0"),
        ("seal nonesuch", "no folder nonesuch: name a record, or a folder of records"),
    ],
)
def test_what_many_runs_cannot_be_done_with(capsys, arguments, line):
    assert failure(capsys, *arguments.split()) == (1, line)


def test_terms_that_were_not_accepted(capsys, monkeypatch, tmp_path):
    monkeypatch.setenv("TSLIB_CACHE", str(tmp_path))
    status, said = failure(capsys, "fetch", "gemma3-270m")
    assert status == 1
    assert "python -m tslib fetch gemma3-270m --accept-gemma-terms" in said


@pytest.mark.parametrize(("method", "preset"), [*((None, preset) for preset in [*PRESETS, None]), ("grasp", None)])
def test_flags_that_are_given_go_before_a_preset(monkeypatch, tmp_path, method, preset):
    """And before what a method sets; also where they give a default, in both spellings, and wherever they stand."""
    seen = []

    def done(_, config):
        seen.append(config)
        raise ResourceError("no run is made here")

    monkeypatch.setattr(RunStore, "done", done)
    flags = ["--init", "gaussian", "--n_tokens=20", "--seed", "3"]
    fields = {"init": "gaussian", "n_tokens": 20, "seed": 3}
    chooses = {name: value for name, value in (("method", method), ("preset", preset)) if value}
    for spelt in (lambda name, value: [f"--{name}={value}"], lambda name, value: [f"--{name}", value]):
        chosen = [part for choice in chooses.items() for part in spelt(*choice)]
        for given in (chosen, [*chosen, *flags], [*flags, *chosen]):
            assert main(["tune", "--store", str(tmp_path), *given]) == 1
            expected = fields if given != chosen else {}
            assert seen.pop() == TuneConfig(**expected, **chooses)


# what cannot be run


@pytest.fixture
def tune(own_cache, tmp_path, smollm2_135m):
    """Start of a command line that tunes, with a store and a cache of the test's own."""
    return ["tune", "--device", "cpu", "--store", str(tmp_path / "runs")]


def test_a_data_folder_without_the_files(capsys, tune, tmp_path, monkeypatch):
    monkeypatch.setenv("TSLIB_DATA_DIR", str(tmp_path))
    status, said = failure(capsys, *tune, "--task", "gsm8k")
    assert status == 1
    assert f"TSLIB_DATA_DIR is set, and {tmp_path}/gsm8k/train.jsonl cannot be read (No such file" in said
    assert "the stand-in gsm-symbolic needs no download" in said


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        ("--samples 1001", "limit 1001 is more than the 1000 rows of gsm-symbolic train: lower it"),
        ("--n-tokens 9000", r"example gsm-symbolic/train/\d+ needs \d+ positions .* the context has 8192: .*"),
        ("--device abacus", "device 'abacus' is unknown: give auto or one of .*"),
        ("--device cuda:99", "device 'cuda:99' is not on this machine, which has .*"),
    ],
)
def test_a_run_that_cannot_be(capsys, tune, tmp_path, arguments, line):
    status, said = failure(capsys, *tune, *arguments.split())
    assert status == 1
    assert re.fullmatch(line, said)
    assert RunStore(tmp_path / "runs").folders() == []


def test_a_damaged_model_in_the_cache(capsys, tmp_path, models_folder, monkeypatch):
    """Found by its size; in another precision than the tests', so that it is loaded and not remembered."""
    folder = tmp_path / "models" / "smollm2-135m"
    folder.mkdir(parents=True)
    for path in (models_folder / "smollm2-135m").iterdir():
        if path.name == fetching.WEIGHTS:
            (folder / path.name).write_bytes(b"cut short")
        else:
            shutil.copy(path, folder)
    monkeypatch.setenv("TSLIB_CACHE", str(tmp_path))
    monkeypatch.setattr("tslib.kernels.precision.computes", lambda *_: True)  # else there is a word on that, too
    status, said = failure(capsys, "tune", "--dtype", "bfloat16", "--device", "cpu", "--store", str(tmp_path / "runs"))
    assert status == 1
    assert said.startswith(f"smollm2-135m in {folder} cannot be used: {fetching.WEIGHTS} has 9 bytes, ")
    assert said.endswith("delete that folder and fetch smollm2-135m again")


def test_a_store_below_a_file(capsys, own_cache, tmp_path, no_run):
    (tmp_path / "file").write_text("")
    status, said = failure(capsys, "tune", "--store", str(tmp_path / "file" / "runs"))
    assert status == 1
    assert said == (
        f"cannot write a record to {tmp_path}/file/runs (Not a directory); free space there or name another folder"
    )


def test_a_store_that_is_a_file(capsys, tmp_path):
    (tmp_path / "file").write_text("")
    status, said = failure(
        capsys, "sweep", str(ROOT / "data/sweeps/short.yaml"), "--store", str(tmp_path / "file"), "--show"
    )
    assert status == 1
    assert said == f"{tmp_path}/file is a file: name the folder of the records, or one that is still to be made"


def test_a_full_store(capsys, own_cache, tmp_path, no_run, monkeypatch):
    def full(path, _data):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(path))

    monkeypatch.setattr(Path, "write_bytes", full)
    status, said = failure(capsys, "tune", "--store", str(tmp_path / "runs"))
    assert status == 1
    assert said.startswith(f"cannot write a record to {tmp_path}/runs (No space left on device); free space")


def test_a_damaged_record_is_set_aside(capsys, tune, two_steps, tmp_path, monkeypatch):
    store = RunStore(tmp_path / "runs")
    config = TuneConfig(device="cpu")
    folder = store.save(dataclasses.replace(two_steps, config=config))
    (folder / "record.json").write_text("{")
    monkeypatch.setattr("tslib.tuning.loop.tune", lambda config, **_: dataclasses.replace(two_steps, config=config))
    assert main(tune) == 0
    out, err = capsys.readouterr()
    assert err.startswith(f"{folder} is not a readable record (JSONDecodeError: ")
    assert err.endswith(f"set aside in damaged/{folder.name}.1\n")
    assert out.endswith(f"record: {folder}\n")
    assert store.get(config).status == "finished"


# what is done


def test_tune_prints_a_table_and_leaves_a_record(capsys, tune, tmp_path, monkeypatch):
    options = "--sample-seed 58 --n-tokens 8 --max-steps 2 --answer-every 0 --regularizer tsloss --weight 2"
    assert main([*tune, *options.split()]) == 0
    out, err = capsys.readouterr()
    config = TuneConfig(
        sample_seed=58, n_tokens=8, max_steps=2, answer_every=0, regularizer="tsloss", weight=2, device="cpu"
    )
    store = RunStore(tmp_path / "runs")
    record = store.get(config)
    assert record.status == "finished"
    assert len(record.steps) == 2
    lines = out.splitlines()
    assert lines[-1] == f"record: {store.path(config)}"
    told = dict(re.split(r"\s{2,}", line) for line in lines[:-1])
    assert told["model, task"] == "smollm2-135m, gsm-symbolic"
    assert told["regularizer"] == "tsloss, weight 2"
    assert told["status"] == "finished"
    assert told["optimiser steps"].startswith("2 in ")
    assert told["iterations to exact target"] == "not within 2 steps"
    losses = [float(value) for value in told["cross-entropy, first and last step"].split(", ")]
    assert losses == pytest.approx(record.steps["cross_entropy"].tolist(), abs=1e-4)
    assert "gsm-symbolic tsloss sample 58 seed 0" in err, "the progress bar"

    with monkeypatch.context() as patch:  # a second call finds it
        patch.setattr("tslib.tuning.loop.tune", lambda config: pytest.fail(f"{config} was run again"))
        assert main([*tune, *options.split()]) == 0
        again = capsys.readouterr()
        notice = "this run was made before and is only shown; --force makes it again\n"
        assert again.out == notice + out
        assert again.err == ""

    before = (store.path(config) / "record.json").stat().st_mtime_ns
    assert main([*tune, *options.split(), "--force"]) == 0
    assert (store.path(config) / "record.json").stat().st_mtime_ns > before
    assert store.get(config).steps["cross_entropy"].tolist() == record.steps["cross_entropy"].tolist()


def test_experiment_is_an_older_name_of_sweep(capsys):
    """The committed runs and evaluations of both are whole, so there is nothing to do."""
    for name, number in (("tour", 12), ("untuned", 8)):
        assert main(["experiment", name]) == 0
        out, err = capsys.readouterr()
        assert out.startswith("experiment is an older name of: python -m tslib sweep ")
        assert f"{name}.yaml --store " in out
        assert f"all {number} runs are done: " in out
        assert err == ""


def test_fetch_prints_the_folder(capsys, models_folder):
    assert main(["fetch"]) == 0
    assert capsys.readouterr().out == f"{models_folder / 'smollm2-135m'}\n"


def test_book_builds(capsys, monkeypatch):
    monkeypatch.setattr("tslib.study.book.build.build", lambda force: Path("_build/html/index.html"))
    assert main(["book"]) == 0
    assert capsys.readouterr().out == "_build/html/index.html\n"


def examples(capsys, command: str) -> list[str]:
    """The lines of a command's help that stand below "Examples:", without what starts them."""
    assert main([command, "--help"]) == 0
    out, err = capsys.readouterr()
    assert err == ""
    (lines,) = re.findall(r"^Examples:\n((?:  .+\n)+)$", out, flags=re.MULTILINE)
    return [line.removeprefix("  python -m tslib ") for line in lines.splitlines()]


@pytest.mark.parametrize("command", names)
def test_the_examples_of_the_help_are_accepted(capsys, command):
    """Parsed as the user would type them; parsing returns the call and does not make it."""
    lines = examples(capsys, command)
    calls = [app.cli(args=shlex.split(line.partition(" > ")[0])) for line in lines]
    called = [call.func.__name__.replace("_", "-") for call in calls]
    assert [line.split()[0] for line in lines] == called
    assert command in called


def test_the_run_of_the_examples_is_the_one_that_they_tune(capsys):
    tuned = app.cli(args=shlex.split(examples(capsys, "tune")[0])).keywords["config"]
    for command in ("evaluate", "adapter", "topology"):
        assert re.search(
            rf"\b(runs/gsm-symbolic_smollm2-135m_tsloss_)?{tuned.hash}\b", " ".join(examples(capsys, command))
        )
    (work,) = examples(capsys, "work")
    assert work.split()[2] in {config.hash for config in Sweep.load(ROOT / work.split()[1]).configs}


def test_help_of_tune_names_every_method_and_regularizer(capsys):
    main(["tune", "--help"])
    words = set(re.findall(r"[\w-]+", capsys.readouterr().out))
    assert set(METHODS) | set(REGULARIZERS) <= words


def test_help_of_the_whole_names_every_command(capsys):
    assert main(["--help"]) == 0
    out, _ = capsys.readouterr()
    assert re.findall(r"^\W+• (\S+) +\w", out, flags=re.MULTILINE) == names


def test_help_of_fetch_names_the_embedded_models(capsys):
    main(["fetch", "--help"])
    out, _ = capsys.readouterr()
    for name, spec in MODELS.items():
        assert not isinstance(spec.source, WheelSource) or name in out


# as a process of its own


@pytest.fixture
def start():
    """Start the command line; what still runs when the test ends is killed."""
    with contextlib.ExitStack() as stack:

        def popen(*arguments: str) -> subprocess.Popen[str]:
            process = stack.enter_context(
                subprocess.Popen(
                    [sys.executable, "-m", "tslib", *arguments],
                    stdout=subprocess.PIPE,
                    stderr=subprocess.PIPE,
                    text=True,
                    # a shell that put the tests in the background has Ctrl-C ignored, which would be handed down
                    preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
                )
            )
            stack.callback(process.kill)
            return process

        yield popen


def test_a_rejected_command_in_a_process_of_its_own(start):
    process = start("tune", "--n-tokens", "0")
    out, err = process.communicate(timeout=300)
    assert (process.returncode, out) == (2, "")
    assert err == "error: n_tokens=0: Input should be greater than or equal to 1\n"


@pytest.mark.parametrize("encoding", ["ascii", "utf-8"])
def test_a_terminal_gets_one_line_too(monkeypatch, encoding):
    """Where the parser draws a coloured box, and where it has no characters to draw it with."""
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("PYTHONIOENCODING", encoding)
    ours, theirs = pty.openpty()
    command = [sys.executable, "-m", "tslib", "fetch", "one", "two"]
    process = subprocess.Popen(command, stdin=theirs, stdout=theirs, stderr=theirs)
    assert process.wait(timeout=300) == 2
    assert os.read(ours, 10_000) == b"error: Unrecognized options: two (see python -m tslib fetch --help)\r\n"
    os.close(ours)
    os.close(theirs)


def test_ctrl_c_keeps_what_was_measured(start, tmp_path, own_cache):
    store = RunStore(tmp_path / "runs")
    options = "--sample-seed 58 --n-tokens 4 --max-steps 500 --answer-every 0 --device cpu"
    process = start("tune", *options.split(), "--store", str(store.root))
    said, deadline = "", time.monotonic() + 300
    while not re.search(r"\b[1-9]\d*/500 ", said):
        letter = process.stderr.read(1)
        said += letter
        assert letter, said
        assert time.monotonic() < deadline, said
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=300)
    assert process.returncode == 130
    assert err.endswith("interrupted\n")
    assert "Traceback" not in said + err
    config = TuneConfig(sample_seed=58, n_tokens=4, max_steps=500, answer_every=0, device="cpu")
    record = store.get(config)
    assert record.status == "interrupted"
    assert 1 <= len(record.steps) < 500
    assert record.steps["cross_entropy"].notna().all()
    assert list(record.prompts) == [0]
    assert re.search(r"^status +interrupted$", out, flags=re.MULTILINE)
    assert out.splitlines()[-1] == f"record: {store.path(config)}"


def test_ctrl_c_while_the_command_line_is_read(capsys, monkeypatch):
    def stop(*_arguments, **_options):
        raise KeyboardInterrupt

    monkeypatch.setattr("tslib.__main__.app.cli", stop)
    assert main(["fetch"]) == 130
    assert capsys.readouterr() == ("", "interrupted\n")


def test_import_is_quick():
    """No torch, no transformers, and nothing else that takes long: the fastest of three imports counts."""
    code = (
        "import sys, time; begun = time.perf_counter(); import tslib; took = time.perf_counter() - begun\n"
        "print(took, *(name for name in ('torch', 'transformers', 'numpy', 'pandas') if name in sys.modules))"
    )
    answers = [
        subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
        for _ in range(3)
    ]
    assert min(float(took) for took, *_ in answers) < 1
    assert [loaded for _, *loaded in answers] == [[], [], []]


# evaluation, and the tables of what there is


def test_tune_then_evaluate(capsys, tune, tiny_model, tmp_path):
    store = ["--store", str(tmp_path / "runs")]
    asked = ["--model", tiny_model, "--task", "two-hop", "--samples", "2", "--max-steps", "1", "--answer-every", "0"]
    assert main([*tune, *asked]) == 0
    folder = capsys.readouterr().out.splitlines()[-1].removeprefix("record: ")
    arguments = ["evaluate", folder, "--limit", "2", "--max-new-tokens", "4", *store]
    assert main(arguments) == 0
    out = capsys.readouterr().out
    assert f"prompt                        tuned, run {folder[-12:]}" in out
    assert re.search(r"F1 +0\.000 \[0\.000, 0\.\d{3}\] \(95 % interval\)", out)
    path = Path(out.splitlines()[-1].removeprefix("evaluation: "))
    before = path.stat().st_mtime_ns
    assert main(["evaluate", folder[-12:], *arguments[2:]]) == 0, "by its hash; what was made is shown"
    assert capsys.readouterr().out == out
    assert path.stat().st_mtime_ns == before
    status, said = failure(capsys, *arguments, "--task", "gsm8k")
    assert (status, said) == (1, f"run {folder[-12:]} has task two-hop, not gsm8k: leave task out")


def test_evaluate_a_run_that_is_not_there(capsys, tmp_path):
    status, said = failure(capsys, "evaluate", "nonesuch", "--store", str(tmp_path))
    assert status == 1
    assert said.startswith(f"0 records in {tmp_path} have a name that ends in 'nonesuch'")


def test_tables(capsys, few_made, monkeypatch):
    monkeypatch.delenv("TSLIB_DATA_DIR", raising=False)
    assert main(["tasks"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].split()[:3] == ["task", "title", "subsets"]
    assert [line.split()[0] for line in lines[1:]] == list(FAMILIES)
    assert main(["models"]) == 0
    tables = [table.splitlines() for table in capsys.readouterr().out.split("\n\n")]
    assert [[line.split()[0] for line in lines[1:]] for lines in tables] == [list(MODELS), list(ENCODERS)]


def test_a_pager_that_is_closed_early_is_no_error():
    command = [sys.executable, "-m", "tslib", "tune", "--help"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        process.stdout.close()
        assert process.stderr.read() == ""
        assert process.wait() == 1
