"""Sentences that hold what records say beside a figure or table of the paper."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
import pandas as pd

from tslib import stats
from tslib.stats import Interval
from tslib.study import structure
from tslib.study.names import model_name, task_name
from tslib.study.paper import GSM8K_RATIO, TABLE2, TABLE3, TABLE4
from tslib.study.report.phrases import few, listed, plural, share

__all__ = [
    "NOT_YET",
    "NUMBERS",
    "Ends",
    "by_dataset",
    "correlation",
    "density_and_entropy",
    "ends",
    "loops_and_bars",
    "losses",
    "losses_beside",
    "ratios",
    "totals",
    "weights",
]

NOT_YET = "Not compared yet: runs are missing."
NUMBERS = {
    **{"gsm8k": (7, 8), "math": (9, 10), "bbh": (11, 12)},
    **{"mmlu": (13, 14), "hotpotqa-short": (15, 16), "longbench": (17, 18)},
}
"""The paper's figures of each data set, with one sample and with ten; it has MMLU-CF where ours is MMLU."""


class Ends(NamedTuple):
    """A quantity of many runs at their first and at their last step; means over the runs that get to the last.

    Attributes
    ----------
    first, last
        Of the prompts.
    twin
        Of their random twins at the last step.
    step
        The last step that is drawn (`tslib.study.structure.drawn_curve`).
    runs
        How many get there.
    """

    first: float
    last: float
    twin: float
    step: int
    runs: int

    def moves(self) -> str:
        """Say where the quantity goes, with two digits: "fall from 9.6 to 0.42", "stay at 2"."""
        one, other = f"{self.first:.2g}", f"{self.last:.2g}"
        if one == other:
            return f"stay at {one}"
        return f"{'rise' if self.last > self.first else 'fall'} from {one} to {other}"


def ends(curves: pd.DataFrame, column: str) -> Ends:
    """Return a column of a topology table at both ends of training.

    Parameters
    ----------
    curves
        Topology of many runs, with ``run`` and ``step``.
    column
        Of those that the random twin has too.
    """
    step = int(structure.drawn_curve(curves, column)["step"].iloc[-1])
    last = curves[curves["step"] == step]
    first = curves[(curves["step"] == 0) & curves["run"].isin(last["run"])]
    return Ends(
        first=float(first[column].mean()),
        last=float(last[column].mean()),
        twin=float(last[f"null_{column}"].mean()),
        step=step,
        runs=last["run"].nunique(),
    )


def loops_and_bars(curves: Mapping[str, pd.DataFrame]) -> str:
    """Say what becomes of loops and of H0 bars, by what the runs are called, beside random twins."""
    if not curves:
        return NOT_YET
    parts = []
    for title, of_runs in curves.items():
        loops, bars = ends(of_runs, "h1_count"), ends(of_runs, "h0_mean_lifespan")
        parts.append(
            f"With {title} loops {loops.moves()}, to {loops.twin:.2g} in a random walk of equal steps; $H_0$ bars "
            f"become {bars.last / bars.first:.2g} times as long, {bars.twin / bars.first:.2g} in the walk "
            f"({plural(loops.runs, 'run')}, step {loops.step})."
        )
    return " ".join(parts)


def density_and_entropy(curves: pd.DataFrame) -> str:
    """Say what is left of both densities and of the entropy at the last step."""
    loops, all_, entropy = (ends(curves, name) for name in ("h1_density", "density", "persistence_entropy"))
    left = all_.last / all_.first
    paper = "which in the paper hardly falls" if left < 0.8 else "as in the paper"
    return (
        f"With one sample {_part(loops.last / loops.first)} of the $H_1$ density is left at step {loops.step}, and "
        f"{_part(left)} of the overall density, {paper}. The entropy goes from {entropy.first:.3g} to "
        f"{entropy.last:.3g} nats, that of a random walk of equal steps to {entropy.twin:.3g}."
    )


def _part(of_all: float) -> str:
    return f"{100 * of_all:.2g} %"


def correlation(table: pd.DataFrame) -> str:
    """Say what the paper's strongest correlation is within tasks, in random twins, and with the step taken out.

    Parameters
    ----------
    table
        Of `tslib.study.report.structure.table2`.
    """
    rows = {row["feature"]: row for row in table.to_dict("records")}
    ours, twin = rows["h0_mean_lifespan"], rows["null_h0_mean_lifespan"]
    left = Interval(ours["beside"], ours["beside_low"], ours["beside_high"])
    return (
        f"The paper's ρ of the mean $H_0$ lifespan with accuracy is {TABLE2['rho'].iloc[0]:.3f}. Ours is "
        f"{ours['within']:.2f} within tasks, and that of random twins, which learn nothing, is {twin['within']:.2f}. "
        f"With task and step taken out {left} is left."
    )


def ratios(table: pd.DataFrame, mean: Interval, pairs: int) -> str:
    """Say how many of our ratios lie on which side of 1, and what they are together, beside the paper's.

    Parameters
    ----------
    table
        Of `tslib.study.claims.ratios`.
    mean
        Geometric mean of the ratios of the pairs of combinations that count (`tslib.study.claims.counted`).
    pairs
        How many these are.
    """
    seen = table[table["observed"].astype(bool)]
    below, above = int((seen["high"] < 1).sum()), int((seen["low"] > 1).sum())
    lost = len(table) - len(seen)
    paper = TABLE3["ratio"]
    return (
        f"The paper's {len(paper)} ratios of iterations, with TSLoss over without, go from {paper.min():.2f} to "
        f"{paper.max():.2f}. Of our {len(seen)}, {few(below)} {_lies(below)} below 1 with the whole interval and "
        f"{few(above)} above{f'; in {few(lost)} more no run was correct' if lost else ''}. The {pairs} pairs that last "
        f"until TSLoss has acted have {mean} together."
    )


def _lies(number: int) -> str:
    return "lies" if number <= 1 else "lie"


def totals(of_weights: Mapping[float, Sequence["pd.Series[float]"]], at: int = 100) -> str:
    """Say at which weights how many total losses are below a tenth of their start by a step.

    Parameters
    ----------
    of_weights
        Of `tslib.study.claims.total_losses`: the loss by step of each run, by weight.
    at
        The step.
    """
    parts = [
        f"{share(sum(bool(run.get(at, np.inf) < 0.1 * run.iloc[0]) for run in runs), len(runs))} at λ = {weight:g}"
        for weight, runs in of_weights.items()
    ]
    return (
        f"In the paper all losses are close to zero after about 100 epochs. Ours are below a tenth of their start at "
        f"step {at} in: {listed(parts)}."
    )


def weights(table: pd.DataFrame) -> str:
    """Say what λ = 1 does and whether λ = 10 ever ends, beside the paper's table.

    Parameters
    ----------
    table
        Of `tslib.study.report.settings.table4`.
    """
    rows = {row["value"]: row for row in table.to_dict("records")}
    one, ten = rows[1.0], rows[10.0]
    right = int(ten["pairs"] - ten["censored"])
    alone, ours = TABLE4["iterations"].iloc[0], TABLE4["iterations"].iloc[3]
    return (
        f"At λ = 1 the ratio is {Interval(one['ratio'], one['low'], one['high'])}; the paper's is {GSM8K_RATIO:.2f} "
        f"({alone} and {ours} iterations). At λ = 10 {share(right, int(ten['pairs']))} runs "
        f"{'is' if right == 1 else 'are'} correct, in the paper none."
    )


def losses(steps: pd.DataFrame) -> Interval:
    """Return the loss with TSLoss over that without at the last step that all runs have: geometric mean over pairs.

    Parameters
    ----------
    steps
        Of one combination, with ``regularizer`` and the fields of a pair (`tslib.study.evidence.stacked`).
    """
    pair = ["sample_seed", "seed"]
    last = steps.groupby("run")["step"].max().min()
    there = steps[(steps["step"] == last) & steps["regularizer"].isin(("none", "tsloss"))]
    table = there.pivot_table(index=pair, columns="regularizer", values="cross_entropy")
    logs = np.log(table["tsloss"] / table["none"]).dropna().to_numpy(float)
    return Interval(*map(float, np.exp(stats.mean(logs))))


def losses_beside(found: Mapping[tuple[str, str, str], Interval]) -> str:
    """Say how many losses with TSLoss are lower or higher than those without, and by how much at most."""
    if not found:
        return NOT_YET
    low, high = min(found, key=lambda key: found[key].value), max(found, key=lambda key: found[key].value)
    lower, higher = sum(one.high < 1 for one in found.values()), sum(one.low > 1 for one in found.values())
    return (
        f"At the last step that all runs of a combination have, the loss with TSLoss is clearly lower in {few(lower)} "
        f"of {few(len(found))} combinations and clearly higher in {few(higher)}. It is {found[low].value:.2f} times "
        f"that without at best ({_where(low)}) and {found[high].value:.2f} times at worst ({_where(high)})."
    )


def _where(key: tuple[str, str, str]) -> str:
    model, task, setting = key
    return f"{task_name(task)}, {model_name(model)}, {setting}"


def by_dataset(curves: Mapping[tuple[str, int], pd.DataFrame]) -> str:
    """Return the paper's figures of data sets as a table in Markdown, with what becomes of loops and bars in ours.

    Parameters
    ----------
    curves
        Of `tslib.study.report.structure.by_dataset`.
    """
    lines = [
        "| in the paper | data set | runs | loops, first and last | random walk | $H_0$ bars, times as long | walk |",
        "| --- | --- | --- | --- | --- | --- | --- |",
    ]
    for task, numbers in NUMBERS.items():
        name = f"{task_name(task)}{' (there MMLU-CF)' if task == 'mmlu' else ''}"
        for number, (samples, words) in zip(numbers, ((1, "one sample"), (10, "ten samples")), strict=True):
            said = "none | | | | "
            if (found := curves.get((task, samples))) is not None:
                loops, bars = ends(found, "h1_count"), ends(found, "h0_mean_lifespan")
                said = (
                    f"{loops.runs} | {loops.first:.2g}, {loops.last:.2g} (step {loops.step}) | {loops.twin:.2g} | "
                    f"{bars.last / bars.first:.2g} | {bars.twin / bars.first:.2g}"
                )
            lines.append(f"| {number} | {name}, {words} | {said} |")
    return "\n".join(lines)
