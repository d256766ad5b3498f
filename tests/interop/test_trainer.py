"""TSLoss in the Trainer of transformers, against a loop that is written out."""

from functools import partial

import pytest
import torch
from datasets import Dataset
from peft import (
    LoraConfig,
    PrefixTuningConfig,
    PromptEncoderConfig,
    PromptTuningConfig,
    TaskType,
    get_peft_model,
)
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from transformers import Trainer, TrainerCallback, TrainingArguments
from trl import SFTConfig, SFTTrainer

from tslib.errors import InputError
from tslib.interop.trainer import add_regularizer, cloud_of
from tslib.losses.controls import AdaptiveTSLoss
from tslib.losses.tsloss import TSLoss
from tslib.models import loading as models
from tslib.topology.diagrams import persistence_diagrams

pytestmark = pytest.mark.filterwarnings("ignore:`is_gradient_checkpointing` is deprecated:FutureWarning")  # PEFT's
RATE = 0.01
ROWS = [
    {"input_ids": [5, 9, 40, 7 + i, 3], "attention_mask": [1] * 5, "labels": [-100, -100, 40, 7 + i, 3]}
    for i in range(4)
]


PROMPTS = {
    "prompt tuning": PromptTuningConfig,
    "P-tuning": partial(PromptEncoderConfig, encoder_hidden_size=16),
    "prefix tuning": partial(PrefixTuningConfig, prefix_projection=True),
    "P-tuning v2": PrefixTuningConfig,
}


def tuned(name, kind="prompt tuning"):
    model, _ = models.load_model(name, device="cpu", dtype="float32")
    made = get_peft_model(model, PROMPTS[kind](task_type=TaskType.CAUSAL_LM, num_virtual_tokens=6))
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for parameter in made.prompt_encoder.parameters():
            parameter.copy_(0.5 * torch.randn(parameter.shape, generator=generator))
    return made


def trainer(model, folder, accumulate=1, clip=0.0, **settings):
    given = {
        "max_steps": 4,
        "per_device_train_batch_size": 4 // accumulate,
        "gradient_accumulation_steps": accumulate,
        "max_grad_norm": clip,
        "learning_rate": RATE,
        "lr_scheduler_type": "constant",
        "weight_decay": 0.0,
        "optim": "sgd",
        "logging_steps": 1,
        "save_strategy": "no",
        "report_to": "none",
        "disable_tqdm": True,
        "use_cpu": True,
        "dataloader_pin_memory": False,
    }
    return Trainer(model=model, args=TrainingArguments(str(folder), **given | settings), train_dataset=ROWS)


def by_hand(model, tsloss, clip):
    """Four steps of gradient descent on all rows."""
    weights = list(model.prompt_encoder.parameters())
    batch = {name: torch.tensor([row[name] for row in ROWS]) for name in ROWS[0]}
    model.eval()
    for _ in range(4):
        gradients = torch.autograd.grad(model(**batch).loss, weights)
        norm = float(torch.cat([gradient.flatten() for gradient in gradients]).norm())
        share = min(1.0, clip / norm) if clip else 1.0
        own = torch.autograd.grad(tsloss(cloud_of(model)), weights)
        with torch.no_grad():
            for weight, gradient, further in zip(weights, gradients, own, strict=True):
                weight -= RATE * (share * gradient + further)
    return cloud_of(model).detach()


@pytest.mark.parametrize(
    ("kind", "accumulate", "clip"),
    [
        *(("prompt tuning", 1, 0.0), ("prompt tuning", 2, 0.0), ("prompt tuning", 1, 1e-3)),
        *(("P-tuning", 2, 1e-3), ("prefix tuning", 2, 1e-3), ("P-tuning v2", 2, 1e-3)),
    ],
)
def test_it_is_the_loop_that_is_written_out(kind, accumulate, clip, tiny_model, tmp_path):
    expected = by_hand(tuned(tiny_model, kind), TSLoss(0.1), clip)
    model = tuned(tiny_model, kind)
    start = cloud_of(model).detach().clone()
    running = trainer(model, tmp_path, accumulate, clip)
    add_regularizer(running, TSLoss(0.1))
    running.train()
    torch.testing.assert_close(cloud_of(model).detach(), expected, rtol=1e-4, atol=1e-5)
    assert (expected - start).norm() > 2e-4


@pytest.mark.parametrize("kind", PROMPTS)
def test_the_cloud_is_what_enters_the_model(kind, tiny_model):
    """As PEFT's own call for it says: among the embedded tokens, or the keys and values of each layer."""
    model = tuned(tiny_model, kind)
    cloud, theirs = cloud_of(model), model.get_prompt(1)
    if kind in ("prompt tuning", "P-tuning"):
        assert torch.equal(cloud, theirs[0])
        return
    for points, layer in zip(cloud, theirs.layers, strict=True):
        keys_and_values = [states[0].transpose(0, 1).flatten(1) for states in (layer.keys, layer.values)]
        assert torch.equal(points, torch.cat(keys_and_values, 1))


def test_without_weight_it_changes_nothing(tiny_model, tmp_path):
    ends = []
    for weight in (None, 0.0):
        model = tuned(tiny_model)
        running = trainer(model, tmp_path)
        if weight is not None:
            add_regularizer(running, TSLoss(weight))
        running.train()
        ends.append(cloud_of(model).detach())
    assert torch.equal(*ends)


def test_terms_and_topology_reach_who_reports(tiny_model, tmp_path):
    model = tuned(tiny_model)
    points = cloud_of(model).detach().clone()
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
    with pytest.raises(InputError, match=r"CARTRIDGE\); given LlamaForCausalLM"):
        cloud_of(plain)
    lora = get_peft_model(plain, LoraConfig(task_type=TaskType.CAUSAL_LM, target_modules=["q_proj"]))
    with pytest.raises(InputError, match="with LORA"):
        add_regularizer(trainer(lora, tmp_path), TSLoss())
    encoded = trainer(tuned(tiny_model, "P-tuning"), tmp_path)
    with pytest.raises(InputError, match="AdaptiveTSLoss weighs itself against the gradient of the prompt"):
        add_regularizer(encoded, AdaptiveTSLoss())


def test_topology_is_logged_whenever_it_was_computed(tiny_model, tmp_path):
    """Three steps between two lines of the log, two between two computations: each line has the last of them."""
    model = tuned(tiny_model)
    running = trainer(model, tmp_path, max_steps=6, logging_steps=3)
    add_regularizer(running, TSLoss(0.1), topology_every=2)
    running.train()
    lines = [line for line in running.state.log_history if "loss" in line]
    assert [line["step"] for line in lines] == [3, 6]
    assert all("topology/h1_count" in line for line in lines)


def test_an_adaptive_weight_is_as_long_as_it_says(tiny_model, tmp_path):
    """By SGD without TSLoss's part the step is the cross-entropy's; the rest is as long."""
    steps = []
    for weight in (0.0, 0.5):
        model = tuned(tiny_model)
        start = cloud_of(model).detach().clone()
        running = trainer(model, tmp_path, max_steps=1)
        add_regularizer(running, AdaptiveTSLoss(weight))
        running.train()
        steps.append(cloud_of(model).detach() - start)
    assert float((steps[1] - steps[0]).norm()) == pytest.approx(0.5 * float(steps[0].norm()), rel=5e-3)


def test_tensorboard_has_the_terms(tiny_model, tmp_path):
    model = tuned(tiny_model)
    points = cloud_of(model).detach().clone()
    running = trainer(model, tmp_path, report_to="tensorboard")
    add_regularizer(running, TSLoss(0.1))
    running.train()
    (event,) = tmp_path.rglob("events.out.tfevents.*")
    read = EventAccumulator(str(event))
    read.Reload()
    values = read.Scalars("train/ts/h0")
    assert [value.step for value in values] == [1, 2, 3, 4]
    assert values[0].value == pytest.approx(float(TSLoss().terms(points)["h0"]), rel=1e-5)
    assert [value.step for value in read.Scalars("train/topology/h1_count")] == [1]


@pytest.mark.filterwarnings("ignore:`gradient_checkpointing` is deprecated:FutureWarning")  # TRL sets it
def test_in_trl(tiny_model, tmp_path):
    """SFTTrainer makes the PEFT model itself; from the same prompt it goes where Trainer goes."""
    model, tokenizer = models.load_model(tiny_model, device="cpu", dtype="float32")
    rows = [{"prompt": "Two and two are", "completion": " four"}, {"prompt": "The sky is", "completion": " blue"}]
    settings = SFTConfig(
        str(tmp_path),
        max_steps=8,
        per_device_train_batch_size=2,
        learning_rate=0.1,
        logging_steps=1,
        save_strategy="no",
        report_to="none",
        use_cpu=True,
        bf16=False,
        gradient_checkpointing=False,
        disable_tqdm=True,
        dataloader_pin_memory=False,
    )
    running = SFTTrainer(
        model=model,
        args=settings,
        train_dataset=Dataset.from_list(rows),
        processing_class=tokenizer,
        peft_config=PromptTuningConfig(task_type=TaskType.CAUSAL_LM, num_virtual_tokens=6),
    )
    add_regularizer(running, TSLoss(1e-3))
    points = cloud_of(running.model).detach().clone()
    running.train()
    lines = [line for line in running.state.log_history if "loss" in line]
    assert lines[0]["ts/zeta"] == pytest.approx(float(TSLoss().terms(points)["zeta"]), rel=1e-5)
    assert lines[-1]["loss"] < lines[0]["loss"]
    assert not torch.equal(cloud_of(running.model).detach(), points)
