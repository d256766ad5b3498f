"""Parameters of a notebook, as the papermill command puts them in: typed, checked, and merged into fields of a run."""

import json
import re
import subprocess
import sys
from pathlib import Path

import nbformat
import pytest

from tslib.config import TuneConfig
from tslib.errors import InputError
from tslib.study import parameters

DECLARED = """\
model = "smollm2-135m"
task = "gsm-symbolic"
n_tokens = 20
weight = 1.0
steps = 3  # of this notebook alone
again = False
values = [0.1, 1.0]
names = ["none"]
lr = None
preset = "tuned"
settings = {}
store = "runs"
"""
CHECKED = """\
import json
from tslib.study import parameters
fields = parameters.fields(globals(), "seed", answer_every=0)
print(json.dumps([fields, steps, again, values, names, store]))
"""


@pytest.fixture
def notebook(tmp_path, monkeypatch):
    """Run a notebook of two cells by the papermill command; give its status, what it printed, and papermill's words."""
    cells = [nbformat.v4.new_code_cell(source, id=f"cell-{i}") for i, source in enumerate((DECLARED, CHECKED))]
    cells[0].metadata["tags"] = ["parameters"]
    kernel = {"kernelspec": {"name": "python3", "display_name": "Python 3", "language": "python"}}
    nbformat.write(nbformat.v4.new_notebook(cells=cells, metadata=kernel), tmp_path / "made.ipynb")
    monkeypatch.chdir(tmp_path)

    def run(*arguments):
        program = str(Path(sys.executable).parent / "papermill")
        command = [program, "made.ipynb", "out.ipynb", "--no-progress-bar", *arguments]
        done = subprocess.run(command, capture_output=True, text=True)
        outputs = [output for cell in nbformat.read("out.ipynb", 4).cells for output in cell.get("outputs", [])]
        printed = "".join(output.text for output in outputs if output.get("name") == "stdout")
        return done.returncode, printed, done.stderr

    return run


def test_what_papermill_is_given_arrives_as_what_it_is(notebook):
    given = ["-p", "lr", "1e-3", "-y", "weight: 1e-1", "-p", "steps", "007", "-y", "again: true"]
    given += ["-y", "values: [1e-3, 2]", "-y", "names: [tsloß, 'a b', '1e-3']", "-p", "store", "mÿ runs/ö"]
    given += [
        "-y",
        "settings: {n_tokens: 7, tau: 2e-1, max_context: null, stop_when_correct: false, init_text: 'Löse “x”'}",
    ]
    status, printed, said = notebook(*given)
    assert status == 0, said
    fields, *own = json.loads(printed)
    assert own == [7, True, [0.001, 2.0], ["tsloß", "a b", "1e-3"], "mÿ runs/ö"]
    assert fields == {
        **{"answer_every": 0, "weight": 0.1, "lr": 0.001, "n_tokens": 7, "tau": "2e-1", "max_context": None},
        **{"stop_when_correct": False, "init_text": "Löse “x”"},
    }
    assert TuneConfig(**fields).tau == 0.2, "a field takes text for a number"


@pytest.mark.parametrize(
    ("given", "line"),
    [
        (["-p", "stpes", "5"], r"'stpes' is no parameter of this notebook; there are steps, .*, settings\b.*"),
        (["-y", "settings: {learningrate: 1}"], r"settings: 'learningrate' is no field of a run; there are .*\blr\b.*"),
        (["-y", "settings: {lr: -1}"], r"lr=-1: Input should be greater than 0"),
    ],
    ids=["a parameter", "a field", "a value"],
)
def test_what_papermill_is_given_and_cannot_be_used_is_told_in_one_line(notebook, given, line):
    status, _, said = notebook(*given)
    assert status == 1
    told = said.partition("Exception encountered at ")[2].splitlines()[1:]
    assert re.fullmatch(f"InputError: {line}", "\n".join(told).strip()), said


def cells(*sources, **values):
    """A notebook's globals after these cells; the last is running."""
    return values | {"In": ["", *sources, "fields = ..."]}


@pytest.mark.parametrize(
    ("values", "line"),
    [
        ({"tau": 5}, "tau is a field of a run and no parameter of its own here: give -y 'settings: {tau: VALUE}'"),
        ({"settings": {"n_token": 1}}, "settings: 'n_token' is no field of a run; there are n_tokens, "),
        ({"settings": {"seed": 1}}, "settings: seed differs from run to run here: use the notebook's own parameters"),
        ({"settings": {"dtype": "int8"}}, "dtype='int8': Input should be 'float32', 'bfloat16', 'float16' or 'auto'"),
        ({"settings": {1: 2}}, "settings: 1 is no field of a run; there are "),
        ({"settings": "lr=1"}, "settings='lr=1': give a mapping, such as -y 'settings: {lr: 0.01, n_tokens: 50}'"),
        ({"task": "gsm9k"}, "task='gsm9k': unknown task 'gsm9k': choose one of "),
        ({"task": 7}, "task=7: Input should be a valid string, as the default 'gsm-symbolic' is"),
        ({"steps": "many"}, "steps='many': Input should be a valid integer, "),
    ],
)
def test_what_cannot_be_used(values, line):
    put_in = "# Parameters\n" + "\n".join(f"{name} = {value!r}" for name, value in values.items())
    declared = "task = 'gsm-symbolic'\nsteps = 3\nsettings = {}"
    given = cells(declared, put_in, **{"task": "gsm-symbolic", "steps": 3, "settings": {}} | values)
    with pytest.raises(InputError) as caught:
        parameters.fields(given, "seed")
    assert str(caught.value).startswith(line)


INJECTED = "# Parameters\nn_tokens = 20\n"


@pytest.mark.parametrize(
    ("given", "n_tokens"),
    [
        (cells("n_tokens = 20\nsettings = {}", n_tokens=20, settings={"preset": "public-code"}), 40),
        (cells("n_tokens = 21\nsettings = {}", n_tokens=21, settings={"preset": "public-code"}), 21),
        (cells("n_tokens = 20\nsettings = {}", INJECTED, n_tokens=20, settings={"preset": "public-code"}), 20),
        (cells("n_tokens = 20\nsettings = {}", INJECTED, n_tokens=20, settings={"n_tokens": 5}), 5),
    ],
    ids=["a default", "in the cell", "by papermill", "in settings"],
)
def test_what_counts_as_given(given, n_tokens):
    assert TuneConfig(**parameters.fields(given)).n_tokens == n_tokens


def test_other_cells_are_no_parameters():
    """In JupyterLab cells are run in any order: what was typed elsewhere stops nothing, and a later default counts."""
    history = ["%%time\nx = 1", "seed = 3\nsettings = {}", "nonesuch = 1", "table = f()", "seed = 4\nsettings = {}"]
    given = cells(*history, seed=4, settings={}, nonesuch=1, table=2)
    assert parameters.fields(given, topology_every=7) == {"topology_every": 7, "seed": 4}


def test_a_run_of_papermill_may_be_run_again_by_hand():
    """Its notebook has both cells; the one that was put in may be run more than once."""
    put_in = "# Parameters\nn_tokens = 5\n"
    given = cells("n_tokens = 20\nsettings = {}", put_in, "fields = 1", put_in, put_in, n_tokens=5, settings={})
    assert parameters.fields(given) == {"n_tokens": 5}


def test_without_a_history_of_cells():
    assert parameters.fields({"settings": {"lr": 0.1}, "seed": 2, "other": object()}) == {"seed": 2, "lr": 0.1}


def test_paths_are_from_the_folder_of_the_project(tmp_path, monkeypatch):
    deep = tmp_path / "a project" / "notebooks" / "mine"
    deep.mkdir(parents=True)
    (deep.parent / "start.ipynb").touch()
    for here in (deep, deep.parent):
        monkeypatch.chdir(here)
        assert parameters.folder("runs") == str(tmp_path / "a project" / "runs")
        assert parameters.folder(str(tmp_path)) == str(tmp_path)
        assert parameters.folder("") == ""
    for here in (deep.parents[1], tmp_path):
        monkeypatch.chdir(here)
        assert parameters.folder("runs") == "runs"
