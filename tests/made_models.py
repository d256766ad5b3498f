"""Sizes of small models that tests make from a config, and the first layers of real ones."""

from typing import Any

NARROW = {
    "vocab_size": 60,
    "hidden_size": 16,
    "intermediate_size": 32,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "pad_token_id": 0,
}
"""Of a model like Llama, whose steps take milliseconds."""


def shorten(config: Any, layers: int = 6) -> None:
    """Let a config have only so many layers, with their kinds; of Gemma 3's first six the last sees all positions."""
    config.num_hidden_layers = layers
    if getattr(config, "layer_types", None):
        config.layer_types = config.layer_types[:layers]


def keep_first_layers(model: Any, layers: int = 6) -> None:
    """Take all but the first layers away from an embedded model: they have its weights, and take less of its time."""
    model.model.layers = model.model.layers[:layers]
    shorten(model.config, layers)
