"""Where a result was made: code, packages, machine, model; nothing in it names a person, a host or a folder."""

import ast
import functools
import hashlib
import platform
import re
from collections.abc import Iterable
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

from torch import device, get_num_threads

from tslib.errors import InputError, TslibError
from tslib.kernels import choice
from tslib.models import loading as models

__all__ = [
    "check_weights",
    "code",
    "digest",
    "environment",
    "machine",
    "same_bits",
    "same_weights",
    "unlike",
    "weights",
    "weights_now",
]

DIGESTS = ("gguf_sha256", "safetensors_sha256", "revision")
"""What a model's identity has of its weights, one of them."""
PACKAGES = ("torch", "transformers", "ripser", "numpy", "scipy")
NUMBERS = [
    "config.py",
    "presets.py",
    "kernels/*.py",
    "losses/*.py",
    "models/loading.py",
    "models/registry.py",
    "prompts/*.py",
    "vision/*.py",
    "tasks/*.py",
    "topology/diagrams.py",
    "topology/nulls.py",
    "tuning/loop.py",
    "tuning/replay.py",
    "tuning/watching.py",
]
"""Modules that the numbers of a run depend on, but for reading and writing them."""

SAME_CODE = {"da05030b9cab": "0234f1fb6b53"}
"""Digests in records, each with the later one of code that gives the same numbers, to the last bit. The first is of
before the library got its packages, when files were digested byte by byte."""


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
        "kernels": choice.made() if on.type == "cpu" else {},
        "model": models.identity(model),
        "started": datetime.fromtimestamp(started, UTC).isoformat(timespec="seconds"),
        "finished": datetime.now(UTC).isoformat(timespec="seconds"),
    }


def weights(made: dict[str, Any]) -> str:
    """Return what tells the weights of an environment from all others, whatever their model was called.

    Returns
    -------
    str
        Hexadecimal digits; nothing where there is no telling, as of a branch of the hub.
    """
    said = made.get("model")
    found = [str(said.get(name)) for name in DIGESTS] if isinstance(said, dict) else []
    return next((digest for digest in found if re.fullmatch("[0-9a-f]{40,64}", digest)), "")


def weights_now(model: str) -> str:
    """Return the same of the weights that a model's name leads to now; nothing where they are not here."""
    try:
        return weights({"model": models.identity(model)})
    except (TslibError, OSError, RuntimeError):  # the last of a home whose user is unknown
        return ""


def same_weights(made: dict[str, Any], model: str) -> bool:
    """Whether a model's name leads to the weights of an environment, as far as that is known."""
    before = weights(made)
    return not before or weights_now(model) in ("", before)


def check_weights(
    made: dict[str, Any],
    model: str,
    what: str,
    advice: str = "--force or deleting it makes it again, another --store keeps both",
) -> None:
    """Find out that what was made with a model is not mistaken for what its weights of now give.

    Parameters
    ----------
    made
        The environment of what was made.
    model
        The model's name.
    what
        What it is, for the message.
    advice
        What to do, for the message.

    Raises
    ------
    InputError
        If the name leads to other weights now.
    """
    if not same_weights(made, model):
        raise InputError(
            f"{what} was made with other weights ({weights(made)[:12]}) than {model} has now "
            f"({weights_now(model)[:12]}): {advice}"
        )


@functools.cache
def code() -> str:
    """Twelve hexadecimal digits that identify the sources that numbers depend on, with or without version control."""
    root = Path(__file__).parents[1]
    return digest(path.read_text(encoding="utf-8") for pattern in NUMBERS for path in root.glob(pattern))


def digest(sources: Iterable[str]) -> str:
    """Identify Python sources by what they define, whatever files that stands in.

    Comments, docstrings, the layout of lines, names of files and imports have no part in it.
    """
    found = {statement for source in sources for statement in _defined(source)}
    return hashlib.sha256("\n".join(sorted(found)).encode()).hexdigest()[:12]


def _defined(source: str) -> list[str]:
    """Return what a source defines, a text for each statement."""
    return [ast.dump(statement) for statement in _Bare().visit(ast.parse(source)).body]


class _Bare(ast.NodeTransformer):
    """Takes away what computes nothing: docstrings and other texts that stand alone, imports, and ``__all__``."""

    def visit_Expr(self, node: ast.Expr) -> ast.Expr | None:
        return None if isinstance(node.value, ast.Constant) else node

    def visit_Import(self, node: ast.Import) -> None:
        return None

    def visit_ImportFrom(self, node: ast.ImportFrom) -> None:
        return None

    def visit_Assign(self, node: ast.Assign) -> ast.Assign | None:
        return None if ast.unparse(node.targets[0]) == "__all__" else node


def machine(on: device) -> str:
    """Name the processor, and the accelerator where one is used."""
    import torch

    return f"{choice.processor()} + {torch.cuda.get_device_name(on)}" if on.type == "cuda" else choice.processor()


def same_bits(one: dict[str, Any], other: dict[str, Any]) -> bool:
    """Whether two environments promise the same numbers to the last bit: same code, packages, machine and threads.

    No product of one shape may be by different kernels. Of a run that replays another's lengths these have to be the
    same, too; of one with pictures, the projector.
    """
    return not unlike(one, other)


def unlike(one: dict[str, Any], other: dict[str, Any]) -> list[str]:
    """Name what last bits depend on and two environments differ in, or one does not say."""
    promised = ("code", "packages", "platform", "machine", "device", "threads", "model", "dtype")
    first, second = (
        {name: SAME_CODE.get(value, value) if name == "code" else value for name, value in said.items()}
        for said in (one, other)
    )
    found = [name for name in promised if name not in first or first[name] != second.get(name)]
    found += [name for name in ("replayed", "projector") if first.get(name) != second.get(name)]
    kernels = choice.same(first.get("kernels", {}), second.get("kernels", {}))
    return found if kernels else [*found, "kernels"]
