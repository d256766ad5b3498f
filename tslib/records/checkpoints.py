"""The state of a run that is under way, so that what is interrupted or killed goes on from there.

Everything that the numbers of a run depend on is in it: what is trained, the optimiser's moments, the schedule, torch's
random state, the tables so far, and the lengths that are replayed. The position in the data is the number of steps:
batches are drawn again up to it. A run that goes on has the same numbers to the last bit as one that was never stopped,
on the same machine.
"""

import contextlib
import functools
import json
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from tqdm import tqdm

from tslib.config import TuneConfig
from tslib.records.durable import checksum, write
from tslib.records.provenance import code, weights_now
from tslib.topology.nulls import random_walk

__all__ = ["Checkpoint", "stop_requests"]

FORMAT = 4
MOMENTS = ("step", "exp_avg", "exp_avg_sq")
"""What AdamW keeps of a parameter."""
KEPT = ("steps", "topology", "diagrams", "iterations_to_correct", "iterations_to_answer", "lengths")
"""Attributes of a run that are plain values."""


class Checkpoint:
    """The file that a run's state is kept in.

    Parameters
    ----------
    path
        The file.
    config
        The run.
    every
        Seconds between two states, at least.
    """

    def __init__(self, path: Path, config: TuneConfig, *, every: float = 60.0) -> None:
        self.path, self.config, self.every = path, config, every
        self.last = time.monotonic()

    @functools.cached_property
    def weights(self) -> str:
        """The digest of the model's weights, as they were when this was first asked for: before the first step."""
        return weights_now(self.config.model)

    def offer(self, run: Any, step: int) -> None:
        """Keep the state before a step if it is time to."""
        if time.monotonic() - self.last >= self.every:
            self.save(run, step)

    def save(self, run: Any, step: int) -> None:
        """Keep the state of a run before a step, instead of an earlier one; where that fails, say so and go on."""
        from safetensors.torch import save

        said = {name: getattr(run, name) for name in KEPT}
        said |= {
            "format": FORMAT,
            "config": self.config.as_dict(),
            "code": code(),
            "weights": self.weights,
            "seen": run.seen,
            "step": step,
            "schedule": {name: value for name, value in run.schedule.state_dict().items() if name != "lr_lambdas"},
            "seconds": time.time() - run.started,
            "resumed": run.resumed,
        }
        said["moments"] = bool(run.optimizer.state)  # none before the first step
        tensors = _tensors(run)
        text = json.dumps(said)
        metadata = {"state": text, "checksum": _checksum(text, tensors)}
        try:
            write(self.path, save(tensors, metadata))
        except OSError as error:
            tqdm.write(
                f"the state of {self.path.name[1:]} could not be kept ({error.strerror}): the run goes on without",
                file=sys.stderr,
            )
        self.last = time.monotonic()

    def restore(self, run: Any) -> int:
        """Put a run into the state that is kept and return the step that is next; 0 where there is no good state.

        A damaged state, or one of other code, is of no use: it is removed, and the run begins anew.
        """
        _ = self.weights
        try:
            said, tensors = self._read()
            if said.get("seen", {}) != run.seen:
                raise _UnusableError("the state was kept with another projector of pictures")
        except FileNotFoundError:
            return 0
        except _UnusableError as error:
            tqdm.write(f"{self.path.name[1:]}: {error}; the run begins anew", file=sys.stderr)
            self.remove()
            return 0
        weight = run.prompt.weight
        for name, parameter in run.trained.parameters.items():
            with torch.no_grad():
                parameter.copy_(tensors[f"parameter/{name}"])
            if said["moments"]:
                exp_avg, exp_avg_sq = (tensors[f"{moment}/{name}"].to(parameter) for moment in MOMENTS[1:])
                step = tensors[f"step/{name}"]
                run.optimizer.state[parameter] = {"step": step, "exp_avg": exp_avg, "exp_avg_sq": exp_avg_sq}
        run.trained.refresh()
        run.schedule.load_state_dict(said["schedule"] | {"lr_lambdas": [None]})
        for group, rate in zip(run.optimizer.param_groups, said["schedule"]["_last_lr"], strict=True):
            group["lr"] = rate
        for name in KEPT:
            setattr(run, name, said[name])
        run.prompts = {int(name[7:]): tensors[name] for name in tensors if name.startswith("prompt/")}
        run.prompts = dict(sorted(run.prompts.items()))
        run.beside = {name[7:]: tensors[name] for name in tensors if name.startswith("beside/")}
        if run.prompts:
            run.twin = random_walk(run.prompts, self.config.seed)[max(run.prompts)]
        run.last_diagrams = _last_diagrams(run.diagrams)
        run.started = time.time() - said["seconds"]
        run.resumed = said["resumed"] + 1
        torch.set_rng_state(tensors["random"])
        if weight.device.type == "cuda" and "random/cuda" in tensors:
            torch.cuda.set_rng_state(tensors["random/cuda"], weight.device)
        return int(said["step"])

    def remove(self) -> None:
        """Remove the state: the run is over."""
        self.path.unlink(missing_ok=True)

    def _read(self) -> tuple[dict[str, Any], dict[str, Tensor]]:
        from safetensors import SafetensorError, safe_open

        if not self.path.is_file():
            raise FileNotFoundError
        try:
            with safe_open(self.path, framework="pt") as file:
                metadata = file.metadata() or {}
                names = file.keys()  # what was opened is no dict
                tensors = {name: file.get_tensor(name) for name in names}
            if _checksum(metadata["state"], tensors) != metadata["checksum"]:
                raise _UnusableError("the state is damaged")
            said: dict[str, Any] = json.loads(metadata["state"])
        except (OSError, SafetensorError, ValueError, KeyError) as error:
            raise _UnusableError(f"the state is damaged ({type(error).__name__})") from error
        if said["format"] != FORMAT or said["code"] != code():
            raise _UnusableError("the state was kept by another version of this library")
        if said["config"] != self.config.as_dict():
            raise _UnusableError("the state is another run's")
        if said["weights"] != self.weights:
            raise _UnusableError(f"the state was kept with other weights than {self.config.model} has now")
        return said, tensors


class _UnusableError(Exception):
    """There is a state, and it cannot be gone on from."""


def _tensors(run: Any) -> dict[str, Tensor]:
    device = run.prompt.weight.device
    tensors = {"random": torch.get_rng_state()}
    if device.type == "cuda":
        tensors["random/cuda"] = torch.cuda.get_rng_state(device)
    for name, parameter in run.trained.parameters.items():
        kept = {"parameter": parameter} | run.optimizer.state.get(parameter, {})
        tensors |= {f"{kind}/{name}": value.detach().cpu().clone() for kind, value in kept.items()}
    tensors |= {f"beside/{name}": value for name, value in run.beside.items()}
    return tensors | {f"prompt/{step}": prompt for step, prompt in run.prompts.items()}


def _checksum(text: str, tensors: dict[str, Tensor]) -> str:
    digests = [text] + [
        f"{name} {tensor.dtype} {tuple(tensor.shape)} "
        + checksum(tensor.contiguous().flatten().view(torch.uint8).numpy().tobytes())
        for name, tensor in sorted(tensors.items())
    ]
    return checksum("\n".join(digests).encode())


def _last_diagrams(bars: list[dict[str, Any]]) -> list[Any] | None:
    """The diagrams of the last checkpoint, layer by layer, out of the table of all."""
    if not bars:
        return None
    last = [bar for bar in bars if bar["step"] == bars[-1]["step"]]
    return [
        [_diagram(last, layer, dimension) for dimension in (0, 1)] for layer in sorted({bar["layer"] for bar in last})
    ]


def _diagram(bars: list[dict[str, Any]], layer: int, dimension: int) -> Any:
    import numpy as np

    own = [bar for bar in bars if (bar["layer"], bar["dimension"]) == (layer, dimension)]
    return np.array([(bar["birth"], bar["death"]) for bar in own]).reshape(-1, 2)


@contextlib.contextmanager
def stop_requests() -> Iterator[Callable[[], bool]]:
    """While active, SIGINT and SIGTERM are only noted, so that the step under way can be finished and kept.

    A second SIGINT, half a second or more after the first, interrupts at once. Yields whether there was a signal.
    Outside the main thread signals are left alone.
    """
    noted: list[float] = []

    def note(number: int, _frame: Any) -> None:
        noted.append(time.monotonic())
        if number == signal.SIGINT and noted[-1] - noted[0] >= 0.5:
            raise KeyboardInterrupt

    if threading.current_thread() is not threading.main_thread():
        yield lambda: False
        return
    before = {number: signal.signal(number, note) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield lambda: bool(noted)
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
