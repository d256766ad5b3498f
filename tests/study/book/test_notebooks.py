"""The notebooks: paired, without outputs, parameterised, short functions, and they run."""

import ast
import re
from pathlib import Path

import jupytext
import nbformat
import papermill
import pytest

from tslib.runs.store import RunStore
from tslib.study.book.build import EXECUTED, KERNEL
from tslib.study.book.pages import parameters
from tslib.study.book.reuse import digests, reused

ROOT = Path(__file__).resolve().parents[3]
NOTEBOOKS = sorted((ROOT / "notebooks").glob("*.ipynb"))
TINY = {"model": "tiny"}
QUICK = {
    "00_persistent_homology": {},
    "01_tsloss_by_hand": {"steps": 20},
    "02_structural_evolution": TINY | {"max_steps": 2, "topology_every": 1},
    "03_convergence": TINY | {"max_steps": 2, "seeds": 1},
    "04_benchmarks_and_models": TINY | {"max_steps": 1, "samples": 2, "limit": 2, "contexts": [256]},
    "04_sensitivity": TINY | {"max_steps": 2, "values": [0.1, 10.0]},
    "05_baselines": TINY | {"max_steps": 2, "regularizers": ["none", "tsloss"]},
    "07_causation": TINY | {"max_steps": 2, "regularizers": ["none", "push-h0-up"]},
    "09_verdicts": {},
    "08_meaning": TINY | {"max_steps": 2, "topology_every": 1},
    "10_your_own_training": TINY | {"steps": 2, "method_steps": 1},
    "11_grasp": TINY | {"steps": 2, "held_out": 4, "samples": 2},
    "11_what_tsloss_does": {"draws": 2, "seeds": 1, "steps": 60},
    "12_intervals": {"draws": 20},
    "13_replies": {},
    "14_recipe": TINY | {"max_steps": 2},
    "start": TINY | {"max_steps": 2, "topology_every": 1},
    "06_cost": TINY | {"batch": 1, "question": 45, "answer": 4, "steps": 3},
}
"""Parameters with which each takes seconds; the model "tiny" is a narrow one of two layers."""
CHANGED = {"task": "two-hop", "lr": 0.011, "n_tokens": 7, "dtype": "bfloat16", "init": "vocabulary"}
"""Settings of those that tune, other than their own."""
OF_PICTURES = {"11_grasp": {"task": "aerial-scenes/closed"}}
"""Tasks of those that need pictures."""
# Kernels are started by jupyter_client, whose sockets and loops are not this project's to close.
pytestmark = [
    pytest.mark.filterwarnings("ignore:.*:DeprecationWarning:jupyter_client"),
    pytest.mark.filterwarnings("ignore:.*:ResourceWarning"),
]


def parameters_of(path):
    """A notebook's parameters and their defaults."""
    cells = nbformat.read(path, as_version=4).cells
    return next(parameters(cell) for cell in cells if "parameters" in cell.metadata.get("tags", []))


def test_every_notebook_is_run_here():
    assert {path.stem for path in NOTEBOOKS} == set(QUICK)


def test_the_run_that_two_chapters_share_has_the_same_parameters():
    """What 02 has tuned 08 reads, and says so."""
    chapters = [ROOT / "notebooks" / f"{name}.ipynb" for name in ("02_structural_evolution", "08_meaning")]
    one, other = map(parameters_of, chapters)
    assert one == other


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_paired_and_without_outputs(path):
    notebook = nbformat.read(path, as_version=4)
    code = [cell for cell in notebook.cells if cell.cell_type == "code"]
    assert all(not cell.outputs and cell.execution_count is None for cell in code)
    script = jupytext.read(path.with_suffix(".py"))
    assert [(c.cell_type, c.source) for c in notebook.cells] == [(c.cell_type, c.source) for c in script.cells]


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_structure(path):
    cells = nbformat.read(path, as_version=4).cells
    assert cells[0].cell_type == "markdown"
    assert cells[0].source.startswith("# ")
    parameters = [cell for cell in cells if "parameters" in cell.metadata.get("tags", [])]
    assert len(parameters) == 1
    names = [node.targets[0].id for node in ast.parse(parameters[0].source).body]
    assert set(QUICK[path.stem]) <= set(names)
    for cell in cells:
        if cell.cell_type == "code":
            for node in ast.walk(ast.parse(cell.source)):
                if isinstance(node, ast.FunctionDef):
                    assert node.end_lineno - node.lineno + 1 <= 11, f"{node.name} is longer than ten lines"


def test_lines_that_run_a_notebook_have_its_parameters():
    """In the book's own pages, the README and the notebooks' own text."""
    sources = [ROOT / "README.md", *(ROOT / "book").glob("*.md"), *(path.with_suffix(".py") for path in NOTEBOOKS)]
    text = re.sub(r"\\\n|\n# ", " ", "\n".join(path.read_text(encoding="utf-8") for path in sources))
    lines = re.findall(r"papermill\s+notebooks/(\w+)\.ipynb\s+out\.ipynb([^`\n]*)", text)
    assert len(lines) > 10
    for name, given in lines:
        known = parameters_of(ROOT / "notebooks" / f"{name}.ipynb")
        assert set(re.findall(r" -[py] +\"?(\w+)", given)) <= known.keys(), (name, given)


def is_built(path, monkeypatch):
    """Whether a notebook's page in the book is made of what there is now."""
    with monkeypatch.context() as as_built:
        for only_here in ("TSLIB_REQUIRE_BROWSER", "TSLIB_KERNELS"):
            as_built.delenv(only_here, raising=False)
        return bool(reused(EXECUTED, digests([path])))


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_runs_with_other_settings_and_without_a_word_on_stderr(path, tiny_folder, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PYDEVD_DISABLE_FILE_VALIDATION", "1")
    quick = QUICK[path.stem] | ({"model": str(tiny_folder)} if TINY.items() <= QUICK[path.stem].items() else {})
    own = parameters_of(path)
    if "settings" in own:
        changed = CHANGED | OF_PICTURES.get(path.stem, {})
        quick |= {"settings": changed}
    if not quick and is_built(path, monkeypatch):  # by the same parameters
        done = nbformat.read(EXECUTED / path.name, as_version=4)
    else:
        done = papermill.execute_notebook(path, tmp_path / path.name, quick, progress_bar=False, extra_arguments=KERNEL)
    figures = 0
    for cell in done.cells:
        for output in cell.get("outputs", []):
            progress = "remove-stderr" in cell.metadata.get("tags", [])
            assert output.get("name") != "stderr" or progress, output.text
            figures += "image/png" in output.get("data", {})
    fewest = {"09_verdicts": 0, "13_replies": 2}  # verdicts are words; more replies get a figure as their runs come
    assert figures >= fewest.get(path.stem, 3)
    if {"settings", "store"} <= own.keys():
        table = RunStore(tmp_path / "runs").table()
        arrived = (table[list(changed)] == list(changed.values())).all(axis=1)
        if path.stem == "10_your_own_training":  # which runs all methods and regularisers, too
            arrived = arrived[table["max_steps"] == QUICK[path.stem]["steps"]]
        assert len(arrived)
        assert arrived.all()
