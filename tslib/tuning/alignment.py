"""Stage 0: a projector learns to make a frozen language model see, and whether it does.

It learns on generated scenes of the split ``align``, from captions and short questions, beginning with the ridge
solution. The gate of all that follows is measured on scenes that it never met: by how much the frozen model with the
projector, and no prompt, beats a table of the questions.
"""

import dataclasses
import json
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import numpy as np
import pandas as pd
import torch
from torch import nn
from tqdm import tqdm

from tslib.errors import InputError
from tslib.models import loading as models
from tslib.prompts import probe
from tslib.prompts.encoding import Encoded, context_of, encode_all
from tslib.prompts.forward import forward, logits_of
from tslib.prompts.soft_prompt import SoftPrompt
from tslib.records.provenance import environment
from tslib.tasks.base import Example
from tslib.tasks.registry import load_task
from tslib.tuning.align_config import AlignConfig
from tslib.vision.encoders import encoder_identity
from tslib.vision.pictures import SCENES
from tslib.vision.projector import TOKENS, Projector, committed_path, ridge_start, weights_of
from tslib.vision.questions import SEEN
from tslib.vision.scenes import CLASSES, QUARTERS, Scene, make_scene
from tslib.vision.scores import blind, by_kind
from tslib.vision.sight import Sight, opened
from tslib.vision.tasks import kind_of

__all__ = ["AlignConfig", "Gate", "align", "caption", "keep", "measure_gate", "record", "unmeasured"]

ENOUGH = 0.1
"""By how much the frozen model has to beat the table of questions, of presence and of comparison."""
CLOSED = ("presence", "comparison")


def caption(scene: Scene) -> str:
    """Say what one sees in each quarter of a scene."""
    said = []
    for quarter in QUARTERS:
        seen = [kind for kind in CLASSES[1:] if scene.area(kind, quarter) >= SEEN]
        said.append(f"{quarter}: {', '.join(seen) or 'grass'}")
    return f"{'; '.join(said)}."


def captions(scenes: int) -> list[Example]:
    """Rows that ask for a caption of each of the first scenes of ``align``."""
    keys = [f"{SCENES}align/{number}" for number in range(scenes)]
    rows = [(f"{SCENES}align/caption/{number}", caption(make_scene(key))) for number, key in enumerate(keys)]
    asked = "Describe the quarters of the picture."
    return [Example(name, asked, said, said, (), key) for (name, said), key in zip(rows, keys, strict=True)]


def align(config: AlignConfig, *, progress: bool = True) -> tuple[Projector, pd.DataFrame]:
    """Train a projector; return it with one row a step: loss and learning rate.

    Raises
    ------
    InputError
        If there are fewer scenes than asked for.
    ResourceError
        If model or encoder cannot be had.
    """
    started = time.time()
    asked = _of_first(load_task("aerial-scenes", "align"), config.scenes)
    told = captions(config.scenes)
    model, tokenizer = _loaded(config)
    projector = ridge_start(config.encoder, model, tokenizer, count=min(200, config.scenes), seed=config.seed)
    sight = Sight(model, tokenizer, projector.to(model.get_input_embeddings().weight.device))
    sight.look(told, progress=progress)
    rows = [_encoded(sight, part) for part in (told, asked)]
    nothing = SoftPrompt(sight.embed.weight.new_zeros(0, sight.embed.weight.shape[1]))
    optimizer = torch.optim.AdamW(projector.parameters(), lr=config.lr, weight_decay=0.01)
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        *(optimizer, config.lr), total_steps=config.steps, pct_start=0.1, cycle_momentum=False
    )
    steps = []
    with opened(sight), tqdm(total=config.steps, desc="stage 0", disable=not progress, leave=False) as bar:
        for batch in _batches(config, *rows):
            optimizer.zero_grad()
            outcome = forward(model, nothing, batch, grad=True)
            outcome.loss.backward()
            nn.utils.clip_grad_norm_(projector.parameters(), 1.0)
            steps.append({"loss": float(outcome.loss.detach()), "lr": schedule.get_last_lr()[0]})
            optimizer.step()
            schedule.step()
            bar.set_postfix(loss=f"{steps[-1]['loss']:.3f}")
            bar.update()
    rounded = projector.half().float().eval().requires_grad_(False)  # as it is kept
    rounded.about = {
        "kind": "trained",
        "weights": weights_of(config.model),
        "encoder": encoder_identity(config.encoder),
        "config": dataclasses.asdict(config),
        "losses": [round(float(step["loss"]), 4) for step in steps],
        "environment": environment(config.model, sight.embed.weight.device, started),
    }
    return rounded, pd.DataFrame(steps)


def _of_first(rows: Sequence[Example], scenes: int) -> list[Example]:
    return [row for row in rows if int(row.picture.rpartition("/")[2]) < scenes]


def _loaded(config: AlignConfig) -> tuple[Any, Any]:
    model, tokenizer = cast("tuple[Any, Any]", models.shared_model(config.model, config.device, config.dtype))
    probe.remember(model, config.model)
    probe.check(model)
    return model, tokenizer


def _encoded(sight: Sight, examples: Sequence[Example]) -> list[Encoded]:
    context = context_of(sight.model)
    rows = encode_all(sight.tokenizer, examples, n_tokens=TOKENS, context=context, vocabulary=sight.first)
    return sight.put(rows, examples)


def _batches(config: AlignConfig, told: Sequence[Encoded], asked: Sequence[Encoded]) -> Iterator[list[Encoded]]:
    """Yield batches drawn at random, so many of their rows captions."""
    generator = torch.Generator().manual_seed(config.seed)
    few = round(config.captions * config.batch_size)
    for _ in range(config.steps):
        drawn = [(told, few), (asked, config.batch_size - few)]
        yield [
            rows[index]
            for rows, count in drawn
            for index in torch.randint(len(rows), (count,), generator=generator).tolist()
        ]


@dataclass(frozen=True)
class Gate:
    """What a frozen model with a projector, and no prompt, sees on scenes that neither met.

    Attributes
    ----------
    seen, blind
        Accuracy by kind of question: of the model, which takes the likelier of yes and no, and of the table.
    low, high
        Ends of the 95 % interval of the difference over `CLOSED`: a bootstrap over pictures.
    rows, pictures
        How many.
    """

    seen: dict[str, float]
    blind: dict[str, float]
    difference: float
    low: float
    high: float
    rows: int
    pictures: int

    @property
    def is_open(self) -> bool:
        """Whether the model beats the table by ten points, of presence and of comparison together."""
        return self.difference >= ENOUGH


@torch.no_grad()
def measure_gate(projector: Projector, config: AlignConfig, *, progress: bool = True) -> Gate:
    """Measure the gate of stage 0 on held-out scenes."""
    held_out = _of_first(load_task("aerial-scenes", "validation"), config.held_out)
    rows = [row for row in held_out if kind_of(row.id) in (*CLOSED, "quarter")]
    table = blind("table", _of_first(load_task("aerial-scenes", "align"), config.scenes), rows)
    model, tokenizer = _loaded(config)
    sight = Sight(model, tokenizer, projector.to(model.get_input_embeddings().weight.device))
    sight.look(rows, progress=progress)
    with opened(sight):
        scores = _closed(sight, rows, progress)
    gained: dict[str, list[float]] = {}
    for row in rows:
        if kind_of(row.id) in CLOSED:
            gained.setdefault(row.picture, []).append(scores[row.id] - table[row.id])
    difference, low, high = _over_pictures(list(gained.values()))
    return Gate(by_kind(scores), by_kind(table), difference, low, high, len(rows), len(gained))


def _closed(sight: Sight, examples: Sequence[Example], progress: bool) -> dict[str, float]:
    """Score of each closed question: whether the likelier first token of yes and no is that of the answer."""
    first = {
        said: _encoded(sight, [dataclasses.replace(examples[0], target=said)])[0].target[0] for said in ("yes", "no")
    }
    if first["yes"] == first["no"]:
        raise InputError("yes and no begin with the same token of this model: it cannot be asked so")
    scores = {}
    with tqdm(total=len(examples), desc="stage 0, held out", disable=not progress, leave=False) as bar:
        for start in range(0, len(examples), 32):
            part = examples[start : start + 32]
            questions = [Encoded(row.question, []) for row in _encoded(sight, part)]
            logits = logits_of(sight.model, None, questions, keep=1)[:, -1]
            for example, own in zip(part, logits, strict=True):
                said = max(first, key=lambda word: float(own[first[word]]))
                scores[example.id] = float(said == example.answer)
            bar.update(len(part))
    return scores


def _over_pictures(gained: Sequence[Sequence[float]]) -> tuple[float, float, float]:
    """Mean over rows, and the ends of its 95 % interval when pictures are drawn anew (cluster bootstrap)."""
    sums, counts = np.array([sum(own) for own in gained]), np.array([len(own) for own in gained])
    drawn = np.random.Generator(np.random.PCG64(0)).integers(len(sums), size=(10_000, len(sums)))
    means = sums[drawn].sum(1) / counts[drawn].sum(1)
    low, high = np.quantile(means, (0.025, 0.975))
    return float(sums.sum() / counts.sum()), float(low), float(high)


def keep(projector: Projector, path: Path | None = None) -> Path:
    """Write a trained projector, with all but its gate; by default where the committed ones are. Return its file."""
    target = _target(AlignConfig(**projector.about["config"]), path)
    target.with_suffix(".json").unlink(missing_ok=True)  # of the one that was there
    projector.save(target, projector.about, torch.float16)
    return target


def unmeasured(config: AlignConfig, path: Path | None = None) -> Path | None:
    """Return the file of the projector that a config has trained, if it is there and its gate was never measured."""
    target = _target(config, path)
    if not target.is_file() or target.with_suffix(".json").is_file():
        return None
    return target if Projector.read(target).about.get("config") == dataclasses.asdict(config) else None


def record(path: Path, gate: Gate) -> Path:
    """Write the record of a projector, ``.json`` beside it: how it was trained, by what machine, and its gate."""
    said = Projector.read(path).about | {"gate": dataclasses.asdict(gate) | {"is_open": gate.is_open}}
    target = path.with_suffix(".json")
    target.write_text(json.dumps(said, indent=1) + "\n", encoding="utf-8")
    return target


def _target(config: AlignConfig, path: Path | None) -> Path:
    return committed_path(config.model, config.encoder) if path is None else path
