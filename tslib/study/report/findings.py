"""What each chapter found, from the records: the box at the head of its page, sixty words at most.

First the sentence that a person would say, chosen by the figures, then a number or two. Those of the chapters on
convergence and on what TSLoss does are in `tslib.study.report.headline`.
"""

from collections.abc import Mapping

import pandas as pd
from scipy.stats import binom

from tslib import stats
from tslib.stats import Interval
from tslib.study import claims
from tslib.study.evidence import Evidence
from tslib.study.names import feature_name, method_name, setting_name, task_name
from tslib.study.report import evidence as report_evidence
from tslib.study.report import precision as report_precision
from tslib.study.report import rates as report_rates
from tslib.study.report import settings as report_settings
from tslib.study.report import structure as report_structure
from tslib.study.report.phrases import few, listed, plural, upper

__all__ = ["NOTHING", "baselines", "causation", "sensitivity", "structure"]

FEATURE = "h0_mean_lifespan"
"""The feature whose correlation with accuracy is the paper's strongest."""
NOTHING = "**None of these runs is committed yet.**"


def structure(evidence: Evidence) -> str:
    """Say what becomes of the loops, beside the twins, and whether the paper's strongest correlation outlives time."""
    settings = report_structure.by_setting(evidence)
    if not settings:
        return NOTHING
    first = next(iter(settings.values()))
    rows = report_structure.table2(first).to_dict("records")
    (row,) = (row for row in rows if row["feature"] == FEATURE)
    beside = Interval(row["beside"], row["beside_low"], row["beside_high"])
    return of_structure(report_structure.loops(first), beside, row["paper"])


def of_structure(loops: report_structure.Loops, beside: Interval, printed: float) -> str:
    """Return the box of the chapter on structure.

    Parameters
    ----------
    loops
        Of the runs of one sample.
    beside
        Correlation of `FEATURE` with accuracy, with task and step taken out.
    printed
        The paper's.
    """
    stays = "stays" if beside.low > 0 or beside.high < 0 else "is gone"
    return (
        f"**{loops.lead}.** Of {loops.first:.1f} loops there are {loops.last.value:.1f} left at step {loops.step}, and "
        f"{loops.twin.value:.1f} in the random walk. The paper's strongest correlation with accuracy, {printed:.2f} "
        f"for the {feature_name(FEATURE)}, {stays} once task and step are taken out: {beside}."
    )


def sensitivity(evidence: Evidence, alone: Evidence) -> str:
    """Say how many values of how many settings change the outcome, and what the paper's learning rate costs.

    Parameters
    ----------
    evidence
        The runs with and without TSLoss.
    alone
        Those that choose the learning rate.
    """
    tables = [report_settings.table4(evidence).assign(setting="weight"), report_settings.settings_table(evidence)]
    rows = pd.concat([report_settings.varied(table) for table in tables if len(table)] or [pd.DataFrame()])
    if rows.empty:
        return NOTHING
    slower = report_rates.times_slower(report_rates.rates(alone))
    parts = (
        changed(rows),
        report_settings.read_again(evidence),
        f"The paper's learning rate takes {slower} as many steps as ours.",
        report_precision.beside_rounding(report_precision.factors(evidence)),
    )
    return " ".join(filter(None, parts))


def changed(rows: pd.DataFrame) -> str:
    """Say how many values of how many settings show a gain or a loss, and how many would by chance.

    Parameters
    ----------
    rows
        ``setting``, ``value``, and the ends of the interval of the ratio of iterations, ``low`` and ``high``.
    """
    below, above = rows[rows["high"] < 1], rows[rows["low"] > 1]
    what = f"{plural(len(rows), 'change')} of {plural(rows['setting'].nunique(), 'setting')}"
    if below.empty and above.empty:
        return f"**No setting made TSLoss faster or slower.** We tried {what}."
    beyond = binom.sf(len(below) + len(above) - 1, len(rows), 0.05) < 0.05
    chance = "more than chance would show" if beyond else "as chance would show"
    shown = listed([f"{few(len(side))} {does}" for side, does in ((below, "faster"), (above, "slower")) if len(side)])
    names = [
        setting_name(setting, value)
        for side in (below, above)
        for setting, value in side[["setting", "value"]].to_numpy().tolist()
    ]
    named = f": {', '.join(names)}" if len(names) <= 3 else ""
    return f"**Of {what}, {shown.replace(' ', ' made TSLoss ', 1)}, {chance}{named}.**"


def baselines(evidence: Evidence) -> str:
    """Say, over both tasks, whether regularisers with topology do anything that those without do not."""
    found = {}
    for task in ("gsm8k", "mmlu"):
        whole = not evidence.missing(f"baselines, {task}")
        found[task] = report_evidence.baselines(evidence, task) if whole else pd.DataFrame()
    kept_back = report_evidence.kept_back(claims.ratios(evidence, combinations=claims.KEPT_BACK))
    return " ".join(filter(None, (of_baselines(found), kept_back)))


def of_baselines(found: Mapping[str, pd.DataFrame]) -> str:
    """Return the box of the chapter on baselines.

    Parameters
    ----------
    found
        By the task: ``stats.comparison`` of the methods; empty while runs are missing.
    """
    rows = {task: table.dropna(subset="ratio") for task, table in found.items() if len(table)}
    if not rows:
        return NOTHING
    every = pd.concat(rows.values())
    helps = every[every["high"] < 1]["regularizer"].str.startswith(report_evidence.TOPOLOGICAL)
    if helps.empty:
        lead = "No regulariser makes tuning faster"
    else:
        lead = "Topology helps where nothing else does" if helps.all() else "What helps needs no topology"
    parts = [f"On {task_name(task)} {report_evidence.acts(table)}." for task, table in rows.items()]
    parts += [f"On {task_name(task)} runs are missing." for task, table in found.items() if table.empty]
    return f"**{lead}.** {' '.join(parts)}"


def causation(evidence: Evidence) -> str:
    """Say which pushes on a topological quantity move held-out accuracy."""
    grids = (report_evidence.MEASURED, *report_evidence.PUSHES)
    scores = evidence.evaluations(*grids)
    pushes = report_evidence.pushes(scores)
    missing, asked = evidence.missing(*grids), len(evidence.asked(*grids))
    made = f" So far {asked - missing} of {asked} runs are made." if missing else ""
    if evidence.missing(report_evidence.MEASURED) or not pushes:
        return f"**Nothing is decided about causes.**{made}"
    gains = {name: claims.held_out_gain(scores, "none", "score", name) for name in pushes}
    diverged = stats.ended(evidence.runs(*grids))["diverged"]
    parts = [f"**{upper(_moved(gains))}.**{made}"]
    if len(pushes) > 1:
        parts.append(f"Intervals are not corrected for {few(len(pushes))} comparisons.")
    if diverged:
        parts.append(f"{plural(diverged, 'run')} diverged.")
    moved = any(gain.low > 0 or gain.high < 0 for gain in gains.values())
    above = claims.above_floor(evidence, scores)
    if not moved and above and not any(gain.low > 0 for gain in above.values()):
        parts.append("Tuning does not lift accuracy above its floor here, so that this says little.")
    return " ".join(parts)


def _moved(gains: Mapping[str, Interval]) -> str:
    """Say what moved held-out accuracy, with its difference, and what did not."""
    what = "accuracy on unseen questions"
    clear = {name: gain for name, gain in gains.items() if gain.low > 0 or gain.high < 0}
    others = [method_name(name) for name in gains if name not in clear]
    if clear:
        parts = [
            f"{method_name(n)} {'raised' if g.value > 0 else 'lowered'} it by {abs(g.value):.2f}"
            for n, g in clear.items()
        ]
        return f"of {few(len(gains))} pushes on a shape, {few(len(clear))} moved {what}: {listed(parts)}"
    if len(others) == 1:
        return f"{others[0]}, the only push tried, did not move {what} detectably"
    who = f"neither {listed(others, 'nor')}" if len(others) == 2 else f"none of {few(len(others))} pushes"
    return f"{who} moved {what} detectably"
