"""The library as pip installs it into an empty environment, without extras: TSLoss and the topology, quickly."""

import itertools
import os
import re
import subprocess
import tomllib
import venv
from importlib.metadata import Distribution
from pathlib import Path

import pytest
from packaging.requirements import Requirement

ROOT = Path(__file__).resolve().parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]

WORKS = """
import sys
from tslib import TSLoss
loaded = {name.partition(".")[0] for name in sys.modules}
print(sorted(loaded & {"transformers", "pandas", "scipy", "sklearn", "ripser", "matplotlib"}))

import torch
from tslib import persistence_diagrams, summarize
square = torch.tensor([[0.0, 0.0], [1.0, 0.0], [1.0, 1.0], [0.0, 1.0]])
terms = TSLoss().terms(square)
print(round(float(terms["delta"]), 4), round(float(terms["zeta"]), 4))
diagrams = persistence_diagrams(square.numpy())
print([[round(float(end), 4) for end in bar] for bar in diagrams[1]], summarize(diagrams).h0_count)
"""

EXACT = "import torch; from tslib.losses import PersistencePenalty; PersistencePenalty()(torch.eye(3))"


def distribution(requirement):
    return re.match(r"[\w.-]+", requirement)[0].lower().replace("_", "-")


def needed(names):
    """The installed distributions of some names, with all that these need in turn."""
    found, asked = {}, list(names)
    while asked:
        name = distribution(asked.pop())
        if name not in found:
            found[name] = Distribution.from_name(name)
            requirements = map(Requirement, found[name].requires or [])
            asked += [one.name for one in requirements if one.marker is None or one.marker.evaluate({"extra": ""})]
    return found.values()


@pytest.fixture(scope="module")
def base(tmp_path_factory):
    """The Python of an environment into which pip installed the base alone.

    What the base needs is linked from the environment of the tests, so that pip finds it there and need not unpack it.
    """
    folder = tmp_path_factory.mktemp("base")
    venv.create(folder / "env", with_pip=True)
    python = folder / "env" / "bin" / "python"
    (site,) = (folder / "env" / "lib").glob("python*/site-packages")
    for one in needed(PROJECT["dependencies"]):
        for name in {path.parts[0] for path in one.files} - {"..", "__pycache__"}:
            if not (site / name).exists():
                (site / name).symlink_to(one.locate_file(name))
    source = folder / "source"
    source.mkdir()
    for name in ("tslib", "pyproject.toml", "README.md", "LICENSE"):
        (source / name).symlink_to(ROOT / name)
    install = [python, "-m", "pip", "install", "--quiet", "--no-compile", "--disable-pip-version-check", "--use-pep517"]
    done = subprocess.run(
        [*install, "--constraint", ROOT / "requirements.txt", source],
        capture_output=True,
        text=True,
        check=False,
        cwd=folder,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    return python


def run(python, code, folder):
    environment = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}
    asked = [python, "-W", "ignore", "-c", code]
    return subprocess.run(asked, capture_output=True, text=True, check=False, cwd=folder, env=environment)


def test_the_base_computes_tsloss_and_diagrams(base, tmp_path):
    done = run(base, WORKS, tmp_path)
    assert done.stderr == ""
    assert done.stdout.splitlines() == ["[]", "1.0033 1.4015", "[[1.0, 1.4142]] 4"]


@pytest.mark.parametrize(
    ("code", "lacks", "extra"),
    [
        ("from tslib import tune", "transformers|pandas|pydantic", "tune"),
        ("from tslib import TuneConfig", "pydantic", "tune"),
        ("from tslib import load_task", r"\w+", "tune"),
        ("from tslib.records import RunStore", r"\w+", "tune"),
        ("from tslib.trainer import add_regularizer", r"\w+", "tune"),
        ("import tslib.study.report.runs", r"\w+", "tune"),
        (EXACT, "gudhi", "tune"),
    ],
)
def test_what_an_extra_lacks_is_said_in_one_line(base, tmp_path, code, lacks, extra):
    done = run(base, code, tmp_path)
    assert done.returncode == 1
    said = done.stderr.splitlines()[-1]
    assert re.fullmatch(
        rf"tslib\.errors\.MissingExtraError: this part of tslib needs ({lacks}), which is not installed: "
        rf"pip install 'tslib\[{extra}\]'",
        said,
    ), said


def test_the_command_line_says_so_without_a_traceback(base, tmp_path):
    environment = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}
    asked = [base, "-m", "tslib", "tune"]
    done = subprocess.run(asked, capture_output=True, text=True, check=False, cwd=tmp_path, env=environment)
    assert done.returncode == 1
    assert re.fullmatch(r"error: this part of tslib needs \w+, which is not installed: .*\[tune\]'\n", done.stderr)


def test_every_dependency_is_pinned():
    pinned = {
        distribution(line)
        for line in (ROOT / "requirements.txt").read_text(encoding="utf-8").splitlines()
        if line and not line.startswith("#")
    }
    extras = {name: PROJECT["optional-dependencies"][name] for name in ("tune", "study", "vision", "dev")}
    asked = {distribution(one) for one in [*PROJECT["dependencies"], *itertools.chain(*extras.values())]} - {"tslib"}
    assert asked <= pinned, asked - pinned
