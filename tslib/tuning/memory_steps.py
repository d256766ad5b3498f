"""One tuning step for the sake of its memory: on fake tensors, or a real one in a process of its own."""

import json
import sys
from functools import lru_cache
from pathlib import Path
from typing import Any, NamedTuple

from tslib.errors import InputError


class Memory(NamedTuple):
    """Bytes that one tuning step needs at its peak.

    Attributes
    ----------
    weights
        The frozen parameters, tied ones once.
    activations
        What the forward pass has kept for the backward pass when it reaches the output layer.
    logits
        What comes on top from there on: the logits of a few positions at a time (see `tslib.kernels.target_loss`) and
        their gradients; where the target is short, the gradients inside the last layer can be more, and are meant.
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


def build(config: Any, dtype: str) -> Any:
    """Make the frozen model on torch's current device; its weights are whatever lies in the memory."""
    import torch
    from transformers import AutoModelForCausalLM
    from transformers.initialization import no_init_weights

    with no_init_weights():  # which leaves out the tying, too
        model: Any = AutoModelForCausalLM.from_config(config, dtype=getattr(torch, dtype))
    model.tie_weights()
    return model.eval().requires_grad_(False)


def _rows(question: int, target: int, batch: int) -> list[Any]:
    from tslib.prompts.encoding import Encoded

    # of which only the virtual tokens are shared
    return [Encoded([row + 1] * (question - (row > 0)), [1] * target) for row in range(batch)]


@lru_cache(maxsize=256)
def fake_step(config: str, n_tokens: int, question: int, target: int, batch: int, dtype: str, device: str) -> Memory:
    """Run the step on few layers and add the others: each layer of a kind takes what any other of it takes.

    Whether that holds is seen in the weights, whose number is known: if it does not, all layers are run.
    """
    import torch

    sizes = (n_tokens, question, target, batch, dtype, device)
    fields = json.loads(config)
    with torch.device("meta"):
        whole = build(_parsed(config), dtype)
    weights = sum(parameter.nbytes for parameter in whole.parameters())
    prompt = 4 * 4 * n_tokens * whole.get_input_embeddings().weight.shape[1]
    layers: list[str] = fields.get("layer_types") or ["any"] * fields.get("num_hidden_layers", 0)
    kinds = sorted(set(layers), key=layers[::-1].index, reverse=True)  # the last layer's last: it is the first to free
    short = fake_pass(_with_layers(fields, kinds), *sizes)
    scaled, activations = short.weights, short.activations
    for kind in kinds:
        longer = fake_pass(_with_layers(fields, [kind, *kinds]), *sizes)
        scaled += (layers.count(kind) - 1) * (longer.weights - short.weights)
        activations += (layers.count(kind) - 1) * (longer.activations - short.activations)
    if scaled != weights:
        return fake_pass(config, *sizes)
    return Memory(weights, activations, short.logits, prompt)


def _with_layers(fields: dict[str, Any], kinds: list[str]) -> str:
    cut = fields | {"num_hidden_layers": len(kinds)} if kinds else fields
    return json.dumps(cut | {"layer_types": kinds} if fields.get("layer_types") else cut)


def fake_pass(config: str, n_tokens: int, question: int, target: int, batch: int, dtype: str, device: str) -> Memory:
    """Run the step on fake tensors, with all layers."""
    from torch._subclasses.fake_tensor import FakeTensorMode

    from tslib.kernels import attention
    from tslib.prompts.forward import attends_by_interface

    with FakeTensorMode():
        model = build(_parsed(config), dtype)
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
        block, attention.BLOCK = attention.BLOCK, attention.BLOCK if device == "cpu" else 0
        try:
            with live:
                _step(model, prompt, _rows(question, target, batch), way="packed")
        finally:
            attention.BLOCK = block
    return Memory(weights, kept[0] - weights, live.peak - kept[0], 4 * prompt.weight.nbytes)


def _step(model: Any, prompt: Any, rows: list[Any], way: Any) -> None:
    from tslib.config import TuneConfig
    from tslib.prompts.forward import forward

    pass_tokens = TuneConfig().pass_tokens
    forward(model, prompt, rows, grad=True, pass_tokens=pass_tokens, way=way).loss.backward()


def _prompt(model: Any, n_tokens: int) -> Any:
    from tslib.prompts.soft_prompt import SoftPrompt

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


def real_step(config: str, n_tokens: int, question: int, target: int, batch: int, dtype: str, device: str) -> int:
    """Make one step in this process and return its peak in bytes."""
    import torch

    from tslib.prompts.forward import attends_by_interface

    with torch.device("meta"):
        packed = attends_by_interface(build(_parsed(config), dtype))  # imports the code of the model and the step
    warm_up(device)
    cuda = device.startswith("cuda")
    before = torch.cuda.memory_allocated(device) if cuda else resident("VmRSS")
    with torch.device(device):
        model = build(_parsed(config), dtype)
    for parameter in model.parameters():
        parameter.fill_(0.01)  # a page that was never written takes no memory
    prompt = _prompt(model, n_tokens)
    optimizer = torch.optim.AdamW(prompt.parameters())
    _step(model, prompt, _rows(question, target, batch), way="packed" if packed else "padded")
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
    print(real_step(*json.load(sys.stdin)))
