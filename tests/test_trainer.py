"""TSLoss in the Trainer of transformers, against a loop that is written out."""

import pytest
import torch
from peft import LoraConfig, PromptTuningConfig, TaskType, get_peft_model
from transformers import Trainer, TrainerCallback, TrainingArguments

from tslib import models
from tslib.errors import InputError
from tslib.losses import TSLoss
from tslib.topology import persistence_diagrams
from tslib.trainer import add_regularizer, prompt_of

pytestmark = pytest.mark.filterwarnings("ignore:`is_gradient_checkpointing` is deprecated:FutureWarning")  # PEFT's
ROWS = [
    {"input_ids": [5, 9, 40, 7 + i, 3], "attention_mask": [1] * 5, "labels": [-100, -100, 40, 7 + i, 3]}
    for i in range(4)
]


def tuned(name):
    model, _ = models.load_model(name, device="cpu", dtype="float32")
    made = get_peft_model(model, PromptTuningConfig(task_type=TaskType.CAUSAL_LM, num_virtual_tokens=6))
    with torch.no_grad():
        prompt_of(made).copy_(torch.randn(6, 16, generator=torch.Generator().manual_seed(0)))
    return made


def trainer(model, folder, accumulate=1, clip=0.0, **settings):
    arguments = TrainingArguments(
        str(folder),
        max_steps=4,
        per_device_train_batch_size=4 // accumulate,
        gradient_accumulation_steps=accumulate,
        max_grad_norm=clip,
        learning_rate=0.05,
        lr_scheduler_type="constant",
        weight_decay=0.0,
        optim="sgd",
        logging_steps=1,
        save_strategy="no",
        report_to="none",
        disable_tqdm=True,
        use_cpu=True,
        dataloader_pin_memory=False,
        **settings,
    )
    return Trainer(model=model, args=arguments, train_dataset=ROWS)


def by_hand(model, tsloss, clip):
    """Four steps of gradient descent on all rows."""
    weight = prompt_of(model)
    batch = {name: torch.tensor([row[name] for row in ROWS]) for name in ROWS[0]}
    model.eval()
    for _ in range(4):
        (gradient,) = torch.autograd.grad(model(**batch).loss, weight)
        if clip:
            gradient = gradient * min(1.0, clip / float(gradient.norm()))
        (own,) = torch.autograd.grad(tsloss(weight), weight)
        with torch.no_grad():
            weight -= 0.05 * (gradient + own)
    return weight.detach()


@pytest.mark.parametrize(("accumulate", "clip"), [(1, 0.0), (2, 0.0), (1, 1e-3)])
def test_it_is_the_loop_that_is_written_out(accumulate, clip, tiny_model, tmp_path):
    expected = by_hand(tuned(tiny_model), TSLoss(0.1), clip)
    model = tuned(tiny_model)
    start = prompt_of(model).detach().clone()
    running = trainer(model, tmp_path, accumulate, clip)
    add_regularizer(running, TSLoss(0.1))
    running.train()
    torch.testing.assert_close(prompt_of(model).detach(), expected, rtol=1e-5, atol=1e-6)
    assert (expected - start).norm() > 1e-3


def test_without_weight_it_changes_nothing(tiny_model, tmp_path):
    ends = []
    for weight in (None, 0.0):
        model = tuned(tiny_model)
        running = trainer(model, tmp_path)
        if weight is not None:
            add_regularizer(running, TSLoss(weight))
        running.train()
        ends.append(prompt_of(model).detach())
    assert torch.equal(*ends)


def test_terms_and_topology_reach_who_reports(tiny_model, tmp_path):
    model = tuned(tiny_model)
    points = prompt_of(model).detach().clone()
    seen = []

    class Reports(TrainerCallback):
        def on_log(self, args, state, control, logs=None, **_):
            seen.append(dict(logs))

    running = trainer(model, tmp_path)
    running.add_callback(Reports())
    add_regularizer(running, TSLoss(0.1), topology_every=2)
    running.train()
    steps = [logs for logs in seen if "loss" in logs]
    assert len(steps) == 4
    terms = TSLoss().terms(points)
    for logs in (steps[0], running.state.log_history[0]):
        assert logs["ts/h0"] == pytest.approx(float(terms["h0"]), rel=1e-5)
        assert logs["ts/zeta"] == pytest.approx(float(terms["zeta"]), rel=1e-5)
        assert logs["ts/loss"] == pytest.approx(float(TSLoss(0.1)(points)), rel=1e-5)
        assert logs["topology/h0_max_lifespan"] == pytest.approx(
            persistence_diagrams(points.numpy())[0][:-1, 1].max(), rel=1e-6
        )
    assert ["topology/h1_count" in logs for logs in steps] == [True, False, True, False]


def test_wrong_use_is_named(tiny_model, tmp_path):
    plain, _ = models.load_model(tiny_model, device="cpu", dtype="float32")
    with pytest.raises(InputError, match="with a PromptTuningConfig; given LlamaForCausalLM"):
        prompt_of(plain)
    lora = get_peft_model(plain, LoraConfig(task_type=TaskType.CAUSAL_LM, target_modules=["q_proj"]))
    with pytest.raises(InputError, match="with LORA"):
        add_regularizer(trainer(lora, tmp_path), TSLoss())
