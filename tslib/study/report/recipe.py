"""Sentences, tables and labels on the recipe for fewer steps."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from jaxtyping import Float
from numpy import ndarray

from tslib.records.record import RunRecord
from tslib.stats import Interval
from tslib.study.claims.recipe import FACTORS, HALF, TRIALS, Setting, chosen, searched, varied
from tslib.study.evidence import Evidence
from tslib.study.names import setting_name
from tslib.study.report.phrases import few, listed, plural, upper
from tslib.study.report.settings import by_itself, read_by_itself

__all__ = [
    "STARTS",
    "change",
    "finding",
    "labelled",
    "labelled_alone",
    "labelled_judged",
    "read",
    "read_chosen",
    "read_judged",
    "read_runs",
    "read_starts",
    "table",
    "table_judged",
]


INITS = {
    "embedding-gaussian": "Gaussian like the embeddings",
    "vocabulary": "words of the vocabulary",
    "text": "words of a text",
    "superposition": "sums of embeddings",
}


def change(setting: Setting, corner: Mapping[str, Any] = TRIALS) -> str:
    """Say in what a setting of a search differs from another, by default that of the trials."""
    given = varied(setting.config)
    if not given:
        return "The preset tuned"
    parts = [
        _worded(name, given.get(name, getattr(setting.config, name)))
        for name in dict.fromkeys([*corner, *given])
        if given.get(name) != corner.get(name) and name not in OF_OTHERS
    ]
    if not parts:
        return "As in the trials"
    said = listed(parts)
    return upper(said)


OF_OTHERS = ("lr_unit", "superposed")
"""Fields that say nothing beside another one."""


def _worded(name: str, value: Any) -> str:
    number = f"{value:g}" if isinstance(value, float) else value
    match name, value:
        case "init", "gaussian":
            return "Gaussian noise of 0.02"
        case "init", _:
            return INITS[value]
        case "lr", _:
            return f"rate {number}"
        case "warmup_steps", None:
            return "warm-up for a tenth of the steps"
        case "warmup_steps", _:
            return f"warm-up for {plural(value, 'step')}"
        case "beta2", _:
            return f"β₂ = {0.98 if value is None else number}"
        case "weight_decay", _:
            return f"weight decay {0.01 if value is None else number}"
        case "schedule", _:
            return f"{value} rate"
        case "max_grad_norm", _:
            return f"gradients cut to {number}"
        case "n_tokens", _:
            return plural(value, "virtual token")
        case "placement", _:
            return "prompt behind the question" if value == "suffix" else "prompt before the question"
        case "method", _:
            return "a network beside the prompt" if value == "residual" else str(value)
    return f"{name} = {value}"


def labelled(settings: Sequence[Setting], corner: Mapping[str, Any] = TRIALS) -> pd.DataFrame:
    """Return the settings with the columns of ``plots.forest``, best first, without the preset tuned."""
    rows = [(change(one, corner), "none", *one.ratio) for one in settings if not one.tuned]
    return pd.DataFrame(rows, columns=["label", "regularizer", "value", "low", "high"])


def table(settings: Sequence[Setting], corner: Mapping[str, Any] = TRIALS) -> pd.DataFrame:
    """Word the settings of a search, best first."""
    return pd.DataFrame(
        [
            {
                "what is otherwise": change(one, corner),
                "iterations": f"{one.iterations:.1f}",
                "thousand positions": f"{one.work / 1000:.1f}",
                "relative to tuned": "" if one.tuned else str(one.ratio),
                "never correct": f"{one.censored} of {one.pairs}",
            }
            for one in settings
        ]
    )


def read(settings: Sequence[Setting], corner: Mapping[str, Any] = TRIALS) -> str:
    """Say what a search found: the best, the trials' own setting and the preset tuned, in iterations."""
    best = settings[0]
    tuned = next(one for one in settings if one.tuned)
    trial = next(one for one in settings if varied(one.config) == dict(corner))
    if best is tuned:
        lead = "No other setting takes less work than the preset tuned"
    else:
        saved = 1 - best.iterations / tuned.iterations
        name = "what the trials spoke for"
        if best is not trial:
            name = f"what the trials spoke for, with {_lower(change(best, corner))}"
        lead = f"The best setting saves {saved:.0%} of the steps: {name}"
    alone = "" if best in (trial, tuned) else f", and {best.iterations:.0f} with this one change"
    return (
        f"**{lead}.** On {plural(best.pairs, 'problem')} the preset tuned needs {tuned.iterations:.0f} steps, the "
        f"setting of the trials {trial.iterations:.0f}{alone}."
    )


def read_runs(records: Mapping[str, RunRecord]) -> str:
    """Say how many iterations live runs of one problem needed, by the name of their setting."""
    parts = [
        f"{name} {'did not get there in' if (done := record.iterations_to_correct) is None else 'needed'} "
        f"{plural(record.config.max_steps if done is None else done, 'iteration')}"
        for name, record in records.items()
    ]
    return f"On this problem {listed(parts)}. One problem shows what it looks like, and decides nothing."


def read_chosen(second: Evidence) -> str:
    """Say which recipe was chosen; nothing while the choice is not whole."""
    recipe = chosen(second)
    if recipe is None:
        return ""
    said = change(recipe)
    name = "what the trials spoke for" if said == "As in the trials" else f"the trials' setting with {_lower(said)}"
    return (
        f"**The recipe is {name}.** On {few(recipe.pairs)} problems of GSM8K it needs "
        f"{recipe.iterations:.0f} steps; relative to the preset tuned the ratio is {recipe.ratio}."
    )


def _lower(said: str) -> str:
    return said[:1].lower() + said[1:]


def _task(grid: str) -> str:
    return grid.removeprefix("judged, ")


def _placed(row: Mapping[Any, Any]) -> str:
    return _task(row["grid"]) + (", prompt behind the question" if row["placement"] == "suffix" else "")


def labelled_judged(rows: pd.DataFrame) -> pd.DataFrame:
    """Give the rows of ``judged`` the columns of ``plots.forest``."""
    return rows.assign(label=[_placed(row) for row in rows.to_dict("records")], regularizer="none", value=rows["ratio"])


def table_judged(rows: pd.DataFrame) -> pd.DataFrame:
    """Word the rows of ``judged``: mean iterations with and without the recipe, their ratio, and whether it counts."""
    return pd.DataFrame(
        [
            {
                "where": _placed(row),
                "pairs": row["pairs"],
                "tuned": f"{row['tuned']:.0f}",
                "recipe": f"{row['recipe']:.0f}",
                "ratio": str(Interval(row["ratio"], row["low"], row["high"])),
                "never correct, tuned / recipe": f"{row['censored_tuned']} / {row['censored_recipe']}",
                f"below {HALF:g}": ("yes" if row["met"] else "no") if row["decides"] else "stands beside",
            }
            for row in rows.to_dict("records")
        ]
    )


def read_judged(rows: pd.DataFrame) -> str:
    """Say on how many tasks the recipe halves the steps, the aim being four of five, and name where it does not."""
    if rows.empty:
        return ""
    judges = rows[rows["decides"].astype(bool)]
    met = judges[judges["met"].astype(bool)]
    tasks = "the one task" if len(judges) == 1 else f"the {few(len(judges))} tasks"
    lead = f"The recipe takes less than half of the steps on {few(len(met))} of {tasks} that no choice saw"
    values = judges["ratio"]
    spread = (
        f"Ratios go from {values.min():.2f} to {values.max():.2f}" if len(values) > 1 else f"It is {values.iloc[0]:.2f}"
    )
    missed = [_task(grid) for grid in judges["grid"][~judges["met"].astype(bool)]]
    where = f"; not below one half: {listed(missed)}" if missed else ""
    return f"**{lead}.** {spread}{where}. The aim was four of five."


def finding(first: Evidence, second: Evidence) -> str:
    """Say what makes tuning fast: what the search found, or what the first runs say while it is not whole."""
    found = searched(second, FACTORS)
    if found:
        return read(found)
    alone = read_by_itself(by_itself(first)) or "**What makes tuning fast is not known yet.**"
    return f"{alone} The search for a recipe that goes further is still under way."


def labelled_alone(rows: pd.DataFrame) -> pd.DataFrame:
    """Give the rows of ``by_itself`` the columns of ``plots.forest``."""
    labels = [setting_name(row["setting"], row["value"]) for row in rows.to_dict("records")]
    return rows.assign(label=labels, regularizer="none", value=rows["ratio"])


STARTS = {
    "gaussian": "Gaussian of 0.02, the paper's",
    "peft": "Gaussian of 1, PEFT's default",
    **INITS,
}
"""What figures call the starts."""


def read_starts(lengths: Mapping[str, Float[ndarray, "n"]], vocabulary: Float[ndarray, "v"]) -> str:
    """Say how long tokens of noise are beside those that a model knows.

    Parameters
    ----------
    lengths, vocabulary
        Of ``lengths_at_start``.
    """
    middle = float(np.median(vocabulary))
    parts = []
    for name, whose in (("gaussian", "The paper's start"), ("peft", "PEFT's")):
        ratio = float(np.median(lengths[name])) / middle
        far = f"{ratio:.0%} as long as" if ratio < 1 else f"{ratio:.1f} times as long as"
        parts.append(f"{whose} has tokens that are {far} a token of the vocabulary")
    return f"{'; '.join(parts)} (medians). The other starts are made of the vocabulary, or like it."
