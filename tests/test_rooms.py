"""The library is a house: rooms import only from rooms below them, and no file is in a circle."""

import ast
import importlib
from pathlib import Path

import pytest

from tslib.study.book import rooms

ARROWS = list(rooms.arrows())
UPWARDS = {
    # what it hands on on demand, for the imports of before the store moved up
    ("records", "runs.store"),
    # a store of evaluations makes what it lacks, and a look at one should not open transformers
    ("runs.evaluations", "runs.evaluation"),
}
"""Arrows upwards, or round in a circle, each in a function and with its reason."""


def upwards(found):
    """Arrows that run up, but for those of `UPWARDS`; the package itself hands on from everywhere."""
    rank = rooms.ORDER.index
    return [
        f"tslib.{one} imports tslib.{other}, which is above it"
        for one, other, inside in found
        if one and rank(rooms.room(one)) < rank(rooms.room(other)) and not (inside and (one, other) in UPWARDS)
    ]


def test_no_arrow_runs_upwards():
    assert upwards(ARROWS) == []


def test_the_reasons_are_all_needed():
    assert {(one, other) for one, other, _ in ARROWS} >= UPWARDS


def test_no_file_is_in_a_circle():
    assert rooms.circle({(one, other) for one, other, _ in ARROWS if one and (one, other) not in UPWARDS}) == []


def test_only_commands_import_the_study():
    assert {
        rooms.room(one) for one, other, _ in ARROWS if other.startswith("study") and not one.startswith("study")
    } == {"commands"}


@pytest.fixture
def house(tmp_path):
    """Sources in a folder of their own, by the names of their modules."""

    def build(**sources):
        for name, source in sources.items():
            path = tmp_path / "tslib" / f"{name.replace('__', '/')}.py"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(source, encoding="utf-8")
        return list(rooms.arrows(tmp_path))

    return build


def test_an_arrow_upwards_is_named_with_both_ends(house):
    found = house(
        losses__tsloss="def f():\n    from tslib.prompts import encoding\n",
        prompts__encoding="from tslib.losses.tsloss import TSLoss\n",
    )
    assert upwards(found) == ["tslib.losses.tsloss imports tslib.prompts.encoding, which is above it"]
    circle = rooms.circle({(one, other) for one, other, _ in found})
    assert circle == ["losses.tsloss", "prompts.encoding", "losses.tsloss"]


def test_imports_of_every_form_are_seen(house):
    found = house(errors="", stats="import tslib.errors\n", config="if True:\n    from tslib import errors, stats\n")
    assert found == [
        ("config", "errors", False),
        ("config", "stats", False),
        ("stats", "errors", False),
    ]


def test_a_file_beside_the_rooms_is_refused():
    with pytest.raises(ValueError, match=r"^tslib\.kitchen\.sink is in no room: add it to ORDER"):
        rooms.room("kitchen.sink")


def test_the_picture_is_of_the_code_as_it_is():
    assert rooms.PICTURE.read_text(encoding="utf-8") == rooms.draw(), "python -m tslib.study.book.rooms draws it anew"


SOURCES = sorted((rooms.ROOT / "tslib").rglob("*.py"))


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: str(path.relative_to(rooms.ROOT)))
def test_modules_are_short(path: Path):
    assert len(path.read_text(encoding="utf-8").splitlines()) <= 400


def test_rooms_are_small():
    lines = dict.fromkeys(rooms.ORDER, 0)
    for path in SOURCES:
        if name := rooms.module_of(path):
            lines[rooms.room(name)] += len(path.read_text(encoding="utf-8").splitlines())
    large = {name: count for name, count in lines.items() if count > (3150 if name == "tasks" else 2500)}
    assert set(large) <= {name for name in rooms.ORDER if name.startswith("study")}, large


@pytest.mark.parametrize("path", [path for path in SOURCES if path.name == "__init__.py"], ids=str)
def test_packages_only_say_what_they_are_and_hand_on(path: Path):
    body = ast.parse(path.read_text(encoding="utf-8")).body
    assert isinstance(body[0], ast.Expr)
    if path.parent == rooms.ROOT / "tslib":
        return
    module = importlib.import_module(".".join(path.parent.relative_to(rooms.ROOT).parts))
    assert module.__doc__
    for statement in body[1:]:
        hands_on = isinstance(statement, ast.ImportFrom) or ast.unparse(statement).startswith("__all__ = ")
        asks = isinstance(statement, ast.Expr) and ast.unparse(statement).startswith("needs(")
        later = isinstance(statement, ast.FunctionDef) and statement.name == "__getattr__"
        later |= isinstance(statement, ast.If) and ast.unparse(statement.test) == "TYPE_CHECKING"
        assert hands_on or asks or later, ast.unparse(statement)
