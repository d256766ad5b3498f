"""Which architectures were held against transformers, and what is done with their rows."""

import json
from pathlib import Path
from typing import Any

import pandas as pd

from tslib.records.record import COMMITTED

__all__ = ["ARCHITECTURES", "architectures", "read_architectures"]

ARCHITECTURES = COMMITTED / "architectures.json"
WAYS = {
    "packed": "one sequence without padding",
    "padded": "padded to one length",
    "alone": "one row at a time",
    "refused": "refused in one line",
}


def _found(path: Path) -> dict[str, dict[str, Any]]:
    found: dict[str, dict[str, Any]] = json.loads(path.read_text(encoding="utf-8"))["found"]
    return found


def _way(found: dict[str, Any]) -> str:
    return str(found["rows"]["short"]) if "rows" in found else "refused"


def architectures(path: Path = ARCHITECTURES) -> pd.DataFrame:
    """One row for each way that rows go through a model: how many architectures, and which.

    Parameters
    ----------
    path
        What ``tests/architectures.py`` found.
    """
    found = _found(path)
    kinds = {way: [kind for kind, one in found.items() if _way(one) == way] for way in WAYS}
    return pd.DataFrame(
        [
            {"rows go through the model as": said, "architectures": len(kinds[way]), "which": ", ".join(kinds[way])}
            for way, said in WAYS.items()
        ]
    )


def read_architectures(path: Path = ARCHITECTURES) -> str:
    """What was tried, as a paragraph of the book."""
    content, found = json.loads(path.read_text(encoding="utf-8")), _found(path)
    taken = [one for one in found.values() if "rows" in one]
    states = sum(one["states"]["short"] != "no" for one in taken)
    cached = sum(one["questions"]["short"] for one in taken)
    slow = sum(one["decoding"] == "no cache" for one in taken)
    return (
        f"Small random models of {len(found)} architectures of transformers {content['transformers']} were tried; for "
        f"{len(taken)} of them loss, gradient and greedy replies are those of transformers itself, one row at a time. "
        f"A prefix in every layer can be had with {states}, and a question's states can be kept with {cached}. "
        f"Decoded without a cache, which is slow, are {slow}: what `generate` makes of embeddings is not right there."
    )
