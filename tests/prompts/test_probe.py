"""What a model was found to do is asked once, kept under its weights, and asked again where that cannot be read."""

import json

import pytest
import torch
from torch import nn
from transformers import LlamaConfig, LlamaForCausalLM, OPTConfig, OPTForCausalLM

from tslib.errors import InputError
from tslib.models.loading import load_model
from tslib.prompts import probe
from tslib.prompts.encoding import Encoded
from tslib.prompts.forward import caches_questions, forward, packs, pads, way_of
from tslib.prompts.soft_prompt import SoftPrompt

SIZES = {"vocab_size": 60, "hidden_size": 16, "intermediate_size": 24, "num_hidden_layers": 2, "num_attention_heads": 4}
ROWS = [Encoded([7, 8, 9, 10], [11, 12]), Encoded([7, 8], [13])]


@pytest.fixture
def loaded(tiny_folder, monkeypatch, tmp_path):
    """Loads the small model anew, with a cache of the test's own."""
    monkeypatch.setenv("TSLIB_CACHE", str(tmp_path / "cache"))

    def load():
        model, _ = load_model(str(tiny_folder), device="cpu")
        probe.remember(model, str(tiny_folder))
        return model

    return load


def never():
    """An attempt that is not to be made."""
    raise KeyboardInterrupt


def test_an_answer_is_kept_on_disk(loaded, tmp_path):
    model = loaded()
    assert packs(model)
    (kept,) = (tmp_path / "cache" / "probes").glob("*.json")
    said = json.loads(kept.read_text())
    assert said == probe.answers(model) == {"ends in its head": True, "packed rows": True}
    again = loaded()
    assert probe.answers(again) == said
    assert probe.ask(again, "packed rows", never)
    kept.write_text('{"packed rows": ')
    assert probe.answers(loaded()) == {}


def test_other_weights_are_asked_anew(loaded, tiny_folder, tmp_path):
    assert packs(loaded())
    other = LlamaForCausalLM(LlamaConfig(**SIZES))
    other.save_pretrained(tmp_path / "other")
    probe.remember(other, str(tmp_path / "other"))
    assert probe.answers(other) == {}


def test_a_cache_that_cannot_be_written_to(loaded, tmp_path, monkeypatch):
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("TSLIB_CACHE", str(tmp_path / "file"))
    model = loaded()
    assert packs(model)
    assert probe.answers(model)["packed rows"]


def test_an_attempt_that_raises_is_a_no_and_one_without_memory_is_none():
    model = LlamaForCausalLM(LlamaConfig(**SIZES))

    def fails():
        raise ZeroDivisionError

    def full():
        raise torch.OutOfMemoryError

    assert not probe.ask(model, "fails", fails)
    with pytest.raises(torch.OutOfMemoryError):
        probe.ask(model, "is full", full)
    assert probe.answers(model) == {"fails": False}


@pytest.mark.parametrize(
    ("window", "reached"),
    [({"sliding_window": 16}, [16]), ({"max_window_layers": 28}, []), ({}, []), ({"attention_chunk_size": 8192}, [])],
)
def test_windows_are_read_where_the_context_reaches_them(window, reached):
    config = LlamaConfig(**SIZES, **window, max_position_embeddings=64)
    assert probe.windows(LlamaForCausalLM(config)) == reached


def test_a_window_that_is_too_long_to_be_tried_is_not_trusted(monkeypatch):
    """Rows that do not reach it are packed all the same."""
    monkeypatch.setattr(probe, "LONGEST", 12)
    torch.manual_seed(0)
    model = LlamaForCausalLM(LlamaConfig(**SIZES, sliding_window=16)).eval().requires_grad_(False)
    prompt = SoftPrompt.of_tokens(model, [1, 2])
    assert way_of(model, prompt, 16) == "packed"
    assert way_of(model, prompt, 17) == "alone"


class Leaks(nn.Module):
    """Adds to each position a part of the one behind it."""

    def __init__(self, inner):
        super().__init__()
        self.inner = inner

    def forward(self, x):
        return self.inner(x) + nn.functional.pad(x, (0, 0, 0, 1))[:, 1:]


def test_a_model_that_sees_the_next_token_is_refused():
    torch.manual_seed(0)
    model = LlamaForCausalLM(LlamaConfig(**SIZES)).eval().requires_grad_(False)
    model.model.layers[0].mlp = Leaks(model.model.layers[0].mlp)
    with pytest.raises(InputError, match=r"^LlamaForCausalLM is no causal language model"):
        forward(model, SoftPrompt.of_tokens(model, [1, 2]), ROWS, grad=False)


def test_a_model_that_fails_is_named_with_its_error():
    model = LlamaForCausalLM(LlamaConfig(**SIZES)).eval()
    model.model.layers[0].mlp = nn.Linear(3, 3)
    with pytest.raises(InputError, match=r"^LlamaForCausalLM fails on a few of its own tokens \(RuntimeError: mat1"):
        probe.check(model)


def test_activations_that_are_computed_again_know_no_dropout():
    """OPT asks its layers whether they are in training, and drops a tenth of what goes through them if so."""
    torch.manual_seed(0)
    config = OPTConfig(
        vocab_size=60,
        hidden_size=16,
        word_embed_proj_dim=16,
        ffn_dim=24,
        num_hidden_layers=2,
        num_attention_heads=4,
        dropout=0.5,
    )
    model = OPTForCausalLM(config).eval().requires_grad_(False)
    prompt = SoftPrompt.of_tokens(model, [1, 2])
    for way in ("packed", "padded", "alone"):
        kept, again = (forward(model, prompt, ROWS, grad=True, way=way, pass_tokens=most).loss for most in (None, 1))
        gradients = [torch.autograd.grad(loss, prompt.weight)[0] for loss in (kept, again)]
        torch.testing.assert_close(kept, again)
        torch.testing.assert_close(*gradients)
    forward(model, prompt, ROWS, grad=True, pass_tokens=1)
    assert probe.answers(model)["packed rows, computed again"]
    assert not any(module.training for module in model.modules())


def test_logits_that_are_capped_behind_the_output_layer_are_found_however_small():
    """tanh is all but the identity near 0, so no loss of a new model would show it."""
    torch.manual_seed(0)
    model = LlamaForCausalLM(LlamaConfig(**SIZES, initializer_range=0.01)).eval().requires_grad_(False)
    assert packs(model)
    capped = LlamaForCausalLM(LlamaConfig(**SIZES, initializer_range=0.01)).eval().requires_grad_(False)
    own = capped.forward

    def forward_capped(*args, **given):
        out = own(*args, **given)
        out.logits = 15 * torch.tanh(out.logits / 15)
        return out

    capped.forward = forward_capped
    assert not packs(capped)
    assert not caches_questions(capped)
    assert pads(capped)
