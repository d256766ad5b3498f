"""Where a result was made: code, packages, machine, model; nothing in it names a person, a host or a folder."""

import functools
import hashlib
import platform
import re
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

from torch import device, get_num_threads

from tslib import models

__all__ = ["code", "environment", "machine", "same_bits"]

PACKAGES = ("torch", "transformers", "ripser", "numpy", "scipy")
MODULES = (
    "config controls decoding distances encoding exact forward frozen losses methods models nulls packing passes "
    "prompts question_cache topology tuning"
)
NUMBERS = (*(f"{name}.py" for name in MODULES.split()), "tasks/*.py")
"""Modules that the numbers of a run depend on, but for reading and writing them."""


def environment(model: str, on: device, started: float) -> dict[str, Any]:
    """Describe what made a run.

    Parameters
    ----------
    model
        Its model's name, of which the checksum is taken.
    on
        The device it ran on.
    started
        When it began, in seconds since 1970.
    """
    return {
        "tslib": version("tslib"),
        "code": code(),
        "packages": {name: version(name) for name in PACKAGES},
        "python": platform.python_version(),
        "platform": f"{platform.system()} {platform.machine()}",
        "machine": machine(on),
        "device": on.type,
        "threads": get_num_threads(),
        "model": models.identity(model),
        "started": datetime.fromtimestamp(started, UTC).isoformat(timespec="seconds"),
        "finished": datetime.now(UTC).isoformat(timespec="seconds"),
    }


@functools.cache
def code() -> str:
    """Twelve hexadecimal digits that identify the sources that numbers depend on, with or without version control."""
    root = Path(__file__).parent
    digest = hashlib.sha256()
    for path in sorted(path for pattern in NUMBERS for path in root.glob(pattern)):
        digest.update(f"{path.relative_to(root).as_posix()}\0".encode() + path.read_bytes() + b"\0")
    return digest.hexdigest()[:12]


def machine(on: device) -> str:
    """Name the processor, and the accelerator where one is used."""
    import torch

    return f"{_processor()} + {torch.cuda.get_device_name(on)}" if on.type == "cuda" else _processor()


@functools.cache
def _processor() -> str:
    try:  # platform.processor() is empty on most Linux systems
        found = re.search(r"^model name\s*: (.*)$", Path("/proc/cpuinfo").read_text(encoding="utf-8"), re.MULTILINE)
    except OSError:
        found = None
    return " ".join(found[1].split()) if found else platform.processor() or platform.machine()


def same_bits(one: dict[str, Any], other: dict[str, Any]) -> bool:
    """Whether two environments promise the same numbers to the last bit: same code, packages, machine and threads."""
    promised = ("code", "packages", "platform", "machine", "device", "threads", "model", "dtype")
    return all(name in one and one[name] == other.get(name) for name in promised)
