"""Time from a loaded model to a correct prompt, problem by problem: PEFT under the Trainer, and our loop."""

import tempfile
import time
from collections.abc import Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor

from tslib.config import TuneConfig
from tslib.errors import InputError
from tslib.interop.recipe import recipe
from tslib.models import loading as models
from tslib.prompts import probe
from tslib.prompts.encoding import Encoded, encode
from tslib.tasks import load_task
from tslib.tuning.loop import tune

__all__ = ["TO_CORRECT", "Reached", "to_correct"]

TO_CORRECT = ("peft", "peft, recipe", "tuned", "fast", "fast, suffix")
"""PEFT and the Trainer at their defaults, and with our recipe; our loop with the presets, the last one with the prompt
behind the question."""


OURS: dict[str, dict[str, Any]] = {
    "tuned": {"preset": "tuned"},
    "fast": {"preset": "fast"},
    "fast, suffix": {"preset": "fast", "placement": "suffix"},
}


class Reached(NamedTuple):
    """How one way of tuning fared on one problem.

    Attributes
    ----------
    seconds
        From the loaded model to a prompt that is right, or to the last step that there was.
    iterations
        Steps that it took; None where it was not right in time.
    """

    seconds: float
    iterations: int | None


def to_correct(
    task: str,
    sample_seed: int,
    limit: int,
    ways: Sequence[str] = TO_CORRECT,
    *,
    model: str = "smollm2-135m",
    device: str = "auto",
) -> dict[str, Reached]:
    """Tune a prompt for one problem in several ways, one after the other, each until it is right.

    Right is what reproduces the target token by token, in all ways. Steps of the Trainer are looked at as ours are:
    by the logits that the step has anyway.

    Parameters
    ----------
    task, sample_seed
        Which problem.
    limit
        Optimiser steps at most, also the length of the schedule of the rate.
    ways
        Of `TO_CORRECT`.
    model, device
        As in ``TuneConfig``.

    Raises
    ------
    InputError
        If a way is unknown.
    """
    if unknown := set(ways) - set(TO_CORRECT):
        raise InputError(f"unknown ways {sorted(unknown)}: give some of {', '.join(TO_CORRECT)}")
    device = models.resolve_device(device)
    fields: dict[str, Any] = {
        **{"model": model, "task": task, "sample_seed": sample_seed, "device": device, "max_steps": limit},
        **{"answer_every": 0, "topology_every": limit},
    }
    loaded, tokenizer = models.shared_model(model, device)
    probe.remember(loaded, model)
    row = encode(tokenizer, load_task(task, "train", limit=1, seed=sample_seed)[0])
    found = {}
    for way in ways:
        begun = time.perf_counter()
        if way.startswith("peft"):
            config = TuneConfig(**fields, preset="fast") if way == "peft, recipe" else None
            iterations = _with_peft(loaded, tokenizer, row, limit, config)
        else:
            iterations = tune(TuneConfig(**fields, **OURS[way]), progress=False).iterations_to_correct
        found[way] = Reached(time.perf_counter() - begun, iterations)
    return found


def _with_peft(model: Any, tokenizer: Any, row: Encoded, limit: int, config: TuneConfig | None) -> int | None:
    """Train until right; with the settings of a config, or those that PEFT and the Trainer have by default."""
    from peft import PromptTuningConfig, TaskType, get_peft_model
    from transformers import Trainer, TrainerCallback, TrainingArguments
    from transformers.trainer_callback import PrinterCallback

    reached: list[int] = []

    class Looking(Trainer):
        def compute_loss(
            self, model: Any, inputs: Any, return_outputs: bool = False, num_items_in_batch: Any = None
        ) -> Any:
            outputs = model(**inputs)
            if _right(outputs.logits, inputs["labels"]) and not reached:
                reached.append(self.state.global_step)
            return (outputs.loss, outputs) if return_outputs else outputs.loss

    class Stop(TrainerCallback):
        def on_step_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
            control.should_training_stop |= bool(reached)

    quiet: dict[str, Any] = {
        **{"save_strategy": "no", "report_to": [], "disable_tqdm": True, "logging_strategy": "no"},
        **{"dataloader_pin_memory": False, "use_cpu": next(model.parameters()).device.type == "cpu"},
    }
    torch.manual_seed(0)
    with tempfile.TemporaryDirectory() as folder:
        if config is None:
            prompt = PromptTuningConfig(task_type=TaskType.CAUSAL_LM, num_virtual_tokens=TuneConfig().n_tokens)
            arguments = TrainingArguments(folder, max_steps=limit, **quiet)
        else:
            prompt, arguments = recipe(model, tokenizer, config, folder, **quiet)
        ids = [*row.question, *row.target]
        data = [{"input_ids": ids, "attention_mask": [1] * len(ids), "labels": [-100] * len(row.question) + row.target}]
        tuned: Any = get_peft_model(model, prompt)
        trainer = Looking(tuned, arguments, train_dataset=data, callbacks=[Stop()])
        trainer.remove_callback(PrinterCallback)
        trainer.train()
    model.eval()
    return reached[0] if reached else None


def _right(logits: Tensor, labels: Tensor) -> bool:
    """Whether the most probable token is the target's at all of its positions; virtual tokens go before the labels."""
    found = logits[:, -labels.shape[1] - 1 : -1].argmax(-1)
    return bool(((found == labels) | (labels == -100)).all())
