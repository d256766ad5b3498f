"""Sizes of small models that tests make from a config."""

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
