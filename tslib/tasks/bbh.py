"""BIG-Bench Hard: 27 kinds of question on which models were behind people, and its rule for reading a short answer.

Suzgun et al., Challenging BIG-Bench Tasks and Whether Chain-of-Thought Can Solve Them, arXiv:2210.09261.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from decimal import Decimal
from functools import partial
from typing import ClassVar

from tslib.errors import InputError
from tslib.tasks.base import Example, Hub, Row, SourceTask, Task
from tslib.tasks.gsm8k import MARK, find_number
from tslib.tasks.sources import find_rows, read_json

__all__ = ["BBH", "SUBSETS", "Form", "ShortAnswerTask", "find_choice", "find_reply"]


@dataclass(frozen=True)
class Form:
    """The form of a kind's answers: what the prompt says of it, and the choices that all rows share, if any."""

    instruction: str
    choices: tuple[str, ...] = ()


LETTER = Form("Answer with the letter of the option, like (A).")  # each row has choices of its own
YES_NO = Form("Answer with Yes or No.", ("Yes", "No"))
NUMBER = Form("Answer with the number in digits.")
WORDS = Form("Answer with the sorted words, separated by spaces.")

SUBSETS: dict[str, Form] = {
    "boolean_expressions": Form("Answer with True or False.", ("True", "False")),
    "causal_judgement": YES_NO,
    "date_understanding": LETTER,
    "disambiguation_qa": LETTER,
    "dyck_languages": Form("Answer with the missing brackets only."),
    "formal_fallacies": Form("Answer with valid or invalid.", ("valid", "invalid")),
    "geometric_shapes": LETTER,
    "hyperbaton": LETTER,
    "logical_deduction_five_objects": LETTER,
    "logical_deduction_seven_objects": LETTER,
    "logical_deduction_three_objects": LETTER,
    "movie_recommendation": LETTER,
    "multistep_arithmetic_two": NUMBER,
    "navigate": YES_NO,
    "object_counting": NUMBER,
    "penguins_in_a_table": LETTER,
    "reasoning_about_colored_objects": LETTER,
    "ruin_names": LETTER,
    "salient_translation_error_detection": LETTER,
    "snarks": LETTER,
    "sports_understanding": Form("Answer with yes or no.", ("yes", "no")),
    "temporal_sequences": LETTER,
    "tracking_shuffled_objects_five_objects": LETTER,
    "tracking_shuffled_objects_seven_objects": LETTER,
    "tracking_shuffled_objects_three_objects": LETTER,
    "web_of_lies": YES_NO,
    "word_sorting": WORDS,
}
"""The subsets of BIG-Bench Hard, each with the form of its answers."""

_OPTION = re.compile(r"^(\([A-Z]\))\s", re.MULTILINE)
_ANNOUNCED = re.compile(r"\banswer\s*(?:is\b|:)[\s:]*", re.IGNORECASE)
_EMPHASIS = re.compile(r"[*`]")
_LETTER = re.compile(r"\([A-Z]\)")
_LETTER_FIRST = re.compile(
    r"""
    [^\w(]*
    (?: (?:option|choice)\s+ (?-i:([A-Z]))\b
      | (?:(?:option|choice)\s+)? \(?\s*([A-Z]) (?: \s*[)\]] | [.:,;]\s | \s*[-–—]\s | \W*$ )  # not in "A man walks"
    )""",
    re.VERBOSE | re.IGNORECASE,
)
_LETTER_INSIDE = re.compile(r"(?<!\w)(?<!\bnot )\(([A-Z])\)")
_ECHO = r"(?!\s*(?:/|(?:or|and)\b))"  # "Yes or No", "True and not False"
_FRACTION = re.compile(r"(?<![\d.,])[\d.,]+\s*/\s*\d[\d.,]*|\\\w?frac\S*")
_NUMBER = re.compile(r"-?\d+(?:\.\d+)?")
_BRACKETS = re.compile(r"[()\[\]{}<>\s]+")
_AROUND_BRACKETS = re.compile(r"[\s\"'.,:;$]")


def find_reply(text: str) -> str | None:
    r"""Find the line of a reply that gives its answer.

    It is what follows the last "answer is" or "Answer:", up to the end of the line, or the first line after it that is
    not blank; where nothing follows or neither is there, the first line that is not blank. ``*`` and ````` count as
    blanks.

    Returns
    -------
    str or None
        The line without blanks around it; None if the text is blank.

    Examples
    --------
    >>> find_reply("Let us see.\nSo the **answer is** (B).\nI am sure.")
    '(B).'
    """
    text = _EMPHASIS.sub(" ", text)
    tail = _ANNOUNCED.split(text)[-1].strip() or text.strip()
    return tail.split("\n")[0].rstrip() or None


def find_choice(line: str, choices: tuple[str, ...]) -> str | None:
    """Find which choice a line names, without regard to case.

    Letters, when the choices are like ``(A)``: the line begins with the letter, in brackets or with nothing behind it
    but a closing bracket, one of ``.:,;``, a dash, or the end: ``(B) the red jug``, ``B. the red jug``, ``b``, but
    not ``A man walks``; or it begins with ``Option B``. Otherwise it is the one capital letter in brackets that the
    line has, as in ``I think it is (B)``; one after "not" is passed over, and of several different ones none is taken.

    Words: the line's first word is the choice, and what follows is ignored, as in ``No, because``; but ``Yes or No``
    and ``True and`` only repeat the question.
    """
    letters = {choice[1]: choice for choice in choices if _LETTER.fullmatch(choice)}
    if letters:
        first = _LETTER_FIRST.match(line)
        inside = set(_LETTER_INSIDE.findall(line))
        found = (first[1] or first[2]).upper() if first else inside.pop() if len(inside) == 1 else ""
        return letters.get(found)
    words = {choice.casefold(): choice for choice in choices}
    match = re.match(rf"\W*({'|'.join(map(re.escape, words))})\b{_ECHO}", line, re.IGNORECASE)
    return words.get(match[1].casefold()) if match else None


class ShortAnswerTask(Task):
    """A task with short answers, scored by exact match without case, punctuation and blanks that do not matter.

    The answer is sought in one line of the reply (`find_reply`). How it is compared depends on the gold answer:

    * one of the row's ``choices``: `find_choice`;
    * a number: the first number after the line's last ``=``, or of the line where it has none, compared as a decimal.
      A minus counts; currency signs and commas between digits do not. Fractions are passed over, number words too;
    * brackets: the line itself, without blanks, quotation marks and ``.,:;$``;
    * words: the same words in the same order, whether blanks or commas part them; other punctuation is dropped.
    """

    max_new_tokens = 64  # the longest list of words has about 50 tokens

    def extract(self, text: str) -> str | None:
        """Line found in generated text, or None."""
        return find_reply(text)

    def score(self, text: str, example: Example) -> float:
        """1 if the reply gives an accepted answer, else 0."""
        line = find_reply(text)
        return float(line is not None and any(_agrees(line, gold, example.choices) for gold in example.answers))

    def complete(self, text: str) -> bool:
        """Whether the line that gives the answer has ended.

        Decoding then stops, so an answer that a longer reply would announce further down is not read.
        """
        return re.match(r"\s*\S.*\n", _ANNOUNCED.split(_EMPHASIS.sub(" ", text))[-1]) is not None


def _agrees(line: str, gold: str, choices: tuple[str, ...]) -> bool:
    if choices:
        return find_choice(line, choices) == gold
    if _NUMBER.fullmatch(gold):
        number = find_number(MARK + _FRACTION.sub(" ", line.rpartition("=")[2]))
        return number is not None and Decimal(number) == Decimal(gold)
    if _BRACKETS.fullmatch(gold):
        return _AROUND_BRACKETS.sub("", line) == "".join(gold.split())
    return _words(line) == _words(gold)


def _words(text: str) -> list[str]:
    return re.sub(r"[^\w\s]|_", "", re.sub("[,;]", " ", text)).casefold().split()


class BBH(ShortAnswerTask, SourceTask):
    """BIG-Bench Hard, from ``$TSLIB_DATA_DIR/bbh/SUBSET.json`` when that variable is set, else from the hub.

    Both have the fields ``input`` and ``target``. A line that says the form of the answer is put after the input: the
    paper shows it by three solved questions. The source has one split, which is divided here. A row whose gold answer
    is none of its options is left out, as in ruin_names, where some options were torn apart at their commas. Of
    questions that occur twice, as in causal_judgement, the first is used, even where the gold answers contradict.
    """

    licence = "MIT"
    source = "https://github.com/suzgunmirac/BIG-Bench-Hard"
    splits = ("train", "test", "all")
    source_splits: ClassVar[Mapping[str, str]] = {"all": "test"}
    stand_in = "bbh-symbolic"

    def __init__(self, subset: str = "") -> None:
        self.name = f"bbh/{subset}" if subset else "bbh"
        self.title = "BIG-Bench Hard" + (f": {subset.replace('_', ' ')}" if subset else "")
        self.hub: Hub = Hub("SaylorTwift/bbh", subset or None, "b5306be6f827cfafbb545ff5a51f96916029b0fd")
        self.subsets = () if subset else tuple(SUBSETS)
        self.layout = f"bbh/{subset or 'SUBSET'}.json"

    def rows(self, source_split: str) -> tuple[list[Row], tuple[str, ...]]:
        """Rows of a split of the source, and the subsets that are missing there."""
        return find_rows(
            self,
            self.subsets or (self.name.removeprefix("bbh/"),),
            lambda subset: f"bbh/{subset}.json",
            partial(read_json, key="examples"),
            lambda subset: (replace(self.hub, config=subset), source_split),
        )

    def example(self, row: Row, source_split: str) -> Example | str:
        """Make an example of a row, or say why the row cannot be used."""
        question, target = row.text("input").strip(), row.text("target").strip()
        form = SUBSETS[row.subset]
        choices = form.choices
        if form is LETTER:
            choices = tuple(_OPTION.findall(question.rpartition("Options:")[2]))
            if not choices:
                raise InputError(f"{row.where}: expected options such as '(A) …' in the field 'input', found none")
        if choices and target not in choices:
            return "its gold answer is none of its options"
        return Example(f"bbh/{row.subset}/{row.index}", f"{question}\n{form.instruction}", target, target, choices)
