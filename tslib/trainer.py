"""TSLoss in a prompt-tuning run of PEFT with transformers' Trainer.

trainer = Trainer(model=peft_model, ...)
add_regularizer(trainer, TSLoss(0.1))
trainer.train()
"""

from typing import Any

import torch
from torch import Tensor, nn
from transformers import Trainer, TrainerCallback

from tslib.errors import InputError
from tslib.losses import Regularizer
from tslib.topology import persistence_diagrams, summarize

__all__ = ["RegularizerCallback", "add_regularizer"]


class RegularizerCallback(TrainerCallback):
    """Adds a regulariser's gradient once to each optimiser step, however many batches it is accumulated over.

    It is added after the gradient of the loss has been clipped, and is not clipped itself. Its terms (``ts/h0``, ...)
    and the prompt's topology (``topology/h1_count``, ...) go wherever the trainer logs to.

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

    def on_pre_optimizer_step(self, args: Any, state: Any, control: Any, **given: Any) -> None:
        """Add the gradient."""
        weight = prompt_of(given["model"])
        penalty = self.regularizer(weight)
        (gradient,) = torch.autograd.grad(penalty, weight)
        weight.grad = gradient if weight.grad is None else weight.grad + gradient
        terms = self.regularizer.terms(weight.detach())
        self.values = {"ts/loss": float(penalty.detach()), "ts/grad_norm": float(gradient.norm())}
        self.values |= {f"ts/{name}": float(term) for name, term in terms.items() if term.ndim == 0}
        if self.topology_every and state.global_step % self.topology_every == 0:
            points = weight.detach().float().cpu().numpy()
            found = summarize(persistence_diagrams(points), points)._asdict()
            self.values |= {f"topology/{name}": float(value) for name, value in found.items()}

    def on_log(self, args: Any, state: Any, control: Any, logs: dict[str, Any] | None = None, **_: Any) -> None:
        """Put the terms of the last step beside the loss."""
        if logs is not None and "loss" in logs:
            logs.update(self.values)
            state.log_history[-1].update(self.values)


def add_regularizer(trainer: Trainer, regularizer: Regularizer, *, topology_every: int = 20) -> RegularizerCallback:
    """Let a trainer of a PEFT prompt-tuning model add a regulariser of the prompt, and log it.

    Parameters
    ----------
    trainer
        A ``Trainer``.
    regularizer
        Such as ``TSLoss(0.1)``.
    topology_every
        Steps between two computations of exact persistent homology; 0: none.

    Raises
    ------
    InputError
        If the model is no PEFT model with a prompt (LoRA has none), or gradients are scaled (fp16).
    """
    prompt_of(trainer.model)
    if trainer.args.fp16:
        raise InputError(
            "with fp16 the trainer scales gradients, and the regulariser's would not be: use bf16 or float32"
        )
    callback = RegularizerCallback(regularizer, topology_every)
    # before those that report, so that they see its values
    trainer.callback_handler.callbacks.insert(0, callback)
    return callback


def prompt_of(model: Any) -> Tensor:
    """The virtual tokens of a PEFT prompt-tuning model, shape (n, d)."""
    while isinstance(model, nn.parallel.DistributedDataParallel | nn.DataParallel):
        model = model.module
    config = getattr(model, "peft_config", {}).get(getattr(model, "active_adapter", None))
    kind = None if config is None else str(getattr(config.peft_type, "value", config.peft_type))
    if kind != "PROMPT_TUNING":
        raise InputError(
            f"TSLoss is of the virtual tokens of a PEFT model with a PromptTuningConfig; given {type(model).__name__}"
            + ("" if kind is None else f" with {kind}")
        )
    weight: Tensor = model.prompt_encoder[model.active_adapter].embedding.weight
    return weight
