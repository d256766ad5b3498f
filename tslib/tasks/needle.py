"""A needle in a haystack: one pass code to find in a long text, made here so that nothing has to be downloaded.

The test is Kamradt's (2023); text, needle and distractors are this module's own.
"""

import hashlib
import random
import re
from collections.abc import Callable, Iterator, Sequence
from functools import cache
from typing import TypeVar

from tslib.errors import InputError
from tslib.tasks.base import Example, Reading, Task, made

__all__ = ["LENGTHS", "Needle"]

LENGTHS = (512, 1024, 2048, 4096)
SIZES = {"train": 300, "test": 100}
DEPTHS = 10
DECOYS = 4

_T = TypeVar("_T")

_NUMBER = re.compile(r"[0-9]+(?:[.,][0-9]+)*")

_WORDS = {
    slot: words.split()
    for slot, words in {
        "colour": "amber blue copper green grey ivory purple red silver violet white yellow",
        "place": "archive boathouse cellar depot granary harbour library museum observatory station theatre workshop",
        "person": "Ada Bruno Celia Dmitri Elsa Farid Greta Hugo Ines Jonas Katya Leo Mina Nils Olga Pavel Rosa Sami "
        "Tilda Ugo Vera Wanda Yusuf Zora",
        "town": "Almvik Borsten Carrowe Dunmerre Eskdal Fenhollen Garvik Hollinde Istrel Jarnby Kelmora Luntern "
        "Marvik Nordamme Ostrey Pellin Quarren Ruskin Sandelle Torrowe Ulvern Venby",
        "trade": "baker barber carpenter clockmaker cooper dyer farmer ferryman gardener glazier miller painter "
        "potter saddler tailor weaver",
        "goods": "apples baskets bells bricks candles carpets chairs combs kettles ladders lamps mirrors nails onions "
        "pears ropes saddles spoons towels violins",
        "animals": "bees cats donkeys ducks geese goats hens horses mules pigeons rabbits sheep",
        "day": "Monday Tuesday Wednesday Thursday Friday Saturday Sunday",
        "month": "January February March April May June July August September October November December",
        "count": " ".join(map(str, range(11, 100))),
    }.items()
}
_TEMPLATES = (
    "{person} of {town} bought {count} {goods} on {day}.",
    "In {month} the {trade} {person} moved from {town} to {town}.",
    "The market of {town} sells {goods} and {goods}, but no {goods}.",
    "{person} and {person} walk to {town} every {day}.",
    "It rained in {town} on {count} days between {month} and {month}.",
    "The bridge of {town} was painted by {person}, who is a {trade}.",
    "A {trade} from {town} keeps {count} {animals} behind the house.",
    "{person} traded {count} {goods} for {count} {animals} in {town}.",
    "The road from {town} to {town} is closed in {month}.",
    "On {day} {person} told {person} about the {animals} of {town}.",
    "Nobody in {town} makes better {goods} than {person}.",
    "The fair of {town} begins on a {day} in {month} and lasts {count} hours.",
    "{person} learned from a {trade} how to draw {goods}.",
    "The school of {town} has {count} windows and a yard for {animals}.",
    "Every {month} the {animals} of {town} are counted by {person}.",
    "{person} lent {person} {count} {goods} and never asked for them.",
)
_KEY = "The pass code of the {} is {}."
_PROMPT = "Read the following text.\n\n{}\n\nWhat is the pass code of the {}? Reply with the code alone."


class Needle(Task):
    """Needle in a haystack: 300 training and 100 test rows of each length, the same on every machine.

    A text of small invented facts holds five sentences such as *The pass code of the blue archive is 4821.*, and the
    question at its end asks for one of the codes. Of the other four, two share the colour and two the place, so that
    naming any code of the text is right one time in five. The sentence asked for lies equally often in each tenth of
    the text. Cutting out the middle of a prompt would cut out the answer, so that is not allowed.

    Parameters
    ----------
    length
        Words of the text, one of `LENGTHS`; up to 15 more, since it ends with a sentence. None mixes the first half of
        the rows of 512 and of 1024 words, which small models can read on a CPU.

    Raises
    ------
    InputError
        If there is no such length.
    """

    licence = "Apache-2.0"
    source = "https://github.com/gkamradt/LLMTest_NeedleInAHaystack"
    max_new_tokens = 32

    def __init__(self, length: int | None = None) -> None:
        if length is not None and length not in LENGTHS:
            raise InputError(f"no needle-haystack of {length} words: choose one of {', '.join(map(str, LENGTHS))}")
        self.length = length
        self.subsets = () if length else tuple(map(str, LENGTHS))
        self.name = f"needle-haystack/{length}" if length else "needle-haystack"
        self.title = f"Needle in a haystack: {length} words" if length else "Needle in a haystack"

    def read(self, split: str) -> Reading:
        """Rows of a split that is known to exist."""
        if self.length:
            return made(_generate(self.length, split))
        half = SIZES[split] // 2
        return made(_generate(512, split)[:half] + _generate(1024, split)[:half])

    def extract(self, text: str) -> str | None:
        """First number of a reply, or None: digits, with dots and commas between them; the commas are dropped."""
        match = _NUMBER.search(text)
        return match[0].replace(",", "") if match else None

    def score(self, text: str, example: Example) -> float:
        """1 if the first number of a reply is the code, digit for digit, else 0."""
        return float(self.extract(text) in example.answers)

    def complete(self, text: str) -> bool:
        """Whether the first number of a reply has ended."""
        match = _NUMBER.search(text)
        return match is not None and bool(re.match(r"[.,]?[^0-9.,]", text[match.end() :]))


@cache
def _generate(length: int, split: str) -> tuple[Example, ...]:
    return tuple(_example(length, split, index) for index in range(SIZES[split]))


def _example(length: int, split: str, index: int) -> Example:
    name = f"needle-haystack/{length}/{split}/{index}"
    generator = random.Random(int.from_bytes(hashlib.sha256(name.encode()).digest()[:8]))
    # Only random() promises the same numbers in every version of Python; choice() and shuffle() do not.
    draw = generator.random

    colours, places = _pick(_WORDS["colour"], 3, draw), _pick(_WORDS["place"], 3, draw)
    colour, place = colours[0], places[0]
    names = [f"{colour} {place}", *(f"{colour} {other}" for other in places[1:])]
    names += [f"{other} {place}" for other in colours[1:]]
    codes = [str(code) for code in _pick(range(1000, 10_000), 1 + DECOYS, draw)]
    # Sentences with their depth, from 0 to 1.
    depths = [(index % DEPTHS + draw()) / DEPTHS, *(draw() for _ in range(DECOYS))]
    keys = [(depth, _KEY.format(*key)) for depth, key in zip(depths, zip(names, codes, strict=True), strict=True)]
    filler = list(_filler(length - sum(len(key.split()) for _, key in keys), draw))
    placed = sorted(keys + [((i + 0.5) / len(filler), sentence) for i, sentence in enumerate(filler)])
    text = " ".join(sentence for _, sentence in placed)
    return Example(name, _PROMPT.format(text, names[0]), codes[0], codes[0])


def _filler(words: int, draw: Callable[[], float]) -> Iterator[str]:
    """Sentences of at least this many words together; in none does a word fill two blanks."""
    while words > 0:
        parts = re.split(r"\{(\w+)\}", _pick(_TEMPLATES, 1, draw)[0])
        slots = parts[1::2]
        values = {slot: iter(_pick(_WORDS[slot], slots.count(slot), draw)) for slot in dict.fromkeys(slots)}
        parts[1::2] = [next(values[slot]) for slot in slots]
        sentence = "".join(parts)
        words -= len(sentence.split())
        yield sentence


def _pick(items: Sequence[_T], count: int, draw: Callable[[], float]) -> list[_T]:
    """Draw that many different items."""
    left = list(items)
    return [left.pop(int(draw() * len(left))) for _ in range(count)]
