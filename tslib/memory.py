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
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from tslib import models
from tslib.errors import InputError, ResourceError
from tslib.models import DTYPES, MODELS

if TYPE_CHECKING:
    import pandas as pd

GIB = 2**30
HEAD_ROOM = 0.1
MACHINES = {"8 GiB": 8, "16 GiB": 16, "24 GiB": 24, "40 GiB": 40, "80 GiB": 80, "2 × 80 GiB": 160}
"""Memory of common machines, in GiB; the last is two devices that share the layers (device ``spread``)."""

QUESTION, TARGET = 200, 60
"""Tokens of a typical row of GSM8K and of its target."""


class Memory(NamedTuple):
    """Bytes that one tuning step needs at its peak.

    Attributes
    ----------
    weights
        The frozen parameters, tied ones once.
    activations
        What the forward pass has kept for the backward pass when it reaches the output layer.
    logits
        What comes on top from there on: the logits of a few positions at a time (see `tslib.frozen`) and their
        gradients; where the target is short, the gradients inside the last layer can be more, and are meant.
    prompt
        P, its gradient and AdamW's two moments, all in float32.
    """

    weights: int
    activations: int
    logits: int
    prompt: int

    @property
    def total(self) -> int:
        """Sum of the four."""
        return sum(self)


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
        One of `tslib.models.DTYPES`, of the frozen model.
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
    return _fake_step(config, n_tokens, question, target, batch, dtype, device)


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
        [sys.executable, "-m", "tslib.memory"],
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
        return sum(parameter.numel() for parameter in _build(config_of(name), "float32").parameters())


def _check_sizes(n_tokens: int, question: int, target: int, batch: int, dtype: str) -> None:
    sizes = {"n_tokens": n_tokens, "question": question, "target": target, "batch": batch}
    for name, size in sizes.items():
        if size < 1:
            raise InputError(f"{name} is {size}: give at least 1 (given: {sizes})")
    if dtype not in DTYPES:
        raise InputError(f"dtype {dtype!r} is unknown: give one of {', '.join(DTYPES)}")


def _build(config: Any, dtype: str) -> Any:
    """Make the frozen model on torch's current device; its weights are whatever lies in the memory."""
    import torch
    from transformers import AutoModelForCausalLM
    from transformers.initialization import no_init_weights

    with no_init_weights():  # which leaves out the tying, too
        model: Any = AutoModelForCausalLM.from_config(config, dtype=getattr(torch, dtype))
    model.tie_weights()
    return model.eval().requires_grad_(False)


def _rows(question: int, target: int, batch: int) -> list[Any]:
    from tslib.encoding import Encoded

    # of which only the virtual tokens are shared
    return [Encoded([row + 1] * (question - (row > 0)), [1] * target) for row in range(batch)]


@lru_cache(maxsize=256)
def _fake_step(config: str, n_tokens: int, question: int, target: int, batch: int, dtype: str, device: str) -> Memory:
    """Run the step on few layers and add the others: each layer of a kind takes what any other of it takes.

    Whether that holds is seen in the weights, whose number is known: if it does not, all layers are run.
    """
    import torch

    sizes = (n_tokens, question, target, batch, dtype, device)
    fields = json.loads(config)
    with torch.device("meta"):
        whole = _build(_parsed(config), dtype)
    weights = sum(parameter.nbytes for parameter in whole.parameters())
    prompt = 4 * 4 * n_tokens * whole.get_input_embeddings().weight.shape[1]
    layers: list[str] = fields.get("layer_types") or ["any"] * fields.get("num_hidden_layers", 0)
    kinds = sorted(set(layers), key=layers[::-1].index, reverse=True)  # the last layer's last: it is the first to free
    short = _fake_pass(_with_layers(fields, kinds), *sizes)
    scaled, activations = short.weights, short.activations
    for kind in kinds:
        longer = _fake_pass(_with_layers(fields, [kind, *kinds]), *sizes)
        scaled += (layers.count(kind) - 1) * (longer.weights - short.weights)
        activations += (layers.count(kind) - 1) * (longer.activations - short.activations)
    if scaled != weights:
        return _fake_pass(config, *sizes)
    return Memory(weights, activations, short.logits, prompt)


def _with_layers(fields: dict[str, Any], kinds: list[str]) -> str:
    cut = fields | {"num_hidden_layers": len(kinds)} if kinds else fields
    return json.dumps(cut | {"layer_types": kinds} if fields.get("layer_types") else cut)


def _fake_pass(config: str, n_tokens: int, question: int, target: int, batch: int, dtype: str, device: str) -> Memory:
    from torch._subclasses.fake_tensor import FakeTensorMode

    from tslib import packing
    from tslib.forward import attends_by_interface

    with FakeTensorMode():
        model = _build(_parsed(config), dtype)
        if not attends_by_interface(model):
            raise InputError(
                f"{type(model).__name__} does not use transformers' attention interface: measure it instead"
            )
        live = _live_bytes()
        for parameter in model.parameters():
            live.add(parameter)
        weights = live.now
        prompt = _prompt(model, n_tokens)
        kept = []

        def reach_output_layer(*_: Any) -> None:
            kept.append(live.now)
            live.peak = live.now

        model.base_model.register_forward_hook(reach_output_layer)
        short, packing.SHORT = packing.SHORT, packing.SHORT if device == "cpu" else 0
        try:
            with live:
                _step(model, prompt, _rows(question, target, batch), packed=True)
        finally:
            packing.SHORT = short
    return Memory(weights, kept[0] - weights, live.peak - kept[0], 4 * prompt.weight.nbytes)


def _step(model: Any, prompt: Any, rows: list[Any], packed: bool) -> None:
    from tslib.config import TuneConfig
    from tslib.forward import forward

    pass_tokens = TuneConfig().pass_tokens
    forward(model, prompt, rows, grad=True, pass_tokens=pass_tokens, packed=packed).loss.backward()


def _prompt(model: Any, n_tokens: int) -> Any:
    from tslib.prompts import SoftPrompt

    return SoftPrompt(model.get_input_embeddings().weight.new_zeros(n_tokens, model.config.hidden_size))


def _parsed(config: str) -> Any:
    from transformers import AutoConfig

    return AutoConfig.for_model(**json.loads(config))


def _live_bytes() -> Any:
    """Make a mode of torch that counts the bytes of all storages while they live, and their peak."""
    import weakref

    import torch
    from torch.utils._python_dispatch import TorchDispatchMode
    from torch.utils._pytree import tree_leaves

    class LiveBytes(TorchDispatchMode):
        def __init__(self) -> None:
            super().__init__()
            self.now = self.peak = 0
            self.sizes: dict[int, int] = {}

        def add(self, tensor: torch.Tensor) -> None:
            storage = tensor.untyped_storage()
            if id(storage) not in self.sizes:  # else a view of what is counted
                self.sizes[id(storage)] = storage.nbytes()
                self.now += storage.nbytes()
                self.peak = max(self.peak, self.now)
                weakref.finalize(storage, self.drop, id(storage)).atexit = False

        def drop(self, key: int) -> None:
            self.now -= self.sizes.pop(key)

        def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
            out = func(*args, **(kwargs or {}))
            for leaf in tree_leaves(out):
                if isinstance(leaf, torch.Tensor):
                    self.add(leaf)
            return out

    return LiveBytes()


def _real_step(config: str, n_tokens: int, question: int, target: int, batch: int, dtype: str, device: str) -> int:
    """Make one step in this process and return its peak in bytes."""
    import torch

    from tslib.forward import attends_by_interface

    with torch.device("meta"):
        packed = attends_by_interface(_build(_parsed(config), dtype))  # imports the code of the model and the step
    warm_up(device)
    cuda = device.startswith("cuda")
    before = torch.cuda.memory_allocated(device) if cuda else resident("VmRSS")
    with torch.device(device):
        model = _build(_parsed(config), dtype)
    for parameter in model.parameters():
        parameter.fill_(0.01)  # a page that was never written takes no memory
    prompt = _prompt(model, n_tokens)
    optimizer = torch.optim.AdamW(prompt.parameters())
    _step(model, prompt, _rows(question, target, batch), packed=packed)
    optimizer.step()
    return (torch.cuda.max_memory_allocated(device) if cuda else resident("VmHWM")) - before


def warm_up(device: str) -> None:
    """Let torch load its kernels and torch.optim's code, which stay in memory for good."""
    import torch

    layer = torch.nn.Linear(8, 8, device=device)
    layer(torch.zeros(8, 8, device=device)).sum().backward()
    torch.optim.AdamW(layer.parameters()).step()
    del layer


def resident(field: str) -> int:
    """Bytes that this process has in memory now (VmRSS), or has had at most (VmHWM)."""
    status = Path("/proc/self/status")
    if status.exists():  # on Linux getrusage hands down the peak of the process that started this one
        return next(int(line.split()[1]) * 1024 for line in status.read_text().splitlines() if field in line)
    import resource

    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)


if __name__ == "__main__":
    print(_real_step(*json.load(sys.stdin)))
