"""Settings that are varied one at a time: what each does to TSLoss, to cross-entropy alone, and whether it lasts."""

from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd

from tslib import stats
from tslib.config import TuneConfig
from tslib.stats import Interval
from tslib.study.claims.iterations import AGAIN
from tslib.study.evidence import Evidence
from tslib.study.names import model_name, setting_name
from tslib.study.paper import TABLE4
from tslib.study.report.phrases import few, mean_of_runs, plural, upper
from tslib.study.treatment import gradients

__all__ = [
    "by_itself",
    "by_setting",
    "read_again",
    "read_by_itself",
    "settings_table",
    "table4",
    "varied",
    "words",
    "words_by_itself",
]


def table4(evidence: Evidence) -> pd.DataFrame:
    """Our Table 4: iterations by the weight λ, beside the paper's."""
    return by_setting(
        evidence, "weight", ["one sample to the end, gsm8k", "the weight, gsm8k"], dict(TABLE4.to_numpy().tolist())
    )


def by_setting(
    evidence: Evidence, field: str, grids: Sequence[str], paper: Mapping[Any, Any] | None = None
) -> pd.DataFrame:
    """Iterations of TSLoss for each value of one of its settings, against cross-entropy alone on the same pairs.

    Parameters
    ----------
    evidence
        The runs.
    field
        Of ``TuneConfig``: what is varied.
    grids
        Of which one has the runs of cross-entropy alone.
    paper
        The paper's iterations by value, where it has any.

    Returns
    -------
    DataFrame
        ``value`` of the field, ``pairs``, ``censored`` and ``diverged`` (runs with TSLoss; with ``alone_`` before it,
        runs without), ``iterations`` and ``alone`` (restricted means with TSLoss and without), ``ratio``, ``low``,
        ``high``, ``reg_share`` (how long the regulariser's gradient is beside that of cross-entropy, median over the
        steps until a run is correct) and ``longer`` (in which share of these steps it is the longer one), and
        ``paper``. Without runs it is empty.
    """
    table = evidence.paired(*grids)
    alone = table[table["regularizer"] == "none"]
    records = evidence.records(*grids)
    rows = []
    for value, ours in table[table["regularizer"] != "none"].groupby(field):
        beside = alone[alone[field] == value] if field in VARIES_ALONE else alone
        ratio = stats.iteration_ratio(pd.concat([beside, ours]), str(ours["regularizer"].iloc[0]))
        of_value = [r for r in records if r.config.regularizer != "none" and getattr(r.config, field) == value]
        shares = pd.concat([gradients(record) for record in of_value])
        rows.append(
            {
                "value": value,
                "pairs": ratio.pairs,
                **stats.ended(ours),
                **{f"alone_{how}": number for how, number in stats.ended(beside).items()},
                "iterations": stats.mean_iterations(ours),
                "alone": stats.mean_iterations(beside),
                "ratio": ratio.value,
                "low": ratio.low,
                "high": ratio.high,
                "reg_share": float(shares.median()),
                "longer": float((shares > 1).mean()),
                "paper": (paper or {}).get(value),
            }
        )
    return pd.DataFrame(rows)


VARIES_ALONE = ("n_tokens", "init", "dtype", "prompt_scale", "lr")
"""Settings that change cross-entropy alone as well: each value has a baseline of its own."""

SENSITIVITY = {
    "tau": "sensitivity, tau",
    "alpha": "sensitivity, alpha",
    "beta_h1": "sensitivity, beta_h1",
    "lambda_repel": "sensitivity, lambda_repel",
    "metric": "sensitivity, metric",
    "n_tokens": "sensitivity, n_tokens",
    "init": "sensitivity, init",
    "dtype": "sensitivity, dtype",
}
"""The grid of each setting that is varied; the defaults are in "sensitivity, defaults"."""


def settings_table(evidence: Evidence) -> pd.DataFrame:
    """One row for each value of each setting that was varied: ``setting``, then the columns of `by_setting`."""
    tables = []
    for field, grid in SENSITIVITY.items():
        found = by_setting(evidence, field, [grid] if field in VARIES_ALONE else ["sensitivity, defaults", grid])
        tables.append(found.assign(setting=field))
    return pd.concat([table for table in tables if len(table)] or [pd.DataFrame()], ignore_index=True)


def varied(rows: pd.DataFrame) -> pd.DataFrame:
    """Return the rows of `settings_table` whose value is not the default: its runs are the same for each setting."""
    default = TuneConfig()
    return rows[[row["value"] != getattr(default, row["setting"]) for row in rows.to_dict("records")]]


def by_itself(evidence: Evidence) -> pd.DataFrame:
    """Iterations of cross-entropy alone at other prompt lengths and initialisations than the default, against those.

    The two runs of a pair share the problem and the seed; their prompts begin where the setting says.

    Returns
    -------
    DataFrame
        ``setting``, ``value``, ``pairs``, ``censored`` and ``diverged`` (runs at the value; with ``default_`` before
        it, runs at the default), ``iterations`` and ``default`` (restricted means at the value and at the default),
        ``model`` and its ``dtype``, and ``ratio`` with its 95 % interval, ``low`` to ``high``. Settings whose runs
        are not all made are left out.
    """
    rows = []
    for field in ("n_tokens", "init"):
        grids = ("sensitivity, defaults", SENSITIVITY[field])
        if evidence.missing(*grids):
            continue
        default, other = (table[table["regularizer"] == "none"] for table in map(evidence.runs, grids))
        for value, runs in other.groupby(field):
            both = pd.concat([default, runs.assign(regularizer="at the value")])
            ratio = stats.iteration_ratio(both.drop(columns=field), "at the value")
            rows.append(
                {
                    "setting": field,
                    "value": value,
                    "pairs": ratio.pairs,
                    **stats.ended(runs),
                    **{f"default_{how}": number for how, number in stats.ended(default).items()},
                    "iterations": stats.mean_iterations(runs),
                    "default": stats.mean_iterations(default),
                    "dtype": runs["dtype"].iloc[0],
                    "model": runs["model"].iloc[0],
                    "ratio": ratio.value,
                    "low": ratio.low,
                    "high": ratio.high,
                }
            )
    return pd.DataFrame(rows)


def read_by_itself(rows: pd.DataFrame) -> str:
    """Say which value of a setting helps cross-entropy alone the most, and by how much; of no rows nothing."""
    if rows.empty:
        return ""
    best = rows.nsmallest(1, "ratio").to_dict("records")[0]
    looked = f"the best of {few(len(rows))} settings" if len(rows) > 1 else "the only setting tried"
    on = plural(best["pairs"], "pair") + (" in bfloat16" if best["dtype"] == "bfloat16" else "")
    ratio = f"a ratio of {Interval(best['ratio'], best['low'], best['high'])}, {looked} on {on}"
    default = getattr(TuneConfig(), best["setting"])
    start = STARTS.get(best["value"], f"{setting_name(best['setting'], best['value'])} instead of noise")
    if best["setting"] == "n_tokens":
        start = f"a prompt of {best['value']} tokens instead of {default}"
    if not best["high"] < 1:
        return f"**No other start or length clearly helps.** The best is {start}: {ratio}."
    saves = "halves the steps" if round(best["ratio"], 1) == 0.5 else f"saves {1 - best['ratio']:.0%} of the steps"
    return (
        f"**{upper(start)} {saves} on GSM8K.** Without TSLoss {model_name(best['model'])} takes "
        f"{best['iterations']:.0f} steps in place of {best['default']:.0f}: {ratio}."
    )


STARTS = {
    "vocabulary": "starting from words instead of noise",
    "text": "starting from a text instead of noise",
}
"""What an initialisation does, in the words of `read_by_itself`."""


def words_by_itself(rows: pd.DataFrame) -> pd.DataFrame:
    """Word `by_itself` for readers."""
    worded = [
        {"setting": setting_name(row["setting"]), "value": row["value"], "pairs": row["pairs"]}
        | {"default": _mean(row, "default", "default_"), "at the value": _mean(row, "iterations")}
        | {"ratio [95 %]": str(Interval(row["ratio"], row["low"], row["high"]))}
        for row in rows.to_dict("records")
    ]
    return pd.DataFrame(worded)


def read_again(evidence: Evidence) -> str:
    """Say whether the one gain that was seen among the settings holds on pairs that it was not found on."""
    if evidence.missing(AGAIN):
        return ""
    ratio = stats.iteration_ratio(evidence.runs(AGAIN), "tsloss")
    became = "held" if ratio.high < 1 else "became a loss" if ratio.low > 1 else "did not hold"
    return (
        f"A gain once seen with {setting_name('init', 'vocabulary')} {became} on {few(ratio.pairs)} new "
        f"pair{'s' * (ratio.pairs != 1)}: {ratio}."
    )


def _mean(row: Mapping[Any, Any], column: str, side: str = "") -> str:
    return mean_of_runs(row[column], row[f"{side}censored"], row[f"{side}diverged"])


def words(rows: pd.DataFrame) -> pd.DataFrame:
    """Word `by_setting` or `settings_table` for readers."""
    has_paper = len(rows) > 0 and bool(rows["paper"].notna().any())
    worded = [
        ({"setting": setting_name(row["setting"])} if "setting" in row else {})
        | {
            "value": f"{row['value']:g}" if isinstance(row["value"], float) else row["value"],
            "pairs": row["pairs"],
            "alone": _mean(row, "alone", "alone_"),
            "TSLoss": _mean(row, "iterations"),
            "ratio [95 %]": str(Interval(row["ratio"], row["low"], row["high"])),
            "gradients' ratio": f"{row['reg_share']:.2%}",
        }
        | ({"the paper": "never" if pd.isna(row["paper"]) else f"{row['paper']:g}"} if has_paper else {})
        for row in rows.to_dict("records")
    ]
    return pd.DataFrame(worded)
