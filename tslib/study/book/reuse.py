"""Which notebooks need not be run again, since nothing that they read has changed, and how long each took."""

import hashlib
import json
import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import NamedTuple

from nbformat import NotebookNode

READ = ("tslib/**/*.py", "data/**/*.json", "data/**/*.yaml", "book/claims.md", "requirements.txt")
"""What a notebook may read beside itself, below the project's folder; a record's own file has its tables' checksums."""
NOTE = "tslib"
"""Where the metadata of a page says what it was made of."""


class Run(NamedTuple):
    """One notebook of a build.

    Attributes
    ----------
    name
        Of its file, without extension.
    seconds
        How long it ran, in this build or, where its page is reused, in the one that made it.
    reused
        Whether its page is there already.
    failed
        Why it could not be run; nothing where it was.
    """

    name: str
    seconds: float
    reused: bool = False
    failed: str = ""


def digests(notebooks: Iterable[Path]) -> dict[str, str]:
    """Return a digest of all that each notebook is made of, by its name.

    The one that tells of all others (``start``) is made of them, too; the variables ``TSLIB_...`` name rows, caches and
    kernels.

    Parameters
    ----------
    notebooks
        In a folder of the project.
    """
    named = sorted((name, value) for name, value in os.environ.items() if name.startswith("TSLIB_"))
    shared = hashlib.sha256(repr(named).encode())
    of = list(notebooks)
    root = of[0].parents[1]
    for path in sorted(path for pattern in READ for path in root.glob(pattern)):
        shared.update(f"{path.relative_to(root)}\0".encode() + hashlib.sha256(path.read_bytes()).digest())
    found = {}
    for notebook in of:
        whole = shared.copy()
        for path in [notebook, *(sorted(notebook.parent.glob("*.ipynb")) if notebook.stem == "start" else [])]:
            whole.update(hashlib.sha256(path.read_bytes()).digest())
        found[notebook.stem] = whole.hexdigest()
    return found


def reused(folder: Path, now: Mapping[str, str]) -> list[Run]:
    """Return the notebooks whose pages are in a folder and were made of what there is now.

    Parameters
    ----------
    folder
        Of the pages, each with a note in its metadata (`note`).
    now
        `digests` of their notebooks as they are.
    """
    found = []
    for name, digest in now.items():
        try:
            said = json.loads((folder / f"{name}.ipynb").read_text(encoding="utf-8"))["metadata"][NOTE]
        except (OSError, ValueError, LookupError):  # not there, or left by a notebook that failed or was stopped
            continue
        if said["digest"] == digest:
            found.append(Run(name, said["seconds"], reused=True))
    return found


def note(page: NotebookNode, digest: str, seconds: float) -> None:
    """Write into a page what it was made of, and how long its notebook ran."""
    page.metadata[NOTE] = {"digest": digest, "seconds": round(seconds, 1)}


def told(runs: Iterable[Run], seconds: float) -> str:
    """Say which notebook took how long, the longest first, and which were reused.

    Parameters
    ----------
    runs
        Of one build.
    seconds
        That the build took for all of them, some at the same time.

    Examples
    --------
    >>> print(told([Run("a", 5.2), Run("b", 61.0, reused=True), Run("c", 125.0)], 127.0))
    c  2:05
    a  0:05
    2 notebooks were run in 2:07; 1 was reused, since nothing that it reads has changed: b (1:01)
    """
    ran = sorted((one for one in runs if not one.reused), key=lambda one: -one.seconds)
    kept = sorted(one for one in runs if one.reused)
    width = max((len(one.name) for one in ran), default=0)
    lines = [f"{one.name:{width}}  {_clock(one.seconds)}{'  failed' if one.failed else ''}" for one in ran]
    last = f"{_are(len(ran), 'notebook')} run in {_clock(seconds)}" if ran else "no notebook was run"
    if kept:
        reads = "it reads" if len(kept) == 1 else "they read"
        named = ", ".join(f"{one.name} ({_clock(one.seconds)})" for one in kept)
        last += f"; {_are(len(kept))} reused, since nothing that {reads} has changed: {named}"
    return "\n".join([*lines, last])


def _are(number: int, noun: str = "") -> str:
    return f"{number}{f' {noun}' * bool(noun)}{'s' * (bool(noun) and number != 1)} {'was' if number == 1 else 'were'}"


def _clock(seconds: float) -> str:
    return f"{round(seconds) // 60}:{round(seconds) % 60:02d}"
