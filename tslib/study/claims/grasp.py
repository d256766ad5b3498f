"""The fourth part of the criteria: whether question-guided sparse fusion of prompts tied to places matters.

The runs are those of ``data/sweeps/grasp.yaml``. What is drawn anew is the picture: questions about one are alike.
"""

import json
from collections.abc import Sequence
from typing import Any, Literal, NamedTuple

import numpy as np
import pandas as pd

from tslib import stats
from tslib.config import TuneConfig
from tslib.stats import Interval
from tslib.study.evidence import SWEEPS, Evidence
from tslib.vision.projector import committed_path

__all__ = [
    "CHANCE",
    "CONTRASTS",
    "DECISION",
    "GRASP",
    "Contrast",
    "Decision",
    "answers",
    "arms",
    "contrasts",
    "decided",
    "gained",
    "over_pictures",
    "picture_of",
    "stage0",
]

GRASP = SWEEPS / "grasp.yaml"
"""The sweep of these runs."""

DECISION = "the decision"
"""The grid that decides."""

CONTRASTS = {
    "sparse less dense": {"gate": "softmax"},
    "chosen less random blocks": {"gate": "random"},
    "a question less a constant": {"gate_queries": "constant"},
}
"""Differences of ours from other runs of `DECISION`, each by what the other has otherwise."""

MATTERS = 0.02
"""Two points of accuracy: who can exclude so small a gain says that there is none that matters."""
CHANCE = 0.5
"""What whoever is blind reaches on balanced questions."""

Decision = Literal["matters", "does not matter", "undecided", "nothing is decided"]


class Contrast(NamedTuple):
    """A difference of accuracy between two kinds of runs on the same questions, paired over pictures.

    Attributes
    ----------
    name
        Key of `CONTRASTS`.
    gain
        Mean over pictures, with a bootstrap interval of pictures.
    p
        Of flipped signs; ``p_holm`` after Holm's correction for all contrasts.
    seeds
        The same difference seed by seed.
    pictures
        How many.
    """

    name: str
    gain: Interval
    p: float
    p_holm: float
    seeds: Interval
    pictures: int


def stage0(model: str = "smollm2-135m", encoder: str = "vit-s14") -> dict[str, Any] | None:
    """Return the record of the committed projector, with its gate; None where none is committed."""
    path = committed_path(model, encoder).with_suffix(".json")
    if not path.is_file():
        return None
    record: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return record


def picture_of(example_id: str) -> str:
    """Return which picture of its split a question is about: its id says the number before the point."""
    return example_id.rpartition("/")[2].partition(".")[0]


def arms(configs: Sequence[TuneConfig]) -> dict[str, list[TuneConfig]]:
    """Group runs that differ in nothing but their pair; by the fields that differ from the grid's first, as JSON."""
    first = configs[0].as_dict()
    found: dict[str, list[TuneConfig]] = {}
    for config in configs:
        other = {name: value for name, value in config.as_dict().items() if value != first[name] and name not in PAIR}
        found.setdefault(json.dumps(other), []).append(config)
    return found


PAIR = ("sample_seed", "seed")


def answers(evidence: Evidence, configs: Sequence[TuneConfig], split: str = "test", **asked: object) -> pd.DataFrame:
    """Return the scores of runs' answers, one row a question and run.

    Parameters
    ----------
    evidence
        The runs of `GRASP`.
    configs
        Runs.
    split
        Of the questions.
    **asked
        Further fields of ``EvalConfig``; by default no intervention.

    Returns
    -------
    DataFrame
        ``run``, ``seed``, ``picture``, and the columns of an evaluation's rows.
    """
    wanted = {"split": split, "intervention": "none"} | asked
    tables = [
        found.rows.assign(run=config.hash, seed=config.seed, picture=found.rows["id"].map(picture_of))
        for config in configs
        for found in evidence.evaluated(config)
        if all(getattr(found.config, name) == value for name, value in wanted.items())
    ]
    return pd.concat(tables, ignore_index=True) if tables else pd.DataFrame(columns=["run", "seed", "picture", "score"])


def gained(ours: pd.DataFrame, theirs: pd.DataFrame) -> tuple[Interval, float]:
    """Return the difference of accuracy of two kinds of runs, with its interval and the p-value of flipped signs.

    Parameters
    ----------
    ours, theirs
        Of `answers`; pictures that not both have are left out.
    """
    means = pd.concat([table.groupby("picture")["score"].mean() for table in (ours, theirs)], axis=1).dropna()
    one, other = means.to_numpy(float).T
    return over_pictures(one - other), stats.sign_flip(one, other)


def over_pictures(values: Any) -> Interval:
    """Mean over pictures with a BCa bootstrap interval of pictures, of which there are hundreds."""
    return stats.bootstrap(lambda v, axis=-1: v.mean(axis=axis), np.asarray(values, float), batch=200)


def contrasts(evidence: Evidence) -> list[Contrast]:
    """Return the differences that decide; none while the grid is not whole and evaluated."""
    if evidence.not_evaluated(DECISION):
        return []
    by_arm = arms(evidence.configs(DECISION))
    ours = answers(evidence, by_arm["{}"])
    found = []
    for name, other in CONTRASTS.items():
        theirs = answers(evidence, by_arm[json.dumps(other)])
        gain, p = gained(ours, theirs)
        of_seeds = [table.groupby("seed")["score"].mean() for table in (ours, theirs)]
        seeds = stats.mean((of_seeds[0] - of_seeds[1]).to_numpy(float))
        found.append((name, gain, p, seeds, len(set(ours["picture"]) & set(theirs["picture"]))))
    holm = stats.holm([p for _, _, p, *_ in found])
    return [Contrast(*one[:3], float(corrected), *one[3:]) for one, corrected in zip(found, holm, strict=True)]


def decided(found: Sequence[Contrast], ours: Interval, *, is_open: bool) -> Decision:
    """Apply the rule.

    Parameters
    ----------
    found
        The contrasts.
    ours
        Accuracy of ours, over pictures.
    is_open
        Whether the gate of stage 0 is.
    """
    if not is_open or ours.low <= CHANCE:
        return "nothing is decided"
    if all(one.gain.low > 0 and one.p_holm < 0.05 for one in found):
        return "matters"
    return "does not matter" if any(one.gain.high < MATTERS for one in found) else "undecided"
