"""Parameters of a notebook: those that papermill put in, checked; the fields of a run that they give; and paths."""

import ast
from collections.abc import Iterable, Mapping, MutableMapping
from difflib import SequenceMatcher
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter, ValidationError

from tslib.config import TuneConfig, explain
from tslib.errors import InputError

__all__ = ["check", "fields", "folder"]

INJECTED = "# Parameters\n"
"""What the cell begins with that papermill puts in."""
DEFAULTS = {name: field.default for name, field in TuneConfig.__dataclass_fields__.items()}
"""Fields of a run, and ``preset``, with their defaults."""


def check(given: MutableMapping[str, Any]) -> None:
    """Stop where papermill put in what a notebook has no parameter for, and give the others the type of their default.

    YAML reads ``1e-3`` as text, and papermill ``007`` as a number: what has a number as its default becomes one, and
    what has text as its default must be text.

    Parameters
    ----------
    given
        The notebook's ``globals()``, in the first cell after its parameters; values are replaced.

    Raises
    ------
    InputError
        For an unknown parameter, with the nearest known one first, and for a value of another type than the default.
    """
    declared, injected = _cells(given)
    for name in injected:
        if name not in declared:
            raise InputError(_unknown(name, declared))
        if declared[name] is not None and not isinstance(declared[name], dict):
            given[name] = _like(name, given[name], declared[name])


def fields(given: MutableMapping[str, Any], *own: str, **fixed: Any) -> dict[str, Any]:
    """Return the fields of a notebook's runs: what it fixes, its parameters that are fields, and its ``settings``.

    What comes later in this list goes before what comes earlier. A parameter that has the default of ``TuneConfig``
    counts as given only where papermill put it in, so that a preset can set it.

    Parameters
    ----------
    given
        As for `check`, which comes first.
    *own
        Fields that differ from run to run of this notebook: they are left out, and must not be in ``settings``.
    **fixed
        Fields that the notebook sets for all its runs.

    Returns
    -------
    dict
        For ``TuneConfig`` or a grid.

    Raises
    ------
    InputError
        As `check`; if ``settings`` has an unknown field or one of its ``own``; and where no run can have such fields.
    """
    check(given)
    declared, injected = _cells(given)
    settings = given["settings"]
    if not isinstance(settings, Mapping):
        raise InputError(f"settings={settings!r}: give a mapping, such as -y 'settings: {{lr: 0.01, n_tokens: 50}}'")
    for name in settings:
        if name not in DEFAULTS:
            raise InputError(f"settings: {name!r} is no field of a run; there are {_nearest_first(name, DEFAULTS)}")
        if name in own:
            raise InputError(f"settings: {name} differs from run to run here: use the notebook's own parameters")
    named = {name: given[name] for name in DEFAULTS if name in declared and name not in own}
    named = {name: value for name, value in named.items() if name in injected or value != DEFAULTS[name]}
    chosen = fixed | named | dict(settings)
    try:
        TuneConfig(**chosen)
    except ValidationError as error:
        raise InputError(explain(error)) from error
    return chosen


def folder(path: str) -> str:
    """Return a path as it is from the project's folder, for a notebook that is run there or in a folder below it.

    JupyterLab runs a notebook in the notebook's folder, papermill where it is called. Elsewhere, and where it is
    absolute or empty, a path is left as it is.
    """
    here = Path.cwd()
    project = next((one for one in (here, *here.parents) if (one / "notebooks" / "start.ipynb").is_file()), None)
    return str(project / path) if path and project not in (None, here) else path


def _cells(given: Mapping[str, Any]) -> tuple[dict[str, Any], set[str]]:
    """Return the parameters that cells declare, by a literal, with their defaults; and the names that papermill put in.

    Without IPython's history of cells all that is given is declared.
    """
    if "In" not in given:
        return dict(given), set()
    declared: dict[str, Any] = {}
    injected: set[str] = set()
    for cell in given["In"]:
        found = _assigned(cell)
        if cell.startswith(INJECTED):
            injected = set(found)
        else:
            declared |= {name: ast.literal_eval(value) for name, value in found.items() if _is_literal(value)}
    return declared, injected


def _assigned(cell: str) -> dict[str, ast.expr]:
    """Return what a cell assigns to names, in lines of their own."""
    try:
        statements = ast.parse(cell).body
    except SyntaxError:
        return {}
    return {
        target.id: statement.value
        for statement in statements
        if isinstance(statement, ast.Assign)
        for target in statement.targets
        if isinstance(target, ast.Name)
    }


def _is_literal(value: ast.expr) -> bool:
    try:
        ast.literal_eval(value)
    except ValueError:
        return False
    return True


def _unknown(name: str, declared: Mapping[str, Any]) -> str:
    if name in DEFAULTS and "settings" in declared:
        return f"{name} is a field of a run and no parameter of its own here: give -y 'settings: {{{name}: VALUE}}'"
    return f"{name!r} is no parameter of this notebook; there are {_nearest_first(name, declared)}"


def _nearest_first(name: Any, known: Iterable[str]) -> str:
    return ", ".join(sorted(known, key=lambda one: -SequenceMatcher(None, str(name), one).ratio()))


def _like(name: str, value: Any, default: Any) -> Any:
    """Return a value as the type that its default has."""
    try:
        return TypeAdapter(_kind(default)).validate_python(value)
    except ValidationError as error:
        said = error.errors(include_url=False)[0]["msg"]
        raise InputError(f"{name}={value!r}: {said}, as the default {default!r} is") from error


def _kind(default: Any) -> Any:
    """Return the type of a default; a list's items have one type."""
    if not isinstance(default, list):
        return type(default)
    kinds = [_kind(item) for item in default]
    return list[float if float in kinds else kinds[0]] if kinds else list  # type: ignore[misc]
