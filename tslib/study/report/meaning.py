"""Tables and sentences of the chapter on what virtual tokens mean."""

import pandas as pd

from tslib.study.report.phrases import few, upper

__all__ = ["finding", "read_drift", "read_manifold", "words"]


def words(drift: pd.DataFrame, tokens: int = 8) -> pd.DataFrame:
    """Return the nearest word of some virtual tokens at the first, a middle and the last checkpoint, with its distance.

    Parameters
    ----------
    drift
        As `tslib.topology.meaning.drift` returns it.
    tokens
        Virtual tokens, from the first on.
    """
    steps = sorted(drift["step"].unique())
    chosen = dict.fromkeys((steps[0], steps[len(steps) // 2], steps[-1]))
    rows = drift[(drift["token"] < tokens) & drift["step"].isin(chosen)]
    told = rows.assign(told=[f"{word} ({d:.2f})" for word, d in zip(rows["word"], rows["distance"], strict=True)])
    table = told.pivot_table(index="token", columns="step", values="told", aggfunc="first")
    table.columns = [f"step {step}" for step in table.columns]
    return table.reset_index().rename(columns={"token": "virtual token"})


def finding(drift: pd.DataFrame, last: dict[str, float]) -> str:
    """Return the box of the chapter.

    Parameters
    ----------
    drift
        As `tslib.topology.meaning.drift` returns it.
    last
        ``manifold`` of the prompt at the end.
    """
    far = last["nearest"]
    lead = f"In this run tuned tokens end {far:.1f} times as far from the nearest word as words are from each other"
    if far <= 1:
        lead = "In this run tuned tokens end as near to words as words are to each other"
    ends = [drift[drift["step"] == step].set_index("token") for step in (drift["step"].min(), drift["step"].max())]
    other = int((ends[0]["id"] != ends[1]["id"]).sum())
    said = f"**{lead}.** {upper(few(other))} of {len(ends[0])} have another nearest word than at the start."
    return said if far <= 1 else f"{said} A word that is so far away says little about a token."


def read_drift(drift: pd.DataFrame) -> str:
    """Say how many virtual tokens end near another word than they began at, and how near."""
    ends = [drift[drift["step"] == step].set_index("token") for step in (drift["step"].min(), drift["step"].max())]
    other = int((ends[0]["id"] != ends[1]["id"]).sum())
    return (
        f"{other} of {len(ends[0])} virtual tokens have another nearest word at the end than at the start; the median "
        f"distance to it goes from {ends[0]['distance'].median():.2f} to {ends[1]['distance'].median():.2f}, and a "
        f"virtual token has moved by {ends[1]['moved'].median():.2f} (median)."
    )


def read_manifold(first: dict[str, float], last: dict[str, float]) -> str:
    """Say how far a prompt is from the embeddings of words at the start and at the end, by what words do."""
    return (
        f"In units of the usual distance of a word to the next, the nearest word is {first['nearest']:.2f} away at the "
        f"start and {last['nearest']:.2f} at the end. Of the way from a virtual token to the centre of its 20 nearest "
        f"words, {first['residual']:.0%} (start) and {last['residual']:.0%} (end) lead out of the flat space that "
        f"these span; for a word it is {last['word_residual']:.0%}. The tokens' norms are {first['norm']:.2f} and "
        f"{last['norm']:.2f} times those of words."
    )
