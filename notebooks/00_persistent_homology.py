# ---
# jupyter:
#   jupytext:
#     cell_metadata_filter: tags
#     formats: ipynb,py:percent
#     notebook_metadata_filter: kernelspec,jupytext,-jupytext.text_representation.jupytext_version
#     text_representation:
#       extension: .py
#       format_name: percent
#       format_version: '1.3'
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # Persistent homology in ten minutes
#
# At the end of this chapter you can read a barcode. You will know the meaning of the numbers that the paper
# {cite}`tslpaper2026` follows through training (how many features there are, how long they live, how evenly
# they share out their lengths), which of them cannot change whatever a prompt learns, and what they are for a
# prompt that has learnt nothing yet.

# %%
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from IPython.display import Markdown, display
from scipy.sparse.csgraph import connected_components

from tslib import persistence_diagrams, summarize
from tslib.study import parameters, plots
from tslib.topology.diagrams import distance_matrix, lifespans

plots.style()

# %% tags=["parameters"]
n_points = 20  # points of every random cloud; with fewer than 10 the noisy circle may have no loop
noise = 0.1  # standard deviation of the noise on the circle, whose radius is 1
seed = 0
dimension = 576  # of the high-dimensional cloud: the width of SmolLM2-135M, the model that this book ships with

# %% [markdown] tags=["finding"]
# **Much of what the paper's figures show would be there for noise.** A cloud of $n$ distinct points has $n$ bars in
# $H_0$, so their number cannot change while a prompt is trained. And points of Gaussian noise in hundreds of dimensions
# are about equally far apart: $H_0$ bars end together, and loops are short, before any learning.

# %% [markdown]
# ## From points to a complex
#
# A {term}`soft prompt` is a table of $n$ rows with $d$ numbers each, learnt in place of words
# {cite}`lester2021power`. Read every row as a point in $d$ dimensions, and the prompt is a cloud of $n$
# points. A cloud by itself has no shape: it is just points. It gets one when we say which points are close.
# {term}`Persistent homology` says so at every scale at once.
#
# Fix a threshold $\epsilon$. Join two points where their distance is at most $\epsilon$, and fill a triangle
# where all three of its sides are joined (and so on for tetrahedra and above). The result is the
# {term}`Vietoris–Rips complex`, the paper's Eq. 9:
#
# ```{math}
# :label: eq-ph-rips
# \mathrm{VR}_\epsilon(X)
#   = \{\, \sigma \subset X : \|x_i - x_j\| \le \epsilon \text{ for all } x_i, x_j \in \sigma \,\}.
# ```
#
# In a picture: draw a ball of radius $\epsilon/2$ around every point. Two points are joined when their balls
# meet.
#
# ```{admonition} Two conventions
# :class: note
# $\epsilon$ in {eq}`eq-ph-rips` is a distance, not a radius, and all scales in this book are distances. Texts
# that count by the radius of the balls have numbers half as large. Note also that the complex knows distances
# of pairs only: three balls that meet two by two may leave a gap in the middle, and the triangle is filled
# nevertheless. The complex that respects the gap is named after Čech; see {cite}`chazal2021introduction` for
# both.
# ```
#
# Our example is a noisy circle. We let $\epsilon$ grow and stop six times.

# %%
parameters.check(globals())
rng = np.random.default_rng(seed)
angles = 2 * np.pi * np.arange(n_points) / n_points
circle = np.column_stack([np.cos(angles), np.sin(angles)]) + noise * rng.normal(size=(n_points, 2))

h0, h1 = diagrams = persistence_diagrams(circle)
mergers = np.sort(h0[:-1, 1])
birth, death = h1[np.argmax(h1[:, 1] - h1[:, 0])]
events = {
    "before anything is joined": mergers[0] / 2,
    "the middle one of the mergers": mergers[len(mergers) // 2],
    "the last merger": mergers[-1],
    "the longest-lived loop is born": birth,
    "half of its life is over": (birth + death) / 2,
    "it dies": death,
}
events = dict(sorted(events.items(), key=lambda event: event[1]))
scales = list(events.values())

# %% tags=["hide-input"]
plots.rips_complexes(circle, scales)
plt.show()

# %% tags=["hide-input"]
stops = "; ".join(f"{event}, at ε = {scale:.2f}" for event, scale in events.items())
display(
    Markdown(
        f"The stops, in reading order: {stops}. Components only ever merge, while a loop comes and goes: it is "
        f"there from ε = {birth:.2f}, when the ring closes, until ε = {death:.2f}, when triangles have filled "
        "its inside."
    )
)

# %% [markdown]
# ## What is counted
#
# The titles of the panels count two things, the {term}`Betti numbers <Betti number>`. The number of
# *{term}`components <H0>`* is the dimension of the homology group $H_0$: it falls by one with each edge that
# joins two components. The number of *{term}`loops <H1>`* is the dimension of $H_1$: the number of independent
# closed paths along the edges, where a path that bounds filled triangles counts as nothing and two paths that
# differ by filled triangles count as one. (With boundary operators $\partial_k$ these are the paper's Eqs. 10
# and 11, $H_k = \ker \partial_k / \operatorname{im} \partial_{k+1}$, with coefficients in $\mathbb{Z}/2$
# here.) Nothing else is measured: a loop is a loop, whatever its form.
#
# As $\epsilon$ grows the complex only gains simplices, so every feature can be followed from the scale where
# it appears, its *{term}`birth`* $b$, to the scale where it is gone, its *{term}`death`* $d$. That this
# bookkeeping is possible without ambiguity is the theorem on which the field rests
# {cite}`edelsbrunner2002topological,zomorodian2005computing`. We compute it exactly, by Ripser
# {cite}`bauer2021ripser,tralie2018ripser` ({py:func}`tslib.topology.diagrams.persistence_diagrams`).
#
# - Every point is a component at $\epsilon = 0$. When two components meet, one of them dies; the last one
#   never does.
# - A loop is born with an edge whose ends were connected already, and dies with a triangle.
#
# ## Barcode and diagram
#
# The same information is drawn in two ways: as a *{term}`barcode`*, one bar from $b$ to $d$ for each
# feature, or as a *{term}`diagram <persistence diagram>`*, one point $(b, d)$ for each feature, which lies
# the higher above the diagonal the longer the feature lives.

# %% tags=["hide-input"]
figure, (left, right) = plt.subplots(1, 2, figsize=(7, 3.6), width_ratios=(1.1, 1))
plots.barcode(diagrams, left, scales=scales, unit="circle radii")
plots.diagram(diagrams, right, scales=scales, unit="circle radii")
plt.show()

# %% tags=["hide-input"]
others = np.sort(h1[:, 1] - h1[:, 0])[:-1]
rest = f"the longest of the {len(others)} other(s) has {others[-1]:.2f}" if len(others) else "there is no other"
display(
    Markdown(
        "The lines are the six stops: a dashed line on the left cuts as many blue bars as its panel above has "
        "components, and as many orange bars as it has loops; on the right these are the points in the upper "
        f"left part that the dotted corner cuts off. One loop stands out with length {death - birth:.2f}, and "
        f"{rest}."
    )
)

# %% [markdown]
# One of the two counts can be had without any homology, which makes a check: the components of the graph of
# joined points, counted by a graph algorithm.

# %% tags=["show"]
for scale in scales:
    joined = distance_matrix(circle) <= scale * (1 + 1e-6)  # Ripser's scales are float32 numbers
    assert connected_components(joined)[0] == plots.betti_numbers(diagrams, scale)[0]

# %% [markdown]
# ## Lifespan and persistence entropy
#
# The *{term}`lifespan`* of a feature is $l = d - b$, the amount of its {term}`persistence`. The paper
# condenses a whole barcode into its {term}`persistence entropy`, Eq. 12:
#
# ```{math}
# :label: eq-ph-entropy
# PE = -\sum_i \frac{l_i}{L} \ln \frac{l_i}{L}, \qquad L = \sum_i l_i .
# ```
#
# It measures how evenly the total lifespan is shared out: 0 when one bar has everything, $\ln m$ when $m$
# bars are equally long, never more. The base of the logarithm is not stated in the paper; ours is $e$, and
# the unit the nat. The bar that never dies has no finite lifespan and is left out; the bars of $H_0$ and
# $H_1$ are taken together.
#
# By hand, for three points at 0, 1 and 3 on a line: the first two merge at $\epsilon = 1$, the third joins at
# $\epsilon = 2$, and there is no loop. So $l = (1, 2)$, $L = 3$ and
# $PE = -\tfrac13 \ln \tfrac13 - \tfrac23 \ln \tfrac23 = \ln 3 - \tfrac23 \ln 2$.

# %%
line = np.array([[0.0], [1.0], [3.0]])
by_hand = np.log(3) - 2 / 3 * np.log(2)
summary = summarize(persistence_diagrams(line), line)
assert np.isclose(summary.persistence_entropy, by_hand, rtol=1e-6)
pd.DataFrame(
    {"by hand": [3, 1.5, 2, by_hand], "tslib": summary[:1] + summary[2:4] + summary[6:7]},
    index=["H0 count", "H0 mean lifespan", "H0 longest lifespan", "persistence entropy (nats)"],
).round(6)

# %% [markdown]
# Both columns agree. Multiply all distances by ten and the lifespans grow tenfold, while the entropy
# {eq}`eq-ph-entropy` stays as it is: it depends on the ratios of the lengths alone.
#
# ## The deaths in $H_0$ are the edges of the minimum spanning tree
#
# Which distances are the deaths in $H_0$? Add edges from the shortest to the longest and keep those that join
# two components. This is Kruskal's algorithm for the {term}`minimum spanning tree`, so the $n - 1$ finite
# deaths are exactly the lengths of its $n - 1$ edges.
#
# This matters for TSLoss, the subject of {doc}`the next chapter <01_tsloss_by_hand>`. Its $H_0$ term replaces
# the deaths by the (softened) distances from each point to its nearest other point; the paper's Eq. 13 says
# that these have approximately the same variance. Take four points at 0, 1, 10 and 11 on a line. Each point's
# nearest point is at distance 1. The deaths are 1, 1 and 9, for the two pairs must merge too, and their
# variance is $\tfrac13\big(2 (1 - \tfrac{11}{3})^2 + (9 - \tfrac{11}{3})^2\big) = \tfrac{128}{9}$.


# %%
def nearest_distances(points):
    distances = distance_matrix(points)
    return np.where(np.eye(len(points), dtype=bool), np.inf, distances).min(axis=1)


def deaths(points):
    return lifespans(persistence_diagrams(points)[0])  # births are 0


pairs = np.array([[0.0], [1.0], [10.0], [11.0]])
assert np.isclose(deaths(pairs).var(), 128 / 9)
print("nearest distances", nearest_distances(pairs), "variance", nearest_distances(pairs).var())
print("deaths           ", deaths(pairs), "  variance", deaths(pairs).var().round(6))

# %% [markdown]
# The variance of the nearest distances is 0, the best value that such a loss can have, on a cloud whose
# deaths are as uneven as we like: move the pairs further apart and only the deaths take notice. The same in
# the plane, with two groups of points:

# %%
sides = np.where(np.arange(n_points) % 2, 4.0, -4.0)
groups = rng.normal(size=(n_points, 2)) + np.column_stack([sides, np.zeros(n_points)])

# %% tags=["hide-input"]
figure, ax = plt.subplots(figsize=(7, 3.6))
plots.spanning_tree(groups, ax)
plt.show()

# %% tags=["hide-input"]
missed = ~np.isclose(deaths(groups)[:, None], nearest_distances(groups), rtol=1e-5).any(axis=1)
display(
    Markdown(
        "Blue lines are the tree, arrows go from each point to its nearest one. Every arrow runs along the "
        f"tree, but {missed.sum()} of the {n_points - 1} deaths are no point's nearest distance, the longest "
        f"among them: {deaths(groups).max():.2f}, the step between the groups, against a largest nearest "
        f"distance of {nearest_distances(groups).max():.2f}."
    )
)

# %% [markdown]
# The general statement: if all distances differ, every nearest distance is a death (the shortest edge that
# leaves a point is always in the tree), so the nearest distances see how single points join their
# surroundings. They don't see how groups merge, and they count two points that are each other's nearest
# twice. There is also no "death of point $i$": $n$ points have $n - 1$ deaths, and which of two merging
# components is said to die is a convention.
#
# ## What noise looks like in high dimension
#
# Soft prompts live in hundreds or thousands of dimensions, and the paper starts them as Gaussian noise,
# $x_i \sim \mathcal{N}(0, \sigma^2 I_d)$ with $\sigma = 0.02$. The difference of two such points has $d$
# independent coordinates of variance $2 \sigma^2$, so the squared distance $D^2$ is $2 \sigma^2$ times a
# $\chi^2_d$ variable, and for large $d$
#
# ```{math}
# :label: eq-ph-concentration
# \mathbb{E}\, D \approx \sigma \sqrt{2 d}, \qquad \operatorname{std} D \approx \sigma, \qquad
# \frac{\operatorname{std} D}{\mathbb{E}\, D} \approx \frac{1}{\sqrt{2 d}} .
# ```
#
# The distances grow with the dimension, their spread doesn't: seen from any point, all the others are about
# equally far.

# %%
plane = 0.02 * rng.normal(size=(n_points, 2))
prompt = 0.02 * rng.normal(size=(n_points, dimension))

# %% tags=["hide-input"]
figure, ax = plt.subplots(figsize=(7, 2.6))
plots.distance_histograms({"2 dimensions": plane, f"{dimension} dimensions": prompt}, ax)
plt.show()

# %% tags=["hide-input"]
distances = distance_matrix(prompt)[np.triu_indices(n_points, 1)]
display(
    Markdown(
        f"In the plane there are near and far pairs. In {dimension} dimensions the {len(distances)} distances "
        f"lie between {100 * distances.min() / distances.mean():.0f} % and "
        f"{100 * distances.max() / distances.mean():.0f} % of their mean, and their standard deviation is "
        f"{100 * distances.std() / distances.mean():.1f} % of it; the formula gives "
        f"{100 / np.sqrt(2 * dimension):.1f} %."
    )
)

# %% tags=["hide-input"]
figure, axes = plt.subplots(1, 2, figsize=(7, 3.6))
for ax, cloud in zip(axes, (plane, prompt), strict=True):
    unit = distance_matrix(cloud)[np.triu_indices(n_points, 1)].mean()
    plots.barcode(persistence_diagrams(cloud / unit), ax, unit="mean distances")
    ax.set_title(f"{cloud.shape[1]} dimensions", fontsize="medium")
plt.show()

# %% tags=["hide-input"]
relative = prompt / distances.mean()
loops = persistence_diagrams(relative)[1]
display(
    Markdown(
        f"In {dimension} dimensions all {n_points - 1} finite H0 bars end nearly together, between ε = "
        f"{deaths(relative).min():.2f} and {deaths(relative).max():.2f} mean distances. At ε = "
        f"{distance_matrix(relative).max(axis=1).min():.2f} one point is joined to all others, and from there "
        f"on no loop can exist. The {len(loops)} loops in between are short: the longest lives for "
        f"{lifespans(loops).max(initial=0):.3f} mean distances. This is the barcode of an untrained soft "
        "prompt."
    )
)

# %% [markdown]
# One cloud is an anecdote, so here are means over 20 Gaussian clouds for each of several dimensions. The
# entropy is given as a share of $\ln(n - 1)$, its value for $n - 1$ equally long bars and no loop.


# %%
def noise_row(d, rng, repeats=20):
    clouds = rng.normal(size=(repeats, n_points, d))
    table = pd.DataFrame([summarize(persistence_diagrams(cloud), cloud) for cloud in clouds])
    distances = [distance_matrix(cloud)[np.triu_indices(n_points, 1)] for cloud in clouds]
    spread = np.mean([values.std() / values.mean() for values in distances])
    loop = (table.h1_max_lifespan / table.mean_distance).mean()
    entropy = table.persistence_entropy.mean() / np.log(n_points - 1)
    return [spread, 1 / np.sqrt(2 * d), table.h0_count.mean(), table.h1_count.mean(), loop, entropy]


columns = ["spread of distances", "1 / √(2d)", "H0 bars", "H1 bars", "longest H1 bar", "entropy / ln(n - 1)"]
dimensions = pd.Index(sorted({2, 8, 32, 128, dimension}), name="d")
noise_table = pd.DataFrame([noise_row(d, rng) for d in dimensions], index=dimensions, columns=columns)
noise_table.round(3)

# %% tags=["hide-input"]
low, high = noise_table.iloc[0], noise_table.iloc[-1]
change = "{0} goes from {1:.3f} to {2:.3f}".format
display(
    Markdown(
        "Spread and lifespans are in units of the mean distance. From the first row to the last "
        f"{change('the spread', low.iloc[0], high.iloc[0])}, "
        f"{change('the longest loop', low.iloc[4], high.iloc[4])} and "
        f"{change('the number of loops', low.iloc[3], high.iloc[3])}: the count says nothing of how long its "
        f"bars are. {change('The relative entropy', low.iloc[5], high.iloc[5])}, where 1 stands for equal H0 "
        "bars and no loop; loops are further bars and can lift it above 1."
    )
)

# %% [markdown]
# The column of H0 bars is constant, and not because noise is special. Every point is born as a component at
# $\epsilon = 0$, so **$n$ distinct points have $n$ bars in $H_0$, whatever the cloud**: $n - 1$ that end and
# one that does not. That the number of $H_0$ features stays constant through training is true of any $n$
# moving points that do not coincide; it is no finding about prompts. The lengths of those bars are another
# matter.

# %%
clouds = {
    "noisy circle": circle,
    "two groups": groups,
    "squares on a line: 0, 1, 4, 9, ...": np.arange(n_points)[:, None] ** 2.0,
    f"noise in {dimension} dimensions": prompt,
}
counts = [[len(bars) for bars in persistence_diagrams(cloud)] for cloud in clouds.values()]
pd.DataFrame(counts, index=list(clouds), columns=["H0 bars", "H1 bars"])

# %% [markdown]
# ## What to remember
#
# - A bar is a feature and the range of scales over which it exists. $H_0$ counts components, $H_1$ loops.
# - The number of $H_0$ bars is the number of points. It carries no information; the lengths of the bars do.
# - The $H_0$ deaths are the lengths of the edges of the minimum spanning tree. Nearest-neighbour distances are
#   among them, but miss every merger of groups.
# - Persistence entropy says how evenly the bars share their total length, not how many loops there are or how
#   long.
# - In high dimension Gaussian points are all about equally far from each other, with a relative spread of
#   about $1/\sqrt{2d}$ ({eq}`eq-ph-concentration`). All $H_0$ bars end nearly together, the loops are
#   short, and the entropy is close to that of equal bars before any training.
