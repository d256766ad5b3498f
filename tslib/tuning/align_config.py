"""What defines the training of a projector; apart, since to look at it should not take torch."""

from dataclasses import dataclass

from tslib.errors import InputError

__all__ = ["AlignConfig"]


@dataclass(frozen=True)
class AlignConfig:
    """How a projector is trained. The defaults are those that the committed one is to be made with.

    Attributes
    ----------
    model, encoder
        Names of the language model and of the encoder.
    scenes
        Scenes of the split ``align``.
    steps, batch_size
        Optimiser steps, and rows of each.
    captions
        Share of the rows that are captions; the others are questions.
    lr
        Peak of the rate, which rises for a tenth of the steps and falls on a cosine.
    seed
        Start of the MLP, and order of the rows.
    held_out
        Scenes of the split ``validation`` that the gate is measured on.
    dtype, device
        As for a run.
    """

    model: str = "smollm2-135m"
    encoder: str = "vit-s14"
    scenes: int = 1500
    steps: int = 400
    batch_size: int = 16
    captions: float = 0.25
    lr: float = 1e-3
    seed: int = 0
    held_out: int = 200
    dtype: str = "float32"
    device: str = "auto"

    def __post_init__(self) -> None:
        """Check the numbers."""
        for name in ("scenes", "steps", "batch_size", "held_out"):
            if getattr(self, name) < 1:
                raise InputError(f"{name} must be at least 1, not {getattr(self, name)}")
        if not 0 <= self.captions <= 1 or self.lr <= 0:
            raise InputError(f"captions is a share and lr above 0; given {self.captions} and {self.lr}")
