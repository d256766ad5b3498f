"""What a regulariser does to the cloud of a prompt, pair by pair, by the time that a run is correct.

A pair is a run with a regulariser and the run of cross-entropy alone that shares its problem, its initial prompt and
every other setting. The two clouds are compared at the last checkpoint that both runs have and that comes no later than
the step at which the first of them was correct: what happens after that decides no iterations, and clouds of different
steps would differ for want of training alone. Checkpoints are 20 steps apart; that of a run's own end is used where it
falls on a checkpoint of the other run. A pair of which one run is correct before the first of them has only its start
in common, which is the same cloud: of such a pair nothing is read, and it is counted.
"""

from collections.abc import Iterator
from typing import Any, Literal, NamedTuple

import numpy as np
import pandas as pd

from tslib import stats
from tslib.config import TuneConfig
from tslib.errors import InputError
from tslib.records.record import RunRecord
from tslib.runs.grids import ONLY_REGULARIZED
from tslib.study.evidence import Evidence

__all__ = [
    "FIELDS",
    "MORE_EVEN",
    "Cloud",
    "Effect",
    "alone",
    "cloud",
    "clouds",
    "compared",
    "effect",
    "followed",
    "gradients",
    "pairs",
    "spread",
    "treatment",
]

FIELDS = (
    *("model", "task", "samples", "method", "regularizer", "weight", "lr", "dtype", "n_tokens", "init", "prompt_scale"),
    *("prompt_dtype", "metric", "tau", "alpha", "beta_h1", "lambda_repel", "max_steps"),
)
"""Fields of ``TuneConfig`` that stand in the rows of `treatment`."""

MORE_EVEN = 0.9
"""Spread with a regulariser over that without, below which a prompt is called treated: a tenth more even. The bound was
chosen when the runs were known. Without one, a change of a ten-thousandth would count wherever all pairs agree on it.
"""


class Cloud(NamedTuple):
    """What is compared of a prompt at one checkpoint; of a method with a cloud in each layer, means over the layers.

    Attributes
    ----------
    spread
        Standard deviation over mean of the finite H0 deaths: 0 where all are equal. The H0 term of TSLoss is a variance
        of soft nearest distances, so this is what it drives to 0. NaN where there are fewer than two.
    loops
        Number of H1 features.
    entropy
        Persistence entropy, in nats.
    distance
        Mean distance of two tokens over their mean norm.
    """

    spread: float
    loops: float
    entropy: float
    distance: float


class Effect(NamedTuple):
    """A pair, compared.

    Attributes
    ----------
    step
        Of the checkpoint that is read; 0 where only the start is there to be read.
    ours, theirs
        The clouds at that checkpoint, with the regulariser and without.
    correct
        Step at which the first of the two runs is correct, or the last step.
    pull
        How long the regulariser's gradient is beside that of cross-entropy: median over the steps until the run with it
        is correct.
    censored
        Whether neither run is ever correct.
    """

    step: int
    ours: Cloud
    theirs: Cloud
    correct: int
    pull: float
    censored: bool

    @property
    def read(self) -> bool:
        """Whether there is a later checkpoint than the start to read, with a spread on both sides."""
        return self.step > 0 and self.ours.spread > 0 and self.theirs.spread > 0

    @property
    def change(self) -> Cloud:
        """With the regulariser less without; of the spread the log of the ratio."""
        apart = Cloud(*np.subtract(self.ours, self.theirs).tolist())
        return apart._replace(spread=float(np.log(self.ours.spread / self.theirs.spread)))


def gradients(record: RunRecord) -> pd.Series:
    """The ratio of the gradients at each step until the run is correct: what comes after decides no iterations."""
    steps = record.steps[record.steps["step"] <= _end(record)]
    return steps["grad_norm_reg"] / steps["grad_norm_ce"]


def _end(record: RunRecord) -> int:
    """Step at which a run was correct, or else its last."""
    return record.config.max_steps if record.iterations_to_correct is None else record.iterations_to_correct


def spread(bars: pd.DataFrame) -> float:
    """Standard deviation over mean of the finite H0 deaths; a mean over layers where there are some.

    Parameters
    ----------
    bars
        Rows of ``RunRecord.diagrams`` of one checkpoint.
    """
    dimension, death = bars["dimension"].to_numpy(), bars["death"].to_numpy(dtype=np.float64)
    layer = bars["layer"].to_numpy() if "layer" in bars else np.zeros(len(bars))
    dies = (dimension == 0) & np.isfinite(death)
    of_layer = [death[dies & (layer == one)] for one in np.unique(layer[dies])]
    if not of_layer or min(map(len, of_layer)) < 2:
        return float("nan")
    return float(np.mean([deaths.std() / deaths.mean() for deaths in of_layer]))


def cloud(record: RunRecord, step: int) -> Cloud:
    """Return what is compared of a prompt at one of its checkpoints."""
    row = record.topology[record.topology["step"] == step].iloc[0]
    bars = record.diagrams[record.diagrams["step"] == step]
    return Cloud(
        spread(bars),
        float(row["h1_count"]),
        float(row["persistence_entropy"]),
        float(row["mean_distance"] / row["mean_norm"]),
    )


def clouds(record: RunRecord) -> pd.DataFrame:
    """Return the `Cloud` at each checkpoint of a run: ``step``, then its fields as columns."""
    steps = record.topology["step"].astype(int)
    return pd.DataFrame([{"step": step} | cloud(record, step)._asdict() for step in steps])


def effect(ours: RunRecord, theirs: RunRecord, step: int | None = None) -> Effect:
    """Compare the run with a regulariser to that of cross-entropy alone.

    Parameters
    ----------
    ours, theirs
        The two runs of a pair.
    step
        Read the last checkpoint that both have at or before this step, whether or not they are correct by then; by
        default the step at which the first of them is correct, or the last step where neither is.

    Raises
    ------
    InputError
        If they have no checkpoint in common, not even the start.
    """
    correct = min(_end(ours), _end(theirs))
    until = correct if step is None else step
    common = set(ours.topology["step"]) & set(theirs.topology["step"])
    if not (early := [int(step) for step in common if step <= until]):
        raise InputError(f"the runs {ours.config.hash} and {theirs.config.hash} have no checkpoint in common")
    at = max(early)
    clouds_then = cloud(ours, at), cloud(theirs, at)
    if ours.config.metric != theirs.config.metric:  # checkpoints are measured as the loss is: not to be compared
        at = 0
    never = ours.iterations_to_correct is None and theirs.iterations_to_correct is None
    return Effect(at, *clouds_then, correct, float(gradients(ours).median()), never)


def alone(config: TuneConfig) -> TuneConfig:
    """Return the run of cross-entropy alone that a run with a regulariser is compared to."""
    default = TuneConfig()
    own = {name: getattr(default, name) for name in (*ONLY_REGULARIZED, "metric")}
    return TuneConfig(**config.as_dict() | own | {"regularizer": "none"})


def pairs(evidence: Evidence, *grids: str) -> Iterator[tuple[str, list[tuple[RunRecord, RunRecord]]]]:
    """Yield each setting with a regulariser of some grids: the grid's name, and its pairs of runs (with it, without).

    The runs without may belong to another grid of the sweep. Grids that are not whole are left out, and so are settings
    that a run without is missing of.
    """
    there = set(evidence.configs(*(grid.name for grid in evidence.sweep.grids)))
    for grid in grids:
        settings: dict[TuneConfig, list[TuneConfig]] = {}
        for config in evidence.configs(grid):
            if config.regularizer != "none":
                setting = TuneConfig(**config.as_dict() | {"sample_seed": 0, "seed": 0})
                settings.setdefault(setting, []).append(config)
        for configs in settings.values():
            if there.issuperset(map(alone, configs)):
                yield grid, [(evidence.record(config), evidence.record(alone(config))) for config in configs]


def treatment(evidence: Evidence, *grids: str, step: int | None = None) -> pd.DataFrame:
    """One row a setting with a regulariser: what it did to the cloud, how hard it pulled, and the iterations.

    Parameters
    ----------
    evidence
        The runs.
    *grids
        Names of grids.
    step
        As in `effect`; by default each pair is read where the first of its runs is correct.

    Returns
    -------
    DataFrame
        ``grid`` and `FIELDS`; ``pairs``, and ``correct``, the median over them of the step at which the first run is
        correct; ``read`` (pairs of which something is read; the means below are over these) and ``step`` (median over
        them of the checkpoint that is read); for each field of `Cloud` the mean with the
        regulariser (``spread_with``) and without (``spread_alone``), and the paired difference with its 95 % interval
        (``spread``, ``spread_low``, ``spread_high``; of the spread the log of the ratio); ``pull`` (median over all
        pairs); ``ratio``, ``ratio_low`` and ``ratio_high`` (`stats.iteration_ratio`); ``censored`` (pairs of which at
        least one run is never correct); ``observed``: False where no run of any pair is ever correct, so that nothing
        is seen of the iterations; and ``treated``: whether the interval of ``spread`` lies below that of
        `MORE_EVEN`, that is, the regulariser made H0 deaths clearly more even than cross-entropy alone did. What is not
        read is NaN, and not treated.
    """
    return pd.DataFrame([compared(grid, both, step=step) for grid, both in pairs(evidence, *grids)])


def compared(
    grid: str,
    both: list[tuple[RunRecord, RunRecord]],
    *,
    step: int | None = None,
    confidence: float = 0.95,
    criterion: Literal["correct", "answer"] = "correct",
) -> dict[str, Any]:
    """Return a row of `treatment`.

    Parameters
    ----------
    grid
        What the row is called.
    both
        Pairs of runs of one setting, each with the regulariser and without.
    step
        As in `effect`.
    confidence
        Of the interval of the ratio of iterations.
    criterion
        Of the iterations; the clouds are read by the time that a run is correct, whatever it is.
    """
    config = both[0][0].config
    effects = [effect(*pair, step=step) for pair in both]
    read = [found for found in effects if found.read]
    table = pd.DataFrame([record.summary() for pair in both for record in pair])
    ratio = stats.iteration_ratio(table, config.regularizer, confidence=confidence, criterion=criterion)
    row: dict[str, Any] = {"grid": grid} | {name: getattr(config, name) for name in FIELDS}
    row |= {
        "pairs": len(both),
        "correct": float(np.median([found.correct for found in effects])),
        "read": len(read),
    }
    row |= {"step": float(np.median([found.step for found in read])) if read else np.nan}
    for name in Cloud._fields:
        row |= _means(name, read)
    row |= {"pull": float(np.median([found.pull for found in effects]))}
    row |= {"ratio": ratio.value, "ratio_low": ratio.low, "ratio_high": ratio.high, "censored": ratio.censored}
    return row | {"observed": ratio.observed, "treated": bool(row["spread_high"] < np.log(MORE_EVEN))}


def followed(evidence: Evidence, *grids: str, regularizer: str = "tsloss") -> pd.DataFrame:
    """One row a checkpoint that both runs of a pair have: their clouds, and what differs.

    Returns
    -------
    DataFrame
        ``grid``, ``weight``, ``pair`` (the hash of the run with the regulariser), ``step``; ``correct``, the step at
        which the first of the two runs is correct, or the last step; and for each field of `Cloud` the value with the
        regulariser (``spread_with``), without (``spread_alone``), and the difference (``spread``; of the spread the log
        of the ratio).
    """
    tables = []
    for grid, both in pairs(evidence, *grids):
        for ours, theirs in both if both[0][0].config.regularizer == regularizer else ():
            sides = clouds(ours).merge(clouds(theirs), on="step", suffixes=("_with", "_alone"))
            for name in Cloud._fields:
                first, second = sides[f"{name}_with"], sides[f"{name}_alone"]
                sides[name] = np.log(first / second) if name == "spread" else first - second
            about = sides.assign(grid=grid, weight=ours.config.weight, pair=ours.config.hash)
            tables.append(about.assign(correct=min(_end(ours), _end(theirs))))
    return pd.concat(tables, ignore_index=True) if tables else pd.DataFrame(columns=["grid", "weight", "pair", "step"])


def _means(name: str, read: list[Effect]) -> dict[str, float]:
    """Means of a field of `Cloud` on both sides, and its paired difference."""
    if not read:
        return dict.fromkeys([f"{name}_with", f"{name}_alone", name, f"{name}_low", f"{name}_high"], np.nan)
    difference = stats.mean(np.array([getattr(found.change, name) for found in read]))
    return {
        f"{name}_with": float(np.mean([getattr(found.ours, name) for found in read])),
        f"{name}_alone": float(np.mean([getattr(found.theirs, name) for found in read])),
        name: difference.value,
        f"{name}_low": difference.low,
        f"{name}_high": difference.high,
    }
