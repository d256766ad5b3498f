"""Sweep files of a few lines."""

from pathlib import Path

from tslib.runs.sweeps import Sweep


def grid(text: str) -> str:
    return f"title: t\ngrids:\n  - {{name: g, {text}}}\n"


def sweep_of(path: Path, text: str) -> Sweep:
    path.write_text(text)
    return Sweep.load(path)
