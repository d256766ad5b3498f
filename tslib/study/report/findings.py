"""What each chapter found, in a few sentences from the records: the box at the head of its page."""

import pandas as pd

from tslib import stats
from tslib.config import PRESETS
from tslib.study import claims
from tslib.study.evidence import Evidence
from tslib.study.names import feature_name, method_name
from tslib.study.report import evidence as report_evidence
from tslib.study.report import rates as report_rates
from tslib.study.report import settings as report_settings
from tslib.study.report import structure as report_structure

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
    said = "Of no setting of TSLoss are all runs made."
    if len(rows):
        below, above = rows[rows["high"] < 1], rows[rows["low"] > 1]
        said = (
            f"Values other than the defaults whose runs are all made: {len(rows)}, of "
            f"{', '.join(dict.fromkeys(rows['setting']))}. At {_few(below)} TSLoss needs fewer iterations "
            f"than cross-entropy alone (the interval lies below 1), at {_few(above)} more; each interval stands for "
            f"itself, and by chance alone {0.05 * len(rows):.1f} of so many would miss 1. "
            f"{report_settings.read_again(evidence)}\n\n"
            f"{report_settings.read_by_itself(report_settings.by_itself(evidence))}"
        )
    return (
        f"{said} {report_evidence.not_there(evidence, *grids)} The paper's learning rate, {PRESETS['paper']:g}, costs "
        f"cross-entropy alone {report_rates.times_slower(report_rates.rates(alone))} the iterations of the tuned "
        "one."
    )


def _few(rows: pd.DataFrame) -> str:
    """Count rows of settings, and name them where they are few."""
    names = [f"{setting} = {value}" for setting, value in rows[["setting", "value"]].to_numpy().tolist()]
    return f"{len(names)} ({', '.join(names)})" if 0 < len(names) <= 3 else str(len(names))


def baselines(evidence: Evidence) -> str:
    """Say, task by task, whether regularisers with topology do anything that those without do not."""
    parts = []
    for task in ("gsm8k", "mmlu"):
        comparison = report_evidence.baselines(evidence, task)
        if len(comparison) and not evidence.missing(f"baselines, {task}"):
            parts.append(f"On {task}: {report_evidence.read_baselines(comparison)}")
        else:
            parts.append(f"On {task} nothing is decided. {report_evidence.not_there(evidence, f'baselines, {task}')}")
    return "\n\n".join([*parts, report_evidence.read_kept_back(evidence)]).rstrip()


def causation(evidence: Evidence) -> str:
    """Say which pushes on a topological quantity move held-out accuracy."""
    grids = (report_evidence.MEASURED, *report_evidence.PUSHES)
    scores = evidence.evaluations(*grids)
    pushes = report_evidence.pushes(scores)
    note = report_evidence.not_there(evidence, *grids)
    if evidence.missing(report_evidence.MEASURED) or not pushes:
        return f"Nothing is decided about causes. {note}"
    gains = {name: claims.held_out_gain(scores, "none", "score", name) for name in pushes}
    clear = [f"{method_name(name)} ({gain})" for name, gain in gains.items() if gain.low > 0 or gain.high < 0]
    return (
        f"Of {len(pushes)} pushes on a topological quantity {len(clear)} move held-out accuracy by an interval that "
        f"excludes 0{': ' if clear else ''}{', '.join(clear)}. Each interval stands for itself, uncorrected for "
        f"{len(pushes)} pushes: {', '.join(map(method_name, pushes))}. Runs that diverged: "
        f"{stats.ended(evidence.runs(*grids))['diverged']}. {note}"
    ).rstrip()
