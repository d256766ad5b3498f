"""Settings by name: of presets, and of methods where no preset is given."""

from typing import Any

PRESETS: dict[str, float] = {"paper": 5e-5, "tuned": 3e-2, "fast": 3e-2, "public-code": 5e-6}
"""Learning rates by preset: as printed; what suits cross-entropy alone best on GSM8K with the embedded model, by the
rule in ``data/sweeps/learning_rate.yaml``; that of `FAST`; that of `PUBLIC_CODE`."""

FAST: dict[str, Any] = {"init": "vocabulary", "warmup_steps": 5, "beta2": 0.95, "weight_decay": 0.0}
"""Further fields that the preset ``fast`` sets where they are not given."""

PUBLIC_CODE: dict[str, Any] = {
    **{"n_tokens": 40, "init": "text", "init_text": " ".join(["x"] * 40), "placement": "suffix"},
    **{"position_encoding": "sinusoidal", "optimizer": "adam", "answer_every": 2},
}
"""Further fields that the preset ``public-code`` sets where they are not given. It leaves the precision of the
prompt alone, which is float16 there: ``prompt_dtype``."""

SETTINGS: dict[str, dict[str, Any]] = {"fast": FAST, "public-code": PUBLIC_CODE}
"""Further fields by preset."""

SUITED: dict[str, dict[str, Any]] = {name: FAST | {"n_tokens": 4} for name in ("grasp", "cocoop")}
"""Fields that a method sets where neither they nor a preset are given. A bank of noise is so short that the first step
overshoots, and so alike that the gate has next to no gradient; from words of the vocabulary the loss falls at once."""


def settings_of(preset: str | None, method: str | None) -> dict[str, Any]:
    """Return the fields that a preset sets or, where none is given, the method; None: not given."""
    return SUITED.get(method or "", {}) if preset is None else SETTINGS.get(preset, {})
