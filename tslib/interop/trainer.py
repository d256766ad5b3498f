"""TSLoss in a PEFT run with transformers' Trainer, or with what is derived from it, such as TRL's SFTTrainer.

One line adds it::

    trainer = Trainer(model=peft_model, ...)
    add_regularizer(trainer, TSLoss(0.1))
    trainer.train()
"""

from typing import Any, get_args

import torch
from jaxtyping import Float
from torch import Tensor, nn
from transformers import Trainer, TrainerCallback

from tslib.errors import InputError
from tslib.interop.clouds import ENCODED, KEY, KINDS, LAYERED, seen, tensors
from tslib.losses.registry import Follows, Regularizer
from tslib.topology.diagrams import Metric, persistence_diagrams, summarize

__all__ = ["RegularizerCallback", "add_regularizer", "cloud_of"]


class RegularizerCallback(TrainerCallback):
    """Adds a regulariser's gradient once to each optimiser step, however many batches it is accumulated over.

    It is added after the gradient of the loss has been clipped, and is not clipped itself. Its terms (``ts/h0``, ...)
    and the prompt's topology (``topology/h1_count``, ...; by the regulariser's metric) go wherever the trainer logs to;
    of several clouds, such as prefix tuning has in the layers and multitask prompt tuning for the tasks, their means.

    Parameters
    ----------
    regularizer
        A ``TSLoss``, or any other regulariser.
    topology_every
        Steps between two computations of exact persistent homology; 0: none.
    """

    def __init__(self, regularizer: Regularizer, topology_every: int = 20) -> None:
        self.regularizer, self.topology_every = regularizer, topology_every
        self.metric: Metric = getattr(regularizer, "metric", "euclidean")
        if topology_every and self.metric not in get_args(Metric):
            raise InputError(
                f"{type(regularizer).__name__} has the metric {self.metric!r}, which the topology has not (it has "
                f"{', '.join(get_args(Metric))}): give topology_every=0"
            )
        self.values: dict[str, float] = {}
        self.topology: dict[str, float] = {}  # until it is logged, which may be some steps later

    def on_pre_optimizer_step(self, args: Any, state: Any, control: Any, **given: Any) -> None:
        """Add the gradient."""
        said, rows, depth = _rows(given["model"])
        cloud = seen(said, rows, depth).values
        if isinstance(self.regularizer, Follows) and (gradient := rows[KEY].grad) is not None:
            self.regularizer.follow(state.global_step, args.seed, seen(said, {KEY: gradient}).values)
        leaf = cloud.detach().requires_grad_()
        penalty = self.regularizer(leaf)
        (gradient,) = torch.autograd.grad(penalty, leaf)
        cloud.backward(gradient)
        terms = self.regularizer.terms(leaf.detach())
        self.values = {"ts/loss": float(penalty.detach()), "ts/grad_norm": float(gradient.norm())}
        of_clouds = {name: term for name, term in terms.items() if term.ndim <= cloud.ndim - 2}
        self.values |= {f"ts/{name}": float(term.mean()) for name, term in of_clouds.items()}
        if self.topology_every and state.global_step % self.topology_every == 0:
            clouds = leaf.detach().float().cpu().reshape(-1, *leaf.shape[-2:]).numpy()
            metric = self.metric
            found = [summarize(persistence_diagrams(points, metric=metric), points, metric=metric) for points in clouds]
            names, means = found[0]._fields, torch.tensor(found, dtype=torch.float64).mean(0).tolist()
            self.topology = {f"topology/{name}": value for name, value in zip(names, means, strict=True)}

    def on_log(self, args: Any, state: Any, control: Any, logs: dict[str, Any] | None = None, **_: Any) -> None:
        """Put the terms of the last step beside the loss."""
        if logs is not None and "loss" in logs:
            logs.update(self.values | self.topology)
            state.log_history[-1].update(self.values | self.topology)
            self.topology = {}


def add_regularizer(trainer: Trainer, regularizer: Regularizer, *, topology_every: int = 20) -> RegularizerCallback:
    """Let a trainer of a PEFT model with virtual tokens add a regulariser of these, and log it.

    Parameters
    ----------
    trainer
        A ``Trainer``, or TRL's ``SFTTrainer``.
    regularizer
        Such as ``TSLoss(0.1)``.
    topology_every
        Steps between two computations of exact persistent homology; 0: none.

    Raises
    ------
    InputError
        If the model is no PEFT model with virtual tokens (LoRA has none), or these are not trained, do not enter it, or
        enter some layers in part; if gradients are scaled (fp16) or divided over processes (DeepSpeed, FSDP); or if the
        regulariser needs the gradient of a prompt that comes out of an encoder.
    """
    cloud = cloud_of(trainer.model)
    said, _, _ = _rows(trainer.model)
    if said["task_type"] is None:
        raise InputError("PEFT's model leaves its virtual tokens out where the config has no task_type: give one")
    if not cloud.requires_grad:
        raise InputError("the virtual tokens are not trained: load the adapter with is_trainable=True")
    if said["peft_type"] in LAYERED:
        _enters_whole(_unwrapped(trainer.model), cloud)
    if trainer.args.fp16:
        raise InputError(
            "with fp16 the trainer scales gradients, and the regulariser's would not be: use bf16 or float32"
        )
    if trainer.is_deepspeed_enabled or trainer.is_fsdp_enabled:
        raise InputError("with DeepSpeed or FSDP no process has the prompt's whole gradient: use data parallelism")
    if isinstance(regularizer, Follows) and said["peft_type"] != "PROMPT_TUNING":
        raise InputError(
            f"{type(regularizer).__name__} weighs itself against the gradient of the prompt, which the trainer has for "
            "PromptTuningConfig only"
        )
    callback = RegularizerCallback(regularizer, topology_every)
    # before those that report, so that they see its values
    trainer.callback_handler.callbacks.insert(0, callback)
    return callback


def cloud_of(model: Any) -> Float[Tensor, "*clouds n d"]:
    """Virtual tokens of a PEFT model that it sees together, differentiable: see `tslib.interop.clouds`.

    Of prefix tuning there is a cloud in each layer, of the virtual tokens' keys and values.

    Raises
    ------
    InputError
        If the model is no PEFT model with virtual tokens.
    """
    said, rows, depth = _rows(model)
    return seen(said, rows, depth).values


def _unwrapped(model: Any) -> Any:
    while isinstance(model, nn.parallel.DistributedDataParallel | nn.DataParallel):
        model = model.module
    return model


def _rows(model: Any) -> tuple[dict[str, Any], dict[str, Tensor], int | None]:
    """What the active adapter's config says, its rows as PEFT would save them, and the layers of a decoder."""
    model = _unwrapped(model)
    active = getattr(model, "active_adapter", None)
    config: Any = getattr(model, "peft_config", {}).get(active) if isinstance(active, str) else None
    said = {} if config is None else {name: getattr(value, "value", value) for name, value in vars(config).items()}
    if (kind := said.get("peft_type")) not in KINDS:
        raise InputError(
            f"TSLoss is of the virtual tokens of a PEFT model ({', '.join(KINDS)}); given {type(model).__name__}"
            + ("" if kind is None else f" with {kind}")
        )
    encoder = model.prompt_encoder[active]
    weight = encoder.embedding.weight
    rows = {name: weight if name == KEY else getattr(encoder, name) for name in tensors(kind)}
    if kind in ENCODED and not said["inference_mode"]:
        indices = model.prompt_tokens[active].to(weight.device)
        rows[KEY] = encoder(indices[None, : said["num_virtual_tokens"] if kind in LAYERED else None])[0]
    text = model.get_base_model().config.get_text_config(decoder=True)
    depth = getattr(text, "num_decoder_layers", None) or getattr(text, "num_hidden_layers", None)
    return said, rows, depth


def _enters_whole(model: Any, clouds: Float[Tensor, "layers n d"]) -> None:
    """Raise an InputError where PEFT gives a layer only a part, for its sizes, its window or its shared states."""
    with torch.no_grad():
        cache = model.get_prompt(1)
    layers: list[Any] = getattr(cache, "self_attention_cache", cache).layers[: len(clouds)]
    given = [None if layer.keys is None else layer.keys.shape[1:] for layer in layers]
    n, width = clouds.shape[-2:]
    if any(shape is None or 2 * shape[0] * shape[2] != width or shape[1] != n for shape in given):
        raise InputError(
            f"PEFT gives the layers of {type(model.get_base_model()).__name__} prefixes of different shapes (heads, "
            f"virtual tokens, size): {given}; TSLoss needs {n} virtual tokens in every layer: use prompt tuning, or "
            "fewer of them than the sliding window"
        )
