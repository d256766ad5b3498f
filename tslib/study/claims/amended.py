"""The claims once more, by the amended rules of ``book/claims.md``, which were written after the runs.

The registered rules are applied by `tslib.study.claims.verdicts` and stay as they are. What is amended, and why, stands
on the page; a function here applies each amendment.
"""

from collections.abc import Callable, Mapping
from functools import lru_cache, partial

import numpy as np
import pandas as pd

from tslib import stats
from tslib.stats import Interval, Verdict
from tslib.study import treatment
from tslib.study.claims import amended_structure, held_out, iterations
from tslib.study.claims.criteria import MULTI, SINGLE, Finding, decided, not_yet
from tslib.study.claims.iterations import COMBINATIONS, TWO_LOOKS
from tslib.study.evidence import Evidence
from tslib.study.lists import items
from tslib.study.names import method_name, task_name

__all__ = ["AMENDED", "above_floor", "counted", "geometric"]


def counted(
    evidence: Evidence, confidence: float = 0.95, combinations: Mapping[tuple[str, str, str], str] = COMBINATIONS
) -> pd.DataFrame:
    """Return `iterations.ratios` with what may be counted.

    Parameters
    ----------
    evidence
        The runs.
    confidence
        Of the intervals.
    combinations
        The grid of each (model, task, setting).

    Returns
    -------
    DataFrame
        The columns of `ratios`; ``treated``, whether TSLoss made the deaths of $H_0$ clearly more even than
        cross-entropy alone did by the time a run was correct (`tslib.study.treatment`); and ``counts``, whether it is
        observed, too.
    """
    table = iterations.ratios(evidence, confidence, combinations)
    done = _treated(evidence, tuple(combinations.values()))
    keys = [
        (combinations[row["model"], row["task"], row["setting"]], row["regularizer"])
        for row in table.to_dict("records")
    ]
    treated = pd.Series([done[key] for key in keys], index=table.index, dtype=bool)
    return table.assign(treated=treated, counts=table["observed"].astype(bool) & treated)


@lru_cache(maxsize=4)
def _treated(evidence: Evidence, grids: tuple[str, ...]) -> dict[tuple[str, str], bool]:
    """Whether each grid and variant is treated."""
    table = treatment.treatment(evidence, *grids)
    return {(row["grid"], row["regularizer"]): row["treated"] for row in table.to_dict("records")}


def geometric(evidence: Evidence, regularizer: str = "tsloss", *, treated: bool = True) -> tuple[Interval, int, int]:
    """Return the geometric mean over pairs of the ratio of iterations, of all combinations that are observed.

    Parameters
    ----------
    evidence
        The runs.
    regularizer
        With which of them.
    treated
        Only of those combinations that count (`counted`): the others pull the mean towards 1, whatever TSLoss does.

    Returns
    -------
    tuple
        The mean with its interval, the number of pairs, and that of combinations; NaN where there is none.
    """
    table = counted(evidence)
    rows = table[(table["regularizer"] == regularizer) & table["counts" if treated else "observed"].astype(bool)]
    grids = [COMBINATIONS[row["model"], row["task"], row["setting"]] for row in rows.to_dict("records")]
    if not grids:
        return Interval(float("nan"), float("nan"), float("nan")), 0, 0
    every = np.concatenate([stats.log_ratios(evidence.runs(grid), regularizer).to_numpy() for grid in grids])
    return Interval(*map(float, np.exp(stats.mean(every)))), len(every), len(grids)


def fewer_everywhere(evidence: Evidence) -> Finding:
    """C9: of the combinations that are observed and treated; the better of two variants at 97.5 %, one at 95 %."""
    if missing := evidence.missing(*COMBINATIONS.values()):
        return not_yet(missing)
    place = ["model", "task", "setting"]
    every, wide = counted(evidence), counted(evidence, TWO_LOOKS)
    best = pd.concat(
        [
            (wide if len(variants) > 1 else every).loc[[variants["value"].idxmin()]]
            for _, variants in every[every["counts"]].groupby(place, sort=False)
        ]
        or [every.iloc[:0]]
    )
    below, above = int((best["high"] < 1).sum()), int((best["low"] > 1).sum())
    level = int(((best["low"] > 0.75) & (best["low"] <= 1) & (best["high"] >= 1)).sum())
    of_place = every.groupby(place, sort=False)
    unseen = int((~of_place["observed"].any()).sum())
    untreated = int((of_place["observed"].any() & ~of_place["counts"].any()).sum())
    verdict: Verdict = "undecided"
    if len(best):
        verdict = decided(below == len(best), bool(above) or level >= 2 / 3 * len(best))
    out = [f"{unseen} {'has' if unseen == 1 else 'have'} no correct run"] if unseen else []
    if untreated:
        out.append(
            f"in {untreated} TSLoss has not acted (by the time that a run is correct, it has not made the deaths of "
            "$H_0$ a tenth more even)"
        )
    said = f"Of {of_place.ngroups} combinations {' and '.join(out)}." if out else f"All {of_place.ngroups} count."
    if len(best):
        said += (
            f" Of the {len(best)} that count the better variant's ratio has an interval below 1 in {below}, one above "
            f"1 in {above}, and one that includes 1 and rules out a gain of a quarter in {level}."
        )
    (whole, pairs, _), (mean, some, _) = geometric(evidence, treated=False), geometric(evidence)
    said += f" Over all {pairs} pairs of those with a correct run {method_name('tsloss')}'s ratio is {whole}"
    said += f", over the {some} of combinations that count {mean}" * (0 < some < pairs)
    said += " (geometric means)."
    change = "More pairs where the interval includes 1; runs that outlast the warm-up; the paper's models."
    return Finding(verdict, said, change)


def largest_for_the_smallest(evidence: Evidence) -> Finding:
    """C10: on the tasks on which both models are treated, of the variant that both have."""
    models = ("smollm2-135m", "gemma3-270m")
    tasks = ("gsm8k", "mmlu")
    places = {
        (model, task, "one sample"): COMBINATIONS[model, task, "one sample"] for task in tasks for model in models
    }
    grids = {task: [places[model, task, "one sample"] for model in models] for task in tasks}
    if missing := evidence.missing(*(grid for pair in grids.values() for grid in pair)):
        return not_yet(missing)
    rows = counted(evidence, combinations=places)
    rows = rows[(rows["regularizer"] == "tsloss") & rows["counts"]]
    treated = [task for task in tasks if set(rows.loc[rows["task"] == task, "model"]) >= set(models)]
    left_out = [task for task in tasks if task not in treated]
    found = {task: _apart(evidence, *grids[task]) for task in treated}
    parts = ". ".join(f"on {task_name(task)} {one}" for task, one in found.items()) or "on no task"
    verdict = decided(
        bool(found) and all(one.high < 0 for one in found.values()), any(one.low > 0 for one in found.values())
    )
    said = f"SmolLM2-135M's log ratio less Gemma-3-270M's, where both are treated: {parts}."
    if left_out:
        said += f" Not judged, since one of them is not treated: {', '.join(map(task_name, left_out))}."
    return Finding(verdict, said, "Further models: two cannot say more than in which direction two differ.")


def _apart(evidence: Evidence, one: str, other: str) -> Interval:
    """Difference of the log ratios of two grids on the same pairs, by the delta method."""
    logs, residuals = [], []
    for grid in (one, other):
        ours, theirs = (
            pd.Series(stats.iterations(side).steps, index=pd.MultiIndex.from_frame(side[["sample_seed", "seed"]]))
            for side in stats.pair_up(evidence.runs(grid), "tsloss")
        )
        logs.append(float(np.log(ours.mean() / theirs.mean())))
        residuals.append(ours / ours.mean() - theirs / theirs.mean())
    return stats.mean(logs[0] - logs[1] + (residuals[0] - residuals[1]).dropna().to_numpy())


def loss_near_zero(evidence: Evidence) -> Finding:
    """C12: of the weights above 0, which are the paper's."""
    return iterations.loss_near_zero(evidence, "t", smallest=0.1)


def stable_and_compact(evidence: Evidence) -> Finding:
    """C13: the first half among the runs of one method and task."""
    if missing := evidence.missing(*SINGLE) + evidence.not_evaluated(*MULTI):
        return not_yet(missing)
    features = held_out.steadiness(held_out.with_prompts(evidence, *MULTI))
    table = evidence.evaluations(*MULTI).set_index("run").join(features)
    names = {"apart": "distance between successive diagrams", "spread": "mean pairwise distance over the norm"}
    rho = {name: held_out.within(table, ["task", "regularizer"], name, "t") for name in names}
    paired = held_out.paired_steadiness(evidence, "t")
    first = decided(min(one.low for one in rho.values()) > 0, min(one.high for one in rho.values()) < 0)
    second = decided(max(one.high for one in paired.values()) < 0, max(one.low for one in paired.values()) > 0)
    verdict = decided(first == second == "reproduced", "contradicted" in (first, second))
    goes = f"First half, {first}: ρ with the held-out answer loss among the runs of one method and task, of the"
    said = items(goes, [f"{words} {rho[name]}" for name, words in names.items()])
    moves = f"Second half, {second}: with TSLoss less without, over pairs, the"
    said += items(moves, [f"{words} {paired[name]}" for name, words in names.items()])
    change = (
        "Either half contradicts alone: compact and steady prompts would need the smaller held-out loss, and TSLoss "
        "would have to make prompts both."
    )
    return Finding(verdict, said.rstrip(), change)


def held_out_accuracy(evidence: Evidence) -> Finding:
    """C14: only on tasks that tuning has lifted above the untuned model, since at the floor no method can differ."""
    grids = [*MULTI, "ten samples, pairwise, gsm8k", "ten samples, pairwise, mmlu"]
    if missing := evidence.not_evaluated(*grids):
        return not_yet(missing)
    scores = evidence.evaluations(*grids)
    floors = {str(task): floor(evidence, str(task)) for task in scores["task"].unique()}
    if absent := [task for task, value in floors.items() if value is None]:
        return not_yet(len(absent))
    above = above_floor(evidence, scores)
    lifted = [task for task, gain in above.items() if gain.low > 0]
    names = ("none", "l2", "pairwise")
    judged = scores[scores["task"].isin(lifted)]
    gains = {name: held_out.held_out_gain(judged, name, "score") for name in names} if lifted else {}
    losses = {name: held_out.held_out_gain(scores, name, "answer_loss") for name in names}
    verdict = decided(
        bool(gains) and min(gain.low for gain in gains.values()) > 0,
        bool(gains) and min(gain.high for gain in gains.values()) < 0,
    )
    said = items(
        "Held-out accuracy after tuning with cross-entropy alone, less its floor (the untuned model's, or that of "
        "guessing), on",
        [f"{task_name(task)} {gain}" for task, gain in above.items()],
    )
    if gains:
        parts = [f"{method_name(name)} {gain}" for name, gain in gains.items()]
        said += items("With TSLoss less that with", parts)
    else:
        said += "No task lies above its floor, so that accuracy cannot tell methods apart. "
    worse = [f"{method_name(name)} {loss}" for name, loss in losses.items()]
    said += items("Held-out answer loss (lower is better) with TSLoss, less that with", worse)
    return Finding(verdict, said.rstrip(), "Tasks and models on which tuning on ten samples lifts held-out accuracy.")


GUESSING = {"mmlu": 0.25}
"""Accuracy of guessing, on tasks whose answers can be guessed."""


def floor(evidence: Evidence, task: str) -> float | None:
    """Return the held-out accuracy that needs no tuning: the untuned model's, or that of guessing if it is higher."""
    untuned = evidence.untuned(task)
    return None if untuned is None else max(untuned, GUESSING.get(task, 0.0))


def above_floor(evidence: Evidence, scores: pd.DataFrame) -> dict[str, Interval]:
    """Return the held-out accuracy of cross-entropy alone less its `floor`, by task; where that is not known, none.

    Parameters
    ----------
    evidence
        The runs.
    scores
        Of ``Evidence.evaluations``.
    """
    alone = scores[scores["regularizer"] == "none"].groupby("task")["score"]
    floors = {str(task): floor(evidence, str(task)) for task, _ in alone}
    return {
        str(task): stats.mean(values.to_numpy(float) - known)
        for task, values in alone
        if (known := floors[str(task)]) is not None
    }


def factors(evidence: Evidence) -> Finding:
    """C15: the registered count, of the ratios that are observed."""
    if missing := evidence.missing(*COMBINATIONS.values()):
        return not_yet(missing)
    table = counted(evidence)
    table = table[table["observed"]]
    half, quarter = (int((table["low"] <= factor).sum()) for factor in (0.5, 0.25))
    said = (
        f"Those models are not run here. Of our {len(table)} ratios that are observed {half} have an interval that "
        f"reaches 0.5, and {quarter} one that reaches 0.25."
    )
    return Finding("undecided", said, "Runs of Gemma-2B-IT and Qwen1.5-14B.")


AMENDED: dict[str, Callable[[Evidence], Finding]] = {
    **amended_structure.JUDGES,
    "C9": fewer_everywhere,
    "C10": largest_for_the_smallest,
    "C11": partial(iterations.weight, kind="t"),
    "C12": loss_near_zero,
    "C13": stable_and_compact,
    "C14": held_out_accuracy,
    "C15": factors,
}
"""How each claim is judged by the amended rules; the variants that C10 and C13 to C15 look at are said on the page."""
