"""Learning rates: those of cross-entropy alone, of which one is chosen, and each method's own."""

import pandas as pd

from tslib import stats
from tslib.presets import PRESETS
from tslib.study.evidence import Evidence
from tslib.study.experiments import chosen_rate
from tslib.study.names import method_name, model_name, task_name
from tslib.study.report.phrases import mean_of_runs

__all__ = ["own_rates", "rate_table", "rates", "read_own_rates", "read_rates", "times_slower"]


def rates(evidence: Evidence, *grids: str) -> pd.DataFrame:
    """Iterations of cross-entropy alone at each learning rate, for each model and task of a sweep.

    Parameters
    ----------
    evidence
        The sweep and its runs.
    *grids
        Of one model and task each; none: all of the sweep.

    Returns
    -------
    DataFrame
        ``model``, ``task``, ``lr``, ``mean`` (restricted), ``runs``, ``censored``, ``diverged``, ``chosen``.
    """
    rows = []
    for name in grids or [grid.name for grid in evidence.sweep.grids]:
        table = evidence.runs(name)
        if table.empty:
            continue
        chosen = chosen_rate(table)
        for lr, runs in table.groupby("lr"):
            rows.append(
                {
                    "model": runs["model"].iloc[0],
                    "task": runs["task"].iloc[0],
                    "lr": lr,
                    "mean": stats.mean_iterations(runs),
                    "runs": len(runs),
                    **stats.ended(runs),
                    "chosen": lr == chosen,
                }
            )
    return pd.DataFrame(rows, columns=["model", "task", "lr", "mean", "runs", "censored", "diverged", "chosen"])


def rate_table(evidence: Evidence) -> pd.DataFrame:
    """Word `rates`: one row a model and task, a column a learning rate; an arrow at the chosen one."""
    found = rates(evidence)
    words = [
        mean_of_runs(row["mean"], row["censored"], row["diverged"]) + " ←" * row["chosen"]
        for row in found.to_dict("records")
    ]
    names = {"model": found["model"].map(model_name), "task": found["task"].map(task_name)}
    table = found.assign(words=words, lr=found["lr"].map("{:g}".format), **names)
    wide = table.pivot_table(index=["model", "task"], columns="lr", values="words", aggfunc="first")
    return wide[list(dict.fromkeys(table["lr"]))].reset_index()


def times_slower(found: pd.DataFrame) -> str:
    """Say how many times the iterations of the chosen rate the paper's takes, from `rates`.

    The restricted mean counts ``max_steps`` for a censored run, so that with one it is "at least" so many times.
    """
    paper = found[found["lr"] == PRESETS["paper"]]
    times = paper["mean"].to_numpy() / found.loc[found["chosen"], "mean"].to_numpy()
    least = "at least " if paper["censored"].any() else ""
    return f"{least}{times.min():.1f} to {times.max():.1f} times"


def read_rates(evidence: Evidence) -> str:
    """Say which rates were chosen, and how many runs were right at the paper's."""
    found = rates(evidence)
    if found.empty:
        return "Not yet."
    paper = found[found["lr"] == PRESETS["paper"]]
    chosen = found[found["chosen"]]
    parts = ", ".join(
        f"{row['lr']:g} ({model_name(row['model'])}, {task_name(row['task'])})" for row in chosen.to_dict("records")
    )
    return (
        f"Chosen: {parts}. At the paper's {PRESETS['paper']:g} the runs need {times_slower(found)} as many iterations, "
        f"and {paper['censored'].sum()} of {paper['runs'].sum()} are not correct within their steps."
    )


def own_rates(evidence: Evidence) -> pd.DataFrame:
    """Restricted mean of iterations of each method at each rate, on the pairs that chose the rate for cross-entropy."""
    table = evidence.runs("own rates, gsm8k")
    rows = []
    for name in dict.fromkeys(table["regularizer"]):
        row = {"method": method_name(name)}
        for rate, runs in table[table["regularizer"] == name].groupby("lr"):
            row[f"rate {rate:g}"] = mean_of_runs(stats.mean_iterations(runs), **stats.ended(runs))
        rows.append(row)
    return pd.DataFrame(rows)


def read_own_rates(evidence: Evidence) -> str:
    """Say which methods need fewer iterations than cross-entropy alone, each at the better of its rates."""
    table = evidence.runs("own rates, gsm8k")
    if table.empty:
        return ""
    best = {
        str(name): min(stats.mean_iterations(runs) for _, runs in part.groupby("lr"))
        for name, part in table.groupby("regularizer", sort=False)
    }
    alone = best.pop("none")
    fewer = [f"{method_name(name)} ({mean:.1f})" for name, mean in best.items() if mean < alone]
    pairs = len(table.drop_duplicates(stats.PAIR))
    return (
        f"Each at the better of its rates: cross-entropy alone needs {alone:.1f} iterations, and {len(fewer)} of "
        f"{len(best)} regularisers fewer{': ' if fewer else ''}{', '.join(fewer)}. The better rate is chosen on the "
        f"pairs that it is shown on, and they are {pairs}: too few for an interval."
    )
