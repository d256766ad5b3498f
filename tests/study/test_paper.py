"""What the paper's printed numbers imply, against SciPy on data that are made so."""

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from tslib.study import paper


@pytest.fixture
def rows(monkeypatch):
    """Make the table's rows those of SciPy: features against a quantity with one value in each of two groups."""

    def make(features, accuracy):
        half = len(accuracy) // 2
        table = []
        for name, values in features.items():
            rho = stats.spearmanr(values, accuracy)
            test = stats.mannwhitneyu(values[:half], values[half:], method="asymptotic")
            table.append((name, rho.statistic, rho.pvalue, test.statistic, test.pvalue))
        monkeypatch.setattr(paper, "TABLE2", pd.DataFrame(table, columns=["feature", "rho", "p", "u", "p_of_u"]))
        monkeypatch.setattr(paper, "H0_COUNT_U", half**2 / 2)

    return make


def test_the_number_of_observations_comes_back_from_rho_and_p(rows):
    """Noise and a trend, 40 observations each."""
    noise, more = np.random.default_rng(0).normal(size=(2, 40))
    rows({"trend": np.arange(40) + 5 * noise, "noise": more}, np.repeat([0, 1], 20))
    found = paper.implied_checkpoints()
    assert found["feature"].tolist() == ["trend", "noise"]
    assert found["n"].tolist() == pytest.approx([40, 40])
    assert (found["low"] < 40).all()
    assert (found["high"] > 40).all()


def test_rho_with_a_group_is_its_u_told_again_also_with_ties(rows):
    rng = np.random.default_rng(1)
    steps = np.arange(60)
    rows(
        {"rises": steps, "falls": -steps + 20 * rng.normal(size=60), "ties": rng.poisson(1, 60) + steps // 30},
        steps >= 30,
    )
    assert paper.group_size() == 30
    found = paper.rho_of_groups()
    assert found["of_groups"].tolist() == pytest.approx(found["rho"].tolist(), abs=1e-12)
    assert found["rho"].iloc[0] == pytest.approx(np.sqrt(3) / 2, abs=2e-4), "the most that a rise gives"


def test_table_2_has_as_many_checkpoints_as_two_groups_of_73():
    """73 is a prime, so that no other two groups of more than one have 73² pairs."""
    m = paper.group_size()
    assert m == 73
    found = paper.implied_checkpoints()
    assert ((found["low"] < 2 * m) & (2 * m < found["high"])).all()
    decisive = found[found["feature"] != "h1_mean_lifespan"]
    assert decisive["n"].round().eq(146).all()


def test_every_rho_of_table_2_is_that_of_two_groups():
    found = paper.rho_of_groups()
    assert found["of_groups"].round(3).tolist() == found["rho"].tolist()


def test_all_numbers_of_table_3_are_even():
    """Against the text of the paper: eighteen pairs from 2 to 154."""
    assert paper.even_numbers() == (36, 36)
    assert (paper.TABLE3["standard"].max(), paper.TABLE3["TSLoss"].min()) == (154, 2)
