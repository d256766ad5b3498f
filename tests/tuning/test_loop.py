"""The tuning loop, mostly on the embedded model; what the numbers should be is worked out a second way in each test."""

import copy
import math

import pandas as pd
import pytest
import torch
from torch.nn import functional
from torch.testing import assert_close
from transformers import GPT2Config, GPT2LMHeadModel

from tslib.config import TuneConfig
from tslib.errors import InputError
from tslib.losses.baselines import L2Penalty
from tslib.losses.registry import REGULARIZERS
from tslib.losses.tsloss import TSLoss
from tslib.models import loading as models
from tslib.models.loading import LoadedModel
from tslib.prompts.decoding import generate
from tslib.prompts.encoding import Encoded, decode, encode, encode_all
from tslib.prompts.soft_prompt import INITIALIZERS
from tslib.runs.store import RunStore
from tslib.tasks import TASKS, Example, load_task
from tslib.tuning.loop import _Run, tune

FRANCE = ("What is the capital of France?", "Paris")
SPIDER = ("How many legs has a spider?", "It has eight legs")
FRUIT = ("Name a fruit.", "A pear")
# the model says this by itself, even after four random virtual tokens
KNOWN = ("What is the capital of France?", "The capital of France is Paris.")
KNOWN_EXAMPLE = Example("toy/train/0", *KNOWN, KNOWN[1])

ROWS = [FRANCE, SPIDER, FRUIT]
PLACEMENTS = pytest.mark.parametrize("placement", ["prefix", "suffix"])

# Settings with which "Paris" is learnt in six steps.
EASY = {
    "prefix": {"init": "text", "init_text": "Answer in one word only.", "lr": 1e-2},
    "suffix": {"init": "gaussian", "lr": 3e-3},
}


def config(**fields) -> TuneConfig:
    return TuneConfig(**{"task": "toy", "device": "cpu", "n_tokens": 4, "max_new_tokens": 24} | fields)


def quick(**fields):
    return tune(config(**fields), progress=False)


def maker(loaded, toy_task):
    def make(rows, **fields):
        toy_task(*rows)
        examples = TASKS["toy"].load("train")
        encoded = [encode(loaded.tokenizer, example) for example in examples]
        return _Run(config(samples=len(rows), **fields), *loaded, examples, encoded)

    return make


@pytest.fixture
def make_run(smollm2_135m, toy_task):
    """Make the state of a run on the given (prompt, target) rows, before its first step."""
    return maker(smollm2_135m, toy_task)


@pytest.fixture
def make_tiny_run(tiny_model, toy_task):
    """The same with the narrow model."""
    return maker(models.shared_model(tiny_model, "cpu", "float32"), toy_task)


def embedded(run, row) -> torch.Tensor:
    """Prompt, question and target of one row as embeddings, put together without ``collate`` and ``insert``."""
    embed = run.model.get_input_embeddings()
    question, target = embed(torch.tensor(row.question)), embed(torch.tensor(row.target, dtype=torch.long))
    parts = [run.prompt.weight, question] if run.prompt.placement == "prefix" else [question, run.prompt.weight]
    return torch.cat([*parts, target])[None]  # (1, l, d)


@torch.no_grad()
def plain_greedy(run, row) -> list[int]:
    """Ids of the greedy reply to a question, decoded from its first token by transformers alone."""
    ids = run.model.generate(
        inputs_embeds=embedded(run, Encoded(row.question, [])),
        do_sample=False,
        max_new_tokens=run.config.max_new_tokens,
        eos_token_id=2,
        pad_token_id=2,
    )
    return ids[0].tolist()


# the forward pass


@PLACEMENTS
@pytest.mark.parametrize("pass_tokens", [1, 100])
def test_a_batch_in_passes_has_the_gradient_of_the_whole(make_tiny_run, placement, pass_tokens):
    whole, parts = (make_tiny_run(ROWS, placement=placement, pass_tokens=tokens) for tokens in (4096, pass_tokens))
    assert len(list(parts._passes(parts.rows, 8))) == (3 if pass_tokens == 1 else 2)
    expected = whole._losses(whole.rows, grad=True)
    expected.loss.backward()
    for _ in range(2):  # the second time it must not add to the first
        outcome = parts._losses(parts.rows, grad=True)
        assert_close(outcome.loss, expected.loss.detach(), rtol=1e-5, atol=0)
        assert outcome.exact.tolist() == expected.exact.tolist()
        difference = (parts.prompt.weight.grad - whole.prompt.weight.grad).norm()
        assert difference < 1e-4 * whole.prompt.weight.grad.norm()
    parts._losses(parts.rows, grad=False)  # a check of the samples leaves the gradient alone
    assert (parts.prompt.weight.grad - whole.prompt.weight.grad).norm() == difference
    row = parts._update(outcome.loss)
    assert row["grad_norm_ce"] == pytest.approx(float(whole.prompt.weight.grad.norm()), rel=1e-4)


def test_a_run_in_passes_is_the_run(toy_task, tiny_model):
    toy_task(*ROWS)
    fields = {"model": tiny_model, "samples": 3, "max_steps": 3, "stop_when_correct": False, "answer_every": 0}
    whole, parts = (quick(**fields, pass_tokens=tokens) for tokens in (4096, 1))
    pd.testing.assert_frame_equal(
        parts.steps.drop(columns="seconds"), whole.steps.drop(columns="seconds"), rtol=1e-3, atol=1e-6
    )


def test_few_shot_runs_show_rows_that_are_no_samples(toy_task, tiny_model, monkeypatch):
    toy_task(*ROWS, KNOWN)
    seen = []

    def note(tokenizer, examples, *, shots, **rest):
        seen.append(([example.id for example in examples], [[shot.id for shot in shots(row)] for row in examples]))
        return encode_all(tokenizer, examples, shots=shots, **rest)

    monkeypatch.setattr("tslib.tuning.loop.encode_all", note)
    record = quick(model=tiny_model, samples=2, shots=2, max_steps=1)
    ((samples, shots),) = seen
    assert record.rows == samples == [row.id for row in load_task("toy", limit=2)]
    for shown in shots:
        assert sorted(samples + shown) == [f"toy/train/{i}" for i in range(4)]


def test_a_model_that_is_spread_over_all_devices(toy_task, tiny_model, monkeypatch):
    """Here the only device is the CPU: accelerate places the model, and the run is the same."""
    monkeypatch.setattr(models, "_shared", models._shared.__wrapped__)  # the one kept is for the other tests
    toy_task(FRANCE)
    fields = {"model": tiny_model, "max_steps": 2, "stop_when_correct": False}
    runs = [quick(**fields, device=device) for device in ("spread", "cpu")]
    spread, plain = (run.steps.drop(columns="seconds") for run in runs)
    pd.testing.assert_frame_equal(spread, plain, rtol=1e-4)
    assert runs[0].environment["device"] == "cpu"


def test_max_context_bounds_a_run(toy_task):
    toy_task(KNOWN)
    with pytest.raises(InputError, match="the context has 30: leave it out"):
        quick(max_context=30)


@PLACEMENTS
def test_a_batch_of_unequal_rows_is_as_each_row_alone(make_run, placement):
    run = make_run(ROWS, placement=placement)
    assert len({len(row.target) for row in run.rows}) == 3
    assert len({len(row.question) for row in run.rows}) >= 2
    batch = run._pass(run.rows, grad=False)
    alone = [run._pass([row], grad=False) for row in run.rows]
    tokens = [len(row.target) for row in run.rows]
    mean = sum(outcome.loss * n for outcome, n in zip(alone, tokens, strict=True)) / sum(tokens)
    assert_close(batch.loss, mean, rtol=1e-4, atol=0)
    assert batch.exact.tolist() == [bool(outcome.exact) for outcome in alone]


@pytest.fixture(scope="module")
def tiny_gpt2():
    """A model whose positions are a table, of 24: it depends on them, where rotary ones are relative."""
    torch.manual_seed(0)
    shape = {"vocab_size": 60, "n_positions": 24, "n_embd": 8, "n_layer": 1, "n_head": 1}
    config = GPT2Config(**shape, bos_token_id=0, eos_token_id=0, initializer_range=0.5)
    return GPT2LMHeadModel(config).eval().requires_grad_(False)


@PLACEMENTS
def test_padding_moves_no_position(tiny_gpt2, placement):
    rows = [Encoded([9] * 10, [11, 12]), Encoded([9] * 4, [11, 12])]
    run = _Run(config(task="gsm-symbolic", placement=placement), tiny_gpt2, None, [], rows)
    together = run._pass(rows, grad=False).loss
    alone = [run._pass([row], grad=False).loss for row in rows]
    assert_close(together, sum(alone) / 2, rtol=1e-5, atol=0)
    assert abs(alone[0] - alone[1]) > 1e-3


def test_the_padding_before_a_shorter_target_is_not_held_against_it(make_run):
    longer = "The spider has eight legs, and walks on all of them."
    run = make_run([KNOWN, (SPIDER[0], longer)])
    assert len(run.rows[0].target) < len(run.rows[1].target)
    assert run._pass(run.rows, grad=False).exact.tolist() == [True, False]


@PLACEMENTS
def test_cross_entropy_is_that_of_transformers(make_run, placement):
    run = make_run([SPIDER], placement=placement)
    (row,) = run.rows
    labels = torch.tensor([[-100] * (4 + len(row.question)) + row.target])
    expected = run.model(inputs_embeds=embedded(run, row), labels=labels)
    outcome = run._pass(run.rows, grad=True)
    assert_close(outcome.loss, expected.loss, rtol=1e-5, atol=0)
    ours, theirs = (torch.autograd.grad(loss, run.prompt.weight)[0] for loss in (outcome.loss, expected.loss))
    assert (ours - theirs).norm() < 1e-3 * theirs.norm()  # single elements differ by the order of the sums


@PLACEMENTS
def test_gradient_by_finite_differences(make_run, placement):
    run = make_run([FRANCE], placement=placement)
    weight = run.prompt.weight
    (gradient,) = torch.autograd.grad(run._pass(run.rows, grad=True).loss, weight)
    noise = torch.randn(weight.shape, generator=torch.Generator().manual_seed(0))
    direction = functional.normalize(gradient.flatten(), dim=0) + functional.normalize(noise.flatten(), dim=0)
    direction = direction.reshape(weight.shape)
    step, start = 3e-5, weight.detach().clone()
    losses = []
    with torch.no_grad():
        for sign in (1, -1):
            weight.copy_(start + sign * step * direction)
            losses.append(float(run._pass(run.rows, grad=False).loss))
    slope = float((gradient * direction).sum())
    assert slope > 0.5
    assert (losses[0] - losses[1]) / (2 * step) == pytest.approx(slope, rel=0.02)


def test_a_model_in_half_precision(tiny_gpt2):
    """The prompt and its gradient stay in float32."""
    half = copy.deepcopy(tiny_gpt2).to(torch.bfloat16)
    rows = [Encoded([9] * 10, [11, 12])]
    losses = []
    for model in (tiny_gpt2, half):
        run = _Run(config(task="gsm-symbolic", regularizer="tsloss", max_steps=2), model, None, [], rows)
        losses.append(run._update(run._pass(rows, grad=True).loss)["cross_entropy"])
    assert run.prompt.weight.dtype == run.prompt.weight.grad.dtype == torch.float32
    assert run.prompt.weight.isfinite().all()
    assert losses[1] == pytest.approx(losses[0], rel=0.02)
    assert losses[1] != losses[0]


def test_the_model_is_frozen(make_run):
    run = make_run([FRANCE])
    run._pass(run.rows, grad=True).loss.backward()
    assert all(parameter.grad is None for parameter in run.model.parameters())
    assert run.prompt.weight.grad.shape == (4, 576)


# the step


def test_optimiser_as_printed(make_run):
    run = make_run([FRANCE], preset="paper")
    assert isinstance(run.optimizer, torch.optim.AdamW)
    (group,) = run.optimizer.param_groups
    assert (group["betas"], group["eps"], group["weight_decay"]) == ((0.9, 0.98), 1e-8, 0.01)
    assert group["initial_lr"] == 5e-5
    assert [id(parameter) for parameter in group["params"]] == [id(run.prompt.weight)]


def test_schedule_as_printed(make_run):
    """Up over the first 10 % of 300 steps, then down to 0."""
    run = make_run([FRANCE], max_steps=300)
    (factor,) = run.schedule.lr_lambdas
    assert [factor(step) for step in (0, 15, 30, 165, 300)] == [0, 0.5, 1, 0.5, 0]


def test_learning_rates_of_a_run(toy_task, tiny_model):
    toy_task(SPIDER)
    record = quick(model=tiny_model, lr=1e-3, max_steps=10, stop_when_correct=False, answer_every=0)
    assert record.steps["lr"].tolist() == pytest.approx([0, *(1e-3 * left / 9 for left in range(9, 0, -1))])
    assert record.steps["step"].tolist() == list(range(1, 11))
    assert record.steps["cross_entropy"].nunique() == 9, "the first step, at rate 0, leaves the prompt as it is"


def test_one_step_of_adamw_by_hand(make_run):
    """The first step of Adam moves every entry by the rate against the gradient's sign; decay takes rate * 0.01."""
    run = make_run([FRANCE], lr=0.01, max_steps=2)
    start = run.prompt.weight.detach().clone()
    run._update(run._pass(run.rows, grad=True).loss)
    gradient = run.prompt.weight.grad
    expected = start * (1 - 0.01 * 0.01) - 0.01 * gradient / (gradient.abs() + 1e-8)
    assert_close(run.prompt.weight.detach(), expected, rtol=0, atol=1e-7)


def test_a_short_run_lowers_the_loss():
    record = quick(task="gsm-symbolic", sample_seed=58, n_tokens=8, lr=3e-3, max_steps=5, answer_every=0)
    losses = [*record.steps["cross_entropy"], record.results["final_cross_entropy"]]
    assert len(losses) == 6
    assert losses == sorted(losses, reverse=True)
    assert losses[0] - losses[-1] > 0.1
    assert record.rows == [load_task("gsm-symbolic", "train", limit=1, seed=58)[0].id]


# the regulariser


@pytest.mark.parametrize(("name", "weight"), [("tsloss", 50.0), ("tsloss-printed", 50.0), ("l2", 0.5)])
def test_the_gradient_of_the_regulariser_is_what_is_added(make_run, name, weight):
    run = make_run([FRANCE], regularizer=name, weight=weight, max_steps=2)
    prompt = run.prompt.weight.detach().clone().requires_grad_()
    reference = {"tsloss": TSLoss(50.0), "tsloss-printed": TSLoss(50.0, include_self=True), "l2": L2Penalty(0.5)}[name]
    penalty = reference(prompt)
    (of_penalty,) = torch.autograd.grad(penalty, prompt)
    outcome = run._pass(run.rows, grad=True)
    (of_loss,) = torch.autograd.grad(outcome.loss, run.prompt.weight, retain_graph=True)
    row = run._update(outcome.loss)
    assert_close(run.prompt.weight.grad, of_loss + of_penalty, rtol=1e-6, atol=1e-9)
    assert float(of_penalty.norm()) > 1e-3
    assert row["grad_norm_ce"] == pytest.approx(float(of_loss.norm()), rel=1e-5)
    assert row["grad_norm_reg"] == pytest.approx(float(of_penalty.norm()), rel=1e-5)
    cosine = float((of_loss * of_penalty).sum() / (of_loss.norm() * of_penalty.norm()))
    assert row["grad_cosine"] == pytest.approx(cosine, abs=1e-6)
    assert row["cross_entropy"] == pytest.approx(float(outcome.loss.detach()))
    assert row["regularizer"] == pytest.approx(float(penalty.detach()), rel=1e-6)


def test_l2_by_hand(make_run):
    """λ/n Σ ||x||² has the gradient 2λ/n x."""
    run = make_run([FRANCE], regularizer="l2", weight=3.0)
    norm = float(run.prompt.weight.detach().norm())
    row = run._update(run._pass(run.rows, grad=True).loss)
    assert row["l2"] == pytest.approx(norm**2 / 4, rel=1e-5)
    assert row["regularizer"] == pytest.approx(3 * norm**2 / 4, rel=1e-5)
    assert row["grad_norm_reg"] == pytest.approx(2 * 3 / 4 * norm, rel=1e-5)


def test_weight_scales_the_regulariser_alone(make_run):
    rows = []
    for weight in (1.0, 8.0):
        run = make_run([FRANCE], regularizer="tsloss", weight=weight)
        rows.append(run._update(run._pass(run.rows, grad=True).loss))
    one, eight = rows
    for name in ("regularizer", "grad_norm_reg"):
        assert eight[name] == pytest.approx(8 * one[name], rel=1e-5)
        assert one[name] > 0
    for name in ("cross_entropy", "h0", "repel", "attract", "delta", "zeta", "grad_norm_ce"):
        assert eight[name] == one[name]


def test_the_settings_of_tsloss_reach_it(make_run):
    options = {"tau": 0.5, "alpha": 3.0, "beta_h0": 0.25, "beta_h1": 2.0, "lambda_repel": 0.5, "lambda_attract": 4.0}
    run = make_run([FRANCE], regularizer="tsloss", weight=7.0, **options)
    values = run.prompt.weight.detach().clone()
    row = run._update(run._pass(run.rows, grad=True).loss)
    assert row["regularizer"] == pytest.approx(float(TSLoss(7.0, **options)(values)), rel=1e-6)
    assert row["regularizer"] != pytest.approx(float(TSLoss(7.0)(values)), rel=0.01)


def test_without_a_regulariser(make_run):
    run = make_run([FRANCE])
    row = run._update(run._pass(run.rows, grad=True).loss)
    assert (row["regularizer"], row["grad_norm_reg"]) == (0, 0)
    assert math.isnan(row["grad_cosine"])
    assert row["grad_norm_ce"] > 0


# a whole run


def same(first: pd.DataFrame, second: pd.DataFrame) -> bool:
    """Bit by bit, NaN at the same places; the time that steps took is left out."""
    frames = [frame.drop(columns="seconds", errors="ignore") for frame in (first, second)]
    return frames[0].equals(frames[1])


def test_the_same_config_gives_the_same_numbers(toy_task, tiny_model):
    toy_task(*ROWS)
    fields = {"model": tiny_model, "regularizer": "tsloss", "samples": 3, "batch_size": 2, "max_steps": 3}
    first, again, other = (quick(seed=seed, topology_every=1, answer_every=0, **fields) for seed in (0, 0, 1))
    assert first.steps.shape == (3, 15)
    for name in ("steps", "topology", "diagrams"):
        assert same(getattr(first, name), getattr(again, name)), name
        assert not same(getattr(first, name), getattr(other, name)), name
    assert list(first.prompts) == list(again.prompts) == [0, 1, 2, 3]
    for step, prompt in first.prompts.items():
        assert torch.equal(prompt, again.prompts[step])
        assert not torch.equal(prompt, other.prompts[step])
    assert first.rows == again.rows == other.rows


def test_samples_that_do_not_fill_their_batches(toy_task, smollm2_135m, monkeypatch):
    """Ten samples in batches of eight: eight and two, in an order that changes, and all ten are checked each time."""
    number = ["one", "two", "three", "four", "five", "six", "seven"]
    toy_task(KNOWN, ("Is the capital of France Paris?", "Certainly not"), FRUIT, *((f"Say {n}.", n) for n in number))
    sizes = []

    def note(run, rows, *, grad, once=_Run._pass):
        sizes.append(len(rows))
        return once(run, rows, grad=grad)

    monkeypatch.setattr(_Run, "_pass", note)
    record = quick(samples=10, max_steps=2, answer_every=0, topology_every=1)
    assert sizes == [8, 8, 2, 2, 8, 2, 8, 8, 2], "for each of three prompts: a batch, then all ten"
    assert len(set(record.rows)) == 10
    examples = {example.id: example for example in TASKS["toy"].load("train")}
    rows = [encode(smollm2_135m.tokenizer, examples[name]) for name in record.rows]
    run = _Run(record.config, *smollm2_135m, [], rows)
    alone, right = [], []
    for row in rows:
        with torch.no_grad():
            logits = run.model(inputs_embeds=embedded(run, row)).logits[0, -len(row.target) - 1 : -1]
        alone.append(logits.argmax(-1).tolist() == row.target)
        right += [guess == token for guess, token in zip(logits.argmax(-1).tolist(), row.target, strict=True)]
    assert 0 < sum(alone) < 10
    assert record.topology["exact"].iloc[0] == record.steps["exact"].iloc[0] == pytest.approx(sum(alone) / 10)
    assert 0.1 < sum(right) / len(right) < 0.9
    shares = record.topology["token_accuracy"].iloc[0], record.steps["token_accuracy"].iloc[0]
    assert shares == pytest.approx((sum(right) / len(right),) * 2)
    assert record.iterations_to_correct is None


def test_an_epoch_holds_each_sample_once(make_run):
    run = make_run([(f"Say {i}.", f"{i}") for i in range(10)], seed=5)
    targets = [tuple(row.target) for row in run.rows]
    epochs = []
    for _ in range(2):
        batches = [next(run.batches), next(run.batches)]
        assert [len(batch) for batch in batches] == [8, 2]
        epochs.append([tuple(row.target) for batch in batches for row in batch])
    assert sorted(epochs[0]) == sorted(epochs[1]) == sorted(targets)
    assert epochs[0] != epochs[1]


@PLACEMENTS
def test_exact_implies_that_greedy_decoding_reproduces_the_target(toy_task, smollm2_135m, placement):
    toy_task(FRANCE)
    record = quick(placement=placement, max_steps=20, answer_every=3, **EASY[placement])
    steps = record.iterations_to_correct
    assert record.status == "finished"
    assert 1 <= steps <= 15
    assert record.iterations_to_answer <= steps
    assert len(record.steps) == record.results["steps_done"] == steps
    assert record.steps["exact"].tolist() == [0] * steps, "a row tells of the prompt before its step"
    assert record.results["final_exact"] == record.topology["exact"].iloc[-1] == 1
    assert record.topology["step"].tolist() == [0, steps]
    run = _Run(record.config, *smollm2_135m, [], [encode(smollm2_135m.tokenizer, TASKS["toy"].load("train")[0])])
    (row,) = run.rows
    assert plain_greedy(run, row) != row.target
    with torch.no_grad():
        run.prompt.weight.copy_(record.prompts[steps])
    assert plain_greedy(run, row) == row.target
    loss = run._pass([row], grad=False).loss
    # as a suffix it was on top of the question's states
    assert record.results["final_cross_entropy"] == pytest.approx(
        float(loss), rel=1e-6 if placement == "prefix" else 1e-5
    )


def test_a_run_out_of_steps_is_censored(toy_task, tiny_model):
    toy_task(SPIDER)
    record = quick(model=tiny_model, max_steps=2)
    assert record.status == "finished"
    assert record.iterations_to_correct is None
    assert record.iterations_to_answer is None
    assert record.results["steps_done"] == len(record.steps) == 2
    assert record.results["final_exact"] == 0
    assert list(record.prompts) == [0, 2]


def test_a_sample_that_is_right_from_the_start_takes_no_step(toy_task):
    toy_task(KNOWN)
    record = quick(max_steps=3)
    assert (record.iterations_to_correct, record.iterations_to_answer) == (0, 0)
    assert record.steps.shape == (0, 1)
    assert record.results["steps_done"] == 0
    assert record.topology["step"].tolist() == [0]
    assert record.results["final_exact"] == 1


def test_a_run_that_does_not_stop_goes_on_to_max_steps(toy_task):
    toy_task(KNOWN)
    record = quick(max_steps=3, stop_when_correct=False, topology_every=2)
    assert (record.iterations_to_correct, record.iterations_to_answer) == (0, 0), "the first time counts"
    assert record.steps["step"].tolist() == [1, 2, 3]
    assert record.topology["step"].tolist() == [0, 2, 3]
    assert record.status == "finished"


def test_how_often_the_criteria_are_tested(toy_task, tiny_model, monkeypatch):
    """Each has a period of its own, and both are tested at the last step."""
    toy_task(SPIDER)
    decoded = []
    monkeypatch.setattr(_Run, "_answers_correct", lambda run, _seen: decoded.append(len(run.steps)))
    record = quick(model=tiny_model, max_steps=5, check_every=3, answer_every=2)
    assert decoded == [0, 2, 4, 5]
    assert record.steps["exact"].notna().tolist() == [True, False, False, True, False]
    assert record.steps["token_accuracy"].notna().tolist() == [True, False, False, True, False]
    assert record.topology["exact"].tolist() == [0, 0]


# replies


@PLACEMENTS
def test_replies_are_those_of_plain_greedy_decoding(make_run, placement):
    """Targets that a reply follows to its end, up to one other token in the middle, and not at all."""
    question = "What is the capital of Italy?" if placement == "prefix" else "Name a fruit."
    run = make_run([(prompt, "-") for prompt in (FRANCE[0], SPIDER[0], question)], placement=placement)
    replies = [plain_greedy(run, row) for row in run.rows]
    assert [reply[-1] for reply in replies] == [2, 2, 2], "all end by themselves"
    assert min(map(len, replies)) > 4
    targets = [replies[0], [*replies[1][:3], 30, *replies[1][4:]], [30, 2]]
    rows = [Encoded(row.question, target) for row, target in zip(run.rows, targets, strict=True)]
    matches = run._pass(rows, grad=False).matches
    own = matches[1, -len(targets[1]) :].tolist()
    assert own[:4] == [True, True, True, False]
    assert True in own[4:], "the argmax agrees again further on, which must not count"
    expected = [decode(run.tokenizer, reply) for reply in replies]
    assert run.replies(rows, matches) == expected
    assert [run.replies([row], run._pass([row], grad=False).matches)[0] for row in rows] == expected
    assert expected[0] != expected[1] != expected[2]


def test_a_reply_stays_within_the_context(tiny_gpt2, smollm2_135m):
    run = _Run(config(task="gsm-symbolic", max_new_tokens=64), tiny_gpt2, smollm2_135m.tokenizer, [], [])
    (ids,) = generate(tiny_gpt2, run.tokenizer, run.prompt, [Encoded([9] * 10, [11, 12])], max_new_tokens=64)
    assert len(ids) == 24 - (4 + 10 + 2)


def test_a_reply_stays_within_the_context_of_its_run(make_tiny_run):
    sizes = [len(row.question) + len(row.target) for row in make_tiny_run(ROWS).rows]
    limit = 4 + max(sizes) + 2
    run = make_tiny_run(ROWS, max_new_tokens=64, max_context=limit)
    matches = run._pass(run.rows, grad=False).matches
    assert not any(match[-len(row.target)] for match, row in zip(matches, run.rows, strict=True)), "they part at once"
    expected = []
    for row in run.rows:
        longest = limit - 4 - len(row.question)
        assert longest < 64
        inputs = embedded(run, Encoded(row.question, []))
        ids = run.model.generate(inputs_embeds=inputs, do_sample=False, max_new_tokens=longest, pad_token_id=2)
        assert ids.shape == (1, longest)
        expected.append(decode(run.tokenizer, ids[0].tolist()))
    assert run.replies(run.rows, matches) == expected


def test_an_end_of_turn_has_no_part_in_a_reply(smollm2_135m, named_end, toy_task):
    """Whether the reply is the target to its end, parts from it, or its tokens go on past an end."""
    said = plain_greedy(maker(smollm2_135m, toy_task)([KNOWN]), encode(smollm2_135m.tokenizer, KNOWN_EXAMPLE))
    assert said[-1] == 2
    run = maker(LoadedModel(smollm2_135m.model, named_end), toy_task)([KNOWN])
    assert run.rows[0].target[-1] == 2
    assert decode(named_end, run.rows[0].target) == "The capital of France is Paris.<|im_end|>"
    assert run._answers_correct(None)
    targets = [said, [*said[:3], 30, 2], [*said, 30, 2]]
    for target in targets:
        rows = [Encoded(run.rows[0].question, target)]
        assert run.replies(rows, run._pass(rows, grad=False).matches) == [KNOWN[1]]


# runs that end early


class Stops:
    """A regulariser that is interrupted at its third call, as by Ctrl-C."""

    def __init__(self, weight, **_options):
        self.calls, self.penalty = 0, L2Penalty(weight)

    def __call__(self, prompt):
        self.calls += 1
        if self.calls == 3:
            raise KeyboardInterrupt
        return self.penalty(prompt)

    def terms(self, prompt):
        return self.penalty.terms(prompt)


def test_an_interrupted_run_keeps_what_was_measured(toy_task, tiny_model, monkeypatch, own_cache, tmp_path):
    toy_task(SPIDER)
    monkeypatch.setitem(REGULARIZERS, "l2", Stops)
    record = quick(model=tiny_model, regularizer="l2", max_steps=9)
    assert record.status == "interrupted"
    assert record.steps["step"].tolist() == [1, 2]
    assert (record.iterations_to_correct, record.iterations_to_answer) == (None, None)
    assert record.results.keys() == {"steps_done", "seconds"}
    store = RunStore(tmp_path / "runs")
    store.save(record)
    back = store.get(record.config)
    assert back.status == "interrupted"
    assert back.steps["cross_entropy"].tolist() == pytest.approx(record.steps["cross_entropy"].tolist())
    assert torch.equal(back.prompts[0], record.prompts[0])


def test_interrupted_before_the_first_step(toy_task, monkeypatch, own_cache, tmp_path):
    def stop(*_arguments, **_options):
        raise KeyboardInterrupt

    toy_task(SPIDER)
    monkeypatch.setattr(_Run, "_pass", stop)
    record = quick()
    assert record.status == "interrupted"
    store = RunStore(tmp_path / "runs")
    store.save(record)
    assert [len(getattr(store.get(record.config), name)) for name in ("steps", "topology", "diagrams")] == [0, 0, 0]


@pytest.mark.parametrize("lr", [1e12, 1e18, 1e22, 1e30])
@pytest.mark.parametrize("method", ["prompt-tuning", "p-tuning", "p-tuning-v2"])
def test_a_learning_rate_far_too_large_diverges(toy_task, tiny_model, own_cache, tmp_path, lr, method):
    """Also where the prompt is finite and its distances are not, at which no topology can be computed."""
    toy_task(SPIDER)
    record = quick(model=tiny_model, lr=lr, max_steps=5, topology_every=1, regularizer="tsloss", method=method)
    assert record.status == "diverged"
    assert 1 <= len(record.steps) < 5
    assert (record.iterations_to_correct, record.iterations_to_answer) == (None, None)
    store = RunStore(tmp_path / "runs")
    store.save(record)
    assert store.get(record.config).status == "diverged"
    assert store.table()["iterations_to_correct"].isna().tolist() == [True]


def test_a_prompt_of_nan_diverges_at_once(toy_task, monkeypatch, own_cache, tmp_path):
    toy_task(SPIDER)
    monkeypatch.setitem(INITIALIZERS, "gaussian", lambda *_: torch.full((4, 576), math.nan))
    record = quick(max_steps=5)
    assert record.status == "diverged"
    assert len(record.steps) == 0
    store = RunStore(tmp_path / "runs")
    store.save(record)
    assert store.get(record.config).status == "diverged"


# what cannot be run


def test_a_prompt_longer_than_the_context(toy_task):
    toy_task(FRANCE)
    with pytest.raises(InputError, match=r"example toy/train/0 needs 8231 positions \(8192 virtual tokens.*has 8192"):
        quick(n_tokens=8192)


def test_more_samples_than_rows(toy_task):
    toy_task(*ROWS)
    with pytest.raises(InputError, match="limit 4 is more than the 3 rows of toy train"):
        quick(samples=4)


@pytest.mark.parametrize(
    ("device", "message"),
    [("abacus", "device 'abacus' is unknown: give auto or"), ("cuda:99", "device 'cuda:99' is not on this machine")],
)
def test_a_device_that_is_not_there(toy_task, device, message):
    toy_task(FRANCE)
    with pytest.raises(InputError, match=message):
        quick(device=device)


def test_progress_is_told_on_stderr(toy_task, capsys):
    toy_task(KNOWN)
    tune(config(max_steps=2, stop_when_correct=False, answer_every=0))
    out, err = capsys.readouterr()
    assert out == ""
    assert "toy none sample 0 seed 0" in err
    assert "2/2" in err
    assert "correct=100%" in err


def test_the_model_is_loaded_once(toy_task, smollm2_135m):
    toy_task(KNOWN)
    models.shared_model("smollm2-135m", "cpu", "float32")  # that of another test may have taken its place
    before = models._shared.cache_info()
    quick(max_steps=1)
    after = models._shared.cache_info()
    assert (after.hits, after.misses) == (before.hits + 1, before.misses)
