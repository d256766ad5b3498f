"""The verdicts in words: counted, in a table, and one section a claim; by the registered rules and the amended ones."""

import re
from collections.abc import Iterator, Mapping

import pandas as pd

from tslib.stats import Verdict
from tslib.study.claims import Amendment, Criterion, Finding
from tslib.study.report.phrases import few, upper

__all__ = ["SHORT", "by_verdict", "difference", "named", "otherwise", "sections", "summary", "table", "word"]


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
    return f"{word(registered)} as registered; as amended {word(amended)}"


def sections(
    registered: Mapping[str, Finding],
    amended: Mapping[str, Finding],
    said: Mapping[str, Criterion],
    amendments: Mapping[str, Amendment],
) -> Iterator[str]:
    """Yield a section in Markdown for each claim: both verdicts, the evidence, what was wrong, what would change it."""
    for name, finding in registered.items():
        rule, other = said[name], amended[name]
        parts = [
            f"**{name}, {SHORT[name]}: {difference(finding, other)}.**",
            f"*Claim.* {rule.says[0].upper()}{rule.says[1:]}.",
            f"*Evidence as registered.* {finding.said}".rstrip(),
        ]
        if name in amendments:
            wrong = amendments[name].wrong
            parts += [f"*What was wrong.* {wrong[0].upper()}{wrong[1:]}."]
        parts += [f"*Evidence as amended.* {other.said}".rstrip(), f"*What would change it.* {other.change}"]
        yield "\n\n".join(parts)


SHORT = {
    "C1": "a constant number of components",
    "C2": "loops vanish without TSLoss",
    "C3": "loops vanish faster with more samples",
    "C4": "components live longer",
    "C5": "entropy drops early, then is stable",
    "C6": "loops thin out and the cloud does not",
    "C7": "longer components go with accuracy",
    "C8": "entropy and loops go against accuracy",
    "C9": "faster convergence everywhere",
    "C10": "most gain for the smallest model",
    "C11": "the weight: best at 1, fails at 10",
    "C12": "a loss near zero by step 100",
    "C13": "TSLoss makes prompts stable and compact, and such prompts are better",
    "C14": "better answers on unseen questions",
    "C15": "half the steps, a quarter with Qwen",
}
"""The claims in a few words."""

HEADS: dict[Verdict | None, str] = {
    "reproduced": "Holds",
    "contradicted": "Fails",
    "undecided": "Undecided",
    None: "Runs are missing",
}


def by_verdict(findings: Mapping[str, Finding]) -> dict[Verdict | None, list[str]]:
    """Return the names of the claims by their verdict, those that have one first."""
    found = {verdict: [name for name, one in findings.items() if one.verdict == verdict] for verdict in HEADS}
    return {verdict: names for verdict, names in found.items() if names}


def named(findings: Mapping[str, Finding]) -> str:
    """Return the verdicts as a table in Markdown: a row each, with the claims in words."""
    lines = ["| verdict | claims |", "| --- | --- |"]
    for verdict, names in by_verdict(findings).items():
        said = (f"{SHORT[name]} ({findings[name].but})" if findings[name].but else SHORT[name] for name in names)
        lines.append(f"| **{HEADS[verdict]}** ({len(names)}) | {'; '.join(said)} |")
    return "\n".join(lines)


def summary(registered: Mapping[str, Finding], amended: Mapping[str, Finding]) -> str:
    """Count the verdicts by the amended rules in a few sentences, and say which differ from the registered ones."""
    of = {verdict: by_verdict(amended).get(verdict, []) for verdict in HEADS}
    held, failed, undecided, missing = of.values()
    plain = [name for name in held if amended[name].but not in ("by construction", "as for noise")]
    lead = f"Of the paper's fifteen claims {_hold(held)}"
    if held and len(plain) < len(held):
        lead += f", {few(len(held) - len(plain))} of them by construction or for noise as well"
    first = "C9" if "C9" in failed else next(iter(failed), "")
    parts = [f"**{lead}.**"]
    if failed:
        among = f", *{SHORT[first]}* among them" if len(failed) > 1 else f": *{SHORT[first]}*"
        parts.append(f"{upper(few(len(failed)))} {'fails' if len(failed) == 1 else 'fail'}{among}.")
    if undecided:
        parts.append(f"{upper(few(len(undecided)))} {_be(undecided)} undecided.")
    if missing:
        parts.append(f"For {few(len(missing))} runs are missing.")
    differ = _differ(registered, amended)
    other = f"{few(len(differ))} {_be(differ)} judged otherwise" if differ else "nothing is judged otherwise"
    return " ".join([*parts, f"By the rules as they were registered {other}."])


def otherwise(registered: Mapping[str, Finding], amended: Mapping[str, Finding]) -> str:
    """Say which claims the registered rules judge otherwise, and how."""
    by_word: dict[str, list[str]] = {}
    for name in _differ(registered, amended):
        by_word.setdefault(word(registered[name]), []).append(f"*{SHORT[name]}*")
    if not by_word:
        return "By the rules as they were registered nothing is judged otherwise."
    parts = [f"{'; '.join(names)} {'is' if len(names) == 1 else 'are'} {said}" for said, names in by_word.items()]
    alike = len(amended) - sum(map(len, by_word.values()))
    return f"The rules as they were registered judge {few(alike)} of them alike, the others not: {', '.join(parts)}."


def _differ(registered: Mapping[str, Finding], amended: Mapping[str, Finding]) -> list[str]:
    return [name for name in amended if amended[name].verdict != registered[name].verdict]


def _hold(names: list[str]) -> str:
    return f"{few(len(names))} {'holds' if len(names) <= 1 else 'hold'}"


def _be(names: list[str]) -> str:
    return "is" if len(names) == 1 else "are"
