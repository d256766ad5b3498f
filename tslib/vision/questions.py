"""Questions about generated scenes: the kinds that RSVQA asks, in words of our own, and what is true of a scene.

The questions of a split are balanced string by string: of the pictures that one question is asked about, as many have
one answer as any other. Whoever reads the question alone is then at chance, whatever the table he learnt.
"""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import permutations

from tslib.tasks.base import Example
from tslib.tasks.registry import shuffled
from tslib.vision.scenes import BUILDINGS, CLASSES, COVERS, QUARTERS, Scene

__all__ = ["AREAS", "INSTRUCTIONS", "Question", "area_bucket", "balanced", "quarter_of", "question_of", "questions"]

AREAS = {
    "none": 0.0,
    "up to 10 m2": 10.0,
    "11 to 100 m2": 100.0,
    "101 to 1000 m2": 1000.0,
    "more than 1000 m2": float("inf"),
}
"""Names of the benchmark's buckets of areas, each with the largest area in it."""

INSTRUCTIONS = {
    "presence": "Answer yes or no.",
    "quarter": "Answer yes or no.",
    "comparison": "Answer yes or no.",
    "rural_urban": "Answer rural or urban.",
    "count": "Answer with a number.",
    "area": f"Answer with one of: {', '.join(AREAS)}.",
}
"""What follows a question of a kind, on a line of its own."""

SEEN = 30.0
"""Square metres from which on a class counts as seen; where there is less of it, but some, it is not asked about."""
RARE = 0.04
"""Share of the pictures below which an answer to a question is left out."""

ASKED = {
    "field": "a field",
    "forest": "a forest",
    "water": "water",
    "road": "a road",
    "residential building": "a residential building",
    "commercial building": "a commercial building",
}


@dataclass(frozen=True)
class Question:
    """A question about a scene: its kind, a key of `INSTRUCTIONS`, its words, and the true answer."""

    kind: str
    words: str
    answer: str

    @property
    def prompt(self) -> str:
        """What the model is asked."""
        return f"{self.words}\n{INSTRUCTIONS[self.kind]}"

    @property
    def choices(self) -> tuple[str, ...]:
        """The replies among which it chooses, where they are two."""
        return ("yes", "no") if self.answer in ("yes", "no") else ()


def area_bucket(square_metres: float) -> str:
    """Return the name of the bucket that an area is in."""
    return next(name for name, most in AREAS.items() if square_metres <= most)


def question_of(prompt: str) -> str:
    """Return a prompt without the instruction that follows the question."""
    return prompt.partition("\n")[0]


def quarter_of(prompt: str) -> str | None:
    """Return the quarter of the picture that a prompt names, a key of `QUARTERS`, or None."""
    return next((name for name in QUARTERS if f"in the {name} quarter" in prompt), None)


def questions(scene: Scene) -> Iterator[Question]:
    """Yield all questions that have a clear answer, always in the same order."""
    for kind, thing in ASKED.items():
        if answer := _seen(scene.area(kind)):
            yield Question("presence", f"Is there {thing} in the picture?", answer)
        for quarter in QUARTERS:
            if answer := _seen(scene.area(kind, quarter)):
                yield Question("quarter", f"Is there {thing} in the {quarter} quarter of the picture?", answer)
    for one, other in permutations(COVERS, 2):
        first, second = scene.area(one), scene.area(other)
        if abs(first - second) > 0.2 * (first + second):  # not nearly the same, and not both missing
            yield Question("comparison", f"Does {one} cover more ground than {other}?", _yes(first > second))
    for one, other in permutations(BUILDINGS, 2):
        larger = scene.count(one) > scene.count(other)
        yield Question("comparison", f"Are there more {one}s than {other}s?", _yes(larger))
    for kind in (*BUILDINGS, "road"):
        yield Question("count", f"How many {kind}s are there in the picture?", str(scene.count(kind)))
    for kind in CLASSES[1:]:
        words = f"How much ground is covered by {kind}{'s' * (kind in BUILDINGS)}?"
        yield Question("area", words, area_bucket(scene.area(kind)))


def _yes(is_so: bool) -> str:
    return "yes" if is_so else "no"


def _seen(square_metres: float) -> str:
    """Whether a class is seen; empty where there is too little of it to tell."""
    return "no" if square_metres == 0 else "yes" if square_metres >= SEEN else ""


def balanced(rows: Iterable[Example], pictures: int) -> list[Example]:
    """Leave out rows, by chance, until each question has each of its answers equally often.

    An answer that fewer than `RARE` of the pictures have is left out, and a question that has one answer then.

    Parameters
    ----------
    rows
        The rows; those of a picture behind one another.
    pictures
        How many pictures they are about.
    """
    by_question: dict[str, dict[str, list[Example]]] = defaultdict(lambda: defaultdict(list))
    order: dict[str, int] = {}
    for row in rows:
        order[row.id] = len(order)
        by_question[row.prompt][row.answers[0]].append(row)
    kept: list[Example] = []
    for by_answer in by_question.values():
        common = [own for own in by_answer.values() if len(own) >= max(1.0, RARE * pictures)]
        if len(common) > 1:
            fewest = min(map(len, common))
            kept += [row for own in common for row in _some(own, fewest)]
    return sorted(kept, key=lambda row: order[row.id])


def _some(rows: Sequence[Example], number: int) -> list[Example]:
    return shuffled(rows, 0)[:number]
