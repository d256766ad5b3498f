"""Lists in Markdown: where each of several things has an interval, each has a line."""

from collections.abc import Iterable

__all__ = ["items"]


def items(lead: str, parts: Iterable[str]) -> str:
    r"""Return a lead with a list below it; of one part a sentence, of none nothing. More may be put behind it.

    Examples
    --------
    >>> items("Faster on", ["GSM8K"]), items("Faster on", [])
    ('Faster on GSM8K. ', '')
    >>> items("Faster on", ["GSM8K", "MMLU"])
    'Faster on:\n\n* GSM8K\n* MMLU\n\n'
    """
    every = list(parts)
    if len(every) < 2:
        return "".join(f"{lead} {part}. " for part in every)
    return "\n\n".join([f"{lead.rstrip(',')}:", "\n".join(f"* {part}" for part in every), ""])
