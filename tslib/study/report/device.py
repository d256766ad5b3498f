"""Tables and a sentence of what the check of a device found (``make gpu``)."""

from typing import Any

import pandas as pd

from tslib.study.bench.cost import Setting, spread
from tslib.study.report.cost import named

__all__ = ["checks", "read", "seconds", "steps", "tables"]


def tables(content: dict[str, Any] | None) -> list[pd.DataFrame]:
    """Return the three tables, those that have no line left out; without a file none."""
    found = [] if content is None else [checks(content), steps(content), seconds(content)]
    return [table for table in found if len(table)]


def checks(content: dict[str, Any]) -> pd.DataFrame:
    """Return what was looked at, found and asked, and whether it is met: one line each."""
    shown = [
        {
            "what": one["what"],
            "found": one["found"] if isinstance(one["found"], str) else f"{one['found']:.2g}",
            "asked": one["asked"] if isinstance(one["asked"], str) else f"≤ {one['asked']:g}",
            "met": "yes" if one["met"] else "no",
        }
        for one in content["checks"]
    ]
    return pd.DataFrame(shown)


def steps(content: dict[str, Any]) -> pd.DataFrame:
    """Return the median seconds of a step, PEFT's over ours, and the peak above the model in GiB: a line a setting."""
    rows = []
    for part in content["steps"]:
        ways = part["ways"]
        row = {"setting": named(Setting(**{name: part[name] for name in Setting.__dataclass_fields__ if name in part}))}
        row |= {f"{way}, s": f"{spread(one['seconds'][1:])[0]:.3g}" for way, one in ways.items()}
        for way in (way for way in ways if way != "peft"):
            neighbours = zip(ways["peft"]["seconds"][1:], ways[way]["seconds"][1:], strict=True)
            row[f"peft / {way}"] = f"{spread(a / b for a, b in neighbours)[0]:.2f}"
        row |= {f"{way}, GiB": f"{one['peak'] / 2**30:.2f}" for way, one in ways.items() if one["peak"] is not None}
        rows.append(row)
    return pd.DataFrame(rows)


def seconds(content: dict[str, Any]) -> pd.DataFrame:
    """Return milliseconds of TSLoss with its gradient, and of exact homology on the CPU, by tokens and width."""
    rows = []
    for name, times in content["seconds"].items():
        what, n, d = name.split("/")
        said = {"tsloss": "TSLoss, with gradient", "topology": "exact homology and its summary, on the CPU"}[what]
        rows.append({"what": said, "n": int(n), "d": int(d), "ms": round(1e3 * spread(times)[0], 2)})
    return pd.DataFrame(rows)


def read(content: dict[str, Any] | None) -> str:
    """Say what a device was found to do; without a file, that nothing was run on one."""
    if content is None:
        return (
            "Nothing on this page was run on a GPU. `make gpu` checks one, in a few minutes and without a network: its "
            "losses and gradients against the CPU's, and steps of models of the paper's sizes beside PEFT's. Once its "
            "file is `data/results/gpu.json`, what it found stands here."
        )
    failed = [one["what"] for one in content["checks"] if not one["met"]]
    made = content["environment"]
    said = f"all {len(content['checks'])} checks are met"
    if failed:
        said = f"{len(failed)} of {len(content['checks'])} checks are not met: {'; '.join(failed)}"
    notes = "".join(f" {note[0].upper()}{note[1:]}." for note in content["notes"])
    return f"On {made.get('machine') or made['device']}, with torch {made['packages']['torch']}, {said}.{notes}"
