"""Topology-aware soft prompt tuning: TSLoss, exact persistent homology of soft prompts, and a tuning loop.

Names are imported when they are first used, so that ``import tslib`` is quick.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tslib.config import EvalConfig as EvalConfig
    from tslib.config import TuneConfig as TuneConfig
    from tslib.losses import TSLoss as TSLoss
    from tslib.models import load_model as load_model
    from tslib.runs import RunStore as RunStore
    from tslib.runs.evaluation import evaluate as evaluate
    from tslib.tasks import load_task as load_task
    from tslib.topology import persistence_diagrams as persistence_diagrams
    from tslib.topology import summarize as summarize
    from tslib.tuning import tune as tune

_HOME = {
    "EvalConfig": "config",
    "RunStore": "runs",
    "TSLoss": "losses",
    "TuneConfig": "config",
    "evaluate": "runs.evaluation",
    "load_model": "models",
    "load_task": "tasks",
    "persistence_diagrams": "topology",
    "summarize": "topology",
    "tune": "tuning",
}
__all__ = sorted(_HOME)


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module 'tslib' has no attribute {name!r}; it has {', '.join(__all__)}")
    return getattr(import_module(f"tslib.{_HOME[name]}"), name)


def __dir__() -> list[str]:
    return [*globals(), *__all__]
