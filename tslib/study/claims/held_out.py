"""C13 and C14: stable and compact prompts, and accuracy on rows that were not tuned on."""

from itertools import pairwise
from typing import Any

import numpy as np
import pandas as pd
from jaxtyping import Int
from numpy import ndarray

from tslib import stats
from tslib.stats import Interval, Kind
from tslib.study import structure
from tslib.study.claims.criteria import MULTI, SINGLE, Finding, decided, not_yet
from tslib.study.evidence import Evidence
from tslib.study.lists import items
from tslib.study.names import method_name


def stable_and_compact(evidence: Evidence) -> Finding:
    """C13: stable and compact prompts perform better, and TSLoss makes prompts so."""
    if missing := evidence.missing(*SINGLE) + evidence.not_evaluated(*MULTI):
        return not_yet(missing)
    scores = evidence.evaluations(*MULTI)
    features = steadiness(with_prompts(evidence, *MULTI))
    table = scores.set_index("run").join(features)
    names = {"apart": "distance between successive diagrams", "spread": "mean pairwise distance over the norm"}
    rho = {name: within(table, ["task"], name, "bca") for name in names}
    of_method = {name: within(table, ["task", "regularizer"], name, "bca") for name in names}
    paired = paired_steadiness(evidence, "bca")
    first = decided(min(found.low for found in rho.values()) > 0, min(found.high for found in rho.values()) < 0)
    second = decided(max(found.high for found in paired.values()) < 0, max(found.low for found in paired.values()) > 0)
    verdict = decided(first == second == "reproduced", "contradicted" in (first, second))
    of_all = f"First half, {first}: ρ with the held-out answer loss over {len(table)} runs of ten samples, of the"
    said = items(of_all, [f"{words} {rho[name]}" for name, words in names.items()])
    among = "Among the runs of one method, which does not decide here, of the"
    said += items(among, [f"{words} {of_method[name]}" for name, words in names.items()])
    moves = f"Second half, {second}: with TSLoss less without, over pairs, the"
    said += items(moves, [f"{words} {paired[name]}" for name, words in names.items()])
    said += left_out(evidence, *SINGLE, *MULTI)
    change = (
        "Either half contradicts alone: compact and steady prompts would need the smaller held-out loss, and TSLoss "
        "would have to make prompts both."
    )
    return Finding(verdict, said, change)


def steadiness(curves: pd.DataFrame) -> pd.DataFrame:
    """Per run: mean distance between successive diagrams (H0 and H1, Wasserstein), and last mean distance over norm."""
    rows = {
        run: {
            "apart": float((curve["h0_wasserstein"] + curve["h1_wasserstein"]).iloc[1:].mean()),
            "spread": float(curve["mean_distance"].iloc[-1] / curve["mean_norm"].iloc[-1]),
        }
        for run, curve in curves.groupby("run", sort=False)
    }
    return pd.DataFrame.from_dict(rows, orient="index")


def within(table: pd.DataFrame, groups: list[str], name: str, kind: Kind) -> Interval:
    """Spearman's ρ of a feature with the held-out loss, the mean over groups, with an interval over runs in groups."""
    of_group = [part[[name, "answer_loss"]].to_numpy(float) for _, part in table.groupby(groups)]

    def rho(*indices: Int[ndarray, "*resamples _"], axis: int = -1) -> Any:
        parts = [values[index] for values, index in zip(of_group, indices, strict=True)]
        return np.mean([structure.spearman(part[..., 0], part[..., 1], axis) for part in parts], axis=0)

    if kind == "bca":
        return stats.bootstrap(rho, *(np.arange(len(values)) for values in of_group))
    first = np.cumsum([0, *map(len, of_group)])  # runs are counted through, group after group
    ends = list(pairwise(first.tolist()))

    def of_kept(kept: Int[ndarray, "kept"]) -> float:
        return float(rho(*(kept[(kept >= low) & (kept < high)] - low for low, high in ends)))

    return stats.leaving_one_out(of_kept, np.repeat(np.arange(len(of_group)), np.diff(first)).tolist())


def paired_steadiness(evidence: Evidence, kind: Kind) -> dict[str, Interval]:
    """Paired differences, with TSLoss less without, of what `steadiness` has."""
    curves = with_prompts(evidence, *SINGLE, *MULTI)
    curves = curves[curves["regularizer"].isin(("none", "tsloss"))]
    runs = curves.drop_duplicates("run").set_index("run")[["regularizer", *stats.PAIR]].join(steadiness(curves))
    sides = [runs[runs["regularizer"] == name].set_index(stats.PAIR) for name in ("tsloss", "none")]
    pairs = sides[0].index.intersection(sides[1].index)
    differences = sides[0].loc[pairs, ["apart", "spread"]] - sides[1].loc[pairs, ["apart", "spread"]]
    return {str(name): stats.mean(column.to_numpy(), kind=kind) for name, column in differences.items()}


def with_prompts(evidence: Evidence, *grids: str) -> pd.DataFrame:
    """Topology of the runs that have a prompt at the end."""
    curves = evidence.topology(*grids)
    return curves[~curves["run"].isin(evidence.diverged(*grids))]


def left_out(evidence: Evidence, *grids: str) -> str:
    """Count the runs without a prompt at the end."""
    return f"Runs that diverged, left out with their pairs: {len(evidence.diverged(*grids))}."


def held_out(evidence: Evidence) -> Finding:
    """C14: held-out accuracy with TSLoss is above that of each baseline."""
    grids = [*MULTI, "ten samples, pairwise, gsm8k", "ten samples, pairwise, mmlu"]
    if missing := evidence.not_evaluated(*grids):
        return not_yet(missing)
    scores = evidence.evaluations(*grids)
    gains = {name: held_out_gain(scores, name, "score", kind="bca") for name in ("none", "l2", "pairwise")}
    losses = {name: held_out_gain(scores, name, "answer_loss", kind="bca") for name in gains}
    verdict = decided(min(gain.low for gain in gains.values()) > 0, min(gain.high for gain in gains.values()) < 0)
    said = items("Held-out accuracy with TSLoss less that with", [f"{method_name(n)} {gains[n]}" for n in gains])
    said += items(
        "Answer loss (lower is better) with TSLoss, less that with", [f"{method_name(n)} {losses[n]}" for n in losses]
    )
    said += f"Mean differences over pairs, 100 rows each. {left_out(evidence, *grids)}"
    return Finding(verdict, said, "More pairs; models large enough to solve held-out problems.")


def held_out_gain(
    scores: pd.DataFrame, baseline: str, column: str, method: str = "tsloss", kind: Kind = "t"
) -> Interval:
    """Mean difference of a column over pairs, a method less a baseline (`Evidence.evaluations`)."""
    sides = [scores[scores["regularizer"] == name].set_index(stats.PAIR)[column] for name in (method, baseline)]
    return stats.mean((sides[0] - sides[1]).dropna().to_numpy(float), kind=kind)
