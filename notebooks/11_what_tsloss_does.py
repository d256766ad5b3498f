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
# # What does TSLoss do to a prompt?
#
# Before one asks whether TSLoss makes tuning faster, one may ask whether it did anything to the prompts, and what. A
# medicine that was not swallowed shows nothing, either way. Here the cloud of each prompt that was tuned with a
# regulariser is held against that of the run of cross-entropy alone on the same problem, from the same start: how even
# its $H_0$ deaths are, how many loops it has, its {term}`persistence entropy`, and how hard the regulariser pulled.

# %%
import matplotlib.pyplot as plt
from IPython.display import Markdown, display

from tslib.study import parameters, plots, shapes
from tslib.study.evidence import Evidence
from tslib.study.report import headline
from tslib.study.report import treatment as report_treatment
from tslib.study.treatment import followed, pairs, treatment

plots.style()
evidence = Evidence()
to_the_end = followed(evidence, *report_treatment.TO_THE_END)
rows = treatment(evidence, *(grid.name for grid in evidence.sweep.grids))

# %% tags=["finding"]
cloud = headline.short(*headline.lines(evidence))
display(Markdown(report_treatment.finding(cloud, rows)))

# %% [markdown]
# The parameters are those of the clouds that are made while this page is built, further down.

# %% tags=["parameters"]
draws = 20
noises = [0.0001, 0.001, 0.01, 0.1, 1.0]
lengths = [0.0, 0.02, 0.04, 0.06, 0.08, 0.1, 0.15, 0.2, 0.25]
seeds = 3
steps = 300

# %% [markdown]
# ## Through training
#
# Runs that go on to the last step, whether or not they are correct. The $H_0$ term of TSLoss is the variance of the
# tokens' soft nearest distances ({eq}`eq-hand-h0`), so what it should drive to 0 is the *spread* of $H_0$ deaths:
# their standard deviation over their mean. Bands are 95 % intervals over pairs.

# %% tags=["hide-input"]
parameters.check(globals())
grids = {"GSM8K, one sample": "one sample to the end, gsm8k", "MMLU, one sample": "one sample to the end, mmlu"}
curves = {title: to_the_end[to_the_end["grid"] == grid] for title, grid in grids.items()}
if all(map(len, curves.values())):
    figure = plots.with_and_without(curves)
    plt.show()
    display(Markdown(report_treatment.read_curves(curves)))

# %% [markdown]
# On MMLU the runs are correct before TSLoss has done anything (dotted line). What it does to those prompts it does
# afterwards, when it can no longer change the number of iterations.
#
# ### By the weight λ
#
# Each pair's run with TSLoss against its own run without, on one problem of GSM8K:

# %% tags=["hide-input"]
by_weight = followed(evidence, *report_treatment.WEIGHTS)
if len(by_weight):
    figure = plots.changes_by_weight(by_weight)
    plt.show()
display(Markdown(report_treatment.read_by_weight(by_weight)))

# %% [markdown]
# ## The bars of one pair
#
# The first pair of the runs on GSM8K, at the last step. An $H_0$ bar ends where two clusters of tokens meet, an $H_1$
# bar lasts from where a loop closes to where it is filled ({doc}`00_persistent_homology`).

# %% tags=["hide-input"]
(ours, theirs), *_ = next((both for _, both in pairs(evidence, report_treatment.WEIGHTS[0])), [(None, None)])
if ours and theirs:
    last = int(min(record.topology["step"].max() for record in (ours, theirs)))
    figure = plots.side_by_side(theirs, ours, last)
    plt.show()
    display(Markdown(report_treatment.read_bars(theirs, ours, last)))

# %% [markdown]
# ## Why it makes loops
#
# Think of tokens at right angles to each other, as random directions in many dimensions nearly are, that differ in
# length. Then $D_{ij}^2 = r_i^2 + r_j^2$, where $r_i$ is the length of token $i$, and the shortest token is the nearest
# to every other one: whichever two tokens are joined are both joined to it already, so that every loop is filled in the
# moment it closes. Such a cloud has no loops at all, and its $H_0$ deaths are as uneven as the lengths.

# %% tags=["hide-input"]
display(Markdown(report_treatment.read_angles(to_the_end)))

# %% [markdown]
# TSLoss makes $H_0$ deaths even. The shortest token loses its place, and the little by which angles are not right
# decides which tokens meet first: loops appear, as in noise. If *all* distances were equal, as in a regular simplex,
# where TSLoss is 0 ({doc}`01_tsloss_by_hand`), there would be none. But that is a single point: as near to it as you
# like there are about as many loops as far away, and only shorter. So the number of loops, without their length,
# counts noise. Below are clouds of 20 points in 576 dimensions, made for the purpose:

# %% tags=["hide-input"]
noise = shapes.by_noise(noises, range(draws))
unequal = shapes.by_lengths(lengths, range(draws))
descents = shapes.descents(range(seeds), steps)
figure = plots.even_clouds(noise, unequal, descents)
plt.show()
display(Markdown(report_treatment.read_even(noise, unequal)))

# %% [markdown]
# The panel at the bottom right has no model in it: TSLoss alone is minimised by Adam, from clouds of two kinds. One is
# like an initial prompt. The other is about as wide and as uneven as a prompt tuned without TSLoss, with directions at
# random.

# %% tags=["hide-input"]
display(Markdown(report_treatment.read_alone(descents)))

# %% [markdown]
# From the wide cloud TSLoss goes where the tuned prompts went, to even $H_0$ deaths and many short loops. From the
# small one it goes all the way to the simplex.
#
# The paper takes loops for redundant paths of reasoning that tuning removes, and its second version reports fewer of
# them with TSLoss. Here it is the other way round: loops vanish without TSLoss and are there with it, and no difference
# in the iterations can be told from chance ({doc}`03_convergence`). Loops need not vanish for a prompt to converge.
#
# ## Does it pull too weakly?
#
# TSLoss is often small beside the cross-entropy, and one may hold that a larger λ would show what it can do. Here is
# every setting with committed runs: how hard the regulariser pulls (the length of its gradient over that of
# cross-entropy, the median over the steps until a run is correct, then over pairs) against the ratio of iterations.

# %% tags=["hide-input"]
if len(rows):
    seen = report_treatment.drawn(rows)
    figure = plots.ratio_against_pull(seen, report_treatment.named(seen))
    plt.show()
display(Markdown(report_treatment.read_pull(rows)))

# %% [markdown]
# Some of these settings share runs, since a grid that varies one setting has the defaults, too.
#
# ## What was treated, and what was not
#
# Both runs of a pair are read at the last checkpoint that they share until the first of them is correct; where one is
# correct before its first checkpoint there is nothing to read. The columns have the spread of $H_0$ deaths with the
# regulariser over that without, how many more loops there are, the pull, and the ratio of iterations. First the
# comparisons of {doc}`03_convergence`:

# %% tags=["hide-input"]
display(Markdown(report_treatment.read_bound()))
of_tasks = rows[rows["grid"].isin(report_treatment.TASKS)] if len(rows) else rows
report_treatment.words(of_tasks).style.hide(axis="index")

# %% [markdown]
# And other weights, regularisers and prompt methods:

# %% tags=["hide-input"]
stronger = rows[rows["grid"].isin(report_treatment.STRENGTHS)] if len(rows) else rows
display(report_treatment.words(stronger).style.hide(axis="index"))
ours = stronger[stronger["regularizer"].str.startswith("tsloss")] if len(stronger) else stronger
display(Markdown(report_treatment.read_treated(ours)))
