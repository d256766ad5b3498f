"""What a step costs: rows of a size, PEFT's steps and ours in turn, operations, memory."""

import math
import time

import pytest
import torch
from made_models import keep_first_layers

from tslib.config import TuneConfig
from tslib.errors import InputError, ResourceError
from tslib.models import loading as models
from tslib.prompts.encoding import encode
from tslib.study.bench import cost
from tslib.study.bench.cost import Setting, alternate, flops, matrix_rate, peak_memory, profile, repeat, spread
from tslib.tasks import load_task

SMALL = Setting(batch=2, question=45, answer=4)
# the Trainer asks a property of the model that transformers is about to rename
TRAINER = pytest.mark.filterwarnings("ignore:`is_gradient_checkpointing` is deprecated:FutureWarning")


@pytest.fixture(scope="module")
def first_layers(tmp_path_factory):
    """A folder with six layers of the embedded model, which have its weights and take a third of its time."""
    model, tokenizer = models.load_model("smollm2-135m", device="cpu", dtype="float32")
    keep_first_layers(model)
    folder = tmp_path_factory.mktemp("layers")
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return str(folder)


@pytest.mark.parametrize(("batch", "question", "answer"), [(8, 60, 60), (1, 1024, 8), (2, 40, 1)])
def test_rows_have_the_size_and_the_template(smollm2_135m, batch, question, answer):
    rows = Setting(batch=batch, question=question, answer=answer).rows(smollm2_135m.tokenizer)
    assert [(len(row.question), len(row.target)) for row in rows] == [(question, answer)] * batch
    real = encode(smollm2_135m.tokenizer, load_task("gsm-symbolic", "train", limit=1)[0])
    for row in rows:
        assert row.question[:24] == real.question[:24]
        assert row.question[-5:] == real.question[-5:]
        assert row.target[-1] == real.target[-1]
    assert rows[0].question[:30] == real.question[:30]
    assert len({tuple(row.question) for row in rows}) == batch


def test_rows_that_share_nothing(smollm2_135m):
    rows = Setting(batch=3, question=20, answer=4, alike=False).rows(smollm2_135m.tokenizer)
    assert [(len(row.question), len(row.target)) for row in rows] == [(20, 4)] * 3
    assert len({row.question[0] for row in rows}) == 3
    assert str(Setting(alike=False)).endswith("8 × (60 + 60), float32, rows that share nothing")


def test_a_question_too_short_for_the_template(smollm2_135m):
    with pytest.raises(InputError, match=r"a question of 20 tokens and an answer of 4: give more than \d\d"):
        Setting(question=20, answer=4).rows(smollm2_135m.tokenizer)


@TRAINER
def test_ways_take_turns_and_begin_alike(smollm2_135m, monkeypatch):
    order = []
    once = cost.step

    def step(run):
        order.append(run.config.placement)
        return once(run)

    monkeypatch.setattr(cost, "step", step)
    rounds = []
    done = alternate(SMALL, 4, device="cpu", lr=5e-5, on_step=lambda: rounds.append(len(order)))
    assert order == ["prefix", "suffix"] * 4
    assert rounds == [2, 4, 6, 8]
    for steps in done.values():
        assert len(steps.seconds) == len(steps.losses) == 4
        assert min(steps.seconds) > 0
    assert done["prefix"].losses == pytest.approx(done["peft"].losses, rel=1e-4)
    assert len(set(done["peft"].losses)) == 4, "it is trained"
    assert abs(done["suffix"].losses[0] - done["prefix"].losses[0]) > 1e-2
    assert not smollm2_135m.model.training


@TRAINER
def test_losses_are_those_of_peft_over_twenty_steps(first_layers):
    done = alternate(
        Setting(model=first_layers, batch=2, question=32, answer=6), 20, ("peft", "prefix"), device="cpu", lr=5e-5
    )
    assert done["prefix"].losses == pytest.approx(done["peft"].losses, rel=1e-4)
    assert done["peft"].losses[-1] < (1 - 1e-3) * done["peft"].losses[0], "it is trained"


def test_ours_alone():
    done = alternate(SMALL, 2, ["suffix"], device="cpu")
    assert [len(steps.losses) for steps in done.values()] == [2]


@TRAINER
def test_further_settings_and_the_task(tiny_model, monkeypatch):
    """Ours are as asked, and PEFT's starts from the same prompt at the same rate."""
    seen, once = [], cost.step
    monkeypatch.setattr(cost, "step", lambda run: (seen.append(run), once(run))[1])
    like = TuneConfig(task="two-hop", lr=0.011, init="vocabulary", seed=3)
    setting = Setting(model=tiny_model, batch=1, question=50, answer=4, n_tokens=7)
    done = alternate(setting, 2, ("peft", "prefix"), device="cpu", like=like)
    run = seen[0]
    assert (run.config.n_tokens, run.config.lr, run.config.init, run.config.seed) == (7, 0.011, "vocabulary", 3)
    assert "with the help of the passages" in run.tokenizer.decode(run.rows[0].question)
    assert done["peft"].losses == pytest.approx(done["prefix"].losses, rel=1e-4)


def test_unknown_ways():
    with pytest.raises(InputError, match=r"unknown ways \['infix'\]: give some of peft, prefix, suffix"):
        alternate(SMALL, 1, ["prefix", "infix"])


def test_operations_by_hand():
    """30 layers of 576² twice (q, o), 576 · 192 twice (k, v) and 576 · 1536 three times; 49,152 tokens."""
    layers = 30 * (2 * 576 * 576 + 2 * 576 * 192 + 3 * 576 * 1536)
    assert flops(Setting()) == 4 * (layers * 8 * 140 + 49_152 * 576 * 8 * 60)
    assert flops(Setting()) == pytest.approx(0.53e12, rel=0.001)


def test_spread_by_hand():
    assert spread([3.0]) == (3.0, 3.0, 3.0)
    assert spread(map(float, range(11))) == (5.0, 1.0, 9.0)


def test_repeat_leaves_the_first_call_out(monkeypatch):
    """By a clock on which the first call takes 8 s, and each of the others twice as long as the one before it."""
    now, takes = [0.0], [8.0, 1.0, 2.0, 4.0]
    monkeypatch.setattr(time, "perf_counter", lambda: now[0])

    def call():
        now[0] += takes.pop(0)

    assert repeat(call, 3) == [1.0, 2.0, 4.0]
    assert takes == []


def test_a_rate_is_that_of_a_product():
    """Of a small product, against its own time taken here; a factor of ten is left for a busy machine."""
    one = torch.randn(256, 256)
    best = min(repeat(lambda: one @ one, 10))
    assert 0.1 < matrix_rate("float32", 256, 10) / (2 * 256**3 / best) < 10


@pytest.mark.parametrize("placement", ["prefix", "suffix"])
def test_where_a_step_goes(placement):
    spent = profile(SMALL, placement)
    assert set(spent) == {"products", "attention", "rest"}
    assert all(seconds > 0 for seconds in spent.values())
    assert spent["products"] > spent["attention"]


def test_memory_above_the_model(first_layers):
    """Twice the rows take up to twice the memory; PEFT keeps the logits of all positions."""
    few, many = (Setting(model=first_layers, batch=batch, question=40, answer=20) for batch in (1, 2))
    one, two = (peak_memory(setting, "prefix") for setting in (few, many))
    assert 1.1 * one < two < 2.2 * one
    logits = 2 * 80 * 49_152 * 4
    assert peak_memory(many, "peft") > two + logits


def test_a_process_that_fails_says_why():
    with pytest.raises(ResourceError, match=r"peak of .* failed: .*unknown model 'gpt-9'"):
        peak_memory(Setting(model="gpt-9"), "prefix")


def test_memory_of_tsloss_grows_with_the_pairs():
    small, large = (cost.peak_of_tsloss(n, 8) for n in (1000, 2000))
    assert 8 * 1000**2 < small < large < 5 * small + 2**25
    assert not math.isnan(large)
