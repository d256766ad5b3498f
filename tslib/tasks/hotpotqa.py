"""HotpotQA: questions whose answer takes two of ten passages, and its rule of scoring a short answer.

Yang et al., HotpotQA, arXiv:1809.09600; the scores are those of ``hotpot_evaluate_v1.py`` in
https://github.com/hotpotqa/hotpot.
"""

import re
from collections.abc import Iterable, Mapping
from typing import Any, ClassVar

from tslib.errors import InputError
from tslib.tasks.base import Example, Hub, Row, SourceTask, Task
from tslib.tasks.qa import normalize_answer, overlap_f1
from tslib.tasks.sources import find_rows, read_json

__all__ = ["HotpotQA", "HotpotQAShort", "PassagesTask", "passages_prompt"]

INSTRUCTION = "Answer the question with the help of the passages. Reply with the answer alone."
# Sharing a word with these is worth nothing: they are right or wrong.
CLOSED = frozenset({"yes", "no", "noanswer"})
_LABEL = re.compile(r"^\s*answer\s*:", re.IGNORECASE)


def passages_prompt(passages: Iterable[tuple[str, str]], question: str) -> str:
    """Build a prompt of titled passages and a question about them."""
    told = [f"{title}\n{text}" for title, text in passages]
    return "\n\n".join([INSTRUCTION, *told, f"Question: {question}"])


class PassagesTask(Task):
    """A task whose answer, found in passages, is a few words, scored as HotpotQA is.

    The answer of a reply is its first line that is not empty, without a leading ``Answer:``. The official script
    takes a prediction as it is given; a model's reply may go on after it.
    """

    metric = "F1"
    max_new_tokens = 32

    def extract(self, text: str) -> str | None:
        """Answer found in generated text, or None."""
        return _answer_line(text)[0] or None

    def score(self, text: str, example: Example) -> float:
        """F1 over the normalised words of the answer found; yes, no and noanswer earn nothing but in full."""
        predicted = normalize_answer(_answer_line(text)[0])
        return max(_f1(predicted, normalize_answer(gold)) for gold in example.answers)

    def exact_match(self, text: str, example: Example) -> float:
        """1 if the answer found is the gold one but for case, punctuation, articles and blanks, else 0."""
        predicted = normalize_answer(_answer_line(text)[0])
        return float(any(predicted == normalize_answer(gold) for gold in example.answers))

    def complete(self, text: str) -> bool:
        """Whether the line of the answer has ended."""
        return _answer_line(text)[1]


class HotpotQA(PassagesTask, SourceTask):
    """HotpotQA's development set with distractors: ten passages a question, two of which are needed.

    Read from ``$TSLIB_DATA_DIR/hotpotqa/dev_distractor.json`` when that variable is set, else from the hub. The file
    has the passages row by row, ``[[title, [sentence, ...]], ...]``; the hub has them by column,
    ``{"title": [...], "sentences": [[...], ...]}``. A few questions have fewer passages.
    """

    name = "hotpotqa"
    title = "HotpotQA (distractor)"
    licence = "CC BY-SA 4.0"
    source = "https://hotpotqa.github.io"
    splits = ("train", "test", "all")
    source_splits: ClassVar[Mapping[str, str]] = {"all": "dev"}  # the test set has no public answers
    hub: Hub = Hub("hotpotqa/hotpot_qa", "distractor", "1908d6afbbead072334abe2965f91bd2709910ab")
    stand_in = "two-hop"
    layout = "hotpotqa/dev_distractor.json"

    def rows(self, source_split: str) -> tuple[list[Row], tuple[str, ...]]:
        """Rows of a split of the source."""
        return find_rows(self, ("",), lambda _: self.layout, read_json, lambda _: (self.hub, "validation"))

    def example(self, row: Row, source_split: str) -> Example | str:
        """Make an example of a row."""
        question, answer = row.text("question").strip(), row.text("answer").strip()
        prompt = passages_prompt(self.passages(row), question)
        return Example(f"{self.name}/{source_split}/{row.index}", prompt, answer, answer)

    def passages(self, row: Row) -> list[tuple[str, str]]:
        """Title and text of the passages that a question comes with."""
        return _passages(row)


class HotpotQAShort(HotpotQA):
    """HotpotQA with its supporting passages and the two shortest of the others, where all are short.

    Rows whose prompt has more than `LONGEST` characters are not used, so that prompts have at most 512 tokens of the
    embedded models (which a test counts).
    """

    name = "hotpotqa-short"
    title = "HotpotQA, four passages, short"

    LONGEST: ClassVar[int] = 1650

    def example(self, row: Row, source_split: str) -> Example | str:
        """Make an example of a row, or say why not."""
        made = super().example(row, source_split)
        if isinstance(made, Example) and len(made.prompt) > self.LONGEST:
            return f"its prompt has more than {self.LONGEST} characters"
        return made

    def passages(self, row: Row) -> list[tuple[str, str]]:
        """The supporting passages and two others, in their order."""
        facts = row.value("supporting_facts")
        found = facts.get("title") if isinstance(facts, Mapping) else facts
        titles = {fact if isinstance(fact, str) else fact[0] for fact in found or () if fact}
        passages = _passages(row)
        if not titles or not titles <= {title for title, _ in passages}:
            raise InputError(f"{row.where}: expected titles of passages in the field 'supporting_facts'")
        others = [place for place, (title, _) in enumerate(passages) if title not in titles]
        others = sorted(others, key=lambda place: len(passages[place][1]))[:2]
        return [pair for place, pair in enumerate(passages) if pair[0] in titles or place in others]


def _answer_line(text: str) -> tuple[str, bool]:
    """Answer of a reply, empty where there is none, and whether its line has ended."""
    lines = text.split("\n")
    for number, line in enumerate(lines, start=1):
        if answer := _LABEL.sub("", line).strip():
            return answer, number < len(lines)
    return "", False


def _f1(predicted: str, gold: str) -> float:
    if predicted != gold and not CLOSED.isdisjoint((predicted, gold)):
        return 0.0
    return overlap_f1(predicted.split(), gold.split())


def _passages(row: Row) -> list[tuple[str, str]]:
    """Title and text of the passages, from rows or columns."""
    context = row.value("context")
    if isinstance(context, Mapping):
        titles, sentences = context.get("title"), context.get("sentences")
        if not isinstance(titles, list) or not isinstance(sentences, list):
            raise _bad_context(row, "lists under 'title' and 'sentences'", f"the keys {', '.join(context) or 'none'}")
        if len(titles) != len(sentences):
            raise _bad_context(row, "as many titles as lists of sentences", f"{len(titles)} and {len(sentences)}")
        context = list(zip(titles, sentences, strict=True))
    if not isinstance(context, list) or not context:
        raise _bad_context(row, "at least one passage", "none" if context == [] else type(context).__name__)
    return [_passage(row, number, passage) for number, passage in enumerate(context, start=1)]


def _passage(row: Row, number: int, passage: Any) -> tuple[str, str]:
    match passage:
        case [str(title), [*sentences]] if all(isinstance(sentence, str) for sentence in sentences):
            # In the source most sentences begin with a blank, some do not.
            return title.strip(), " ".join(filter(None, map(str.strip, sentences)))
    raise _bad_context(row, f"a title and a list of sentences as passage {number}", f"{passage!r:.60}")


def _bad_context(row: Row, expected: str, found: str) -> InputError:
    return InputError(f"{row.where}: expected {expected} in the field 'context', found {found}")
