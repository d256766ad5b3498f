"""Rows divided into passes, and gradient checkpointing."""

import pytest
import torch
from made_models import NARROW
from torch.testing import assert_close
from transformers import OPTConfig, OPTForCausalLM

from tslib.prompts.encoding import Encoded
from tslib.prompts.passes import checkpointing, in_passes


@pytest.mark.parametrize(
    ("lengths", "pass_tokens", "most", "runs"),
    [
        ([], 10, 4, []),
        ([3, 3, 3], 10, 4, [[0, 1, 2]]),
        ([3, 3, 3, 3], 10, 4, [[0, 1, 2], [3]]),
        ([3, 3, 3, 3], 100, 2, [[0, 1], [2, 3]]),
        ([3, 6, 3], 10, 4, [[0], [1], [2]]),  # two rows of 6 would be 12
        ([50, 3, 3], 10, 4, [[0], [1, 2]]),  # a row that is too long goes alone
    ],
)
def test_passes_by_positions(lengths, pass_tokens, most, runs):
    rows = [Encoded([1] * (length - 2), [1]) for length in lengths]  # and one virtual token
    assert in_passes(rows, 1, pass_tokens, most, vocabulary=10) == runs


@pytest.mark.parametrize(
    ("targets", "runs"), [([255, 255, 255], [[0, 1], [2]]), ([255, 511, 1], [[0], [1], [2]]), ([5000, 1], [[0], [1]])]
)
def test_passes_by_logits(targets, runs):
    """A run has at most 2^28 logits: at 2^19 a position, 512 positions, one more than the target has."""
    rows = [Encoded([1], [1] * target) for target in targets]
    assert in_passes(rows, 0, 10**6, 8, vocabulary=2**19) == runs


def gradient_and_bytes(model, on):
    """Gradient with respect to what is put in, and the bytes that the forward pass keeps for it."""
    torch.manual_seed(0)
    embeddings = torch.randn(1, 64, model.config.hidden_size, requires_grad=True)
    weights = {parameter.data_ptr() for parameter in model.parameters()}
    kept = {}

    def keep(tensor):
        if tensor.data_ptr() not in weights:
            kept[tensor.data_ptr()] = tensor.untyped_storage().nbytes()
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor), checkpointing(model, on):
        loss = model(inputs_embeds=embeddings, use_cache=False, logits_to_keep=4).logits.float().square().mean()
        size = sum(kept.values())
        (gradient,) = torch.autograd.grad(loss, embeddings)
    return gradient, size


def test_checkpointing_keeps_less_for_the_same_gradient(smollm2_135m):
    model = smollm2_135m.model
    (plain, much), (again, little) = (gradient_and_bytes(model, on) for on in (False, True))
    assert_close(again, plain, rtol=1e-5, atol=1e-9)
    assert little < much / 5
    assert not any(module.training for module in model.modules()), "as it was before"
    assert gradient_and_bytes(model, False)[1] == much


def test_dropout_stays_off_while_checkpointing():
    """Half of what a layer of OPT computes would be dropped in training; the gradient is that of evaluation."""
    config = OPTConfig(**NARROW, ffn_dim=32, word_embed_proj_dim=16, dropout=0.5, attention_dropout=0.5)
    model = OPTForCausalLM(config).eval()
    (plain, _), (again, _) = (gradient_and_bytes(model, on) for on in (False, True))
    assert_close(again, plain, rtol=1e-5, atol=1e-9)
    (other, _) = gradient_and_bytes(model.train(), False)
    assert not torch.allclose(other, plain, rtol=1e-2), "dropout is in this model"
