"""C1 to C8: what the topology of prompts does through training, and whether it goes with accuracy."""

from collections.abc import Callable
from functools import partial
from typing import TypeAlias

import pandas as pd

from tslib import stats
from tslib.records.record import RunRecord
from tslib.stats import Interval, Kind, Verdict
from tslib.study import structure
from tslib.study.claims.criteria import MULTI, SINGLE, Finding, decided, not_yet
from tslib.study.evidence import Evidence
from tslib.study.lists import items
from tslib.study.names import setting_name


def on_record(evidence: Evidence) -> tuple[pd.DataFrame, int]:
    """Topology of the runs of cross-entropy alone that go on to the end, and how many runs are missing."""
    grids = (*SINGLE, *MULTI)
    asked = sum(config.regularizer == "none" for config in evidence.asked(*grids))
    curves = evidence.topology(*grids, regularizer="none")
    return curves, asked - curves["run"].nunique()


def _of_runs(curves: pd.DataFrame, statistic: Callable[[pd.DataFrame], float], kind: Kind) -> Interval:
    return stats.mean(structure.per_run(curves, statistic).to_numpy(), kind=kind)


Decide: TypeAlias = Callable[[pd.DataFrame, Kind], tuple[Verdict, str, str]]
"""Judges the curves of all runs on structure: verdict, evidence, what would change it."""


def on_structure(decide: Decide) -> Callable[[Evidence], Finding]:
    """Make a judge by the registered rules, whose intervals are of a BCa bootstrap."""

    def judge(evidence: Evidence) -> Finding:
        curves, missing = on_record(evidence)
        if missing:
            return not_yet(missing)
        verdict, said, change = decide(curves, "bca")
        return Finding(verdict, f"{said} ({curves['run'].nunique()} runs.)", change)

    return judge


def h0_count(evidence: Evidence) -> Finding:
    """C1: the number of H0 features stays constant."""
    grids = [grid.name for grid in evidence.sweep.grids]
    records = [record for record in evidence.records(*grids) if record.config.method == "prompt-tuning"]
    missing = evidence.missing(*grids)
    if not records:
        return not_yet(missing)
    differs = {record.config.hash: _steps_that_differ(record) for record in records}
    changed = [record for record in records if differs[record.config.hash]]
    checkpoints = sum(len(record.topology) for record in records)
    said = (
        f"The number of $H_0$ features differs from $n$ at some checkpoint in {len(changed)} of {len(records)} runs "
        f"({checkpoints} checkpoints). It holds by construction: $n$ distinct points give $n$ bars, in noise as well."
    )
    if not changed:
        if missing:  # "at every checkpoint of every run"
            return Finding(None, said, "The missing runs, in principle.", missing)
        return Finding("reproduced", said, "Nothing: it is a theorem.", missing)
    last = max(step for steps in differs.values() for step in steps)
    begun = ", ".join(sorted({setting_name("init", record.config.init) for record in changed}))
    said += (
        f" These runs have {begun}, and differ up to step {last}: tokens that coincide are one feature until they part."
    )
    return Finding(
        "contradicted", said, "Leaving out prompts with tokens that coincide: then it is a theorem.", missing
    )


def _steps_that_differ(record: RunRecord) -> list[int]:
    """Steps at which there are fewer H0 features than tokens."""
    table = record.topology
    return [int(step) for step in table.loc[table["h0_count"] != record.config.n_tokens, "step"]]


def h1_falls(curves: pd.DataFrame, kind: Kind) -> tuple[Verdict, str, str]:
    """C2: the number of H1 features falls and approaches zero."""
    rho = _of_runs(curves, partial(structure.drift, column="h1_count"), kind)
    null = _of_runs(curves, partial(structure.drift, column="null_h1_count"), kind)
    rest = _of_runs(curves, partial(structure.relative, column="h1_count"), kind)
    noise = rho.low <= null.high and null.low <= rho.high
    verdict = decided(rho.high < 0 and rest.value <= 0.2, rho.low > 0 or (rho.value < 0 and rest.low > 0.5))
    said = (
        f"Spearman's ρ of the $H_1$ count with the step is {rho} per run. For the random twin it is {null}. In the "
        f"last third the count is {rest} of that at the first checkpoint."
    )
    change = (
        "Runs whose loops stay: a trend that may be 0, or more than a fifth of them left. That loops vanish because "
        "something is learnt would take twins that keep theirs."
    )
    return verdict, said + (" So it does for noise." if noise and verdict == "reproduced" else ""), change


def multi_falls_faster(evidence: Evidence) -> Finding:
    """C3: it falls faster and more steadily with ten samples."""
    curves, missing = on_record(evidence)
    if missing:
        return not_yet(missing)
    sides = [curves[curves["samples"] == samples] for samples in (10, 1)]
    statistics = (
        partial(structure.fall, column="h1_count", step=100),
        partial(structure.not_rising, column="h1_count"),
    )
    falls, steady = (
        stats.difference(*(structure.per_run(side, statistic).to_numpy() for side in sides), kind="bca")
        for statistic in statistics
    )
    verdict = decided(min(falls.low, steady.low) > 0, max(falls.high, steady.high) < 0)
    said = (
        f"Ten samples less one: the relative fall of the $H_1$ count after 100 steps differs by {falls}. The share of "
        f"checkpoints at which it does not rise differs by {steady}."
    )
    precisions = [", ".join(sorted({config.dtype for config in evidence.asked(*of)})) for of in (MULTI, SINGLE)]
    change = (
        "Both differences on the same side of 0: more runs, and the same precision of the frozen model for both (ten "
        f"samples: {precisions[0]}; one: {precisions[1]})."
    )
    return Finding(verdict, said, change)


def h0_lengthens(curves: pd.DataFrame, kind: Kind) -> tuple[Verdict, str, str]:
    """C4: H0 features become longer."""
    ratio = _of_runs(curves, partial(structure.relative, column="h0_mean_lifespan"), kind)
    null = _of_runs(curves, partial(structure.relative, column="null_h0_mean_lifespan"), kind)
    scaled = curves.assign(share=curves["h0_mean_lifespan"] / curves["mean_norm"])
    norm = _of_runs(scaled, partial(structure.relative, column="share"), kind)
    verdict = decided(ratio.low > 1, ratio.high < 1)
    said = (
        f"The mean $H_0$ lifespan of the last third is {ratio} times that of the first checkpoint. For the random "
        f"twin it is {null} times. Relative to the tokens' mean norm it is {norm} times."
    )
    change = (
        "Lifespans that shrink. The claim is about absolute lengths, which grow with the norm of whatever moves away "
        "from 0: one about lengths relative to the norm would be judged by the last of these figures."
    )
    return verdict, said, change


def entropy_drops(curves: pd.DataFrame, kind: Kind) -> tuple[Verdict, str, str]:
    """C5: persistence entropy drops early, modestly, then is stable."""
    column = "persistence_entropy"
    early = _of_runs(curves, partial(structure.fall, column=column, step=60), kind)
    slope = _of_runs(curves, partial(structure.slopes, column=column, step=60), kind)
    null = _of_runs(curves, partial(structure.fall, column="null_persistence_entropy", step=60), kind)
    verdict = decided(early.low > 0 and early.value <= 0.2 and slope.value <= 0.25, early.high < 0)
    said = (
        f"At step 60 the entropy has fallen by {_percent(early)} of its first value. The twin's has by "
        f"{_percent(null)}. Its mean absolute slope after that is {slope} of that before."
    )
    change = (
        "An entropy that rises at first, falls by more than a fifth, or goes on changing after step 60. That the drop "
        "is the work of training would take one that is larger than the twin's."
    )
    return verdict, said, change


def _percent(share: Interval) -> str:
    return f"{share.value:.1%} [{share.low:.1%}, {share.high:.1%}]"


def density_falls(curves: pd.DataFrame, kind: Kind) -> tuple[Verdict, str, str]:
    """C6: H1 density falls clearly while the overall density hardly does."""
    loops = structure.per_run(curves, partial(structure.relative, column="h1_density"))
    overall = structure.per_run(curves, partial(structure.relative, column="density"))
    one, all_, apart = (stats.mean(values.to_numpy(), kind=kind) for values in (loops, overall, overall - loops))
    verdict = decided(one.high <= 0.5 and all_.low >= 0.8, one.low > 1 or apart.high <= 0)
    said = (
        f"In the last third the $H_1$ density is {one} of its first value. The overall density is {all_} of it. The "
        f"second less the first is {apart}."
    )
    change = (
        "An overall density that keeps four fifths of its first value would make it reproduced, one that falls as far "
        "as that of the loops contradicted."
    )
    return verdict, said, change


def goes_with_accuracy(curves: pd.DataFrame, kind: Kind) -> tuple[Verdict, str, str]:
    """C7: the mean H0 lifespan goes with accuracy."""
    rho = structure.correlation(curves, "h0_mean_lifespan", "exact", kind=kind)
    given = structure.correlation(curves, "h0_mean_lifespan", "exact", given="step", kind=kind)
    tokens = [
        structure.correlation(curves, "h0_mean_lifespan", "token_accuracy", given=of, kind=kind)
        for of in (None, "step")
    ]
    parted = structure.per_run(curves, _thirds_are_apart)
    verdict = decided(rho.value > 0.5 and rho.low > 0 and given.low > 0, rho.high < 0 or given.high < 0)
    said = (
        f"ρ of the mean $H_0$ lifespan with accuracy (samples that are exact) over checkpoints is {rho}. Given the "
        f"step it is {given}. With accuracy token by token, which does not decide here, it is {tokens[0]}. Given the "
        f"step that is {tokens[1]}. In {parted.sum():.0f} of {len(parted)} runs the first and the last third do "
        "not overlap (U = 0 or its largest value)."
    )
    drift = rho.value > 0.5 and rho.low > 0 and given.low <= 0 <= given.high
    change = (
        "Runs in which accuracy is higher where lifespans are longer at the same step: that alone tells a relation "
        "from two quantities that both change with time."
    )
    return verdict, said + (" Reproduced as drift only." if drift else ""), change


def _thirds_are_apart(curve: pd.DataFrame) -> bool:
    u, _ = structure.drift_test(curve, "h0_mean_lifespan")
    return u in (0, (len(curve) // 3) ** 2)


def other_features(curves: pd.DataFrame, kind: Kind) -> tuple[Verdict, str, str]:
    """C8: entropy and H1 count go against accuracy, the mean H1 lifespan does not go with it."""
    names = {"persistence_entropy": "entropy", "h1_count": "$H_1$ count", "h1_mean_lifespan": "mean $H_1$ lifespan"}
    rho = {name: structure.correlation(curves, name, "exact", kind=kind) for name in names}
    given = {name: structure.correlation(curves, name, "exact", given="step", kind=kind) for name in names}
    first, second, third = rho.values()
    verdict = decided(
        max(first.high, second.high) < 0 and third.low >= -0.2 and third.high <= 0.2, first.low > 0 or second.low > 0
    )
    over = "ρ with accuracy (samples that are exact) over checkpoints, of"
    said = items(over, [f"{words} {rho[name]}" for name, words in names.items()])
    said += items("Given the step, of", [f"{words} {given[name]}" for name, words in names.items()])
    change = (
        "More runs: whole runs are drawn, and checkpoints of one run are much alike. Intervals below 0 for the first "
        "two, and within ±0.2 for the third, would make it reproduced."
    )
    return verdict, said, change
