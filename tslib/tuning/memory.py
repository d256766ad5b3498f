"""What fits where: the memory that one tuning step needs, computed from a model's config alone.

The step is the tuning loop's own, run on fake tensors: these have shapes and storages but no data, so that a model
of 14 billion parameters takes seconds and no memory, and each storage is counted while it lives. What is counted is
what the tensors of one pass hold; not counted are the program itself, the tokenizer, what loading takes on top of
the weights (a model converted while it is read is there twice), the kernels' own buffers (cuBLAS, the CUDA context)
and the gaps that an allocator leaves: `fits` keeps a tenth free for them.
"""

import json
import os
import subprocess
import sys
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

from tslib.errors import InputError, ResourceError
from tslib.models import loading as models
from tslib.models.loading import DTYPES, MODELS
from tslib.tuning.memory_steps import Memory as Memory
from tslib.tuning.memory_steps import build, fake_step

if TYPE_CHECKING:
    import pandas as pd

GIB = 2**30
HEAD_ROOM = 0.1
MACHINES = {"8 GiB": 8, "16 GiB": 16, "24 GiB": 24, "40 GiB": 40, "80 GiB": 80, "2 × 80 GiB": 160}
"""Memory of common machines, in GiB; the last is two devices that share the layers (device ``spread``)."""

QUESTION, TARGET = 200, 60
"""Tokens of a typical row of GSM8K and of its target."""


def estimate(
    name: str,
    *,
    n_tokens: int = 20,
    question: int = QUESTION,
    target: int = TARGET,
    batch: int = 1,
    dtype: str = "float32",
    device: str = "cuda",
) -> Memory:
    """Compute the memory of one tuning step.

    Flash attention's memory grows with the context and not with its square. Where the context is longer than a
    sliding window, each layer keeps a mask, and there the square comes back.

    Parameters
    ----------
    name
        As for `tslib.models.fetch`; of the models that have a ``config`` in `tslib.models.MODELS` nothing is fetched.
    n_tokens, question, target
        Virtual tokens, and tokens of the question and of the target.
    batch
        Rows in one pass, which have nothing but the virtual tokens in common.
    dtype
        One of `tslib.models.loading.DTYPES`, of the frozen model.
    device
        On ``cpu`` attention over short contexts is computed by plain products, which keep the attention weights.

    Raises
    ------
    InputError
        For an unknown name, dtype or device, and sizes below 1.
    ResourceError
        When the config cannot be had.
    """
    _check_sizes(n_tokens, question, target, batch, dtype)
    if device not in ("cuda", "cpu"):
        raise InputError(f"device {device!r} is unknown here: give cuda or cpu")
    config = config_of(name).to_json_string(use_diff=False)
    return fake_step(config, n_tokens, question, target, batch, dtype, device)


def measured_peak(
    name: str,
    *,
    n_tokens: int = 20,
    question: int = QUESTION,
    target: int = TARGET,
    batch: int = 1,
    dtype: str = "float32",
    device: str = "auto",
) -> int:
    """Bytes at the peak of one real tuning step, made in a process of its own.

    The weights are made up, since their values do not matter to memory: nothing is downloaded or read from a mapped
    file. On CUDA it is the most that tensors held at once. On the CPU it is the rise of the resident set above what
    it was before the model was made, with the kernels' own buffers; glibc is told to give freed blocks back at once
    (MALLOC_MMAP_THRESHOLD_), without which the same step took up to a fifth more.

    Parameters
    ----------
    name, n_tokens, question, target, batch, dtype
        As for `estimate`.
    device
        ``auto``, ``cpu`` or a CUDA device.

    Raises
    ------
    InputError
        As for `estimate`, and for a device that is not here or keeps no account of its memory.
    ResourceError
        When the step failed, for example for want of memory.
    """
    _check_sizes(n_tokens, question, target, batch, dtype)
    device = models.resolve_device(device)
    if not device.startswith(("cpu", "cuda")):
        raise InputError(f"device {device!r} keeps no account of its peak: give cpu or cuda")
    config = config_of(name).to_json_string(use_diff=False)
    request = json.dumps([config, n_tokens, question, target, batch, dtype, device])
    done = subprocess.run(
        [sys.executable, "-m", "tslib.tuning.memory_steps"],
        input=request,
        capture_output=True,
        text=True,
        env=os.environ | {"MALLOC_MMAP_THRESHOLD_": "65536"},  # glibc: what is freed goes back at once
    )
    if done.returncode:
        why = (done.stderr.strip().splitlines() or ["it was killed, most likely for want of memory"])[-1]
        raise ResourceError(f"the step of {name} with {batch} × {n_tokens + question + target} tokens failed: {why}")
    return int(done.stdout.split()[-1])


def table(
    names: Iterable[str] = tuple(MODELS),
    n_tokens: Sequence[int] = (20, 100),
    context: Sequence[int] = (256, 2048, 8192),
    dtypes: Sequence[str] = ("float32", "bfloat16"),
    target: int = TARGET,
) -> "pd.DataFrame":
    """What one row per pass needs: one line for each combination, memory in GiB.

    Parameters
    ----------
    names, dtypes
        As for `estimate`.
    n_tokens
        Virtual tokens.
    context
        Virtual tokens, question and target together.
    target
        Tokens of the target; the question has the rest.

    Returns
    -------
    pandas.DataFrame
        ``model, dtype, n_tokens, context, weights, activations, logits, prompt, total`` (GiB), ``machine`` (see
        `fits`) and ``too_long`` (whether the context exceeds the model's positions).

    Raises
    ------
    InputError, ResourceError
        As `estimate`.
    """
    import pandas as pd

    rows: list[dict[str, Any]] = []
    for name in names:
        positions = getattr(config_of(name), "max_position_embeddings", None)
        for dtype in dtypes:
            for length in context:
                for n in n_tokens:
                    need = estimate(name, n_tokens=n, question=length - n - target, target=target, dtype=dtype)
                    sizes = {part: size / GIB for part, size in (need._asdict() | {"total": need.total}).items()}
                    where = {"model": name, "dtype": dtype, "n_tokens": n, "context": length}
                    too_long = positions is not None and length > positions
                    rows.append(where | sizes | {"machine": fits(need.total), "too_long": too_long})
    return pd.DataFrame(rows)


def fits(total: int) -> str:
    """Name the smallest of `MACHINES` that holds so many bytes in nine tenths of its memory, or ``"more"``."""
    for name, gib in MACHINES.items():
        if total <= (1 - HEAD_ROOM) * gib * GIB:
            return name
    return "more"


def config_of(name: str) -> Any:
    """The config of a model in transformers' terms: the one in `tslib.models.MODELS`, else that in its folder."""
    from transformers import AutoConfig

    known = MODELS[name].config if name in MODELS else None
    if known is not None:
        return AutoConfig.for_model(**known)
    return AutoConfig.from_pretrained(models.fetch(name), trust_remote_code=False, local_files_only=True)


def parameters(name: str) -> int:
    """How many parameters a model has, tied ones counted once."""
    import torch

    with torch.device("meta"):
        return sum(parameter.numel() for parameter in build(config_of(name), "float32").parameters())


def _check_sizes(n_tokens: int, question: int, target: int, batch: int, dtype: str) -> None:
    sizes = {"n_tokens": n_tokens, "question": question, "target": target, "batch": batch}
    for name, size in sizes.items():
        if size < 1:
            raise InputError(f"{name} is {size}: give at least 1 (given: {sizes})")
    if dtype not in DTYPES:
        raise InputError(f"dtype {dtype!r} is unknown: give one of {', '.join(DTYPES)}")
