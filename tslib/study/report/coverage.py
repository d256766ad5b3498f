"""Sentences and the table of how often intervals contain what they should (`tslib.study.claims.coverage`)."""

import pandas as pd

from tslib.study.claims.coverage import load

__all__ = ["caption", "load", "read", "table"]


USED = ("Fieller", "t", "Welch's t", "runs left out one by one", "Wilson", "BCa bootstrap of rows")
"""The kinds of intervals that the book has."""


def table(found: pd.DataFrame) -> pd.DataFrame:
    """One row for each number that is estimated and each kind of interval, with the coverage by how many are drawn."""
    wide = found.pivot_table(index=["what", "interval"], columns="n", values="covered", sort=False)
    words = wide.map(lambda share: "" if pd.isna(share) else f"{share:.1%}")
    words.columns = [f"n = {n}" for n in words.columns]
    return words.reset_index()


def read(found: pd.DataFrame) -> str:
    """Say between what the coverage of the book's intervals lies, and that of the bootstrap's."""
    bootstrap = found["interval"] == "BCa bootstrap"
    few = found[bootstrap & (found["n"] <= 10)]["covered"]
    ours = found[found["interval"].isin(USED)]["covered"]
    lead = "The usual bootstrap intervals of few runs are too narrow"
    if few.max() >= 0.93:
        lead = "The usual bootstrap intervals of few runs are wide enough" + (" in part" if few.min() < 0.93 else "")
    return (
        f"**{lead}.** Intervals of 95 % by a BCa bootstrap of three to "
        f"ten runs contain the true value {few.min():.0%} to {few.max():.0%} of the time. The intervals that this "
        f"book judges by do so {ours.min():.0%} to {ours.max():.0%} of the time."
    )


def caption(found: pd.DataFrame) -> str:
    """Say how often was drawn, and which of the book's intervals lie outside of the band."""
    outside = found[found["interval"].isin(USED) & ~found["covered"].between(0.93, 0.97)]
    parts = [f"{row['what']}, n = {row['n']}: {row['covered']:.1%}" for row in outside.to_dict("records")]
    said = f"Outside of the band: {'; '.join(parts)}." if parts else "None of the book's intervals is outside of it."
    return (
        "How often intervals of 95 % contain the value in the population; the grey band is 93 to 97 %. Each point is "
        f"{found['repetitions'].min()} to {found['repetitions'].max()} draws, so that one of 95 % is known to "
        f"{1.96 * (0.95 * 0.05 / found['repetitions'].min()) ** 0.5:.1%} at worst. {said}"
    )
