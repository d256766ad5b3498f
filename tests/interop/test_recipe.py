"""A run's settings in PEFT and the Trainer, against our loop."""

import pytest
import torch
from peft import get_peft_model
from torch.testing import assert_close
from transformers import Trainer

from tslib.config import TuneConfig
from tslib.errors import InputError
from tslib.interop.recipe import recipe
from tslib.models import loading as models
from tslib.prompts.encoding import encode
from tslib.prompts.soft_prompt import SoftPrompt
from tslib.tasks import TASKS
from tslib.tuning.loop import tune

pytestmark = pytest.mark.filterwarnings("ignore:`is_gradient_checkpointing` is deprecated:FutureWarning")  # PEFT's
QUIET = {
    **{"logging_steps": 1, "save_strategy": "no", "report_to": "none", "disable_tqdm": True},
    **{"use_cpu": True, "dataloader_pin_memory": False},
}


@pytest.mark.parametrize(
    "fields",
    [
        {"preset": "fast", "lr": 0.003},
        {"init": "text", "schedule": "cosine", "max_grad_norm": 0.05, "lr": 0.02, "lr_unit": "embedding", "beta1": 0.5},
        {"init": "vocabulary", "optimizer": "adam", "lr": 0.002},
    ],
    ids=["fast", "text", "adam"],
)
def test_losses_are_those_of_our_loop(toy_task, tmp_path, fields):
    """Eight steps on the embedded model, from the same words; a higher rate multiplies what rounding begins."""
    toy_task(("What is two and two?", "It is four, I think."))
    config = TuneConfig(
        **{"task": "toy", "device": "cpu", "n_tokens": 5, "max_steps": 8, "stop_when_correct": False} | fields,
        answer_every=0,
    )
    ours = tune(config, progress=False).steps["cross_entropy"]

    model, tokenizer = models.load_model(config.model, device="cpu", dtype="float32")
    row = encode(tokenizer, TASKS["toy"].load("train")[0])
    start = SoftPrompt.from_config(config, model, tokenizer).weight.detach()
    prompt, arguments = recipe(model, tokenizer, config, tmp_path, **QUIET)
    tuned = get_peft_model(model, prompt)
    weight = tuned.prompt_encoder["default"].embedding.weight
    if config.init == "text":
        assert torch.equal(weight.detach(), start), "PEFT begins with the same words"
    with torch.no_grad():
        weight.copy_(start)
    ids = row.question + row.target
    data = [{"input_ids": ids, "attention_mask": [1] * len(ids), "labels": [-100] * len(row.question) + row.target}]
    trainer = Trainer(tuned, arguments, train_dataset=data)
    trainer.train()
    theirs = [entry["loss"] for entry in trainer.state.log_history if "loss" in entry]
    rates = [entry["learning_rate"] for entry in trainer.state.log_history if "loss" in entry]
    assert len(theirs) == 8
    assert_close(torch.tensor(theirs), torch.tensor(ours.to_numpy()).float(), rtol=1e-3, atol=1e-4)
    assert ours.iloc[-1] < 0.95 * ours.iloc[0]
    assert len(set(rates)) > 1 or config.optimizer == "adam"


def test_peft_begins_with_words(smollm2_135m, tmp_path):
    model, tokenizer = models.load_model("smollm2-135m", device="cpu", dtype="float32")
    prompt, _ = recipe(model, tokenizer, folder=tmp_path, **QUIET)
    table = model.get_input_embeddings().weight.clone()
    rows = get_peft_model(model, prompt).prompt_encoder["default"].embedding.weight
    assert len(rows) == TuneConfig(preset="fast").n_tokens
    assert all((table == row).all(-1).any() for row in rows)


@pytest.mark.parametrize(
    ("fields", "says"),
    [
        ({"init": "gaussian"}, "PEFT has no init=gaussian: give vocabulary or text, or tune with tslib"),
        ({"placement": "suffix", "init": "text"}, "PEFT has no placement=suffix: give prefix"),
        ({"prompt_scale": "sqrt_d", "init": "text"}, "PEFT has no prompt_scale=sqrt_d: give none"),
        ({"method": "p-tuning"}, "PEFT has no method=p-tuning: give prompt-tuning"),
    ],
)
def test_what_peft_has_not_is_named(smollm2_135m, fields, says):
    with pytest.raises(InputError, match=says):
        recipe(*smollm2_135m, TuneConfig(**fields))
