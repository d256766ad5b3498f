# ---
# jupyter:
#   jupytext:
#     cell_metadata_filter: tags
#     notebook_metadata_filter: kernelspec,jupytext,-jupytext.text_representation.jupytext_version
#     text_representation:
#       extension: .py
#       format_name: percent
#       format_version: '1.3'
#   kernelspec:
#     display_name: Python 3 (ipykernel)
#     language: python
#     name: python3
# ---

# %% [markdown]
# # Do the intervals cover?
#
# An interval of 95 % should contain the true value 95 times out of 100: that is its {term}`coverage`. With five or ten
# pairs of runs this is not a matter of course. Here it is measured. A population is made of committed runs, so that
# the true value is known; a few are drawn from it, thousands of times, and each time the interval is made as the book
# makes it.

# %%
import matplotlib.pyplot as plt
import numpy as np
from IPython.display import Markdown, display

from tslib import stats
from tslib.study import parameters, plots
from tslib.study.claims import coverage
from tslib.study.evidence import Evidence
from tslib.study.report import coverage as report_coverage

plots.style()

# %% tags=["parameters"]
pairs = 5  # drawn at once, in the live example below
draws = 1000

# %% tags=["finding"]
parameters.check(globals())
found = coverage.load()
display(Markdown(report_coverage.read(found)))

# %% [markdown]
# ## Measured
#
# For ratios the population is the iterations of the grids of ten pairs and more, each run relative to the mean of its
# grid: what is left is how runs and pairs scatter. Censoring cuts the longest off. For means it is how topology changes
# in runs that go on to the last step; for correlations it is these runs themselves.

# %% tags=["hide-input"]
population = np.exp(coverage.pairs(Evidence()))
figure = plots.population(np.log(population))
plt.show()
display(
    Markdown(
        f"The population of {len(population)} pairs that ratios are drawn from. Runs of one pair have the same start, "
        "the same rows and the same order. Even so, one pair in five has a ratio below "
        "{:.2f} or above {:.2f}.".format(*np.quantile(np.divide(*population.T), [0.1, 0.9]))
    )
)

# %% tags=["hide-input"]
figure = plots.coverage(found[found["n"] < coverage.ROWS])
plt.show()
display(Markdown(report_coverage.caption(found)))

# %% tags=["hide-input"]
report_coverage.table(found).style.hide(axis="index")

# %% [markdown]
# ## What each interval is
#
# * **Ratio of iterations**: {term}`Fieller's <Fieller interval>`. A ratio $r$ is inside if a $t$ test does not tell the
#   mean of $a_i - r\,b_i$ over the pairs from 0 ({py:func}`tslib.stats.ratio_of_means`). The $t$ interval of the
#   logarithm (delta method) comes close, and covers a little less where no run is censored.
# * **Mean of a statistic of runs, or of paired differences**: $t$ ({py:func}`tslib.stats.mean`).
# * **Difference of two groups of runs**: Welch's $t$ ({py:func}`tslib.stats.difference`).
# * **Correlation over checkpoints**: whole runs are left out one after the other ({term}`jackknife`), since checkpoints
#   of one run are much alike ({py:func}`tslib.stats.leaving_one_out`).
# * **Share of right answers**: {term}`Wilson's <Wilson interval>`, of a hundred rows or more; where scores are parts,
#   such as F1, a bootstrap of the rows, which covers better than $t$ there.
# * **{term}`BCa bootstrap`**: what the registered [criteria](../claims) name. It stays in the verdicts as registered,
#   and nowhere else. Owen {cite}`owen2025bootstrap` finds the same of it.
#
# ## Live
#
# The same for one case, with as many pairs and draws as you like: each line is the interval that somebody would report
# who has these pairs and no others.

# %% tags=["hide-input"]
truth = float(np.divide(*population.mean(0)))
rng = np.random.default_rng(0)
drawn = [stats.ratio_of_means(*rng.choice(population, pairs).T) for _ in range(draws)]
inside = np.mean([interval.low <= truth <= interval.high for interval in drawn])
figure = plots.many_intervals(drawn[:100], truth)
plt.show()
display(
    Markdown(
        f"The first {len(drawn[:100])} intervals, of {pairs} pairs each. Of all {draws}, {inside:.1%} contain the true "
        f"ratio, {truth:.2f}."
    )
)
