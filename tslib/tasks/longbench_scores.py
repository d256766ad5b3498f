"""LongBench's scoring rules: each compares a reply with one accepted answer, from 0 to 1.

Written after ``metrics.py`` and ``eval.py`` of https://github.com/THUDM/LongBench (MIT), Bai et al., arXiv:2308.14508.
"""

import logging
import re
import string
import sys
import warnings
from collections.abc import Sequence
from functools import cache
from tempfile import TemporaryDirectory
from typing import Any

from tslib.tasks.qa import normalize_answer, overlap_f1

__all__ = [
    "classification",
    "code_line",
    "edit_similarity",
    "first_line",
    "qa_f1",
    "qa_f1_zh",
    "rouge_l",
    "rouge_l_zh",
    "share_of_numbers",
]

# LongBench's list of Chinese punctuation, and ASCII's.
_PUNCTUATION_ZH = str.maketrans(
    "",
    "",
    string.punctuation
    + "！？｡。＂＃＄％＆＇（）＊＋，－／：；＜＝＞＠［＼］＾＿｀｛｜｝～｟｠｢｣､、"
    + "〃》「」『』【】〔〕〖〗〘〙〚〛〜〝〞〟〰〾〿–—‘’‛“”„‟…‧﹏.",
)
_PARAGRAPH = re.compile(r"(?:Paragraph |段落)(\d+)")


def first_line(text: str) -> str:
    """First line of a reply, after the line breaks it begins with."""
    return text.lstrip("\n").split("\n", 1)[0]


def code_line(text: str) -> str:
    """First line of a reply without a backtick, ``#`` or ``//``: neither a fence nor a comment; empty if none."""
    lines = text.lstrip("\n").split("\n")
    return next((line for line in lines if not re.search("`|#|//", line)), "")


def qa_f1(reply: str, answer: str) -> float:
    """F1 of the words, normalised as SQuAD's."""
    return overlap_f1(normalize_answer(reply).split(), normalize_answer(answer).split())


def qa_f1_zh(reply: str, answer: str) -> float:
    """F1 of the Chinese words that jieba finds, without case and punctuation."""
    return overlap_f1(_words_zh(reply), _words_zh(answer))


def rouge_l(reply: str, answer: str) -> float:
    """ROUGE-L, the F of the package ``rouge``: over sets of words, full stops ending sentences; 0 if it has none.

    An answer scores 1 - 5e-9 against itself, since the package adds 1e-8 below the fraction. LongBench gives 0 where
    the package's recursion is too deep for Python; here there is room for it.
    """
    from rouge import Rouge

    limit = sys.getrecursionlimit()
    # The package descends one call for each word of the longest pair of sentences.
    sys.setrecursionlimit(limit + len(reply) + len(answer))
    try:
        scores = Rouge(metrics=["rouge-l"]).get_scores([reply], [answer], avg=True)
    except ValueError:  # the package's word for a text that is empty or has nothing but full stops
        return 0.0
    finally:
        sys.setrecursionlimit(limit)
    return float(scores["rouge-l"]["f"])


def rouge_l_zh(reply: str, answer: str) -> float:
    """ROUGE-L of the Chinese words that jieba finds."""
    cut = _jieba().cut
    return rouge_l(" ".join(cut(reply)), " ".join(cut(answer)))


def classification(reply: str, answer: str, classes: Sequence[str]) -> float:
    """One over the number of classes that a reply names, if the right one is among them; else 0.

    A class whose name is part of the right one's is not counted: ``Other location`` does not name ``location`` too.
    """
    named = [name for name in classes if name in reply]
    # LongBench removes from the list while it walks it, and so passes over the name that follows a removed one.
    for name in named:
        if name in answer and name != answer:
            named.remove(name)
    return 1 / len(named) if answer in named else 0.0


def share_of_numbers(reply: str, answer: str) -> float:
    """How many of the numbers in a reply are the answer's, digit for digit; 0 if there is none.

    The answer is a number, or ``Paragraph 3`` or ``段落3``.
    """
    paragraph = _PARAGRAPH.search(answer)
    numbers = re.findall(r"\d+", reply)
    return numbers.count(paragraph[1] if paragraph else answer) / len(numbers) if numbers else 0.0


def edit_similarity(reply: str, answer: str) -> float:
    """Likeness of two lines: twice the longest common subsequence over the sum of lengths.

    LongBench takes it from fuzzywuzzy, rounded to whole percents; this is rapidfuzz's ``ratio``, not rounded.
    """
    from rapidfuzz import fuzz

    return fuzz.ratio(reply, answer) / 100


def _words_zh(text: str) -> list[str]:
    plain = ("".join(word.lower().translate(_PUNCTUATION_ZH).split()) for word in _jieba().cut(text))
    return [word for word in plain if word]


@cache
def _jieba() -> Any:
    """Give jieba's tokenizer with its own dictionary."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # invalid escapes, and pkg_resources where that is installed
        import jieba
    jieba.setLogLevel(logging.WARNING)  # it tells on stderr that it loads
    tokenizer = jieba.Tokenizer()
    # By default it would load a file of the shared temporary folder, which anyone could have put there.
    with TemporaryDirectory() as folder:
        tokenizer.tmp_dir = folder
        tokenizer.initialize()
    return tokenizer
