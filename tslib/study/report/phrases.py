"""Pieces of sentences that read well whatever their numbers are."""

from collections.abc import Sequence

__all__ = ["few", "listed", "mean_of_runs", "of_all", "plural", "share", "to_be_made", "upper"]

_NUMBERS = ("none", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven", "twelve")


def few(number: int) -> str:
    """Return a number as a word up to twelve; 0 is "none"."""
    return _NUMBERS[number] if number < len(_NUMBERS) else str(number)


def to_be_made(missing: int, asked: int, which: str) -> str:
    """Say how many of some runs are missing: "3 of the 20 runs of this section are still to be made."."""
    count = f"{missing} of the {asked}" if missing < asked else f"The {asked}"
    return f"{count} runs {which} {'is' if missing == 1 < asked else 'are'} still to be made."


def plural(number: int, noun: str) -> str:
    """Return a number with its noun: "1 pair", "10 pairs"."""
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


def listed(parts: Sequence[str], word: str = "and") -> str:
    """Join parts as a sentence does: "a", "a and b", "a, b and c"."""
    *first, last = parts
    join = f"{word} " if word.startswith(",") else f" {word} "
    return f"{', '.join(first)}{join}{last}" if first else last


def mean_of_runs(mean: float, censored: int, diverged: int) -> str:
    """Return a mean of iterations, and in brackets how many of its runs were censored or diverged, if any."""
    ended = [f"{number} {how}" for how, number in (("censored", censored), ("diverged", diverged)) if number]
    return f"{mean:.1f}" + (f" ({', '.join(ended)})" if ended else "")


def of_all(number: int, total: int, noun: str) -> str:
    """Return how many of a group, with a verb: "none of 5 runs is", "2 of 5 runs are", "all 5 runs are"."""
    if total == 1:
        return f"{'the one' if number else 'no'} {noun} is"
    group = f"all {total} {noun}s" if number == total else f"{number or few(0)} of {total} {noun}s"
    return f"{group} {'is' if number <= 1 else 'are'}"


def share(number: int, total: int) -> str:
    """Return how many of a few: "none of four", "two of four", "all four"."""
    return f"all {few(total)}" if number == total > 1 else f"{few(number)} of {few(total)}"


def upper(text: str) -> str:
    """Return a text with a capital letter at its beginning; a symbol such as λ stays what it is."""
    return text[:1].upper() + text[1:] if text[:1].isascii() else text
