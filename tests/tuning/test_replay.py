"""The control that is matched to TSLoss in length: what it replays, where it finds it, and that it is random."""

import dataclasses
import subprocess
import sys

import numpy as np
import pytest
import torch
import yaml
from made_sweeps import grid, sweep_of
from pydantic import ValidationError
from torch.nn.functional import cosine_similarity

from tslib.__main__ import main
from tslib.config import TuneConfig
from tslib.errors import InputError
from tslib.losses.controls import MatchedDirection, RandomDirection
from tslib.losses.registry import REGULARIZERS
from tslib.losses.tsloss import TSLoss
from tslib.records.checkpoints import Checkpoint
from tslib.records.durable import locked
from tslib.runs.audit import audit
from tslib.runs.store import RunStore
from tslib.runs.sweeps import Sweep, groups, work
from tslib.tuning.loop import tune

pytestmark = pytest.mark.usefixtures("own_cache")

NAME = "random-direction-matched"


@pytest.fixture
def matched(tiny_model, toy_task):
    """The config of a short run."""
    toy_task(("Name a fruit", "apple"))

    def config(**fields) -> TuneConfig:
        settings = {"n_tokens": 6, "max_steps": 6, "topology_every": 100, "answer_every": 0, "weight": 0.1}
        settings |= {"model": tiny_model, "task": "toy", "device": "cpu", "stop_when_correct": False}
        return TuneConfig(**settings | {"regularizer": NAME} | fields)

    return config


@pytest.fixture
def store(tmp_path):
    return RunStore(tmp_path / "runs")


def lengths(record) -> np.ndarray:
    return record.steps["grad_norm_reg"].to_numpy(float)


def shortened(record, steps: int, factor: float = 1.0):
    """The record of a run that ended sooner, its lengths times a factor."""
    kept = record.steps.head(steps)
    return dataclasses.replace(record, steps=kept.assign(grad_norm_reg=kept["grad_norm_reg"] * factor))


def gradient(penalty, points):
    leaf = points.clone().requires_grad_()
    return torch.autograd.grad(penalty(leaf), leaf)[0]


def cosine(one, other) -> float:
    return float(cosine_similarity(one.flatten(), other.flatten(), 0))


# the regulariser by itself


def test_a_direction_is_random_reproducible_and_as_long_as_it_is_told():
    """In 1,280 dimensions two directions that have nothing to do with each other have a cosine of 0 ± 0.03."""
    points = torch.randn(20, 64, generator=torch.Generator().manual_seed(0))
    control = MatchedDirection(0.5, tau=2.0)
    with pytest.raises(InputError, match="needs one: call replay"):
        control(points)
    found = {}
    for step, seed in ((0, 0), (1, 0), (0, 1)):
        control.follow(step, seed, points)
        control.replay(0.25)
        found[step, seed] = gradient(control, points)
        assert float(found[step, seed].norm()) == pytest.approx(0.25, rel=1e-6), "the weight is in it already"
        assert torch.equal(gradient(control, points), found[step, seed])
        assert abs(cosine(found[step, seed], gradient(TSLoss(0.5, tau=2.0), points))) < 0.15
    assert abs(cosine(found[0, 0], found[1, 0])) < 0.15
    assert abs(cosine(found[0, 0], found[0, 1])) < 0.15
    assert float(control(points)) == 0
    assert control.terms(points)["h0"] == TSLoss(0.5, tau=2.0).terms(points)["h0"]
    other = RandomDirection(0.5)
    other.follow(0, 1, points)
    assert cosine(gradient(other, points), found[0, 1]) == pytest.approx(1)


# in a run


def test_each_step_is_as_long_as_tsloss_was(matched, capsys):
    config = matched()
    tsloss, control = tune(config.replayed, progress=False), tune(config, progress=False)
    assert config.replayed == matched(regularizer="tsloss")
    assert tsloss.config.replayed is None
    assert f"the run with tsloss whose lengths it replays ({tsloss.config.hash}) has no" in capsys.readouterr().err
    np.testing.assert_allclose(lengths(control), lengths(tsloss), rtol=1e-6)
    assert len(set(lengths(tsloss))) == 5, "another at each step but for the first, whose rate is 0"
    assert control.environment["replayed"]["run"] == tsloss.config.hash
    assert "replayed" not in tsloss.environment
    assert control.steps["regularizer"].eq(0).all()
    assert control.steps["h0"].gt(0).all(), "TSLoss's terms are watched"
    assert not torch.equal(control.prompts[6], tsloss.prompts[6])


def test_it_stays_as_long_as_tsloss_which_the_older_control_does_not(matched):
    config = matched(max_steps=30)
    tsloss = tune(config.replayed, progress=False)
    older = tune(dataclasses.replace(config, regularizer="random-direction"), progress=False)
    new, own, old = (
        (record.steps["grad_norm_reg"] / record.steps["grad_norm_ce"]).median()
        for record in (tune(config, progress=False, replays=tsloss), tsloss, older)
    )
    assert new == pytest.approx(own, rel=0.1)
    assert old > 1.5 * own


def test_after_the_other_run_ended_its_last_length_is_kept(matched):
    config = matched()
    tsloss = tune(config.replayed, progress=False)
    control = tune(config, progress=False, replays=shortened(tsloss, 2))
    first, second = lengths(tsloss)[:2]
    np.testing.assert_allclose(lengths(control), [first, *[second] * 5], rtol=1e-6)


def test_several_clouds_are_matched_as_one(matched):
    config = matched(method="prefix-tuning", lr=0.001, max_steps=3)
    control, tsloss = tune(config, progress=False), tune(config.replayed, progress=False)
    np.testing.assert_allclose(lengths(control), lengths(tsloss), rtol=1e-6)


def test_a_resumed_run_goes_on_with_the_lengths_that_it_began_with(matched, tmp_path):
    config = matched()
    tsloss = tune(config.replayed, progress=False)
    whole = tune(config, progress=False, replays=tsloss)

    class Stops(Checkpoint):
        def offer(self, run, step):
            if step == 3:
                self.save(run, step)
                raise KeyboardInterrupt

    path = tmp_path / "state"
    assert tune(config, progress=False, replays=tsloss, checkpoint=Stops(path, config)).status == "interrupted"
    other = shortened(tsloss, 6, 2.0)
    again = tune(config, progress=False, replays=other, checkpoint=Checkpoint(path, config))
    assert again.environment["resumed"] == 1
    assert again.environment["replayed"] == whole.environment["replayed"]
    assert torch.equal(again.prompts[6], whole.prompts[6])
    assert lengths(again).tolist() == lengths(whole).tolist()


# where the other run comes from


def test_the_other_run_is_made_first_where_the_store_has_none_and_else_replayed(matched, store, capsys):
    config = matched()
    control = store.get_or_run(config, progress=False)
    assert "has no record yet and is made first" in capsys.readouterr().err
    tsloss = store.get(config.replayed)
    assert tsloss.status == "finished"
    assert control.environment["replayed"]["run"] == tsloss.config.hash
    np.testing.assert_allclose(lengths(store.get(config)), lengths(tsloss), rtol=1e-6)
    store.save(shortened(tsloss, 6, 2.0))  # as another machine might have recorded it
    twice = store.run(config, anew=True, progress=False)
    assert capsys.readouterr().err == ""
    np.testing.assert_allclose(lengths(twice), 2 * lengths(tsloss), rtol=1e-6)
    assert twice.environment["replayed"]["lengths"] != control.environment["replayed"]["lengths"]


@pytest.mark.parametrize("order", [[NAME, "tsloss"], ["tsloss", NAME]], ids=" ".join)
def test_a_job_makes_both_in_any_order(matched, store, tmp_path, order):
    fields = matched(max_steps=2).as_dict() | {"regularizer": order}
    path = tmp_path / "both.yaml"
    path.write_text(yaml.safe_dump({"title": "both", "grids": [{"name": "one pair", "fields": fields}]}))
    sweep = Sweep.load(path)
    (job,) = groups(sweep.jobs, 1)
    assert len(job) == 2, "one job has both"
    assert work(sweep, store, [config.hash for config in job], progress=False) == []
    one, other = map(store.get, sweep.configs)
    np.testing.assert_allclose(lengths(one), lengths(other), rtol=1e-6)


def test_while_another_process_makes_the_other_run_it_waits(matched, store):
    config = matched(task="multiple-choice")  # the other process has no toys
    other, command = config.replayed, [sys.executable, "-m", "tslib", "tune", "--store", str(store.root)]
    for name, value in config.as_dict().items():
        if value != getattr(TuneConfig(), name):
            option = name.replace("_", "-")
            command += [f"--no-{option}"] if value is False else [f"--{option}", str(value)]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as control:
        with locked(store._lock(other)):
            assert f"({other.hash}) has no record yet" in control.stderr.readline()
            tsloss = store.get_or_run(other, progress=False)
            assert control.poll() is None
        _, said = control.communicate(timeout=300)
    assert control.returncode == 0, said
    assert store.get(other).environment == tsloss.environment, "it was not made again"
    np.testing.assert_allclose(lengths(store.get(config)), lengths(tsloss), rtol=1e-6)
    names = sorted(path.name for path in store.root.iterdir())
    assert names == sorted(store.path(one).name for one in (config, other))


def test_interrupted_while_the_other_run_is_made(matched, store, monkeypatch):
    """By itself nothing is left; in a store the other run's state is, and it goes on."""

    class StopsOnce(TSLoss):
        calls = 0

        def forward(self, prompt):
            StopsOnce.calls += 1
            if StopsOnce.calls == 3:
                raise KeyboardInterrupt
            return super().forward(prompt)

    config = matched()
    monkeypatch.setitem(REGULARIZERS, "tsloss", StopsOnce)
    with pytest.raises(KeyboardInterrupt):
        tune(config, progress=False)
    StopsOnce.calls = 0
    with pytest.raises(KeyboardInterrupt):
        store.get_or_run(config, progress=False)
    assert store.get(config.replayed).status == "interrupted"
    assert store.get(config) is None
    np.testing.assert_allclose(
        lengths(store.get_or_run(config, progress=False)), lengths(store.get(config.replayed)), rtol=1e-6
    )


def test_an_audit_replays_what_the_store_has(matched, store):
    config = matched()
    control = store.get_or_run(config, progress=False)
    assert [(one.expected, one.differences) for one in audit(store, 2, progress=False)] == [("bits", ())] * 2
    tsloss = store.get(config.replayed)
    store.save(shortened(tsloss, 6, 2.0))
    found = {one.record: one.expected for one in audit(store, 2, progress=False)}
    assert found[store.path(config).name] == "tolerance", "of other lengths no bits are promised"
    alone = RunStore(store.root.parent / "alone")
    alone.save(control)
    assert [(one.expected, one.differences) for one in audit(alone, 1, progress=False)] == [("bits", ())]
    assert [path.name for path in alone.root.iterdir()] == [alone.path(config).name], "nothing is written"


# what cannot be matched


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"weight": 0}, "weight=0: tsloss has no gradient then, and regularizer=random-direction-matched no length"),
        ({"n_tokens": 1}, "n_tokens=1: tsloss has no gradient then"),
        ({"beta_h0": 0, "beta_h1": 0}, "beta_h0=0, beta_h1=0: tsloss has no gradient then"),
        ({"method": "lora"}, f"method=lora has no virtual tokens to regularise: regularizer is none; given {NAME}"),
    ],
)
def test_without_a_length_there_is_one_line(tmp_path, capsys, fields, said):
    with pytest.raises(ValidationError) as caught:
        TuneConfig(regularizer=NAME, **fields)
    assert said in str(caught.value)
    given = ", ".join(f"{name}: {value}" for name, value in fields.items())
    with pytest.raises(InputError) as refused:
        sweep_of(tmp_path / "s.yaml", grid(f"fields: {{regularizer: {NAME}, {given}}}"))
    assert f"grid 'g': {said}" in str(refused.value)
    options = [word for name, value in fields.items() for word in (f"--{name.replace('_', '-')}", str(value))]
    assert main(["tune", "--regularizer", NAME, *options, "--store", str(tmp_path / "runs")]) == 2
    err = capsys.readouterr().err
    assert said in err
    assert err.count("\n") == 1


def test_a_run_without_a_gradient_or_of_another_config_is_not_replayed(matched, tmp_path):
    config = matched()
    tsloss = tune(config.replayed, progress=False)
    with pytest.raises(InputError, match=f"{tsloss.config.hash} recorded no gradient of tsloss: there is no length"):
        tune(config, progress=False, replays=shortened(tsloss, 6, 0.0))
    with pytest.raises(InputError, match="took no step: there is no length to match"):
        tune(config, progress=False, replays=shortened(tsloss, 0))
    with pytest.raises(InputError, match=f"replays {config.replayed.hash}, when it is over; given .*, interrupted"):
        tune(config, progress=False, replays=dataclasses.replace(tsloss, status="interrupted"))
    with pytest.raises(InputError, match=f"given the record of {tsloss.config.hash}, finished"):
        tune(matched(seed=1), progress=False, replays=tsloss)
    with pytest.raises(InputError, match="replays nothing; given the record of"):
        tune(config.replayed, progress=False, replays=tsloss)
