"""Soft prompts as PEFT's adapters: a tuned prompt out, anyone's adapter in.

`tslib.interop.clouds` says which of its rows a model sees together. The folder of an adapter has
``adapter_config.json`` and ``adapter_model.safetensors``, as PEFT writes them.
"""

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from tslib.config import METHODS
from tslib.errors import InputError, ResourceError
from tslib.interop.clouds import KEY, LAYERED, Clouds, seen, tensors
from tslib.prompts.initial import encoding_of, entering, scale_of
from tslib.prompts.soft_prompt import StatePrompt, StateShape
from tslib.records.durable import LARGEST
from tslib.records.record import RunRecord
from tslib.runs.store import RunStore
from tslib.tuning.memory import config_of

__all__ = ["Adapter", "cloud", "clouds", "load_adapter", "push_adapter", "save_adapter"]

SIZES = {"num_layers": "num_hidden_layers", "num_attention_heads": "num_attention_heads"}
"""What PEFT's config of a prompt says of its model, and the name that every config of transformers answers to."""
MOST = 8
"""Names that an error lists."""
CONFIG, WEIGHTS, PICKLE = "adapter_config.json", "adapter_model.safetensors", "adapter_model.bin"


@dataclass(frozen=True)
class Adapter:
    """An adapter with virtual tokens.

    Attributes
    ----------
    values
        (n, d) what enters the model, in float32; of prefix tuning (layers, n, w), of each virtual token in a layer its
        key and its value; of several tasks (tasks, n, d).
    base_model
        Name of its model, as the adapter says; may be empty.
    kind
        PEFT's name for the method, such as ``PREFIX_TUNING``.
    names
        What each cloud is of, where there are several and they are not one a layer.
    """

    values: Float[Tensor, "*clouds n d"]
    base_model: str
    kind: str = ""
    names: tuple[str, ...] = ()

    def check(self, model: Any) -> None:
        """Raise an InputError if a model embeds tokens in another number of dimensions, or has other layers."""
        if self.kind in LAYERED or (not self.kind and self.values.ndim == 3):
            StatePrompt(self.values, StateShape.of(model))
            return
        width = model.get_input_embeddings().weight.shape[1]
        if self.values.shape[-1] != width:
            raise InputError(
                f"the adapter has virtual tokens of {self.values.shape[-1]} dimensions, for the model "
                f"{self.base_model or '(not named)'!r}; the model given embeds tokens in {width}: load its own model"
            )


def save_adapter(record: RunRecord, folder: Path, *, step: int | None = None) -> Path:
    """Write the prompt of a run as an adapter that ``peft.PeftModel.from_pretrained`` loads.

    PEFT puts the values into the model as they are, so a prompt that is trained at another scale is saved times it. An
    encoder is not saved: what comes out of it is.
    A README.md beside it says what the prompt is and how to load it.

    Parameters
    ----------
    record
        The run.
    folder
        Where the adapter goes.
    step
        Checkpoint of the run; by default the last.

    Raises
    ------
    InputError
        If the prompt is a suffix or depends on a picture, which PEFT does not have, or the run has no prompt (LoRA) or
        none of that step.
    ResourceError
        If the prompts of the run are not in this machine's cache.
    """
    from safetensors.torch import save_file

    config = record.config
    if config.placement != "prefix":
        raise InputError(f"PEFT puts a prompt before the question; the prompt of run {config.hash} is a suffix")
    if config.method == "lora":
        raise InputError(f"run {config.hash} has no soft prompt to save: it is the reference line with LoRA")
    if METHODS[config.method].resume:
        raise InputError(f"the prompt of run {config.hash} depends on picture and question, which PEFT has none of")
    step, values = _values_at(record, step)
    values = values.float()
    if values.ndim == 2:
        values = entering(values, scale_of(config, values), encoding_of(config, values))
    folder.mkdir(parents=True, exist_ok=True)
    _settings(record, values).save_pretrained(str(folder))
    flat = values if values.ndim == 2 else values.transpose(0, 1).flatten(1)
    save_file({KEY: flat.contiguous()}, folder / WEIGHTS, metadata={"format": "pt"})
    (folder / "README.md").write_text(_card(record, step), encoding="utf-8")
    return folder


def _values_at(record: RunRecord, step: int | None) -> tuple[int, Tensor]:
    """Prompt of a run at a checkpoint, by default the last."""
    if not record.prompts:
        raise ResourceError(
            f"the prompts of run {record.config.hash} are not in this machine's cache: tune it here again (--force)"
        )
    step = max(record.prompts) if step is None else step
    if step not in record.prompts:
        raise InputError(f"run {record.config.hash} has no prompt of step {step}; it has {sorted(record.prompts)}")
    return step, record.prompts[step]


def _settings(record: RunRecord, values: Tensor) -> Any:
    """PEFT's config of an adapter with these values."""
    from peft import PrefixTuningConfig, PromptEncoderConfig, PromptTuningConfig, TaskType

    shared: dict[str, Any] = {
        "task_type": TaskType.CAUSAL_LM,
        "base_model_name_or_path": record.config.model,
        "inference_mode": True,
    }
    shared |= {"num_virtual_tokens": values.shape[-2]}
    if values.ndim == 2:
        kind = PromptEncoderConfig if record.config.method == "p-tuning" else PromptTuningConfig
        text = config_of(record.config.model).get_text_config()
        # PEFT loads no prompt without these, uses them for none, and does not know all names that configs have for them
        shared |= {name: getattr(text, of, None) or 1 for name, of in SIZES.items()}
        return kind(token_dim=values.shape[-1], **shared)
    from tslib.models import loading as models

    loaded = models.shared_model(record.config.model, record.config.device, record.config.dtype)
    shape = StateShape.of(loaded.model)
    width = shape.points // 2
    return PrefixTuningConfig(
        token_dim=width,
        num_layers=shape.layers,
        num_attention_heads=shape.heads,
        encoder_hidden_size=width,
        **shared,
    )


def push_adapter(folder: Path, name: str, *, private: bool = True) -> str:
    """Upload the folder of an adapter, with its model card, to the Hugging Face hub; return its address.

    Parameters
    ----------
    folder
        As `save_adapter` writes it.
    name
        ``user/name`` on the hub; made if it is not there.
    private
        Whether others may not see it, if it is made.

    Raises
    ------
    ResourceError
        If the folder is no adapter, or the hub cannot be reached or refuses.
    """
    from httpx2 import HTTPError  # what the hub's client raises of a network that fails, and does not wrap
    from huggingface_hub import HfApi
    from huggingface_hub.errors import HFValidationError

    load_adapter(folder)
    try:
        hub = HfApi()
        hub.create_repo(name, private=private, exist_ok=True)
        hub.upload_folder(repo_id=name, folder_path=folder, allow_patterns=[CONFIG, WEIGHTS, "README.md"])
    except (HFValidationError, HTTPError, OSError) as error:
        said = " ".join(str(error).split())[:300]
        raise ResourceError(
            f"{folder} could not be uploaded as {name!r} ({type(error).__name__}: {said}): check the name, the network "
            "and `hf auth login`"
        ) from error
    return f"{hub.endpoint}/{name}"


def _card(record: RunRecord, step: int) -> str:
    """The model card: what the prompt is, by its record."""
    from huggingface_hub import ModelCardData

    config = record.config
    data = ModelCardData(library_name="peft", tags=[config.method, "tslib"])
    changed = {name: value for name, value in config.as_dict().items() if value not in (None, "")}
    settings = "\n".join(f"| {name} | {value} |" for name, value in changed.items())
    found = "not within the steps" if record.iterations_to_correct is None else str(record.iterations_to_correct)
    environment = record.environment
    return f"""---
{data.to_yaml()}
---

# A soft prompt of {config.n_tokens} virtual tokens for {config.model}

Tuned by tslib {environment["tslib"]} (code {environment["code"]}) on {config.samples} sample(s) of {config.task};
this is the prompt of step {step}. Iterations until every token of its samples was right: {found}.

```python
from peft import PeftModel
model = PeftModel.from_pretrained(base_model, "this folder")  # base_model: {config.model}, by transformers
```

| setting | value |
| --- | --- |
{settings}
"""


def load_adapter(source: str | Path) -> Adapter:
    """Read an adapter with virtual tokens: a folder, or an id on the Hugging Face hub.

    Only JSON and safetensors are read. What an adapter has beside its virtual tokens, such as the head of a classifier
    or embeddings, is left aside.

    Raises
    ------
    InputError
        If it is an adapter of another kind, or has rows that PEFT never gives to a model.
    ResourceError
        If there is none, or it is not as PEFT writes it.
    """
    folder = Path(source)
    if not folder.is_dir():
        folder = _pulled(str(source))
    path = folder / CONFIG
    try:
        if not path.is_file():
            raise ValueError(f"it has no {CONFIG}{_among(folder.glob(f'*/{CONFIG}'), 'the folder of one')}")
        if path.stat().st_size > LARGEST:
            raise ValueError(f"{CONFIG} has more than {LARGEST} bytes")
        said = json.loads(path.read_text(encoding="utf-8"))
        kind, base = said["peft_type"], said.get("base_model_name_or_path") or ""
        if not (isinstance(kind, str) and isinstance(base, str)):
            raise TypeError("peft_type and base_model_name_or_path are texts")
        found = seen(said, _values(folder / WEIGHTS, tensors(kind)))
    except InputError as error:
        raise InputError(f"the adapter {folder} cannot be read: {error}") from error
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        reason = f"{type(error).__name__}: {' '.join(str(error).split())}"
        raise ResourceError(f"{folder} is not a PEFT adapter that can be read ({reason})") from error
    return Adapter(found.values.contiguous(), base, kind, found.names)


def _among(paths: Iterable[Path], what: str) -> str:
    """Say where else to look."""
    names = sorted(path.parent.name if path.name == CONFIG else path.name for path in paths)
    return f"; give {what} that it has: {', '.join(names[:MOST])}" if names else ""


def _values(path: Path, names: Sequence[str]) -> dict[str, Tensor]:
    from safetensors import SafetensorError, safe_open

    if not path.is_file():
        others = ", ".join(sorted(other.name for other in path.parent.glob("*.safetensors"))[:MOST])
        raise ValueError(
            f"it has no {WEIGHTS}, {f'but {others}' if others else 'the one file that PEFT writes'}; pickled weights "
            f"({PICKLE}) are not read, since they can run code: save them with safe_serialization=True"
        )
    try:
        with safe_open(path, framework="pt") as file:
            if lacking := set(names) - set(file.keys()):
                raise ValueError(f"{path.name} has no {sorted(lacking)}; it has {sorted(file.keys())[:MOST]}")
            values = {name: file.get_tensor(name) for name in names}
    except SafetensorError as error:
        raise ValueError(f"{path.name}: {error}") from error
    if wrong := {name: str(value.dtype) for name, value in values.items() if not value.is_floating_point()}:
        raise ValueError(f"{path.name} has no floats: {wrong}")
    return {name: value.to(torch.float32) for name, value in values.items()}


def _pulled(name: str) -> Path:
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HfHubHTTPError, HFValidationError, LocalEntryNotFoundError

    try:
        return Path(snapshot_download(name, allow_patterns=[CONFIG, WEIGHTS]))
    except (HFValidationError, HfHubHTTPError, LocalEntryNotFoundError, OSError) as error:
        raise ResourceError(
            f"{name!r} is neither a folder here nor an adapter on the hub that can be had ({type(error).__name__})"
        ) from error


def cloud(source: str | Path) -> Float[Tensor, "*clouds n d"]:
    """Virtual tokens of an adapter, or of a run's last prompt where the folder is a record."""
    return clouds(source).values


def clouds(source: str | Path) -> Clouds:
    """Virtual tokens as `cloud` has them, with what each cloud is of."""
    folder = Path(source)
    if not (folder / "record.json").is_file():
        adapter = load_adapter(source)
        return Clouds(adapter.values, adapter.names)
    record = RunStore(folder.parent).load(folder)
    if record.config.method == "lora":
        raise InputError(f"run {record.config.hash} has no soft prompt: it is the reference line with LoRA")
    return Clouds(_values_at(record, None)[1])
