"""Packed rows against padded ones: the same loss, gradient and matches, with less computed."""

from functools import partial

import pytest
import torch
from jaxtyping import TypeCheckError
from torch import nn
from torch.testing import assert_close
from transformers import (
    BloomConfig,
    BloomForCausalLM,
    Gemma3ForCausalLM,
    Gemma3TextConfig,
    GPT2Config,
    GPT2LMHeadModel,
    LlamaConfig,
    LlamaForCausalLM,
    Qwen2Config,
    Qwen2ForCausalLM,
)

from tslib.errors import InputError
from tslib.kernels import attention
from tslib.kernels.layout import Packing
from tslib.prompts.encoding import Encoded
from tslib.prompts.forward import Outcome, forward, packs, pads, way_of
from tslib.prompts.packing import pack
from tslib.prompts.question_cache import QuestionCache
from tslib.prompts.soft_prompt import SoftPrompt, StatePrompt, StateShape

SIZES = {
    "vocab_size": 60,
    "hidden_size": 16,
    "intermediate_size": 24,
    "num_attention_heads": 4,
    "initializer_range": 0.5,
}


def gpt2():
    """Positions from a table, and as many key heads as query heads."""
    sizes = {"vocab_size": 60, "n_positions": 64, "n_embd": 16, "n_layer": 2, "n_head": 4}
    return GPT2LMHeadModel(GPT2Config(**sizes, initializer_range=0.5, bos_token_id=0, eos_token_id=0))


def llama():
    return LlamaForCausalLM(LlamaConfig(**SIZES, num_hidden_layers=2, num_key_value_heads=2))


def qwen2():
    """With biases."""
    return Qwen2ForCausalLM(Qwen2Config(**SIZES, num_hidden_layers=2, num_key_value_heads=2))


def gemma3():
    """With a window of 5 positions in three of its four layers."""
    kinds = ["sliding_attention", "full_attention", "sliding_attention", "sliding_attention"]
    shape = {"num_hidden_layers": 4, "num_key_value_heads": 1, "head_dim": 4, "sliding_window": 5, "layer_types": kinds}
    return Gemma3ForCausalLM(Gemma3TextConfig(**SIZES, **shape))


@pytest.fixture(params=[gpt2, llama, qwen2, gemma3], ids=lambda family: family.__name__)
def model(request):
    torch.manual_seed(0)
    return request.param().eval().requires_grad_(False)


ALIKE = [
    Encoded([7, 8, 9, 10, 21], [11, 12]),
    Encoded([7, 8, 9, 33, 34, 35, 36, 37], [13]),
    Encoded([7, 8, 9], [5] * 9),
]
ROWS = {
    "one": [Encoded([*range(20, 41)], [13, 14, 15])],
    "nothing alike": [Encoded([7, 8], [11, 12]), Encoded([*range(20, 41)], [13, 14, 15, 16])],
    "alike at the beginning": ALIKE,
    "one question within the other": [Encoded([9] * 10, [11, 12]), Encoded([9] * 4, [11, 12, 13])],
    "the same question": [Encoded([7, 8, 9], [11, 12]), Encoded([7, 8, 9], [12, 3, 4])],
    "one token each": [Encoded([7], [11]), Encoded([8], [12])],
}


def outcome(model, rows, placement, **how):
    generator = torch.Generator().manual_seed(1)
    if placement == "every layer":
        shape = StateShape.of(model)
        prompt = StatePrompt(torch.randn(shape.layers, 3, shape.points, generator=generator), shape)
    else:
        prompt = SoftPrompt(torch.randn(3, 16, generator=generator), placement)
    done = forward(model, prompt, rows, grad=True, **how)
    (gradient,) = torch.autograd.grad(done.loss, prompt.weight)
    return done, gradient


def by_row(model, rows, placement):
    """The same of each row alone, which nothing pads."""
    tokens = sum(len(row.target) for row in rows)
    width = max(len(row.target) for row in rows)
    alone = [outcome(model, [row], placement, way="padded") for row in rows]
    shares = [len(row.target) / tokens for row in rows]
    loss = sum(done.loss * share for (done, _), share in zip(alone, shares, strict=True))
    matches = [nn.functional.pad(done.matches, (width - done.matches.shape[1], 0), value=True) for done, _ in alone]
    gradient = sum(own * share for (_, own), share in zip(alone, shares, strict=True))
    return Outcome(loss, torch.cat(matches)), gradient


@pytest.mark.parametrize(
    ("short", "block", "pads"),
    [
        (attention.SHORT, 16, False),
        (0, 16, False),
        (0, 0, True),
    ],
    ids=["weights kept", "weights computed again", "flash of padded rests, as on a GPU"],
)
@pytest.mark.parametrize("placement", ["prefix", "suffix", "every layer"])
@pytest.mark.parametrize("rows", ROWS.values(), ids=ROWS)
def test_packed_is_padded(model, rows, placement, short, block, pads, monkeypatch):
    """Each kind of attention, and activations kept or computed again."""
    monkeypatch.setattr(attention, "SHORT", short)
    monkeypatch.setattr(attention, "BLOCK", block)
    monkeypatch.setattr(attention, "_pads", lambda _states: pads)
    each = by_row if placement == "every layer" else partial(outcome, way="padded")
    padded, expected = each(model, rows, placement)
    for pass_tokens in (None, 1):
        packed, gradient = outcome(model, rows, placement, way="packed", pass_tokens=pass_tokens)
        assert_close(packed.loss, padded.loss, rtol=1e-5, atol=1e-6)
        assert torch.equal(packed.matches, padded.matches)
        assert (gradient - expected).norm() < 1e-4 * expected.norm()


def test_padding_behind_a_prefix_in_every_layer(model):
    """It is as each row alone, but where a window would count the padding: so there rows are not padded."""
    rows = ROWS["nothing alike"]
    if model.config.model_type == "gemma3_text":
        states = StatePrompt.of_tokens(model, [1, 2, 3])
        assert not pads(model, states)
        return
    padded, gradient = outcome(model, rows, "every layer", way="padded")
    alone, expected = by_row(model, rows, "every layer")
    assert_close(padded.loss, alone.loss, rtol=1e-5, atol=1e-6)
    assert (gradient - expected).norm() < 1e-4 * expected.norm()


@pytest.mark.parametrize("rows", ROWS.values(), ids=ROWS)
def test_what_is_padded_is_each_row_alone(model, rows):
    """The ground on which the first test stands."""
    padded, gradient = outcome(model, rows, "prefix", way="padded")
    alone, expected = by_row(model, rows, "prefix")
    assert_close(padded.loss, alone.loss, rtol=1e-5, atol=1e-6)
    assert (gradient - expected).norm() < 1e-4 * expected.norm()


def test_a_layout_by_hand():
    """Two virtual tokens (0, 1), then ids counted from 2: the questions 7 8 5 and 7 8 6 6, the targets 11 12 and 13."""
    batch = pack([Encoded([7, 8, 5], [11, 12]), Encoded([7, 8, 6, 6], [13])], 2)
    assert batch.ids.tolist() == [7, 8, 5, 11, 6, 6]
    assert batch.order.tolist() == [0, 1, 2, 3, 4, 5, 6, 7]
    assert batch.positions.tolist() == [0, 1, 2, 3, 4, 5, 4, 5]
    assert batch.predicting.tolist() == [4, 5, 7]
    assert batch.targets.tolist() == [11, 12, 13]
    assert (batch.packing.head, batch.packing.lengths) == (4, (2, 2))
    assert batch.packing.places.tolist() == [[4, 5], [6, 7]]


def test_a_layout_of_a_suffix_by_hand():
    """The prompt is copied into each row; a shorter rest is padded with a place that means nothing."""
    batch = pack([Encoded([7, 8], [11, 12]), Encoded([7, 9], [13])], 2, "suffix")
    assert batch.ids.tolist() == [7, 8, 11, 9]
    assert batch.order.tolist() == [2, 3, 0, 1, 4, 5, 0, 1]
    assert batch.positions.tolist() == [0, 1, 2, 3, 4, 1, 2, 3]
    assert batch.predicting.tolist() == [3, 4, 7]
    assert batch.packing.lengths == (4, 3)
    assert batch.packing.places.tolist() == [[1, 2, 3, 4], [5, 6, 7, 5]]
    assert batch.packing.real.tolist() == [0, 1, 2, 3, 4, 5, 6]


def test_one_row_is_all_head():
    batch = pack([Encoded([7, 8], [11, 12])], 2)
    assert (batch.packing.head, batch.packing.lengths, batch.packing.real.tolist()) == (5, (), [])


def test_what_is_alike_is_computed_once(model):
    """Eight rows with 21 tokens in common: 3 virtual ones and these once, then 1 of each question and of its target."""
    rows = [Encoded([*range(20), 40, 41 + i], [50, 51]) for i in range(8)]
    way_of(model, SoftPrompt(torch.zeros(3, 16)), 3 + 22 + 2)
    lengths = []
    hook = model.base_model.register_forward_pre_hook(
        lambda _module, _args, given: lengths.append(given["inputs_embeds"].shape[1]), with_kwargs=True
    )
    with hook:
        outcome(model, rows, "prefix")
    assert lengths == [3 + 21 + 8 * 2]


def test_the_attention_of_the_model_is_as_before(model):
    before = model.config._attn_implementation
    outcome(model, ALIKE, "prefix", way="packed")
    assert model.config._attn_implementation == before == "sdpa"
    with pytest.raises(TypeCheckError):
        forward(model, SoftPrompt(torch.zeros(3, 16)), None, grad=True, way="packed")
    assert model.config._attn_implementation == before


def test_models_that_pack(model):
    assert packs(model)


def test_a_model_with_another_attention_is_padded():
    """Bloom's attention adds its own bias to the scores, outside of transformers' interface."""
    torch.manual_seed(0)
    bloom = BloomForCausalLM(BloomConfig(vocab_size=60, hidden_size=16, n_layer=2, n_head=4, initializer_range=0.5))
    bloom = bloom.eval().requires_grad_(False)
    assert not packs(bloom)
    done, gradient = outcome(bloom, ALIKE, "prefix")
    padded, expected = outcome(bloom, ALIKE, "prefix", way="padded")
    assert torch.equal(done.loss, padded.loss)
    assert torch.equal(gradient, expected)
    with pytest.raises(InputError, match="states of questions are for models that take packed rows"):
        outcome(bloom, ALIKE, "suffix", questions=QuestionCache(bloom, 1e9))


def test_a_model_that_passes_states_on_beside_attention_is_padded():
    """The trial finds it out: each position also gets a part of the one before it in the batch's row."""
    torch.manual_seed(0)

    class Shifted(nn.Module):
        def __init__(self, mlp):
            super().__init__()
            self.mlp = mlp

        def forward(self, x):
            return self.mlp(x) + nn.functional.pad(x, (0, 0, 1, 0))[:, :-1]

    mixed = llama().eval().requires_grad_(False)
    mixed.model.layers[1].mlp = Shifted(mixed.model.layers[1].mlp)
    assert not packs(mixed)


def test_a_model_whose_logits_are_scaled_is_padded():
    torch.manual_seed(0)
    scaled = llama().eval().requires_grad_(False)
    scaled.lm_head.register_forward_hook(lambda _module, _args, logits: 0.5 * logits)
    assert not packs(scaled)


def test_the_output_layer_on_another_device_than_the_last_layer():
    """As where a model whose output layer is its embedding is divided over devices: both are on the first."""
    torch.manual_seed(0)
    divided = llama().eval().requires_grad_(False)
    divided.lm_head.to("meta")
    prompt = SoftPrompt(torch.zeros(3, 16))
    done = forward(divided, prompt, ALIKE, grad=True, way="packed")
    assert done.loss.device.type == done.matches.device.type == "meta"
    assert done.matches.shape == (3, 9)


def test_lengths_by_hand():
    layout = Packing.of(2, [1, 3])
    assert layout.places.tolist() == [[2, 2, 2], [3, 4, 5]]
    assert layout.real.tolist() == [0, 3, 4, 5]
