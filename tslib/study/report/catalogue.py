"""Tables of what there is: benchmarks, named models and encoders, whether each is here, and how to get it."""

from collections.abc import Sequence

import pandas as pd
from tqdm import tqdm

from tslib.errors import InputError, TslibError
from tslib.models import fetching
from tslib.models import loading as registry
from tslib.models.fetching import WheelSource
from tslib.models.loading import MODELS, ModelSpec
from tslib.tasks import FAMILIES, Reading, Task
from tslib.tasks.sources import DATA_DIR, data_dir
from tslib.vision.encoders import ENCODERS


def tasks() -> pd.DataFrame:
    """One row a benchmark: rows that are here by split, metric, licence, and how to get the rows."""
    rows = []
    for task in tqdm(FAMILIES.values(), desc="tasks", leave=False, delay=2):
        # a made task's further splits, which take long to make, are as much here as these
        readings = _readings(task, task.splits if task.layout else ("train", "test"))
        rows.append(
            {
                "task": task.name,
                "title": task.title,
                "subsets": len(task.subsets) or "",
                "train": _used(readings.get("train")),
                "test": _used(readings.get("test")),
                "metric": task.metric,
                "licence": task.licence,
                "here": _here(task, readings),
                "how to get it": _how(task),
            }
        )
    return pd.DataFrame(rows)


def readings() -> pd.DataFrame:
    """One row a split of the benchmarks that are here: rows read, used, in another split, refused, and why."""
    rows = []
    for task in tqdm(FAMILIES.values(), desc="tasks", leave=False, delay=2):
        for split, reading in _readings(task, task.splits).items():
            if isinstance(reading, Reading):
                reasons = pd.Series([_kind(row.reason) for row in reading.refused], dtype=object).value_counts()
                rows.append(
                    {
                        "task": task.name,
                        "split": split,
                        "read": reading.read,
                        "used": reading.used,
                        "in another split": reading.elsewhere,
                        "refused": len(reading.refused),
                        "why": ", ".join(f"{count} × {reason}" for reason, count in reasons.items()),
                        "subsets missing": len(reading.missing),
                    }
                )
    return pd.DataFrame(rows)


def models() -> pd.DataFrame:
    """One row a named model: parameters, licence, size of its weights, whether it is here, and how to get it."""
    from tslib.tuning.memory import parameters

    return pd.DataFrame(
        [
            {
                "model": spec.name,
                "role": spec.role,
                "parameters": f"{parameters(spec.name) / 1e6:,.0f} M",
                "weights": f"{parameters(spec.name) * 2 / 1e9:.2f} GB in bfloat16",
                "licence": spec.licence,
                "here": "yes" if _is_here(spec) else "no",
                "how to get it": f"python -m tslib fetch {spec.name}{' --accept-gemma-terms' if spec.terms else ''}",
                "note": spec.note,
            }
            for spec in MODELS.values()
        ]
    )


def encoders() -> pd.DataFrame:
    """One row a named encoder of pictures: parameters, licence, whether it is here, and how to get it."""
    return pd.DataFrame(
        [
            {
                "encoder": spec.name,
                "role": spec.role,
                "parameters": f"{spec.parameters / 1e6:,.0f} M",
                "grid": f"{spec.grid} × {spec.grid} × {spec.width}",
                "licence": spec.licence,
                "here": "yes" if spec.is_here else "no",
                "how to get it": f"python -m tslib fetch {spec.name}",
                "note": spec.note,
            }
            for spec in ENCODERS.values()
        ]
    )


def plain(table: pd.DataFrame) -> str:
    """A table as aligned text for a terminal."""
    widths = [max(len(str(value)) for value in [name, *table[name]]) for name in table]
    lines = [list(table.columns), *table.to_numpy().tolist()]
    return "\n".join(
        "  ".join(f"{value!s:<{width}}" for value, width in zip(line, widths, strict=True)).rstrip() for line in lines
    )


def _readings(task: Task, splits: Sequence[str]) -> dict[str, Reading | TslibError]:
    """What reading some splits gives, or why it cannot be read; the hub is not asked."""
    if task.layout and data_dir() is None:
        return {}
    found: dict[str, Reading | TslibError] = {}
    for split in splits:
        try:
            found[split] = task.reading(split)
        except TslibError as error:
            found[split] = error
    return found


def _used(reading: Reading | TslibError | None) -> int | str:
    return reading.used if isinstance(reading, Reading) else ""


def _here(task: Task, found: dict[str, Reading | TslibError]) -> str:
    if not task.layout:
        return "yes, made"
    if not found:
        return f"{DATA_DIR} is not set"
    parts = [reading for reading in found.values() if isinstance(reading, Reading)]
    if any(isinstance(reading, InputError) for reading in found.values()):
        return "malformed: load it to see where"
    if len(parts) < len(found):
        return "in part" if parts else "no"
    missing = max(len(reading.missing) for reading in parts)
    return f"{len(task.subsets) - missing} of {len(task.subsets)} subsets" if missing else "yes"


def _how(task: Task) -> str:
    if not task.layout:
        return "nothing to do: it is generated"
    hub = f"; or a network: {task.hub.repo} on the hub" if task.hub else ""
    return f"{DATA_DIR} with {task.layout}{hub}"


def _kind(reason: str) -> str:
    """The reason without the row that is named in it."""
    return reason.partition(" ")[0] if reason.startswith("repeats ") else reason


def _is_here(spec: ModelSpec) -> bool:
    if isinstance(spec.source, WheelSource):
        return fetching.damage(registry.cache_dir() / "models" / spec.name, spec.source) is None
    cached = fetching.cached_snapshot(spec.source)
    return cached is not None and fetching.lacks(cached) is None
