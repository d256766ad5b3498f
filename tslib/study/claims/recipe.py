"""The third part of the criteria: a recipe for fewer steps, chosen on some pairs and judged on others.

The runs are those of ``data/sweeps/recipe.yaml``. Only whole grids are looked at. How long rows are, in tokens, is kept
in ``data/results/lengths.json``, since the rows themselves are not: ``python -m tslib.study.claims.recipe`` writes it.
"""

import json
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from tqdm import tqdm

from tslib import stats
from tslib.config import TuneConfig
from tslib.records.record import COMMITTED
from tslib.runs.sweeps import Sweep
from tslib.stats import Interval
from tslib.study.claims import sceptic
from tslib.study.claims.sceptic import Experiment
from tslib.study.evidence import SWEEPS, Evidence

__all__ = [
    "ELSEWHERE",
    "FACTORS",
    "HALF",
    "JUDGED",
    "LENGTHS",
    "ON_TOP",
    "RECIPE",
    "TOGETHER",
    "TRIALS",
    "Setting",
    "chosen",
    "declared",
    "judged",
    "lengths",
    "measured_lengths",
    "on_top",
    "searched",
    "varied",
]

RECIPE = SWEEPS / "recipe.yaml"
"""The sweep of these runs."""

FACTORS = "one factor at a time"
"""The grid of the first choice."""

TOGETHER, ELSEWHERE = "the best together", "the best together, MMLU"
"""The grids of the second choice: on the pairs of the first one, and on MMLU."""

JUDGED = tuple(f"judged, {name}" for name in ("MATH", "BBH", "HotpotQA", "LongBench", "GSM8K with Gemma"))
"""The grids that the recipe is judged by."""

ON_TOP = Experiment(("TSLoss on top",), looks=1)
"""TSLoss and cross-entropy alone, both with the recipe."""

HALF = 0.5
"""Below it the interval of a ratio in `JUDGED` is to lie."""

LENGTHS = COMMITTED / "lengths.json"
"""Tokens of question and target of each sample, by model, task and seed."""

TRIALS: dict[str, Any] = {
    **{"init": "vocabulary", "warmup_steps": 5, "beta2": 0.95, "weight_decay": 0.0},
    **{"lr": 0.2, "lr_unit": "embedding"},
}
"""What the first trials spoke for: the setting that the others of `FACTORS` differ from."""

OF_PAIR = ("sample_seed", "seed")


class Setting(NamedTuple):
    """A setting of a search, on all pairs of its grid.

    Attributes
    ----------
    config
        One of its runs.
    iterations
        Geometric mean over the pairs of the iterations until correct, the steps that there are where a run is not.
    work
        The same of iterations times positions of a step: virtual tokens, question and target.
    ratio
        Mean of the iterations over that with the preset ``tuned``, which the grid has too.
    censored
        Runs that are never correct.
    pairs
        Pairs.
    """

    config: TuneConfig
    iterations: float
    work: float
    ratio: Interval
    censored: int
    pairs: int

    @property
    def tuned(self) -> bool:
        """Whether it is the preset ``tuned``."""
        return not varied(self.config)


def varied(config: TuneConfig) -> dict[str, Any]:
    """Return the fields that differ from the preset ``tuned`` of the same model, task and pair."""
    same = ("model", "task", "device", "dtype", "answer_every", *OF_PAIR)
    plain = TuneConfig(preset="tuned", **{name: getattr(config, name) for name in same})
    return {name: value for name, value in config.as_dict().items() if value != getattr(plain, name)}


def searched(evidence: Evidence, *grids: str) -> list[Setting]:
    """Return the settings of a search, best first by ``work``; none where a grid is not whole.

    Parameters
    ----------
    evidence
        The runs of `RECIPE`.
    grids
        Of the search, each with the preset ``tuned`` or on pairs of one that has it.
    """
    groups: dict[str, list[TuneConfig]] = {}
    for config in evidence.configs(*grids):
        groups.setdefault(_named(varied(config)), []).append(config)
    if not groups:
        return []
    known, counted = lengths(), {config: _iterations(evidence, config) for one in groups.values() for config in one}
    alone = {_pair(config): counted[config] for config in groups[_named({})]}
    found = []
    for configs in groups.values():
        iterations = np.array([counted[config] for config in configs], dtype=float)
        positions = np.array([config.n_tokens + sum(known[_row(config)]) for config in configs], dtype=float)
        found.append(
            Setting(
                configs[0],
                float(np.exp(np.log(iterations).mean())),
                float(np.exp(np.log(iterations * positions).mean())),
                stats.ratio_of_means(iterations, np.array([alone[_pair(config)] for config in configs], dtype=float)),
                sum(evidence.record(config).iterations_to_correct is None for config in configs),
                len(configs),
            )
        )
    return sorted(found, key=lambda setting: setting.work)


def _named(fields: dict[str, Any]) -> str:
    return json.dumps(fields, sort_keys=True)


def declared(evidence: Evidence, *grids: str) -> tuple[str, ...]:
    """Return those grids that the sweep has: of each stage the next one follows from what was found."""
    return tuple(name for name in grids if name in {grid.name for grid in evidence.sweep.grids})


def chosen(evidence: Evidence) -> Setting | None:
    """Return the recipe: of the settings put together, as a prefix, the best on GSM8K with a ratio below 1 on MMLU.

    None while a grid of either choice is not whole, or where no setting is that good.
    """
    grids = declared(evidence, FACTORS, TOGETHER, ELSEWHERE)
    if len(grids) < 3 or evidence.missing(*grids):
        return None
    asked = {_named(varied(config)) for config in evidence.asked(TOGETHER)}
    there = {_named(varied(one.config)): one.ratio.value for one in searched(evidence, ELSEWHERE)}
    for one in searched(evidence, FACTORS, TOGETHER):
        name = _named(varied(one.config))
        if name in asked and one.config.placement == "prefix" and there[name] < 1:
            return one
    return None


def judged(evidence: Evidence) -> pd.DataFrame:
    """Judge the recipe against the preset ``tuned`` on each grid of `JUDGED` that is whole.

    Both have the prompt before the question, or both behind it, where the grid has ``tuned`` so; a recipe with the
    prompt behind it stands beside, against ``tuned`` with the prompt before it. What all runs of a grid share, such as
    a cut context, is no part of the recipe.

    Returns
    -------
    DataFrame
        ``grid``, ``placement`` (of the recipe), ``pairs``, ``tuned`` and ``recipe`` (mean iterations, the steps that
        there are where a run is never correct), ``ratio`` of these means with its 95 % interval, ``low`` to ``high``
        (Fieller's), ``censored_tuned`` and ``censored_recipe``; ``decides``: whether this row is judged; and
        ``met``: whether the interval lies below `HALF`.
    """
    rows = []
    for grid in declared(evidence, *JUDGED):
        sides: dict[str, dict[tuple[str, int, int], TuneConfig]] = {}
        differ = {config: varied(config) for config in evidence.configs(grid)}
        for config, fields in differ.items():
            own = {
                name
                for name, value in fields.items()
                if not all(name in other and other[name] == value for other in differ.values())
            }
            side = config.placement if own - {"placement"} else "tuned"
            sides.setdefault(side, {})[_pair(config)] = config
        tuned = sides.pop("tuned", {})
        for place, configs in sides.items():
            both = [[_iterations(evidence, side[pair]) for pair in tuned] for side in (configs, tuned)]
            ratio = stats.ratio_of_means(*(np.array(counts, dtype=float) for counts in both))
            never = [
                sum(evidence.record(config).iterations_to_correct is None for config in side.values())
                for side in (tuned, configs)
            ]
            row = {"grid": grid, "placement": place, "pairs": len(tuned), "tuned": np.mean(both[1])}
            row |= {"recipe": np.mean(both[0]), "ratio": ratio.value, "low": ratio.low, "high": ratio.high}
            row |= {"censored_tuned": never[0], "censored_recipe": never[1], "met": ratio.high < HALF}
            rows.append(row | {"decides": place == next(iter(tuned.values())).placement})
    return pd.DataFrame(rows)


def on_top(evidence: Evidence) -> pd.DataFrame:
    """Judge TSLoss with the recipe against the recipe alone: ``sceptic.judged``; no row before the grid is whole."""
    return sceptic.judged(evidence, evidence, ON_TOP) if declared(evidence, *ON_TOP.grids) else pd.DataFrame()


def _pair(config: TuneConfig) -> tuple[str, int, int]:
    return config.task, config.sample_seed, config.seed


def _row(config: TuneConfig) -> tuple[str, str, int]:
    return config.model, config.task, config.sample_seed


def _iterations(evidence: Evidence, config: TuneConfig) -> int:
    found = evidence.record(config).iterations_to_correct
    return config.max_steps if found is None else found


def lengths() -> dict[tuple[str, str, int], tuple[int, int]]:
    """Return tokens of question and target of the one sample of a run, by model, task and ``sample_seed``."""
    rows = json.loads(LENGTHS.read_text(encoding="utf-8"))
    return {(row["model"], row["task"], row["sample_seed"]): (row["question"], row["target"]) for row in rows}


def measured_lengths(sweep: Sweep) -> list[dict[str, Any]]:
    """Count the tokens of the samples of a sweep's runs of one sample: see `lengths`."""
    from tslib.models.loading import shared_model
    from tslib.prompts.encoding import encode
    from tslib.tasks import load_task

    asked = dict.fromkeys(_row(config) for config in sweep.configs if config.samples == 1)
    rows = []
    for model, task, sample_seed in tqdm(asked, unit="sample"):
        row = encode(shared_model(model, "cpu").tokenizer, load_task(task, "train", limit=1, seed=sample_seed)[0])
        rows.append(
            {
                "model": model,
                "task": task,
                "sample_seed": sample_seed,
                "question": len(row.question),
                "target": len(row.target),
            }
        )
    return rows


if __name__ == "__main__":
    lines = ",\n".join(json.dumps(row) for row in measured_lengths(Sweep.load(RECIPE)))
    LENGTHS.write_text(f"[\n{lines}\n]\n", encoding="utf-8")
