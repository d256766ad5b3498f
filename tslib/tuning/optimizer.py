"""The optimiser and its schedule, by the name that a config gives them."""

from collections.abc import Iterable
from typing import Any, NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor, nn

from tslib.config import TuneConfig
from tslib.prompts.soft_prompt import SoftPrompt

__all__ = ["add_gradient", "optimizer"]


class _Usual(NamedTuple):
    """What an optimiser has where a config leaves it open."""

    eps: float
    beta2: float
    weight_decay: float
    schedule: str
    warmup: float  # share of the steps


USUAL = {
    "adamw": _Usual(1e-8, 0.98, 0.01, "linear", 0.1),  # as printed in the paper
    "adam": _Usual(1e-6, 0.999, 0.0, "constant", 0.0),
}


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

    usual = USUAL[config.optimizer]
    found = torch.optim.AdamW(
        parameters,
        lr=config.learning_rate * unit,
        betas=(config.beta1, usual.beta2 if config.beta2 is None else config.beta2),
        eps=usual.eps,
        weight_decay=usual.weight_decay if config.weight_decay is None else config.weight_decay,
    )
    warmup = round(usual.warmup * config.max_steps) if config.warmup_steps is None else config.warmup_steps
    schedule = config.schedule or usual.schedule
    name = "constant_with_warmup" if schedule == "constant" else schedule
    return found, get_scheduler(name, found, num_warmup_steps=warmup, num_training_steps=config.max_steps)


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
