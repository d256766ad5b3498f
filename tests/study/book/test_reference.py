"""The book's reference, its numbered equations and its glossary: whole, unique, and in use; and what is packaged."""

import ast
import importlib
import inspect
import re
import tomllib
from pathlib import Path

import pytest
from docutils import nodes
from docutils.core import publish_doctree
from setuptools import find_packages

import tslib
from tslib.config import TuneConfig
from tslib.study.book.reference import allowed, plain

ROOT = Path(__file__).resolve().parents[3]
MODULES = [
    *("config", "errors", "stats", "tasks.base", "tasks.registry", "models.loading", "models.registry"),
    *("topology.diagrams", "topology.meaning", "topology.nulls", "prompts.methods", "prompts.soft_prompt"),
    *(
        f"losses.{name}"
        for name in ("baselines", "controls", "descent", "distances", "persistence", "registry", "tsloss")
    ),
    *("records.provenance", "records.record", "tuning.loop", "study.paper", "study.shapes", "study.structure"),
    "study.treatment",
    *("interop.adapters", "interop.clouds", "interop.trainer"),
    *("tuning.alignment", "tuning.align_config", "study.places"),
    *(
        f"{room}.{path.stem}"
        for room in ("kernels", "vision")
        for path in sorted((ROOT / "tslib" / room).glob("[a-z]*.py"))
    ),
    *(f"runs.{name}" for name in ("audit", "evaluation", "evaluations", "rerun", "store", "sweeps")),
    *(f"study.plots.{path.stem}" for path in sorted((ROOT / "tslib" / "study" / "plots").glob("[a-z]*.py"))),
]
REFERENCE = "\n".join(
    path.read_text(encoding="utf-8")
    for path in [ROOT / "book" / "reference.md", *sorted((ROOT / "book" / "reference").glob("*.md"))]
)
GLOSSARY = (ROOT / "book" / "glossary.md").read_text(encoding="utf-8")


def page(path: Path) -> str:
    """A page's Markdown: of a notebook, that of its markdown cells."""
    text = path.read_text(encoding="utf-8")
    if path.suffix == ".md":
        return text
    cells = re.split(r"^# %%", text, flags=re.MULTILINE)
    markdown = [cell.partition("\n")[2] for cell in cells if cell.startswith(" [markdown]")]
    return re.sub(r"^# ?", "", "\n".join(markdown), flags=re.MULTILINE)


PAGES = {
    path.name: page(path)
    for path in [*sorted((ROOT / "book").glob("*.md")), *sorted((ROOT / "notebooks").glob("*.py"))]
}


def public(name: str) -> list[str]:
    """Names of the public functions and classes that a module defines."""
    module = importlib.import_module(f"tslib.{name}")
    package = hasattr(module, "__path__")  # which hands on what its files define
    return [
        member
        for member, value in vars(module).items()
        if (inspect.isfunction(value) or inspect.isclass(value))
        and (value.__module__ == module.__name__ or (package and value.__module__.startswith(f"{module.__name__}.")))
        and not member.startswith("_")
        and member in getattr(module, "__all__", [member])
    ]


@pytest.mark.parametrize("module", MODULES)
def test_every_public_name_has_an_entry(module):
    block = re.search(rf"^\.\. automodule:: tslib\.{module}\n((?:   .*\n)*)", REFERENCE, re.MULTILINE)
    assert block, f"no automodule of tslib.{module} in book/reference"
    if ":members:" in block.group(1):  # Sphinx takes them all
        return
    entries = re.findall(
        rf"^\.\. auto(?:class|function|exception):: tslib\.{module}\.(\w+)(?:\(|$)", REFERENCE, re.MULTILINE
    )
    assert sorted(entries) == sorted(public(module))


def test_every_entry_names_something():
    for kind, name in re.findall(r"^\.\. auto(class|function|exception|data):: ([\w.]+)", REFERENCE, re.MULTILINE):
        module, _, member = name.rpartition(".")
        value = getattr(importlib.import_module(module), member)
        assert inspect.isfunction(value) == (kind == "function"), name


CODE = re.compile(r"[\w.]+ = .*\w\(.*\)|[\w.]+\(.*\)|import \S+")


@pytest.mark.parametrize("module", MODULES)
def test_code_in_a_docstring_is_set_as_code(module):
    """Lines of it would run together in a paragraph, and be words in a quotation."""
    tree = ast.parse(Path(inspect.getfile(importlib.import_module(f"tslib.{module}"))).read_text(encoding="utf-8"))
    documented = (node for node in ast.walk(tree) if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef))
    for said in filter(None, map(ast.get_docstring, documented)):
        prose = re.split(r"\n\w[\w ]*\n-+\n", said)[0]  # without the sections of parameters, errors and so on
        parsed = publish_doctree(prose, settings_overrides={"report_level": 5})
        assert not list(parsed.findall(nodes.block_quote)), said
        lines = [line for found in parsed.findall(nodes.paragraph) for line in found.astext().splitlines()]
        assert list(filter(CODE.fullmatch, lines)) == [], said


def test_every_name_of_tslib_is_in_the_table():
    rows = dict(re.findall(r"^\| `tslib\.(\w+)` \| \{py:\w+\}`([\w.]+)`", REFERENCE, re.MULTILINE))
    assert sorted(rows) == tslib.__all__
    for name, home in rows.items():
        module, _, member = home.rpartition(".")
        assert getattr(importlib.import_module(module), member) is getattr(tslib, name)


def test_pages_of_the_reference_are_in_the_table_of_contents():
    contents = (ROOT / "_toc.yml").read_text(encoding="utf-8")
    listed = re.findall(r"file: book/reference/(\w+)", contents)
    assert sorted(listed) == sorted(path.stem for path in (ROOT / "book" / "reference").glob("*.md"))


def test_every_displayed_equation_has_a_label_of_its_own():
    labels = []
    for name, text in PAGES.items():
        assert not re.search(r"\$\$|\\begin\{(equation|align|gather)\*?\}", text), f"{name}: no label"
        blocks = re.findall(r"^ *```\{math\}\n *(.*)$", text, re.MULTILINE)
        for first in blocks:
            assert re.fullmatch(r":label: eq-[a-z0-9-]+", first), f"{name}: {first}"
        labels += [first.removeprefix(":label: ") for first in blocks]
    assert len(labels) == len(set(labels))
    chapters = "\n".join(text for name, text in PAGES.items() if name not in ("reference.md", "glossary.md"))
    assert set(re.findall(r"\{eq\}`([^`]+)`", chapters)) == set(labels)
    assert set(re.findall(r"(?:\{eq\}|:eq:)`([^`]+)`", REFERENCE)) == set(labels)


def test_every_table_has_a_head():
    for name, text in PAGES.items():
        for block in re.findall(r"(?:^\|.*\n?)+", text, re.MULTILINE):
            assert re.match(r"\|.*\n\|[-| :]+\|(\n|$)", block), f"{name}: rows cut off from their table: {block[:60]}"


def terms() -> set[str]:
    body = re.search(r"```\{glossary\}\n:sorted:\n(.*?)\n```", GLOSSARY, re.DOTALL)
    return set(re.findall(r"^(\S.*)$", body.group(1), re.MULTILINE))


def test_the_glossary_and_the_pages_agree():
    used = set()
    for name, text in PAGES.items():
        if name != "glossary.md":
            given = [
                re.sub(r"^.*<(.+)>$", r"\1", term, flags=re.DOTALL) for term in re.findall(r"\{term\}`([^`]+)`", text)
            ]
            assert len(given) == len(set(given)), f"{name} links a term twice"
            used |= {" ".join(term.split()).lower() for term in given}
    assert used == {term.lower() for term in terms()}


def test_the_allowed_values_are_those_of_the_config():
    types = TuneConfig.__annotations__
    assert (plain(types["lr"]), allowed(TuneConfig, "lr", types["lr"])) == (float | None, "Allowed: above 0.")
    assert allowed(TuneConfig, "samples", types["samples"]) == "Allowed: at least 1."
    assert "``tsloss-printed``" in allowed(TuneConfig, "regularizer", types["regularizer"])
    assert allowed(TuneConfig, "stop_when_correct", types["stop_when_correct"]) == ""


def test_every_package_is_installed():
    found = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["tool"]["setuptools"]["packages"][
        "find"
    ]
    folders = {".".join(path.parent.relative_to(ROOT).parts) for path in (ROOT / "tslib").rglob("__init__.py")}
    assert set(find_packages(str(ROOT), **found)) == folders
    assert {path.parent for path in (ROOT / "tslib").rglob("*.py")} == {
        ROOT / Path(*name.split(".")) for name in folders
    }
