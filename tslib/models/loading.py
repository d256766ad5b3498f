"""Fetching a model, named or not, and loading it frozen.

Embedded models are fetched from PyPI into ``<cache>/models/<name>/``; the hub's stay in the hub's own cache.
"""

import hashlib
import os
import re
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, TypeAlias

import platformdirs

from tslib.errors import InputError, ResourceError
from tslib.models import fetching
from tslib.models.fetching import HubSource, WheelSource
from tslib.models.registry import GEMMA_TERMS as GEMMA_TERMS
from tslib.models.registry import MODELS as MODELS
from tslib.models.registry import ModelSpec as ModelSpec

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

DTYPES = ("float32", "bfloat16", "float16")


class LoadedModel(NamedTuple):
    """A frozen model in evaluation mode and its tokenizer."""

    model: "PreTrainedModel"
    tokenizer: "PreTrainedTokenizerBase"


def cache_dir() -> Path:
    """Folder of everything that tslib keeps between runs: TSLIB_CACHE, else the user's cache folder."""
    given = os.environ.get("TSLIB_CACHE")
    return _path(given).absolute() if given else platformdirs.user_cache_path("tslib")


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
        As for `resolve_dtype`.
    device_map
        Handed to transformers, to spread a model over devices (``"auto"``).

    Raises
    ------
    InputError
        For an unknown name, device or dtype.
    ResourceError
        When the model cannot be had, is damaged, or transformers cannot load it.
    """
    dtype = resolve_dtype(dtype, device)
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

    _check_kind(name, folder)
    try:
        with fetching.quiet_transformers():
            loader: Any = AutoModelForCausalLM
            model, loaded = loader.from_pretrained(
                folder,
                output_loading_info=True,
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
            f"delete that folder and fetch {name} again, or call tslib.models.loading.fetch({name!r}, force=True)"
            if embedded
            else "check that the files are whole, and that transformers has the model: code of its own is never run"
        )
        raise ResourceError(f"{name} could not be loaded from {folder}: {fetching.brief(error)}; {advice}") from error
    _check_whole(name, loaded)
    if tokenizer.pad_token_id is None:
        tokenizer.pad_token = tokenizer.eos_token
    return LoadedModel(model.eval().requires_grad_(False), tokenizer)


def _check_kind(name: str, folder: Path) -> None:
    """Check that transformers has a causal language model for the folder's architecture, where it knows that at all."""
    from transformers import AutoConfig, AutoModelForCausalLM

    try:
        config: Any = AutoConfig.from_pretrained(folder, trust_remote_code=False, local_files_only=True)
    except Exception:  # it is told when the model is loaded
        return
    if type(config) not in AutoModelForCausalLM._model_mapping:
        raise InputError(
            f"{name} is a {config.model_type}, of which transformers has no causal language model: give a model that "
            "AutoModelForCausalLM can load, such as smollm2-135m"
        )


def _check_whole(name: str, loaded: dict[str, Any]) -> None:
    """Check that the weights of a checkpoint are those of the model, all of them and no others.

    Where some are missing transformers draws them at random, each time others; what has another shape it refuses.
    """
    for kind, what in {"missing": "it lacks", "unexpected": "that model has no place for"}.items():
        if found := loaded[f"{kind}_keys"]:
            raise ResourceError(
                f"the checkpoint of {name} is not that of the language model that transformers makes of its config: "
                f"{what} {_few(found)}; give one that was saved with the whole of it, and nothing else"
            )


def _few(names: Any) -> str:
    shown = sorted(names)
    return ", ".join(shown[:3]) + (f" and {len(shown) - 3} more" if len(shown) > 3 else "")


def shared_model(name: str, device: str = "auto", dtype: str = "float32") -> LoadedModel:
    """Load a model as `load_model` does, or return the one loaded last: it is frozen, so runs can share it.

    ``device="spread"`` divides it over all devices there are, as transformers' ``device_map="auto"`` does.
    """
    device = device if device == "spread" else resolve_device(device)
    return _shared(name, device, resolve_dtype(dtype, device), _weights_of(name))


Weights: TypeAlias = tuple[tuple[Path, int, int], ...]
"""Path, size and time of each file: a folder of the same name may have other weights later."""


@lru_cache(maxsize=1)
def _shared(name: str, device: str, dtype: str, _weights: Weights) -> LoadedModel:
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
    if dtype != "auto":
        if dtype not in DTYPES:
            raise InputError(f"dtype {dtype!r} is unknown: give auto or one of {', '.join(DTYPES)}")
        return dtype
    return "bfloat16" if _kind(device) in ("cpu", "cuda") and computes("bfloat16", device) else "float32"


def computes(dtype: str, device: str = "auto") -> bool:
    """Whether a device computes a precision itself; those of 16 bits are imitated by many, which takes longer.

    Parameters
    ----------
    dtype, device
        As in a config.

    Raises
    ------
    InputError
        For an unknown device.
    """
    import torch

    kind = _kind(device)
    if dtype == "float16" and kind == "cpu":
        return bool(torch.ops.mkldnn._is_mkldnn_fp16_supported())
    if dtype != "bfloat16" or kind not in ("cpu", "cuda"):
        return True
    if kind == "cuda":
        return bool(torch.cuda.is_bf16_supported(including_emulation=False))
    return bool(torch.cpu._is_avx512_bf16_supported() or torch.cpu._is_amx_tile_supported())


def _kind(device: str) -> str:
    import torch

    return torch.device(resolve_device("auto" if device == "spread" else device)).type


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
        return {"name": name, "source": f"pypi: {packages}", "gguf_sha256": source.sha256}
    if isinstance(source, HubSource):
        cached = None if source.pinned else fetching.cached_snapshot(source)
        revision = cached.name if cached else source.revision or "not pinned"
        return {"name": name, "source": f"hub: {source.repo}", "revision": revision}
    fetch(name)
    return {"name": source.resolve().name, "source": "folder", "safetensors_sha256": _digest(_weights_of(name))}


def _weights_of(name: str) -> Weights:
    """Files of the weights in a local folder; none where the name leads elsewhere."""
    if name in MODELS:
        return ()
    files = [path.resolve() for path in sorted(_path(name).glob("*.safetensors"))]
    return tuple((path, path.stat().st_size, path.stat().st_mtime_ns) for path in files)


@lru_cache(maxsize=64)
def _digest(weights: Weights) -> str:
    digest = hashlib.sha256()
    for path, _, _ in weights:
        with path.open("rb") as file:
            while chunk := file.read(1 << 20):
                digest.update(chunk)
    return digest.hexdigest()


def _path(name: str) -> Path:
    return Path(os.path.expanduser(name))  # noqa: PTH111 - as it stands where the user is unknown


def _folder(name: str) -> Path:
    return cache_dir() / "models" / name


def _source(name: str) -> WheelSource | HubSource | Path:
    """Where a name leads: a registered source, a local folder, or a hub id with or without a revision."""
    if name in MODELS:
        return MODELS[name].source
    folder = _path(name)
    if name and folder.is_dir():
        return folder
    if match := re.fullmatch(r"(\w[\w.-]*/\w[\w.-]*)(?:@(\S+))?", name, re.ASCII):
        return HubSource(match[1], match[2])
    raise InputError(
        f"unknown model {name!r}: give one of {', '.join(MODELS)}, a hub id (organisation/name) or an existing folder"
    )
