"""The verdicts in words: counted, in a table, and one section a claim."""

import re
from collections.abc import Iterator, Mapping

import pandas as pd

from tslib.study.claims import Criterion, Finding

__all__ = ["sections", "summary", "table"]

WORDS = {None: "not yet", "reproduced": "reproduced", "contradicted": "contradicted", "undecided": "undecided"}


def table(findings: Mapping[str, Finding], said: Mapping[str, Criterion]) -> pd.DataFrame:
    """One line a claim, with its verdict; in plain words, since tables show no formulas."""
    rows = [
        {"": name, "the paper's claim": re.sub(r"[$_]", "", said[name].says), "verdict": WORDS[finding.verdict]}
        for name, finding in findings.items()
    ]
    return pd.DataFrame(rows)


def sections(findings: Mapping[str, Finding], said: Mapping[str, Criterion]) -> Iterator[str]:
    """Yield a section in Markdown for each claim: claim, criterion, evidence, verdict, what would change it."""
    for name, finding in findings.items():
        rule = said[name]
        yield "\n\n".join(
            [
                f"**{name}: {WORDS[finding.verdict]}.**",
                f"*Claim.* {rule.says[0].upper()}{rule.says[1:]}.",
                f"*Reproduced if* {rule.reproduced}. *Contradicted if* {rule.contradicted}.",
                f"*Evidence.* {finding.said}",
                f"*What would change it.* {finding.change}",
            ]
        )


def summary(findings: Mapping[str, Finding]) -> str:
    """Count the verdicts in a sentence."""
    parts = []
    for verdict, word in reversed(WORDS.items()):
        if names := [name for name, finding in findings.items() if finding.verdict == verdict]:
            be, have = ("is", "has") if len(names) == 1 else ("are", "have")
            what = f"{have} no verdict yet" if verdict is None else f"{be} {word}"
            parts.append(f"{len(names)} {what} ({', '.join(names)})")
    return f"Of the paper's fifteen claims {'; '.join(parts)}."
