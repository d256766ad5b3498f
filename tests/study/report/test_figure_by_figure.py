"""What stands beside the paper's figures and tables, on numbers made by hand, and the page of all of them."""

import re
from pathlib import Path

import pandas as pd
import pytest

from tslib.runs.store import RunStore
from tslib.stats import Interval
from tslib.study.evidence import Evidence
from tslib.study.report import beside, figure_by_figure

ROOT = Path(__file__).resolve().parents[3]


def curves(runs=4, steps=(0, 20, 40), **columns):
    """Topology of runs whose columns are functions of the step; twins have half of what the prompts have."""
    rows = [
        {"run": run, "step": step}
        | {name: of(step) for name, of in columns.items()}
        | {f"null_{name}": of(step) / 2 for name, of in columns.items()}
        for run in range(runs)
        for step in steps
    ]
    return pd.DataFrame(rows)


FALLING = curves(h1_count=lambda step: 10 - step / 5, h0_mean_lifespan=lambda step: 1 + step / 10)


def test_both_ends_are_of_the_runs_that_get_to_the_last():
    early = curves(1, (0, 20), h1_count=lambda _: 99, h0_mean_lifespan=lambda _: 1).assign(run="early")
    assert beside.ends(pd.concat([FALLING, early]), "h1_count") == beside.Ends(10, 2, 1, 40, 4)


@pytest.mark.parametrize(
    ("first", "last", "said"),
    [(9.6, 0.42, "fall from 9.6 to 0.42"), (2, 3, "rise from 2 to 3"), (2.01, 1.99, "stay at 2")],
)
def test_where_a_quantity_goes(first, last, said):
    assert beside.Ends(first, last, 0, 0, 1).moves() == said


def test_loops_and_bars():
    assert beside.loops_and_bars({"one sample": FALLING}) == (
        "With one sample loops fall from 10 to 2, to 1 in a random walk of equal steps; $H_0$ bars become 5 times as "
        "long, 2.5 in the walk (4 runs, step 40)."
    )
    assert beside.loops_and_bars({}) == "Not compared yet: runs are missing."


@pytest.mark.parametrize(("left", "said"), [(0.5, "which in the paper hardly falls"), (0.9, "as in the paper")])
def test_density_and_entropy(left, said):
    found = curves(
        h1_density=lambda step: 100 - step * 99 / 40,
        density=lambda step: 1 - step * (1 - left) / 40,
        persistence_entropy=lambda step: 3 - step / 40,
    )
    assert beside.density_and_entropy(found) == (
        f"With one sample 1 % of the $H_1$ density is left at step 40, and {100 * left:.2g} % of the overall density, "
        f"{said}. The entropy goes from 3 to 2 nats, that of a random walk of equal steps to 1."
    )


def test_correlation():
    numbers = {"within": 0.66, "beside": -0.04, "beside_low": -0.3, "beside_high": 0.22}
    table = pd.DataFrame(
        [{"feature": name} | numbers for name in ("h0_mean_lifespan", "h1_count", "null_h0_mean_lifespan")]
    )
    table.loc[2, "within"] = 0.61
    said = beside.correlation(table)
    assert said.startswith("The paper's ρ of the mean $H_0$ lifespan with accuracy is 0.866. Ours is 0.66 within tasks")
    assert "learn nothing, is 0.61. With task and step taken out -0.04 [-0.30, 0.22] is left." in said


@pytest.mark.parametrize(
    ("rows", "said"),
    [
        ([(0.8, 0.9), (0.8, 1.1), (1.1, 1.2)], "Of our 3, one lies below 1 with the whole interval and one above."),
        ([(0.8, 1.1)], "Of our 1, none lies below 1 with the whole interval and none above."),
        ([(0.5, 0.9), (0.6, 0.9), None], "two lie below 1 with the whole interval and none above; in one more no run "),
    ],
)
def test_ratios(rows, said):
    table = pd.DataFrame([{"low": 1.0, "high": 1.0, "observed": False} for _ in rows])
    for place, ends in enumerate(rows):
        if ends:
            table.loc[place, ["low", "high", "observed"]] = [*ends, True]
    found = beside.ratios(table, Interval(1.0, 0.9, 1.1), 30)
    assert found.startswith("The paper's 18 ratios of iterations, with TSLoss over without, go from 0.50 to 1.00.")
    assert said in found
    assert found.endswith("The 30 pairs that last until TSLoss has acted have 1.00 [0.90, 1.10] together.")


def test_total_losses_by_weight():
    """One run ends before the step with a small loss, which does not count: it is not seen there."""
    runs = [pd.Series({1: 10.0, 100: last}) for last in (0.9, 1.1)]
    said = beside.totals({0.0: runs, 10.0: [runs[0], pd.Series({1: 10.0, 50: 0.1})]})
    assert said.endswith(
        "Ours are below a tenth of their start at step 100 in: one of two at λ = 0 and one of two at λ = 10."
    )


@pytest.mark.parametrize(
    ("censored", "said"),
    [(0, "all ten runs are correct, in"), (9, "one of ten runs is correct, in"), (10, "none of ten runs are correct")],
)
def test_weights(censored, said):
    table = pd.DataFrame({"value": [1.0, 10.0], "pairs": 10, "censored": [0, censored], "ratio": 0.9})
    found = beside.weights(table.assign(low=0.8, high=1.1))
    assert found.startswith("At λ = 1 the ratio is 0.90 [0.80, 1.10]; the paper's is 0.57 (154 and 88 iterations).")
    assert f"At λ = 10 {said}" in found


def test_losses_are_compared_where_all_runs_still_are():
    """Twice the loss with TSLoss at step 2, the last of the shortest run; what comes later is not looked at."""
    rows = [
        {"run": f"{name}{seed}", "seed": seed, "sample_seed": seed, "regularizer": name, "step": step}
        | {"cross_entropy": (2.0 if name == "tsloss" else 1.0) * (99 if step > 2 and name == "none" else 1)}
        for name in ("none", "tsloss", "l2")
        for seed in range(3)
        for step in range(1, 3 + seed)
    ]
    assert beside.losses(pd.DataFrame(rows)) == pytest.approx((2.0, 2.0, 2.0))


def test_losses_of_several_combinations():
    model = "smollm2-135m"
    found = {
        (model, "gsm8k", "one sample"): Interval(0.8, 0.7, 0.9),
        (model, "mmlu", "ten samples"): Interval(1.3, 0.9, 1.8),
    }
    assert beside.losses_beside(found).endswith(
        "clearly lower in one of two combinations and clearly higher in none. It is 0.80 times that without at best "
        "(GSM8K, SmolLM2-135M, one sample) and 1.30 times at worst (MMLU, SmolLM2-135M, ten samples)."
    )
    assert beside.losses_beside({}) == beside.NOT_YET


def test_figures_of_data_sets():
    lines = beside.by_dataset({("gsm8k", 1): FALLING, ("mmlu", 10): FALLING}).splitlines()
    assert lines[2] == "| 7 | GSM8K, one sample | 4 | 10, 2 (step 40) | 1 | 5 | 2.5 |"
    assert lines[9].startswith("| 14 | MMLU (there MMLU-CF), ten samples | 4 | ")
    assert [int(line.split("|")[1]) for line in lines[2:]] == list(range(7, 19))
    assert sum("| none |" in line for line in lines) == 10
    assert {line.count("|") for line in lines} == {8}


def test_every_figure_and_table_of_the_paper_has_its_place(tmp_path):
    """All 19 figures and 4 tables, each named as the paper's; before there are runs nothing is compared."""
    said = figure_by_figure.page(Evidence(store=RunStore(tmp_path)))
    titles = re.findall(r"^## (.*) of the paper: ", said, flags=re.MULTILINE)
    named = [int(number) for title in titles if "Figure" in title for number in re.findall(r"\d+", title)]
    assert named == [1, 2, 3, 4, 5, 6, 19, 7, 18], "and what is between 7 and 18 in the table"
    assert [title for title in titles if "Table" in title] == [f"Table {number}" for number in (1, 2, 3, 4)]
    assert len(titles) == len(set(titles)) == len(re.findall(r"^\(paper-(?:figure|table)-\d+\)=$", said, re.MULTILINE))
    assert said.count("Not compared yet: runs are missing.") == 9
    assert "C9 not decided yet; C10 not decided yet." in said
    for chapter in re.findall(r"\(executed/(\w+)\)", said):
        assert (ROOT / "notebooks" / f"{chapter}.py").is_file()
    assert [item.shows for item in figure_by_figure.ITEMS.values() if item.shows.endswith(".")] == []
