"""C1 to C8 by the amended rules of ``book/claims.md``: twins as pairs, tasks apart, correlations within groups."""

from collections.abc import Callable, Mapping
from functools import partial

import pandas as pd

from tslib import stats
from tslib.stats import Interval
from tslib.study import structure
from tslib.study.claims import structure as registered
from tslib.study.claims.criteria import Finding, decided, not_yet
from tslib.study.claims.iterations import TWO_LOOKS
from tslib.study.evidence import Evidence
from tslib.study.lists import items
from tslib.study.names import task_name

__all__ = ["JUDGES"]

FEATURE = "h0_mean_lifespan"


def h0_count(evidence: Evidence) -> Finding:
    """C1: of prompts whose tokens are distinct at the start."""
    grids = [grid.name for grid in evidence.sweep.grids]
    records = [record for record in evidence.records(*grids) if record.config.method == "prompt-tuning"]
    missing = evidence.missing(*grids)
    if not records:
        return not_yet(missing)
    distinct = [record for record in records if record.topology["h0_count"].iloc[0] == record.config.n_tokens]
    changed = sum(bool((record.topology["h0_count"] != record.config.n_tokens).any()) for record in distinct)
    said = (
        f"In {len(records) - len(distinct)} of {len(records)} runs tokens coincide at the start; of the others "
        f"{changed} have another number of $H_0$ features than tokens at some checkpoint."
    )
    change = "Nothing: of distinct tokens it is a theorem, for noise as well."
    return Finding(decided(not changed, changed > 0), said, change, missing, "" if changed else "by construction")


def beyond_the_twin(
    decide: registered.Decide, **apart: tuple[str, Callable[[pd.DataFrame], float]]
) -> Callable[[Evidence], Finding]:
    """Make a judge of C2, C4 or C5 that holds each run against its own random twin.

    Parameters
    ----------
    decide
        The registered rule, to be applied with t intervals.
    **apart
        What is said of the runs, each against its own twin: its words, and how it is found. The first decides: how much
        more of what is claimed a run does than its twin.
    """

    def judge(evidence: Evidence) -> Finding:
        curves, missing = registered.on_record(evidence)
        if missing:
            return not_yet(missing)
        verdict, said, change = decide(curves, "t")
        found = {words: stats.mean(structure.per_run(curves, of).to_numpy()) for words, of in apart.values()}
        beyond = next(iter(found.values())).low > 0
        but = ("more than noise" if beyond else "as for noise") if verdict == "reproduced" else ""
        parts = items("Each run against its own twin,", [f"{words} {interval}" for words, interval in found.items()])
        return Finding(verdict, f"{said.removesuffix(' So it does for noise.')} {parts}".rstrip(), change, but=but)

    return judge


def _left(curve: pd.DataFrame) -> float:
    ours, null = (structure.last_third(curve, f"{of}h1_count") for of in ("", "null_"))
    return ours - null


def _falls_more(curve: pd.DataFrame) -> float:
    return structure.drift(curve, "null_h1_count") - structure.drift(curve, "h1_count")


def _lengthens_more(curve: pd.DataFrame) -> float:
    return structure.relative(curve, FEATURE) - structure.relative(curve, f"null_{FEATURE}")


def _drops_more(curve: pd.DataFrame) -> float:
    ours, null = (structure.fall(curve, f"{of}persistence_entropy", 60) for of in ("", "null_"))
    return ours - null


def multi_falls_faster(evidence: Evidence) -> Finding:
    """C3: ten samples against one of the same task, so that tasks are not mixed in other shares."""
    curves, missing = registered.on_record(evidence)
    if missing:
        return not_yet(missing)
    statistics = {
        "falls by step 100": partial(structure.fall, column="h1_count", step=100),
        "share of checkpoints without a rise": partial(structure.not_rising, column="h1_count"),
    }
    found: dict[str, list[Interval]] = {}
    parts = []
    for task, of_task in curves.groupby("task"):
        sides = [of_task[of_task["samples"] == samples] for samples in (10, 1)]
        for name, statistic in statistics.items():
            values = [structure.per_run(side, statistic).to_numpy() for side in sides]
            found.setdefault(name, []).append(stats.difference(*values, confidence=TWO_LOOKS))
            parts.append(f"{task_name(str(task))}, {name}: {found[name][-1]}")
    every = [interval for of_name in found.values() for interval in of_name]
    verdict = decided(min(one.low for one in every) > 0, max(one.high for one in every) < 0)
    change = "Both differences on the same side of 0 in both tasks: more runs, in the same precision."
    return Finding(verdict, items(f"Ten samples less one, task by task ({TWO_LOOKS:.1%})", parts).rstrip(), change)


def density_falls(evidence: Evidence) -> Finding:
    """C6: the registered rule with t intervals."""
    curves, missing = registered.on_record(evidence)
    return not_yet(missing) if missing else Finding(*registered.density_falls(curves, "t"))


GROUPED = "ρ with accuracy, mean over groups of runs of one task and number of samples, of"
BESIDE = "With group and step taken out, of"


def _correlations(curves: pd.DataFrame, column: str) -> tuple[Interval, Interval]:
    return structure.within(curves, column, "exact"), structure.beside(curves, column, "exact")


def goes_with_accuracy(evidence: Evidence) -> Finding:
    """C7: within groups of task and samples, and with group and step taken out."""
    curves, missing = registered.on_record(evidence)
    if missing:
        return not_yet(missing)
    names = {FEATURE: "the mean $H_0$ lifespan", f"null_{FEATURE}": "its random twin's", "mean_norm": "the mean norm"}
    found = {name: _correlations(curves, name) for name in names}
    (within, beside), (_, of_twin), _ = found.values()
    there = within.value > 0.5 and within.low > 0
    verdict = decided(there and beside.low > 0 and not of_twin.low > 0, within.high < 0 or beside.high < 0)
    drift = there and verdict == "undecided"
    change = (
        "Runs in which accuracy is higher where lifespans are longer at the same step, and not where a random twin's "
        "are: that alone tells a relation from quantities that all change with time."
    )
    return Finding(verdict, _correlated(names, found), change, but="drift only" if drift else "")


def _correlated(names: Mapping[str, str], found: Mapping[str, tuple[Interval, Interval]]) -> str:
    said = (
        items(lead, [f"{words} {found[name][at]}" for name, words in names.items()])
        for at, lead in enumerate((GROUPED, BESIDE))
    )
    return "".join(said).rstrip()


def other_features(evidence: Evidence) -> Finding:
    """C8: within groups of task and samples, and with group and step taken out."""
    curves, missing = registered.on_record(evidence)
    if missing:
        return not_yet(missing)
    names = {"persistence_entropy": "entropy", "h1_count": "$H_1$ count", "h1_mean_lifespan": "mean $H_1$ lifespan"}
    found = {name: _correlations(curves, name) for name in names}
    (entropy, entropy_beside), (loops, loops_beside), (lifespan, _) = found.values()
    there = max(entropy.high, loops.high) < 0 and lifespan.low >= -0.2 and lifespan.high <= 0.2
    against = max(entropy.low, loops.low, entropy_beside.low, loops_beside.low) > 0
    verdict = decided(there and max(entropy_beside.high, loops_beside.high) < 0, against)
    drift = max(entropy.high, loops.high) < 0 and verdict == "undecided"
    change = "Entropy and loops that are lower where accuracy is higher at the same step."
    return Finding(verdict, _correlated(names, found), change, but="drift only" if drift else "")


JUDGES: dict[str, Callable[[Evidence], Finding]] = {
    "C1": h0_count,
    "C2": beyond_the_twin(
        registered.h1_falls,
        falls=("Spearman's ρ of the twin's count less the prompt's", _falls_more),
        left=("loops of the prompt less the twin's in the last third", _left),
    ),
    "C3": multi_falls_faster,
    "C4": beyond_the_twin(registered.h0_lengthens, factor=("the prompt's factor less the twin's", _lengthens_more)),
    "C5": beyond_the_twin(
        registered.entropy_drops, falls=("the prompt's fall until step 60 less the twin's", _drops_more)
    ),
    "C6": density_falls,
    "C7": goes_with_accuracy,
    "C8": other_features,
}
"""How each is judged."""
