"""The verdicts in words: counted, in a table, and one section a claim; by the registered rules and the amended ones."""

import re
from collections.abc import Iterator, Mapping

import pandas as pd

from tslib.study.claims import Amendment, Criterion, Finding

__all__ = ["difference", "sections", "summary", "table", "word"]


def word(finding: Finding) -> str:
    """Return a verdict in words, with what is said with it."""
    said = finding.verdict or "not yet"
    return f"{said}, {finding.but}" if finding.but and finding.verdict else said


def table(
    registered: Mapping[str, Finding], amended: Mapping[str, Finding], said: Mapping[str, Criterion]
) -> pd.DataFrame:
    """One line a claim, with its verdict by both rules; in plain words, since tables show no formulas."""
    rows = [
        {
            "": name,
            "the paper's claim": re.sub(r"[$_]", "", said[name].says),
            "as registered": word(finding),
            "as amended": word(amended[name]),
        }
        for name, finding in registered.items()
    ]
    return pd.DataFrame(rows)


def difference(registered: Finding, amended: Finding) -> str:
    """Say how the verdicts by the two rules differ."""
    if registered.verdict == amended.verdict:
        more = f"; said with it: {amended.but}" if amended.but and amended.verdict else ""
        return f"{word(registered)} by both rules{more}"
    return f"{word(registered)} as registered, {word(amended)}{',' if amended.but else ''} as amended"


def sections(
    registered: Mapping[str, Finding],
    amended: Mapping[str, Finding],
    said: Mapping[str, Criterion],
    amendments: Mapping[str, Amendment],
) -> Iterator[str]:
    """Yield a section in Markdown for each claim: both verdicts, both rules, the evidence, what would change it."""
    for name, finding in registered.items():
        rule, other = said[name], amended[name]
        parts = [
            f"**{name}: {difference(finding, other)}.**",
            f"*Claim.* {rule.says[0].upper()}{rule.says[1:]}.",
            f"*Reproduced if* {rule.reproduced}. *Contradicted if* {rule.contradicted}.",
            f"*Evidence as registered.* {finding.said}",
        ]
        if name in amendments:
            wrong = amendments[name].wrong
            parts += [f"*What was wrong.* {wrong[0].upper()}{wrong[1:]}. *Amended rule:* {amendments[name].rule}."]
        parts += [f"*Evidence as amended.* {other.said}", f"*What would change it.* {other.change}"]
        yield "\n\n".join(parts)


def summary(registered: Mapping[str, Finding], amended: Mapping[str, Finding]) -> str:
    """Count the verdicts by the amended rules in a few sentences, and say which differ from the registered ones."""
    of: dict[str, list[str]] = {
        verdict: [name for name, finding in amended.items() if finding.verdict == verdict]
        for verdict in ("reproduced", "contradicted", "undecided")
    }
    parts = [f"{_few(names)} {verdict}{_with(names, amended)}" for verdict, names in of.items() if names]
    if open_ := [name for name, finding in amended.items() if finding.verdict is None]:
        parts.append(f"{_few(open_)} not decided yet")
    differ = [name for name in amended if amended[name].verdict != registered[name].verdict]
    told = "By the rules as they were registered nothing is judged otherwise"
    if differ:
        what = "; ".join(f"{name} {word(registered[name])}" for name in differ)
        told = f"By the rules as they were registered {len(differ)} {_be(differ)} judged otherwise ({what})"
    return f"Of the paper's fifteen claims {'; '.join(parts)}. {told}."


def _few(names: list[str]) -> str:
    return f"{len(names)} {_be(names)}"


def _be(names: list[str]) -> str:
    return "is" if len(names) == 1 else "are"


def _with(names: list[str], findings: Mapping[str, Finding]) -> str:
    return f" ({', '.join(f'{name} {findings[name].but}'.strip() for name in names)})"
