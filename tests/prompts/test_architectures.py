"""Any causal language model: what tslib does with its rows is what transformers does, or is refused in one line."""

import json

import pytest
import torch
from architectures import KINDS, RESULTS, small, tried
from transformers import AutoModelForCausalLM, Gemma3Config, Gemma3TextConfig, SiglipVisionConfig

FAST = ("llama", "gemma3_text", "gpt2", "qwen2", "mistral", "phi3", "olmo2", "smollm3")
TABLE = json.loads(RESULTS.read_text(encoding="utf-8"))["found"]


@pytest.mark.filterwarnings("ignore")  # of transformers' own code for an architecture
@pytest.mark.parametrize("kind", KINDS)
def test_an_architecture(kind):
    """Losses, gradients and replies of ragged rows, short ones and beyond a window, against each row by itself."""
    found = tried(small(kind))
    assert found.get("refused") == TABLE[kind].get("refused")
    if kind in FAST:  # which experts a token goes to may turn on the last bit, and with it how other rows are taken
        assert found == TABLE[kind]
        assert set(found["rows"].values()) == {"packed"}


def test_the_table_is_of_these():
    assert list(TABLE) == list(KINDS)
    refused = [kind for kind, found in TABLE.items() if "refused" in found]
    assert refused == ["deepseek_v4", "gemma3n_text", "xlm"]


@pytest.mark.filterwarnings("ignore")
def test_a_model_with_a_part_for_pictures():
    """Its class takes no embedded tokens when it decodes, so it is decoded in another way."""
    text = Gemma3TextConfig(
        vocab_size=96, hidden_size=32, intermediate_size=48, num_hidden_layers=2, num_attention_heads=4,
        num_key_value_heads=2, head_dim=8, max_position_embeddings=128, sliding_window=16,
        layer_types=["sliding_attention", "full_attention"], initializer_range=0.1,
    )  # fmt: skip
    pictures = SiglipVisionConfig(
        hidden_size=16, intermediate_size=16, num_hidden_layers=1, num_attention_heads=2, image_size=16, patch_size=8
    )
    torch.manual_seed(0)
    config = Gemma3Config(text_config=text, vision_config=pictures, mm_tokens_per_image=4)
    model = AutoModelForCausalLM.from_config(config).eval().requires_grad_(False)
    assert type(model).__name__ == "Gemma3ForConditionalGeneration"
    found = tried(model)
    assert "refused" not in found
