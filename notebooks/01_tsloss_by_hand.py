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
# # TSLoss by hand
#
# At the end of this chapter you will have written the paper's loss {cite}`tslpaper2026` in ten lines, checked it
# with pencil and paper on four points, and seen where it drives a cloud of points when nothing else pulls at
# them. You will also know what the terms $j = i$ in its sums change, and what becomes of its two thresholds in
# the dimensions of a language model.

# %%
import math

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import torch
from IPython.display import Markdown, display

from tslib import TSLoss, persistence_diagrams, summarize
from tslib.losses.descent import descend
from tslib.study import parameters, plots
from tslib.study.plots import interactive

plots.style()
torch.set_default_dtype(torch.float64)
torch.set_num_threads(1)  # the tensors are so small that more threads cost time

# %% tags=["parameters"]
tau = 1.0  # τ of Eq. 1, in units of distance
alpha = 10.0  # α of Eq. 7, in 1 / distance
n_tokens = 20  # points of a cloud: the virtual tokens of a prompt
dimension = 576  # of the embedding: the width of SmolLM2-135M
steps = 300  # of descent
seed = 0

# %% [markdown] tags=["finding"]
# **TSLoss computes no homology.** It is a penalty on pairwise distances. Read without the terms $j = i$, it vanishes
# exactly where all distances are equal, and at the paper's initialisation its soft minimum and maximum lie next to the
# mean distance. Read as printed, with $D_{ii} = 0$, it pushes no pair apart for being close.

# %% [markdown]
# ## The equations
#
# A soft prompt is a cloud of $n$ points $x_i \in \mathbb{R}^d$ with distances
# $D_{ij} = \lVert x_i - x_j \rVert$. {term}`TSLoss` has two parts. The first takes a smooth version of the
# distance from each point to its nearest other point (the {term}`soft nearest distance`), and asks that it
# be the same for all points:
#
# ```{math}
# :label: eq-hand-h0
# s_i = -\tau \log \sum_j e^{-D_{ij} / \tau}, \qquad
# L_{H_0} = \frac{1}{n} \sum_i (s_i - \bar s)^2 . \qquad \text{(Eqs. 1, 2)}
# ```
#
# The second has two {term}`hinges <hinge>`. Pairs closer than a threshold $\delta$ are pushed apart, pairs
# further apart than a threshold $\zeta$ are pulled together:
#
# ```{math}
# :label: eq-hand-h1
# \begin{aligned}
# L_{\mathrm{repel}} &= \frac{1}{n^2} \sum_{i,j} \max(0, \delta - D_{ij})^2, &\qquad \text{(Eq. 3)} \\
# L_{\mathrm{attract}} &= \frac{1}{n^2} \sum_{i,j} \max(0, D_{ij} - \zeta)^2 . &\qquad \text{(Eq. 4)}
# \end{aligned}
# ```
#
# The {term}`thresholds <soft threshold>` are a soft minimum and a soft maximum of the distances, that is,
# means with exponential weights:
#
# ```{math}
# :label: eq-hand-thresholds
# \begin{aligned}
# \delta &= \sum_{i,j} w^{\mathrm{low}}_{ij} D_{ij}, &
# \zeta &= \sum_{i,j} w^{\mathrm{high}}_{ij} D_{ij}, &\qquad \text{(Eq. 6)} \\
# w^{\mathrm{low}}_{ij} &= \frac{e^{-\alpha D_{ij}}}{\sum_{k,l} e^{-\alpha D_{kl}}}, &
# w^{\mathrm{high}}_{ij} &= \frac{e^{\alpha D_{ij}}}{\sum_{k,l} e^{\alpha D_{kl}}} . &\qquad \text{(Eq. 7)}
# \end{aligned}
# ```
#
# $L_{ts}$ is the sum of the three terms, with weights that we set to 1 here:
#
# ```{math}
# :label: eq-hand-loss
# L_{ts} = \beta_{H_0} L_{H_0} + \beta_{H_1} \big( \lambda_{\mathrm{repel}} L_{\mathrm{repel}}
#   + \lambda_{\mathrm{attract}} L_{\mathrm{attract}} \big) . \qquad \text{(Eqs. 5, 8)}
# ```
#
# (The paper has the factor $\lambda_{ts}$ in this equation and again where the loss is added to the
# cross-entropy; here it stands in {eq}`eq-intro-loss` alone.)
#
# ```{admonition} Two readings of the sums
# :class: important
# As printed, the sums run over all $i$ and $j$, and so include $j = i$ with $D_{ii} = 0$. A nearest *other*
# point and a smallest distance *between* points leave $j = i$ out; then the mean over the $n(n-1)$ true pairs
# replaces $1/n^2$. We call the first reading *{term}`printed <as printed>`* and the second
# *{term}`off-diagonal`*, and use the second until the section that compares them.
# ```
#
# Neither $\tau$ nor $\alpha$ has a value in the paper. Ours, $\tau = 1$ and $\alpha = 10$, are assumptions.
#
# ## Ten lines


# %% tags=["show"]
def tsloss(points, include_self=False):
    D = torch.cdist(points, points)
    if not include_self:
        D = D[~torch.eye(len(D), dtype=torch.bool)].reshape(len(D), -1)  # row i: its distances to the n - 1 others
    s = -tau * torch.logsumexp(-D / tau, dim=1)  # Eq. 1
    delta = (torch.softmax(-alpha * D.flatten(), 0) * D.flatten()).sum()  # Eqs. 6, 7
    zeta = (torch.softmax(alpha * D.flatten(), 0) * D.flatten()).sum()
    hinges = {"repel": (delta - D).relu().square().mean(), "attract": (D - zeta).relu().square().mean()}  # Eqs. 3, 4
    return {"soft_nearest": s, "h0": s.var(correction=0), **hinges, "delta": delta, "zeta": zeta}  # Eq. 2


# %% [markdown]
# ## Four points that can be checked by hand
#
# Take the corners of the unit square. Each has two others at distance 1 and one at $\sqrt 2$, so each sum has
# two equal terms and a third. All $s_i$ agree, and $L_{H_0} = 0$. The repelling hinge of {eq}`eq-hand-h1`
# sees the sides, two thirds of the pairs; the attracting one sees the diagonals, one third.

# %%
parameters.check(globals())
square = torch.tensor([[0.0, 0.0], [1.0, 0.0], [1.0, 1.0], [0.0, 1.0]])
r = math.sqrt(2)
soft_nearest = -tau * math.log(2 * math.exp(-1 / tau) + math.exp(-r / tau))
near, far = math.exp(-alpha), math.exp(-alpha * r)
delta = (2 * near + r * far) / (2 * near + far)
zeta = (2 * math.exp(alpha) + r * math.exp(alpha * r)) / (2 * math.exp(alpha) + math.exp(alpha * r))
by_hand = {
    "soft_nearest": ("-τ ln(2 exp(-1/τ) + exp(-√2/τ))", soft_nearest),
    "h0": ("0, for all s are equal", 0.0),
    "delta": ("(2 exp(-α) + √2 exp(-α√2)) / (2 exp(-α) + exp(-α√2))", delta),
    "zeta": ("(2 exp(α) + √2 exp(α√2)) / (2 exp(α) + exp(α√2))", zeta),
    "repel": ("2/3 (δ - 1)²", 2 / 3 * (delta - 1) ** 2),
    "attract": ("1/3 (√2 - ζ)²", 1 / 3 * (r - zeta) ** 2),
}
computed = {name: value.mean().item() for name, value in tsloss(square).items()}
assert all(math.isclose(value, computed[name], rel_tol=1e-9, abs_tol=1e-12) for name, (_, value) in by_hand.items())
table = pd.DataFrame(by_hand, index=["formula", "by hand"]).T
table.assign(computed=computed).style.format("{:.6g}", subset=["by hand", "computed"])

# %% [markdown]
# Now move the corner $(1, 1)$ to $(2, 1)$. The three corners that stay keep their distances 1, 1 and
# $\sqrt 2$; the moved one is $\sqrt 2$, 2 and $\sqrt 5$ away from them.

# %%
moved = torch.tensor([[0.0, 0.0], [1.0, 0.0], [2.0, 1.0], [0.0, 1.0]])
corners = [f"({x:.0f}, {y:.0f})" for x, y in moved.tolist()]
terms = tsloss(moved)
table = pd.DataFrame(torch.cdist(moved, moved).numpy(), index=corners, columns=corners)
table.assign(s=terms["soft_nearest"].numpy()).round(4)

# %% tags=["hide-input"]
D = torch.cdist(moved, moved)
pairs = [(i, j) for i in range(4) for j in range(i)]
close = [f"{corners[j]}–{corners[i]}" for i, j in pairs if D[i, j] < terms["delta"]]
wide = [f"{corners[j]}–{corners[i]}" for i, j in pairs if D[i, j] > terms["zeta"]]
display(
    Markdown(
        "The moved corner has the largest s, since everything else is further from it, and the variance of s "
        f"is {terms['h0']:.4g}. The thresholds are δ = {terms['delta']:.4f} and ζ = {terms['zeta']:.4f}; "
        f"closer than δ are {', '.join(close)}, and further apart than ζ {', '.join(wide)}. The repelling term "
        f"is {terms['repel']:.3g}, the attracting one {terms['attract']:.3g}."
    )
)

# %% [markdown]
# Move that corner yourself. Arrows show where descent on TSLoss would take each point, solid off-diagonal and dashed
# as printed; the longest arrow of each is drawn equally long, and its true length stands above.

# %% tags=["hide-input"]
interactive.four_points([(x / 10, 1.0) for x in range(2, 31)], tau=tau, alpha=alpha, begin=8)

# %% [markdown]
# At the square all soft nearest distances agree and $L_{H_0} = 0$, which lies below any logarithmic axis; the hinges
# are not 0 there, because its sides and diagonals differ.


# %% [markdown]
# ## The same as tslib.TSLoss
#
# The library's version, {py:class}`tslib.losses.tsloss.TSLoss`, adds leading dimensions, weights, and care for
# rounding: $\delta$ minus the smallest distance is the difference of two numbers that nearly agree. On clouds
# of ordinary size it must equal the ten lines.


# %%
def gaussian(n, d, sigma, seed=seed):
    return sigma * torch.randn(n, d, generator=torch.Generator().manual_seed(seed))


VARIANTS = {"off-diagonal": TSLoss(tau=tau, alpha=alpha), "printed": TSLoss(tau=tau, alpha=alpha, include_self=True)}

for points in [square, moved, gaussian(n_tokens, 2, 1.0), gaussian(n_tokens, dimension, 0.02)]:
    for loss in VARIANTS.values():
        terms = tsloss(points, loss.include_self)
        torch.testing.assert_close(loss.terms(points), terms, rtol=1e-7, atol=1e-14)
        torch.testing.assert_close(loss(points), terms["h0"] + terms["repel"] + terms["attract"], rtol=1e-7, atol=1e-14)


# %% [markdown]
# ## Gradients
#
# A step of descent moves each point against its gradient. Now $\delta$ and $\zeta$ are functions of the
# distances too, and the equations as printed differentiate them as well. From {eq}`eq-hand-thresholds`,
#
# ```{math}
# :label: eq-hand-flow
# \frac{\partial \delta}{\partial D_{ij}} = w^{\mathrm{low}}_{ij} \big(1 - \alpha (D_{ij} - \delta)\big), \qquad
# \frac{\partial \zeta}{\partial D_{ij}} = w^{\mathrm{high}}_{ij} \big(1 + \alpha (D_{ij} - \zeta)\big) .
# ```
#
# If the closest pair carries nearly all of $w^{\mathrm{low}}$, $\delta$ follows that pair, and may do so by
# more than it moves, for the bracket is above 1 where $D_{ij} < \delta$. Then the hinge $\delta - D_{ij}$
# *shrinks* when the pair gets closer, and a term that was written to repel attracts. The same holds for
# $\zeta$ and the widest pair. Below, the upper row holds the thresholds fixed, as the names of the terms
# suggest; the lower row differentiates them as well.


# %%
def term_values(points, fixed):
    D = torch.pdist(points)  # each pair once: the same means as over i, j with j ≠ i
    delta = (torch.softmax(-alpha * D, 0) * D).sum()
    zeta = (torch.softmax(alpha * D, 0) * D).sum()
    if fixed:
        delta, zeta = delta.detach(), zeta.detach()
    h0 = TSLoss(tau=tau, alpha=alpha).terms(points)["h0"]
    return {"h0": h0, "repel": (delta - D).relu().square().mean(), "attract": (D - zeta).relu().square().mean()}


def gradients(points, fixed=False):
    points = points.clone().requires_grad_()
    values = term_values(points, fixed)
    return {name: torch.autograd.grad(value, points, retain_graph=True)[0] for name, value in values.items()}


# %% tags=["hide-input"]
figure, axes = plt.subplots(2, 3, figsize=(7, 4.4), sharex=True, sharey=True)
for row, fixed in zip(axes, (True, False), strict=True):
    for ax, (name, gradient) in zip(row, gradients(moved, fixed).items(), strict=True):
        plots.gradient_arrows(moved.numpy(), gradient.numpy(), ax)
        how = "" if name == "h0" else ", thresholds fixed" if fixed else ", as it is"
        ax.set_title(f"{name}{how}\nlongest: {gradient.norm(dim=1).max():.1e}", fontsize="medium")
        ax.set(xlim=(-0.7, 2.7), ylim=(-0.7, 1.7))
        ax.label_outer()
plt.show()


# %% tags=["hide-input"]
def speed(i, j, name, fixed):
    """How fast descent on one term changes the distance of a pair."""
    step = -gradients(moved, fixed)[name]
    along = (moved[i] - moved[j]) / (moved[i] - moved[j]).norm()
    return float((step[i] - step[j]) @ along)


def verb(value):
    return "longer" if value > 0 else "shorter"


display(
    Markdown(
        "The longest arrow of a panel is drawn equally long in all of them and its true length stands above. "
        "With the thresholds fixed, the repelling term makes the side (0, 0)–(1, 0) "
        f"{verb(speed(0, 1, 'repel', True))} and the attracting one makes the widest pair, (0, 0)–(2, 1), "
        f"{verb(speed(0, 2, 'attract', True))}. As it is, the first becomes "
        f"{verb(speed(0, 1, 'repel', False))} and the second {verb(speed(0, 2, 'attract', False))}. L_H0 has "
        "no threshold; its arrows are the same in both rows, and it makes the distance from the moved corner "
        f"to the corner (1, 0) {verb(speed(1, 2, 'h0', False))}."
    )
)

# %% [markdown]
# In each panel the arrows sum to zero, because a loss that depends on distances alone cannot move the centre
# of the cloud.
#
# Does this matter for clouds of ordinary size? Two derivatives tell: that of the repelling term by the
# smallest distance, and that of the attracting term by the largest. Descent repels the closest pair where the
# first is negative, and pulls at the widest where the second is positive.


# %%
def extreme_slopes(D, fixed):
    D = D.clone().requires_grad_()
    delta, zeta = ((torch.softmax(sign * alpha * D, 0) * D).sum() for sign in (-1, 1))
    if fixed:
        delta, zeta = delta.detach(), zeta.detach()
    (repel,) = torch.autograd.grad((delta - D).relu().square().mean(), D, retain_graph=True)
    (attract,) = torch.autograd.grad((D - zeta).relu().square().mean(), D)
    return [repel[D.argmin()].item(), attract[D.argmax()].item()]


CLOUDS = {
    "plane, σ = 1": gaussian(n_tokens, 2, 1.0),
    "plane, σ = 0.02": gaussian(n_tokens, 2, 0.02),
    f"{dimension} dimensions, σ = 0.02": gaussian(n_tokens, dimension, 0.02),
}
columns = ["α · std D", "repel, fixed", "attract, fixed", "repel, as it is", "attract, as it is"]
all_distances = [torch.pdist(points) for points in CLOUDS.values()]
rows = [[alpha * D.std().item(), *extreme_slopes(D, True), *extreme_slopes(D, False)] for D in all_distances]
slopes = pd.DataFrame(rows, index=list(CLOUDS), columns=columns)
slopes.style.format("{:.2g}")

# %% tags=["hide-input"]
turned = [
    f"{cloud} ({name})"
    for name, sign in (("repel", -1), ("attract", 1))
    for cloud in CLOUDS
    if sign * slopes.loc[cloud, f"{name}, as it is"] < 0
]
display(
    Markdown(
        "With fixed thresholds every sign is as the names say: negative to repel, positive to attract. With "
        f"thresholds that follow the distances, the sign turns for: {'; '.join(turned) or 'none of them'}. "
        "Where α · std D is large, few pairs carry the soft extremes; where it is small, the weights are "
        "nearly equal."
    )
)

# %% [markdown]
# ## What TSLoss alone does to a cloud
#
# When is the loss {eq}`eq-hand-loss` zero? $\delta$ is a weighted mean of the distances with positive
# weights. Unless all distances are equal it is larger than the smallest of them, and then
# $L_{\mathrm{repel}} > 0$. If all distances are equal, all terms vanish. So:
#
# ```{admonition} Where the off-diagonal loss vanishes
# :class: important
# With positive weights, $L_{ts} = 0$ **if and only if all $n(n-1)/2$ distances are equal**: the points are
# the corners of a {term}`regular simplex`, of any size, or all in one place. A regular simplex with $n$
# corners needs $d \ge n - 1$ dimensions; in the plane, more than three points can only have loss 0 in one
# place.
# ```
#
# In terms of the last chapter: in a regular simplex all points merge at one scale, and at the same scale
# everything is filled. All $n - 1$ finite $H_0$ bars are equally long, there is no loop, and the persistence
# entropy is $\ln(n - 1)$, the largest value that these bars can have.
#
# That says where descent may end, not that it gets there. We minimise with Adam (the paper's optimiser, here
# without weight decay) in steps of two per cent of the cloud's $\sigma$, from the three clouds of the last
# table: a large and a small one in the plane, and one like an untrained prompt, with the paper's
# $\sigma = 0.02$ in many dimensions.


# %%
LOSSES = {
    "off-diagonal": VARIANTS["off-diagonal"],
    "off-diagonal, H0 term alone": TSLoss(tau=tau, alpha=alpha, beta_h1=0),
    "off-diagonal, hinges alone": TSLoss(tau=tau, alpha=alpha, beta_h0=0),
    "printed": VARIANTS["printed"],
}
paths = {(cloud, name): descend(CLOUDS[cloud], loss, steps) for cloud in CLOUDS for name, loss in LOSSES.items()}
large, small, prompt = ((cloud, "off-diagonal") for cloud in CLOUDS)

# %% tags=["hide-input"]
figure, axes = plt.subplots(1, 2, figsize=(7, 3.7))
for ax, key in zip(axes, (large, small), strict=True):
    plots.trajectories(paths[key].numpy(), ax)
plt.show()


# %% tags=["hide-input"]
def shape(path):
    """What a descent ended as; points closer than 1 % of the largest distance are one group."""
    start, end = torch.pdist(path[0]), torch.pdist(path[-1])
    if end.max() < 0.01 * start.max():
        return "nearly one place"
    if end.max() < 1.01 * end.min():
        return "a regular simplex (to 1 %)"
    groups = 1 + (persistence_diagrams(path[-1].numpy())[0][:-1, 1] > 0.01 * end.max().item()).sum()
    return f"{groups} separate points or groups"


change = [f"{torch.pdist(paths[key][-1]).mean() / torch.pdist(paths[key][0]).mean():.3g}" for key in (large, small)]
display(
    Markdown(
        f"The large cloud (left) ends as {shape(paths[large])}, its mean distance {change[0]} times what it "
        f"was; the small one (right) ends as {shape(paths[small])}, its mean distance {change[1]} times what "
        "it was. The two start as the same picture in different units, but τ and α are in units of distance: "
        "what the loss does depends on size."
    )
)

# %%
every = max(steps // 100, 1)
path = paths[prompt][::every]
at = np.arange(0, steps + 1, every)
distances = np.stack([torch.pdist(points).numpy() for points in path])
summaries = [summarize(persistence_diagrams(points.numpy())) for points in path]
spectra = {
    f"step {step}": torch.linalg.svdvals(points - points.mean(0)).numpy()[: n_tokens - 1]
    for step, points in ((at[0], path[0]), (at[-1], path[-1]))
}

# %% tags=["hide-input"]
figure, axes = plt.subplots(2, 2, figsize=(7, 4.8))
plots.distance_range(at, distances, axes[0, 0])
plots.singular_values(spectra, axes[0, 1])
plots.feature_counts(at, summaries, axes[1, 0])
plots.longest_loops(at, summaries, axes[1, 1])
plt.show()

# %% tags=["hide-input"]
ratio = distances.max(axis=1) / distances.min(axis=1)
first, last = spectra.values()
most = int(np.argmax([summary.h1_count for summary in summaries]))
peak, start, end = summaries[most], summaries[0], summaries[-1]
display(
    Markdown(
        f"In {dimension} dimensions the largest distance goes from {ratio[0]:.3f} to {ratio[-1]:.3f} times "
        "the smallest, while the mean changes by "
        f"{100 * (distances[-1].mean() / distances[0].mean() - 1):+.1f} %; the largest singular value goes "
        f"from {first[0] / first[-1]:.3f} to {last[0] / last[-1]:.3f} times the smallest. The cloud ends as "
        f"{shape(path)}. The number of H1 bars goes from {start.h1_count} to {peak.h1_count} at step "
        f"{at[most]} and {end.h1_count} at the end, while the longest of them goes from "
        f"{start.h1_max_lifespan:.1e} to {peak.h1_max_lifespan:.1e} and {end.h1_max_lifespan:.1e}. There "
        f"are {end.h0_count} H0 bars throughout, and the entropy goes from {start.persistence_entropy:.3f} to "
        f"{end.persistence_entropy:.3f}, with ln(n - 1) = {math.log(n_tokens - 1):.3f}."
    )
)

# %% [markdown]
# ```{admonition} Counts near a regular simplex are rounding
# :class: warning
# When all distances agree to seven digits, a loop shorter than that is an artefact of single precision, in
# which Ripser computes. A count of $H_1$ bars means little without their lengths.
# ```
#
# Which term does what? The same descents with the $H_0$ term alone, with the hinges alone, and with the loss
# as printed:


# %%
def end_row(path):
    start, end = torch.pdist(path[0]), torch.pdist(path[-1])
    loops = persistence_diagrams(path[-1].numpy())[1]
    return [start.mean().item(), end.min().item(), end.mean().item(), end.max().item(), len(loops), shape(path)]


columns = ["mean D, start", "min D, end", "mean D, end", "max D, end", "H1 bars, end", "ends as"]
ends = pd.DataFrame([end_row(path) for path in paths.values()], index=pd.MultiIndex.from_tuples(paths), columns=columns)
ends.style.format("{:.3g}", subset=columns[:4])


# %% tags=["hide-input"]
def ablation(cloud):
    """One sentence: how the descents of one cloud with a part of the loss end."""
    h0, hinges, printed = (ends.loc[(cloud, name)] for name in list(LOSSES)[1:])
    start = torch.pdist(CLOUDS[cloud]).min()
    return (
        f"- {cloud}: the H0 term alone ends as {h0['ends as']}, the hinges alone as {hinges['ends as']}, the "
        f"printed loss as {printed['ends as']}; the smallest distance goes from {start:.1e} to "
        f"{h0['min D, end']:.1e}, {hinges['min D, end']:.1e} and {printed['min D, end']:.1e}."
    )


display(Markdown("\n".join(map(ablation, CLOUDS))))

# %% [markdown]
# ## Printed against off-diagonal
#
# What does $D_{ii} = 0$ do to the printed loss? Three things follow from the equations.
#
# 1. Each sum in $s_i$ {eq}`eq-hand-h0` has the term $e^0 = 1$, so
#    $s_i = -\tau \log\big(1 + \sum_{j \ne i} e^{-D_{ij}/\tau}\big) \le 0$ for every cloud: the soft minimum
#    finds the point itself. A gradient remains, through the other terms, but where all $D_{ij} \gg \tau$ they
#    are negligible, all $s_i$ are 0, and $L_{H_0}$ is silent. (Without the diagonal $s_i$ can be negative as
#    well: if the $n - 1$ others are all at distance $D$, then $s_i = D - \tau \ln(n - 1)$.)
# 2. The soft minimum of all distances has $n$ entries of 0. If all others are $D$,
#
#    ```{math}
#    :label: eq-hand-delta-printed
#    \delta = D \, \frac{(n - 1) e^{-\alpha D}}{1 + (n - 1) e^{-\alpha D}},
#    ```
#
#    which goes to 0 exponentially as $\alpha D$ grows. No true pair is then closer than $\delta$, and
#    $L_{\mathrm{repel}} = \delta^2 / n$ comes from the diagonal alone.
# 3. Its gradient pulls $\delta$ to 0. By {eq}`eq-hand-flow` that means a larger distance for every pair with
#    $D_{ij} > \delta + 1/\alpha$: the term pushes everything apart, near and far, as long as it is felt at
#    all.
#
# The numbers at initialisation, $x_i \sim \mathcal{N}(0, 0.02^2 I_d)$. The last row pair multiplies the
# prompt by $\sqrt d$, as some models do with their embeddings.


# %%
def gradient_norm(term, points):
    return torch.autograd.grad(term, points, retain_graph=True)[0].norm().item()


def initial_row(points, loss):
    points = points.clone().requires_grad_()
    terms = loss.terms(points)
    row = {"min D": torch.pdist(points).min(), "largest s": terms["soft_nearest"].max()}
    row |= {name: terms[name] for name in ("delta", "zeta", "h0", "repel", "attract")}
    parts = {name: terms[name] for name in ("h0", "repel", "attract")} | {"L": loss(points)}
    norms = {f"|∇ {name}|": gradient_norm(part, points) for name, part in parts.items()}
    return {name: value.item() for name, value in row.items()} | norms


PROMPTS = {
    f"d = {dimension}": gaussian(n_tokens, dimension, 0.02),
    "d = 2048": gaussian(n_tokens, 2048, 0.02),
    "d = 2048, times √d": gaussian(n_tokens, 2048, 0.02 * math.sqrt(2048)),
}
rows = {
    (cloud, name): initial_row(points, loss) for cloud, points in PROMPTS.items() for name, loss in VARIANTS.items()
}
initial = pd.DataFrame(rows).T
values, norms = initial.iloc[:, :7], initial.iloc[:, 7:]
values.style.format("{:.2g}")

# %%
norms.style.format("{:.1e}")

# %% tags=["hide-input"]
share = initial.xs("printed", level=1) / initial.xs("off-diagonal", level=1)
lines = [
    f"- {cloud}: H0 {row['|∇ h0|']:.2g}, repel {row['|∇ repel|']:.2g}, attract {row['|∇ attract|']:.2g}, "
    f"whole loss {row['|∇ L|']:.2g}"
    for cloud, row in share.iterrows()
]
display(Markdown("Each gradient norm of the printed loss, divided by the off-diagonal one's:\n\n" + "\n".join(lines)))

# %% [markdown]
# With the repelling term as in point 3, a regular simplex is no resting place for the printed loss. A simplex
# of side $a$ has $L_{H_0} = 0$ and the loss depends on $a$ alone; the off-diagonal loss is 0 for each $a$.

# %%
sides = torch.linspace(0, 20 / alpha, 201)
corners_of_simplex = torch.eye(n_tokens) / math.sqrt(2)  # unit vectors are √2 apart
printed_terms = VARIANTS["printed"].terms(sides[:, None, None] * corners_of_simplex)
simplex_loss = printed_terms["h0"] + printed_terms["repel"] + printed_terms["attract"]
rising = simplex_loss.diff() > 0
assert (rising[:-1] >= rising[1:]).all()  # one hill: up, then down

# %% tags=["hide-input"]
figure, ax = plt.subplots(figsize=(7, 2.4))
ax.plot(sides, simplex_loss, color="black", label="printed")
ax.axhline(0, color="0.6", linestyle="--", label="off-diagonal")
ax.set(xlabel="side of a regular simplex (embedding units)", ylabel="TSLoss")
ax.legend()
plt.show()

# %% tags=["hide-input"]
top = sides[simplex_loss.argmax()].item()
printed, own = (ends.loc[(prompt[0], name)] for name in ("printed", "off-diagonal"))
display(
    Markdown(
        f"The printed loss is highest at a side of {top:.2f}: descent shrinks a smaller simplex and enlarges "
        f"a larger one, the more slowly the larger it is. The prompt in {dimension} dimensions starts with mean "
        f"distance {printed['mean D, start']:.2f}; in the descents above it goes to "
        f"{printed['mean D, end']:.2f} under the printed loss and to {own['mean D, end']:.2f} under the "
        "off-diagonal one."
    )
)

# %% [markdown]
# ## The thresholds in high dimension
#
# The paper calls $\delta$ and $\zeta$ soft quantiles that tend to hard ones as $\alpha \to \infty$; by
# {eq}`eq-hand-thresholds` the limits are the smallest and the largest distance. For small $\alpha$ the
# weights are nearly equal, and both are close to the mean. An expansion in $\alpha$ says how close:
#
# ```{math}
# :label: eq-hand-small-alpha
# \delta = \bar D - \alpha \operatorname{Var} D + O(\alpha^2), \qquad
# \zeta = \bar D + \alpha \operatorname{Var} D + O(\alpha^2) .
# ```
#
# For a Gaussian cloud in many dimensions $\operatorname{std} D \approx \sigma$, whatever $d$
# ({eq}`eq-ph-concentration`).
# The two thresholds then lie about $\alpha \sigma$ standard deviations off the mean, which is 0.2 for
# $\alpha = 10$ and $\sigma = 0.02$. A soft minimum that deserves the name needs $\alpha \gg 1 / \sigma = 50$.
# If $\delta$ and $\zeta$ were the mean exactly, the two hinges would add up to
# $\langle (D - \bar D)^2 \rangle$, the variance of the distances.
#
# `TSLoss(normalize=True)` divides the distances by their mean first, so that the same $\tau$ and $\alpha$
# mean the same for prompts of every size. The spread is then $1/\sqrt{2d}$, and the thresholds lie
# $\alpha/\sqrt{2d}$ standard deviations off the mean: 0.29 for $\alpha = 10$ and $d = 576$. The figures below
# are for the loss without it.


# %%
def threshold_row(points):
    D, row = torch.pdist(points), {"dimension": points.shape[1]}
    row |= {"min": D.min() / D.mean(), "max": D.max() / D.mean()}
    for loss, suffix in ((VARIANTS["off-diagonal"], ""), (VARIANTS["printed"], "_printed")):
        terms = loss.terms(points)
        row |= {f"{name}{suffix}": terms[name] / D.mean() for name in ("delta", "zeta")}
        row[f"repel{suffix}"] = (terms["delta"] > D).double().mean()
        row[f"attract{suffix}"] = (terms["zeta"] < D).double().mean()
    return {name: float(value) for name, value in row.items()}


powers = [2**k for k in range(1, 13)]
by_dimension = pd.DataFrame(
    [threshold_row(gaussian(n_tokens, d, 0.02, seed + repeat)) for d in powers for repeat in range(10)]
)

# %% tags=["hide-input"]
figure, (top_ax, bottom_ax) = plt.subplots(2, 1, figsize=(7, 5.4), sharex=True)
plots.thresholds(by_dimension, top_ax)
plots.active_hinges(by_dimension, bottom_ax)
top_ax.label_outer()
plt.show()


# %% tags=["hide-input"]
def correlation(a, b):
    return torch.corrcoef(torch.stack([a, b]))[0, 1].item()


points = PROMPTS[f"d = {dimension}"]
terms = VARIANTS["off-diagonal"].terms(points)
delta, zeta, s = terms["delta"], terms["zeta"], terms["soft_nearest"]
D, matrix = torch.pdist(points), torch.cdist(points, points)
nearest, mean = (matrix + 1e9 * torch.eye(n_tokens)).amin(1), matrix.sum(1) / (n_tokens - 1)
low, below, above, high = ((value - D.mean()) / D.std() for value in (D.min(), delta, zeta, D.max()))
display(
    Markdown(
        f"In {dimension} dimensions δ lies {below:+.2f} and ζ {above:+.2f} standard deviations off the mean, "
        f"the true extremes {low:+.1f} and {high:+.1f}. The off-diagonal hinges are active for "
        f"{100 * (delta > D).double().mean():.0f} % (repel) and {100 * (zeta < D).double().mean():.0f} % "
        "(attract) of the pairs, and add up to "
        f"{(terms['repel'] + terms['attract']) / D.var(correction=0):.2f} times the variance of the distances. "
        f"The soft nearest distance has a correlation of {correlation(s, mean):.3f} with a token's mean "
        f"distance to the others, and of {correlation(s, nearest):.3f} with the distance to its nearest one."
    )
)

# %% [markdown]
# ## What to remember
#
# - TSLoss is a function of the pairwise distances alone: it is a geometric penalty, and no homology is
#   computed in it.
# - The off-diagonal loss vanishes exactly where all distances are equal. In a space with at least $n - 1$
#   dimensions that is a regular simplex of any size; in fewer, the collapse into one place.
# - A regular simplex has $n - 1$ equal $H_0$ bars, no $H_1$ bar, and the largest entropy that its bars allow.
# - $\tau$ and $\alpha$ have units of distance and its inverse: the same settings mean different losses for
#   prompts of different size. As $\alpha \sigma \to 0$ both thresholds tend to the mean distance
#   ({eq}`eq-hand-small-alpha`), and the two hinges together to the variance of the distances.
# - Gradients flow through the thresholds, so that a hinge can act against its name.
# - As printed, with $D_{ii} = 0$, all $s_i \le 0$, and where $\alpha D \gg 1$ the soft minimum is near 0, the
#   distance of a point from itself ({eq}`eq-hand-delta-printed`): no true pair is repelled for being close.
