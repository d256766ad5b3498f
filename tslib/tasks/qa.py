"""The scores of extractive question answering: SQuAD's normalisation, exact match and F1 over words.

Rajpurkar et al., SQuAD, arXiv:1606.05250; used by HotpotQA (arXiv:1809.09600) and LongBench (arXiv:2308.14508).
"""

import re
import string
from collections import Counter
from collections.abc import Sequence

__all__ = ["normalize_answer", "overlap_f1"]

_ARTICLES = re.compile(r"\b(a|an|the)\b")
_PUNCTUATION = str.maketrans("", "", string.punctuation)


def normalize_answer(text: str) -> str:
    """Lower case, without punctuation and the articles a, an, the; single blanks."""
    return " ".join(_ARTICLES.sub(" ", text.lower().translate(_PUNCTUATION)).split())


def overlap_f1(predicted: Sequence[str], gold: Sequence[str]) -> float:
    """F1 of two bags of words: the harmonic mean of precision and recall of the words they share; 0 if none."""
    shared = sum((Counter(predicted) & Counter(gold)).values())
    return 2 * shared / (len(predicted) + len(gold)) if shared else 0.0
