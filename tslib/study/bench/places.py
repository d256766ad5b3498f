"""What prompts that are tied to places cost: a step beside one with a static prompt, and looking at a picture."""

import time
from typing import Any

from tslib.config import TuneConfig
from tslib.tuning.loop import tune
from tslib.vision.encoders import load_encoder
from tslib.vision.pictures import AT_ONCE, SCENES, look

__all__ = ["WAYS", "looking", "steps"]

WAYS: dict[str, dict[str, Any]] = {
    "static": {"method": "prompt-tuning", "n_tokens": 4},
    "grasp": {"method": "grasp", "blocks": 16, "n_tokens": 4},
}
"""A static prompt with as many tokens in the input as the fused one of GRASP."""


def steps(rounds: int = 3, few: int = 4, rows: int = 4) -> dict[str, list[float]]:
    """Time tuning steps of each of `WAYS`, a few of the one and a few of the other in turns.

    Parameters
    ----------
    rounds
        How often each has its turn.
    few
        Steps of a turn; the first one is not counted.
    rows
        Questions about generated scenes in a step.

    Returns
    -------
    dict
        Seconds of each step, by way.
    """
    fields: dict[str, Any] = {
        **{"task": "aerial-scenes/closed", "samples": rows, "batch_size": rows, "max_steps": few, "device": "cpu"},
        **{"check_every": few, "answer_every": 0, "topology_every": few, "stop_when_correct": False},
    }
    found: dict[str, list[float]] = {way: [] for way in WAYS}
    for _ in range(rounds):
        for way, own in WAYS.items():
            found[way] += tune(TuneConfig(**fields, **own), progress=False).steps["seconds"].iloc[1:].tolist()
    return found


def looking(encoder: str = "vit-s14", pictures: int = 64) -> float:
    """Seconds a picture takes that no cache has: to be drawn, and to be looked at by an encoder.

    Parameters
    ----------
    encoder
        A name of `tslib.vision.encoders.ENCODERS`.
    pictures
        Generated scenes, as many at once as in use.
    """
    load_encoder(encoder)
    keys = [f"{SCENES}bench/{number}" for number in range(pictures)]
    begun = time.perf_counter()
    for start in range(0, pictures, AT_ONCE):
        look(keys[start : start + AT_ONCE], encoder)
    return (time.perf_counter() - begun) / pictures
