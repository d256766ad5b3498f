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
# # A first run, four points, and all notebooks
#
# This page tunes one soft prompt of a small real model, live and in less than a minute, shows its loss and its
# topology, puts TSLoss on four points, and lists the other notebooks with links that open them. In JupyterLab choose
# *Run*, *Run All Cells*, or go from cell to cell with Shift+Enter.

# %% [markdown] tags=["finding"]
# Each notebook is one experiment: all its parameters stand in one cell, it runs from the first cell to the last on a
# laptop, and what it says is computed from the runs that it makes or from the records in `data/results`.

# %%
import matplotlib.pyplot as plt
import pandas as pd
import torch
from IPython.display import Markdown, display

from tslib import TSLoss
from tslib.config import TuneConfig
from tslib.runs.store import RunStore
from tslib.study import parameters, plots
from tslib.study.book import notebooks
from tslib.study.report import runs as report
from tslib.study.report import training as report_training

plots.style()

# %% [markdown]
# Change a value below and run all cells again; `python -m tslib tune --help` says what values there are.

# %% tags=["parameters"]
model = "smollm2-135m"
task = "gsm-symbolic"
regularizer = "tsloss"
weight = 1.0
seed = 0
max_steps = 15
topology_every = 5  # steps between two looks at the topology
points = [[0.0, 0.0], [1.0, 0.0], [2.0, 1.0], [0.0, 1.0]]  # four points of the plane
store = "runs"
device = "auto"  # cuda, then mps, then cpu
dtype = "float32"
lr = None  # None: the preset's
n_tokens = 20
settings = {}  # any other fields of a run, such as {"init": "vocabulary"}

# %% [markdown]
# ## One run
#
# Vectors are learnt that stand before one maths problem, so that the frozen model gives its solution. A run that was
# made before with the same parameters is read from the folder `runs`, not made again.

# %% tags=["remove-stderr"]
config = TuneConfig(**parameters.fields(globals(), answer_every=0))
record = RunStore(parameters.folder(store)).get_or_run(config)
print(report.run_table(record))

# %% tags=["hide-input"]
figure = plots.losses({config.regularizer: [record]})
plt.show()
display(Markdown(report_training.read_loss(record.steps, "cross_entropy")))

# %% [markdown]
# ## Its topology
#
# The vectors are points. Grow a ball around each: components merge ($H_0$), loops open and close ($H_1$), and
# every feature is a bar from its birth to its death. [Persistent homology](00_persistent_homology.ipynb) takes ten
# minutes to learn.

# %% tags=["hide-input"]
figure = plots.first_and_last(record.diagrams)
plt.show()
display(Markdown(report.read_diagrams(record.diagrams)))

# %% [markdown]
# ## TSLoss on four points
#
# The regulariser sees nothing but distances. Here are its parts on four points of the plane, and where descent on
# their sum would take each point. [TSLoss by hand](01_tsloss_by_hand.ipynb) checks such numbers with pencil and paper.

# %%
cloud = torch.tensor(points, requires_grad=True)
loss = TSLoss()
loss(cloud).backward()
parts = {name: part.item() for name, part in loss.terms(cloud).items() if part.ndim == 0}
pd.DataFrame({"value": parts | {"TSLoss": loss(cloud).item()}}).style.format("{:.4g}")

# %% tags=["hide-input"]
figure, ax = plt.subplots(figsize=(4, 3))
plots.gradient_arrows(cloud.detach().numpy(), cloud.grad.numpy(), ax)
plt.show()
longest = cloud.grad.norm(dim=1).max()
display(Markdown(f"Arrows are minus the gradient, not to scale: the longest is {longest:.2g} long."))

# %% [markdown]
# ## The other notebooks
#
# A link opens the notebook. Each can be run with other parameters without being opened, too:
# `papermill notebooks/03_convergence.ipynb out.ipynb -p max_steps 50`. Besides their own, most of them take `model`,
# `task`, `store`, `device`, `dtype`, `lr`, `n_tokens` and `settings`.

# %% tags=["hide-input"]
display(Markdown(notebooks.table(notebooks.read())))
