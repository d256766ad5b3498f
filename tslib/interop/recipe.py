"""A run's settings for PEFT's prompt tuning under transformers' Trainer, so that its losses are those of our loop."""

from pathlib import Path
from typing import Any

from peft import PromptTuningConfig, PromptTuningInit, TaskType
from transformers import TrainingArguments

from tslib.config import TuneConfig
from tslib.errors import InputError
from tslib.prompts.initial import rate_unit
from tslib.tuning.optimizer import optimization

__all__ = ["recipe", "training_arguments"]

STARTS = {"vocabulary": PromptTuningInit.SAMPLE_VOCAB, "text": PromptTuningInit.TEXT}
"""PEFT's name of a start that it has, too; its RANDOM is N(0, 1), which is none of ours."""


def recipe(
    model: Any, tokenizer: Any, config: TuneConfig | None = None, folder: str | Path = "out", **arguments: Any
) -> tuple[PromptTuningConfig, TrainingArguments]:
    """Return the settings of a run as PEFT and transformers take them.

    PEFT draws the words of its start itself, from torch's generator, so that a seed gives other words than in a run.

    Parameters
    ----------
    model, tokenizer
        Of transformers; the rate is in units of the model's embeddings where the config says so.
    config
        The run; by default that of the preset ``fast``.
    folder
        Where the Trainer writes.
    **arguments
        Further arguments of ``TrainingArguments``, or others in their place.

    Raises
    ------
    InputError
        If PEFT has no such prompt: one behind the question, with a scale, an encoding or a start of its own.
    """
    config = config or TuneConfig(preset="fast")
    given = {
        "method": (config.method, ("prompt-tuning",)),
        "placement": (config.placement, ("prefix",)),
        "prompt_scale": (config.prompt_scale, ("none",)),
        "position_encoding": (config.position_encoding, ("none",)),
        "prompt_dtype": (config.prompt_dtype, ("float32",)),
        "init": (config.init, tuple(STARTS)),
    }
    for name, (value, known) in given.items():
        if value not in known:
            raise InputError(f"PEFT has no {name}={value}: give {' or '.join(known)}, or tune with tslib")
    start = {"prompt_tuning_init_text": config.init_text, "tokenizer_name_or_path": tokenizer.name_or_path}
    prompt = PromptTuningConfig(
        task_type=TaskType.CAUSAL_LM,
        num_virtual_tokens=config.n_tokens,
        prompt_tuning_init=STARTS[config.init],
        **start if config.init == "text" else {},
    )
    return prompt, training_arguments(config, folder, rate_unit(config, model, tokenizer), **arguments)


def training_arguments(
    config: TuneConfig, folder: str | Path, unit: float = 1.0, **arguments: Any
) -> TrainingArguments:
    """Return a run's optimiser, schedule and batches as the Trainer takes them.

    Parameters
    ----------
    config
        The run.
    folder
        Where the Trainer writes.
    unit
        What the rate is multiplied by (``lr_unit``).
    **arguments
        Further ones, or others in their place.
    """
    told = optimization(config)
    ours: dict[str, Any] = {
        "learning_rate": config.learning_rate * unit,
        "lr_scheduler_type": told.schedule,
        "warmup_steps": told.warmup,
        "optim": "adamw_torch",
        "adam_beta1": config.beta1,
        "adam_beta2": told.beta2,
        "adam_epsilon": told.eps,
        "weight_decay": told.weight_decay,
        "max_grad_norm": config.max_grad_norm,
        "max_steps": config.max_steps,
        "per_device_train_batch_size": config.batch_size,
        "seed": config.seed,
    }
    return TrainingArguments(str(folder), **ours | arguments)
