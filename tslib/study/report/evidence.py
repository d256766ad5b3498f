"""Tables and sentences of the evidence: the paper's Table 3 beside ours, baselines, interventions, other methods."""

from collections.abc import Mapping, Sequence

import pandas as pd

from tslib import stats
from tslib.config import TuneConfig
from tslib.stats import Interval
from tslib.study import claims
from tslib.study.evidence import Evidence
from tslib.study.names import METHOD_NAMES, method_name, model_name, prompt_method_name, task_name
from tslib.study.paper import TABLE3
from tslib.study.report.phrases import few, listed, mean_of_runs, plural, to_be_made, upper
from tslib.study.report.runs import SIDES, method_table, shortened
from tslib.study.treatment import gradients

__all__ = [
    "TOPOLOGICAL",
    "acts",
    "baselines",
    "both_readings",
    "by_rate",
    "compared",
    "distances",
    "interventions",
    "kept_back",
    "name_rates",
    "not_there",
    "pushes",
    "read_baselines",
    "read_by_rate",
    "read_kept_back",
    "read_progress",
    "read_table3",
    "table3",
]


def read_progress(evidence: Evidence) -> str:
    """Say how much of the evidence is there."""
    table = evidence.progress
    whole = int((table["missing"] == 0).sum())
    return (
        f"Of the {len(evidence.sweep.configs)} runs that the sweep asks for, "
        f"{sum(evidence.store.path(config).is_dir() for config in evidence.sweep.configs)} are committed; {whole} of "
        f"its {len(table)} grids are whole. Tables and figures show those, and say how many runs of others are missing."
    )


def not_there(evidence: Evidence, *grids: str) -> str:
    """Say in a note how many of some grids' runs are missing; empty where none is."""
    missing, asked = evidence.missing(*grids), len(evidence.asked(*grids))
    return f"*{to_be_made(missing, asked, 'of this section')}*" if missing else ""


def table3(evidence: Evidence, combinations: Mapping[tuple[str, str, str], str] = claims.COMBINATIONS) -> pd.DataFrame:
    """Our Table 3: iterations with and without TSLoss for each combination of model, task and setting.

    Beside each ratio is that of the paper's smallest model, Gemma-2B-IT, on its task of the same name: another model,
    so that only the direction can be compared.

    Parameters
    ----------
    evidence
        The runs.
    combinations
        The grid of each (model, task, setting).
    """
    rows = []
    for row in claims.ratios(evidence, combinations=combinations).to_dict("records"):
        runs = evidence.runs(combinations[row["model"], row["task"], row["setting"]])
        alone, ours = (stats.ended(runs[runs["regularizer"] == name]) for name in ("none", row["regularizer"]))
        ratio = Interval(row["value"], row["low"], row["high"])
        rows.append(
            {
                "model": model_name(row["model"]),
                "task": task_name(row["task"]),
                "setting": row["setting"],
                "method": method_name(row["regularizer"]),
                "pairs": row["pairs"],
                "alone": mean_of_runs(row["baseline"], **alone),
                "with it": mean_of_runs(row["ours"], **ours),
                "ratio [95 %]": str(ratio) if row["observed"] else "not observed",
                "paper, Gemma-2B-IT": "" if pd.isna(row["paper"]) else f"{row['paper']:.2f}",
            }
        )
    return pd.DataFrame(rows)


def read_table3(evidence: Evidence) -> str:
    """Say in how many combinations TSLoss needs fewer iterations, and what the paper's ratios are."""
    table = claims.ratios(evidence)
    if table.empty:
        return "None of these runs is committed yet."
    never = ~table["observed"].astype(bool)
    seen = table[~never]
    low, high = TABLE3["ratio"].min(), TABLE3["ratio"].max()
    parts = [f"{_below_and_above(seen)} {upper(_reach(seen))} a gain of a quarter." if len(seen) else ""]
    if never.any():
        rows = "one row" if never.sum() == 1 else f"{few(int(never.sum()))} rows"
        parts.append(f"In {rows} no run is correct within its steps, so that a ratio of 1 says nothing.")
    parts.append(f"The paper's {len(TABLE3)} ratios lie between {low:.2f} and {high:.2f}, with no interval given.")
    return " ".join(filter(None, parts))


def _below_and_above(table: pd.DataFrame) -> str:
    """Say how often TSLoss is clearly faster or slower: how many intervals do not include 1."""
    below, above, total = int((table["high"] < 1).sum()), int((table["low"] > 1).sum()), len(table)
    if total == 1:
        return f"TSLoss is {'clearly faster' if below else 'clearly slower' if above else 'neither faster nor slower'}."
    if not below and not above:
        return f"In none of {few(total)} comparisons is TSLoss clearly faster or slower."
    return f"Of {few(total)} comparisons TSLoss is clearly faster in {few(below)} and clearly slower in {few(above)}."


def _reach(table: pd.DataFrame) -> str:
    """Say how many intervals reach down to three quarters."""
    reaching = int((table["low"] <= 0.75).sum())
    return f"{few(reaching)} {'interval reaches' if reaching == 1 else 'intervals reach' if reaching else 'reaches'}"


def kept_back(rows: pd.DataFrame) -> str:
    """Say whether TSLoss needs fewer iterations on the tasks that nothing was chosen on; of no rows nothing."""
    said: dict[str, list[str]] = {}
    for row in rows.to_dict("records"):
        does = "is faster" if row["high"] < 1 else "is slower" if row["low"] > 1 else "makes no clear difference"
        said.setdefault(does, []).append(task_name(row["task"]))
    parts = [f"{does} on {listed(tasks)}" for does, tasks in said.items()]
    return f"Where nothing was chosen, TSLoss {listed(parts)}." if parts else ""


def read_kept_back(evidence: Evidence) -> str:
    """Say the same with the ratios; while runs miss, nothing."""
    rows = claims.ratios(evidence, combinations=claims.KEPT_BACK)
    each = [
        f"On {task_name(row['task'])} the ratio is {Interval(row['value'], row['low'], row['high'])}."
        for row in rows.to_dict("records")
    ]
    if not each:
        return ""
    return " ".join([kept_back(rows), *each, f"Each is of {plural(int(rows['pairs'].iloc[0]), 'pair')}."])


def baselines(evidence: Evidence, task: str) -> pd.DataFrame:
    """``stats.comparison`` of TSLoss, its variants and the regularisers without topology.

    On the pairs that all methods have; empty where there is none.
    """
    table = evidence.paired(f"one sample, {task}, SmolLM2", f"baselines, {task}")
    if table.empty:
        return pd.DataFrame()
    order = {name: index for index, name in enumerate(METHOD_NAMES)}
    return stats.comparison(table.sort_values("regularizer", key=lambda names: names.map(order), kind="stable"))


TOPOLOGICAL = ("tsloss", "persistence")
"""How the names of regularisers with topology begin."""


def acts(rows: pd.DataFrame) -> str:
    """Say in half a sentence what helps, what slows tuning down, and whether topology does what others do not.

    Parameters
    ----------
    rows
        ``stats.comparison``, of the methods alone.
    """
    rows = rows.set_index("regularizer")
    topological = rows.index.str.startswith(TOPOLOGICAL)
    helps, slows = rows["high"] < 1, rows["low"] > 1
    control, made = rows[helps & ~topological].nsmallest(1, "ratio"), rows[helps & topological]
    if len(control):
        parts = [f"{_saves(control)} without any topology{_beside(control, rows[topological].nsmallest(1, 'ratio'))}"]
    elif len(made):
        parts = [f"{_saves(made)}, and nothing without topology does"]
    else:
        parts = [] if slows.any() else ["no method makes a clear difference"]
    if slows.any():
        times = listed([f"{ratio:.1f}-fold" for ratio in rows.loc[slows, "ratio"]])
        parts.append(f"{_names(rows[slows])} {'slows' if slows.sum() == 1 else 'slow'} tuning down, {times}")
    return "; ".join(parts)


def _names(rows: pd.DataFrame) -> str:
    return listed([method_name(str(name)) for name in rows.index])


def _saves(rows: pd.DataFrame) -> str:
    if len(rows) > 3:  # names of all would fill the box
        most = rows.nsmallest(1, "ratio")
        return f"{few(len(rows))} methods save steps, {_names(most)} the most ({1 - most['ratio'].iloc[0]:.0%})"
    shares = listed([f"{1 - ratio:.0%}" for ratio in rows["ratio"]])
    return f"{_names(rows)} {'saves' if len(rows) == 1 else 'save'} {shares} of the steps"


def _beside(control: pd.DataFrame, best: pd.DataFrame) -> str:
    """Say how a gain without topology compares with the smallest ratio of those with it."""
    if best.empty:
        return ""
    low, high, ratio = control["low"].iloc[0], control["high"].iloc[0], best["ratio"].iloc[0]
    than = "as much as" if low <= ratio <= high else "more than" if high < ratio else "less than"
    return f", {than} {_names(best)}"


def read_baselines(comparison: pd.DataFrame) -> str:
    """Say what helps and what slows tuning down, on how many pairs, and how sure that is."""
    rows = comparison.dropna(subset="ratio")
    methods = plural(len(rows), "method") if len(rows) == 1 else f"{few(len(rows))} methods"
    return (
        f"{upper(acts(rows))}. That is on {plural(int(rows['runs'].min()), 'pair')}, with intervals uncorrected for "
        f"{methods}. The smallest p of flipped signs after Holm's correction is {rows['p_holm'].min():.2g}."
    )


def compared(table: pd.DataFrame) -> pd.DataFrame:
    """Word a comparison of methods with cross-entropy alone; of no runs an empty table."""
    return method_table(stats.comparison(table)) if len(table) else pd.DataFrame()


FACTORS = {"none": "1", "sqrt_d": "√d"}


def by_rate(evidence: Evidence, grids: Sequence[str]) -> pd.DataFrame:
    """Iterations with and without TSLoss of grids whose runs differ in model, method, learning rate or factor."""
    rows = []
    for grid in grids:
        table = evidence.runs(grid)
        for (lr, scale), runs in table.groupby(["lr", "prompt_scale"], sort=False):
            (row,) = stats.comparison(runs).iloc[1:].to_dict("records")
            alone, ours = (of_side for _, of_side in runs.groupby(runs["regularizer"] != "none"))
            rows.append(
                {
                    "model": model_name(runs["model"].iloc[0]),
                    "method": prompt_method_name(runs["method"].iloc[0]),
                    "learning rate": f"{lr:g}",
                    "factor": FACTORS[str(scale)],
                    "pairs": len(alone),
                    "alone": mean_of_runs(stats.mean_iterations(alone), **stats.ended(alone)),
                    "TSLoss": mean_of_runs(stats.mean_iterations(ours), **stats.ended(ours)),
                    "ratio [95 %]": str(Interval(row["ratio"], row["low"], row["high"])),
                    "interval": SIDES[row["verdict"]],
                }
            )
    return pd.DataFrame(rows)


def read_by_rate(table: pd.DataFrame) -> str:
    """Say which intervals of `by_rate` do not contain 1, and how many would not by chance."""
    if table.empty:
        return ""
    below, above = (table[table["interval"] == side] for side in ("lies below 1", "lies above 1"))
    total = few(len(table))
    if below.empty and above.empty:
        said = f"In none of {total} cases is TSLoss clearly faster or slower."
        if len(table) == 1:
            said = "TSLoss is neither clearly faster nor clearly slower."
    else:
        said = (
            f"TSLoss is clearly faster in {few(len(below))} of {total} cases and clearly slower in {few(len(above))}."
        )
        said += "".join(f" {name}." for name in name_rates(pd.concat([below, above])))
    chance = f" By chance {0.05 * len(table):.1f} of them would seem to be." if len(table) > 1 else ""
    return f"{said} Each is of {plural(int(table['pairs'].max()), 'pair')}.{chance}"


def name_rates(table: pd.DataFrame) -> list[str]:
    """Name each ratio of `by_rate` by its model and factor, or by another prompt method, and by its learning rate."""
    default = prompt_method_name(TuneConfig().method)
    return [
        (
            f"{row['model']} at {row['learning rate']}, factor {row['factor']}: {row['ratio [95 %]']}"
            if row["method"] == default
            else f"{upper(row['method'])} at {row['learning rate']}: {row['ratio [95 %]']}"
        )
        for row in table.to_dict("records")
    ]


def distances(evidence: Evidence, grids: Sequence[str]) -> pd.DataFrame:
    """How far apart tokens come to lie, by method and learning rate, and how hard TSLoss pulls on them.

    Returns
    -------
    DataFrame
        ``method`` and ``learning rate``; the mean distance of two tokens of what enters the model ``at the start``, and
        at the last checkpoint ``alone`` and with ``TSLoss``; and the ``gradients' ratio``, TSLoss's over that of
        cross-entropy, at the steps until a run is correct. All are medians.
    """
    runs = pd.DataFrame(
        {
            "method": record.config.method,
            "lr": record.config.lr,
            "with": record.config.regularizer != "none",
            "start": record.topology["mean_distance"].iloc[0],
            "end": record.topology["mean_distance"].iloc[-1],
            "share": gradients(record).median(),
        }
        for record in evidence.records(*grids)
    )
    rows = []
    for (method, lr), of_rate in runs.groupby(["method", "lr"], sort=False) if len(runs) else ():
        alone, ours = of_rate[~of_rate["with"]], of_rate[of_rate["with"]]
        rows.append(
            {
                "method": prompt_method_name(str(method)),
                "learning rate": f"{lr:g}",
                "at the start": f"{of_rate['start'].median():,.1f}",
                "alone": f"{alone['end'].median():,.1f}",
                "TSLoss": f"{ours['end'].median():,.1f}",
                "gradients' ratio": f"{ours['share'].median():,.3f}",
            }
        )
    return pd.DataFrame(rows)


SCALES = ("prompt scale, SmolLM2", "prompt scale, Gemma")
METHODS = ("prefix tuning", "P-tuning")
MEASURED = "ten samples, mmlu"
"""What pushes are held against: cross-entropy alone."""
PUSHES = ("interventions, H0", "interventions, H1", "interventions, entropy")


def pushes(scores: pd.DataFrame) -> list[str]:
    """Names of the interventions in a table of evaluations, each once."""
    return [str(name) for name in dict.fromkeys(scores["regularizer"]) if str(name).startswith("push-")]


def interventions(evidence: Evidence) -> pd.DataFrame:
    """Held-out accuracy and answer loss, and the quantity pushed, of each push less cross-entropy alone, over pairs."""
    grids = (MEASURED, *PUSHES)
    scores = evidence.evaluations(*grids)
    if evidence.missing(MEASURED) or scores.empty:
        return pd.DataFrame()
    ends = evidence.topology(*grids).groupby("run").last()
    scores = scores.join(ends[list(MOVED)], on="run")
    rows = []
    for name in pushes(scores):
        columns = {"accuracy": "score", "answer loss": "answer_loss"} | {said: one for one, said in MOVED.items()}
        gains = {said: claims.held_out_gain(scores, "none", column, name) for said, column in columns.items()}
        diverged = stats.ended(evidence.runs(*grids, regularizer=name))["diverged"]
        counts = {"pairs": int((scores["regularizer"] == name).sum()), "pushes that diverged": diverged}
        rows.append({"push": method_name(name)} | counts | {said: str(gain) for said, gain in gains.items()})
    return pd.DataFrame(rows)


MOVED = {"h0_mean_lifespan": "mean H0 lifespan", "h1_count": "H1 features", "persistence_entropy": "entropy"}
"""What is pushed, and what it is called."""


def both_readings(evidence: Evidence) -> pd.DataFrame:
    """Iterations by the whole solution and by the extracted answer, for the runs that were decoded now and then."""
    table = evidence.runs("both readings, gsm8k")
    rows = []
    for name in dict.fromkeys(table["regularizer"]):
        runs = table[table["regularizer"] == name]
        solution, answer = (stats.iterations(runs, which) for which in ("correct", "answer"))
        rows.append(
            {
                "method": method_name(name),
                "runs": len(runs),
                "whole solution": f"{solution.steps.mean():.1f}",
                "never correct": int((~solution.correct).sum()),
                "answer": f"{answer.steps.mean():.1f}",
                "never right by the answer": int((~answer.correct).sum()),
                "diverged": stats.ended(runs)["diverged"],
                "runs whose answer is right first": int((answer.steps < solution.steps).sum()),
            }
        )
    return shortened(pd.DataFrame(rows))
