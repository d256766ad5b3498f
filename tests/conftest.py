"""What several test modules share: the embedded model, a task of a few words, a record, a cache of the test's own."""

import dataclasses
import gc
import json
import os
import sys
from collections.abc import Callable, Iterator
from functools import lru_cache
from pathlib import Path

import browser as chromium
import jaxtyping
import pytest
import torture
from fastest_first import FastestFirst
from hypothesis import HealthCheck, settings
from made_sweeps import grid, sweep_of
from playwright.sync_api import Browser
from transformers import AutoTokenizer, PreTrainedTokenizerBase

from tslib.config import TuneConfig
from tslib.errors import InputError
from tslib.kernels.choice import FORCED
from tslib.models import loading as models
from tslib.models.loading import LoadedModel
from tslib.records.checkpoints import Checkpoint
from tslib.records.record import RunRecord
from tslib.runs.store import RunStore
from tslib.tasks import FAMILIES, TASKS, Example, Reading, Task, load_task
from tslib.tasks.base import made
from tslib.tuning import loop as tuning

# How long an example takes says something of the machine, not of the code.
settings.register_profile("tests", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("tests")


def pytest_configure(config: pytest.Config) -> None:
    """Fix the kernels, and see to it that a change of the code that mutmut tries takes no longer than it has to."""
    os.environ.setdefault(FORCED, "onednn")  # else a timing would decide on bits that tests compare
    if "MUTANT_UNDER_TEST" in os.environ:
        config.pluginmanager.register(FastestFirst())


def pytest_collection_finish() -> None:
    """What is imported and collected stays: no later search for garbage has to go through it, half a second each."""
    gc.collect()
    gc.freeze()


class Toy(Task):
    """Rows made by a test, their target also their answer."""

    name = "toy"
    title = "Toy"
    licence = "CC0-1.0"
    source = "the test itself"
    splits = ("train",)

    def __init__(self, rows: tuple[tuple[str, str], ...]) -> None:
        self.rows = rows

    def read(self, split: str) -> Reading:
        return made(Example(f"toy/{split}/{i}", prompt, target, target) for i, (prompt, target) in enumerate(self.rows))

    def extract(self, text: str) -> str | None:
        return text

    def score(self, text: str, example: Example) -> float:
        return float(text == example.answer)


@pytest.fixture(scope="session", autouse=True)
def _no_power_cut() -> Iterator[None]:
    """Nothing that a test writes has to outlive one, so nobody waits for the disk."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(os, "fsync", lambda _descriptor: None)
        yield


@pytest.fixture(autouse=True)
def _no_open_figures() -> Iterator[None]:
    """A test's figures are closed behind it: matplotlib keeps them, and warns of the twenty-first."""
    yield
    if (pyplot := sys.modules.get("matplotlib.pyplot")) is not None:
        pyplot.close("all")


@pytest.fixture
def without_type_checks() -> Iterator[None]:
    """Calls are not checked against annotations, as they are not outside of the tests."""
    before = jaxtyping.config.jaxtyping_disable
    jaxtyping.config.update("jaxtyping_disable", True)
    yield
    jaxtyping.config.update("jaxtyping_disable", before)


@pytest.fixture
def toy_task(monkeypatch):
    """Make the given (prompt, target) rows the task "toy"."""
    return lambda *rows: monkeypatch.setitem(TASKS, "toy", Toy(rows))


@pytest.fixture
def few_made(monkeypatch) -> None:
    """Tasks that are made, with one row each, since making them all takes seconds."""
    for task in FAMILIES.values():
        if not task.layout:
            rows = load_task("gsm-symbolic", "test", limit=1)
            monkeypatch.setattr(type(task), "read", lambda self, split, rows=rows: made(rows))


@pytest.fixture(scope="session")
def smollm2_135m() -> LoadedModel:
    """The embedded model in float32 on the CPU, the very one that ``tune`` uses for such a config."""
    return models.shared_model("smollm2-135m", "cpu", "float32")


@pytest.fixture(scope="session")
def named_end(smollm2_135m, tmp_path_factory) -> PreTrainedTokenizerBase:
    """The embedded model's tokenizer with an end of turn that was added as a word, and is left in texts."""
    folder = tmp_path_factory.mktemp("named_end")
    smollm2_135m.tokenizer.save_pretrained(folder)
    said = json.loads((folder / "tokenizer.json").read_text())
    for token in said["added_tokens"]:
        token["special"] &= token["content"] != "<|im_end|>"
    (folder / "tokenizer.json").write_text(json.dumps(said))
    said = json.loads((folder / "tokenizer_config.json").read_text()) | {"eos_token": "<|endoftext|>"}
    said = {name: value for name, value in said.items() if name not in ("extra_special_tokens", "pad_token")}
    (folder / "tokenizer_config.json").write_text(json.dumps(said))
    tokenizer = AutoTokenizer.from_pretrained(folder)
    assert not tokenizer.added_tokens_decoder[2].special
    return tokenizer


@pytest.fixture(scope="session")
def tiny_folder(tmp_path_factory) -> Path:
    """A model of two narrow layers with random weights, whose steps take milliseconds."""
    return torture.tiny(tmp_path_factory.mktemp("tiny"))


_of_tiny = lru_cache(maxsize=1)(models._shared.__wrapped__)


@pytest.fixture
def tiny_model(tiny_folder, monkeypatch) -> str:
    """The name of that model for a config; the embedded one stays loaded for other tests."""
    monkeypatch.setattr(models, "_shared", _of_tiny)
    return str(tiny_folder)


@pytest.fixture(scope="session")
def models_folder() -> Path:
    """The models of the user's cache, the embedded one among them."""
    return models.fetch("smollm2-135m").parent


@pytest.fixture
def own_cache(models_folder, tmp_path, monkeypatch) -> Path:
    """A cache of the test's own, so that its prompts don't replace the user's; it has the user's models."""
    cache = tmp_path / "cache"
    cache.mkdir()
    (cache / "models").symlink_to(models_folder, target_is_directory=True)
    monkeypatch.setenv("TSLIB_CACHE", str(cache))
    return cache


@pytest.fixture(scope="session")
def two_steps(smollm2_135m) -> RunRecord:
    """The record of a real run of two steps, with TSLoss and three checkpoints."""
    fields = {"regularizer": "tsloss", "sample_seed": 58, "n_tokens": 8, "device": "cpu"}
    return tuning.tune(TuneConfig(max_steps=2, topology_every=1, answer_every=0, **fields), progress=False)


@pytest.fixture
def resumed(tmp_path) -> Callable[[TuneConfig, int], RunRecord]:
    """Makes a run that is stopped before a step, keeps its state, and goes on."""

    def run(config: TuneConfig, at: int) -> RunRecord:
        class Stops(Checkpoint):
            def offer(self, run, step):
                if step == at:
                    self.save(run, step)
                    raise KeyboardInterrupt

        path = tmp_path / ".state"
        assert tuning.tune(config, progress=False, checkpoint=Stops(path, config)).status == "interrupted"
        record = tuning.tune(config, progress=False, checkpoint=Checkpoint(path, config))
        assert record.environment["resumed"] == 1
        return record

    return run


@pytest.fixture(scope="session")
def gemma3_270m() -> Path:
    """The folder of the second embedded model, where its terms were accepted."""
    try:
        return models.fetch("gemma3-270m")
    except InputError as error:
        pytest.skip(f"Gemma's terms must be accepted first: {error}")


@pytest.fixture
def data_dir(tmp_path, monkeypatch) -> Path:
    """A folder of the test's own in place of the rows' folder."""
    monkeypatch.setenv("TSLIB_DATA_DIR", str(tmp_path))
    return tmp_path


@pytest.fixture
def real_file() -> Callable[[str], Path]:
    """Gives a file of a benchmark as it was published, where there is a folder with it."""

    def find(layout: str) -> Path:
        folder = os.environ.get("TSLIB_DATA_DIR")
        if not folder or not (path := Path(folder) / layout).exists():
            pytest.skip(f"set TSLIB_DATA_DIR to a folder with {layout}")
        return path

    return find


@pytest.fixture
def gsm8k_rows(real_file) -> Path:
    """The folder with GSM8K's own rows."""
    return real_file("gsm8k/train.jsonl").parents[1]


@pytest.fixture(scope="session")
def book() -> Path:
    """The folder of the built book, where it and a browser are there to look at it; in CI both must be."""
    if reason := chromium.missing():
        if os.environ.get("TSLIB_REQUIRE_BROWSER"):
            pytest.fail(reason)
        pytest.skip(reason)
    return chromium.BOOK


@pytest.fixture(scope="module")  # not of the session: while Playwright runs, no other test can start an event loop
def browser(book) -> Iterator[Browser]:
    """Debian's Chromium."""
    with chromium.chromium() as started:
        yield started


@pytest.fixture
def short(tmp_path, tiny_model):
    """A sweep of four short runs."""
    fields = f"model: {tiny_model}, task: multiple-choice, n_tokens: 2, max_steps: 3, answer_every: 0, device: cpu, "
    fields += "lr: [0.03, 1.0e+30], regularizer: [none, tsloss]"
    return sweep_of(tmp_path / "short.yaml", grid(f"fields: {{{fields}}}"))


@pytest.fixture
def done(two_steps, tmp_path):
    """A store with the first of two runs of a sweep."""
    store = RunStore(tmp_path / "runs")
    sweep = sweep_of(tmp_path / "s.yaml", grid("fields: {seed: [0, 1], device: cpu}"))
    store.save(dataclasses.replace(two_steps, config=sweep.configs[0], results=two_steps.results | {"seconds": 90.0}))
    return sweep, store
