"""What defines a tuning run, and an evaluation: frozen dataclasses that check themselves when they are made.

Imports ``errors``.
"""

from tslib.config.methods import GUIDED, METHODS, Method
from tslib.config.run import (
    FAST,
    PRESETS,
    PUBLIC_CODE,
    REPLAYED,
    SCHEMA_VERSION,
    SETTINGS,
    STRICT,
    SUITED,
    Dtype,
    EvalConfig,
    Hashed,
    TaskName,
    TuneConfig,
    explain,
    settings_of,
)

__all__ = [
    "FAST",
    "GUIDED",
    "METHODS",
    "PRESETS",
    "PUBLIC_CODE",
    "REPLAYED",
    "SCHEMA_VERSION",
    "SETTINGS",
    "STRICT",
    "SUITED",
    "Dtype",
    "EvalConfig",
    "Hashed",
    "Method",
    "TaskName",
    "TuneConfig",
    "explain",
    "settings_of",
]
