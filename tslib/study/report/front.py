"""What the front pages say, that of the book and the README: the answer, and what it must be read with."""

from collections.abc import Iterable

import pandas as pd

from tslib import stats
from tslib.models.registry import MODELS
from tslib.presets import PRESETS
from tslib.stats import Interval
from tslib.study import claims
from tslib.study.claims.sceptic import EXPERIMENTS, SCEPTIC, judged
from tslib.study.evidence import MAIN, Evidence
from tslib.study.names import model_name, task_name
from tslib.study.paper import TABLE4
from tslib.study.report import sceptic as report_sceptic
from tslib.study.report import settings as report_settings
from tslib.study.report import verdicts as report_verdicts
from tslib.study.report.headline import headline
from tslib.study.report.phrases import few, listed, of_all, plural
from tslib.study.report.runs import method_table

__all__ = ["README_MARKS", "answer", "papers_rate", "papers_scale", "readme", "weights"]

PAPERS_RATE = "preset paper"
"""The grid at the learning rate that the paper prints."""

PAPERS_SETTING = EXPERIMENTS["the paper's setting"]
"""The same rate where prompts are scaled."""


def answer(evidence: Evidence) -> str:
    """Return the box of the book's front page in Markdown: a paragraph each."""
    parts = (
        headline(evidence),
        papers_rate(evidence),
        _scaled(evidence),
        weights(dict.fromkeys(config.model for config in evidence.sweep.configs)),
        report_settings.read_by_itself(report_settings.by_itself(evidence)),
        report_verdicts.summary(claims.judge(evidence), claims.judge(evidence, amended=True)),
    )
    return "\n\n".join(filter(None, parts)) + "\n"


def papers_rate(evidence: Evidence) -> str:
    """Say whether the paper's baseline is reproduced at the learning rate it prints; while runs miss, nothing."""
    runs = evidence.runs(PAPERS_RATE)
    if runs.empty:
        return ""
    alone, ours = (of_side for _, of_side in runs.groupby(runs["regularizer"] != "none"))
    right, with_it = (len(side) - stats.ended(side)["censored"] for side in (alone, ours))
    printed = TABLE4.set_index("weight")["iterations"]
    at = f"learning rate, {PRESETS['paper']:g}, with prompts as they are"
    said = (
        f"{of_all(right, len(alone), 'run')} correct within {alone['max_steps'].iloc[0]} steps without TSLoss, and "
        f"{with_it or 'none'} of {len(ours)} with it ({model_name(runs['model'].iloc[0])}, "
        f"{task_name(runs['task'].iloc[0])})"
    )
    paper = f"the paper has {printed[0.0]} iterations and {printed[1.0]}"
    if not right:
        return f"The paper's baseline could not be reproduced either: at its {at}, {said}; {paper}."
    mean = stats.mean_iterations(alone)
    return f"At the paper's {at}, {said}. Without it they take {mean:.0f} on average; {paper}."


def papers_scale(second: Evidence, rows: pd.DataFrame) -> str:
    """Say what becomes of the paper's baseline at its rate where prompts are scaled; while runs miss, nothing.

    Parameters
    ----------
    second
        The runs of `SCEPTIC`.
    rows
        ``judged`` of the paper's setting.
    """
    without = report_sceptic.alone(second)
    parts = [
        f"{without[row['grid']]} iterations on {model_name(row['model'])} without TSLoss (ratio with it: "
        f"{Interval(row['ratio'], row['ratio_low'], row['ratio_high'])})"
        for row in rows.to_dict("records")
        if row["regularizer"] == "tsloss"
    ]
    if not parts:
        return ""
    return (
        f"Where prompts are multiplied by √d, as Gemma did under transformers 4, the same rate takes {listed(parts)}; "
        f"{plural(int(rows['pairs'].max()), 'pair')}, intervals of {PAPERS_SETTING.confidence:.1%}."
    )


def _scaled(evidence: Evidence) -> str:
    second = Evidence(SCEPTIC)
    return papers_scale(second, judged(second, evidence, PAPERS_SETTING))


def weights(models: Iterable[str]) -> str:
    """Say which of some models have weights that were rounded before any run, and how (`tslib.models.registry`)."""
    kinds = {model: MODELS[model].quantisation for model in models if model in MODELS}
    kinds = {model: kind for model, kind in kinds.items() if kind}
    if not kinds:
        return ""
    bits = listed([f"{few(int(number))}-bit" for number in sorted({kind[1] for kind in kinds.values() if kind})])
    named = listed([f"{kind} ({model_name(model)})" for model, kind in kinds.items()])
    return (
        f"Our models' weights were rounded before any run: they come from GGUF files of {bits} kinds, {named}, in "
        "which some numbers, the embeddings among them, keep more bits."
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
    rates = (papers_rate(evidence), _scaled(evidence), weights(dict.fromkeys(table["model"])))
    said = "\n\n".join(filter(None, (headline(evidence), measured, " ".join(filter(None, rates)))))
    return f"{before}{README_MARKS[0]}\n{said}\n{README_MARKS[1]}{after}"
