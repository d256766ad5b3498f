"""A run that was stopped, at whatever step and however, ends with the numbers of one that never was."""

import json
import os
import signal
import threading
import time

import pandas as pd
import pytest
import torch
from safetensors import safe_open
from safetensors.torch import save_file

from tslib.config import TuneConfig
from tslib.losses.baselines import L2Penalty
from tslib.losses.registry import REGULARIZERS
from tslib.records import checkpoints
from tslib.records.checkpoints import Checkpoint, stop_requests
from tslib.records.files import TABLES
from tslib.runs.store import RunStore
from tslib.tuning.loop import tune

pytestmark = pytest.mark.usefixtures("own_cache")


MODEL = ""
"""The model of the test's runs."""


def config(**fields):
    """Six steps on three rows, two a step, so that an epoch is not a whole number of steps."""
    settings = {"samples": 3, "batch_size": 2, "n_tokens": 3, "max_steps": 6, "topology_every": 2, "answer_every": 4}
    return TuneConfig(model=MODEL, task="toy", device="cpu", max_new_tokens=4, regularizer="l2", **settings | fields)


@pytest.fixture
def rows(toy_task, tiny_model, monkeypatch):
    monkeypatch.setattr(f"{__name__}.MODEL", tiny_model)
    toy_task(("How many legs has a spider?", "8"), ("Name a fruit", "apple"), ("Capital of France?", "Paris"))


class StopsAt(L2Penalty):
    """A regulariser that sends a signal to its own process at some call."""

    calls, at, number = 0, -1, signal.SIGTERM

    def __call__(self, prompt):
        StopsAt.calls += 1
        if StopsAt.calls == StopsAt.at:
            os.kill(os.getpid(), StopsAt.number)
        return super().__call__(prompt)


@pytest.fixture
def stop_at(monkeypatch):
    """Stop runs with the regulariser l2 at a step, once."""
    monkeypatch.setitem(REGULARIZERS, "l2", lambda weight, **_: StopsAt(weight))

    def at(step, number=signal.SIGTERM):
        StopsAt.calls, StopsAt.at, StopsAt.number = 0, step, number

    yield at
    StopsAt.at = -1


def assert_same_bits(one, other):
    for name in ("status", "iterations_to_correct", "iterations_to_answer", "rows"):
        assert getattr(one, name) == getattr(other, name), name
    assert {k: v for k, v in one.results.items() if k != "seconds"} == {
        k: v for k, v in other.results.items() if k != "seconds"
    }
    for name in TABLES:
        tables = [getattr(record, name).drop(columns="seconds", errors="ignore") for record in (one, other)]
        pd.testing.assert_frame_equal(*tables, check_exact=True, obj=name)
    assert list(one.prompts) == list(other.prompts)
    assert all(torch.equal(one.prompts[step], other.prompts[step]) for step in one.prompts)


@pytest.mark.parametrize("fields", [{}, {"placement": "suffix"}, {"samples": 2, "batch_size": 8, "preset": "paper"}])
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
@pytest.mark.parametrize("at", [1, 4])
def test_a_run_goes_on_with_the_same_bits(rows, stop_at, tmp_path, fields, number, at):
    asked = config(**fields)
    stop_at(-1)
    undisturbed = tune(asked, progress=False)
    checkpoint = Checkpoint(tmp_path / "state", asked)
    stop_at(at, number)
    first = tune(asked, progress=False, checkpoint=checkpoint)
    assert first.status == "interrupted"
    assert len(first.steps) == at, "the step under way is finished"
    stop_at(-1)
    second = tune(asked, progress=False, checkpoint=checkpoint)
    assert second.status == "finished"
    assert second.environment["resumed"] == 1
    assert_same_bits(second, undisturbed)
    assert second.results["seconds"] >= first.results["seconds"], "the time before counts"


def test_a_run_stopped_at_each_step(rows, stop_at, tmp_path):
    asked = config()
    undisturbed = tune(asked, progress=False)
    checkpoint = Checkpoint(tmp_path / "state", asked)
    for step in range(asked.max_steps):
        stop_at(1)
        assert tune(asked, progress=False, checkpoint=checkpoint).status == "interrupted", step
    stop_at(-1)
    last = tune(asked, progress=False, checkpoint=checkpoint)
    assert last.environment["resumed"] == asked.max_steps
    assert_same_bits(last, undisturbed)


def test_a_killed_run_goes_on_from_its_last_state(rows, monkeypatch, tmp_path):
    """With a state at each step and a crash in the fourth, three steps are not done again."""
    asked = config()
    undisturbed = tune(asked, progress=False)
    checkpoint = Checkpoint(tmp_path / "state", asked, every=0.0)
    done = []

    class Crashes(L2Penalty):
        def __call__(self, prompt):
            done.append(1)
            if len(done) == 4:
                raise MemoryError("as good as killed")
            return super().__call__(prompt)

    monkeypatch.setitem(REGULARIZERS, "l2", lambda weight, **_: Crashes(weight))
    with pytest.raises(MemoryError):
        tune(asked, progress=False, checkpoint=checkpoint)
    assert_same_bits(tune(asked, progress=False, checkpoint=checkpoint), undisturbed)
    assert len(done) == 4 + 3, "steps 4, 5 and 6"


def test_states_are_kept_no_more_often_than_asked(rows, monkeypatch, tmp_path):
    saved = []
    monkeypatch.setattr(Checkpoint, "save", lambda self, run, step: saved.append(step))
    tune(config(), progress=False, checkpoint=Checkpoint(tmp_path / "state", config(), every=3600.0))
    assert saved == []
    tune(config(), progress=False, checkpoint=Checkpoint(tmp_path / "state", config(), every=0.0))
    assert saved == [1, 2, 3, 4, 5, 6]


@pytest.fixture
def state(rows, stop_at, tmp_path):
    """The state of a run that was stopped after two steps."""
    checkpoint = Checkpoint(tmp_path / "state", config())
    stop_at(2)
    tune(config(), progress=False, checkpoint=checkpoint)
    stop_at(-1)
    return checkpoint


def rewrite(path, change):
    """Write a state with other words, under its old checksum."""
    with safe_open(path, framework="pt") as file:
        metadata = dict(file.metadata())
        names = file.keys()  # what was opened is no dict
        tensors = {name: file.get_tensor(name) for name in names}
    change(metadata, tensors)
    save_file(tensors, path, metadata)


def half(path):
    path.write_bytes(path.read_bytes()[:1000])


def forged_header(path):
    path.write_bytes((2**62).to_bytes(8, "little") + path.read_bytes()[8:])


def other_number(path):
    rewrite(path, lambda metadata, tensors: tensors["exp_avg/weight"].add_(1))


def other_words(path):
    rewrite(path, lambda metadata, tensors: metadata.update(state=metadata["state"].replace('"step": 2', '"step": 1')))


def no_words(path):
    rewrite(path, lambda metadata, tensors: metadata.pop("state"))


@pytest.mark.parametrize("damage", [half, forged_header, other_number, other_words, no_words])
def test_a_damaged_state_is_not_gone_on_from(state, capsys, damage):
    undisturbed = tune(config(), progress=False)
    damage(state.path)
    record = tune(config(), progress=False, checkpoint=state)
    assert record.environment["resumed"] == 0
    assert_same_bits(record, undisturbed)
    assert "the state is damaged" in capsys.readouterr().err
    assert not state.path.exists()


def test_a_state_of_other_code_is_not_gone_on_from(state, capsys, monkeypatch):
    monkeypatch.setattr(checkpoints, "code", lambda: "0123456789ab")
    assert tune(config(), progress=False, checkpoint=state).environment["resumed"] == 0
    assert "kept by another version of this library; the run begins anew" in capsys.readouterr().err


def test_a_state_of_another_run_is_not_gone_on_from(state, capsys):
    other = Checkpoint(state.path, config(seed=5))
    assert tune(config(seed=5), progress=False, checkpoint=other).environment["resumed"] == 0
    assert "the state is another run's" in capsys.readouterr().err


def test_where_no_state_can_be_kept_the_run_goes_on(rows, stop_at, tmp_path, capsys):
    (tmp_path / "file").write_text("")
    checkpoint = Checkpoint(tmp_path / "file" / "state", config(), every=0.0)
    assert tune(config(), progress=False, checkpoint=checkpoint).status == "finished"
    assert "could not be kept (File exists): the run goes on without" in capsys.readouterr().err


def test_the_store_keeps_the_state_and_removes_it(rows, stop_at, tmp_path):
    store = RunStore(tmp_path / "runs")
    stop_at(2)
    with pytest.raises(KeyboardInterrupt):
        store.get_or_run(config(), progress=False)
    assert store.checkpoint_path(config()).is_file()
    assert store.get(config()).status == "interrupted"
    stop_at(-1)
    record = store.get_or_run(config(), progress=False)
    assert record.environment["resumed"] == 1
    assert [path.name for path in store.root.iterdir()] == [store.path(config()).name]
    stop_at(2)
    assert store.run(config(), anew=True, progress=False).status == "interrupted"
    stop_at(-1)
    again = store.run(config(), anew=True, progress=False)
    assert again.environment["resumed"] == 0, "anew is from the first step"
    assert_same_bits(again, record)


def test_a_clock_set_back_changes_no_number(rows, stop_at, tmp_path, monkeypatch):
    undisturbed = tune(config(), progress=False)
    state = Checkpoint(tmp_path / "state", config())
    stop_at(3)
    tune(config(), progress=False, checkpoint=state)
    stop_at(-1)
    now = time.time
    monkeypatch.setattr(time, "time", lambda: now() - 10 * 365 * 86400)
    record = tune(config(), progress=False, checkpoint=state)
    assert_same_bits(record, undisturbed)
    assert record.results["seconds"] >= 0


# signals


def test_a_second_ctrl_c_interrupts_at_once(monkeypatch):
    clock = iter([0.0, 0.1, 1.0])
    monkeypatch.setattr(time, "monotonic", lambda: next(clock))
    with stop_requests() as stopped:
        assert not stopped()
        os.kill(os.getpid(), signal.SIGINT)
        assert stopped()
        os.kill(os.getpid(), signal.SIGINT)  # a terminal's, and an engine's that passes it on
        with pytest.raises(KeyboardInterrupt):
            os.kill(os.getpid(), signal.SIGINT)


def test_handlers_are_put_back():
    before = [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)]
    with stop_requests():
        assert signal.getsignal(signal.SIGTERM) != before[1]
    assert [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)] == before


def test_in_another_thread_signals_are_left_alone():
    found = []

    def look():
        with stop_requests() as stopped:
            found.append((stopped(), signal.getsignal(signal.SIGTERM)))

    thread = threading.Thread(target=look)
    thread.start()
    thread.join()
    assert found == [(False, signal.getsignal(signal.SIGTERM))]


def test_the_state_says_what_it_is_of(state):
    with safe_open(state.path, framework="pt") as file:
        said = json.loads(file.metadata()["state"])
    assert (said["step"], said["config"], said["resumed"]) == (2, config().as_dict(), 0)
    assert len(said["steps"]) == 2
