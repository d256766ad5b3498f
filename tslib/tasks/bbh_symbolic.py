"""Five kinds of question like those of BIG-Bench Hard, made by reasoning-gym, so that nothing has to be downloaded.

Left out of reasoning-gym 0.1.25 are generators whose answers are wrong, such as ``family_relationships`` (a niece or
nephew by the other person's gender, in-laws the wrong way round), and those that change with PYTHONHASHSEED.
"""

import re
from collections.abc import Callable, Iterator, Mapping
from fractions import Fraction
from functools import cache
from itertools import count
from typing import Any

from tslib.tasks.base import Example, Reading, made, prompt_key
from tslib.tasks.bbh import NUMBER, WORDS, YES_NO, Form, ShortAnswerTask

__all__ = ["SUBSETS", "BBHSymbolic"]

SIZES = {"train": 200, "test": 100}
# Row i is drawn with the seed plus i, so seeds that lie less than a split apart would share rows.
SEEDS = {"train": 0, "test": 1_000_000}

Made = tuple[str, str, Form]
"""Question, answer, and the form of the answer."""

_DAYS = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")
_WEEKDAY = Form("Answer with the weekday.", _DAYS)
_ROLES = Form("Answer with one word for each inhabitant, in the order in which they are listed, separated by commas.")


def _word_sorting(row: Mapping[str, Any]) -> Made | None:
    """Lower-case letters only, so that the alphabet's order is the one meant."""
    words = [word.lower() for word in row["metadata"]["transformed_words"]]
    if len(set(words)) < len(words) or not all(word.isascii() and word.isalpha() for word in words):
        return None
    descending = row["metadata"]["direction"] == "descending"
    order = "in reverse alphabetical order" if descending else "alphabetically"
    return f"Sort the following words {order}: {' '.join(words)}", " ".join(sorted(words, reverse=descending)), WORDS


def _knights_knaves(row: Mapping[str, Any]) -> Made:
    terms = row["metadata"]["knight_knave_terms"]
    roles = [terms["knight" if truthful else "knave"] for truthful in row["metadata"]["solution"]]
    return row["question"].partition(" (Format your answer")[0], ", ".join(roles), _ROLES


def _zebra_puzzles(row: Mapping[str, Any]) -> Made | None:
    """Without children, whose names are those of the houses' people ("The person's child is named Alice is Bob")."""
    if "child" in row["question"]:
        return None
    puzzle, _, asked = row["question"].rpartition("\n")
    names = tuple(name.title() for name in re.search(r"unique name: (.*)", puzzle)[1].split(", "))  # type: ignore[index]
    house = re.search(r"House (\d)", asked)[1]  # type: ignore[index]
    return f"{puzzle}\nWho lives in house {house}?", row["answer"].title(), Form("Answer with the name.", names)


def _basic_arithmetic(row: Mapping[str, Any]) -> Made | None:
    """Without expressions in which reasoning-gym rounded a division down."""
    expression = row["metadata"]["expression"]
    if eval(re.sub(r"\d+", r"Fraction(\g<0>)", expression)) != Fraction(row["answer"]):
        return None
    return f"{expression.replace('( ', '(').replace(' )', ')')} =", row["answer"], NUMBER


def _calendar_arithmetic(row: Mapping[str, Any]) -> Made | None:
    """Without questions that are wrong or ambiguous.

    These are business days up to a date of the next year, which the question puts into this one; a weekday after
    February in a year of which only the first weekday is told; and dates like 03/04/2022.
    """
    told, kind = row["metadata"], row["metadata"]["task"]
    question = re.match(r".*?[?.](?= )", row["question"])[0]  # type: ignore[index]  # what follows is about the form
    if (
        (kind == "count_business_days" and told["start_date"][:4] != told["end_date"][:4])
        or (kind == "weekday_of_date_from_first_date" and told["target_date"][5:7] > "02")
        or "/" in question
    ):
        return None
    form = YES_NO if kind == "is_leap_year" else _WEEKDAY if kind.startswith("weekday") else NUMBER
    return question, row["answer"], form


SUBSETS: dict[str, tuple[Callable[[Mapping[str, Any]], Made | None], dict[str, int]]] = {
    "word_sorting": (_word_sorting, {}),
    "knights_knaves": (_knights_knaves, {"n_people": 3}),
    "zebra_puzzles": (_zebra_puzzles, {"num_people": 3, "num_characteristics": 2}),
    "basic_arithmetic": (_basic_arithmetic, {"max_terms": 5, "max_digits": 2}),
    "calendar_arithmetic": (_calendar_arithmetic, {}),
}
"""Generators of reasoning-gym: what a row becomes (None: left out), and the settings that are not the default."""


class BBHSymbolic(ShortAnswerTask):
    """Symbolic reasoning: of each subset 200 training and 100 test rows, the same on every machine.

    The two splits come from different seeds and share no question, but they do share templates.
    """

    licence = "Apache-2.0"
    source = "https://github.com/open-thought/reasoning-gym"

    def __init__(self, subset: str = "") -> None:
        self.name = f"bbh-symbolic/{subset}" if subset else "bbh-symbolic"
        self.title = "Symbolic reasoning (reasoning-gym)" + (f": {subset.replace('_', ' ')}" if subset else "")
        self.subsets = () if subset else tuple(SUBSETS)

    def read(self, split: str) -> Reading:
        """Rows of a split that is known to exist."""
        subsets = self.subsets or (self.name.removeprefix("bbh-symbolic/"),)
        return made(example for subset in subsets for example in _generate(subset, split))


@cache
def _generate(subset: str, split: str) -> tuple[Example, ...]:
    """Make a split of a subset: the first rows of reasoning-gym's series that are sound and whose prompt is new."""
    seen = {prompt_key(example.prompt) for example in _generate(subset, "train")} if split == "test" else set()
    examples: list[Example] = []
    make, _ = SUBSETS[subset]
    for index, row in _series(subset, split):
        if (row_made := make(row)) is None:
            continue
        question, answer, form = row_made
        prompt = f"{question}\n{form.instruction}"
        if prompt_key(prompt) in seen:
            continue
        seen.add(prompt_key(prompt))
        examples.append(Example(f"bbh-symbolic/{subset}/{split}/{index}", prompt, answer, answer, form.choices))
        if len(examples) == SIZES[split]:
            break
    return tuple(examples)


def _series(subset: str, split: str) -> Iterator[tuple[int, Mapping[str, Any]]]:
    """Rows of reasoning-gym, without end."""
    import reasoning_gym

    source = reasoning_gym.create_dataset(subset, seed=SEEDS[split], **SUBSETS[subset][1])
    return ((index, source[index]) for index in count())
