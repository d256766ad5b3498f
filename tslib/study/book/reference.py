"""An extension of Sphinx: what it has to be told to print the docstrings and the configs of tslib for a reader.

The chapter "Reference" is made by Sphinx's autodoc from the docstrings. A config's type would be printed as pydantic
keeps it, ``Annotated[int, FieldInfo(annotation=NoneType, required=True, metadata=[Ge(ge=1)])]``; here it becomes
``int``, and what is allowed a sentence.
"""

from collections.abc import Iterable
from dataclasses import InitVar
from functools import reduce
from operator import or_
from types import UnionType
from typing import Annotated, Any, Union, get_args, get_origin

from sphinx.application import Sphinx

from tslib.config import EvalConfig, TuneConfig
from tslib.losses.registry import REGULARIZERS
from tslib.prompts.methods import METHODS
from tslib.runs.sweeps import Grid

CONFIGS = (TuneConfig, EvalConfig, Grid)
NAMES: dict[str, Iterable[str]] = {"method": METHODS, "regularizer": REGULARIZERS}
"""Fields of a config that take a name of a table, short enough to be printed."""

WORDS = {
    "Ge": "at least {0.ge}",
    "Gt": "above {0.gt}",
    "MinLen": "not empty",
    "MaxLen": "{0.max_length} characters at most",
}
"""Rules of pydantic by the names of their types."""
FAR = ("Lt", "Le")
"""Rules that only keep numbers within what a computer can hold, which nobody needs to read."""


def plain(annotation: Any) -> Any:
    """Take what is allowed out of a type: ``Annotated[int, Field(ge=1)] | None`` becomes ``int | None``."""
    if isinstance(annotation, InitVar):
        return plain(annotation.type)
    if get_origin(annotation) is Annotated:
        return plain(get_args(annotation)[0])
    if get_origin(annotation) in (Union, UnionType):
        return reduce(or_, map(plain, get_args(annotation)))
    return annotation


def limits(annotation: Any) -> list[str]:
    """Return what a type allows, in words; nothing where it allows all its values."""
    if isinstance(annotation, InitVar):
        return limits(annotation.type)
    if get_origin(annotation) in (Union, UnionType):
        return [word for part in get_args(annotation) for word in limits(part)]
    if get_origin(annotation) is not Annotated:
        return []
    rules = [rule for field in get_args(annotation)[1:] for rule in getattr(field, "metadata", [])]
    return [WORDS[type(rule).__name__].format(rule) for rule in rules if type(rule).__name__ not in FAR]


def allowed(config: type, field: str, annotation: Any) -> str:
    """Say in a sentence what a field of a config may be; an empty string where its type says all."""
    if config is TuneConfig and field in NAMES:
        return f"Allowed: {', '.join(f'``{name}``' for name in NAMES[field])}."
    said = limits(annotation)
    return f"Allowed: {', '.join(said)}." if said else ""


ALLOWED = {
    f"{config.__module__}.{config.__qualname__}.{field}": allowed(config, field, annotation)
    for config in CONFIGS
    for field, annotation in config.__annotations__.items()
}


def simplify(app: Sphinx) -> None:
    """Give the configs plain types, in the process that makes the pages."""
    for config in CONFIGS:
        config.__annotations__ = {field: plain(annotation) for field, annotation in config.__annotations__.items()}


def amend(app: Sphinx, what: str, name: str, obj: Any, options: Any, lines: list[str]) -> None:
    """Add what is allowed to a field's docstring."""
    if what in ("attribute", "property"):
        lines[:0] = ["..", ""]  # a comment: else napoleon takes what stands before a colon in the first line for a type
        if sentence := ALLOWED.get(name):
            lines += ["", sentence, ""]


def skip(app: Sphinx, what: str, name: str, obj: Any, skipped: bool, options: Any) -> bool | None:
    """Leave out the fields of named tuples, which stand in the signature and under Attributes."""
    return True if type(obj).__name__ == "_tuplegetter" else None


def setup(app: Sphinx) -> dict[str, bool]:
    """Take part in a build; called by Sphinx."""
    app.connect("builder-inited", simplify)
    app.connect("autodoc-process-docstring", amend, priority=400)  # napoleon's is 500
    app.connect("autodoc-skip-member", skip)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
