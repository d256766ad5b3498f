r"""Symbolic mathematics, made by reasoning-gym: equations, divisors, chances, integrals, each with a \boxed answer.

It stands in for MATH-500 where that cannot be had; the generators are those of
https://github.com/open-thought/reasoning-gym.
"""

import re
from collections.abc import Callable, Iterator
from functools import cache
from typing import Any

from tslib.tasks.base import Example, Reading, made
from tslib.tasks.competition_math import ASK, MathTask

__all__ = ["MathSymbolic"]

SIZES = {"train": 1000, "test": 200}
# Row i of a generator is drawn with the seed plus i, so seeds that lie less than a split apart would share rows.
SEEDS = {"train": 0, "test": 1_000_000}

Problem = tuple[str, str]
"""A question and its answer, both in LaTeX."""


class MathSymbolic(MathTask):
    """Symbolic mathematics: 1000 training and 200 test rows, the same on every machine, a fifth from each generator.

    The two splits share no question, but they do share the forms of question. Left out are generators whose question
    holds an expression of the same value as the answer (sums, fractions to reduce, complex numbers to multiply):
    math-verify compares values, so that a copy of the question would be right.
    """

    name = "math-symbolic"
    title = "Symbolic mathematics (reasoning-gym)"
    licence = "Apache-2.0"
    source = "https://github.com/open-thought/reasoning-gym"

    def read(self, split: str) -> Reading:
        """Rows of a split that is known to exist."""
        return made(_generate(split))


def _equation(row: dict[str, Any]) -> Problem | None:
    facts = row["metadata"]
    if facts["variable"] not in facts["equation"]:  # 0 = 0, as its terms cancelled out
        return None
    return f"Solve for ${facts['variable']}$: ${_latex(facts['equation'])}$", row["answer"]


def _divisor(row: dict[str, Any]) -> Problem | None:
    numbers = row["metadata"]["numbers"]
    if int(row["answer"]) <= 2:  # half of all: whoever always says 2 would know too many
        return None
    return f"Find the greatest common divisor of {_listed(numbers)}.", row["answer"]


def _multiple(row: dict[str, Any]) -> Problem | None:
    numbers = row["metadata"]["numbers"]
    if int(row["answer"]) in numbers:
        return None
    return f"Find the least common multiple of {_listed(numbers)}.", row["answer"]


def _chance(row: dict[str, Any]) -> Problem:
    puzzle = row["metadata"]["puzzle"]
    sides = [int(die.removeprefix("1d")) for die in puzzle["dice_str"].split(", ")]
    question = (
        f"Fair dice with {_listed(sides)} sides are rolled, each once, and show numbers from 1 up. "
        f"What is the probability that their sum is at least {puzzle['target']}?"
    )
    return question, rf"\frac{{{puzzle['num']}}}{{{puzzle['den']}}}"


def _integral(row: dict[str, Any]) -> Problem | None:
    facts = row["metadata"]
    if facts["integrand"] == "0":  # its terms cancelled out
        return None
    question = rf"Find the indefinite integral $\int \left({_latex(facts['integrand'])}\right) d{facts['variable']}$."
    return f"{question} Write $C$ for the constant of integration.", _latex(row["answer"])


# Name in reasoning-gym, its settings and what makes a problem of its row, or None if the row is not to be used.
GENERATORS: tuple[tuple[str, dict[str, int], Callable[[dict[str, Any]], Problem | None]], ...] = (
    ("simple_equations", {}, _equation),
    ("gcd", {}, _divisor),
    ("lcm", {}, _multiple),
    ("dice", {"num_dice": 3, "max_dice_size": 12}, _chance),
    ("simple_integration", {"max_terms": 3, "max_degree": 6}, _integral),
)


@cache
def _generate(split: str) -> tuple[Example, ...]:
    """Make a split: of each generator the first rows that can be used and whose question is new, in turn."""
    seen = {example.prompt for example in _generate("train")} if split == "test" else set()
    each = SIZES[split] // len(GENERATORS)
    parts = [_problems(index, split, seen, each) for index in range(len(GENERATORS))]
    rows = [problem for turn in zip(*parts, strict=True) for problem in turn]
    return tuple(
        Example(f"math-symbolic/{split}/{index}", prompt, rf"The answer is $\boxed{{{answer}}}$.", answer)
        for index, (prompt, answer) in enumerate(rows)
    )


def _problems(generator: int, split: str, seen: set[str], number: int) -> Iterator[Problem]:
    import reasoning_gym

    name, settings, problem = GENERATORS[generator]
    source = reasoning_gym.create_dataset(name, size=8 * number, seed=SEEDS[split], **settings)
    for row in source:
        made_of = problem(row)
        if made_of is None:
            continue
        prompt = f"{made_of[0]}\n\n{ASK}"
        if prompt in seen:
            continue
        seen.add(prompt)
        yield prompt, made_of[1]
        number -= 1
        if not number:
            return
    raise AssertionError(f"reasoning-gym made too few usable rows of {name}: {number} more were wanted")


def _latex(expression: str) -> str:
    """LaTeX of a polynomial as sympy prints it: 3*x**2/4 becomes 3x^{2}/4."""
    return re.sub(r"\*\*(\d+)", r"^{\1}", expression).replace("*", "")


def _listed(numbers: list[int]) -> str:
    return f"{', '.join(map(str, numbers[:-1]))} and {numbers[-1]}"
