"""Stage 0: the start of a projector, its training in a few steps, its record, and the gate."""

import dataclasses
import json
from collections import Counter

import pytest
import torch

from tslib.errors import InputError, ResourceError
from tslib.models import loading as models
from tslib.tasks import TASKS, load_task
from tslib.tuning.align_config import AlignConfig
from tslib.tuning.alignment import Gate, align, caption, keep, measure_gate, record, unmeasured
from tslib.vision import projector as projectors
from tslib.vision.encoders import averaged
from tslib.vision.pictures import grids
from tslib.vision.projector import (
    Projector,
    cells,
    class_words,
    committed_path,
    load_projector,
    projector_identity,
    ridge_start,
)
from tslib.vision.scenes import CLASSES, METRES, Scene, Shape, make_scene
from tslib.vision.tasks import _made

CELL = 28 * METRES


@pytest.fixture
def few(monkeypatch, tiny_model, own_cache):
    """A handful of scenes, the tiny model, and a config for both."""
    monkeypatch.setattr(type(TASKS["aerial-scenes"]), "pictures", {"align": 8, "validation": 4, "train": 1, "test": 1})
    _made.cache_clear()
    yield AlignConfig(model=tiny_model, scenes=8, held_out=4, steps=12, batch_size=4, lr=0.01, device="cpu")
    _made.cache_clear()


def square(kind: str, row: int, column: int, share: float = 1.0) -> Shape:
    left, top = column * CELL, row * CELL
    right, bottom = left + CELL, top + share * CELL
    return Shape(kind, ((left, top), (right, top), (right, bottom), (left, bottom)))


def test_cells_and_captions_by_hand():
    scene = Scene("made", (square("water", 0, 0), square("commercial building", 5, 6, 0.4), square("road", 7, 0, 0.4)))
    found = cells(scene).view(8, 8)
    assert found[0, 0] == CLASSES.index("water")
    assert found[5, 6] == CLASSES.index("commercial building"), "a building counts threefold"
    assert Counter(found.flatten().tolist())[0] == 62
    assert caption(scene) == (
        "upper left: water; upper right: grass; lower left: road; lower right: commercial building."
    )


def test_the_start_knows_what_is_where(smollm2_135m, few):
    projector = ridge_start("vit-s14", *smollm2_135m, count=8, progress=False)
    words = class_words(*smollm2_135m)
    keys = [f"aerial-scenes/align/{number}" for number in range(8)]
    made = projector(averaged(grids(keys, progress=False))).flatten(0, 1)
    shown = torch.cat([cells(make_scene(key)) for key in keys])
    nearest = torch.cdist(made, words).argmin(-1)
    most = Counter(shown.tolist()).most_common(1)[0][1] / len(shown)
    assert float((nearest == shown).float().mean()) > max(0.85, most + 0.1)
    # what the MLP adds begins at nothing
    assert torch.equal(
        made,
        projector.linear((averaged(grids(keys, progress=False)) - projector.mean) / projector.spread).flatten(0, 1),
    )


def test_a_tiny_run_is_kept_with_its_record(few, tmp_path, monkeypatch):
    projector, steps = align(few, progress=False)
    assert list(steps) == ["loss", "lr"]
    assert len(steps) == 12
    assert steps["loss"].iloc[-3:].mean() < steps["loss"].iloc[:3].mean()
    assert projector.outer.weight.abs().max() > 0
    _, same = align(few, progress=False)
    assert same.equals(steps), "the same config gives the same numbers"
    gate = measure_gate(projector, few, progress=False)
    assert set(gate.seen) == set(gate.blind)
    assert gate.low <= gate.difference <= gate.high
    assert gate.is_open == (gate.difference >= 0.1)
    closed = [row for row in load_task("aerial-scenes", "validation") if row.id.split("/")[2] in gate.seen]
    assert gate.rows == len(closed)

    monkeypatch.setattr(projectors, "COMMITTED", tmp_path)
    path = keep(projector)
    assert unmeasured(few) == path
    assert unmeasured(dataclasses.replace(few, seed=1)) is None
    said = json.loads(record(path, gate).read_text())
    assert unmeasured(few) is None
    assert said["config"]["seed"] == 0
    assert said["gate"]["rows"] == gate.rows
    assert said["losses"] == steps["loss"].round(4).tolist()
    assert said["environment"]["machine"]
    loaded = models.shared_model(few.model, "cpu", "float32")
    found = load_projector("vit-s14", few.model, *loaded)
    assert projector_identity(found) == projector_identity(projector) | {"kind": "trained"}
    assert not any(parameter.requires_grad for parameter in found.parameters())


def test_the_committed_one_is_that_of_its_record(smollm2_135m):
    path = committed_path("smollm2-135m", "vit-s14")
    said = json.loads(path.with_suffix(".json").read_text())
    gate = Gate(**{name: value for name, value in said.pop("gate").items() if name != "is_open"})
    found = load_projector("vit-s14", "smollm2-135m", *smollm2_135m)
    assert found.about == said, "it was taken, and is of these weights"
    assert AlignConfig(**said["config"]) == AlignConfig(), "as was declared"
    assert len(said["losses"]) == said["config"]["steps"]
    closed = [row for row in load_task("aerial-scenes", "validation") if row.id.split("/")[2] in gate.seen]
    assert (gate.rows, gate.pictures) == (len(closed), said["config"]["held_out"])


def test_without_a_committed_one_the_start_is_made_once(few, monkeypatch, capsys, tmp_path):
    monkeypatch.setattr(projectors, "RIDGE_SCENES", 4)
    monkeypatch.setattr(projectors, "COMMITTED", tmp_path)
    loaded = models.shared_model(few.model, "cpu", "float32")
    monkeypatch.setattr(projectors, "ridge_start", lambda *args, **_: ridge_start(*args, count=4, progress=False))
    first = load_projector("vit-s14", few.model, *loaded)
    assert "no trained projector of vit-s14 for" in capsys.readouterr().err
    second = load_projector("vit-s14", few.model, *loaded)
    assert capsys.readouterr().err == ""
    assert projector_identity(first) == projector_identity(second)
    assert projector_identity(first)["kind"] == "ridge"


def test_projectors_that_do_not_fit(few, tmp_path):
    loaded = models.shared_model(few.model, "cpu", "float32")
    Projector(384, 40).save(tmp_path / "wide.safetensors", {})
    with pytest.raises(InputError, match=r"makes tokens of 40 numbers, .* embeds its own in 16: give"):
        load_projector(str(tmp_path / "wide.safetensors"), few.model, *loaded)
    (tmp_path / "bad.safetensors").write_bytes(b"nothing")
    with pytest.raises(ResourceError, match=r"bad\.safetensors is no projector"):
        load_projector(str(tmp_path / "bad.safetensors"), few.model, *loaded)
    with pytest.raises(InputError, match="unknown encoder of pictures 'eyes'"):
        load_projector("eyes", few.model, *loaded)


def test_configs_are_checked():
    with pytest.raises(InputError, match="steps must be at least 1, not 0"):
        AlignConfig(steps=0)
    with pytest.raises(InputError, match="captions is a share and lr above 0; given 2"):
        AlignConfig(captions=2.0)
