"""What each chapter found, in a few sentences from the records: the box at the head of its page."""

from collections.abc import Mapping, Sequence

import pandas as pd
from scipy.stats import binom

from tslib import stats
from tslib.presets import PRESETS
from tslib.stats import Interval
from tslib.study import claims
from tslib.study.evidence import Evidence
from tslib.study.names import feature_name, method_name, setting_name, task_name
from tslib.study.report import evidence as report_evidence
from tslib.study.report import rates as report_rates
from tslib.study.report import settings as report_settings
from tslib.study.report import structure as report_structure
from tslib.study.report.phrases import few, listed, plural, upper

__all__ = ["baselines", "causation", "sensitivity", "structure"]

FEATURE = "h0_mean_lifespan"
"""The feature whose correlation with accuracy is the paper's strongest."""


def structure(evidence: Evidence) -> str:
    """Say what becomes of the loops, beside the twins, and whether the paper's strongest correlation outlives time."""
    settings = report_structure.by_setting(evidence)
    if not settings:
        return "None of these runs is committed yet."
    table = report_structure.table2(next(iter(settings.values())))
    row = report_structure.words(table).set_index(table["feature"]).loc[FEATURE]
    return (
        f"{report_structure.read_bands(settings)}\n\nThe paper's strongest correlation with accuracy, that of the "
        f"{feature_name(FEATURE)} ({row['the paper']}), is {row['within tasks']} within our tasks; with task and step "
        f"taken out, it is {row['task and step taken out']}. "
        f"{report_structure.read_by_halves(report_structure.by_halves(evidence))}"
    ).rstrip()


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
    grids = ("the weight, gsm8k", *report_settings.SENSITIVITY.values())
    slower = report_rates.times_slower(report_rates.rates(alone))
    paragraphs = (
        " ".join(filter(None, [_seen(rows), report_settings.read_again(evidence) if len(rows) else ""])),
        report_settings.read_by_itself(report_settings.by_itself(evidence)),
        report_evidence.not_there(evidence, *grids),
        f"At the paper's learning rate, {PRESETS['paper']:g}, tuning without TSLoss takes {slower} as many iterations "
        "as at the tuned one.",
    )
    return "\n\n".join(filter(None, paragraphs))


def _seen(rows: pd.DataFrame) -> str:
    """Say how many values of how many settings show a gain or a loss, and how many would by chance."""
    if rows.empty:
        return "Of no setting of TSLoss are all runs made."
    below, above = rows[rows["high"] < 1], rows[rows["low"] > 1]
    shown = listed([_few(below, "a gain"), _few(above, "a loss")])
    beyond = binom.sf(len(below) + len(above) - 1, len(rows), 0.05) < 0.05
    chance = "more than chance is likely to show" if beyond else "no more than chance would show"
    return (
        f"We changed {plural(rows['setting'].nunique(), 'setting')} to {plural(len(rows), 'other value')}, one at a "
        f"time. {upper(shown)}: {chance} ({0.05 * len(rows):.1f})."
    )


def _few(rows: pd.DataFrame, what: str) -> str:
    """Count rows of settings that show something, and name them where they are few."""
    names = [setting_name(setting, value) for setting, value in rows[["setting", "value"]].to_numpy().tolist()]
    named = f" ({', '.join(names)})" if 0 < len(names) <= 3 else ""
    return f"{few(len(names))} showed {what}{named}"


def baselines(evidence: Evidence) -> str:
    """Say, task by task, whether regularisers with topology do anything that those without do not."""
    parts = []
    for task in ("gsm8k", "mmlu"):
        comparison = report_evidence.baselines(evidence, task)
        if len(comparison) and not evidence.missing(f"baselines, {task}"):
            parts.append(f"*{task_name(task)}.* {report_evidence.read_baselines(comparison)}")
        else:
            note = report_evidence.not_there(evidence, f"baselines, {task}")
            parts.append(f"*{task_name(task)}.* Nothing is decided. {note}")
    return "\n\n".join([*parts, report_evidence.read_kept_back(evidence)]).rstrip()


def causation(evidence: Evidence) -> str:
    """Say which pushes on a topological quantity move held-out accuracy."""
    grids = (report_evidence.MEASURED, *report_evidence.PUSHES)
    scores = evidence.evaluations(*grids)
    pushes = report_evidence.pushes(scores)
    missing, asked = evidence.missing(*grids), len(evidence.asked(*grids))
    made = f"Unfinished: {asked - missing} of {asked} runs are made. " if missing else ""
    if evidence.missing(report_evidence.MEASURED) or not pushes:
        return f"{made}Nothing is decided about causes."
    gains = {name: claims.held_out_gain(scores, "none", "score", name) for name in pushes}
    clear = {name: gain for name, gain in gains.items() if gain.low > 0 or gain.high < 0}
    diverged = stats.ended(evidence.runs(*grids))["diverged"]
    parts = [f"{made}{upper(_moved(clear, [method_name(name) for name in pushes if name not in clear]))}."]
    if len(pushes) > 1:
        parts.append(f"Each interval stands for itself, uncorrected for {few(len(pushes))} pushes.")
    if diverged:
        parts.append(f"{plural(diverged, 'run')} diverged.")
    return " ".join(parts)


def _moved(clear: Mapping[str, Interval], others: Sequence[str]) -> str:
    """Say what moved held-out accuracy, with its difference, and what did not."""
    moved = listed([f"{method_name(name)} ({gain})" for name, gain in clear.items()]) if clear else ""
    if not others:
        return f"{moved} moved held-out accuracy"
    if moved:
        return f"{moved} moved held-out accuracy; {listed(others, 'or')} did not detectably"
    if len(others) == 1:
        return f"{others[0]} did not move held-out accuracy detectably"
    if len(others) == 2:
        return f"neither {listed(others, 'nor')} moved held-out accuracy detectably"
    return f"none of {few(len(others))} pushes moved held-out accuracy detectably ({', '.join(others)})"
