"""Two models of one name are told apart by their weights, in records, prompts, evaluations and states."""

import dataclasses
import shutil
from functools import lru_cache

import pytest
import torch
from made_sweeps import grid, sweep_of
from safetensors.torch import load_file, save_file

from tslib.__main__ import main
from tslib.config import EvalConfig, TuneConfig
from tslib.errors import InputError
from tslib.models import loading as models
from tslib.records import provenance
from tslib.records.checkpoints import Checkpoint
from tslib.records.files import prompts_folder
from tslib.runs.audit import audit
from tslib.runs.evaluation import EvaluationStore, evaluate, of_run
from tslib.runs.store import RunStore
from tslib.runs.sweeps import missing, status, work
from tslib.tuning.loop import tune

pytestmark = pytest.mark.usefixtures("own_cache")

FIELDS = {"model": "model", "task": "multiple-choice", "n_tokens": 2, "max_steps": 2, "answer_every": 0}
CONFIG = TuneConfig(**FIELDS, device="cpu")
ASKED = EvalConfig(limit=2, max_new_tokens=4)


@pytest.fixture
def projects(tiny_folder, tmp_path, monkeypatch):
    """Two folders, each with a folder ``model`` of other weights."""
    monkeypatch.setattr(models, "_shared", models._shared.__wrapped__)  # each run loads it, as a process of its own
    folders = [tmp_path / name for name in ("one", "other")]
    for folder in folders:
        shutil.copytree(tiny_folder, folder / "model")
    change(folders[1])
    return folders


def change(project):
    """Give a project's model other weights."""
    path = project / "model" / "model.safetensors"
    save_file({name: -value for name, value in load_file(path).items()}, path, {"format": "pt"})


@pytest.fixture
def made(projects, monkeypatch):
    """Both with a record of the same config."""
    for project in projects:
        monkeypatch.chdir(project)
        RunStore("runs").get_or_run(CONFIG, progress=False)
    return projects


def test_each_has_its_prompts(made):
    one, other = (RunStore(project / "runs").get(CONFIG) for project in made)
    assert list(one.prompts) == list(other.prompts) == [0, 2]
    assert not torch.equal(one.prompts[2], other.prompts[2])
    assert one.environment["model"]["name"] == other.environment["model"]["name"] == "model"


def test_prompts_that_were_kept_before_weights_counted(made):
    """Under the run's hash alone."""
    record = RunStore(made[0] / "runs").get(CONFIG)
    digest = record.environment["model"]["safetensors_sha256"][:12]
    (prompts_folder() / f"{CONFIG.hash}-{digest}.safetensors").rename(prompts_folder() / f"{CONFIG.hash}.safetensors")
    assert torch.equal(RunStore(made[0] / "runs").get(CONFIG).prompts[2], record.prompts[2])
    assert len(RunStore(made[1] / "runs").get(CONFIG).prompts) == 2


def test_a_run_is_not_shown_for_other_weights(made, monkeypatch, capsys):
    one, other = (RunStore(project / "runs").get(CONFIG) for project in made)
    monkeypatch.chdir(made[1])
    store = made[0] / "runs"
    said = (
        r"none_\w+ was made with other weights \(\w{12}\) than model has now \(\w{12}\): --force or deleting it makes"
    )
    for method in (RunStore(store).done, RunStore(store).run, RunStore(store).get_or_run):
        with pytest.raises(InputError, match=said):
            method(CONFIG)
    command = ["tune", "--store", str(store), "--device", "cpu"]
    command += [word for name, value in FIELDS.items() for word in (f"--{name.replace('_', '-')}", str(value))]
    assert main(command) == 1
    err = capsys.readouterr().err
    assert err.endswith("makes it again, another --store keeps both\n")
    assert one.environment["model"]["safetensors_sha256"][:12] in err
    assert err.count("\n") == 1
    assert main([*command, "--force"]) == 0
    again = RunStore(store).done(CONFIG)
    assert again.environment["model"] == other.environment["model"]
    assert torch.equal(again.prompts[2], other.prompts[2])


def test_a_prompt_does_not_go_into_other_weights(made, monkeypatch, capsys):
    monkeypatch.chdir(made[0])
    store = EvaluationStore("runs/evaluations")
    record = RunStore("runs").get(CONFIG)
    config = of_run(ASKED, record)
    first = store.get_or_run(config, record, progress=False)
    monkeypatch.chdir(made[1])
    with pytest.raises(
        InputError, match=rf"run {CONFIG.hash} was made with other weights .*: tune it again \(--force\)"
    ):
        evaluate(config, record, progress=False)
    store = EvaluationStore(made[0] / "runs" / "evaluations")
    assert not store.has(config)
    with pytest.raises(InputError, match=r"json was made with other weights"):
        store.get_or_run(config, record, progress=False)
    assert store.load(store.path(config)).results == first.results, "it can still be read"
    assert main(["evaluate", CONFIG.hash, "--limit", "2", "--store", str(made[0] / "runs")]) == 1
    assert "was made with other weights" in capsys.readouterr().err


def test_a_sweep_and_an_audit_say_so(made, monkeypatch):
    fields = ", ".join(f"{name}: {value}" for name, value in FIELDS.items())
    sweep = sweep_of(made[0] / "s.yaml", grid(f"fields: {{{fields}, device: cpu}}"))
    store = RunStore(made[0] / "runs")
    monkeypatch.chdir(made[0])
    assert missing(sweep, store) == []
    monkeypatch.chdir(made[1])
    assert missing(sweep, store) == [CONFIG]
    assert status(sweep, store)[["done", "missing"]].to_numpy().tolist() == [[0, 1]]
    (failed,) = work(sweep, store, [CONFIG.hash], progress=False)
    assert "was made with other weights" in failed
    (finding,) = audit(store, 1, progress=False)
    assert "made with other weights" in finding.differences[0]


def test_a_model_that_is_gone_keeps_nothing_from_being_read(made):
    shutil.rmtree(made[1] / "model")
    store = RunStore("runs")  # in the second
    assert store.done(CONFIG).status == store.get_or_run(CONFIG).status == "finished"
    assert store.outcome(CONFIG, weights=True)["status"] == "finished"
    assert len(store.table()) == len(store.records()) == 1
    elsewhere = TuneConfig(model="~nobody-here/model")
    store.save(dataclasses.replace(store.get(CONFIG), config=elsewhere))
    assert store.done(elsewhere).status == "finished"
    (made[1] / "model").mkdir()  # nor does a folder that is no model
    assert store.done(CONFIG).status == "finished"


def test_a_state_is_not_gone_on_from_with_other_weights(projects, monkeypatch, capsys):
    class Stops(Checkpoint):
        def offer(self, run, step):
            self.save(run, step)
            raise KeyboardInterrupt

    monkeypatch.chdir(projects[0])
    path = projects[0] / ".run.checkpoint"
    undisturbed = tune(CONFIG, progress=False)
    assert tune(CONFIG, progress=False, checkpoint=Stops(path, CONFIG)).status == "interrupted"
    state = path.read_bytes()
    assert tune(CONFIG, progress=False, checkpoint=Checkpoint(path, CONFIG)).environment["resumed"] == 1
    change(projects[0])
    path.write_bytes(state)
    again = tune(CONFIG, progress=False, checkpoint=Checkpoint(path, CONFIG))
    assert again.environment["resumed"] == 0
    assert not torch.equal(again.prompts[2], undisturbed.prompts[2])
    assert "the state was kept with other weights than model has now; the run begins anew" in capsys.readouterr().err
    assert not path.exists()


def test_a_folder_is_read_once_for_as_long_as_it_is_the_same(projects, monkeypatch):
    monkeypatch.chdir(projects[0])
    calls = []
    real = models._digest.__wrapped__
    monkeypatch.setattr(models, "_digest", lru_cache(lambda files: calls.append(files) or real(files)))
    first = {provenance.weights_now("model") for _ in range(3)}
    assert len(calls) == 1
    monkeypatch.chdir(projects[1])  # another folder of that name
    assert provenance.weights_now("model") not in first
    monkeypatch.chdir(projects[0])
    assert {provenance.weights_now("model")} == first
    assert len(calls) == 2
    change(projects[0])
    assert provenance.weights_now("model") not in first


@pytest.mark.parametrize(
    ("identity", "digest"),
    [
        ({"name": "a", "source": "pypi: b", "gguf_sha256": "0a" * 32}, "0a" * 32),
        ({"name": "0b" * 20, "source": "folder", "safetensors_sha256": "0c" * 32}, "0c" * 32),  # as the hub's cache
        ({"name": "o/n", "source": "hub: o/n", "revision": "0d" * 20}, "0d" * 20),
        ({"name": "o/n", "source": "hub: o/n", "revision": "not pinned"}, ""),
        ({"name": "o/n", "source": "hub: o/n", "revision": "main"}, ""),
    ],
)
def test_what_tells_weights_apart(identity, digest):
    assert provenance.weights({"model": identity}) == digest
    assert provenance.weights({}) == ""


def test_the_committed_records_are_of_the_named_weights():
    store = RunStore()
    for path in store.folders()[::40]:
        record = store.load(path)
        done = store.done(record.config)
        assert done is not None, f"{path.name} is of other weights than {record.config.model} has now"
        assert (done.config, done.results) == (record.config, record.results)
