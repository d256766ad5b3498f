"""LongBench: 21 tasks of long contexts in English, Chinese and code, each with its own prompt and score.

Bai et al., LongBench: A Bilingual, Multitask Benchmark for Long Context Understanding, arXiv:2308.14508. The prompts
and the longest replies in ``longbench_prompts.json`` are LongBench's own (MIT); that file names their commit.
"""

import json
import re
from collections.abc import Callable, Mapping
from functools import cache, partial
from importlib.resources import files
from typing import ClassVar

from tslib.errors import InputError
from tslib.tasks import longbench_scores as scores
from tslib.tasks.base import Example, Hub, Row, SourceTask
from tslib.tasks.sources import find_rows, read_jsonl

__all__ = ["MAX_NEW_TOKENS", "SUBSETS", "TEMPLATES", "LongBench"]

_CONFIG = json.loads(files("tslib.tasks").joinpath("longbench_prompts.json").read_text(encoding="utf-8"))

TEMPLATES: dict[str, str] = _CONFIG["dataset2prompt"]
"""The prompt of each subset, with ``{context}`` and ``{input}``."""

MAX_NEW_TOKENS: dict[str, int] = _CONFIG["dataset2maxlen"]
"""Longest reply of each subset."""

SUBSETS = tuple(TEMPLATES)

_F1 = "narrativeqa", "qasper", "multifieldqa_en", "hotpotqa", "2wikimqa", "musique", "triviaqa"
_ROUGE = "gov_report", "qmsum", "multi_news", "samsum"
_ROUGE_ZH = "dureader", "vcsum"
_CLASSES = "trec", "lsht"
_NUMBERS = "passage_count", "passage_retrieval_en", "passage_retrieval_zh"
_CODE = "lcc", "repobench-p"

_METRICS = (
    dict.fromkeys((*_F1, "multifieldqa_zh"), "F1")
    | dict.fromkeys(_ROUGE + _ROUGE_ZH, "ROUGE-L")
    | dict.fromkeys(_CLASSES + _NUMBERS, "accuracy")
    | dict.fromkeys(_CODE, "edit similarity")
)
_RULES: Mapping[str, Callable[[str, str], float]] = (
    dict.fromkeys(_F1, scores.qa_f1)
    | {"multifieldqa_zh": scores.qa_f1_zh}
    | dict.fromkeys(_ROUGE, scores.rouge_l)
    | dict.fromkeys(_ROUGE_ZH, scores.rouge_l_zh)
    | dict.fromkeys(_NUMBERS, scores.share_of_numbers)
    | dict.fromkeys(_CODE, scores.edit_similarity)
)  # and `classification` for the rest
# Few-shot tasks, where a model goes on with the next example.
_ONE_LINE = "trec", "triviaqa", "samsum", "lsht"


class LongBench(SourceTask):
    """LongBench or one of its subsets, from ``$TSLIB_DATA_DIR/longbench/SUBSET.jsonl`` when that is set, else the hub.

    The file has LongBench's own rows, with ``context`` and ``input`` for the template. The hub's rows hold the
    filled-in template, cut in three; joined they are the same prompt. Where a model's context is too short, the middle
    of the prompt is left out, as in LongBench.

    Parameters
    ----------
    subset
        One of `SUBSETS`, such as ``multi_news``; empty for the whole.

    Raises
    ------
    InputError
        If there is no such subset.
    """

    licence = "MIT; the texts keep their own terms"
    source = "https://github.com/THUDM/LongBench"
    splits = ("train", "test", "all")
    source_splits: ClassVar[Mapping[str, str]] = {"all": "test"}
    stand_in = "needle-haystack"
    cuts_middle = True

    def __init__(self, subset: str = "") -> None:
        if subset and subset not in SUBSETS:
            raise InputError(f"unknown subset {subset!r} of LongBench: choose one of {', '.join(SUBSETS)}")
        self.subset = subset
        self.subsets = () if subset else SUBSETS
        self.name = f"longbench/{subset}" if subset else "longbench"
        self.title = f"LongBench: {subset}" if subset else "LongBench"
        self.hub: Hub = Hub("Xnhyacinth/LongBench", subset or None, "2e9ade51ebf45d98942056c0716234f9d5d257d5")
        self.layout = f"longbench/{subset or 'SUBSET'}.jsonl"
        self.metric = _METRICS.get(subset, "score")
        self.max_new_tokens = MAX_NEW_TOKENS[subset] if subset else max(MAX_NEW_TOKENS.values())

    def rows(self, source_split: str) -> tuple[list[Row], tuple[str, ...]]:
        """Rows of the source, and the subsets that are missing there."""
        return find_rows(
            self,
            self.subsets or (self.subset,),
            "longbench/{}.jsonl".format,
            read_jsonl,
            lambda subset: (Hub(self.hub.repo, subset, self.hub.revision), source_split),
        )

    def example(self, row: Row, source_split: str) -> Example:
        """Make an example of a row, of a file or of the hub."""
        answers = _texts(row, "answers")
        if row.subset.startswith("passage_retrieval") and not all(re.search(r"\d", answer) for answer in answers):
            raise InputError(f"{row.where}: expected the number of a paragraph in each of the field 'answers'")
        return Example(
            f"longbench/{row.subset}/{row.index}",
            _prompt(row),
            answers[0],
            answers if len(answers) > 1 else answers[0],
            _texts(row, "all_classes") if row.subset in _CLASSES else (),
        )

    def extract(self, text: str) -> str | None:
        """The part of a reply that is scored: one line for some subsets, else all of it; None if that is blank.

        The whole task cannot tell a reply's subset, so there it is all of it.
        """
        part = _scored_part(self.subset, text)
        return part if part.strip() else None

    def score(self, text: str, example: Example) -> float:
        """Score of a reply by the rule of its subset, the best over the accepted answers.

        Raises
        ------
        InputError
            If the id of the example names no subset.
        """
        subset = example.id.removeprefix("longbench/").partition("/")[0]
        if subset not in SUBSETS:
            raise InputError(f"example {example.id}: expected an id such as longbench/multi_news/17")
        reply = _scored_part(subset, text)
        rule = _RULES.get(subset) or partial(scores.classification, classes=example.choices)
        return max(rule(reply, answer) for answer in example.answers)

    def complete(self, text: str) -> bool:
        """Whether the line that is scored has ended; never where all of the reply is."""
        return self.subset in _ONE_LINE and "\n" in text.lstrip("\n")


def _scored_part(subset: str, text: str) -> str:
    if subset in _ONE_LINE:
        return scores.first_line(text)
    return scores.code_line(text) if subset in _CODE else text


def _prompt(row: Row) -> str:
    template, context = TEMPLATES[row.subset], row.text("context")
    if "question" not in row.fields:
        return template.format(context=context, input=_string(row, "input"))
    question, prefix = _string(row, "question"), _string(row, "answer_prefix")
    # "Summary: " was meant to be moved from the question to the prefix, but where a blank follows it stands in both.
    repeated = question.rstrip().endswith(prefix.strip())
    prompt = context + question + ("" if repeated else prefix)
    if not _pattern(template).fullmatch(prompt):
        raise InputError(
            f"{row.where}: expected the fields 'context', 'question' and 'answer_prefix' to be LongBench's prompt of "
            f"{row.subset} in three parts: put LongBench's own rows at TSLIB_DATA_DIR/longbench/{row.subset}.jsonl"
        )
    return prompt


@cache
def _pattern(template: str) -> re.Pattern[str]:
    """What a template can become."""
    return re.compile(".*".join(map(re.escape, re.split(r"\{context\}|\{input\}", template))), re.DOTALL)


def _string(row: Row, field: str) -> str:
    """Text of a field that may be blank."""
    value = row.value(field)
    if not isinstance(value, str):
        raise InputError(f"{row.where}: expected text in the field {field!r}, found {type(value).__name__}")
    return value


def _texts(row: Row, field: str) -> tuple[str, ...]:
    """Texts of a field that lists at least one, none of them blank."""
    value = row.value(field)
    if not isinstance(value, list) or not value or not all(isinstance(text, str) and text.strip() for text in value):
        raise InputError(f"{row.where}: expected a list of texts in the field {field!r}, found {str(value)[:80]!r}")
    return tuple(value)
