"""LoRA on models for which PEFT has a choice of layers, and on those for which it has none."""

import pytest
import torch
from made_models import NARROW
from transformers import (
    LlamaConfig,
    LlamaForCausalLM,
    MambaConfig,
    MambaForCausalLM,
    Olmo2Config,
    Olmo2ForCausalLM,
    Phi3Config,
    Phi3ForCausalLM,
)

from tslib.config import TuneConfig
from tslib.errors import InputError
from tslib.prompts.methods import start

ATTENTION, PERCEPTRON = ["q_proj", "k_proj", "v_proj", "o_proj"], ["gate_proj", "up_proj", "down_proj"]


@pytest.mark.parametrize(
    ("kind", "config", "layers"),
    [
        (LlamaForCausalLM, LlamaConfig, ["q_proj", "v_proj"]),
        (Phi3ForCausalLM, Phi3Config, ["qkv_proj", "o_proj", "gate_up_proj", "down_proj"]),
        (Olmo2ForCausalLM, Olmo2Config, ATTENTION + PERCEPTRON),
    ],
)
def test_it_goes_beside_pefts_choice_or_all_linear_layers_but_the_output(kind, config, layers):
    torch.manual_seed(0)
    model = kind(config(**NARROW)).requires_grad_(False).eval()
    before = list(dict(model.named_parameters()))
    trained = start(TuneConfig(method="lora", device="cpu"), model, None)
    assert {name.split(".")[-4] for name in trained.parameters} == set(layers)
    assert len(trained.parameters) == 2 * 2 * len(layers), "two matrices beside each of two layers'"
    model(input_ids=torch.tensor([[5, 9, 11]])).logits.sum().backward()
    assert all(parameter.grad is not None for parameter in trained.parameters.values())
    trained.close()
    assert list(dict(model.named_parameters())) == before


def test_a_model_that_it_does_not_go_with_is_named():
    config = MambaConfig(vocab_size=60, hidden_size=16, num_hidden_layers=2, state_size=4)
    with pytest.raises(
        InputError, match=r"MambaForCausalLM has no layers that LoRA goes beside \(.*out_proj"
    ) as raised:
        start(TuneConfig(method="lora", device="cpu"), MambaForCausalLM(config), None)
    assert "\n" not in str(raised.value)
