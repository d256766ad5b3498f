"""The optimiser and its schedule, by the name that a config gives them."""

from collections.abc import Iterable
from typing import Any

import torch
from torch import nn

from tslib.config import TuneConfig

__all__ = ["optimizer"]


def optimizer(config: TuneConfig, parameters: Iterable[nn.Parameter]) -> tuple[torch.optim.Optimizer, Any]:
    """Return the optimiser of a run, and the schedule of its rate, which is stepped after it.

    Parameters
    ----------
    config
        The run.
    parameters
        What is trained.
    """
    from transformers import get_constant_schedule, get_linear_schedule_with_warmup

    if config.optimizer == "adam":
        adam = torch.optim.Adam(parameters, lr=config.learning_rate, eps=1e-6)
        return adam, get_constant_schedule(adam)
    adamw = torch.optim.AdamW(parameters, lr=config.learning_rate, betas=(0.9, 0.98), eps=1e-8, weight_decay=0.01)
    return adamw, get_linear_schedule_with_warmup(adamw, round(0.1 * config.max_steps), config.max_steps)
