"""Two-hop questions from made-up facts: a stand-in for HotpotQA (arXiv:1809.09600) that needs no download.

Each row has a small world of its own: four people, three companies and three towns, told in ten short passages. No
passage answers the question alone.
"""

import random
from collections.abc import Callable, Sequence
from functools import cache
from itertools import combinations
from typing import NamedTuple, TypeVar

from tslib.tasks.base import Example, Reading, made
from tslib.tasks.hotpotqa import PassagesTask, passages_prompt

__all__ = ["TwoHop"]

SIZES = {"train": 600, "test": 200}
SEEDS = {"train": 0, "test": 1}

FIRST_NAMES = (
    *("Ada", "Bruno", "Carla", "Dario", "Edith", "Felix", "Greta", "Hugo", "Irma", "Jonas", "Karin", "Leo", "Mona"),
    *("Nils", "Olga", "Paul", "Rita", "Simon", "Tilda", "Viktor"),
)
LAST_NAMES = (
    *("Abel", "Brandt", "Castell", "Dorn", "Eklund", "Farrow", "Gruber", "Hallam", "Ivens", "Juhl", "Keller", "Lund"),
    *("Marek", "Novak", "Orsini", "Petrov", "Quist", "Rossi", "Sandoval", "Tamm"),
)
TOWN_STARTS = (
    *("Bel", "Cor", "Dun", "Fen", "Gar", "Hol", "Kel", "Lor", "Mar", "Nor", "Pel", "Quin", "Ros", "Sel", "Tor"),
    *("Ul", "Ver", "Wyn", "Yar", "Zan"),
)
TOWN_ENDS = ("bury", "combe", "dale", "fell", "grove", "haven", "mere", "ness", "stow", "wick")
RIVERS = ("Arl", "Brenn", "Cald", "Drava", "Esk", "Fyne", "Gisel", "Hamble", "Ister", "Lauter", "Mura", "Osk")
PROVINCES = (
    *("Altmark", "Brevia", "Cardonia", "Durrow", "Estmoor", "Galdor", "Hestia", "Karst", "Lavonia", "Morland"),
    *("Nerida", "Ostria"),
)
COMPANY_STARTS = (
    *("Amber", "Beacon", "Cobalt", "Delta", "Falcon", "Granite", "Harbor", "Ivory", "Juniper", "Lantern", "Meridian"),
    *("Nimbus", "Orchard", "Pioneer", "Raven", "Summit", "Tidal", "Willow"),
)
COMPANY_ENDS = ("Brothers", "Group", "Holding", "Industries", "Partners", "Supplies", "Trading", "Works")
PRODUCTS = (
    *("bicycles", "blankets", "candles", "clocks", "furniture", "glassware", "lamps", "paper", "pumps", "shoes"),
    *("tents", "umbrellas"),
)
JOBS = (
    *("baker", "botanist", "carpenter", "chemist", "dentist", "gardener", "journalist", "lawyer", "pilot", "sculptor"),
    *("surgeon", "teacher"),
)
INSTRUMENTS = (
    *("accordion", "banjo", "cello", "clarinet", "flute", "guitar", "harp", "mandolin", "oboe", "trumpet", "tuba"),
    "violin",
)
BIRTHS = tuple(range(1930, 1970))
FOUNDINGS = tuple(range(1990, 2020))

T = TypeVar("T")


class TwoHop(PassagesTask):
    """600 training and 200 test rows, the same on every machine, scored as HotpotQA is.

    Six of ten questions name one thing and ask about another that is found through it ("In which town was the
    founder of … born?"); the others compare two, half of them by yes or no. Both splits draw names from the same
    lists, but each row has facts of its own.
    """

    name = "two-hop"
    title = "Two-hop questions from made-up facts"
    licence = "Apache-2.0"
    source = "https://hotpotqa.github.io (the kind of question; the rows are made by tslib)"

    def read(self, split: str) -> Reading:
        """Rows of a split that is known to exist."""
        return made(_generate(split))


class Person(NamedTuple):
    """Someone, as one passage tells."""

    name: str
    job: str
    instrument: str
    town: str
    born: int


class Town(NamedTuple):
    """A town, as one passage tells."""

    name: str
    river: str
    province: str
    mayor: Person


class Company(NamedTuple):
    """A company, as one passage tells."""

    name: str
    products: str
    founder: Person
    seat: Town
    founded: int


class World(NamedTuple):
    """What the passages of a row are about."""

    people: list[Person]
    towns: list[Town]
    companies: list[Company]


class Dice:
    """Choices by ``random()``, which alone gives the same numbers in every version of Python."""

    def __init__(self, seed: int) -> None:
        self._random = random.Random(seed).random

    def draw(self, items: Sequence[T], count: int) -> list[T]:
        """Draw without replacement, in random order."""
        keys = [self._random() for _ in items]
        return [items[index] for index in sorted(range(len(items)), key=keys.__getitem__)[:count]]

    def pick(self, items: Sequence[T]) -> T:
        """Draw one."""
        return items[int(self._random() * len(items))]


@cache
def _generate(split: str) -> tuple[Example, ...]:
    dice = Dice(SEEDS[split])
    examples = []
    for index in range(SIZES[split]):
        world = _world(dice)
        question, answer = dice.pick(QUESTIONS)(world, dice)
        passages = _passages(world)
        prompt = passages_prompt(dice.draw(passages, len(passages)), question)
        examples.append(Example(f"two-hop/{split}/{index}", prompt, answer, answer))
    return tuple(examples)


def _world(dice: Dice) -> World:
    """Make up facts in which names share no word; of four people two have a town in common, and two a profession."""
    starts, ends = dice.draw(TOWN_STARTS, 3), dice.draw(TOWN_ENDS, 3)
    towns = [start + end for start, end in zip(starts, ends, strict=True)]
    jobs = dice.draw(JOBS, 3)
    first, last = dice.draw(FIRST_NAMES, 4), dice.draw(LAST_NAMES, 4)
    names = [f"{one} {two}" for one, two in zip(first, last, strict=True)]
    their_jobs = dice.draw([*jobs, dice.pick(jobs)], 4)
    their_towns = dice.draw([*towns, dice.pick(towns)], 4)
    facts = zip(names, their_jobs, dice.draw(INSTRUMENTS, 4), their_towns, dice.draw(BIRTHS, 4), strict=True)
    people = [Person(*fact) for fact in facts]
    places = zip(towns, dice.draw(RIVERS, 3), dice.draw(PROVINCES, 3), dice.draw(people, 3), strict=True)
    told = [Town(*place) for place in places]
    starts, ends = dice.draw(COMPANY_STARTS, 3), dice.draw(COMPANY_ENDS, 3)
    firms = zip(
        (f"{start} {end}" for start, end in zip(starts, ends, strict=True)),
        *(dice.draw(PRODUCTS, 3), dice.draw(people, 3), dice.draw(told, 3), dice.draw(FOUNDINGS, 3)),
        strict=True,
    )
    return World(people, told, [Company(*firm) for firm in firms])


def _passages(world: World) -> list[tuple[str, str]]:
    people = [
        (
            one.name,
            f"{one.name} is a {one.job} who was born in {one.town} in {one.born} and plays the {one.instrument}.",
        )
        for one in world.people
    ]
    towns = [
        (
            town.name,
            f"{town.name} is a town on the river {town.river} in the province of {town.province}. "
            f"Its mayor is {town.mayor.name}.",
        )
        for town in world.towns
    ]
    companies = [
        (
            firm.name,
            f"{firm.name} is a company that makes {firm.products}. It was founded by {firm.founder.name} in "
            f"{firm.founded} and has its seat in {firm.seat.name}.",
        )
        for firm in world.companies
    ]
    return people + towns + companies


def _birthplace(world: World, dice: Dice) -> tuple[str, str]:
    firm = dice.pick(world.companies)
    return f"In which town was the founder of {firm.name} born?", firm.founder.town


def _birth_year(world: World, dice: Dice) -> tuple[str, str]:
    firm = dice.pick(world.companies)
    return f"In which year was the founder of {firm.name} born?", str(firm.founder.born)


def _profession(world: World, dice: Dice) -> tuple[str, str]:
    town = dice.pick(world.towns)
    return f"What is the profession of the mayor of {town.name}?", town.mayor.job


def _instrument(world: World, dice: Dice) -> tuple[str, str]:
    town = dice.pick(world.towns)
    return f"Which instrument does the mayor of {town.name} play?", town.mayor.instrument


def _river(world: World, dice: Dice) -> tuple[str, str]:
    one = dice.pick(world.people)
    (town,) = (town for town in world.towns if town.name == one.town)
    return f"On which river does the town lie where {one.name} was born?", town.river


def _province(world: World, dice: Dice) -> tuple[str, str]:
    firm = dice.pick(world.companies)
    return f"In which province does {firm.name} have its seat?", firm.seat.province


def _age(world: World, dice: Dice) -> tuple[str, str]:
    one, two = dice.draw(world.people, 2)
    word, choose = dice.pick((("older", min), ("younger", max)))
    return f"Who is {word}, {one.name} or {two.name}?", choose(one, two, key=lambda person: person.born).name


def _founding(world: World, dice: Dice) -> tuple[str, str]:
    one, two = dice.draw(world.companies, 2)
    word, choose = dice.pick((("earlier", min), ("later", max)))
    answer = choose(one, two, key=lambda firm: firm.founded).name
    return f"Which company was founded {word}, {one.name} or {two.name}?", answer


def _same_town(world: World, dice: Dice) -> tuple[str, str]:
    one, two, answer = _pair(world, dice, lambda person: person.town)
    return f"Were {one} and {two} born in the same town?", answer


def _same_job(world: World, dice: Dice) -> tuple[str, str]:
    one, two, answer = _pair(world, dice, lambda person: person.job)
    return f"Do {one} and {two} have the same profession?", answer


def _pair(world: World, dice: Dice, fact: Callable[[Person], str]) -> tuple[str, str, str]:
    """Names of two people and whether they share a fact; yes and no are as likely."""
    answer = dice.pick(("yes", "no"))
    pairs = [pair for pair in combinations(world.people, 2) if (fact(pair[0]) == fact(pair[1])) == (answer == "yes")]
    one, two = dice.pick(pairs)
    return one.name, two.name, answer


QUESTIONS = (
    *(_birthplace, _birth_year, _profession, _instrument, _river, _province),
    *(_age, _founding, _same_town, _same_job),
)
