"""Closed questions with the choices A to D: how they are asked, and the rule that finds the letter of a reply."""

import re
from collections.abc import Sequence

from tslib.tasks.base import Example, Task, prompt_key

__all__ = ["LETTERS", "ChoiceTask", "ask", "find_letter"]

LETTERS = ("A", "B", "C", "D")

_LABEL = r"(?i:option|choice|letter)\s+"
_QUOTE = r"[\s*_\"'`‘“$(\[{]*+"  # what may stand before a letter, as in **(B)**
_CLOSED = r"[*_\"'`’”$]*+(?:[.):\]}]|[^\S\n]*+(?:\n|\Z))"  # what then follows a letter that stands for itself

# "A" before a word is the article, unless the word goes on after a letter: "A because ..." but not "A man walks".
_ARTICLE = r"(?<=A)[ \t]+(?!(?:and|as|because|but|for|is|not|or|since|with|[B-D])\b)\w"
_ALONE_BEFORE = r"(?<![\w/&°])(?<!\w[.'’-])"
_ALONE_AFTER = rf"(?![\w/+\#]|['’&-]\w|\.[A-Za-z]\b|{_ARTICLE})"  # not B12, B/C, C++, B's, B-12, B.C.
_OR = r"(?!\W*\s(?:or|and)\s+\W*[A-Da-d]\b)"  # "B or C" names no letter
_LIST = r"(?!\W*,\W*[A-D]\b)"  # nor does "(A), (B) and (C)"

_EXPLICIT = re.compile(
    rf"""
    (?: \b(?i:answer|option|choice)\b (?:[ ]to[ ]th(?:e|is)[ ]question)? [\s*_]*+
        (?: (?:is|(?:must|should|would)[ ]be)\b[\s*_]*+:? | [:=] )
      | \\boxed\{{ )
    {_QUOTE} (?:\\\w+\{{)? (?:{_LABEL})? {_QUOTE}
    (?P<letter> [A-Db-d]{_ALONE_AFTER} | a(?={_CLOSED}|,) ) {_OR}
    """,
    re.VERBOSE,
)
_FIRST = re.compile(
    rf"[\s#>-]*+{_QUOTE}(?:{_LABEL})?{_QUOTE}(?P<letter>[A-Da-d]){_ALONE_AFTER}{_OR}{_LIST}(?={_CLOSED})"
)
_ALONE = re.compile(rf"{_ALONE_BEFORE}(?:[A-D]{_ALONE_AFTER}|(?<!\w\()(?<=\()[a-d](?=\)))")


def find_letter(text: str) -> str | None:
    r"""Find the letter that a reply chooses, as a capital.

    In this order:

    1. ``answer is B``, ``answer: B`` (or option, choice) and ``\boxed{B}``, of several the last;
    2. a letter with which the reply begins, if its line ends there or ``.``, ``)`` or ``:`` follows; brackets,
       quotes, Markdown and the word *option* may stand around it;
    3. the one letter that stands alone in the text, if there are not two different ones.

    A small letter counts where it is marked as one: ``(b)``, ``answer: b``, or as in 2. The article in
    ``A man walks`` is no letter, nor is a hedge such as ``B or C``. A choice repeated by its text alone is not
    found, and a denial is not understood: by 3. the reply ``not B`` chooses B.

    Returns
    -------
    str or None
        ``A`` to ``D``.
    """
    match = _stated(text)
    if match is not None:
        return match["letter"].upper()
    alone = {letter.upper() for letter in _ALONE.findall(text)}
    return alone.pop() if len(alone) == 1 else None


def ask(subject: str, question: str, choices: Sequence[str]) -> str:
    """Build the prompt: a line that names the subject, a blank line, the question, and a line per choice.

    Every line ends in a line feed alone, also within a question that came with carriage returns.
    """
    lines = [
        f"The following is a multiple choice question about {subject}. Answer with the letter of the right choice.\n",
        question.strip(),
        *(f"{letter}. {choice.strip()}" for letter, choice in zip(LETTERS, choices, strict=True)),
    ]
    return "\n".join(lines).replace("\r\n", "\n").replace("\r", "\n")


class ChoiceTask(Task):
    """A task whose answer is one of the letters A to D, scored by `find_letter`: right or wrong."""

    max_new_tokens = 32

    def key(self, example: Example) -> str:
        """What two rows share that ask the same: question and choices, whatever the subject that the prompt names."""
        return prompt_key(example.prompt.partition("\n\n")[2])

    def extract(self, text: str) -> str | None:
        """Answer found in generated text, or None."""
        return find_letter(text)

    def score(self, text: str, example: Example) -> float:
        """1 if the letter found is the gold answer, else 0."""
        return float(find_letter(text) in example.answers)

    def complete(self, text: str) -> bool:
        """Whether a letter is stated, or begins the reply, and its sentence or line has ended."""
        match = _stated(text)
        if match is None:
            return False
        tail = text[match.end() :]
        return "\n" in tail or (match.re is _EXPLICIT and re.match(r"[*_\"'`’”$)\]]*+[.}]", tail) is not None)


def _stated(text: str) -> re.Match[str] | None:
    """Where the rules 1 and 2 of `find_letter` find a letter."""
    found = list(_EXPLICIT.finditer(text))
    return found[-1] if found else _FIRST.match(text)
