"""Questions with four choices made from facts, so that nothing has to be downloaded: the stand-in for MMLU.

Every fact stands below or is a calculation, so that a reader can check it.
"""

import random
from collections.abc import Iterator, Sequence
from functools import cache
from itertools import pairwise
from typing import TypeVar

from tslib.tasks.base import Example, Reading, made
from tslib.tasks.choice import LETTERS, ChoiceTask, ask

__all__ = ["CAPITALS", "ELEMENTS", "ORDERS", "UNITS", "MultipleChoice"]

_ELEMENTS = """
    H hydrogen, He helium, Li lithium, Be beryllium, B boron, C carbon, N nitrogen, O oxygen, F fluorine, Ne neon,
    Na sodium, Mg magnesium, Al aluminium, Si silicon, P phosphorus, S sulfur, Cl chlorine, Ar argon, K potassium,
    Ca calcium, Sc scandium, Ti titanium, V vanadium, Cr chromium, Mn manganese, Fe iron, Co cobalt, Ni nickel,
    Cu copper, Zn zinc, Ga gallium, Ge germanium, As arsenic, Se selenium, Br bromine, Kr krypton, Rb rubidium,
    Sr strontium, Y yttrium, Zr zirconium, Nb niobium, Mo molybdenum, Tc technetium, Ru ruthenium, Rh rhodium,
    Pd palladium, Ag silver, Cd cadmium, In indium, Sn tin, Sb antimony, Te tellurium, I iodine, Xe xenon, Cs caesium,
    Ba barium, La lanthanum, Ce cerium, Pr praseodymium, Nd neodymium, Pm promethium, Sm samarium, Eu europium,
    Gd gadolinium, Tb terbium, Dy dysprosium, Ho holmium, Er erbium, Tm thulium, Yb ytterbium, Lu lutetium,
    Hf hafnium, Ta tantalum, W tungsten, Re rhenium, Os osmium, Ir iridium, Pt platinum, Au gold, Hg mercury,
    Tl thallium, Pb lead, Bi bismuth, Po polonium, At astatine, Rn radon, Fr francium, Ra radium, Ac actinium,
    Th thorium, Pa protactinium, U uranium
"""
# Left out are countries with two capitals or a new one, and those whose capital has nearly the country's name.
_CAPITALS = (
    """
    Albania: Tirana, Austria: Vienna, Belarus: Minsk, Belgium: Brussels, Bulgaria: Sofia, Croatia: Zagreb,
    Cyprus: Nicosia, Denmark: Copenhagen, Estonia: Tallinn, Finland: Helsinki, France: Paris, Germany: Berlin,
    Greece: Athens, Hungary: Budapest, Iceland: Reykjavik, Ireland: Dublin, Italy: Rome, Latvia: Riga,
    Lithuania: Vilnius, Malta: Valletta, Norway: Oslo, Poland: Warsaw, Portugal: Lisbon, Romania: Bucharest,
    Serbia: Belgrade, Slovakia: Bratislava, Slovenia: Ljubljana, Spain: Madrid, Sweden: Stockholm, Ukraine: Kyiv
    """,
    """
    Afghanistan: Kabul, Armenia: Yerevan, Azerbaijan: Baku, Bangladesh: Dhaka, Bhutan: Thimphu, Cambodia: Phnom Penh,
    China: Beijing, India: New Delhi, Iran: Tehran, Iraq: Baghdad, Japan: Tokyo, Jordan: Amman, Kyrgyzstan: Bishkek,
    Laos: Vientiane, Lebanon: Beirut, Mongolia: Ulaanbaatar, Nepal: Kathmandu, Oman: Muscat, Pakistan: Islamabad,
    Qatar: Doha, Saudi Arabia: Riyadh, South Korea: Seoul, Syria: Damascus, Tajikistan: Dushanbe, Thailand: Bangkok,
    Turkey: Ankara, Turkmenistan: Ashgabat, Uzbekistan: Tashkent, Vietnam: Hanoi
    """,
    """
    Angola: Luanda, Botswana: Gaborone, Burkina Faso: Ouagadougou, Cameroon: Yaoundé, Chad: N'Djamena, Egypt: Cairo,
    Eritrea: Asmara, Ethiopia: Addis Ababa, Gabon: Libreville, Ghana: Accra, Kenya: Nairobi, Lesotho: Maseru,
    Liberia: Monrovia, Libya: Tripoli, Madagascar: Antananarivo, Malawi: Lilongwe, Mali: Bamako,
    Mauritania: Nouakchott, Morocco: Rabat, Mozambique: Maputo, Namibia: Windhoek, Niger: Niamey, Nigeria: Abuja,
    Rwanda: Kigali, Senegal: Dakar, Sierra Leone: Freetown, Somalia: Mogadishu, Sudan: Khartoum, Togo: Lomé,
    Uganda: Kampala, Zambia: Lusaka, Zimbabwe: Harare
    """,
    """
    Argentina: Buenos Aires, Barbados: Bridgetown, Belize: Belmopan, Canada: Ottawa, Chile: Santiago,
    Colombia: Bogotá, Costa Rica: San José, Cuba: Havana, Ecuador: Quito, Guyana: Georgetown, Haiti: Port-au-Prince,
    Honduras: Tegucigalpa, Jamaica: Kingston, Nicaragua: Managua, Paraguay: Asunción, Peru: Lima,
    Suriname: Paramaribo, Uruguay: Montevideo, Venezuela: Caracas
    """,
)
_UNITS = """
    60 seconds minutes, 60 minutes hours, 24 hours days, 7 days weeks, 12 months years, 10 years decades,
    100 years centuries, 10 millimetres centimetres, 100 centimetres metres, 1000 metres kilometres,
    1000 milligrams grams, 1000 grams kilograms, 1000 kilograms tonnes, 1000 millilitres litres, 12 inches feet,
    3 feet yards, 16 ounces pounds, 8 bits bytes
"""
_ORDERS = {
    "day of the week": "Monday Tuesday Wednesday Thursday Friday Saturday Sunday Monday",
    "month of the year": "January February March April May June July August September October November December "
    "January",
    "planet, counted from the Sun,": "Mercury Venus Earth Mars Jupiter Saturn Uranus Neptune",
    "letter of the Greek alphabet": "alpha beta gamma delta epsilon zeta eta theta iota kappa lambda mu nu xi omicron "
    "pi rho sigma tau upsilon phi chi psi omega",
}
_ROMAN = {100: "C", 90: "XC", 50: "L", 40: "XL", 10: "X", 9: "IX", 5: "V", 4: "IV", 1: "I"}

ELEMENTS = tuple((symbol, name) for symbol, name in (item.split() for item in _ELEMENTS.split(",")))
"""Symbol and name of the elements, in the order of the atomic number."""
CAPITALS = tuple(
    tuple((country.strip(), city) for country, city in (item.split(": ") for item in part.strip().split(",")))
    for part in _CAPITALS
)
"""Country and capital, for four parts of the world."""
UNITS = tuple((int(factor), small, large) for factor, small, large in (item.split() for item in _UNITS.split(",")))
"""How many of the first unit make one of the second."""
ORDERS = {name: tuple(order.split()) for name, order in _ORDERS.items()}
"""What comes after what; a round ends with its beginning."""

SEED = 0
TEST_SHARE = 4
"""One fact of this many is a test fact."""

T = TypeVar("T")

_Question = tuple[str, str, list[str]]
"""Question, right choice, and choices among which wrong ones are drawn."""
_Fact = list[_Question]
"""The questions that ask for one fact; all of them are in one split."""


class MultipleChoice(ChoiceTask):
    """Chemical elements, capitals, multiplication, Roman numerals, orders and units: 760 training and 260 test rows.

    No fact is in both splits: where France's capital is asked in one, Paris's country is not asked in the other. The
    wrong choices are of the same kind as the right one and near it: elements of near numbers, countries of the same
    part of the world. Each letter is right equally often.
    """

    name = "multiple-choice"
    title = "Multiple choice from facts"
    licence = "Apache-2.0"
    source = "https://en.wikipedia.org/wiki/Periodic_table"

    def read(self, split: str) -> Reading:
        """Rows of a split that is known to exist."""
        return made(_generate()[split])


@cache
def _generate() -> dict[str, tuple[Example, ...]]:
    """Make both splits."""
    generator = random.Random(SEED)
    questions: dict[str, list[tuple[str, _Question]]] = {"train": [], "test": []}
    for subject, facts in _facts().items():
        for place, fact in enumerate(_shuffled(facts, generator)):
            asked = questions["train" if place % TEST_SHARE else "test"]
            # No choice is itself called A to D, as boron is: a reply of that letter would have two meanings.
            asked += [(subject, question) for question in fact if question[1] not in LETTERS]
    splits = {}
    for split, asked in questions.items():
        letters = _shuffled([LETTERS[index % len(LETTERS)] for index in range(len(asked))], generator)
        examples = []
        for index, (subject, (question, right, others)) in enumerate(_shuffled(asked, generator)):
            wrong = [choice for choice in others if choice not in (right, *LETTERS)]
            choices = _shuffled(wrong, generator)[: len(LETTERS) - 1]
            choices.insert(LETTERS.index(letters[index]), right)
            prompt = ask(subject, question, choices)
            examples.append(
                Example(f"multiple-choice/{split}/{index}", prompt, letters[index], letters[index], LETTERS)
            )
        splits[split] = tuple(examples)
    return splits


def _facts() -> dict[str, list[_Fact]]:
    """Facts of each subject."""
    return {
        "chemical elements": list(_elements()),
        "capitals": list(_capitals()),
        "multiplication": list(_products()),
        "Roman numerals": list(_numerals()),
        "orders": list(_orders()),
        "units": list(_conversions()),
    }


def _elements() -> Iterator[_Fact]:
    numbered = [(str(number), *element) for number, element in enumerate(ELEMENTS, start=1)]
    for place, (number, symbol, name) in enumerate(numbered):
        numbers, symbols, names = zip(*numbered[max(place - 6, 0) : place + 7], strict=True)
        yield [
            (f"What is the chemical symbol of {name}?", symbol, list(symbols)),
            (f"Which element has the chemical symbol {symbol}?", name, list(names)),
            (f"What is the atomic number of {name}?", number, list(numbers)),
            (f"Which element has the atomic number {number}?", name, list(names)),
        ]


def _capitals() -> Iterator[_Fact]:
    for part in CAPITALS:
        countries, cities = zip(*part, strict=True)
        for country, city in part:
            yield [
                (f"What is the capital of {country}?", city, list(cities)),
                (f"{city} is the capital of which country?", country, list(countries)),
            ]


def _products() -> Iterator[_Fact]:
    for a in range(11, 26):
        for b in range(a, 26):
            yield [(f"What is {a} times {b}?", str(a * b), _near(a * b, a, b, 10))]


def _numerals() -> Iterator[_Fact]:
    for number in range(4, 380, 7):
        near = _near(number, 1, 2, 5, 10)
        yield [
            (f"How is {number} written in Roman numerals?", _roman(number), [_roman(int(other)) for other in near]),
            (f"Which number is written {_roman(number)} in Roman numerals?", str(number), near),
        ]


def _orders() -> Iterator[_Fact]:
    for name, order in ORDERS.items():
        for earlier, later in pairwise(order):
            others = [item for item in dict.fromkeys(order) if item not in (earlier, later)]
            yield [
                (f"Which {name} comes right after {earlier}?", later, others),
                (f"Which {name} comes right before {later}?", earlier, others),
            ]


def _conversions() -> Iterator[_Fact]:
    for factor, small, large in UNITS:
        yield [
            (
                f"How many {small} are there in {count} {large}?",
                str(count * factor),
                _near(count * factor, factor, count),
            )
            for count in range(2, 8)
        ]


def _near(number: int, *steps: int) -> list[str]:
    """Positive numbers that are up to two of these steps away."""
    found = [number + sign * times * step for step in steps for times in (1, 2) for sign in (1, -1)]
    return [str(other) for other in dict.fromkeys(found) if other > 0]


def _roman(number: int) -> str:
    """Roman numeral of a number from 1 to 399."""
    written = ""
    for value, numeral in _ROMAN.items():
        written += numeral * (number // value)
        number %= value
    return written


def _shuffled(items: Sequence[T], generator: random.Random) -> list[T]:
    """Shuffle by random() alone, the same in every version of Python."""
    keys = [generator.random() for _ in items]
    return [items[index] for index in sorted(range(len(items)), key=keys.__getitem__)]
