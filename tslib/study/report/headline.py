"""The answer of the book in three short paragraphs: what TSLoss does to speed and to the cloud, and what does help.

Each is the box of the chapter that shows it, too: the first of that on convergence, the second of that on what TSLoss
does. What a person would say comes first, chosen by the figures; a number or two stand behind it.
"""

import numpy as np

from tslib import stats
from tslib.stats import Interval
from tslib.study import claims, treatment
from tslib.study.claims.criteria import MULTI, SINGLE
from tslib.study.claims.sceptic import MATTERS
from tslib.study.evidence import MAIN, Evidence
from tslib.study.paper import GSM8K_RATIO
from tslib.study.report.phrases import few, plural

__all__ = ["cloud", "lead_of_cloud", "lead_of_speed", "lines", "short", "speed"]

END = 300
"""The step at which loops are counted, in runs that go on whether or not they are correct."""


def lead_of_speed(found: Interval) -> str:
    """Say whether TSLoss makes tuning faster, from the ratio of iterations with it to those without."""
    if found.high < 1:
        return "TSLoss makes tuning faster in our runs"
    if found.low > 1:
        return "TSLoss makes tuning slower in our runs"
    if MATTERS[0] <= found.low and found.high <= MATTERS[1]:
        return "TSLoss makes tuning neither faster nor slower in our runs"
    return "We found no gain in speed from TSLoss"


def speed(evidence: Evidence) -> str:
    """Return what TSLoss does to the number of iterations: the paper's example, the pairs, the paper's ratio."""
    found, pairs, places = claims.geometric(evidence)
    every, whole, _ = claims.geometric(evidence, treated=False)
    table = evidence.runs(MAIN)
    ours, alone = (stats.mean_iterations(table[table["regularizer"] == name]) for name in ("tsloss", "none"))
    acted, others = "", ""
    if pairs < whole:
        acted, others = " that last until TSLoss has acted", f" Over all {whole} it is {every}."
    return (
        f"**{lead_of_speed(found)}.** To make SmolLM2-135M write one GSM8K solution word for word takes {ours:.0f} "
        f"steps with TSLoss, {alone:.0f} without. Over {plural(pairs, 'pair')}{acted}, in {few(places)} "
        f"setting{'s' * (places != 1)}, the ratio is {found}.{others} The paper has {GSM8K_RATIO:.2f}, with "
        "Gemma-2B-IT."
    )


def lead_of_cloud(evens: Interval, loops: Interval) -> str:
    """Say what TSLoss does to a prompt.

    Parameters
    ----------
    evens
        Spread of the deaths of H0 with TSLoss over that without.
    loops
        Number of H1 features with TSLoss less that without.
    """
    shape = "TSLoss spaces tokens evenly, as designed" if evens.high < 1 else "TSLoss does not space tokens evenly"
    if loops.low > 0:
        return f"{shape}, and makes loops instead of removing them"
    return f"{shape}, and {'removes loops' if loops.high < 0 else 'neither makes nor removes loops'}"


def short(evens: Interval, loops: Interval) -> str:
    """Return what TSLoss does to a prompt, with one figure behind it (see `lead_of_cloud`)."""
    how, shown = "more", loops
    if loops.value < 0:
        how, shown = "fewer", Interval(-loops.value, -loops.high, -loops.low)
    return (
        f"**{lead_of_cloud(evens, loops)}.** At step {END} a prompt has {shown.value:.1f} [{shown.low:.1f}, "
        f"{shown.high:.1f}] loops {how} than one without."
    )


def cloud(evens: Interval, loops: Interval) -> str:
    """Return the same with both figures."""
    return (
        f"{short(evens, loops)} When a GSM8K problem is solved, the spread of the distances between neighbouring "
        f"tokens is {evens} of what it is without."
    )


def lines(evidence: Evidence) -> tuple[Interval, Interval]:
    """Return the two numbers of `cloud`: of the main comparison, and of the runs that go on."""
    main = treatment.treatment(evidence, MAIN).set_index("regularizer")
    evens = Interval(*np.exp(main.loc["tsloss", ["spread", "spread_low", "spread_high"]].to_numpy(float)).tolist())
    differences = []
    for grid in (*SINGLE, *MULTI):
        for _, both in treatment.pairs(evidence, grid):
            if both[0][0].config.regularizer == "tsloss":
                differences += [treatment.effect(*pair, step=END).change.loops for pair in both]
    return evens, stats.mean(np.array(differences))
