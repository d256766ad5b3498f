"""The answer of the book in three sentences, computed: what TSLoss does to the cloud, to loops, and to speed."""

import numpy as np

from tslib import stats
from tslib.stats import Interval, Ratio
from tslib.study import claims, treatment
from tslib.study.claims.criteria import MULTI, SINGLE
from tslib.study.evidence import MAIN, Evidence
from tslib.study.paper import GSM8K_RATIO

__all__ = ["answer", "headline", "lines"]

END = 300
"""The step at which loops are counted, in runs that go on whether or not they are correct."""


def answer(evens: Interval, loops: Interval, speed: Interval) -> str:
    """Say in a sentence what TSLoss does.

    Parameters
    ----------
    evens
        Spread of the deaths of H0 with TSLoss over that without.
    loops
        Number of H1 features with TSLoss less that without.
    speed
        Iterations with TSLoss over those without.
    """
    shape = "reshapes the cloud as designed" if evens.high < 1 else "does not reshape the cloud as designed"
    if loops.low > 0:
        made = "makes loops instead of removing them"
    else:
        made = "removes loops" if loops.high < 0 else "neither makes nor removes loops"
    if speed.high < 1:
        fast = "speeds tuning up"
    else:
        fast = "slows tuning down" if speed.low > 1 else "changes no speed that can be told from chance"
    return f"In our runs TSLoss {shape}, {made}, and {fast}."


def lines(evidence: Evidence) -> tuple[Interval, Interval, Interval]:
    """Return the three numbers of `answer`: of the main comparison, of the runs that go on, and of all combinations."""
    main = treatment.treatment(evidence, MAIN).set_index("regularizer")
    evens = Interval(*np.exp(main.loc["tsloss", ["spread", "spread_low", "spread_high"]].to_numpy(float)).tolist())
    differences = []
    for grid in (*SINGLE, *MULTI):
        for _, both in treatment.pairs(evidence, grid):
            if both[0][0].config.regularizer == "tsloss":
                differences += [treatment.effect(*pair, step=END).change.loops for pair in both]
    speed, _, _ = claims.geometric(evidence)
    return evens, stats.mean(np.array(differences)), speed


def headline(evidence: Evidence) -> str:
    """Return the answer in Markdown: a sentence, and the figures behind it."""
    evens, loops, speed = lines(evidence)
    table = evidence.runs(MAIN)
    ratio: Ratio = stats.iteration_ratio(table, "tsloss")
    ours, alone = (stats.mean_iterations(table[table["regularizer"] == name]) for name in ("tsloss", "none"))
    _, pairs, combinations = claims.geometric(evidence)
    return (
        f"**{answer(evens, loops, speed)}** By the time that a GSM8K problem is solved, the lengths of the components "
        f"scatter {evens} times as much as without it. At step {END} there are {loops} loops more. "
        f"{_number(ratio.pairs)} GSM8K problems, each tuned with and without TSLoss on SmolLM2-135M, take {ours:.0f} "
        f"and {alone:.0f} steps on average: a ratio of {ratio}; over all {pairs} pairs of {combinations} combinations "
        f"of model, task and samples it is {speed} (95 % intervals). The paper's ratio on GSM8K is {GSM8K_RATIO:.2f}, "
        "with Gemma-2B-IT."
    )


def _number(count: int) -> str:
    words = {10: "Ten", 20: "Twenty", 30: "Thirty"}
    return words.get(count, str(count))
