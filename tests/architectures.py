"""Small random models of transformers' causal architectures, held against transformers itself, one row at a time.

``python tests/architectures.py`` tries each and writes ``data/results/architectures.json``, the table of what is
supported; the tests try each again and compare.
"""

import json
from importlib.metadata import version
from itertools import product
from typing import Any

import torch
from tokenizers import Tokenizer
from tokenizers.models import WordLevel
from tokenizers.pre_tokenizers import Whitespace
from torch.nn import functional
from tqdm import tqdm
from transformers import AutoConfig, AutoModelForCausalLM, PreTrainedTokenizerFast
from transformers import logging as transformers_logging

from tslib.errors import InputError
from tslib.prompts import probe
from tslib.prompts.decoding import generate
from tslib.prompts.encoding import Encoded, longest, stop_ids, until
from tslib.prompts.forward import caches_questions, forward, keeps_states, way_of
from tslib.prompts.question_cache import QuestionCache
from tslib.prompts.soft_prompt import SoftPrompt, StatePrompt
from tslib.records.record import COMMITTED

RESULTS = COMMITTED / "architectures.json"
SIZES: dict[str, Any] = {
    **dict.fromkeys(("hidden_size", "d_model", "n_embd", "embed_dim", "word_embed_proj_dim", "embedding_size"), 32),
    **dict.fromkeys(("intermediate_size", "ffn_dim", "d_ff", "n_inner", "ffn_hidden_size", "decoder_ffn_dim"), 48),
    **dict.fromkeys(("moe_intermediate_size", "shared_expert_intermediate_size", "encoder_ffn_dim"), 16),
    **dict.fromkeys(("num_hidden_layers", "n_layer", "num_layers", "n_layers", "decoder_layers", "encoder_layers"), 2),
    **dict.fromkeys(("num_attention_heads", "n_head", "num_heads", "n_heads", "decoder_attention_heads"), 4),
    **dict.fromkeys(("num_key_value_heads", "num_experts_per_tok"), 2),
    **dict.fromkeys(("head_dim", "qk_rope_head_dim", "qk_nope_head_dim", "v_head_dim", "state_size"), 8),
    **dict.fromkeys(("max_position_embeddings", "n_positions", "n_ctx", "max_seq_len", "max_sequence_length"), 128),
    **dict.fromkeys(("num_local_experts", "num_experts", "n_routed_experts"), 4),
    **dict.fromkeys(("n_group", "topk_group", "first_k_dense_replace"), 1),
    **dict.fromkeys(("q_lora_rank", "kv_lora_rank"), 16),
    **dict.fromkeys(("sliding_window", "attention_chunk_size", "window_size", "local_attention", "block_size"), 16),
    **{"encoder_attention_heads": 4, "rotary_dim": 4, "attention_hidden_size": 32, "d_inner": 64},
    **{"pad_token_id": 0, "bos_token_id": 1, "eos_token_id": 2, "is_decoder": True, "use_sliding_window": True},
}
"""Of a model with these fields in its config; a window of 16 positions is well below the longest row."""
MIXED: dict[str, Any] = {"layer_types": ["sliding_attention", "full_attention"]}
OTHERS: dict[str, dict[str, Any]] = {
    "deepseek_v3": {"head_dim": 8, "num_key_value_heads": 4},
    "gpt_neo": {"attention_types": [[["global", "local"], 1]]},
    "gemma3n_text": MIXED
    | {"num_kv_shared_layers": 0, "hidden_size_per_layer_input": 8, "vocab_size_per_layer_input": 96}
    | {"altup_num_inputs": 2, "laurel_rank": 4, "activation_sparsity_pattern": [0.0, 0.0]},
    "gemma3_text": MIXED,
    "gemma2": MIXED | {"attn_logit_softcapping": 0.5},
    "jamba": {"num_hidden_layers": 4, "attn_layer_period": 2, "attn_layer_offset": 1, "use_mamba_kernels": False},
    "qwen3_next": {"layer_types": ["linear_attention", "full_attention"], "linear_num_value_heads": 2}
    | {"linear_num_key_heads": 2, "linear_key_head_dim": 8, "linear_value_head_dim": 8},
    "recurrent_gemma": {"num_hidden_layers": 3, "lru_width": 32, "attention_window_size": 16},
    "nemotron": {"num_key_value_heads": 2, "head_dim": 8},
    "mpt": {"max_seq_len": 128},
    "falcon": {"alibi": False, "new_decoder_architecture": True, "num_kv_heads": 2, "head_dim": None},
    "mamba2": {"num_heads": 8, "n_groups": 1},
    "lfm2": {"layer_types": ["conv", "full_attention"]},
}
"""What some need besides; None: leave the field as it is."""


def small(kind: str) -> Any:
    """Return a small random model, with larger weights than at the start of training, so that more depends on them."""
    text = AutoConfig.for_model(kind).get_text_config()
    fields = {name: value for name, value in SIZES.items() if getattr(text, name, None) is not None}
    fields |= {"vocab_size": 96} | OTHERS.get(kind, {})
    config = type(text)(**{name: value for name, value in fields.items() if value is not None})
    torch.manual_seed(0)
    model = AutoModelForCausalLM.from_config(config).eval().requires_grad_(False)
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.ndim > 1:
                parameter *= 4
            elif parameter.is_floating_point():  # biases, scales and gates that start as nothing would hide a part
                parameter += 0.1 * torch.randn_like(parameter)
    return model


def drawn(length: int, seed: int) -> list[int]:
    """Token ids, none of them special."""
    return torch.randint(5, 96, (length,), generator=torch.Generator().manual_seed(seed)).tolist()


VIRTUAL = drawn(3, 1)
START = drawn(30, 2)
BATCHES = {
    "short": [
        *(Encoded(START[:4] + drawn(2, 3), drawn(3, 4)), Encoded(START[:4], drawn(1, 5))),
        Encoded(drawn(2, 6), drawn(2, 7)),
    ],
    "long": [
        *(Encoded(START + drawn(2, 8), drawn(3, 9)), Encoded(START + drawn(9, 10), drawn(2, 11))),
        Encoded(drawn(5, 12), drawn(3, 13)),
    ],
}


def by_ids(model: Any, rows: list[Encoded], placement: str) -> torch.Tensor:
    """Loss of rows behind real tokens, whose ids the model reads, one row at a time."""
    total: Any = 0
    for row in rows:
        before = VIRTUAL + row.question if placement == "prefix" else row.question + VIRTUAL
        logits = model(input_ids=torch.tensor([before + row.target]), use_cache=False).logits[0].float()
        predicting = logits[len(before) - 1 : -1]
        total = total + functional.cross_entropy(predicting, torch.tensor(row.target), reduction="sum")
    return total / sum(len(row.target) for row in rows)


def by_embeddings(model: Any, prompt: SoftPrompt, rows: list[Encoded]) -> torch.Tensor:
    """Gradient of the same loss with respect to the prompt."""
    embed, total = model.get_input_embeddings(), 0
    for row in rows:
        question, target = (embed(torch.tensor(ids)) for ids in (row.question, row.target))
        parts = [prompt.weight, question] if prompt.placement == "prefix" else [question, prompt.weight]
        logits = model(inputs_embeds=torch.cat([*parts, target])[None], use_cache=False).logits[0].float()
        total = total + functional.cross_entropy(
            logits[-len(row.target) - 1 : -1], torch.tensor(row.target), reduction="sum"
        )
    (gradient,) = torch.autograd.grad(total / sum(len(row.target) for row in rows), prompt.weight)
    return gradient


def tokenizer() -> Any:
    """Return a tokenizer of as many words as the models have, the third of which ends a reply."""
    words = {f"w{index}": index for index in range(96)}
    plain = Tokenizer(WordLevel(words, unk_token="w3"))
    plain.pre_tokenizer = Whitespace()
    return PreTrainedTokenizerFast(tokenizer_object=plain, eos_token="w2", unk_token="w3")


def greedy(model: Any, row: Encoded, room: int) -> list[int]:
    """The most probable tokens behind real ones, the whole row again for each."""
    reply: list[int] = []
    for _ in range(room):
        ids = torch.tensor([[*VIRTUAL, *row.question, *reply]])
        reply.append(int(model(input_ids=ids, use_cache=False).logits[0, -1].argmax()))
    return reply


def close(one: torch.Tensor, other: torch.Tensor) -> bool:
    """Whether they are the same to a thousandth."""
    return bool((one - other).norm() <= 1e-3 * other.norm())


def tried(model: Any) -> dict[str, Any]:
    """Hold every way against the model itself; return what is done with its rows, or why it is refused.

    Raises
    ------
    AssertionError
        Where a number is not the model's own.
    """
    try:
        probe.check(model)
    except InputError as error:
        return {"refused": str(error)}
    found: dict[str, Any] = {}
    prompts = {placement: SoftPrompt.of_tokens(model, VIRTUAL, placement) for placement in ("prefix", "suffix")}
    for (length, rows), (placement, prompt), again in product(BATCHES.items(), prompts.items(), (None, 1)):
        outcome = forward(model, prompt, rows, grad=True, pass_tokens=again)
        (gradient,) = torch.autograd.grad(outcome.loss, prompt.weight)
        with torch.no_grad():
            expected = by_ids(model, rows, placement)
        assert close(outcome.loss.detach(), expected), f"loss, {length}, {placement}, {again}"
        assert close(gradient, by_embeddings(model, prompt, rows)), f"gradient, {length}, {placement}, {again}"
    found["rows"] = {
        length: way_of(model, prompts["prefix"], longest(rows, len(VIRTUAL))) for length, rows in BATCHES.items()
    }
    found["states"] = {length: states(model, rows) for length, rows in BATCHES.items()}
    found["questions"] = {length: questions(model, prompts["suffix"], rows) for length, rows in BATCHES.items()}
    for length, rows in BATCHES.items():
        asked = [Encoded(row.question, []) for row in rows]
        words = tokenizer()
        replies = generate(model, words, prompts["prefix"], asked, max_new_tokens=6)
        right = [until(greedy(model, row, 6), stop_ids(words, model.generation_config)) for row in asked]
        assert replies == right, f"replies, {length}"
    said = probe.answers(model)
    found["decoding"] = next(
        (how for how in ("packed rows", "several rows", "one row") if said.get(f"decoding {how}")), "no cache"
    )
    return found


def states(model: Any, rows: list[Encoded]) -> str:
    """Hold a prefix in every layer against the tokens that leave it; return how such rows go through the model."""
    try:
        if not keeps_states(model, longest(rows, len(VIRTUAL))):
            return "no"
    except InputError:
        return "no"
    prompt = StatePrompt.of_tokens(model, VIRTUAL)
    with torch.no_grad():
        loss, expected = forward(model, prompt, rows, grad=False).loss, by_ids(model, rows, "prefix")
    assert close(loss, expected), "states"
    return way_of(model, prompt, longest(rows, len(VIRTUAL)))


def questions(model: Any, prompt: SoftPrompt, rows: list[Encoded]) -> bool:
    """Hold a prompt behind questions that are kept against the whole; return whether they are."""
    if not caches_questions(model, longest(rows, len(VIRTUAL))):
        return False
    loss = forward(model, prompt, rows, grad=False, questions=QuestionCache(model, 1e9)).loss
    with torch.no_grad():
        assert close(loss, by_ids(model, rows, "suffix")), "questions"
    return True


KINDS = (
    "afmoe",
    "apertus",
    "arcee",
    "aria_text",
    "bart",
    "bert",
    "big_bird",
    "bigbird_pegasus",
    "biogpt",
    "bitnet",
    "bloom",
    "codegen",
    "cohere",
    "cohere2",
    "ctrl",
    "cwm",
    "data2vec-text",
    "deepseek_v3",
    "deepseek_v4",
    "diffllama",
    "doge",
    "electra",
    "ernie4_5",
    "ernie4_5_moe",
    "exaone4",
    "exaone_moe",
    "falcon",
    "falcon_mamba",
    "flex_olmo",
    "fuyu",
    "gemma",
    "gemma2",
    "gemma3_text",
    "gemma3n_text",
    "git",
    "glm",
    "glm4",
    "glm4_moe",
    "gpt2",
    "gpt_bigcode",
    "gpt_neo",
    "gpt_neox",
    "gpt_neox_japanese",
    "gpt_oss",
    "gptj",
    "granite",
    "granitemoe",
    "helium",
    "internlm3",
    "jais2",
    "jamba",
    "jetmoe",
    "laguna",
    "lfm2",
    "llama",
    "llama4_text",
    "mamba",
    "mamba2",
    "mbart",
    "mimo_v2_flash",
    "minimax",
    "ministral3",
    "mistral",
    "mixtral",
    "modernbert-decoder",
    "mpt",
    "nanochat",
    "nemotron",
    "olmo",
    "olmo2",
    "olmo3",
    "olmoe",
    "openai-gpt",
    "opt",
    "pegasus",
    "persimmon",
    "phi",
    "phi3",
    "phimoe",
    "plbart",
    "qwen2",
    "qwen2_moe",
    "qwen3",
    "qwen3_moe",
    "qwen3_next",
    "recurrent_gemma",
    "roberta",
    "roc_bert",
    "rwkv",
    "seed_oss",
    "smollm3",
    "stablelm",
    "starcoder2",
    "trocr",
    "vaultgemma",
    "whisper",
    "xglm",
    "xlm",
)
"""Of transformers, those of which a small one is made in a second or two."""


def main() -> None:
    """Try all, and write the table."""
    table = {}
    with tqdm(KINDS, unit="architecture") as bar:
        for kind in bar:
            bar.set_postfix_str(kind)
            table[kind] = tried(small(kind))
    RESULTS.write_text(json.dumps({"transformers": version("transformers"), "found": table}, indent=1) + "\n")


if __name__ == "__main__":
    transformers_logging.set_verbosity_error()
    main()
