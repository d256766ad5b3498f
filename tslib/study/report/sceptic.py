"""Sentences, tables and labels on the second part of the criteria: what a sceptic would ask for."""

from collections.abc import Mapping
from typing import Any

import pandas as pd

from tslib import stats
from tslib.config import TuneConfig
from tslib.stats import Interval
from tslib.study.claims.sceptic import EXPERIMENTS, Experiment, judged
from tslib.study.evidence import Evidence
from tslib.study.names import method_name, model_name, prompt_method_name, setting_name, task_name
from tslib.study.paper import TABLE4
from tslib.study.report.evidence import not_there
from tslib.study.report.phrases import few, listed, mean_of_runs, upper

__all__ = [
    "alone",
    "answer",
    "baseline",
    "failing",
    "labelled",
    "named",
    "of_summary",
    "pairs",
    "read",
    "summary",
    "table",
]

SHOWN = ("weight", "lr", "n_tokens", "method", "prompt_dtype")
"""Fields that the name of a row tells where its experiment varies them."""


def named(row: Mapping[Any, Any], varied: set[str]) -> str:
    """Name a row of ``judged``: its method, model or task where these vary, and the settings that do.

    Parameters
    ----------
    row
        A row.
    varied
        Fields of ``TuneConfig`` that are not the same in all rows of its experiment.
    """
    parts = [method_name(row["regularizer"])]
    if "weight" in varied:
        parts.append(setting_name("weight", row["weight"]))
    if "model" in varied:
        parts.append(model_name(row["model"]))
    if "task" in varied:
        parts.append(task_name(row["task"]))
    if "method" in varied and row["method"] != TuneConfig().method:
        parts.append(prompt_method_name(row["method"]))
    parts += [setting_name(name, row[name]) for name in ("lr", "n_tokens", "prompt_dtype") if name in varied]
    return ", ".join(parts)


def _varied(rows: pd.DataFrame) -> set[str]:
    """Fields that an experiment varies, but for those that follow from another one: L2's own weight, a model's rate."""
    follows = {"weight": "regularizer", "lr": "model"}
    names = {name for name in ("model", "task", *SHOWN) if len(set(rows[name])) > 1}
    return {name for name in names if name not in follows or rows.groupby(follows[name])[name].nunique().max() > 1}


def labelled(rows: pd.DataFrame) -> pd.DataFrame:
    """Give the rows of ``judged`` the columns of ``plots.forest``; those that are not observed are left out."""
    rows = rows[rows["observed"].astype(bool)]
    varied = _varied(rows)
    labels = [named(row, varied) + (" (new pairs)" if row["which"] == "new pairs" else "") for row in _dicts(rows)]
    return rows.assign(label=labels, value=rows["ratio"], low=rows["ratio_low"], high=rows["ratio_high"])


def table(rows: pd.DataFrame, experiment: Experiment) -> pd.DataFrame:
    """Word the rows of ``judged``: what is compared, what was done to the cloud, the ratio, and what it means."""
    varied = _varied(rows)
    return pd.DataFrame(
        [
            {
                "compared with cross-entropy alone": named(row, varied),
                "pairs": f"{row['pairs']}" + (", new" if row["which"] == "new pairs" else ""),
                "never correct": f"{row['censored']} of {row['pairs']}",
                "pull": f"{row['pull']:.1%}",
                "spread of H0 deaths": _spread(row),
                f"ratio [{experiment.confidence:.1%}]": _ratio(row) if row["observed"] else "not observed",
                "found": row["found"],
            }
            for row in _dicts(rows)
        ]
    )


def _spread(row: Mapping[Any, Any]) -> str:
    if pd.isna(row["spread"]):
        return "not read"
    return f"{row['spread_alone']:.3f} to {row['spread_with']:.3f}"


def _ratio(row: Mapping[Any, Any]) -> str:
    return str(Interval(row["ratio"], row["ratio_low"], row["ratio_high"]))


ORDER = ("faster", "slower", "no difference that matters", "undecided", "not treated", "not observed")
"""What is said first."""


def read(rows: pd.DataFrame) -> str:
    """Say what an experiment found: what is faster first, then slower, then the rest, each with its ratio."""
    judges = rows[rows["which"] == "all pairs"]
    varied = _varied(judges)
    parts = [
        f"{upper(said)}: {named(row, varied)}" + (f", {_ratio(row)}." if row["observed"] else ".")
        for said in ORDER
        for row in _dicts(judges[judges["found"] == said])
    ]
    return f"{' '.join(parts)} Ratios of {pairs(judges)}."


def failing(rows: pd.DataFrame, experiment: Experiment) -> str:
    """Say in how many pairs only the one run fails, with the regulariser or without, McNemar's p, and what counts."""
    varied = _varied(rows)
    parts = [
        f"{upper(named(row, varied))}: {row['only_ours'] or 'none'} with it and {row['only_theirs'] or 'none'} without "
        f"it, p = {row['p']:.2g}."
        for row in _dicts(rows)
    ]
    said = f"Pairs of which one run alone diverges or is never correct. {' '.join(parts)}"
    return f"{said} By the rule a p below {1 - experiment.confidence:.3f} counts."


def answer(rows: pd.DataFrame, second: Evidence, experiment: Experiment) -> str:
    """Say what an experiment found, and how many of its runs are missing.

    Parameters
    ----------
    rows
        Of ``judged``.
    second
        The runs.
    experiment
        Which of them.
    """
    missing = not_there(second, *experiment.grids).replace("section", "experiment")
    return "\n\n".join(filter(None, [read(rows) if len(rows) else "", missing]))


def summary(second: Evidence, first: Evidence) -> str:
    """Say whether any reply is borne out by the experiments that have a whole grid, and how many have none yet."""
    found = {name: judged(second, first, experiment) for name, experiment in EXPERIMENTS.items()}
    return of_summary({name: rows for name, rows in found.items() if len(rows)}, len(EXPERIMENTS))


def of_summary(found: Mapping[str, pd.DataFrame], total: int) -> str:
    """Return the box of the chapter of replies.

    Parameters
    ----------
    found
        Of experiments that have a whole grid: ``judged``.
    total
        How many experiments there are.
    """
    if not found:
        return f"**No reply can be judged yet: of {few(total)} experiments none is whole.**"
    judges = pd.concat([rows[rows["which"] == "all pairs"].assign(experiment=name) for name, rows in found.items()])
    ours = judges[judges["regularizer"].str.startswith("tsloss")]
    faster, slower = (ours[ours["found"] == said] for said in ("faster", "slower"))
    waiting = total - len(found)
    lead = f"{'So far no' if waiting else 'No'} reply changes the answer: TSLoss is faster in none of its experiments"
    if len(faster):
        lead = f"TSLoss is faster in {listed(list(dict.fromkeys(faster['experiment'])))}"
    parts = [f"**{lead}.** {upper(few(len(ours)))} {'setting was' if len(ours) == 1 else 'settings were'} looked at."]
    if len(slower):
        parts.append(f"In {few(len(slower))} it is slower.")
    if level := int((ours["found"] == "no difference that matters").sum()):
        parts.append(f"In {few(level)} there is no difference that matters.")
    if idle := int((ours["found"] == "not treated").sum()):
        parts.append(f"In {few(idle)} it does not space tokens more evenly, so that nothing is said of its effect.")
    if waiting:
        parts.append(
            f"Of {few(total)} experiments {few(waiting)} {'has' if waiting == 1 else 'have'} no whole grid yet."
        )
    return " ".join(parts)


def alone(second: Evidence) -> dict[str, str]:
    """Return how many iterations cross-entropy alone needs in the paper's setting, by grid; of whole grids only."""
    runs = {grid: second.runs(grid, regularizer="none") for grid in EXPERIMENTS["the paper's setting"].grids}
    return {
        grid: mean_of_runs(stats.mean_iterations(table), **stats.ended(table))
        for grid, table in runs.items()
        if len(table)
    }


def baseline(second: Evidence) -> str:
    """Say how many iterations cross-entropy alone needs in the paper's setting, beside the paper's own number."""
    parts = [f"{model_name(second.asked(grid)[0].model)} {mean}" for grid, mean in alone(second).items()]
    theirs = TABLE4.set_index("weight")["iterations"]
    return f"Iterations without TSLoss: {'; '.join(parts)}. The paper's Gemma-2B-IT needs {theirs[0.0]}."


def pairs(rows: pd.DataFrame) -> str:
    """Say how many pairs some ratios are of: "5 pairs", "5 or 10 pairs"."""
    numbers = sorted(set(rows["pairs"]))
    return f"{listed([str(one) for one in numbers], 'or')} {'pair' if numbers == [1] else 'pairs'}"


def _dicts(rows: pd.DataFrame) -> list[dict[str, Any]]:
    return [{str(name): value for name, value in row.items()} for row in rows.to_dict("records")]
