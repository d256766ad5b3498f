"""The optimisers, a prompt that is kept in float16, and the settings of a public repository."""

import dataclasses

import numpy as np
import pytest
import torch

from tslib.config import TuneConfig
from tslib.models import loading as models
from tslib.presets import FAST, PRESETS, PUBLIC_CODE
from tslib.prompts.initial import encoding_of
from tslib.prompts.soft_prompt import SoftPrompt
from tslib.tuning.loop import tune
from tslib.tuning.optimizer import optimizer

QUESTION = ("What is two and two?", "It is four.")


def test_adam_by_hand():
    """A constant gradient of any length moves a coordinate by the rate at each step, and nothing decays."""
    weight = torch.nn.Parameter(torch.tensor([5.0, 0.0]))
    adam, schedule = optimizer(TuneConfig(optimizer="adam", lr=0.5, max_steps=10), [weight])
    for step in range(1, 4):
        weight.grad = torch.tensor([0.0, 3.0])
        adam.step()
        schedule.step()
        assert weight.tolist() == pytest.approx([5.0, -0.5 * step], rel=1e-5)
    assert schedule.get_last_lr() == [0.5]


def test_adamw_by_hand():
    """The rate rises for a tenth of the steps and falls to 0; without a gradient a weight decays by it times 0.01."""
    weight = torch.nn.Parameter(torch.tensor([1.0]))
    adamw, schedule = optimizer(TuneConfig(lr=0.5, max_steps=20), [weight])
    rates = []
    for _ in range(20):
        rates += schedule.get_last_lr()
        weight.grad = torch.zeros(1)
        adamw.step()
        schedule.step()
    assert rates == pytest.approx([0, 0.25, *(0.5 * (20 - step) / 18 for step in range(2, 20))])
    assert weight.item() == pytest.approx(np.prod(1 - 0.01 * np.array(rates)))


@pytest.mark.parametrize(
    ("fields", "rates"),
    [
        ({"warmup_steps": 2}, [0, 0.5, *((20 - step) / 18 for step in range(2, 20))]),
        ({"warmup_steps": 0}, [(20 - step) / 20 for step in range(20)]),
        ({"warmup_steps": 5, "schedule": "constant"}, [0, 0.2, 0.4, 0.6, 0.8, *[1.0] * 15]),
        ({"warmup_steps": 0, "schedule": "cosine"}, [(1 + np.cos(np.pi * step / 20)) / 2 for step in range(20)]),
        ({"optimizer": "adam", "schedule": "linear"}, [(20 - step) / 20 for step in range(20)]),
        ({"optimizer": "adam", "warmup_steps": 4}, [0, 0.25, 0.5, 0.75, *[1.0] * 16]),
    ],
    ids=str,
)
def test_schedules_by_hand(fields, rates):
    weight = torch.nn.Parameter(torch.ones(1))
    found, schedule = optimizer(TuneConfig(lr=0.5, max_steps=20, **fields), [weight], unit=2.0)
    seen = []
    for _ in range(20):
        seen += schedule.get_last_lr()
        weight.grad = torch.zeros(1)
        found.step()
        schedule.step()
    assert seen == pytest.approx(rates)


def test_moments_and_decay_by_hand():
    """Two steps of Adam with gradients 1 and 3: the corrected means of both, and of their squares."""
    weight = torch.nn.Parameter(torch.tensor([2.0]))
    config = TuneConfig(lr=0.1, beta1=0.5, beta2=0.75, weight_decay=0.2, warmup_steps=0, schedule="constant")
    found, _ = optimizer(config, [weight])
    first, second = 0.0, 0.0
    expected = 2.0
    for step, gradient in enumerate([1.0, 3.0], start=1):
        weight.grad = torch.tensor([gradient])
        found.step()
        first, second = 0.5 * first + 0.5 * gradient, 0.75 * second + 0.25 * gradient**2
        corrected = first / (1 - 0.5**step), second / (1 - 0.75**step)
        expected = expected * (1 - 0.1 * 0.2) - 0.1 * corrected[0] / corrected[1] ** 0.5
        assert weight.item() == pytest.approx(expected, rel=1e-6)


def test_a_long_gradient_is_cut(run):
    """With β = 0 and a gradient that is short beside ε = 1e-6, Adam's step is the gradient times lr / ε."""
    fields = {"optimizer": "adam", "lr": 1e-3, "beta1": 0.0, "beta2": 0.0, "stop_when_correct": False}
    free, cut, long = (run(**fields, max_grad_norm=most) for most in (0.0, 1e-9, 1e6))
    assert free.steps["grad_norm_ce"].iloc[0] > 0.01
    first = cut.prompts[1] - cut.prompts[0]
    assert float(first.norm()) == pytest.approx(1e-3 * 1e-9 / 1e-6, rel=0.01)
    assert torch.equal(long.prompts[3], free.prompts[3])


@pytest.mark.parametrize("fields", [{"init": "superposition"}, {"method": "residual", "init": "vocabulary"}], ids=str)
def test_reparameterised_prompts_are_tuned_and_gone_on_with(toy_task, tiny_model, resumed, fields):
    toy_task(QUESTION)
    config = TuneConfig(
        model=tiny_model, task="toy", device="cpu", max_steps=6, n_tokens=4, answer_every=0, lr=1e-2, superposed=16,
        regularizer="tsloss", stop_when_correct=False, topology_every=2, preset="fast", **fields,
    )  # fmt: skip
    whole, parts = tune(config, progress=False), resumed(config, 3)
    assert torch.equal(whole.prompts[6], parts.prompts[6])
    assert whole.steps["cross_entropy"].iloc[-1] < whole.steps["cross_entropy"].iloc[0]


def test_the_unit_of_the_rate_is_recorded(run, tiny_model):
    record = run(optimizer="adam", lr=0.5, lr_unit="embedding", stop_when_correct=False)
    model, tokenizer = models.shared_model(tiny_model, "cpu", "float32")
    embedded = model.get_input_embeddings().weight[: len(tokenizer)]
    assert record.steps["lr"].tolist() == pytest.approx([0.5 * float(embedded.square().mean().sqrt())] * 4)


def test_encoding_by_hand():
    """Of position p, columns 2i and 2i + 1 are sin and cos of p / 10000^(2i / d)."""
    found = encoding_of(TuneConfig(position_encoding="sinusoidal"), torch.zeros(3, 4))
    expected = [[np.sin(p), np.cos(p), np.sin(p / 100), np.cos(p / 100)] for p in range(3)]
    np.testing.assert_allclose(found, expected, atol=1e-6)
    assert encoding_of(TuneConfig(), torch.zeros(3, 4)) is None


def test_the_encoding_enters_the_model_and_is_neither_trained_nor_saved():
    encoding = torch.full((2, 3), 0.5)
    prompt = SoftPrompt(torch.ones(2, 3), scale=2.0, encoding=encoding)
    assert torch.equal(prompt(), torch.full((2, 3), 2.5))
    prompt().sum().backward()
    assert torch.equal(prompt.weight.grad, torch.full((2, 3), 2.0))
    assert [name for name, _ in prompt.named_parameters()] == list(prompt.state_dict()) == ["weight"]


@pytest.fixture
def run(toy_task, tiny_model):
    """Makes a run of a few steps of a tiny model."""
    toy_task(QUESTION)
    fields = {"model": tiny_model, "task": "toy", "device": "cpu", "max_steps": 4, "topology_every": 1, "n_tokens": 4}
    return lambda **more: tune(TuneConfig(**fields | {"answer_every": 0} | more), progress=False)


@pytest.mark.parametrize(
    ("gradient", "value", "moves"),
    [
        (1.0, 0.0005, 5e-6),  # by the rate
        (1.0, 0.05, 0),  # where the spacing is 3e-5, that is rounded away
        (0.001, 0.0005, 0.005),  # a thousandth of the squared gradient is 0: the step is rate / ε times the gradient
        (0.001, 0.05, 0.005),
    ],
)
def test_a_step_in_float16(gradient, value, moves):
    weight = torch.nn.Parameter(torch.tensor([value]).half())
    before = weight.item()
    adam, _ = optimizer(TuneConfig(optimizer="adam", lr=5e-6), [weight])
    weight.grad = torch.tensor([gradient]).half()
    adam.step()
    assert before - weight.item() == pytest.approx(moves, rel=0.1)


def test_a_prompt_in_float16(run):
    """What is kept between steps are half-precision values, and so is what enters the model."""
    record = run(prompt_dtype="float16", optimizer="adam", lr=5e-6, stop_when_correct=False)
    first, last = record.prompts[0], record.prompts[4]
    assert not torch.equal(first, last)
    for prompt in (first, last):
        assert torch.equal(prompt, prompt.half().float())
    assert not torch.equal(run().prompts[0], first), "the start is rounded"
    torch.testing.assert_close(run().prompts[0], first, rtol=2**-11, atol=2**-25)


def test_the_rate_is_recorded(run):
    assert run(optimizer="adam", lr=5e-6, stop_when_correct=False).steps["lr"].tolist() == [5e-6] * 4


def test_points_see_no_encoding(run):
    """The point cloud at the start is the prompt's, with the encoding or without; the losses differ."""
    plain, encoded = (run(position_encoding=name, regularizer="tsloss") for name in ("none", "sinusoidal"))
    assert torch.equal(plain.prompts[0], encoded.prompts[0])
    assert plain.topology.iloc[0]["mean_distance"] == encoded.topology.iloc[0]["mean_distance"]
    assert plain.steps["regularizer"][0] == encoded.steps["regularizer"][0]
    assert plain.steps["cross_entropy"][0] != encoded.steps["cross_entropy"][0]


def test_the_preset_fast():
    config = TuneConfig(preset="fast")
    assert {name: getattr(config, name) for name in FAST} == FAST
    assert config == TuneConfig(lr=PRESETS["fast"], **FAST)
    assert TuneConfig(preset="fast", warmup_steps=9).warmup_steps == 9


def test_the_preset_of_the_public_code():
    config = TuneConfig(preset="public-code")
    assert {name: getattr(config, name) for name in PUBLIC_CODE} == PUBLIC_CODE
    assert config.lr == 5e-6
    assert config == TuneConfig(lr=5e-6, **PUBLIC_CODE)
    assert dataclasses.replace(config, seed=1).n_tokens == 40
    given = TuneConfig(preset="public-code", prompt_dtype="float16", n_tokens=7, lr=1.0)
    assert (given.n_tokens, given.lr, given.init, given.prompt_dtype) == (7, 1.0, "text", "float16")
    assert config.prompt_dtype == "float32"


@pytest.mark.parametrize("dtype", ["float32", "float16"])
def test_a_run_of_the_public_code(run, dtype):
    """All points but the first coincide at the start, and TSLoss of them is a number."""
    record = run(preset="public-code", regularizer="tsloss", n_tokens=6, max_steps=2, prompt_dtype=dtype)
    assert record.status == "finished"
    assert len(record.prompts[0]) == 6
    assert len(record.prompts[0].unique(dim=0)) == 2
    assert np.isfinite(record.steps["regularizer"]).all()


def test_an_interrupted_run_goes_on_in_float16(toy_task, tiny_model, resumed):
    toy_task(QUESTION)
    config = TuneConfig(
        model=tiny_model, task="toy", device="cpu", max_steps=4, n_tokens=4, prompt_dtype="float16", answer_every=0,
        optimizer="adam", lr=1e-3, stop_when_correct=False, topology_every=2,
    )  # fmt: skip
    whole, parts = tune(config, progress=False), resumed(config, 2)
    assert torch.equal(whole.prompts[4], parts.prompts[4])
    assert whole.steps["cross_entropy"].tolist() == parts.steps["cross_entropy"].tolist()
