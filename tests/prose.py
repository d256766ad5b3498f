"""What makes a sentence hard to read, found in Markdown, in what functions say, and in the text of built pages."""

import re
from dataclasses import fields

from tslib.config import TuneConfig
from tslib.models.registry import MODELS
from tslib.study.names import METHOD_NAMES

TASKS = ("gsm8k", "mmlu", "mmlu-cf", "bbh", "hotpotqa", "hotpotqa-short", "longbench")
"""Names of tasks that are no English words, as "math" is."""
VALUES = ("embedding-gaussian", "sqrt_d", "bfloat16_step")
RAW = sorted(
    {
        *(name for name in MODELS if name != "tiny"),
        *TASKS,
        *VALUES,
        *(field.name for field in fields(TuneConfig) if "_" in field.name),
        *("dtype", "iterations_to_correct", "regularizer", "cross_entropy", "reg_share"),
        *("h0_count", "h1_count", "h0_mean_lifespan", "h1_mean_lifespan", "persistence_entropy", "h1_density"),
        *("mean_distance", "max_distance", "mean_norm", "token_accuracy"),
        *(set(METHOD_NAMES) - {"none", "pairwise", "persistence", "orthogonality"}),  # these are English words
    },
    key=len,
    reverse=True,
)
"""Names of fields, models and tasks as code has them, which a person would not say."""

_CODE = (
    r"```.*?```",  # fenced code, and directives whose body is none
    r"`[^`]*`",
    r"\$\$.*?\$\$",
    r"\$[^$\n]*\$",
    r"\]\([^)]*\)",  # where a link leads
    r"https?://\S+",
    r"<code>.*?</code>",
    r"<!--.*?-->",
)
_NUMBER = re.compile(r"(?<![\w.,-])[-+−]?\d[\d.]*(?!\w)")
_POINT = re.compile(r"\(\d+, \d+\)")  # of a figure, by its coordinates
_BRACKETS = re.compile(r"\[[^][]*\]|\([^()]*\)")


def prose(markdown: str) -> str:
    """Leave out code, formulas and where links lead."""
    for pattern in _CODE:
        markdown = re.sub(pattern, "…", markdown, flags=re.DOTALL)
    return markdown


def raw_names(text: str) -> list[str]:
    """Names of code that stand in a text outside of code."""
    found = prose(text)
    return [name for name in RAW if re.search(rf"(?<![\w/.-]){re.escape(name)}(?![\w/-])", found)]


def sentences(text: str) -> list[str]:
    """Sentences of a text; the items of a list and the cells of a table are sentences of their own."""
    lines = re.split(r"\n\s*\n|\n\s*[*-] |\s*\n\s*\d+\. |\s\|\s|\|\n", prose(text))
    return [one for line in lines for one in re.split(r"(?<=[.?!:])\*{0,2}\s+(?=[A-ZΑ-Ωλρ*…($])", line.strip()) if one]


def crammed(text: str) -> list[str]:
    """Sentences with more than two numbers in brackets."""

    def numbers(one: str) -> int:
        return sum(len(_NUMBER.findall(bracket)) for bracket in _BRACKETS.findall(_POINT.sub("…", one)))

    return [one for one in sentences(text) if numbers(one) > 2]


def words(box: str) -> int:
    """Count the words of a box, a formula as one."""
    return len(prose(box).replace("*", "").split())


def faults(box: str) -> list[str]:
    """Say what is wrong with a box: too long, crammed, with names of code, or no sentence."""
    found = [f"{words(box)} words"] if words(box) > 60 else []
    found += [f"crammed: {one}" for one in crammed(box)] + [f"raw: {name}" for name in raw_names(box)]
    if not re.fullmatch(r"(?:\*\*)?[A-Z…].*[.?!]\*{0,2}", box.strip(), re.DOTALL):
        found.append("no sentence")
    return found
