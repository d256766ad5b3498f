"""Sentences on the structure of prompts, each in its cases, on curves that are made so."""

import numpy as np
import pandas as pd
import prose
import pytest

from tslib.stats import Interval
from tslib.study import structure
from tslib.study.report import structure as report


def curves(loops, twins, runs=4, steps=(0, 20, 40), **columns):
    """Runs whose loops and whose twins' are functions of step and run."""
    rows = [
        {"run": run, "task": "t", "step": step, "h1_count": loops(step, run), "null_h1_count": twins(step, run)}
        | {name: of(step, run) for name, of in columns.items()}
        for run in range(runs)
        for step in steps
    ]
    return pd.DataFrame(rows)


@pytest.mark.parametrize(
    ("change", "left", "beyond", "key"),
    [
        ((-9, -10, -8), 0.1, (1, 0.5, 1.5), ("vanish", 1)),
        ((-9, -10, -8), 0.1, (0, -0.5, 0.5), ("vanish", 0)),
        ((-9, -10, -8), 0.2, (-1, -1.5, -0.5), ("vanish", -1)),
        ((-3, -4, -2), 0.7, (1, 0.5, 1.5), ("fewer", 1)),
        ((0, -1, 1), 1.0, (0, 0, 0), ("same", 0)),
        ((3, 2, 4), 1.3, (-1, -2, -0.5), ("more", -1)),
        ((-9, np.nan, np.nan), 0.1, (1, np.nan, np.nan), ("vanish", 0)),  # of one run
    ],
)
def test_what_becomes_of_loops(change, left, beyond, key):
    assert report.fate(Interval(*change), left, Interval(*beyond)) == key


def test_every_fate_has_a_sentence_that_names_both():
    assert set(report.FATES) == {(word, side) for word in ("vanish", "fewer", "same", "more") for side in (-1, 0, 1)}
    assert all(said.endswith(("random walk of equal steps", "more", "fewer")) for said in report.FATES.values())
    assert len(set(report.FATES.values())) == 12


def test_loops_at_steps_that_runs_share():
    """The one run that ends early, with all its loops, has no part in the end; nor in the start it is held against."""
    few = curves(lambda step, run: 10 + run % 2 - step / 4, lambda step, run: 10 + run % 2 - min(step, 20) / 2)
    early = few[(few["run"] == 0) & (few["step"] < 40)].assign(run="early", h1_count=99)
    assert structure.drawn_curve(pd.concat([few, early]), "h1_count")["step"].tolist() == [0, 20, 40]
    said = report.read_bands({"one sample": pd.concat([few, early])})
    assert said.startswith("Loops vanish during tuning, and sooner in a random walk of equal steps. With one sample ")
    assert "there are 10.5 at first. At step 40 there are 0.50 [" in said
    assert said.endswith("then, mean over 4 runs.")
    assert prose.crammed(said) == []


def test_settings_that_differ_have_a_sentence_each_and_those_that_do_not_share_one():
    falls = curves(lambda step, run: 10 + run - step / 8, lambda step, run: 10 + run - step / 8)
    stays = curves(lambda step, run: 10 + run, lambda step, run: 10 + run)
    said = report.read_bands({"one sample": falls, "ten samples": stays})
    assert "Loops become fewer during tuning, and just so in a random walk of equal steps. With one sample" in said
    assert " runs. Tuning hardly changes the number of loops, nor does a random walk of equal steps. With ten" in said
    both = report.read_bands({"one sample": falls, "ten samples": falls})
    assert both.count("Loops become fewer") == 1
    assert "over 4 runs. With ten samples there are 11.5 at first" in both


@pytest.mark.parametrize(
    ("loops", "entropy", "said"),
    [
        ([9, 5], [2.0, 1.0], "This run goes the way of most: here the number of loops falls by 4, as in 4 of 4 com"),
        (
            [9, 5],
            [2.0, 1.0],
            "until step 20 (-1 on average), and the persistence entropy falls by 1, as in 4 of them (-20",
        ),
        (
            [5, 5],
            [1.0, 2.5],
            "One run is not all runs: here the number of loops ends as it began, as in none of 4 comm",
        ),
        ([9, 5], [1.0, 2.5], "One run is not all runs: here the number of loops falls by 4, as in 4 of 4 committed"),
        ([5, 9], [1.0, 2.5], "and the persistence entropy rises by 1.5, as in none of them (-20 on average)."),
    ],
)
def test_the_run_that_opens_the_chapter_is_held_against_the_others(loops, entropy, said):
    """It has 30 steps; the others have a checkpoint at 20 and one at 40, which is beyond it."""
    one = pd.DataFrame({"step": [0, 30], "h1_count": loops, "persistence_entropy": entropy})
    many = curves(lambda step, run: 10 - step / 20, lambda step, run: 1, persistence_entropy=lambda step, run: -step)
    assert said in report.read_opening(one, many)
    assert report.read_opening(one.assign(step=[0, 5]), many) == "", "no run has a checkpoint between"


def table2(**intervals):
    """Rows of `table2`, each of whose features has the same interval but for those that are given."""
    names = ["h0_mean_lifespan", "persistence_entropy", "h1_count", "h1_mean_lifespan", "mean_norm"]
    rows = [{"feature": name, "paper": np.nan if name == "mean_norm" else 0.866} for name in names]
    for row in rows:
        for column in ("rho", "given", "within", "beside"):
            value, low, high = intervals.get(row["feature"], (0.1, -0.2, 0.4))
            row |= {column: value, f"{column}_low": low, f"{column}_high": high}
    return pd.DataFrame(rows)


@pytest.mark.parametrize(
    ("clear", "said"),
    [
        (
            {},
            "Within tasks none of four features goes with accuracy beyond chance, as anything does that changes with "
            "time. So does the mean norm: +0.10 [-0.20, +0.40]. With task and step taken out none of four features "
            "goes with accuracy beyond chance. Mean $H_0$ lifespan: +0.10 [-0.20, +0.40]. ",
        ),
        (
            {"h0_mean_lifespan": (-0.3, -0.4, -0.2)},
            "With task and step taken out one of four features goes with accuracy beyond chance. Mean $H_0$ lifespan: "
            "-0.30 [-0.40, -0.20].",
        ),
        (
            {"h0_mean_lifespan": (-0.3, -0.4, -0.2), "h1_count": (0.3, 0.1, 0.5)},
            "With task and step taken out two of four features go with accuracy beyond chance. Mean $H_0$ lifespan: "
            "-0.30 [-0.40, -0.20]. Number of loops: +0.30 [+0.10, +0.50].",
        ),
    ],
)
def test_what_goes_with_accuracy(clear, said):
    told = report.read_table2(table2(**clear))
    assert said in told
    assert prose.crammed(told) == []


def test_the_papers_table_2_is_told_as_what_it_is_consistent_with():
    said = report.read_papers_table2()
    assert "all four p-values are consistent with 146 checkpoints, and U = 2664.5 of the constant number" in said
    assert "two groups of 73: halves. That is consistent with one run of about 300 epochs and a checkpoint" in said
    assert "p = 3.4e-45 then counts the checkpoints of one run as independent. And all four values of ρ" in said
    assert r"0.866, or $\sqrt{3}/2$, is what any quantity has that only rises." in said


@pytest.mark.parametrize(("runs", "said"), [(1, "over 1 run."), (25, "over 25 runs.")])
def test_prompts_beside_their_twins_by_halves(runs, said):
    row = {"feature": "h0_mean_lifespan", "paper": 0.866, "runs": runs, "prompts": 0.5, "prompts_low": 0.4}
    row |= {"prompts_high": 0.6, "twins": 0.8, "twins_low": 0.7, "twins_high": 0.9}
    told = report.read_by_halves(pd.DataFrame([row]))
    assert f"the mean $H_0$ lifespan has a ρ of +0.50 [+0.40, +0.60] {said} Their random twins, which" in told
    assert told.endswith("have +0.80 [+0.70, +0.90].")
    assert report.words_by_halves(pd.DataFrame([row])).to_numpy().tolist() == [
        ["mean H0 lifespan", "+0.866", "+0.50 [+0.40, +0.60]", "+0.80 [+0.70, +0.90]"]
    ]
    assert report.read_by_halves(pd.DataFrame()) == ""
    assert report.words_by_halves(pd.DataFrame()).empty
