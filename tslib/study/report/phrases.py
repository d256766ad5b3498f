"""Pieces of sentences that read well whatever their numbers are."""

from collections.abc import Sequence

__all__ = ["few", "listed", "mean_of_runs", "of_all", "plural", "share", "sides", "upper"]

_NUMBERS = ("none", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven", "twelve")


def few(number: int) -> str:
    """Return a number as a word up to twelve; 0 is "none"."""
    return _NUMBERS[number] if number < len(_NUMBERS) else str(number)


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


def sides(below: int, above: int, total: int, named: str = "") -> str:
    """Say on which side of 1 some intervals lie; ``named`` is put behind those that do not include it."""
    counts = {"lie below 1": below, "lie above 1": above, "include 1": total - below - above}
    present = {what: count for what, count in counts.items() if count}
    if len(present) == 1:
        (what,) = present
        every = "Both" if total == 2 else f"All {total}"
        said = f"{every} intervals {what}" if total > 1 else f"The interval {_does(what)}"
        return said if what == "include 1" else said + named
    others = present.pop("include 1", 0)
    parts = [f"{count} {what if count > 1 else _does(what)}" for what, count in present.items()]
    last = {0: "", 1: "; the other includes 1"}.get(others, "; the others include 1")
    return f"Of {total} intervals {listed(parts)}{named}{last}"


def _does(what: str) -> str:
    """Put a verb of several into the singular: "lie below 1" becomes "lies below 1"."""
    verb, _, rest = what.partition(" ")
    return f"{verb}s {rest}"


def upper(text: str) -> str:
    """Return a text with a capital letter at its beginning, and the rest as it is."""
    return text[:1].upper() + text[1:]
