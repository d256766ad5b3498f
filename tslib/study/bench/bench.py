"""The benchmark: what is measured, in which order, and the file that it leaves."""

import json
import re
import time
from collections.abc import Callable
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Any

import torch
from tqdm import tqdm

from tslib.config import SCHEMA_VERSION
from tslib.errors import InputError, ResourceError, TslibError
from tslib.kernels import choice
from tslib.losses.tsloss import TSLoss
from tslib.models.loading import computes
from tslib.presets import PRESETS
from tslib.records.durable import write
from tslib.records.provenance import environment
from tslib.records.record import COMMITTED
from tslib.study.bench import cost, decode, places
from tslib.study.bench.cost import WAYS, Setting
from tslib.topology import diagrams as topology

__all__ = ["PATH", "both", "here", "load", "parts", "place", "records", "run"]

PATH = COMMITTED / "cost.json"
"""The first record; those of other processors lie beside it (`here`)."""

SHORT = Setting()
LONG = Setting(batch=1, question=1024, answer=8)
GEMMA = Setting(model="gemma3-270m", batch=4)
PROBLEM = Setting(batch=1, question=66, answer=88)
"""A problem of GSM8K: what the book's main experiment tunes on."""
APART = Setting(alike=False)
DECODED = (1, 16, 100)
"""Questions that are decoded together."""
ROUNDS, FEW = 7, 4
"""Steps of each way; the first is not counted."""
PROMPTS = (10, 20, 50, 100, 200, 500, 1000)
"""Lengths of the prompts whose TSLoss and whose homology are timed."""


def both(setting: Setting) -> list[Setting]:
    """Return a setting in float32 and in bfloat16."""
    return [Setting(**asdict(setting) | {"dtype": dtype}) for dtype in ("float32", "bfloat16")]


def parts() -> dict[str, Callable[[], Any]]:
    """What is measured, by name; a part takes a minute or two. In bfloat16 only where the processor has it."""
    found: dict[str, Callable[[], Any]] = {}
    dtypes = [dtype for dtype in ("float32", "bfloat16") if computes(dtype, "cpu")]

    def native(*settings: Setting) -> list[Setting]:
        return [one for setting in settings for one in both(setting) if one.dtype in dtypes]

    for dtype in dtypes:
        found[f"rate/{dtype}"] = partial(cost.matrix_rate, dtype)
    for setting in [*native(SHORT, LONG, GEMMA), PROBLEM, APART]:
        found[f"steps/{setting}"] = partial(_steps, setting, ROUNDS)
    for setting in [*native(SHORT, LONG), PROBLEM]:
        found[f"profile/{setting}"] = partial(cost.profile, setting)
    for setting in native(LONG):
        found[f"profile/{setting}/suffix"] = partial(cost.profile, setting, "suffix")
    for rows in DECODED:
        found[f"decode/{rows}"] = partial(decode.decode, rows)
        found[f"profile/decode/{rows}"] = partial(decode.profile, rows)
    for batch in (1, 2, 4):
        setting = Setting(batch=batch)
        found[f"steps/{setting}"] = partial(_steps, setting, FEW)
    for question in (256, 512, 2048, 4096):
        setting = Setting(batch=1, question=question, answer=8)
        ways, rounds = (WAYS, FEW) if question < 2048 else (("peft", "suffix"), FEW - 1)
        found[f"steps/{setting}"] = partial(_steps, setting, rounds, ways)
    found["curves"] = partial(_steps, SHORT, 20, ("peft", "prefix"), lr=PRESETS["paper"])
    for setting in (SHORT, LONG):
        found |= {f"memory/{setting}/{way}": partial(cost.peak_memory, setting, way) for way in WAYS}
    for n, d in [(n, 576) for n in PROMPTS] + [(n, 2048) for n in (20, 100)]:
        found[f"tsloss/{n}/{d}"] = partial(_tsloss, n, d)
    found["tsloss memory/4096/2048"] = partial(cost.peak_of_tsloss, 4096, 2048)
    found |= {f"exact/{n}": partial(_exact, n, 576) for n in (20, 100)}
    found |= {f"topology/{n}": partial(_topology, n, 576) for n in PROMPTS if n <= 200}
    found["places/steps"] = lambda: {way: _rounded(seconds) for way, seconds in places.steps().items()}
    found["places/looking"] = lambda: round(places.looking(), 5)
    return found


def run(path: Path = PATH, *, force: bool = False) -> dict[str, Any]:
    """Measure what the file does not have yet, and write it after each part.

    A file that has all parts is left as it is.

    Parameters
    ----------
    path
        The file.
    force
        Measure all of it again.

    Raises
    ------
    InputError
        If the file has some parts, measured on another machine or with other threads: ratios are of one machine.
    ResourceError
        If the file cannot be written, or is not one of these.
    """
    asked = parts()
    found = None if force or not path.exists() else load(path)
    done: dict[str, Any] = found["parts"] if found else {}
    if found and not asked.keys() - done.keys():
        return found
    now = environment("smollm2-135m", torch.device("cpu"), time.time())
    if done and found and (there := place(found)) != place({"environment": now}):
        raise InputError(
            f"{path} was measured on {there}, this is {place({'environment': now})}: name another file (--file), or "
            "measure all of it again (--force)"
        )
    first: dict[str, Any] = found["environment"] if found and done else now
    later: dict[str, str] = found.get("later", {}) if found else {}  # parts that other code measured than the first
    content: dict[str, Any] = {"schema": SCHEMA_VERSION, "environment": first, "later": later, "parts": done}
    _write(path, content)  # a file that cannot be written is no news after half an hour
    with tqdm([name for name in asked if name not in done], desc="bench", unit="part") as bar:
        for name in bar:
            bar.set_postfix_str(name)
            try:
                done[name] = asked[name]()
            except TslibError as error:
                tqdm.write(f"{name}: not measured: {error}")
                continue
            first["kernels"] = choice.together(first.get("kernels", {}), choice.made())
            if now["code"] != first.get("code"):
                later[name] = now["code"]
            _write(path, content | {"parts": {name: done[name] for name in asked if name in done}})
    return load(path)


def place(content: dict[str, Any]) -> str:
    """Say on what a record was measured."""
    environment = content["environment"]
    return f"{environment.get('machine', 'a machine not named')} with {environment.get('threads')} threads"


def here() -> Path:
    """Return where the committed record of this processor is, whether or not it is there."""
    return COMMITTED / f"cost-{re.sub(r'[^a-z0-9]+', '-', choice.processor().lower()).strip('-')}.json"


def records() -> list[dict[str, Any]]:
    """Read all committed records, the newest first."""
    found = [load(path) for path in sorted(COMMITTED.glob("cost*.json"))]
    return sorted(found, key=lambda content: content["environment"].get("started", ""), reverse=True)


def load(path: Path = PATH) -> dict[str, Any]:
    """Read what was measured: ``environment``, and ``parts`` by their names.

    Raises
    ------
    ResourceError
        If the file is missing or is not one of these.
    """
    try:
        content: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        if not isinstance(content["parts"], dict) or not isinstance(content["environment"], dict):
            raise TypeError("parts and environment should be objects")
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ResourceError(
            f"{path} is not a readable benchmark ({error}): make it with python -m tslib bench"
        ) from error
    return content


def _write(path: Path, content: dict[str, Any]) -> None:
    parts = ",\n  ".join(f"{json.dumps(name)}: {json.dumps(value)}" for name, value in content["parts"].items())
    head = json.dumps({name: value for name, value in content.items() if name != "parts"}, indent=1)
    try:
        write(path, f'{head[:-2]},\n "parts": {{\n  {parts}\n }}\n}}\n'.encode())
    except OSError as error:
        raise ResourceError(f"cannot write {path} ({error.strerror}): free space or name another file") from error


def _steps(setting: Setting, steps: int, ways: tuple[str, ...] = WAYS, lr: float = 0.03) -> dict[str, Any]:
    done = cost.alternate(setting, steps, ways, device="cpu", lr=lr)
    measured = {way: {"seconds": _rounded(one.seconds), "losses": _rounded(one.losses, 6)} for way, one in done.items()}
    return asdict(setting) | {"ways": measured, "flops": cost.flops(setting)}


def _rounded(values: list[float], digits: int = 5) -> list[float]:
    return [round(value, digits) for value in values]


def _cloud(n: int, d: int) -> torch.Tensor:
    return 0.02 * torch.randn(n, d, generator=torch.Generator().manual_seed(0))


def _tsloss(n: int, d: int) -> list[float]:
    prompt, penalty = _cloud(n, d).requires_grad_(), TSLoss()
    return _rounded(cost.repeat(lambda: torch.autograd.grad(penalty(prompt), prompt), 20), 7)


def _exact(n: int, d: int) -> list[float]:
    """Exact persistent homology of H0 and H1 with a gradient, by torch-topological."""
    try:
        from torch_topological.nn import SummaryStatisticLoss, VietorisRipsComplex
    except ImportError as error:
        raise ResourceError(
            "torch-topological is not installed: pip install tslib[bench], as make bench does"
        ) from error
    prompt = _cloud(n, d).requires_grad_()
    rips, total = VietorisRipsComplex(dim=1), SummaryStatisticLoss("total_persistence", p=1)
    return _rounded(cost.repeat(lambda: torch.autograd.grad(total(rips(prompt)), prompt), 10), 7)


def _topology(n: int, d: int) -> list[float]:
    """Exact diagrams of H0 and H1 and their summary."""
    points = _cloud(n, d).numpy()
    return _rounded(cost.repeat(lambda: topology.summarize(topology.persistence_diagrams(points), points), 10), 7)
