"""The optimiser and its schedule, by the name that a config gives them."""

from collections.abc import Iterable
from typing import Any, NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor, nn

from tslib.config import TuneConfig
from tslib.prompts.soft_prompt import SoftPrompt

__all__ = ["Optimization", "add_gradient", "optimization", "optimizer"]


class Optimization(NamedTuple):
    """What an optimiser is told.

    Attributes
    ----------
    beta2, eps, weight_decay
        Of AdamW.
    schedule
        Of the rate, after the warm-up, by the name that transformers gives it.
    warmup
        Steps in which the rate rises from 0.
    """

    beta2: float
    eps: float
    weight_decay: float
    schedule: str
    warmup: int


USUAL = {
    "adamw": Optimization(0.98, 1e-8, 0.01, "linear", 10),  # as printed in the paper
    "adam": Optimization(0.999, 1e-6, 0.0, "constant", 0),
}
"""What each has where a config leaves it open; the warm-up in percent of the steps."""


def optimization(config: TuneConfig) -> Optimization:
    """Return what a config says, and what its optimiser usually has where it leaves something open."""
    usual = USUAL[config.optimizer]
    warmup = round(usual.warmup / 100 * config.max_steps) if config.warmup_steps is None else config.warmup_steps
    schedule = config.schedule or usual.schedule
    return Optimization(
        usual.beta2 if config.beta2 is None else config.beta2,
        usual.eps,
        usual.weight_decay if config.weight_decay is None else config.weight_decay,
        "constant_with_warmup" if schedule == "constant" else schedule,
        warmup,
    )


def optimizer(
    config: TuneConfig, parameters: Iterable[nn.Parameter], unit: float = 1.0
) -> tuple[torch.optim.Optimizer, Any]:
    """Return the optimiser of a run, and the schedule of its rate, which is stepped after it.

    Parameters
    ----------
    config
        The run.
    parameters
        What is trained.
    unit
        What the rate is multiplied by (``lr_unit``).
    """
    from transformers import get_scheduler

    told = optimization(config)
    found = torch.optim.AdamW(
        parameters,
        lr=config.learning_rate * unit,
        betas=(config.beta1, told.beta2),
        eps=told.eps,
        weight_decay=told.weight_decay,
    )
    schedule = get_scheduler(told.schedule, found, told.warmup, config.max_steps)
    return found, schedule


def add_gradient(prompt: SoftPrompt, penalty: Float[Tensor, ""]) -> Float[Tensor, "*layers n d"]:
    """Add a penalty's gradient to that of the cross-entropy, and return it for the prompt's values.

    Parameters
    ----------
    prompt
        The prompt, whose values have a gradient; others of its parameters take theirs, where the penalty has one.
    penalty
        A function of them.
    """
    parts = list(prompt.parameters())
    found = torch.autograd.grad(penalty, parts, allow_unused=True)
    for part, own in zip(parts, found, strict=True):
        if own is not None:
            part.grad = own if part.grad is None else part.grad + own
    assert parts[0] is prompt.weight
    return found[0]
