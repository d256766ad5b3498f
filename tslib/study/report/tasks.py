"""Sentences and tables of the chapter on benchmarks and models; every measured number in them comes from a record."""

from collections.abc import Mapping, Sequence
from html import escape
from typing import Any

import pandas as pd

from tslib.records.record import RunRecord
from tslib.runs.evaluations import Evaluation
from tslib.study.names import model_name, task_name
from tslib.study.report.phrases import few, plural
from tslib.study.report.runs import aligned
from tslib.tasks import FAMILIES, find_task

MAKERS = {("gsm8k", 5): (0.014, "5-shot"), ("bbh", 0): (0.282, "3-shot"), ("mmlu", 0): (0.293, "cloze")}
"""What the makers of SmolLM2-135M-Instruct report, by task and the number of shots of the evaluation it stands beside.

https://huggingface.co/HuggingFaceTB/SmolLM2-135M-Instruct
"""


GUESSING = 0.25
"""Accuracy of guessing on questions with four choices."""


def evaluation_table(evaluation: Evaluation) -> str:
    """Return the few lines that the command line prints after an evaluation."""
    config, results = evaluation.config, evaluation.results
    return aligned(
        {
            "model, task": f"{config.model}, {config.task}",
            "prompt": f"tuned, run {config.run}" if config.run else "none: the model as it is",
            "rows": f"{results['rows']} of {config.split}, seed {config.seed}, {config.shots} shots",
            "scoring": config.scoring,
            find_task(config.task).metric: f"{_score(results)} (95 % interval)",
            "mean answer loss": f"{results['answer_loss']:.4f}",
            "replies cut off": f"{results['unfinished']}",
            "prompts without their middle": f"{results['cut']}",
            "seconds": f"{results['seconds']:.0f}",
        }
    )


def extracted(replies: Mapping[str, Sequence[str]]) -> pd.DataFrame:
    """Return one line a reply: its task, the reply, and the answer that is taken from it, both as HTML.

    Parameters
    ----------
    replies
        By the name of their task.
    """
    rows = [
        {"task": task_name(task), "reply": _code(text), "answer": "none" if answer is None else _code(answer)}
        for task, texts in replies.items()
        for text in texts
        for answer in [find_task(task).extract(text)]
    ]
    return pd.DataFrame(rows)


def _code(text: str) -> str:
    return f"<code>{escape(repr(text))}</code>"


def untuned_table(table: pd.DataFrame) -> pd.DataFrame:
    """Word ``EvaluationStore.table()`` for readers: one row an evaluation, in the order of the tasks."""
    order = list(FAMILIES)
    rows = []
    for row in sorted(table.to_dict("records"), key=lambda row: order.index(row["task"])):
        reported = MAKERS.get((row["task"], row["shots"]))
        rows.append(
            {
                "task": task_name(row["task"]),
                "rows": row["rows"],
                "shots": row["shots"],
                "scored by": row["scoring"],
                "dtype": row["dtype"],
                "metric": FAMILIES[row["task"]].metric,
                "score [95 %]": _score(row),
                "answer loss": f"{row['answer_loss']:.2f}",
                "makers report": f"{reported[0]:.3f} ({reported[1]})" if reported else "",
            }
        )
    return pd.DataFrame(rows)


def untuned(table: pd.DataFrame, model: str = "SmolLM2-135M") -> str:
    """Return the box of the chapter: what the small model knows before tuning.

    Parameters
    ----------
    table
        ``EvaluationStore.table()`` of the untuned model.
    model
        What it is called.
    """
    scores = {task: rows["score"] for task, rows in table.groupby("task")}
    if not {"gsm8k", "mmlu"} <= set(scores):
        return "**What the small model knows before tuning is not measured yet.**"
    maths, choices = float(scores["gsm8k"].max()), scores["mmlu"]
    guesses = bool(choices.max() <= GUESSING)
    lead = "Before any tuning the small model does no better than guessing" if guesses and maths < 0.1 else ""
    lead = lead or "Before any tuning the small model solves some of the benchmarks"
    low, high = f"{choices.min():.0%}", f"{choices.max():.0%}"
    of_choices = low if low == high else f"{low} to {high}"
    inside = [
        row["low"] <= MAKERS[row["task"], row["shots"]][0] <= row["high"]
        for row in table.to_dict("records")
        if (row["task"], row["shots"]) in MAKERS
    ]
    return (
        f"**{lead}.** {model} solves {maths:.0%} of {task_name('gsm8k')} and {of_choices} of {task_name('mmlu')}, "
        f"where guessing gives {GUESSING:.0%}. Of {plural(len(inside), 'figure')} that its makers report, "
        f"{few(sum(inside))} {'lies' if sum(inside) <= 1 else 'lie'} in our intervals."
    )


def read_untuned(table: pd.DataFrame) -> str:
    """Compare with the makers' figures: which lie in our intervals, which do not, and how wide the intervals are."""
    parts = []
    for row in table.to_dict("records"):
        if reported := MAKERS.get((row["task"], row["shots"])):
            inside = row["low"] <= reported[0] <= row["high"]
            parts.append(
                f"On {task_name(row['task'])}, {_shots(row['shots'])}, scored by "
                f"{SCORED.get(row['scoring'], row['scoring'])}, the makers' {reported[0]:.3f} lies "
                f"{'in' if inside else 'outside of'} our interval, {_score(row)}."
            )
    widths = 100 * (table["high"] - table["low"])
    return f"{' '.join(parts)} So few rows leave intervals {widths.min():.0f} to {widths.max():.0f} points wide."


SCORED = {"generate": "generation", "likelihood": "likelihood"}


def _shots(number: int) -> str:
    return f"with {plural(number, 'shot')}" if number else "without shots"


def read_before_and_after(before: Evaluation, after: Evaluation, record: RunRecord) -> str:
    """Compare a model with and without a tuned prompt on the same held-out rows."""
    metric = find_task(before.config.task).metric
    return (
        f"On {before.results['rows']} held-out rows the {metric} is {_score(before.results)} without a prompt and "
        f"{_score(after.results)} with the prompt of {record.results['steps_done']} steps on "
        f"{record.config.samples} rows; the answer loss goes from {before.results['answer_loss']:.2f} to "
        f"{after.results['answer_loss']:.2f}."
    )


def tour_table(records: Sequence[RunRecord], evaluations: pd.DataFrame) -> pd.DataFrame:
    """One row a run: what was tuned, for how long, its loss, and the score of its prompt on held-out rows.

    Parameters
    ----------
    records
        The runs.
    evaluations
        ``EvaluationStore.table()`` of their prompts; a run without one has blanks.
    """
    heldout = {row["run"]: row for row in evaluations.to_dict("records")}
    rows = []
    for record in records:
        config, score = record.config, heldout.get(record.config.hash)
        losses = record.steps["cross_entropy"]
        rows.append(
            {
                "task": task_name(config.task),
                "model": model_name(config.model),
                "context": config.max_context or "the model's",
                "rows tuned on": config.samples,
                "steps": record.results["steps_done"],
                "minutes": f"{record.results['seconds'] / 60:.1f}",
                "cross-entropy, first and last step": f"{losses.iloc[0]:.3f}, {losses.iloc[-1]:.3f}",
                "held-out rows": score["rows"] if score else "",
                "metric": find_task(config.task).metric,
                "score [95 %]": _score(score) if score else "",
            }
        )
    return pd.DataFrame(rows)


def read_lengths(tokens: Mapping[str, Sequence[int]]) -> str:
    """Read the figure of lengths: the tasks with the shortest and the longest prompts."""
    middle = {name: sorted(counts)[len(counts) // 2] for name, counts in tokens.items()}
    short, long = min(middle, key=middle.__getitem__), max(middle, key=middle.__getitem__)
    return (
        f"The shortest prompts are those of {task_name(short)}, with a median of {middle[short]} tokens. The longest "
        f"are those of {task_name(long)}, with a median of {middle[long]} and at most {max(tokens[long])}."
    )


def read_memory(fits: pd.DataFrame) -> str:
    """Read the table of memory: which models a 16 GiB machine can tune, and what the largest takes."""
    small = fits[(fits["n_tokens"] == fits["n_tokens"].min()) & ~fits["too_long"]]
    parts = []
    for dtype, group in small.groupby("dtype", sort=False):
        within = group[group["total"] <= 0.9 * 16]
        longest = within.groupby("model", sort=False)["context"].max()
        words = (
            ", ".join(f"{model_name(model)} up to {context} positions" for model, context in longest.items()) or "none"
        )
        parts.append(f"in {dtype}, {words}")
    top = small.loc[small["total"].idxmax()]
    return (
        f"With 16 GiB one row can be tuned, {'; '.join(parts)} (of the lengths computed). The most, "
        f"{top['total']:.0f} GiB, is for {model_name(top['model'])} in {top['dtype']} at {top['context']} positions."
    )


def _score(row: Mapping[Any, Any]) -> str:
    return f"{row['score']:.3f} [{row['low']:.3f}, {row['high']:.3f}]"
