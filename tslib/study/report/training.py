"""Tables and sentences of the chapter on one's own training, from a trainer's log and from records."""

from collections.abc import Sequence
from typing import Any

import pandas as pd
import torch
from jaxtyping import Float
from torch import Tensor

from tslib import stats
from tslib.models import loading as models
from tslib.prompts import methods as prompt_methods
from tslib.records.record import RunRecord
from tslib.study import claims
from tslib.study.evidence import Evidence
from tslib.study.names import method_name, prompt_method_name

__all__ = ["history", "methods", "read_difference", "read_loss", "read_regularizers", "regularizers", "warning"]


def history(trainer: Any) -> pd.DataFrame:
    """Return what a trainer has logged at its steps, one row each; what was not computed at a step is NaN.

    Parameters
    ----------
    trainer
        A ``Trainer`` of transformers after its training.
    """
    return pd.DataFrame([line for line in trainer.state.log_history if "loss" in line])


def read_loss(table: pd.DataFrame, column: str) -> str:
    """Say where the loss of a log began and ended.

    Parameters
    ----------
    table
        One row a step, with ``step``.
    column
        The loss.
    """
    first, last = table.iloc[0], table.iloc[-1]
    return (
        f"The loss goes from {first[column]:.3f} at step {first['step']:.0f} to {last[column]:.3f} at step "
        f"{last['step']:.0f}."
    )


def read_difference(ours: Float[Tensor, "b l v"], theirs: Float[Tensor, "b l v"]) -> str:
    """Say how far PEFT's logits are from ours."""
    apart = float((ours - theirs).abs().max())
    if not apart:
        return "All logits are the same, to the last bit."
    return f"The largest difference of a logit is {apart:.1e}; the largest logit is {float(theirs.abs().max()):.1f}."


def methods(records: Sequence[RunRecord]) -> pd.DataFrame:
    """Return one line a run: its method, what it trains, its clouds, and its first and last cross-entropy."""
    rows = []
    for record in records:
        loaded = models.shared_model(record.config.model, record.config.device, record.config.dtype)
        trained = prompt_methods.start(record.config, *loaded)
        trained.close()
        prompt = next(iter(record.prompts.values()), torch.zeros(0))
        shape = " × ".join(map(str, prompt.shape)) if len(prompt) else "none"
        rows.append(
            {
                "method": prompt_method_name(record.config.method),
                "trained numbers": sum(parameter.numel() for parameter in trained.parameters.values()),
                "cloud": shape,
                "cross-entropy, first": record.steps["cross_entropy"].iloc[0],
                "last": record.results["final_cross_entropy"],
            }
        )
    return pd.DataFrame(rows)


def regularizers(records: Sequence[RunRecord]) -> pd.DataFrame:
    """Return one line a run: its regulariser, and the gradient of its first step held against the cross-entropy's."""
    rows = []
    for record in records:
        first = record.steps.iloc[0]
        rows.append(
            {
                "regularizer": record.config.regularizer,
                "": method_name(record.config.regularizer),
                "value": first["regularizer"],
                "gradient ratio": first["grad_norm_reg"] / first["grad_norm_ce"],
                "cosine": first["grad_cosine"],
            }
        )
    return pd.DataFrame(rows)


def read_regularizers(table: pd.DataFrame) -> str:
    """Say how many regularisers are shorter than a tenth of the cross-entropy's gradient."""
    ratio = table.loc[table["regularizer"] != "none", "gradient ratio"]
    return (
        "The last columns hold a regulariser's gradient at the first step against the cross-entropy's: how long it is, "
        f"and the cosine of the two. {int((ratio < 0.1).sum())} of {len(ratio)} are shorter than a tenth of it at this "
        "weight: they hardly turn the first step. A cosine near 0 means that the regulariser neither helps nor hinders "
        "the descent of the cross-entropy to first order."
    )


P_TUNING = "P-tuning"
"""The grid of P-tuning, with TSLoss and without."""


def warning(evidence: Evidence) -> str:
    """Say what to know before TSLoss is used: whether it makes tuning faster, and what it did to P-tuning."""
    speed, _, _ = claims.geometric(evidence)
    said = "TSLoss made tuning faster in our runs" if speed.high < 1 else "Before you use it: we found no speed-up"
    table = evidence.runs(P_TUNING)
    if table.empty:
        return f"{said}."
    ratios = [stats.iteration_ratio(runs, "tsloss").value for _, runs in table.groupby("lr")]
    if min(ratios) <= 1:
        return f"{said}; with P-tuning the ratio of iterations was {min(ratios):.1f} to {max(ratios):.1f}."
    return f"{said}, and at λ = 1 it slowed P-tuning {min(ratios):.1f}- to {max(ratios):.1f}-fold."
