"""Tables and sentences about how the topology of prompts changes over many runs (the paper's Figures 2, 3, 6-19)."""

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from tslib import stats
from tslib.stats import Interval
from tslib.study import paper, structure
from tslib.study.claims.criteria import MULTI, SINGLE
from tslib.study.claims.iterations import COMBINATIONS, KEPT_BACK
from tslib.study.evidence import Evidence
from tslib.study.names import feature_name
from tslib.study.paper import TABLE2
from tslib.study.report.phrases import listed, plural, share, upper
from tslib.topology.meaning import plane

__all__ = [
    "Loops",
    "by_dataset",
    "by_halves",
    "by_setting",
    "drifts",
    "fate",
    "loops",
    "read_bands",
    "read_binned",
    "read_by_halves",
    "read_film",
    "read_opening",
    "read_papers_table2",
    "read_table2",
    "table2",
    "words",
    "words_by_halves",
]

STEP = 40
"""At which runs are compared with each other."""
BINNED = ("h0_mean_lifespan", "persistence_entropy")
"""The features whose relation to accuracy is looked at bin by bin: the paper's two strongest correlations."""


def by_dataset(evidence: Evidence) -> dict[tuple[str, int], pd.DataFrame]:
    """Topology of the runs of SmolLM2 with cross-entropy alone, by task and number of samples.

    Where there are runs that go on to the last step, those; else those that end when they are correct.
    """
    found: dict[tuple[str, int], pd.DataFrame] = {}
    for grid in (*SINGLE, *MULTI, *COMBINATIONS.values(), *KEPT_BACK.values()):
        curves = evidence.topology(grid, regularizer="none", model="smollm2-135m")
        if len(curves):
            found.setdefault((str(curves["task"].iloc[0]), int(curves["samples"].iloc[0])), curves)
    return found


def by_setting(evidence: Evidence) -> dict[str, pd.DataFrame]:
    """Those of all data sets together, by setting: one sample, ten samples."""
    of_task = by_dataset(evidence)
    found = {}
    for samples, title in ((1, "one sample"), (10, "ten samples")):
        if parts := [curves for (_, count), curves in of_task.items() if count == samples]:
            found[title] = pd.concat(parts, ignore_index=True)
    return found


def drifts(curves: pd.DataFrame) -> pd.DataFrame:
    """Spearman's ρ of each quantity with the step, per run, beside that of the random twin: mean over runs."""
    rows = []
    for name in ("h1_count", "h0_mean_lifespan", "h1_mean_lifespan", "persistence_entropy", "density", "h1_density"):
        ours, null = (
            stats.mean(structure.per_run(curves, partial(structure.drift, column=column)).to_numpy())
            for column in (name, f"null_{name}")
        )
        rows.append({"quantity": _plain(name), "prompts": str(ours), "random twins": str(null)})
    return pd.DataFrame(rows)


def _plain(feature: str) -> str:
    return feature_name(feature, formulas=False)


CONTROLS = ("null_h0_mean_lifespan", "mean_norm")
"""What has nothing to do with what is learnt, or with topology: the random twin's, and how long tokens are."""


def table2(curves: pd.DataFrame, accuracy: str = "token_accuracy") -> pd.DataFrame:
    """Spearman's ρ of each feature with accuracy (the paper's Table 2), and of `CONTROLS`.

    Returns
    -------
    DataFrame
        ``feature``; ``paper`` (NaN for controls); ``rho`` over the checkpoints of all runs together, ``within`` groups
        of runs of one task and number of samples, ``given`` the step within groups, and ``beside``, with group and
        step taken out; each with ``_low`` and ``_high``.
    """
    rows = []
    printed = dict(zip(TABLE2["feature"], TABLE2["rho"], strict=True))
    for feature in (*printed, *CONTROLS):
        row: dict[str, object] = {"feature": feature, "paper": printed.get(feature, float("nan"))}
        for name, interval in (
            ("rho", structure.correlation(curves, feature, accuracy)),
            ("within", structure.within(curves, feature, accuracy)),
            ("given", structure.within(curves, feature, accuracy, given="step")),
            ("beside", structure.beside(curves, feature, accuracy)),
        ):
            row |= {name: interval.value, f"{name}_low": interval.low, f"{name}_high": interval.high}
        rows.append(row)
    return pd.DataFrame(rows)


def words(table: pd.DataFrame) -> pd.DataFrame:
    """Word `table2` for readers."""
    return pd.DataFrame(
        [
            {
                "feature": _plain(row["feature"]),
                "the paper": "" if pd.isna(row["paper"]) else f"{row['paper']:+.3f}",
                "all runs together": _signed(row, "rho"),
                "within tasks": _signed(row, "within"),
                "and given the step": _signed(row, "given"),
                "task and step taken out": _signed(row, "beside"),
            }
            for row in table.to_dict("records")
        ]
    )


def _signed(row: Mapping[Any, Any], name: str) -> str:
    return f"{row[name]:+.2f} [{row[f'{name}_low']:+.2f}, {row[f'{name}_high']:+.2f}]"


def read_table2(table: pd.DataFrame) -> str:
    """Say which features go with accuracy within tasks, which beside other runs at the same step, and the controls."""
    features = table[table["paper"].notna()]
    within, beside = (
        features[(features[f"{name}_low"] > 0) | (features[f"{name}_high"] < 0)] for name in ("within", "beside")
    )
    shown = beside if len(beside) else features
    parts = [f"{feature_name(row['feature'])}: {_signed(row, 'beside')}" for row in shown.to_dict("records")]
    controls = [
        f"So does the {feature_name(row['feature'])}: {_signed(row, 'within')}."
        for row in table[table["paper"].isna()].to_dict("records")
    ]
    return " ".join(
        [
            f"Within tasks {_go(within, features)}, as anything does that changes with time.",
            *controls,
            f"With task and step taken out {_go(beside, features)}.",
            *(f"{upper(part)}." for part in parts),
        ]
    )


def _go(clear: pd.DataFrame, table: pd.DataFrame) -> str:
    do = "goes" if len(clear) <= 1 else "go"
    return f"{share(len(clear), len(table))} features {do} with accuracy beyond chance"


def read_papers_table2() -> str:
    """Say what the paper's Table 2 implies of itself: how many checkpoints it has, in what groups, and what ρ is then.

    Each word is consistent with what is printed; none is known.
    """
    size, implied, groups = paper.group_size(), paper.implied_checkpoints(), paper.rho_of_groups()
    total = 2 * size
    agree = int(((implied["low"] < total) & (total < implied["high"])).sum())
    same = int((groups["of_groups"].round(3) == groups["rho"]).sum())
    return (
        f"By Spearman's $t$ test {share(agree, len(implied))} p-values are consistent with {total:.0f} checkpoints, "
        f"and U = {paper.H0_COUNT_U} of the constant number of $H_0$ features with two groups of {size:.0f}: halves. "
        f"That is consistent with one run of about {round(2 * total, -2):.0f} epochs and a checkpoint every two; p = "
        f"{TABLE2['p'].min():g} then counts the checkpoints of one run as independent. And {share(same, len(groups))} "
        "values of ρ are, to the third decimal, what the U beside them gives if accuracy has one value in each half, "
        "as where a reply is wrong until the middle of the run and right from there on. Then ρ and U are one "
        f"comparison told twice, and {TABLE2['rho'].max():.3f}, or $\\sqrt{{3}}/2$, is what any quantity has that only "
        "rises."
    )


def by_halves(evidence: Evidence) -> pd.DataFrame:
    """Table 2 as it seems to be computed, on our runs that go on to the last step, beside their random twins.

    Returns
    -------
    DataFrame
        ``feature``; ``paper``; ``prompts`` and ``twins``, the mean over runs of `tslib.study.structure.with_half`, each
        with ``_low`` and ``_high``; ``runs``. Empty where no grid of these runs is whole.
    """
    curves = evidence.topology(*SINGLE, *MULTI, regularizer="none")
    if curves.empty:
        return pd.DataFrame()
    rows = []
    for feature, printed in zip(TABLE2["feature"], TABLE2["rho"], strict=True):
        row: dict[str, object] = {"feature": feature, "paper": printed, "runs": curves["run"].nunique()}
        for name, column in (("prompts", feature), ("twins", f"null_{feature}")):
            found = stats.mean(structure.per_run(curves, partial(structure.with_half, column=column)).to_numpy())
            row |= {name: found.value, f"{name}_low": found.low, f"{name}_high": found.high}
        rows.append(row)
    return pd.DataFrame(rows)


def words_by_halves(table: pd.DataFrame) -> pd.DataFrame:
    """Word `by_halves` for readers."""
    return pd.DataFrame(
        [
            {"feature": _plain(row["feature"]), "the paper": f"{row['paper']:+.3f}"}
            | {"prompts": _signed(row, "prompts"), "random twins": _signed(row, "twins")}
            for row in table.to_dict("records")
        ]
    )


def read_by_halves(table: pd.DataFrame) -> str:
    """Say what the paper's strongest correlation is in prompts and in random twins, if halves are compared."""
    if table.empty:
        return ""
    row = table.to_dict("records")[0]
    return (
        f"With nothing but the half of the run that a checkpoint is in, the {feature_name(row['feature'])} has a ρ of "
        f"{_signed(row, 'prompts')} over {plural(row['runs'], 'run')}. Their random twins, which learn nothing, have "
        f"{_signed(row, 'twins')}."
    )


def read_binned(curves: pd.DataFrame, features: Sequence[str], bins: int = 8) -> str:
    """Say how often accuracy rises from one bin of a feature to the next; in all steps or in none, it is monotone."""
    parts = []
    for feature in features:
        rises = structure.in_bins(curves, feature, "token_accuracy", bins)["value"].diff().iloc[1:] > 0
        parts.append(f"{int(rises.sum())} of {len(rises)} for the {feature_name(feature)}")
    return f"Steps from bin to bin (as many checkpoints in each) in which accuracy rises: {'; '.join(parts)}."


def read_film(prompts: Mapping[int, Tensor]) -> str:
    """Say how far the tokens of a run moved, and how much of that the plane of the film can show."""
    _, shares = plane(list(prompts.values()))
    first, *_, last = prompts.values()
    moved = float((last - first).double().norm(dim=1).mean())
    apart = float(torch.pdist(first.double()).mean())
    return (
        f"From step {min(prompts)} to step {max(prompts)} a token moves {moved:.3g} on average, {moved / apart:.1f} "
        f"times the mean distance between tokens at the start. The plane shows {sum(shares or ()):.0%} of the variance "
        "of all tokens over all checkpoints; the diagram and the barcode are of the whole space."
    )


FATES = {
    ("vanish", -1): "Loops vanish during tuning, though later than in a random walk of equal steps",
    ("vanish", 0): "Loops vanish during tuning, and as soon in a random walk of equal steps",
    ("vanish", 1): "Loops vanish during tuning, and sooner in a random walk of equal steps",
    ("fewer", -1): "Loops become fewer during tuning, and less so in a random walk of equal steps",
    ("fewer", 0): "Loops become fewer during tuning, and just so in a random walk of equal steps",
    ("fewer", 1): "Loops become fewer during tuning, and more so in a random walk of equal steps",
    ("same", -1): "Tuning hardly changes the number of loops, and a random walk of equal steps has more",
    ("same", 0): "Tuning hardly changes the number of loops, nor does a random walk of equal steps",
    ("same", 1): "Tuning hardly changes the number of loops, and a random walk of equal steps has fewer",
    ("more", -1): "Loops become more during tuning, and more so in a random walk of equal steps",
    ("more", 0): "Loops become more during tuning, and just so in a random walk of equal steps",
    ("more", 1): "Loops become more during tuning, and less so in a random walk of equal steps",
}
"""What becomes of loops, and whether the prompts have more of them than their twins (1), fewer (-1), or neither."""


def fate(change: Interval, left: float, beyond: Interval) -> tuple[str, int]:
    """Return the key of `FATES`.

    Parameters
    ----------
    change
        Of the number of loops until the last step; that of a single run is taken as it is.
    left
        Which part of the loops is left there; a fifth, as in the criterion of C2, is as good as none.
    beyond
        How many loops the prompts have more than their twins, mean over the checkpoints.
    """
    low, high = (change.value if np.isnan(end) else end for end in (change.low, change.high))
    word = "more" if low > 0 else "same" if high >= 0 else "vanish" if left <= 0.2 else "fewer"
    return word, int(beyond.low > 0) - int(beyond.high < 0)


class Loops(NamedTuple):
    """What becomes of the loops of some runs.

    Attributes
    ----------
    lead
        In words, beside the random twins (`FATES`).
    first
        How many there are at the first step, mean over the runs that get to the last one.
    last, twin
        How many there are at the last step, in the prompts and in their twins.
    step
        The last step.
    runs
        How many runs get there.
    """

    lead: str
    first: float
    last: Interval
    twin: Interval
    step: int
    runs: int


def loops(curves: pd.DataFrame) -> Loops:
    """Return what becomes of loops, in the prompts and in their random twins.

    Runs are compared at steps that they share: the last one is the last that is drawn (`structure.drawn_curve`), and
    the first that of the runs that get there.
    """
    last = int(structure.drawn_curve(curves, "h1_count")["step"].iloc[-1])
    whole = curves[curves["run"].isin(curves.loc[curves["step"] == last, "run"])]
    ours, twins = (whole.pivot_table(index="run", columns="step", values=f"{of}h1_count") for of in ("", "null_"))
    at_end, null = (stats.mean(side[last].to_numpy(float)) for side in (ours, twins))
    first = float(ours[0].mean())
    lead = FATES[
        fate(
            stats.mean((ours[last] - ours[0]).to_numpy(float)),
            at_end.value / first if first else 1.0,
            stats.mean((ours - twins).mean(axis=1).to_numpy(float)),
        )
    ]
    return Loops(lead, first, at_end, null, last, len(ours))


def read_bands(curves: Mapping[str, pd.DataFrame]) -> str:
    """Say what the number of loops does in the prompts and in their random twins, setting by setting."""
    said: dict[str, list[str]] = {}
    for title, of_runs in curves.items():
        found = loops(of_runs)
        said.setdefault(found.lead, []).append(
            f"With {title} there are {found.first:.1f} at first. At step {found.step} there are {found.last}. In the "
            f"random walk there are {found.twin} then, mean over {plural(found.runs, 'run')}."
        )
    return " ".join(f"{lead}. {' '.join(parts)}" for lead, parts in said.items())


def read_opening(topology: pd.DataFrame, curves: pd.DataFrame) -> str:
    """Say in which directions loops and entropy of one run go, and how many of many runs go so until that step.

    Parameters
    ----------
    topology
        Of one run.
    curves
        Topology of many runs. They are held against it at the last step that is drawn (`structure.drawn_curve`) and not
        beyond that of the one run; where that is the first step nothing is said.
    """
    until = curves[curves["step"] <= topology["step"].iloc[-1]]
    step = int(structure.drawn_curve(until, "h1_count")["step"].iloc[-1])
    if step == 0:
        return ""
    here = curves[curves["step"] == step].set_index("run")
    start = curves[curves["step"] == 0].set_index("run").loc[here.index]
    parts: list[str] = []
    most = True
    for column in ("h1_count", "persistence_entropy"):
        mine = float(topology[column].iloc[-1] - topology[column].iloc[0])
        theirs = here[column] - start[column]
        alike = int((np.sign(theirs) == np.sign(mine)).sum())
        most = most and alike > len(here) / 2
        does = f"{'rises' if mine > 0 else 'falls'} by {abs(mine):.2g}" if mine else "ends as it began"
        group = "them" if parts else f"{len(here)} committed runs until step {step}"
        mean = theirs.mean()
        parts.append(f"the {feature_name(column)} {does}, as in {alike or 'none'} of {group} ({mean:+.2g} on average)")
    lead = "This run goes the way of most" if most else "One run is not all runs"
    return f"{lead}: here {listed(parts, ', and')}."
