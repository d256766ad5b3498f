"""Tables and sentences of the chapter on cost, from the file of the benchmark."""

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import pandas as pd

from tslib.study.bench.bench import DECODED, LONG, PROBLEM, SHORT, both, place
from tslib.study.bench.cost import Setting, Steps, spread
from tslib.study.names import model_name
from tslib.study.report.phrases import few, plural, upper

__all__ = [
    "aims",
    "curves",
    "growth",
    "headline",
    "named",
    "profiles",
    "read_curves",
    "read_growth",
    "read_live",
    "read_profiles",
    "read_tsloss",
    "requirements",
    "step_times",
    "tsloss_times",
]


class Asked(NamedTuple):
    """One line of the table: what was asked, and what was found."""

    what: str
    bound: float
    found: tuple[float, float, float]  # median, 10 % and 90 % quantiles
    at_least: bool = True
    unit: str = "×"

    def row(self) -> dict[str, str | bool]:
        """Return the line, formatted."""
        middle, low, high = self.found
        met = middle >= self.bound if self.at_least else middle <= self.bound
        between = "" if low == high else f"[{low:.3g}, {high:.3g}]"
        return {
            "what": self.what,
            "asked": f"{'≥' if self.at_least else '≤'} {self.bound:g} {self.unit}",
            "found": f"{middle:.3g} {self.unit}",
            "10–90 %": between,
            "met": "yes" if met else "no",
        }


def named(setting: Setting) -> str:
    """Name a setting as its ``str`` does, which names it in files, with the model's name as its makers write it."""
    return str(setting).replace(setting.model, model_name(setting.model))


def requirements(content: dict[str, Any]) -> pd.DataFrame:
    """What a step should cost at most, and what it does: one line each, those that were not measured left out."""
    return pd.DataFrame([asked.row() for asked in _asked(content["parts"])])


AIMS = {SHORT: 1.6, LONG: 1.5, PROBLEM: 1.15}
"""How many times as long PEFT's step is to take, at least, in either precision; in all other settings once."""


def _asked(parts: dict[str, Any]) -> Iterator[Asked]:
    for setting in (*both(SHORT), *both(LONG), PROBLEM):
        if found := _ratio(parts, setting, "prefix"):
            bound = next(bound for like, bound in AIMS.items() if setting in both(like))
            yield Asked(f"prefix step, PEFT's / ours: {named(setting)}", bound, found)
    slowest = min(_ratios(parts), key=lambda found: found[0], default=None)
    if slowest is not None:
        yield Asked("prefix step, PEFT's / ours: the worst of all settings", 1, slowest)
    for setting in both(LONG):
        if found := _ratio(parts, setting, "suffix"):
            yield Asked(f"suffix step, PEFT's prefix / ours: {named(setting)}", 13, found)
    longest = Setting(batch=1, question=4096, answer=8)
    if found := _ratio(parts, longest, "suffix"):
        yield Asked(f"suffix step, PEFT's prefix / ours: {named(longest)}", 50, found)
    for rows in DECODED:
        if part := parts.get(f"decode/{rows}"):
            times = part["seconds"]
            found = spread(a / b for a, b in zip(times["generate"], times["ours"], strict=True))
            said = f"decoding, generate / ours: {plural(rows, 'row')} of {part['tokens']} tokens at most"
            yield Asked(said, 1 if rows == 1 else 2, found)
    step = _median(parts, SHORT, "prefix")
    for n in (20, 100):
        if step and (times := parts.get(f"tsloss/{n}/576")):
            shares = spread(100 * seconds / step for seconds in times)
            yield Asked(f"TSLoss and its gradient, n = {n}, share of a prefix step", 1, shares, False, "%")
    for setting in (SHORT, LONG):
        ours, theirs = (parts.get(f"memory/{setting}/{way}") for way in ("prefix", "peft"))
        if ours and theirs:
            share = ours / theirs
            yield Asked(
                f"memory of a prefix step above the model, ours / PEFT's: {named(setting)}", 0.6, (share,) * 3, False
            )
    for setting, bound in ((SHORT, 75), (PROBLEM, 60)):
        if (rate := parts.get(f"rate/{setting.dtype}")) and (part := parts.get(f"steps/{setting}")):
            seconds = part["ways"]["prefix"]["seconds"][1:]
            shares = spread(100 * part["flops"] / rate / one for one in seconds)
            yield Asked(
                f"operations of a plain step at the peak rate / ours: {named(setting)}", bound, shares, unit="%"
            )
    if times := parts.get("topology/100"):
        yield Asked("exact homology and its summary, n = 100", 10, spread(1e3 * one for one in times), False, "ms")
    if size := parts.get("tsloss memory/4096/2048"):
        yield Asked("memory of TSLoss and its gradient, n = 4096, d = 2048", 1, (size / 1e9,) * 3, False, "GB")
    if "curves" in parts:
        gap = float(curves(parts)["difference"].max())
        yield Asked("largest relative difference of the loss from PEFT's, 20 steps", 1e-4, (gap,) * 3, False, "")


def _ratios(parts: dict[str, Any]) -> list[tuple[float, float, float]]:
    """Ratios of PEFT's prefix steps to ours, in all settings that were measured."""
    found = (_ratio(parts, _setting(part), "prefix") for name, part in parts.items() if name.startswith("steps/"))
    return [ratio for ratio in found if ratio]


def _setting(part: dict[str, Any]) -> Setting:
    return Setting(**{name: part[name] for name in Setting.__dataclass_fields__ if name in part})


def _seconds(parts: dict[str, Any], setting: Setting, way: str) -> list[float]:
    part = parts.get(f"steps/{setting}", {"ways": {}})
    return list(part["ways"].get(way, {"seconds": []})["seconds"][1:])


def _median(parts: dict[str, Any], setting: Setting, way: str) -> float | None:
    seconds = _seconds(parts, setting, way)
    return spread(seconds)[0] if seconds else None


def _ratio(parts: dict[str, Any], setting: Setting, way: str) -> tuple[float, float, float] | None:
    """Ratio of PEFT's steps to ours, each of neighbours."""
    theirs, ours = _seconds(parts, setting, "peft"), _seconds(parts, setting, way)
    return spread(a / b for a, b in zip(theirs, ours, strict=True)) if ours and theirs else None


def step_times(content: dict[str, Any]) -> pd.DataFrame:
    """Median seconds of a step in each way, and the ratios, one line for each setting."""
    parts = content["parts"]
    rows = []
    for part in (part for name, part in parts.items() if name.startswith("steps/")):
        setting = _setting(part)
        times = {way: _median(parts, setting, way) for way in ("peft", "prefix", "suffix")}
        ratios = {f"peft / {way}": _ratio(parts, setting, way) for way in ("prefix", "suffix")}
        row = {"model": model_name(setting.model), "precision": setting.dtype}
        row |= {name: part[name] for name in ("batch", "question", "answer")}
        row["rows"] = "in one template" if setting.alike else "share nothing"
        rows.append(row | times | {name: ratio and ratio[0] for name, ratio in ratios.items()})
    return pd.DataFrame(rows)


def growth(content: dict[str, Any], along: str) -> pd.DataFrame:
    """Seconds of SmolLM2's steps in float32 as batch or question grow, the other settings those of the first line.

    Returns
    -------
    pandas.DataFrame
        ``along`` (batch, or tokens of the question), ``way``, ``seconds`` (median), ``low``, ``high``.
    """
    base = SHORT if along == "batch" else LONG
    rows: list[dict[str, Any]] = []
    for part in (part for name, part in content["parts"].items() if name.startswith("steps/")):
        setting = _setting(part)
        if setting == Setting(**vars(base) | {along: getattr(setting, along)}):
            for way in part["ways"]:
                middle, low, high = spread(_seconds(content["parts"], setting, way))
                rows.append({along: getattr(setting, along), "way": way, "seconds": middle, "low": low, "high": high})
    return pd.DataFrame(rows).sort_values(["way", along], ignore_index=True)


def tsloss_times(content: dict[str, Any]) -> pd.DataFrame:
    """Milliseconds of TSLoss with its gradient, of exact homology with its gradient, and without, against n."""
    names = {
        "tsloss": "TSLoss, with gradient",
        "exact": "exact homology, with gradient",
        "topology": "exact homology and its summary",
    }
    rows = []
    for name, times in content["parts"].items():
        if found := re.fullmatch(r"(tsloss|exact|topology)/(\d+)(?:/(\d+))?", name):
            what, n, d = found.groups(default="576")
            middle, low, high = spread(1e3 * one for one in times)
            rows.append({"what": names[what], "n": int(n), "d": int(d), "ms": middle, "low": low, "high": high})
    return pd.DataFrame(rows).sort_values(["what", "d", "n"], ignore_index=True)


def curves(parts: dict[str, Any]) -> pd.DataFrame:
    """Loss before each step of PEFT's run and of ours, and their relative ``difference``."""
    losses = {way: part["losses"] for way, part in parts["curves"]["ways"].items()}
    frame = pd.DataFrame({"step": range(1, len(losses["peft"]) + 1)} | losses)
    frame["difference"] = (frame["prefix"] - frame["peft"]).abs() / frame["peft"]
    return frame


def profiles(content: dict[str, Any]) -> pd.DataFrame:
    """Where the time of our steps goes, in seconds, and PEFT's step beside it.

    ``bound`` is the ratio to PEFT's step if all but products of matrices and attention took no time at all.
    """
    rows = []
    cases = [(setting, "prefix", "") for setting in (*both(SHORT), *both(LONG), PROBLEM)]
    for setting, way, suffix in [*cases, *((setting, "suffix", "/suffix") for setting in both(LONG))]:
        spent = content["parts"].get(f"profile/{setting}{suffix}")
        peft = _median(content["parts"], setting, "peft")
        if spent and peft:
            row = {"setting": named(setting), "way": way} | spent
            rows.append(row | {PEFTS: peft, "bound": peft / (spent["products"] + spent["attention"])})
    return pd.DataFrame(rows)


PEFTS = "PEFT's step"


def _shares(spent: Mapping[Any, Any], whole: str, theirs: float) -> str:
    """Say what a step or a reply of ours spends its time on, and what ratio there could be at most."""
    total, fixed = spent["products"] + spent["attention"] + spent["rest"], spent["products"] + spent["attention"]
    return (
        f"products of matrices are {spent['products'] / total:.0%} of our {whole}, attention "
        f"{spent['attention'] / total:.0%}. Were the rest free, the ratio would be {theirs / fixed:.1f}."
    )


def read_profiles(content: dict[str, Any]) -> str:
    """Say of each aim that is missed what was asked and found, and where the time goes."""
    table, spent, parts = requirements(content), profiles(content), content["parts"]
    missed = table[table["met"] == "no"].to_dict("records")

    def told(*whats: str) -> str:
        """Say what was asked and found of some aims, the last one as a rate; nothing of those that are met."""
        said = [
            f"asked {row['asked']}, found {row['found']}" + " of the peak rate" * row["what"].startswith("operations")
            for row in missed
            if row["what"] in whats
        ]
        return upper("; ".join(said))

    lines = []
    for row in spent.to_dict("records"):
        setting, way = row["setting"], row["way"]
        asked = [f"{way} step, PEFT's{' prefix' if way == 'suffix' else ''} / ours: {setting}"]
        asked += [f"operations of a plain step at the peak rate / ours: {setting}"] if way == "prefix" else []
        if said := told(*asked):
            lines.append(f"* *{setting}, {way}*: {said}. Here {_shares(row, 'step', row[PEFTS])}")
    for rows in DECODED:
        if row := parts.get(f"profile/decode/{rows}"):
            part = parts[f"decode/{rows}"]
            said = told(f"decoding, generate / ours: {plural(rows, 'row')} of {part['tokens']} tokens at most")
            theirs = spread(part["seconds"]["generate"])[0]
            lines += [f"* *Decoding {plural(rows, 'row')}*: {said}. Here {_shares(row, 'time', theirs)}"] * bool(said)
    if any(row["what"].startswith("memory of a prefix step") for row in missed):
        lines.append(
            "* *Memory of one long row*: a single row shares nothing with others, and what each layer's backward pass "
            "needs has to be kept for every position, in PEFT's step as in ours; ours saves the logits. Beyond "
            "`pass_tokens` positions activations are computed again instead."
        )
    head = "Aims that are missed, and where the time goes. PEFT's step and `generate` have products and attention, too:"
    return "\n".join([head, "", *lines]) if lines else "Every aim is met."


def headline(records: Sequence[dict[str, Any]]) -> str:
    """What the chapter opens with, of all records; the aims are those of the first."""
    newest, *older = records
    parts, place_of = newest["parts"], place(newest)
    before = ""
    if older:
        where = "an earlier machine" if len(older) == 1 else f"{few(len(older))} earlier machines"
        before = f"; on {where} it was {_between(*(content['parts'] for content in older))} times"
    said = [
        f"**A step of PEFT takes {_between(parts)} times as long as ours, for the same losses.** Those are "
        f"{plural(len(_ratios(parts)), 'setting')} on {place_of}{before}."
    ]
    if long := _ratio(parts, LONG, "suffix"):
        said.append(f"With the prompt behind {LONG.question} tokens it is {long[0]:.0f}.")
    step, table = _median(parts, SHORT, "prefix"), requirements(newest)
    if step and (times := parts.get("tsloss/20/576")):
        said.append(f"TSLoss adds {spread(times)[0] / step:.2%} to a step.")
    met = int((table["met"] == "yes").sum())
    said.append(f"Of {len(table)} aims {met if met else few(0)} {'is' if met == 1 else 'are'} met.")
    return " ".join(said)


def _between(*records: dict[str, Any]) -> str:
    return _range([ratio[0] for parts in records for ratio in _ratios(parts)])


def _range(values: Sequence[float]) -> str:
    low, high = f"{min(values):.1f}", f"{max(values):.1f}"
    return low if low == high else f"{low} to {high}"


def aims(records: Sequence[dict[str, Any]]) -> pd.DataFrame:
    """What a step should cost at most, and beside it what it costs, one column for each record."""
    columns = {}
    for content in records:
        table = requirements(content).set_index(["what", "asked"])
        cells = [f"{found} {between}".strip() for found, between in zip(table["found"], table["10–90 %"], strict=True)]
        missed = ["" if met == "yes" else " (missed)" for met in table["met"]]
        when = content["environment"].get("started", "")[:10]
        name = f"{place(content)}, {when}" if when else place(content)
        columns[name] = pd.Series([a + b for a, b in zip(cells, missed, strict=True)], table.index)
    table = pd.DataFrame(columns).reindex(next(iter(columns.values())).index).fillna("").reset_index()
    return table.assign(asked=table["asked"].str.replace(" ", "\N{NO-BREAK SPACE}"))  # a narrow column parts them


def read_live(setting: Setting, steps: Mapping[str, Steps], content: dict[str, Any]) -> str:
    """What the figure of the live steps shows, and what the committed record has for the same setting, if anything."""
    ratios = {
        way: spread(a / b for a, b in zip(steps["peft"].seconds[1:], steps[way].seconds[1:], strict=True))
        for way in ("prefix", "suffix")
    }
    said = " and ".join(f"{ratio[0]:.1f} ({way})" for way, ratio in ratios.items())
    committed = {way: _ratio(content["parts"], setting, way) for way in ("prefix", "suffix")}
    there = " and ".join(f"{ratio[0]:.1f} ({way})" for way, ratio in committed.items() if ratio)
    return (
        f"Here and now, with {named(setting)}, a step of PEFT takes {said} times as long as ours, by medians"
        f"{f'; in the committed record, with the same setting, {there}' if there else ''}."
    )


def read_curves(content: dict[str, Any]) -> str:
    """What the figure of the loss curves shows."""
    frame = curves(content["parts"])
    return (
        f"Over {len(frame)} steps the losses differ by at most {frame['difference'].max():.1e} of their value. Part of "
        "it is the cross-entropy itself: torch's sums over a large vocabulary in float32 round more than ours."
    )


def read_growth(content: dict[str, Any]) -> str:
    """What the figure of sizes shows."""
    frame = growth(content, "question").pivot_table(index="question", columns="way", values="seconds")
    ratio = (frame["peft"] / frame["suffix"]).dropna()
    grown = frame["suffix"].iloc[-1] / frame["suffix"].iloc[0]
    return (
        f"From {frame.index[0]} to {frame.index[-1]} tokens of the question PEFT's step becomes "
        f"{frame['peft'].iloc[-1] / frame['peft'].iloc[0]:.0f} times as long, the suffix step {grown:.1f} times: it is "
        f"{ratio.iloc[0]:.0f} times as fast at the short end, {ratio.iloc[-1]:.0f} times at the long one."
    )


def read_tsloss(content: dict[str, Any]) -> str:
    """What the figure of TSLoss shows."""
    frame = tsloss_times(content)
    ours = frame[frame["what"].str.startswith("TSLoss") & (frame["d"] == frame["d"].min())].set_index("n")["ms"]
    step = _median(content["parts"], SHORT, "prefix")
    assert step is not None
    said = (
        f"TSLoss with its gradient takes {ours[20]:.1f} ms at n = 20 and {ours.iloc[-1]:.0f} ms at "
        f"n = {ours.index[-1]}; a step of ours on {SHORT.batch} rows takes {step:.1f} s."
    )
    parts = content["parts"]
    if (exact := parts.get("exact/100")) and (times := parts.get("tsloss/100/576")):
        middle = spread(one / other for one, other in zip(exact, times, strict=False))[0]
        said += (
            f" Exact homology with its gradient takes {middle:.1f} times as long as TSLoss at n = 100, "
            f"{spread(exact)[0] / step:.1%} of a step: at the lengths of soft prompts it is not dear."
        )
    return said
