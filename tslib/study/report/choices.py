"""Sentences and tables on what the second part of the criteria chooses, and on pushes in float32."""

import pandas as pd

from tslib.presets import PRESETS
from tslib.stats import Interval
from tslib.study.claims import choices
from tslib.study.evidence import Evidence
from tslib.study.names import method_name, task_name
from tslib.study.report.evidence import not_there
from tslib.study.report.phrases import few, listed, mean_of_runs, upper
from tslib.study.report.rates import rates

__all__ = [
    "floor_table",
    "push_table",
    "read_floors",
    "read_pushes",
    "read_rates_again",
    "read_weights",
    "weight_table",
]


def _lacking(second: Evidence, grid: str) -> str:
    return not_there(second, grid).replace("section", "experiment")


def read_rates_again(second: Evidence) -> str:
    """Say which rate is chosen on the new pairs, and what follows for the main comparison."""
    found = rates(second, choices.RATES)
    if found.empty:
        return _lacking(second, choices.RATES)
    best, main = found[found["chosen"]].iloc[0], PRESETS["tuned"]
    means = listed([f"{row['mean']:.0f} at {row['lr']:g}" for row in found.to_dict("records")])
    said = f"Mean iterations of cross-entropy alone are {means}, on {found['runs'].max()} pairs each."
    if best["lr"] == main:
        return f"{said} The rule chooses {main:g} again."
    return f"{said} The rule chooses {best['lr']:g} in place of {main:g}: the main comparison is to be made there, too."


def weight_table(found: pd.DataFrame) -> pd.DataFrame:
    """Word ``choices.weights``: one row a regulariser, an arrow at the weight that is chosen."""
    rows: dict[str, dict[str, str]] = {}
    for row in found.to_dict("records"):
        mean = mean_of_runs(row["mean"], row["censored"], row["diverged"])
        rows.setdefault(method_name(row["regularizer"]), {})[f"{row['weight']:g}"] = f"{mean}{' ←' * row['chosen']}"
    return pd.DataFrame(
        [
            {"method": name, "weights": ", ".join(f"{weight}: {mean}" for weight, mean in of_method.items())}
            for name, of_method in rows.items()
        ]
    )


def read_weights(second: Evidence) -> str:
    """Say which weight each regulariser takes to the pairs that judge."""
    found = choices.weights(second)
    if found.empty:
        return _lacking(second, choices.WEIGHTS)
    chosen = [
        f"{row['weight']:g} for {method_name(row['regularizer'])}" for row in found[found["chosen"]].to_dict("records")
    ]
    return f"The weights that are judged on ten other pairs: {listed(chosen)}."


def floor_table(found: pd.DataFrame) -> pd.DataFrame:
    """Word ``choices.floors``."""
    return pd.DataFrame(
        [
            {
                "task": task_name(row["task"]),
                "pairs": row["pairs"],
                "accuracy": f"{row['accuracy']:.2f}",
                "floor": f"{row['floor']:.2f}",
                "above it [95 %]": str(Interval(row["gain"], row["low"], row["high"])),
            }
            for row in found.to_dict("records")
        ]
    )


def read_floors(second: Evidence) -> str:
    """Say on which tasks methods will be compared."""
    found = choices.floors(second)
    if found.empty:
        return _lacking(second, choices.FLOOR) or "*The model as it is is still to be tested on these tasks.*"
    used = [task_name(task) for task in found["task"][found["used"]]]
    if not used:
        return f"On none of {few(len(found))} tasks does tuning lift accuracy above the floor, so none is used."
    return f"Tuning lifts accuracy above the floor on {listed(used)}: there methods are compared."


def push_table(found: pd.DataFrame) -> pd.DataFrame:
    """Word ``choices.pushes``."""
    return pd.DataFrame(
        [
            {
                "push": method_name(row["regularizer"]),
                "pairs": row["pairs"],
                "answer loss less that of cross-entropy alone": str(
                    Interval(row["difference"], row["low"], row["high"])
                ),
                "p (Holm)": f"{row['p_holm']:.2g}",
            }
            for row in found.to_dict("records")
        ]
    )


def read_pushes(second: Evidence) -> str:
    """Say which pushes move held-out answer loss."""
    found = choices.pushes(second)
    if found.empty:
        return _lacking(second, choices.PUSHES)
    clear = found[found["p_holm"] < 0.05].to_dict("records")
    if not clear:
        return f"In float32 none of {few(len(found))} pushes moves held-out answer loss detectably."
    parts = [
        f"{method_name(row['regularizer'])} {'raises' if row['difference'] > 0 else 'lowers'} it by "
        f"{abs(row['difference']):.2f}"
        for row in clear
    ]
    return f"In float32 held-out answer loss is moved: {upper(listed(parts))}."
