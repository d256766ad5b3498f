"""Where the criteria stand, and what a verdict is made of."""

import re
from dataclasses import dataclass
from pathlib import Path

from tslib.errors import ResourceError
from tslib.stats import Verdict

__all__ = [
    "MULTI",
    "PAGE",
    "SINGLE",
    "Amendment",
    "Criterion",
    "Finding",
    "amendments",
    "criteria",
    "decided",
    "not_yet",
]

PAGE = Path(__file__).resolve().parents[3] / "book" / "claims.md"
"""The page with the criteria."""

SINGLE = ("one sample to the end, gsm8k", "one sample to the end, mmlu")
MULTI = ("ten samples, gsm8k", "ten samples, mmlu")
"""The grids on structure, whose runs go on to the last step."""


@dataclass(frozen=True)
class Criterion:
    """One row of the page: a claim, and what counts as what."""

    claim: str
    says: str
    reproduced: str
    contradicted: str
    undecided: str


@dataclass(frozen=True)
class Finding:
    """What the records say of a claim.

    Attributes
    ----------
    verdict
        None while runs are missing that could decide.
    said
        The evidence, in Markdown, with its intervals.
    change
        What would change the verdict.
    missing
        Runs that are asked for and not there.
    but
        What is said with the verdict, such as "as for noise".
    """

    verdict: Verdict | None
    said: str
    change: str
    missing: int = 0
    but: str = ""


def criteria(page: Path = PAGE) -> dict[str, Criterion]:
    """Read the criteria from their page.

    Raises
    ------
    ResourceError
        If the page is not there, or has not fifteen.
    """
    found = {row[0]: Criterion(*row) for row in _rows(page) if re.fullmatch(r"C\d+", row[0]) and len(row) == 5}
    if len(found) != 15:
        raise ResourceError(f"{page} has {len(found)} criteria that can be read, not fifteen")
    return found


@dataclass(frozen=True)
class Amendment:
    """One row of the page's amendments: what was wrong with a rule or its application, and the amended rule."""

    claim: str
    wrong: str
    rule: str


def amendments(page: Path = PAGE) -> dict[str, Amendment]:
    """Read the amendments from their page; a claim that is not there is judged as all are: with other intervals."""
    found = {row[0]: Amendment(*row) for row in _rows(page) if re.fullmatch(r"C\d+", row[0]) and len(row) == 3}
    return {f"C{number}": found[f"C{number}"] for number in range(1, 16) if f"C{number}" in found}


def _rows(page: Path) -> list[list[str]]:
    """Cells of the lines of all tables of a page."""
    try:
        text = page.read_text(encoding="utf-8")
    except OSError as error:
        raise ResourceError(
            f"cannot read the criteria {page} ({error.strerror}): use a checkout of the project"
        ) from error
    return [[cell.strip() for cell in line.strip("| \n").split(" | ")] for line in text.splitlines()]


def not_yet(missing: int) -> Finding:
    """Return that there is no verdict, since runs are missing."""
    return Finding(None, f"The runs that decide are not all made: {missing} are missing.", "The missing runs.", missing)


def decided(reproduced: bool, contradicted: bool) -> Verdict:
    """Return the verdict where the runs are there: undecided if neither holds."""
    return "reproduced" if reproduced else "contradicted" if contradicted else "undecided"
