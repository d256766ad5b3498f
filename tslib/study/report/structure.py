"""Tables and sentences about how the topology of prompts changes over many runs (the paper's Figures 2, 3, 6-19)."""

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

import pandas as pd
import torch
from torch import Tensor

from tslib import stats
from tslib.study import structure
from tslib.study.claims.criteria import MULTI, SINGLE
from tslib.study.claims.iterations import COMBINATIONS, KEPT_BACK
from tslib.study.evidence import Evidence
from tslib.study.paper import TABLE2
from tslib.topology.meaning import plane

__all__ = [
    "by_dataset",
    "by_setting",
    "drifts",
    "read_across",
    "read_bands",
    "read_binned",
    "read_film",
    "read_table2",
    "table2",
    "words",
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
        rows.append({"quantity": name.replace("_", " "), "prompts": str(ours), "random twins": str(null)})
    return pd.DataFrame(rows)


def table2(curves: pd.DataFrame, accuracy: str = "token_accuracy") -> pd.DataFrame:
    """Spearman's ρ of each feature with accuracy (the paper's Table 2), given the step, and between runs at one step.

    Returns
    -------
    DataFrame
        ``feature``; ``paper``; ``rho``, ``given`` and ``across``, each with ``_low`` and ``_high``.
    """
    rows = []
    for feature, paper in zip(TABLE2["feature"], TABLE2["rho"], strict=True):
        row: dict[str, object] = {"feature": feature, "paper": paper}
        for name, interval in (
            ("rho", structure.correlation(curves, feature, accuracy)),
            ("given", structure.correlation(curves, feature, accuracy, given="step")),
            ("across", structure.across(curves, feature, accuracy, STEP)),
        ):
            row |= {name: interval.value, f"{name}_low": interval.low, f"{name}_high": interval.high}
        rows.append(row)
    return pd.DataFrame(rows)


def words(table: pd.DataFrame) -> pd.DataFrame:
    """Word `table2` for readers."""

    def interval(row: Mapping[Any, Any], name: str) -> str:
        return f"{row[name]:+.2f} [{row[f'{name}_low']:+.2f}, {row[f'{name}_high']:+.2f}]"

    return pd.DataFrame(
        [
            {
                "feature": row["feature"].replace("_", " "),
                "the paper": f"{row['paper']:+.3f}",
                "over checkpoints": interval(row, "rho"),
                "given the step": interval(row, "given"),
                f"between runs, step {STEP}": interval(row, "across"),
            }
            for row in table.to_dict("records")
        ]
    )


def read_table2(table: pd.DataFrame) -> str:
    """Say for which features the correlation survives once the step is given."""
    inside = table[(table["given_low"] <= 0) & (table["given_high"] >= 0)]
    names = ", ".join(inside["feature"].str.replace("_", " ")) or "none"
    turned = table[(table["rho"] * table["given"] < 0)]
    return (
        f"Given the step, the interval includes 0 for {len(inside)} of {len(table)} features ({names}), and "
        f"{len(turned)} correlations change their sign."
    )


def read_across(table: pd.DataFrame) -> str:
    """Say which features go with accuracy between runs at one step."""
    parts = [
        f"{name.replace('_', ' ')} {rho:+.2f} [{low:+.2f}, {high:+.2f}]"
        for name, rho, low, high in table[["feature", "across", "across_low", "across_high"]].to_numpy().tolist()
    ]
    clear = int(((table["across_low"] > 0) | (table["across_high"] < 0)).sum())
    return (
        f"Spearman's ρ with accuracy between runs at step {STEP}: {'; '.join(parts)}. {clear} of {len(table)} "
        "intervals exclude 0."
    )


def read_binned(curves: pd.DataFrame, features: Sequence[str], bins: int = 8) -> str:
    """Say how often accuracy rises from one bin of a feature to the next; in all steps or in none, it is monotone."""
    parts = []
    for feature in features:
        rises = structure.in_bins(curves, feature, "token_accuracy", bins)["value"].diff().iloc[1:] > 0
        parts.append(f"{int(rises.sum())} of {len(rises)} for the {feature.replace('_', ' ')}")
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


def read_bands(curves: Mapping[str, pd.DataFrame]) -> str:
    """Say what the number of loops does in the prompts and in their random twins, setting by setting."""
    parts = []
    for title, of_runs in curves.items():
        ends = [
            stats.mean(
                of_runs.groupby("run")[name].last().to_numpy(dtype=float)  # of each run's last checkpoint
            )
            for name in ("h1_count", "null_h1_count")
        ]
        first = of_runs.groupby("run")["h1_count"].first().mean()
        parts.append(
            f"with {title} the number of $H_1$ features goes from {first:.1f} to {ends[0]} in the prompts and to "
            f"{ends[1]} in the twins ({of_runs['run'].nunique()} runs)"
        )
    return f"On average {'; '.join(parts)}."
