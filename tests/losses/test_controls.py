"""Controls of TSLoss, by themselves and in real runs."""

import dataclasses

import pytest
import torch

from tslib import losses
from tslib.config import TuneConfig
from tslib.errors import InputError
from tslib.losses.controls import AdaptiveTSLoss, BalancedTSLoss, RandomDirection
from tslib.losses.registry import REGULARIZERS, make_regularizer
from tslib.losses.tsloss import TSLoss
from tslib.runs.sweeps import Sweep
from tslib.tuning.loop import tune

POINTS = torch.randn(6, 5, generator=torch.Generator().manual_seed(0))


def gradient(penalty, points=POINTS):
    leaf = points.clone().requires_grad_()
    return torch.autograd.grad(penalty(leaf), leaf)[0]


def test_random_direction_is_as_long_as_tsloss_and_points_elsewhere():
    control, tsloss = RandomDirection(0.5, tau=2.0), TSLoss(0.5, tau=2.0)
    control.follow(3, 1, POINTS)
    random, own = gradient(control), gradient(tsloss)
    assert float(random.norm()) == pytest.approx(float(own.norm()), rel=1e-5)
    assert abs(float(torch.cosine_similarity(random.flatten(), own.flatten(), 0))) < 0.9
    assert float(control(POINTS)) == 0
    assert torch.equal(gradient(control), random)  # of the same step
    control.follow(4, 1, POINTS)
    assert not torch.allclose(gradient(control), random)
    control.follow(3, 2, POINTS)
    assert not torch.allclose(gradient(control), random)


def test_adaptive_weight_balances_gradients():
    adaptive = AdaptiveTSLoss(0.25)
    with pytest.raises(InputError, match="call follow"):
        adaptive(POINTS)
    other = 7 * torch.ones(6, 5)
    adaptive.follow(0, 0, other)
    assert float(gradient(adaptive).norm()) == pytest.approx(0.25 * float(other.norm()), rel=1e-5)
    assert float(adaptive.terms(POINTS)["lambda"]) == pytest.approx(
        0.25 * float(other.norm() / gradient(TSLoss()).norm()), rel=1e-5
    )
    adaptive.follow(0, 0, torch.zeros(6, 5))
    assert gradient(adaptive).norm() == 0
    adaptive.follow(0, 0, other)
    assert gradient(adaptive, torch.zeros(4, 3)).norm() == 0  # TSLoss has none there


def test_balanced_terms_have_gradients_of_equal_length():
    balanced = BalancedTSLoss(beta_h1=1e-3)
    h0, h1 = gradient(TSLoss(beta_h1=0.0)), gradient(TSLoss(beta_h0=0.0, beta_h1=1e-3))
    middle = (h0.norm() + h1.norm()) / 2
    torch.testing.assert_close(gradient(balanced), middle * (h0 / h0.norm() + h1 / h1.norm()), rtol=1e-4, atol=1e-6)
    assert gradient(balanced, torch.zeros(4, 3)).isfinite().all()


def test_terms_of_one_dimension():
    whole = TSLoss(2.0)
    parts = [make_regularizer(name, 2.0, beta_h0=1.0, beta_h1=1.0) for name in ("tsloss-h0", "tsloss-h1")]
    assert float(parts[0](POINTS)) == pytest.approx(2 * float(whole.terms(POINTS)["h0"]))
    assert float(parts[0](POINTS) + parts[1](POINTS)) == pytest.approx(float(whole(POINTS)))


def short(model: str, **fields) -> TuneConfig:
    settings = {"n_tokens": 6, "max_steps": 8, "topology_every": 4, "answer_every": 0, "device": "cpu", "weight": 0.01}
    return TuneConfig(model=model, task="multiple-choice", **settings | fields)  # whose targets are short


@pytest.mark.parametrize("samples", [1, 3])
@pytest.mark.parametrize("name", sorted(REGULARIZERS))
def test_each_trains(name, samples, tiny_model):
    config = short(tiny_model, regularizer=name, samples=samples)
    record = tune(config, progress=False)
    assert record.status == "finished"
    losses_seen = record.steps["cross_entropy"]
    assert losses_seen.iloc[-1] < losses_seen.iloc[0]
    assert record.steps["grad_norm_reg"].gt(0).any() == (name != "none")  # loops come and go
    assert set(record.topology["step"]) == {0, 4, 8}


@pytest.mark.parametrize("name", ["random-direction", "random-direction-matched", "tsloss-adaptive", "tsloss-balanced"])
def test_a_resumed_run_has_the_same_bits(name, tiny_model, resumed):
    config = short(tiny_model, regularizer=name)
    whole, again = tune(config, progress=False), resumed(config, 5)
    assert torch.equal(again.prompts[8], whole.prompts[8])
    assert again.steps["cross_entropy"].tolist() == whole.steps["cross_entropy"].tolist()


def test_a_new_one_takes_one_line(tiny_model, tmp_path, monkeypatch):
    class Spread(torch.nn.Module):
        def __init__(self, weight):
            super().__init__()
            self.weight = weight

        def forward(self, prompt):
            return self.weight * prompt.var()

        def terms(self, prompt):
            return {"variance": prompt.var()}

    monkeypatch.setitem(losses.REGULARIZERS, "spread", lambda weight, **_: Spread(weight))
    path = tmp_path / "sweep.yaml"
    fields = dataclasses.asdict(short(tiny_model, max_steps=2))
    given = {name: fields[name] for name in ("model", "n_tokens", "max_steps", "answer_every", "device")}
    lines = "".join(f"      {name}: {value}\n" for name, value in given.items())
    path.write_text(f"title: Spread\ngrids:\n  - name: one\n    fields:\n      regularizer: [none, spread]\n{lines}")
    configs = Sweep.load(path).configs
    assert [config.regularizer for config in configs] == ["none", "spread"]
    record = tune(configs[1], progress=False)
    assert record.steps["variance"].iloc[0] == pytest.approx(float(record.prompts[0].var()), rel=1e-5)
