"""Text written by hand has the names that people use, and no name of a field, a model or a task outside of code."""

from pathlib import Path

import nbformat
import prose
import pytest

ROOT = Path(__file__).resolve().parents[3]
NOTEBOOKS = sorted((ROOT / "notebooks").glob("*.ipynb"))
PAGES = [*sorted((ROOT / "book").glob("*.md")), ROOT / "README.md"]


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_notebooks(path):
    cells = nbformat.read(path, as_version=4).cells
    text = "\n\n".join(cell.source for cell in cells if cell.cell_type == "markdown")
    assert prose.raw_names(text) == []
    assert prose.crammed(text) == []


@pytest.mark.parametrize("path", PAGES, ids=lambda path: path.stem)
def test_pages(path):
    assert prose.raw_names(path.read_text(encoding="utf-8")) == []


def test_what_is_found_and_what_is_not():
    assert prose.raw_names("On gsm8k with n_tokens, by smollm2-135m.") == ["smollm2-135m", "n_tokens", "gsm8k"]
    assert prose.raw_names("On `gsm8k`, [GSM8K](data/gsm8k), SmolLM2-135M,\n```\nlr_unit\n```\nand $h1_count$.") == []
    assert prose.crammed("A 1.0 [0.9, 1.1]. B 2.0 [1.9, 2.1]. C (SmolLM2-135M, 5 pairs).") == []
    assert prose.crammed("A 1.0 [0.9, 1.1] and B 2.0 [1.9, 2.1].") == ["A 1.0 [0.9, 1.1] and B 2.0 [1.9, 2.1]."]
    assert prose.crammed("They are:\n\n* A 1.0 [0.9, 1.1]\n* B 2.0 [1.9, 2.1]\n") == []
    assert prose.faults("**It helps.** By 3 [1, 4] steps.") == []
    assert prose.faults("it does") == ["no sentence"]
    assert prose.faults("A " + 60 * "b " + "c.") == ["62 words"]
