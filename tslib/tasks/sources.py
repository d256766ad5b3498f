"""Reading the rows of a benchmark: files below TSLIB_DATA_DIR in their original formats, or the Hugging Face hub.

Every message about a row names the file and the line where the row begins, or the dataset and the row.
"""

import csv
import io
import json
import os
import re
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

from tslib.errors import InputError, ResourceError
from tslib.tasks.base import Hub, Row, Task

__all__ = ["DATA_DIR", "data_dir", "find_rows", "is_file", "read_csv", "read_hub", "read_json", "read_jsonl"]

DATA_DIR = "TSLIB_DATA_DIR"

Record = tuple[int, dict[str, Any]]
"""Line where a record begins, from 1, and its fields."""


def data_dir() -> Path | None:
    """Folder named by the environment variable TSLIB_DATA_DIR, or None when that is not set."""
    folder = os.environ.get(DATA_DIR, "")
    # Path.expanduser raises for an unknown user; here the name stays, and is told in the message of a missing file.
    return Path(os.path.expanduser(folder)) if folder else None  # noqa: PTH111


def is_file(path: Path) -> bool:
    """Whether there is a file; not where its folder may not be looked into, for which `Path.is_file` raises."""
    return os.path.isfile(path)  # noqa: PTH113


def find_rows(
    task: Task,
    subsets: Iterable[str],
    local: Callable[[str], str],
    read: Callable[[Task, Path], list[Row]],
    hub: Callable[[str], tuple[Hub, str]],
) -> tuple[list[Row], tuple[str, ...]]:
    """Read the subsets of a task, from the folder when it is set, else from the hub.

    Parameters
    ----------
    task
        For messages.
    subsets
        Subsets to read, in this order; ``("",)`` for a task without any. A folder may lack some of several.
    local
        Path below the folder of a subset's file.
    read
        Reader of such a file.
    hub
        Dataset of a subset and its split there.

    Returns
    -------
    tuple
        The rows, each with its subset, and the subsets that the folder lacks.

    Raises
    ------
    InputError
        If a file is malformed.
    ResourceError
        If nothing can be had.
    """
    wanted = list(subsets)
    folder = data_dir()
    if folder is None:
        parts = {subset: read_hub(task, *hub(subset), local(subset)) for subset in wanted}
    else:
        here = [part for part in wanted if len(wanted) == 1 or is_file(folder / local(part))]
        # With none of several, the first one's absence is told.
        parts = {subset: read(task, folder / local(subset)) for subset in here or wanted[:1]}
    rows = [Row(row.index, row.where, row.fields, subset) for subset, part in parts.items() for row in part]
    return rows, tuple(subset for subset in wanted if subset not in parts)


def read_jsonl(task: Task, path: Path) -> list[Row]:
    """Read a file with one JSON object a line; blank lines are skipped.

    Raises
    ------
    InputError
        If a line is not a JSON object, or there is none.
    ResourceError
        If the file cannot be read.
    """
    lines = enumerate(_text(task, path).split("\n"), start=1)
    return _rows(path, ((number, _line_object(path, number, line)) for number, line in lines if line.strip()))


def read_json(task: Task, path: Path, key: str | None = None) -> list[Row]:
    """Read a file that holds a JSON array of objects, at the top or as the value of a key (its first that has one).

    Raises
    ------
    InputError
        If it does not, or the array is empty.
    ResourceError
        If the file cannot be read.
    """
    text = _text(task, path)
    if not text.strip():
        raise InputError(f"{path} line 1: expected a JSON array of objects, found an empty file")
    if key is None:
        start = len(text) - len(text.lstrip())
    else:  # records are then read one by one, so that a message can name the line
        found = re.search(rf'"{re.escape(key)}"\s*:\s*(?=\[)', text)
        start = found.end() if found else -1
    if start < 0 or text[start : start + 1] != "[":
        _parse(path, text)  # bad JSON is told first
        where = f"the key {key!r}" if key else "the top"
        raise InputError(f"{path}: expected a JSON array of objects at {where}")
    return _rows(path, _array(path, text, start + 1))


def read_csv(task: Task, path: Path, header: tuple[str, ...]) -> list[Row]:
    """Read a CSV file with these columns; a first line that is the header itself is not a row.

    Raises
    ------
    InputError
        If a line has another number of fields, or there is no row.
    ResourceError
        If the file cannot be read.
    """

    def records() -> Iterator[Record]:
        # Not splitlines(): a line of CSV does not end at a form feed or a Unicode line separator.
        reader = csv.reader(io.StringIO(_text(task, path)), strict=True)
        number = 1
        try:
            for values in reader:
                if values and not (number == 1 and tuple(values) == header):
                    if len(values) != len(header):
                        raise InputError(
                            f"{path} line {number}: expected {len(header)} fields ({', '.join(header)}), "
                            f"found {len(values)}"
                        )
                    yield number, dict(zip(header, values, strict=True))
                number = reader.line_num + 1
        except csv.Error as error:
            raise InputError(f"{path} line {number}: bad CSV ({error})") from None

    return _rows(path, records())


def read_hub(task: Task, hub: Hub, split: str, layout: str) -> list[Row]:
    """Read a split from the hub, or from its cache on disk.

    Parameters
    ----------
    task
        For messages.
    hub
        The dataset.
    split
        Split, by the hub's name.
    layout
        Path below TSLIB_DATA_DIR that would be read instead; the error message names it.

    Raises
    ------
    ResourceError
        If they cannot be had, whatever the reason.
    """
    where = f"{hub.repo} ({hub.config or 'default'}, revision {hub.revision[:12]})"
    try:
        import datasets
        from huggingface_hub.utils import logging

        logging.set_verbosity_error()  # it would print each retry; what counts is told below
        records = datasets.load_dataset(hub.repo, hub.config, split=split, revision=hub.revision)
        return [Row(index, f"{where} {split} row {index}", record) for index, record in enumerate(records)]
    except Exception as error:  # offline, proxy, rate limit, full disk: each has its own, all mean "no rows"
        cause = " ".join(f"{type(error).__name__}: {error}".split())
        raise ResourceError(
            f"no rows for task {task.name}: cannot get split {split} of {where} from the hub ({cause[:200]}); "
            f"allow network access, or set {DATA_DIR} to a folder that holds {layout}{_stand_in(task)}"
        ) from error


def _text(task: Task, path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8-sig")  # some tools begin a file with a byte order mark
    except UnicodeDecodeError as error:
        line = error.object[: error.start].count(b"\n") + 1
        raise InputError(f"{path} line {line}: expected UTF-8 text ({error.reason}): get the file again") from None
    except OSError as error:
        cause = error.strerror or type(error).__name__
        remedy = f"put the file there, or unset {DATA_DIR}{' to read from the hub' if task.hub else ''}"
        raise ResourceError(
            f"no rows for task {task.name}: {DATA_DIR} is set, and {path} cannot be read ({cause}); "
            f"{remedy}{_stand_in(task)}"
        ) from error


def _rows(path: Path, records: Iterable[Record]) -> list[Row]:
    rows = [Row(index, f"{path} line {line}", fields) for index, (line, fields) in enumerate(records)]
    if not rows:
        raise InputError(f"{path}: expected at least one row, found none")
    return rows


def _line_object(path: Path, number: int, line: str) -> dict[str, Any]:
    where = f"{path} line {number}"
    try:
        value = json.loads(line)
    except (ValueError, RecursionError) as error:
        raise InputError(f"{where}: expected one JSON object a line, found {_fault(error)}") from None
    if not isinstance(value, dict):
        raise InputError(f"{where}: expected one JSON object a line, found {type(value).__name__}")
    return value


def _array(path: Path, text: str, position: int) -> Iterator[Record]:
    """Objects of the array whose first element begins at a position, with their lines."""
    decoder = json.JSONDecoder()
    line, counted = 1, 0
    while True:
        while text[position : position + 1] in {" ", "\t", "\n", "\r", ","}:
            position += 1
        if text[position : position + 1] == "]":
            _parse(path, text)  # what is around the records, such as a missing comma
            return
        line, counted = line + text.count("\n", counted, position), position
        try:
            value, end = decoder.raw_decode(text, position)
        except (ValueError, RecursionError) as error:
            if isinstance(error, json.JSONDecodeError):
                _parse(path, text)  # the first error of the whole file
            raise InputError(f"{path} line {line}: expected a JSON object, found {_fault(error)}") from None
        if not isinstance(value, dict):
            raise InputError(f"{path} line {line}: expected a JSON object, found {type(value).__name__}")
        yield line, value
        position = end


def _parse(path: Path, text: str) -> None:
    """Parse a whole file, only to find its first error."""
    try:
        json.loads(text)
    except json.JSONDecodeError as error:
        raise InputError(f"{path} line {error.lineno}: bad JSON ({error.msg})") from None
    except (ValueError, RecursionError) as error:
        raise InputError(f"{path}: expected rows, found {_fault(error)}") from None


def _fault(error: ValueError | RecursionError) -> str:
    """What is wrong with JSON; a number too long for Python is a ValueError without more."""
    if isinstance(error, RecursionError):
        return "JSON that is nested too deeply"
    return f"bad JSON ({error.msg if isinstance(error, json.JSONDecodeError) else error})"


def _stand_in(task: Task) -> str:
    return f"; the stand-in {task.stand_in} needs no download" if task.stand_in else ""
