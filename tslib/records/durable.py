"""Files that are there whole or not at all, that show whether they were changed, and that one process writes at a time.

What is written goes to a temporary name, is synced to the disk, and takes its name by a rename. A document carries the
checksum of what else it says, and of the files beside it.
"""

import contextlib
import hashlib
import json
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout
from tqdm import tqdm

from tslib.errors import ResourceError

__all__ = ["DamagedError", "checked", "checksum", "locked", "sealed", "set_aside", "sync", "unlocked", "write"]

LARGEST = 64 * 2**20
"""Bytes of a document that is read at most: ours have some thousand."""


class DamagedError(ResourceError):
    """A record is not what was written: truncated, changed by hand, or something else."""


def sync(path: Path) -> None:
    """Wait until a file's content, or a folder's list of names, is on the disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def write(path: Path, content: bytes) -> None:
    """Write a file, whole or not at all; its folder is made where it is missing.

    Raises
    ------
    OSError
        If that is not possible; nothing is left then.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        temporary.write_bytes(content)
        sync(temporary)
        temporary.replace(path)
        sync(path.parent)
    finally:
        with contextlib.suppress(OSError):
            temporary.unlink(missing_ok=True)


def checksum(content: bytes) -> str:
    """Return the SHA-256 of some bytes, in hexadecimal digits."""
    return hashlib.sha256(content).hexdigest()


def sealed(content: dict[str, Any]) -> dict[str, Any]:
    """Return a document with the checksum of all it says."""
    said = {name: value for name, value in content.items() if name != "checksum"}
    text = json.dumps(said, sort_keys=True, allow_nan=False, separators=(",", ":"))
    return said | {"checksum": checksum(text.encode())}


def checked(path: Path) -> dict[str, Any]:
    """Read a document that says what it said when it was sealed.

    Raises
    ------
    OSError
        If it cannot be read.
    ValueError
        If it was changed, has no checksum, or is no document.
    """
    if path.stat().st_size > LARGEST:
        raise ValueError(f"{path.name} has more than {LARGEST} bytes")
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except RecursionError:
        raise ValueError(f"{path.name} is nested too deeply") from None
    if not isinstance(content, dict):
        raise ValueError(f"{path.name} is not a JSON object")
    if "checksum" not in content:
        raise ValueError(
            f"{path.name} has no checksum; one of before there were checksums gets it by "
            f"python -m tslib seal {path.parent}"
        )
    if sealed(content)["checksum"] != content["checksum"]:
        raise ValueError(f"{path.name} does not have the content that its checksum was made of")
    return content


@contextlib.contextmanager
def locked(path: Path) -> Iterator[None]:
    """Wait until no other process holds this lock, and hold it; its file is gone afterwards.

    A process that is killed leaves the file but not the lock.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    lock = FileLock(path, is_singleton=True)  # so that whoever holds it can ask for it again
    with lock:
        try:
            yield
        finally:  # while it is held: whoever waits for the file that is gone finds that out and tries again
            if lock.lock_counter == 1:
                path.unlink(missing_ok=True)


@contextlib.contextmanager
def unlocked(path: Path) -> Iterator[bool]:
    """Hold a lock if it is free, and say whether it is held."""
    lock = FileLock(path, is_singleton=True)
    try:
        lock.acquire(blocking=False)
    except Timeout:
        yield False
        return
    try:
        yield True
    finally:
        path.unlink(missing_ok=True)
        lock.release()


def set_aside(path: Path, root: Path, why: DamagedError) -> None:
    """Move a damaged file or folder out of the way, into the folder ``damaged`` of a store, and say so."""
    folder = root / "damaged"
    folder.mkdir(exist_ok=True)
    number = 1
    while (target := folder / f"{path.name}.{number}").exists():
        number += 1
    path.rename(target)
    tqdm.write(f"{why}; set aside in {folder.name}/{target.name}", file=sys.stderr)
