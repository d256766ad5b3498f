"""Accuracies as RSVQA reports them, and what whoever is blind reaches: the baselines that seeing is held against."""

import re
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence

import pandas as pd

from tslib.tasks.base import Example
from tslib.vision.questions import question_of
from tslib.vision.tasks import kind_of

__all__ = ["BLIND", "accuracies", "blind", "blind_table", "by_kind", "object_words"]

LITTLE = frozenset(
    [
        *("is", "are", "a", "an", "the", "there", "in", "image", "picture", "of", "on", "at", "to", "than", "present"),
        *("what", "number", "amount", "area", "covered", "by", "how", "many", "much", "ground", "does", "cover"),
    ]
)
"""Words that all questions of a kind share; ``more``, ``less`` and ``equal`` say which way round a comparison is."""


def object_words(prompt: str) -> str:
    """Return what a question is about: its words without those that all questions of its kind share."""
    return " ".join(word for word in re.findall(r"[a-z]+", question_of(prompt).lower()) if word not in LITTLE)


def majority(_prompt: str) -> str:
    """Return what a blind reader goes by who knows the kind of question alone: nothing."""
    return ""


BLIND: dict[str, Callable[[str], str]] = {"majority": majority, "table": object_words}
"""Blind readers by name: what of a prompt each goes by, beside the kind of question."""


def blind(name: str, training: Iterable[Example], rows: Sequence[Example]) -> dict[str, float]:
    """Score a blind reader: he says what was most often true, in training, of questions that are the same to him.

    Where he met none such, he says what was most often true of the kind; where it is even, the answer first met.

    Parameters
    ----------
    name
        Key of `BLIND`.
    training
        Rows that he learns from.
    rows
        Rows that he answers.

    Returns
    -------
    dict
        Score of each row, 0 or 1, by its id.
    """
    told: dict[tuple[str, str], Counter[str]] = defaultdict(Counter)
    for row in training:
        for words in {BLIND[name](row.prompt), ""}:
            told[kind_of(row.id), words][row.answers[0]] += 1
    scores = {}
    for row in rows:
        kind = kind_of(row.id)
        known = told.get((kind, BLIND[name](row.prompt))) or told.get((kind, "")) or Counter()
        said = known.most_common(1)[0][0] if known else None
        scores[row.id] = float(said in row.answers)
    return scores


def by_kind(scores: Mapping[str, float]) -> dict[str, float]:
    """Return the accuracy of each kind of question, from the score of each row by its id."""
    found: dict[str, list[float]] = defaultdict(list)
    for name, score in scores.items():
        found[kind_of(name)].append(score)
    return {kind: sum(own) / len(own) for kind, own in sorted(found.items())}


def accuracies(scores: Mapping[str, float]) -> dict[str, float]:
    """Return ``oa``, the accuracy over all rows, ``aa``, the mean over the kinds of questions, and each kind's."""
    kinds = by_kind(scores)
    return {"oa": sum(scores.values()) / len(scores), "aa": sum(kinds.values()) / len(kinds), **kinds}


def blind_table(training: Sequence[Example], rows: Sequence[Example]) -> pd.DataFrame:
    """Return one row a blind reader: `accuracies` of all that he answers."""
    return pd.DataFrame([{"reader": name, **accuracies(blind(name, training, rows))} for name in BLIND])
