"""GSM8K: grade-school word problems with worked solutions, and its rule for finding a number in a reply.

Cobbe et al., Training Verifiers to Solve Math Word Problems, arXiv:2110.14168.
"""

import re
from decimal import Decimal

from tslib.errors import InputError
from tslib.tasks.base import Example, Hub, Row, SourceTask, Task
from tslib.tasks.sources import find_rows, read_jsonl

__all__ = ["GSM8K", "NumericTask", "find_number", "worked_target"]

MARK = "####"

# A minus is a sign unless it stands after a digit, letter, bracket, percent sign or minus (5-3, --72).
_NUMBER = re.compile(
    r"""
    (?P<sign>(?<![\w)\]%-])-)?
    (?:[$£€¥][ ]?(?P<inner>-)?)?            # -$5 and $-5 are both minus five
    (?P<digits>[0-9]+(?:,[0-9]+)*(?:\.[0-9]+)? | (?<![0-9])\.[0-9]+)
    """,
    re.VERBOSE,
)
_ANNOTATION = re.compile(r"<<.*?>>")  # GSM8K's calculator annotations, as in <<48/2=24>>


def find_number(text: str) -> str | None:
    """Find the number that a reply gives as its answer.

    It is the first number after the last ``####``; where there is none, the last number of the text. Commas
    between digits, currency signs and a trailing full stop are dropped. As in GSM8K's own scorer nothing is
    calculated: a fraction is two numbers, so ``#### 3/4`` gives 3 and ``it is 3/4`` gives 4; of ``72%`` the
    number is 72.

    Returns
    -------
    str or None
        Digits, with a leading minus or a decimal point if it has them.
    """
    text = text.replace("\N{MINUS SIGN}", "-")
    _, mark, tail = text.rpartition(MARK)
    match = _NUMBER.search(tail) if mark else None
    if match is None:
        for last in _NUMBER.finditer(text):
            match = last
    if match is None:
        return None
    sign = "-" if match["sign"] or match["inner"] else ""
    return sign + match["digits"].replace(",", "")


def worked_target(solution: str, answer: str) -> str:
    """Build the reply to learn: the solution without calculator annotations, then a line ``#### answer``.

    Runs of blanks become one, blank lines go, and what the solution says after its own ``####`` is replaced.
    """
    body = _ANNOTATION.sub("", solution.partition(MARK)[0])
    lines = [" ".join(line.split()) for line in body.splitlines()]
    return "\n".join([*filter(None, lines), f"{MARK} {answer}"])


class NumericTask(Task):
    """A task whose answer is a number, scored by GSM8K's rule: `find_number`, then right or wrong."""

    def extract(self, text: str) -> str | None:
        """Answer found in generated text, or None."""
        return find_number(text)

    def score(self, text: str, example: Example) -> float:
        """1 if the number found equals the gold answer as an exact decimal (72, 72.0 and $72 do), else 0."""
        found = find_number(text)
        return float(found is not None and Decimal(found) in map(Decimal, example.answers))

    def complete(self, text: str) -> bool:
        """Whether the last ``####`` is followed by a number that has ended."""
        _, mark, tail = text.rpartition(MARK)
        match = _NUMBER.search(tail) if mark else None
        return match is not None and bool(re.match(r"\.?\s", tail[match.end() :]))


class GSM8K(NumericTask, SourceTask):
    """GSM8K, from ``$TSLIB_DATA_DIR/gsm8k/{train,test}.jsonl`` when that variable is set, else from the hub.

    Both have the fields ``question`` and ``answer``. Ids keep the index in the source.
    """

    name = "gsm8k"
    title = "GSM8K"
    licence = "MIT"
    source = "https://github.com/openai/grade-school-math"
    hub: Hub = Hub("openai/gsm8k", "main", "740312add88f781978c0658806c59bc2815b9866")
    stand_in = "gsm-symbolic"
    layout = "gsm8k/{train,test}.jsonl"

    def rows(self, source_split: str) -> tuple[list[Row], tuple[str, ...]]:
        """Rows of a split of the source."""
        path = f"gsm8k/{source_split}.jsonl"
        return find_rows(self, ("",), lambda _: path, read_jsonl, lambda _: (self.hub, source_split))

    def example(self, row: Row, source_split: str) -> Example:
        """Make an example of a row."""
        question, solution = row.text("question").strip(), row.text("answer")
        _, mark, tail = solution.rpartition(MARK)
        answer = find_number(tail) if mark else None
        if answer is None:
            raise InputError(f"{row.where}: expected the field 'answer' to end in '{MARK} N', N a number")
        return Example(f"{self.name}/{source_split}/{row.index}", question, worked_target(solution, answer), answer)
