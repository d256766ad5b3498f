"""TSLoss in a PEFT run with transformers' Trainer, or with what is derived from it, such as TRL's SFTTrainer.

trainer = Trainer(model=peft_model, ...)
add_regularizer(trainer, TSLoss(0.1))
trainer.train()
"""

from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn
from transformers import Trainer, TrainerCallback

from tslib.errors import InputError
from tslib.losses.registry import Follows, Regularizer
from tslib.topology.diagrams import persistence_diagrams, summarize

__all__ = ["RegularizerCallback", "add_regularizer", "cloud_of"]

KINDS = ("PROMPT_TUNING", "P_TUNING", "PREFIX_TUNING")


class RegularizerCallback(TrainerCallback):
    """Adds a regulariser's gradient once to each optimiser step, however many batches it is accumulated over.

    It is added after the gradient of the loss has been clipped, and is not clipped itself. Its terms (``ts/h0``, ...)
    and the prompt's topology (``topology/h1_count``, ...) go wherever the trainer logs to; of prefix tuning, which has
    a cloud in each layer, their means.

    Parameters
    ----------
    regularizer
        A ``TSLoss``, or any other regulariser.
    topology_every
        Steps between two computations of exact persistent homology; 0: none.
    """

    def __init__(self, regularizer: Regularizer, topology_every: int = 20) -> None:
        self.regularizer, self.topology_every = regularizer, topology_every
        self.values: dict[str, float] = {}
        self.topology: dict[str, float] = {}  # until it is logged, which may be some steps later

    def on_pre_optimizer_step(self, args: Any, state: Any, control: Any, **given: Any) -> None:
        """Add the gradient."""
        cloud = cloud_of(given["model"])
        if isinstance(self.regularizer, Follows) and cloud.grad is not None:
            self.regularizer.follow(state.global_step, args.seed, cloud.grad)
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
            found = [summarize(persistence_diagrams(points), points) for points in clouds]
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
        If the model is no PEFT model with virtual tokens (LoRA has none); if gradients are scaled (fp16) or divided
        over processes (DeepSpeed, FSDP); or if the regulariser needs the gradient of a prompt that comes out of an
        encoder.
    """
    cloud = cloud_of(trainer.model)
    if trainer.args.fp16:
        raise InputError(
            "with fp16 the trainer scales gradients, and the regulariser's would not be: use bf16 or float32"
        )
    if trainer.is_deepspeed_enabled or trainer.is_fsdp_enabled:
        raise InputError("with DeepSpeed or FSDP no process has the prompt's whole gradient: use data parallelism")
    if isinstance(regularizer, Follows) and not cloud.is_leaf:
        raise InputError(
            f"{type(regularizer).__name__} weighs itself against the gradient of the prompt, which the trainer has for "
            "PromptTuningConfig only"
        )
    callback = RegularizerCallback(regularizer, topology_every)
    # before those that report, so that they see its values
    trainer.callback_handler.callbacks.insert(0, callback)
    return callback


def cloud_of(model: Any) -> Float[Tensor, "*layers n d"]:
    """Virtual tokens of a PEFT model, differentiable: the parameter itself, or what an encoder makes of its own.

    Of prefix tuning there is a cloud in each layer, of the virtual tokens' keys and values.

    Raises
    ------
    InputError
        If the model is no PEFT model with virtual tokens.
    """
    while isinstance(model, nn.parallel.DistributedDataParallel | nn.DataParallel):
        model = model.module
    config: Any = getattr(model, "peft_config", {}).get(getattr(model, "active_adapter", None))
    kind = None if config is None else str(getattr(config.peft_type, "value", config.peft_type))
    if kind not in KINDS:
        raise InputError(
            f"TSLoss is of the virtual tokens of a PEFT model ({', '.join(KINDS)}); given {type(model).__name__}"
            + ("" if kind is None else f" with {kind}")
        )
    encoder = model.prompt_encoder[model.active_adapter]
    if kind == "PROMPT_TUNING":
        weight: Tensor = encoder.embedding.weight
        return weight
    indices = torch.arange(config.num_virtual_tokens, device=encoder.embedding.weight.device)
    values: Tensor = encoder(indices)
    return values if kind == "P_TUNING" else values.view(len(values), config.num_layers, -1).transpose(0, 1)
