"""Pictures in a model, and prompts tied to their places: against the package, static prompts, and differences."""

import dataclasses
import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import entmax
import pandas as pd
import pytest
import torch
from made_sights import MadeSight
from pydantic import ValidationError
from torch.testing import assert_close

from tslib.config import EvalConfig, TuneConfig
from tslib.errors import InputError
from tslib.interop.adapters import save_adapter
from tslib.losses.baselines import L2Penalty
from tslib.losses.registry import REGULARIZERS
from tslib.losses.tsloss import TSLoss
from tslib.models import loading as models
from tslib.prompts.encoding import Encoded, encode
from tslib.prompts.forward import forward
from tslib.prompts.methods import start
from tslib.prompts.soft_prompt import SoftPrompt
from tslib.records.checkpoints import Checkpoint
from tslib.records.files import TABLES
from tslib.runs.evaluation import EvaluationStore, evaluate, of_run
from tslib.runs.store import RunStore
from tslib.tasks import TASKS, Example, Reading, Task
from tslib.tasks.base import made
from tslib.tuning.loop import tune
from tslib.tuning.optimizer import add_gradient
from tslib.vision import sight as sights
from tslib.vision.conditional import ConditionalPrompt
from tslib.vision.gates import MEASURES
from tslib.vision.grasp import GraspPrompt, block_positions, gate, known_blocks
from tslib.vision.projector import Projector
from tslib.vision.sight import Pair, Sight, opened

YES_NO = "Answer yes or no."
ASKED = (("Is there water?", "yes", 0), ("Is there a road?", "no", 0), ("Is there water?", "no", 1))
EXAMPLES = [
    Example(f"toy/train/presence/{i}", f"{asked}\n{YES_NO}", said, said, ("yes", "no"), f"aerial-scenes/a/{picture}")
    for i, (asked, said, picture) in enumerate(ASKED)
]
QUARTER = "Is there a field in the lower left quarter of the picture?"


class Pictured(Task):
    """Three questions about two pictures."""

    name, title, licence, source = "toy", "Toy", "CC0-1.0", "the test itself"
    splits = ("train", "test")

    def read(self, split: str) -> Reading:
        return made(dataclasses.replace(row, id=row.id.replace("train", split)) for row in EXAMPLES)

    def key(self, example: Example) -> str:
        return example.id

    def extract(self, text: str) -> str | None:
        return text

    def score(self, text: str, example: Example) -> float:
        return float(text == example.answer)


@pytest.fixture
def fast_encoder(monkeypatch) -> None:
    """What an encoder sees, drawn at random from a picture's name: these tests are not about what it sees."""

    def grids(pictures, _encoder="vit-s14", **_):
        drawn = [torch.Generator().manual_seed(len(name) + 7 * int(name[-1])) for name in pictures]
        return torch.stack([torch.randn(16, 16, 384, generator=own).half() for own in drawn])

    monkeypatch.setattr(sights, "grids", grids)


@pytest.fixture
def tiny(tiny_model):
    """The tiny model and its tokenizer."""
    return models.shared_model(tiny_model, "cpu", "float32")


@pytest.fixture
def projector_file(tmp_path) -> str:
    """A projector for the tiny model, as a config names it."""
    torch.manual_seed(1)
    path = tmp_path / "projector.safetensors"
    Projector(384, 16).save(path, {"kind": "drawn"})
    return str(path)


@contextmanager
def looking(loaded, *, slots: int = 0, after: bool = False) -> Iterator[tuple[Sight, list[Encoded]]]:
    torch.manual_seed(1)
    projector = Projector(384, loaded.model.get_input_embeddings().weight.shape[1]).requires_grad_(False)
    sight = Sight(loaded.model, loaded.tokenizer, projector, slots=slots, after=after)
    sight.look(EXAMPLES)
    with opened(sight):
        yield sight, sight.put([encode(loaded.tokenizer, example) for example in EXAMPLES], EXAMPLES)


def config(**fields) -> TuneConfig:
    return TuneConfig(
        **{"method": "grasp", "task": "aerial-scenes", "n_tokens": 3, "gate_width": 8, "device": "cpu"} | fields
    )


def drawn(shape, seed=0):
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize(("name", "alpha"), [("softmax", 1.0), ("entmax15", 1.5), ("sparsemax", 2.0)])
def test_gates_are_entmax_of_their_alpha(name, alpha):
    scores = 2 * drawn((50, 16)).double()
    weights = gate(name, scores)
    expected = torch.softmax(scores, -1) if alpha == 1 else entmax.entmax_bisect(scores, alpha=alpha, dim=-1, n_iter=80)
    assert_close(weights, expected, atol=1e-9, rtol=1e-9)
    assert_close(weights.sum(-1), torch.ones(50, dtype=torch.float64))
    assert bool((weights == 0).any()) == (alpha > 1)
    # zeros are exactly where the definition has them: w_i = max(0, (α - 1) s_i - τ)^(1 / (α - 1))
    if alpha == 1.5:
        tau = ((scores / 2) - weights.sqrt())[weights > 0]
        assert tau.std() > 0
        for own, found in zip(scores / 2, weights, strict=True):
            threshold = (own - found.sqrt())[found > 0].mean()
            assert_close(found, (own - threshold).clamp_min(0).square(), atol=1e-9, rtol=1e-7)


def test_top1_takes_the_best_and_learns_as_softmax():
    scores = drawn((4, 16)).double().requires_grad_()
    weights = gate("top1", scores)
    assert_close(weights.detach(), torch.nn.functional.one_hot(scores.argmax(-1), 16).double(), atol=1e-12, rtol=0)
    values = drawn((4, 16), 1).double()
    (found,) = torch.autograd.grad((weights * values).sum(), scores)
    (expected,) = torch.autograd.grad((torch.softmax(scores, -1) * values).sum(), scores)
    assert_close(found, expected)


def test_known_blocks_are_those_of_the_quarter():
    weights = known_blocks(QUARTER, 16).view(4, 4)
    assert weights[2:, :2].tolist() == [[0.25, 0.25], [0.25, 0.25]]
    assert float(weights.sum()) == 1
    assert known_blocks(QUARTER, 4).tolist() == [0, 0, 1, 0]
    assert known_blocks(QUARTER, 1).tolist() == [1]
    assert known_blocks("Is there a field in the picture?", 4).tolist() == [0.25] * 4


def test_positions_tell_rows_and_columns():
    found = block_positions(16, 20).view(4, 4, 20)
    assert_close(found[2, 0, :10], found[2, 3, :10])  # the first half says the row
    assert_close(found[0, 1, 10:], found[3, 1, 10:])
    assert torch.cdist(found.flatten(0, 1), found.flatten(0, 1)).fill_diagonal_(9).min() > 0.1
    assert block_positions(4, 7).shape == (4, 7)
    assert_close(found[1, 0, :5], (10000 ** -(torch.arange(5) / 5)).sin())


@pytest.mark.usefixtures("fast_encoder")
def test_pictures_stand_where_their_ids_are(tiny):
    embed = tiny.model.get_input_embeddings()
    words = torch.tensor([[5, 9, 300]])
    plain = embed(words)
    with looking(tiny) as (sight, rows):
        assert torch.equal(embed(words), plain)
        ids = torch.tensor(rows[2].question)
        found = embed(ids)
        assert torch.equal(found[64:], embed(ids[64:]))
        cells = sights.grids(["aerial-scenes/a/1"])[0].float().view(8, 2, 8, 2, 384).mean((1, 3))
        assert_close(found[:64], sight.projector(cells.view(1, 64, 384))[0], atol=1e-5, rtol=1e-5)
        assert rows[0].question[:64] == rows[1].question[:64], "one picture, one set of ids"
        assert rows[0].question[64:] == encode(tiny.tokenizer, EXAMPLES[0]).question
    assert "forward" not in vars(embed)
    with pytest.raises(IndexError):
        embed(ids)


@pytest.mark.usefixtures("fast_encoder")
@pytest.mark.parametrize("after", [False, True])
def test_slots_stand_before_or_behind_the_picture(tiny, after):
    with looking(tiny, slots=3, after=after) as (sight, rows):
        values = drawn((12, 16))
        place = "after-picture" if after else "before-picture"
        prompt = GraspPrompt(values, config(gate="uniform", prompt_place=place), sight)
        found = tiny.model.get_input_embeddings()(torch.tensor(rows[1].question))
        assert_close(found[64:67] if after else found[:3], values.view(4, 3, 16).mean(0))
        assert_close(found[:64] if after else found[3:67], sight.pictures(torch.tensor([0]))[0])
        assert sight.pairs_of(rows) == [0, 1, 2]
        assert prompt.n_tokens == prompt.inside == 0


def static(loaded, values):
    """Loss and gradient of a static prompt before the picture."""
    prompt = SoftPrompt(values)
    with looking(loaded) as (_, rows):
        outcome = forward(loaded.model, prompt, rows, grad=True)
        outcome.loss.backward()
    return outcome, prompt.weight.grad


def guided(loaded, values, way=None, **fields):
    """The same of a bank, and its prompt."""
    with looking(loaded, slots=3, after=fields.get("prompt_place") == "after-picture") as (sight, rows):
        prompt = GraspPrompt(values, config(**fields), sight)
        outcome = forward(loaded.model, prompt, rows, grad=True, way=way)
        outcome.loss.backward()
    return outcome, prompt


@pytest.mark.usefixtures("fast_encoder")
@pytest.mark.parametrize("way", ["packed", "padded", "alone"])
@pytest.mark.parametrize(
    "fields", [{"gate": "uniform", "blocks": 4}, {"gate": "uniform", "blocks": 16}, {"blocks": 1}], ids=str
)
def test_uniform_weights_and_one_block_are_static_prompt_tuning(tiny, fields, way):
    blocks = fields["blocks"]
    values = drawn((blocks * 3, 16))
    expected, gradient = static(tiny, values.view(blocks, 3, 16).mean(0))
    outcome, prompt = guided(tiny, values, way, **fields)
    assert_close(outcome.loss, expected.loss, rtol=1e-5, atol=0)
    assert torch.equal(outcome.matches, expected.matches)
    for block in prompt.weight.grad.view(blocks, 3, 16):
        assert_close(blocks * block, gradient, rtol=1e-3, atol=1e-3 * float(gradient.abs().max()))
    if not fields.get("gate"):  # of one block there is nothing to choose
        assert float(prompt.keys.grad.abs().max()) == float(prompt.queries.grad.abs().max()) == 0


def test_one_step_moves_scores_by_as_little_whatever_the_width():
    moved = []
    for width in (16, 1024):
        sight = MadeSight({"p": drawn((64, width), 1)}, {"q": drawn((width,), 2)})
        prompt = GraspPrompt(drawn((12, width)), config(gate="softmax"), sight)
        (before,) = prompt.scores([Pair("p", "q")]).detach()
        (prompt.weights([Pair("p", "q")])[0, 0]).log().backward()
        torch.optim.Adam([prompt.keys, prompt.queries], 0.03).step()
        moved.append(float((prompt.scores([Pair("p", "q")])[0].detach() - before).abs().max()))
        assert before.std() > 0.1
    # by no more than 0.03 √h · 2 times what keys and queries measure, which is 1; as much for each width
    assert all(0.02 < change < 0.5 for change in moved)


@pytest.mark.usefixtures("fast_encoder")
@pytest.mark.parametrize("way", ["packed", "alone"])
def test_a_prompt_that_the_picture_shifts(tiny, way):
    values = drawn((3, 16))
    expected, gradient = static(tiny, values)
    with looking(tiny, slots=3) as (sight, rows):
        prompt = ConditionalPrompt(values, config(method="cocoop", gate_width=128, seed=2), sight)
        outcome = forward(tiny.model, prompt, rows, grad=True, way=way)
        outcome.loss.backward()
        # it begins as the static prompt, and its network is a sixteenth as wide as a token
        assert_close(outcome.loss, expected.loss, rtol=1e-5, atol=0)
        assert_close(prompt.weight.grad, gradient, rtol=1e-3, atol=1e-6)
        assert (prompt.down.shape, prompt.up.shape) == ((1, 16), (16, 1))
        assert float(prompt.down.grad.abs().max()) == 0 < float(prompt.up.grad.abs().max())
        with torch.no_grad():
            prompt.up += 3
            one, same, other = prompt.fuse([0, 1, 2])
        # by hand: the mean of the picture's 64 tokens, of length √16; one hidden number
        seen = sight.pictures(torch.tensor([0]))[0].mean(0)
        hidden = max(0.0, float(prompt.down[0].detach() @ seen) / float(seen.norm()) * 4 / 16)
        assert_close(one, values + 3 * hidden)
        assert torch.equal(one, same), "another question about the same picture"
        assert not torch.equal(one, other)


@pytest.mark.usefixtures("fast_encoder")
@pytest.mark.parametrize("place", ["before-picture", "after-picture"])
@pytest.mark.parametrize("name", ["entmax15", "softmax", "known", "random"])
def test_ways_through_the_model_agree(tiny, name, place):
    values = drawn((12, 16))
    (one, first), (other, second) = (
        guided(tiny, values, way, gate=name, prompt_place=place) for way in ("packed", "alone")
    )
    assert_close(one.loss, other.loss, rtol=1e-5, atol=0)
    assert_close(first.weight.grad, second.weight.grad, rtol=1e-3, atol=1e-6)


@pytest.mark.usefixtures("fast_encoder")
@pytest.mark.parametrize(
    "fields",
    [
        {},
        {"gate": "softmax"},
        {"gate": "sparsemax"},
        {"gate": "random"},
        {"gate_queries": "constant"},
        {"gate_keys": "position"},
        {"gate_keys": "content", "blocks": 16},
    ],
    ids=str,
)
def test_the_gradient_of_the_gate_against_differences(tiny, fields):
    with looking(tiny, slots=3) as (sight, _):
        asked = config(**fields)
        prompt = GraspPrompt(drawn((asked.blocks * 3, 16)), asked, sight).double()
        sight.tokens, sight.projector = sight.tokens.double(), sight.projector.double()
        sight.asked = {words: value.double() for words, value in sight.asked.items()}
        target = drawn((3, 3, 16), 5).double()

        def loss() -> torch.Tensor:
            return (prompt.fuse([0, 1, 2]) - target).square().sum()

        gradients = torch.autograd.grad(loss(), list(prompt.parameters()))
        generator, little = torch.Generator().manual_seed(3), 1e-6
        for parameter, gradient in zip(prompt.parameters(), gradients, strict=True):
            for place in torch.randint(parameter.numel(), (6,), generator=generator).tolist():
                with torch.no_grad():
                    flat = parameter.view(-1)
                    flat[place] += little
                    above = loss()
                    flat[place] -= 2 * little
                    below = loss()
                    flat[place] += little
                expected = float((above - below) / (2 * little))
                assert float(gradient.view(-1)[place]) == pytest.approx(expected, rel=1e-5, abs=1e-7)


@pytest.mark.usefixtures("fast_encoder")
def test_the_gradient_of_the_scores_vanishes_with_equal_prototypes(tiny):
    values = drawn((3, 16)).repeat(4, 1)
    _, prompt = guided(tiny, values)
    assert float(prompt.keys.grad.abs().max()) < 1e-7
    _, apart = guided(tiny, drawn((12, 16)))
    assert float(apart.keys.grad.abs().max()) > 1e-6


@pytest.mark.usefixtures("fast_encoder")
def test_weights_depend_on_what_they_are_said_to(tiny):
    pairs = [Pair(example.picture, example.prompt.partition("\n")[0]) for example in EXAMPLES]
    with looking(tiny, slots=3) as (sight, _):

        def weights(**fields):
            return GraspPrompt(drawn((12, 16)), config(gate="softmax", **fields), sight).weights(pairs).detach()

        both = weights()
        assert (both[0] - both[1]).abs().max() > 1e-4, "another question"
        assert (both[0] - both[2]).abs().max() > 1e-4, "another picture"
        places = weights(gate_keys="position")
        assert_close(places[0], places[2])
        constant = weights(gate_queries="constant")
        assert_close(constant[0], constant[1])
        sparse = GraspPrompt(drawn((12, 16)), config(), sight).weights(pairs)
        chance = GraspPrompt(drawn((12, 16)), config(gate="random"), sight).weights(pairs)
        assert_close(chance.sort(-1).values, sparse.sort(-1).values)
        assert not torch.equal(chance, sparse)


@pytest.mark.usefixtures("fast_encoder")
def test_tsloss_on_the_bank_on_regions_and_on_what_is_fused(tiny):
    values, loss = drawn((12, 16)), TSLoss(0.7)
    with looking(tiny, slots=3) as (sight, rows):
        bank = GraspPrompt(values, config(), sight)
        assert torch.equal(loss(bank.cloud(rows)), loss(values))
        regions = GraspPrompt(values, config(regularized="regions"), sight)
        expected = torch.stack([loss(block) for block in values.view(4, 3, 16)]).mean()
        assert_close(loss(regions.cloud(rows)), expected)
        fused = GraspPrompt(values, config(regularized="fused"), sight)
        assert fused.cloud(rows[1:]).shape == (2, 3, 16)
        assert_close(loss(fused.cloud(rows)), loss(fused.fuse([0, 1, 2])))
        for prompt, reaches in ((bank, False), (regions, False), (fused, True)):
            for parameter in prompt.parameters():
                parameter.grad = torch.ones_like(parameter)
            gradient = add_gradient(prompt, loss(prompt.cloud(rows)))
            assert_close(prompt.weight.grad, 1 + gradient)
            assert bool((prompt.keys.grad != 1).any()) == reaches, "only fused prompts depend on the gate"


@pytest.mark.usefixtures("fast_encoder")
def test_the_start_is_that_of_a_longer_prompt(tiny):
    for init in ("gaussian", "vocabulary"):
        with looking(tiny, slots=3):
            trained = start(config(init=init, seed=4), *tiny)
        plain = TuneConfig(n_tokens=12, init=init, seed=4, device="cpu")
        assert torch.equal(trained.prompt.weight, SoftPrompt.from_config(plain, *tiny).weight)
        assert list(trained.parameters) == ["weight", "keys", "queries"]
    with looking(tiny, slots=3):
        assert list(start(config(gate="uniform"), *tiny).parameters) == ["weight"]
        assert list(start(config(gate_queries="constant"), *tiny).parameters) == [
            "weight",
            "keys",
            "queries",
            "constant",
        ]


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        (
            {"method": "cocoop", "gate": "softmax", "gate_width": 128},
            "gate=softmax is for method=grasp; given method=cocoop",
        ),
        (
            {"method": "prompt-tuning", "blocks": 16},
            "blocks=16 is for method=grasp; given method=prompt-tuning",
        ),
        ({"placement": "suffix"}, "stands beside the picture: placement is prefix"),
        ({"prompt_scale": "sqrt_d"}, "puts what it fuses among the embedded tokens: prompt_scale is none"),
        ({"init": "text"}, "init is one of gaussian, embedding-gaussian, vocabulary; given text"),
        ({"prompt_dtype": "float16"}, "is trained in float32"),
        ({"blocks": 9}, "blocks=9"),
        ({"gate": "entmax"}, "gate='entmax'"),
    ],
)
def test_what_does_not_go_together(fields, message):
    from tslib.config import explain

    with pytest.raises(ValidationError) as caught:
        config(**fields)
    assert message in explain(caught.value)


def test_old_hashes_are_as_they_were():
    assert TuneConfig(regularizer="tsloss", max_steps=20).hash == "ae59cc905580"


@pytest.fixture
def toy(monkeypatch, fast_encoder, own_cache, tiny_model, projector_file, without_type_checks):
    """Make configs of runs of the tiny model on three questions about pictures."""
    monkeypatch.setitem(TASKS, "toy", Pictured())
    fixed = {"task": "toy", "model": tiny_model, "projector": projector_file, "samples": 3, "max_steps": 6, "lr": 0.05}
    fixed |= {"topology_every": 2, "answer_every": 3, "max_new_tokens": 4, "stop_when_correct": False}
    return lambda **fields: config(**fixed | {"regularizer": "l2"} | fields)


class StopsAt(L2Penalty):
    """A regulariser that interrupts its own process at some call."""

    calls, at = 0, -1

    def __call__(self, prompt):
        StopsAt.calls += 1
        if StopsAt.calls == StopsAt.at:
            os.kill(os.getpid(), signal.SIGTERM)
        return super().__call__(prompt)


@pytest.mark.parametrize(
    "fields", [{}, {"regularized": "fused", "gate": "softmax"}, {"batch_size": 2, "gate_queries": "constant"}], ids=str
)
def test_a_run_goes_on_with_the_same_bits(toy, tmp_path, monkeypatch, fields):
    monkeypatch.setitem(REGULARIZERS, "l2", lambda weight, **_: StopsAt(weight))
    asked = toy(**fields)
    StopsAt.at = -1
    undisturbed = tune(asked, progress=False)
    StopsAt.calls, StopsAt.at = 0, 4
    first = tune(asked, progress=False, checkpoint=Checkpoint(tmp_path / "state", asked))
    assert (first.status, len(first.steps)) == ("interrupted", 4)
    StopsAt.at = -1
    second = tune(asked, progress=False, checkpoint=Checkpoint(tmp_path / "state", asked))
    assert second.environment["resumed"] == 1
    for name in TABLES:
        tables = [getattr(record, name).drop(columns="seconds", errors="ignore") for record in (undisturbed, second)]
        pd.testing.assert_frame_equal(*tables, check_exact=True)
    for name in ("prompts", "beside"):
        one, other = getattr(undisturbed, name), getattr(second, name)
        assert sorted(one) == sorted(other)
        assert all(torch.equal(one[key], other[key]) for key in one)
    assert not torch.equal(second.beside["0/keys"], second.beside["6/keys"]), "the gate is trained"


def test_a_state_of_another_projector_is_not_gone_on_from(toy, tmp_path, monkeypatch, capsys, projector_file):
    monkeypatch.setitem(REGULARIZERS, "l2", lambda weight, **_: StopsAt(weight))
    asked, state = toy(), tmp_path / "state"
    StopsAt.calls, StopsAt.at = 0, 2
    tune(asked, progress=False, checkpoint=Checkpoint(state, asked))
    StopsAt.at = -1
    Projector(384, 16).save(Path(projector_file), {"kind": "another"})
    record = tune(asked, progress=False, checkpoint=Checkpoint(state, asked))
    assert "the state was kept with another projector of pictures; the run begins anew" in capsys.readouterr().err
    assert (record.environment["resumed"], record.environment["projector"]["kind"]) == (0, "another")


@pytest.mark.parametrize(
    ("fields", "beside", "tokens"),
    [({}, ["keys", "queries"], 12), ({"method": "cocoop", "gate_width": 128}, ["down", "up"], 3)],
    ids=["grasp", "cocoop"],
)
def test_a_record_has_what_its_prompt_needs(toy, tmp_path, fields, beside, tokens):
    asked = toy(**fields, max_steps=30, lr=0.3, regularizer="none", answer_every=0)
    store = RunStore(tmp_path / "runs")
    record = store.run(asked, progress=False)
    kept = store.load(store.path(asked))
    assert sorted({name.partition("/")[2] for name in kept.beside}) == beside
    assert all(torch.equal(kept.beside[name], value) for name, value in record.beside.items())
    assert kept.prompts[30].shape == (tokens, 16)
    assert record.environment["projector"]["kind"] == "drawn"
    quick = {"scoring": "likelihood"}  # one pass, where replies would be sixteen tokens of nonsense
    # the loss of the training rows, told apart by picture and question, is that at the end of the run
    evaluated = evaluate(of_run(EvalConfig(split="train", device="cpu", **quick), kept), kept, progress=False)
    assert evaluated.results["answer_loss"] == pytest.approx(record.results["final_cross_entropy"], rel=1e-5)
    assert evaluated.results["answer_loss"] < record.steps["cross_entropy"].iloc[0]
    assert evaluated.environment["projector"] == record.environment["projector"]
    assert {*MEASURES} <= {*evaluated.rows} if not fields else not {*MEASURES} & {*evaluated.rows}
    kept_too = EvaluationStore(tmp_path / "evaluations")
    kept_too.save(evaluated)
    pd.testing.assert_frame_equal(kept_too.load(kept_too.path(evaluated.config)).rows, evaluated.rows.round(5))
    swapped = dataclasses.replace(evaluated.config, intervention="picture")
    if fields:
        with pytest.raises(InputError, match="intervention=picture is on the gate of a run with method=grasp"):
            evaluate(swapped, kept, progress=False)
    else:
        changed = evaluate(swapped, kept, progress=False).rows
        assert (changed["answer_loss"] - evaluated.rows["answer_loss"]).abs().max() > 1e-4
        assert list(changed["entropy"]) != list(evaluated.rows["entropy"])
    with pytest.raises(InputError, match="depends on picture and question, which PEFT has none of"):
        save_adapter(kept, tmp_path / "adapter")
    without = evaluate(dataclasses.replace(evaluated.config, run=""), progress=False)
    assert without.results["answer_loss"] != pytest.approx(evaluated.results["answer_loss"], rel=1e-5)


@pytest.mark.parametrize("method", ["prompt-tuning", "prefix-tuning", "lora"])
@pytest.mark.filterwarnings("ignore:`is_gradient_checkpointing` is deprecated:FutureWarning")  # PEFT's
def test_other_methods_see_pictures_too(toy, method):
    record = tune(toy(method=method, regularizer="none", gate_width=128, max_steps=12, answer_every=0), progress=False)
    assert record.status == "finished"
    assert record.steps["cross_entropy"].iloc[-1] < record.steps["cross_entropy"].iloc[0]


def test_a_prompt_behind_the_question_keeps_its_picture(toy):
    fields = {"method": "prompt-tuning", "regularizer": "none", "gate_width": 128, "placement": "suffix"}
    cached, whole = (tune(toy(**fields, question_cache=size), progress=False) for size in (4.0, 0.0))
    pd.testing.assert_frame_equal(
        cached.steps.drop(columns="seconds"), whole.steps.drop(columns="seconds"), rtol=1e-3, atol=1e-5
    )


def test_what_cannot_be_seen_is_told(toy):
    with pytest.raises(InputError, match="depends on a picture: give a task with some"):
        tune(toy(task="gsm-symbolic", samples=1), progress=False)
    with pytest.raises(InputError, match="take no solved examples before them: shots is 0; given 1"):
        tune(toy(samples=2, shots=1), progress=False)
    mixed = [EXAMPLES[0], dataclasses.replace(EXAMPLES[1], picture="")]
    with pytest.raises(InputError, match="toy/train/presence/1 has no picture, other rows of its task have"):
        sights.check_pictures(mixed)
    loaded = models.shared_model(toy().model, "cpu", "float32")
    with pytest.raises(InputError, match="have slots for a prompt"), looking(loaded, slots=3) as (sight, rows):
        sight.embed(torch.tensor(rows[0].question))
