"""Sentences and tables on what TSLoss does to a prompt, what was treated, and how it pulls on the iterations."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd

from tslib import stats
from tslib.config import TuneConfig
from tslib.presets import PRESETS
from tslib.records.record import RunRecord
from tslib.stats import Interval
from tslib.study import shapes
from tslib.study.claims.criteria import MULTI, SINGLE
from tslib.study.claims.iterations import COMBINATIONS, KEPT_BACK
from tslib.study.names import grid_name, method_name, prompt_method_name, setting_name, task_name
from tslib.study.report.phrases import few, upper
from tslib.study.treatment import MORE_EVEN

__all__ = [
    "FEWEST",
    "HARD",
    "STRENGTHS",
    "TASKS",
    "TO_THE_END",
    "WEIGHTS",
    "drawn",
    "finding",
    "named",
    "read_alone",
    "read_angles",
    "read_bars",
    "read_bound",
    "read_by_weight",
    "read_curves",
    "read_even",
    "read_loops",
    "read_pull",
    "read_treated",
    "setting",
    "words",
]

TO_THE_END = (*SINGLE, *MULTI)
"""Grids whose runs go on to the last step."""

TASKS = (*COMBINATIONS.values(), *KEPT_BACK.values())
"""The grids of each combination of model, task and setting."""

STRENGTHS = (
    *("one sample to the end, gsm8k", "the weight, gsm8k", "baselines, gsm8k", "exact and adaptive"),
    *("prefix tuning", "P-tuning", "prompt scale, SmolLM2", "prompt scale, Gemma"),
)
"""Grids of other weights, regularisers and prompt methods."""

WEIGHTS = ("one sample to the end, gsm8k", "the weight, gsm8k")
"""Grids of TSLoss's weights from 0.1 to 10."""

HARD = 0.05
"""From this ratio of gradients on a regulariser is said to pull hard."""

FEWEST = 5
"""Pairs of a setting whose ratio of iterations is drawn, not only counted: intervals of fewer would hide the others."""

WARM_UP = 0.1
"""Share of the steps in which the learning rate rises (`tslib.tuning.loop`)."""

NOTHING = "**None of these runs is committed yet.**"


def read_loops(followed: pd.DataFrame) -> str:
    """Say what TSLoss has done to H0 deaths, loops and entropy by the last step of runs that go on.

    Parameters
    ----------
    followed
        `tslib.study.treatment.followed`.
    """
    if followed.empty:
        return NOTHING
    first, last = (followed.sort_values("step").groupby("pair").nth(at) for at in (0, -1))
    more, ratio = (stats.mean(last[name].to_numpy(float)) for name in ("loops", "spread"))
    risen = {
        side: int((last[f"entropy_{side}"].to_numpy() > first[f"entropy_{side}"].to_numpy()).sum())
        for side in ("with", "alone")
    }
    return (
        f"By the last step a prompt has {_with_interval(more, 1)} more $H_1$ features with TSLoss than without, and "
        f"more in {int((last['loops'] > 0).sum())} of {len(last)} pairs: on average {last['loops_with'].mean():.1f}, "
        f"without it {last['loops_alone'].mean():.1f}, at the start {first['loops_alone'].mean():.1f}. The spread of "
        f"$H_0$ deaths is {_with_interval(Interval(*np.exp(ratio)), 2)} of what it is without. Persistence entropy, "
        f"which falls in the paper, ends above its start in {risen['with']} of {len(last)} runs with TSLoss, and in "
        f"{risen['alone'] or 'none'} without it."
    )


def read_curves(followed: Mapping[str, pd.DataFrame]) -> str:
    """Read the curves with and without TSLoss: where each ends.

    Parameters
    ----------
    followed
        By the name of the runs: `tslib.study.treatment.followed`.
    """
    parts = []
    for title, rows in followed.items():
        last = rows.sort_values("step").groupby("pair").last()
        spread, loops = ([last[f"{name}_{side}"].mean() for side in ("with", "alone")] for name in ("spread", "loops"))
        parts.append(
            f"{title}: the spread of $H_0$ deaths ends at {spread[0]:.2f} with TSLoss and at {spread[1]:.2f} without, "
            f"the number of $H_1$ features at {loops[0]:.1f} and {loops[1]:.1f}"
        )
    return f"{'. '.join(parts)}."


def read_by_weight(followed: pd.DataFrame) -> str:
    """Say what the weight λ changes: how many loops there are in the end, and by which step half of them are there."""
    if followed.empty:
        return NOTHING
    ends, halves = [], []
    for weight, rows in followed.groupby("weight"):
        mean = rows.groupby("step")["loops"].mean()
        ends.append(mean.iloc[-1])
        halves.append(f"{mean.index[mean >= mean.iloc[-1] / 2][0]} with λ = {weight:g}")
    return (
        f"In the end the weight matters little: at each of {len(ends)} weights TSLoss has added {min(ends):.1f} to "
        f"{max(ends):.1f} $H_1$ features. It decides how soon: half of them are there by step {', '.join(halves)}. "
        "Each line has its 95 % intervals at other steps than the next."
    )


def read_bars(theirs: RunRecord, ours: RunRecord, step: int) -> str:
    """Read the barcodes of a pair: between what $H_0$ bars end, and how long the loops are."""
    parts = []
    for record, words_ in ((theirs, "Without TSLoss"), (ours, "with it")):
        bars = record.diagrams[(record.diagrams["step"] == step) & np.isfinite(record.diagrams["death"])]
        h0, h1 = (bars[bars["dimension"] == dimension] for dimension in (0, 1))
        ends = f"{words_} the $H_0$ bars end between {h0['death'].min():.1f} and {h0['death'].max():.1f}"
        longest = (h1["death"] - h1["birth"]).max() / h0["death"].mean()
        loops = f"{_count(len(h1), 'loop')}, the longest {longest:.1%} as long as the mean $H_0$ bar"
        parts.append(f"{ends}, and there {'is' if len(h1) < 2 else 'are'} {loops if len(h1) else 'no loop'}")
    return f"{'; '.join(parts)}."


def read_angles(followed: pd.DataFrame) -> str:
    """Say how far apart tokens are in the end, beside how long they are: at right angles √2 times as far."""
    if followed.empty:
        return NOTHING
    last = followed.sort_values("step").groupby("pair").last()
    return (
        f"In tuned prompts, at the last step, the mean distance of two tokens is {last['distance_alone'].mean():.2f} "
        f"times their mean length without TSLoss, and {last['distance_with'].mean():.2f} times with it. At right "
        "angles, and equally long, it would be 1.41 times."
    )


def read_even(noise: pd.DataFrame, lengths: pd.DataFrame) -> str:
    """Say what the number of loops depends on, and what it does not (`tslib.study.shapes`)."""
    by_noise, by_lengths = noise.groupby("noise").mean(), lengths.groupby("lengths").mean()
    counts, longest = by_noise["loops"], by_noise["longest"]
    return (
        f"How many loops there are does not depend on the noise: {counts.min():.1f} to {counts.max():.1f} on average "
        f"for noise from {counts.index.min():g} to {counts.index.max():g}. Only their length does, the longest going "
        f"from {longest.iloc[0]:.6f} to {longest.iloc[-1]:.3f} of the mean distance. It depends on tokens' lengths: "
        f"{by_lengths['loops'].iloc[0]:.1f} loops where they are about equal, {by_lengths['loops'].iloc[-1]:.1f} where "
        f"they differ by {by_lengths.index[-1]:.0%}."
    )


def read_alone(descents: pd.DataFrame) -> str:
    """Say where TSLoss alone takes clouds of either start (`tslib.study.shapes.descents`)."""
    steps = sorted(descents["step"].unique())
    first, middle, last = (
        descents[descents["step"] == steps[at]].groupby("start").mean() for at in (0, len(steps) // 3, -1)
    )
    parts = [
        f"from clouds {start} it takes the number of loops from {first.loc[start, 'loops']:.1f} to "
        f"{last.loc[start, 'loops']:.1f}, and the spread of $H_0$ deaths from {first.loc[start, 'spread']:.3f} to "
        f"{last.loc[start, 'spread']:.3f}"
        for start in shapes.STARTS
    ]
    initial = next(iter(shapes.STARTS))
    return (
        f"TSLoss alone, {_count(int(steps[-1]), 'step')} of Adam: {'; '.join(parts)} (means over "
        f"{_count(descents['seed'].nunique(), 'draw')}). The mean distance of the former stays "
        f"{last.loc[initial, 'distance'] / first.loc[initial, 'distance']:.2f} times what it was: this is no collapse. "
        f"At step {steps[len(steps) // 3]} the standard deviation of its distances is "
        f"{middle.loc[initial, 'distances']:.5f} of their mean, with {middle.loc[initial, 'loops']:.1f} loops. At "
        f"the end it is {last.loc[initial, 'distances']:.0e}, a regular simplex to single precision, which has none."
    )


DIFFERS = ("weight", "lr", "n_tokens", "init", "prompt_scale", "metric", "tau", "alpha", "beta_h1", "lambda_repel")
"""Fields that set a setting apart."""


def setting(row: Mapping[Any, Any]) -> str:
    """Name what sets a row of ``treatment`` apart from the defaults; empty where nothing does."""
    default = TuneConfig().as_dict() | {"lr": PRESETS["tuned"]}
    apart = [name for name in DIFFERS if row[name] != default[name]]
    method = [prompt_method_name(row["method"])] if row["method"] != TuneConfig().method else []
    return ", ".join([*method, *(setting_name(name, row[name]) for name in apart)])


def words(rows: pd.DataFrame) -> pd.DataFrame:
    """Word ``treatment`` for readers."""
    worded = []
    for row in rows.to_dict("records"):
        is_read = row["read"] > 0
        apart = setting({**row, "method": "prompt-tuning"})
        spread = Interval(*np.exp(_of(row, "spread")))
        worded.append(
            {
                "runs": grid_name(row["grid"]) + (f" ({apart})" if apart else ""),
                "regulariser": method_name(row["regularizer"]),
                "pairs read": f"{row['read']} of {row['pairs']}" + (f", step {row['step']:.0f}" if is_read else ""),
                "H0 spread [95 %]": _with_interval(spread, 2) if is_read else "",
                "more loops [95 %]": _with_interval(_of(row, "loops"), 1) if is_read else "",
                "pull": f"{row['pull']:.2%}" if row["pull"] < HARD else f"{row['pull']:,.0%}",
                "treated": outcome(row),
                "iterations [95 %]": _with_interval(_of(row, "ratio"), 2) if row["observed"] else "never correct",
            }
        )
    return pd.DataFrame(worded)


def outcome(row: Mapping[Any, Any]) -> str:
    """Say whether the cloud was treated."""
    if row["treated"]:
        return "yes"
    return "not clearly" if row["read"] else "not to be read"


def read_bound() -> str:
    """Say what is called treated."""
    return (
        f"A setting is called *treated* where the whole interval of the spread lies below {MORE_EVEN}: $H_0$ deaths "
        f"are more even than without the regulariser, by {1 - MORE_EVEN:.0%} at least. The bound was chosen when the "
        "runs were known; the intervals show what another one would say."
    )


def read_treated(rows: pd.DataFrame) -> str:
    """Say in how many of some comparisons TSLoss had done anything to the cloud before a run was correct.

    Parameters
    ----------
    rows
        `tslib.study.treatment.treatment`.
    """
    if rows.empty:
        return NOTHING
    seen = rows[rows["observed"]]
    treated, not_treated, unseen = seen[seen["treated"]], seen[~seen["treated"]], rows[~rows["observed"]]
    said = (
        f"In {len(treated)} of {_count(len(rows), 'comparison')} TSLoss had clearly made $H_0$ deaths more even by the "
        f"time that a run was correct; of these {_sides(treated)}."
    )
    if len(not_treated):
        early = int((not_treated["correct"] <= WARM_UP * not_treated["max_steps"]).sum())
        which = "all" if early == len(not_treated) else f"{early} of them"
        tasks = ", ".join(dict.fromkeys(map(task_name, not_treated["task"])))
        said += f" In {len(not_treated)} it had not clearly done so ({tasks})"
        said += f": {which} within the warm-up of the learning rate" if early else ""
        said += ", so that they say nothing of what it would do." if which == "all" else "."
    if len(unseen):
        said += f" In {len(unseen)} no run is ever correct, so that nothing is seen of the iterations."
    return said


def drawn(rows: pd.DataFrame) -> pd.DataFrame:
    """Return the rows of ``treatment`` whose ratio of iterations is drawn: observed, and of `FEWEST` pairs at least."""
    return rows[rows["observed"] & (rows["pairs"] >= FEWEST)]


def named(rows: pd.DataFrame) -> dict[int, str]:
    """Name the settings of TSLoss and exact homology with the largest weight and pull, by their row's label."""
    ours = rows[rows["regularizer"].str.startswith(("tsloss", "persistence"))]
    found = ours[(ours["pull"] > 0.3) | (ours["weight"] > 1)]
    return {int(label): _name(row) for label, row in zip(found.index, found.to_dict("records"), strict=True)}


def _name(row: Mapping[Any, Any]) -> str:
    """Name a setting in a word or two, the regulariser where it is not TSLoss itself."""
    other = method_name(row["regularizer"]).removeprefix("TSLoss with ")
    return ", ".join(filter(None, ["" if row["regularizer"] == "tsloss" else other, setting(row)]))


def read_pull(rows: pd.DataFrame) -> str:
    """Say whether TSLoss helps where it pulls harder.

    Parameters
    ----------
    rows
        `tslib.study.treatment.treatment`, with rows that are not observed, which are counted.
    """
    if rows.empty:
        return NOTHING
    ours = rows[rows["observed"] & rows["regularizer"].str.startswith("tsloss")]
    hard = ours[ours["pull"] >= HARD].sort_values("pull")
    said = []
    if len(hard):
        said += [_hard(hard)]
        said += [f"{upper(_name(row))}: {_with_interval(_of(row, 'ratio'), 2)}." for row in hard.to_dict("records")]
    said += [
        f"TSLoss and its variants have {_count(len(ours), 'setting')} in all, of {ours['pairs'].min()} to "
        f"{ours['pairs'].max()} pairs; {_sides(ours)}. By chance {0.05 * len(ours):.1f} of them would seem to be."
    ]
    never, few_ = int((~rows["observed"]).sum()), int((rows["observed"] & (rows["pairs"] < FEWEST)).sum())
    why = {"in which no run is ever correct": never, f"of fewer than {FEWEST} pairs": few_}
    if parts := [f"{_count(count, 'setting')} {words_}" for words_, count in why.items() if count]:
        said += [f"Not drawn: {', and '.join(parts)}."]
    return " ".join(said)


def _hard(rows: pd.DataFrame) -> str:
    """Say what becomes of the iterations in settings that pull hard."""
    below = (rows["ratio_high"] < 1).any()
    return (
        f"Where it pulls harder, tuning is {'faster in part' if below else 'nowhere clearly faster'}: of "
        f"{_count(len(rows), 'setting')} with a gradient of at least {HARD:.0%} of cross-entropy's {_sides(rows)}."
    )


def _sides(rows: pd.DataFrame) -> str:
    """Say how many settings are clearly faster and how many clearly slower."""
    below, above = int((rows["ratio_high"] < 1).sum()), int((rows["ratio_low"] > 1).sum())
    return f"{few(below)} {_be(below)} clearly faster and {few(above)} {_be(above)} clearly slower"


def _be(number: int) -> str:
    return "is" if number <= 1 else "are"


def finding(cloud: str, rows: pd.DataFrame) -> str:
    """Say what the chapter found.

    Parameters
    ----------
    cloud
        What TSLoss does to a prompt (`tslib.study.report.headline.short`).
    rows
        `tslib.study.treatment.treatment` of all grids.
    """
    if rows.empty:
        return NOTHING
    hard = rows[rows["observed"] & rows["regularizer"].str.startswith("tsloss") & (rows["pull"] >= HARD)]
    return f"{cloud} {_hard(hard)}" if len(hard) else cloud


def _of(row: Mapping[Any, Any], name: str) -> Interval:
    return Interval(row[name], row[f"{name}_low"], row[f"{name}_high"])


def _with_interval(found: Interval, digits: int) -> str:
    """Word an interval; of a single pair there is none."""
    if np.isnan(found.low):
        return f"{found.value:.{digits}f}"
    return f"{found.value:.{digits}f} [{found.low:.{digits}f}, {found.high:.{digits}f}]"


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}{'' if number == 1 else 's'}"
