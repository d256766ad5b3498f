"""The projector: from the 64 averaged tokens of a picture to what a language model is given for it.

One that was trained is committed beside its record (`tslib.tuning.alignment` trains it). Where there is none, its start
is used: a ridge regression from what an encoder sees to the embeddings of the words for it, which takes a minute and is
kept in the cache.
"""

import hashlib
import json
import re
import sys
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor, nn
from torch.nn import functional

from tslib.errors import InputError, ResourceError
from tslib.models import loading as models
from tslib.vision.encoders import averaged, encoder_identity, find_encoder
from tslib.vision.pictures import SCENES, grids
from tslib.vision.scenes import CLASSES, PIXELS, Scene, make_scene

__all__ = [
    "COMMITTED",
    "SIDE",
    "TOKENS",
    "Projector",
    "load_projector",
    "projector_identity",
    "ridge_start",
    "weights_of",
]

SIDE = 8
TOKENS = SIDE * SIDE
"""Tokens of a picture: 8 × 8, row by row."""
COMMITTED = Path(__file__).resolve().parents[2] / "data" / "projectors"
"""Where the trained projectors are, in a checkout of the project."""
RIDGE_SCENES = 200
RIDGE = 0.1
"""Ridge, in variances of a number that an encoder gives."""


class Projector(nn.Module):
    """A linear map and an MLP beside it, whose output is added: z = A x + b + W₂ gelu(W₁ x + c), W₂ = 0 at the start.

    Parameters
    ----------
    given
        Numbers of an encoder's token, x, which are standardised one by one.
    width
        Size of an embedded token of the language model.
    encoder
        Name of the encoder.
    """

    mean: Tensor
    spread: Tensor

    def __init__(self, given: int, width: int, encoder: str = "vit-s14") -> None:
        super().__init__()
        self.encoder = encoder
        self.about: dict[str, Any] = {}
        self.register_buffer("mean", torch.zeros(given))
        self.register_buffer("spread", torch.ones(given))
        self.linear, self.inner, self.outer = nn.Linear(given, width), nn.Linear(given, width), nn.Linear(width, width)
        for parameter in self.outer.parameters():
            nn.init.zeros_(parameter)

    def forward(self, tokens: Float[Tensor, "p t c"]) -> Float[Tensor, "p t d"]:
        """Return what enters the language model."""
        given = (tokens - self.mean) / self.spread
        projected: Tensor = self.linear(given) + self.outer(functional.gelu(self.inner(given)))
        return projected

    def save(self, path: Path, about: dict[str, Any], dtype: torch.dtype = torch.float32) -> None:
        """Write it as safetensors in a precision, and what is said of it into the header."""
        from safetensors.torch import save_file

        path.parent.mkdir(parents=True, exist_ok=True)
        tensors = {name: value.detach().to("cpu", dtype).contiguous() for name, value in self.state_dict().items()}
        temporary = path.with_name(f".{path.name}.new")
        save_file(tensors, temporary, {"encoder": self.encoder, "about": json.dumps(about)})
        temporary.replace(path)

    @classmethod
    def read(cls, path: Path) -> "Projector":
        """Read one that `save` wrote, frozen.

        Raises
        ------
        ResourceError
            If it cannot be read, or is something else.
        """
        from safetensors import SafetensorError, safe_open

        try:
            with safe_open(path, framework="pt") as file:
                said = file.metadata() or {}
                names = file.keys()  # what was opened is no dict
                tensors = {name: file.get_tensor(name).float() for name in names}
            width, given = tensors["linear.weight"].shape
            found = cls(given, width, said["encoder"])
            found.load_state_dict(tensors)
            found.about = json.loads(said["about"])
        except (OSError, SafetensorError, KeyError, ValueError, RuntimeError) as error:
            cause = " ".join(str(error).split())[:200]
            raise ResourceError(
                f"{path} is no projector ({type(error).__name__}: {cause}): give one that align makes"
            ) from error
        return found.eval().requires_grad_(False)


def load_projector(name: str, model_name: str, model: Any, tokenizer: Any, *, progress: bool = True) -> Projector:
    """Load the projector that a config names.

    Parameters
    ----------
    name
        An encoder: then the committed projector of encoder and model, or, where there is none, the start of one. Or a
        file that ends in ``.safetensors``.
    model_name, model, tokenizer
        The language model, by the name that a config gives it and as transformers has it.
    progress
        Say what is being done.

    Raises
    ------
    InputError
        For an unknown encoder, or a projector of another language model's width.
    ResourceError
        If encoder or file cannot be had.
    """
    if name.endswith(".safetensors"):
        found = Projector.read(Path(name))
    else:
        found = _committed(name, model_name) or _started(name, model_name, model, tokenizer, progress)
    weight = model.get_input_embeddings().weight
    if found.linear.out_features != weight.shape[1]:
        raise InputError(
            f"the projector {name} makes tokens of {found.linear.out_features} numbers, {model_name} embeds its own in "
            f"{weight.shape[1]}: give one of this model"
        )
    return found.to(weight.device)


def _committed(name: str, model_name: str) -> Projector | None:
    path = committed_path(model_name, name)
    if not path.is_file():
        return None
    found = Projector.read(path)
    return found if found.about.get("weights") == weights_of(model_name) else None


def committed_path(model_name: str, encoder: str) -> Path:
    """Return where the trained projector of a model and an encoder is, whether or not it is there."""
    plain = re.sub(r"[^\w.-]+", "-", model_name).strip("-")
    return COMMITTED / f"{plain}_{find_encoder(encoder).name}.safetensors"


def weights_of(model_name: str) -> dict[str, str]:
    """Return what tells a language model's weights from all others', without its name."""
    return {key: value for key, value in models.identity(model_name).items() if key not in ("name", "source")}


def projector_identity(projector: Projector) -> dict[str, str]:
    """What tells a projector from all others, for a record: encoder, how it came about, and a digest of its values."""
    digest = hashlib.sha256()
    for name, value in sorted(projector.state_dict().items()):
        digest.update(f"{name} {tuple(value.shape)}".encode())
        digest.update(value.cpu().contiguous().numpy().tobytes())
    kind = str(projector.about.get("kind", "made"))
    return {"encoder": encoder_identity(projector.encoder)["name"], "kind": kind, "sha256": digest.hexdigest()[:16]}


def _started(encoder: str, model_name: str, model: Any, tokenizer: Any, progress: bool) -> Projector:
    """The start of a projector, out of the cache where it is there."""
    about = {"kind": "ridge", "weights": weights_of(model_name), "encoder": encoder_identity(encoder)}
    key = hashlib.sha256(json.dumps([about, RIDGE, RIDGE_SCENES], sort_keys=True).encode()).hexdigest()[:16]
    path = models.cache_dir() / "projectors" / f"{key}.safetensors"
    if path.is_file():
        return Projector.read(path)
    if progress:
        print(
            f"no trained projector of {encoder} for {model_name} is committed: its start is computed from "
            f"{RIDGE_SCENES} generated scenes, once, about a minute",
            file=sys.stderr,
        )
    ridge_start(encoder, model, tokenizer, progress=progress).save(path, about)
    return Projector.read(path)


def ridge_start(
    encoder: str, model: Any, tokenizer: Any, *, count: int = RIDGE_SCENES, seed: int = 0, progress: bool = True
) -> Projector:
    """Start a projector: its linear part is the ridge solution from tokens of scenes to embeddings of class words.

    Parameters
    ----------
    encoder
        A name of `tslib.vision.encoders.ENCODERS`.
    model, tokenizer
        Of transformers.
    count
        Scenes of the split ``align`` that it is made of.
    seed
        Of the MLP's first layer.
    progress
        Show a progress bar.
    """
    keys = [f"{SCENES}align/{number}" for number in range(count)]
    seen = averaged(grids(keys, encoder, progress=progress), SIDE).flatten(0, 1).double()  # (count · 64, c)
    shown = torch.cat([cells(make_scene(key)) for key in keys])
    words = class_words(model, tokenizer)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        projector = Projector(seen.shape[1], words.shape[1], encoder)
    projector.mean.copy_(seen.mean(0))
    projector.spread.copy_(seen.std(0))
    given, wanted = (seen - seen.mean(0)) / seen.std(0), words.double().cpu()[shown]
    middle = wanted.mean(0)
    square = given.T @ given + RIDGE * len(given) * torch.eye(given.shape[1], dtype=torch.float64)
    solution = torch.linalg.solve(square, given.T @ (wanted - middle))  # (c, d)
    with torch.no_grad():
        projector.linear.weight.copy_(solution.T)
        projector.linear.bias.copy_(middle)
    return projector


def class_words(model: Any, tokenizer: Any) -> Float[Tensor, "k d"]:
    """Return what a model embeds the names of the classes as; of a name of several tokens their mean."""
    embed = model.get_input_embeddings()
    with torch.no_grad():
        ids = [tokenizer(f" {name}", add_special_tokens=False)["input_ids"] for name in CLASSES]
        return torch.stack([embed(torch.tensor(own, device=embed.weight.device)).float().mean(0) for own in ids])


def cells(scene: Scene) -> Int[Tensor, "64"]:
    """Return the class of each of the 64 cells of a scene: what most of it shows, a building counting threefold."""
    size = PIXELS // SIDE
    blocks = scene.labels.reshape(SIDE, size, SIDE, size).swapaxes(1, 2).reshape(TOKENS, -1)
    counts = np.stack([(blocks == kind).sum(1) for kind in range(len(CLASSES))], 1)
    counts[:, -2:] *= 3
    return torch.from_numpy(counts.argmax(1))
