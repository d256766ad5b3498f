"""What the front pages say, that of the book and the README: the answer, and what it must be read with."""

from collections.abc import Iterable, Mapping
from typing import Any

import pandas as pd

from tslib import stats
from tslib.models.registry import MODELS
from tslib.presets import PRESETS
from tslib.stats import Interval
from tslib.study import claims
from tslib.study.claims.iterations import COMBINATIONS
from tslib.study.claims.recipe import RECIPE
from tslib.study.claims.sceptic import EXPERIMENTS, SCEPTIC, judged
from tslib.study.evidence import MAIN, Evidence
from tslib.study.names import model_name, setting_name, task_name
from tslib.study.paper import GSM8K_RATIO, TABLE4
from tslib.study.report import headline, recipe, settings
from tslib.study.report import verdicts as report_verdicts
from tslib.study.report.phrases import few, listed, of_all, plural
from tslib.study.report.runs import method_table

__all__ = [
    "README_MARKS",
    "answer",
    "caption",
    "in_words",
    "limits",
    "own_rates",
    "papers_rate",
    "papers_scale",
    "readme",
    "rows",
    "to_do",
    "verdicts",
    "weights",
]

PAPERS_RATE = "preset paper"
"""The grid at the learning rate that the paper prints."""

PAPERS_SETTING = EXPERIMENTS["the paper's setting"]
"""The same rate where prompts are scaled."""


def answer(evidence: Evidence) -> str:
    """Return the box of the book's front page in Markdown: three short paragraphs."""
    cloud = headline.cloud(*headline.lines(evidence))
    return "\n\n".join((headline.speed(evidence), cloud, recipe.finding(evidence, Evidence(RECIPE)))) + "\n"


def to_do(evidence: Evidence) -> str:
    """Say what a reader should do, chosen by what the records show."""
    speed, _, _ = claims.geometric(evidence)
    use = "Try TSLoss, with λ = 1." if speed.high < 1 else "Do not add TSLoss to save steps."
    rows = settings.by_itself(evidence)
    best = rows.nsmallest(1, "ratio").to_dict("records") if len(rows) else []
    if best and best[0]["high"] < 1 and best[0]["value"] in IN_PEFT:
        ours, theirs = best[0]["value"], IN_PEFT[best[0]["value"]]
        use += (
            f" Try prompts that start from words: `--init {ours}` here, "
            f'`prompt_tuning_init="{theirs}"` in PEFT, whose default is noise fifty times as large as the paper\'s.'
        )
    return f"{use} That is what small models say: on yours, [compare for yourself](running.md)."


def rows(evidence: Evidence) -> pd.DataFrame:
    """Return the three rows of the front page's figure: the paper's ratio, TSLoss's here, and that of what helps.

    Returns
    -------
    DataFrame
        ``label``, and the ratio of steps to those of plain tuning, ``value``, with ``low`` and ``high``.
    """
    speed, pairs, _ = claims.geometric(evidence)
    nothing = float("nan")
    found = [("the paper: with TSLoss", GSM8K_RATIO, nothing, nothing), (f"here: with TSLoss, {pairs} pairs", *speed)]
    alone = settings.by_itself(evidence)
    for row in alone.nsmallest(1, "ratio").to_dict("records") if len(alone) else []:
        what = {"vocabulary": "started from words", "text": "started from a text"}.get(
            row["value"], setting_name(row["setting"], row["value"])
        )
        found.append((f"here: {what}, {plural(row['pairs'], 'pair')}", row["ratio"], row["low"], row["high"]))
    return pd.DataFrame(found, columns=["label", "value", "low", "high"])


def caption(rows: pd.DataFrame) -> str:
    """Say how the figure is to be read."""
    shorter = int((rows["high"] < 1).sum())
    said = "Shorter bars are faster" if shorter else "Bars at the dashed line are as fast as plain tuning"
    return (
        f"{said}. Lines, and brackets, are intervals of 95 %; the paper, on GSM8K with Gemma-2B-IT, gives none. "
        "[](executed/03_convergence) has each comparison."
    )


def in_words(rows: pd.DataFrame) -> str:
    """Describe the figure for those who do not see it."""
    bars = "; ".join(f"{row['label']}: {100 * row['value']:.0f}" for row in rows.to_dict("records"))
    return f"Bars of the steps until correct, where plain tuning takes 100. {bars}."


IN_PEFT = {"vocabulary": "SAMPLE_VOCAB", "text": "TEXT"}
"""What PEFT calls our initialisations."""


def limits(evidence: Evidence) -> str:
    """Say at which rate runs are, how the paper's own setting fares here, and what the models' weights are."""
    models = dict.fromkeys(config.model for config in evidence.sweep.configs)
    said = (own_rates(evidence), papers_rate(evidence), _scaled(evidence), weights(models))
    return " ".join(filter(None, said))


def verdicts(evidence: Evidence) -> str:
    """Return the verdicts by the amended rules as a table, and which differ from the registered ones."""
    registered, amended = claims.judge(evidence), claims.judge(evidence, amended=True)
    return f"{report_verdicts.named(amended)}\n\n{report_verdicts.otherwise(registered, amended)}"


def own_rates(evidence: Evidence) -> str:
    """Say at which learning rates speed is compared, by model; while no run is there, nothing."""
    rates: dict[str, set[float]] = {}
    for (model, *_), grid in COMBINATIONS.items():
        runs = evidence.runs(grid)
        if len(runs):
            rates.setdefault(model_name(model), set()).update(runs["lr"])
    if not rates:
        return ""
    named = [f"{listed([f'{rate:g}' for rate in sorted(own)])} with {model}" for model, own in rates.items()]
    return f"Speed is compared at learning rates that suit tuning without TSLoss: {listed(named)}."


def papers_rate(evidence: Evidence) -> str:
    """Say whether the paper's baseline is reproduced at the learning rate it prints; while runs miss, nothing."""
    runs = evidence.runs(PAPERS_RATE)
    if runs.empty:
        return ""
    alone, ours = (of_side for _, of_side in runs.groupby(runs["regularizer"] != "none"))
    right, with_it = (len(side) - stats.ended(side)["censored"] for side in (alone, ours))
    printed = TABLE4.set_index("weight")["iterations"]
    where = f"{model_name(runs['model'].iloc[0])}, {task_name(runs['task'].iloc[0])}"
    said = (
        f"At the paper's learning rate, {PRESETS['paper']:g}, {of_all(right, len(alone), 'run')} correct within "
        f"{alone['max_steps'].iloc[0]} steps without TSLoss, and {with_it or 'none'} of {len(ours)} with it ({where})"
    )
    paper = f"the paper has {printed[0.0]} steps and {printed[1.0]}"
    if not right:
        return f"The paper's baseline could not be reproduced where prompts enter the model unscaled. {said}; {paper}."
    mean = stats.mean_iterations(alone)
    theirs = paper.replace(" steps", "")
    return f"{said}. Without it they take {mean:.0f} steps on average; {theirs}."


def papers_scale(second: Evidence, rows: pd.DataFrame) -> str:
    """Say what becomes of the paper's baseline at its rate where prompts are scaled; while runs miss, nothing.

    Parameters
    ----------
    second
        The runs of `SCEPTIC`.
    rows
        ``judged`` of the paper's setting.
    """
    ours = [row for row in rows.to_dict("records") if row["regularizer"] == "tsloss"]
    if not ours:
        return ""
    parts = [f"{_without(second, row['grid'])}, and {_with(row)}." for row in ours]
    pull = max(row["pull"] for row in ours)
    idle = f" TSLoss's gradient is at most {pull:.1%} of cross-entropy's there, and tokens are spaced no more evenly."
    if any(row["treated"] for row in ours):
        idle = ""
    return (
        f"Gemma multiplied prompts by √d under transformers 4. So did we, at the same rate. {' '.join(parts)} "
        f"Intervals are of {PAPERS_SETTING.confidence:.1%}, on {plural(int(rows['pairs'].max()), 'pair')}.{idle}"
    )


def _without(second: Evidence, grid: str) -> str:
    runs = second.runs(grid, regularizer="none")
    right = runs["iterations_to_correct"].dropna()
    said = f"With {model_name(runs['model'].iloc[0])} {of_all(len(right), len(runs), 'run')} correct without TSLoss"
    return f"{said}, after {right.mean():.0f} steps on average" if len(right) else said


def _with(row: Mapping[Any, Any]) -> str:
    if not row["observed"]:
        return "none with it"
    return f"the ratio with it is {Interval(row['ratio'], row['ratio_low'], row['ratio_high'])}"


def _scaled(evidence: Evidence) -> str:
    second = Evidence(SCEPTIC)
    return papers_scale(second, judged(second, evidence, PAPERS_SETTING))


def weights(models: Iterable[str]) -> str:
    """Say which of some models have weights that were rounded before any run, and how (`tslib.models.registry`)."""
    kinds = {model: MODELS[model].quantisation for model in models if model in MODELS}
    kinds = {model: kind for model, kind in kinds.items() if kind}
    if not kinds:
        return ""
    bits = listed([f"{few(int(number))}" for number in sorted({kind[1] for kind in kinds.values() if kind})])
    named = listed([f"{kind} for {model_name(model)}" for model, kind in kinds.items()])
    return (
        f"Our models' weights were rounded to {bits} bits before any run: they come from GGUF files, {named}, in which "
        "some numbers, the embeddings among them, keep more bits."
    )


README_MARKS = ("<!-- measured: begin -->", "<!-- measured: end -->")


def readme(text: str, evidence: Evidence) -> str:
    """Return the README with what lies between its marks replaced by what the committed records say.

    Parameters
    ----------
    text
        The README, with both marks of ``README_MARKS``.
    evidence
        The runs.
    """
    before, rest = text.split(README_MARKS[0])
    after = rest.split(README_MARKS[1])[1]
    table = evidence.runs(MAIN)
    rows = method_table(stats.comparison(table))
    lines = [list(rows.columns), ["---"] * rows.shape[1], *rows.astype(str).to_numpy().tolist()]
    measured = "\n".join(f"| {' | '.join(line)} |" for line in lines)
    said = "\n\n".join((answer(evidence).strip(), measured, limits(evidence)))
    return f"{before}{README_MARKS[0]}\n{said}\n{README_MARKS[1]}{after}"
