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
# # What does make it fast?
#
# No regulariser of this book saves iterations. What does? Where the prompt starts, how soon the rate is there, how long
# the prompt is. A recipe is to be put together from these: chosen on ten problems that decide nothing else, and judged
# on tasks and a model that play no part in the choice. Both rules were [written down](../claims) before the runs.

# %%
import matplotlib.pyplot as plt
from IPython.display import Markdown, display

from tslib import load_model
from tslib.config import TuneConfig
from tslib.runs.store import RunStore
from tslib.study import parameters, plots
from tslib.study.claims.recipe import ELSEWHERE, FACTORS, ON_TOP, RECIPE, TOGETHER, declared, judged, on_top, searched
from tslib.study.evidence import Evidence
from tslib.study.report import recipe as report_recipe
from tslib.study.report import sceptic as report_sceptic
from tslib.study.report import settings as report_settings
from tslib.study.report.evidence import not_there
from tslib.study.starts import lengths_at_start

plots.style()
evidence = Evidence()

# %% [markdown]
# On your own problem, for instance: `papermill notebooks/14_recipe.ipynb out.ipynb -p task gsm8k -p max_steps 300`.

# %% tags=["parameters"]
model = "smollm2-135m"
task = "gsm-symbolic"
sample_seed = 0
seed = 0
max_steps = 25
presets = ["tuned", "fast"]
store = "runs"
device = "auto"  # cuda, then mps, then cpu
dtype = "float32"
lr = None  # None: the preset's
n_tokens = 20
settings = {}  # any other fields of a run, for all presets

# %% tags=["finding"]
display(Markdown(report_recipe.finding(evidence, Evidence(RECIPE))))

# %% [markdown]
# ## Noise is far from words
#
# A model has only ever seen the embeddings of its tokens. The paper's start is a Gaussian with a deviation of 0.02. How
# long are its tokens, and those of other starts, beside the tokens that the model knows?

# %% tags=["remove-stderr"]
loaded = load_model(model, device="cpu", dtype="float32")
lengths, vocabulary = lengths_at_start(*loaded, n_tokens=n_tokens, seed=seed)

# %% tags=["hide-input"]
figure = plots.starts({report_recipe.STARTS[name]: lengths[name] for name in lengths}, vocabulary)
plt.show()
display(Markdown(report_recipe.read_starts(lengths, vocabulary)))

# %% [markdown]
# ## What the first runs say
#
# Runs with cross-entropy alone that start otherwise, or with a prompt of another length, against the default, on the
# same problems. They were made for another question, and are what the search began from.

# %% tags=["hide-input"]
alone = report_settings.by_itself(evidence)
figure = plots.forest(report_recipe.labelled_alone(alone), against="20 tokens of noise")
plt.show()
display(Markdown(report_settings.read_by_itself(alone)))

# %% [markdown]
# ## One problem, live
#
# The preset `tuned` is the setting of the chapters before: noise, and a rate that rises for a tenth of the steps. The
# preset `fast` has what trials on three problems spoke for: words of the vocabulary to begin with, 5 steps of warm-up,
# $\beta_2 = 0.95$, no weight decay, and a rate of 0.2 times the size of the embeddings:

# %% tags=["remove-stderr"]
fields = parameters.fields(globals(), "preset", answer_every=0, topology_every=5)
runs = RunStore(parameters.folder(store))
records = {preset: runs.get_or_run(TuneConfig(**fields, preset=preset)) for preset in presets}

# %% tags=["hide-input"]
figure = plots.step_by_step(records)
plt.show()
display(Markdown(report_recipe.read_runs(records)))

# %% [markdown]
# ## The search
#
# One thing at a time is changed in the setting of the trials, on ten problems of GSM8K. What counts is the work:
# iterations times the positions of a step, since a longer prompt makes a step longer. Best first:

# %% tags=["hide-input"]
second = Evidence(RECIPE)
found = searched(second, FACTORS)
if found:
    figure = plots.forest(report_recipe.labelled(found), against="the preset tuned")
    plt.show()
    display(report_recipe.table(found).style.hide(axis="index"))
display(Markdown(not_there(second, FACTORS)))

# %% [markdown]
# The few best changes are then put together, on the same problems and on ten of MMLU. The recipe is the best of these
# on GSM8K that is also faster on MMLU.

# %% tags=["hide-input"]
together = declared(second, TOGETHER, ELSEWHERE)
display(Markdown(report_recipe.read_chosen(second) or "*No recipe has been chosen yet.*"))
if together and not second.missing(FACTORS, *together):
    display(report_recipe.table(searched(second, FACTORS, TOGETHER)).style.hide(axis="index"))

# %% [markdown]
# ## Judged where no choice was made
#
# The recipe against the preset `tuned`, on ten new pairs each of MATH, BIG-Bench Hard, HotpotQA and LongBench, and on
# GSM8K with Gemma-3-270M:

# %% tags=["hide-input"]
rows = judged(second)
if len(rows):
    figure = plots.forest(report_recipe.labelled_judged(rows), against="the preset tuned")
    plt.show()
    display(report_recipe.table_judged(rows).style.hide(axis="index"))
display(Markdown(report_recipe.read_judged(rows) or "*These runs are made once the recipe is chosen.*"))

# %% [markdown]
# ## TSLoss on top of it
#
# The fair test of a regulariser is what it adds to a good baseline. Here TSLoss is held against cross-entropy alone,
# both with the recipe, on thirty pairs of GSM8K that no choice saw:

# %% tags=["hide-input"]
rows = on_top(second)
if len(rows):
    plots.forest(report_sceptic.labelled(rows))
    plt.show()
    display(report_sceptic.table(rows, ON_TOP).style.hide(axis="index"))
display(Markdown(report_sceptic.read(rows) if len(rows) else "*These runs, too, are made once the recipe is chosen.*"))

# %% [markdown]
# ## With PEFT
#
# {py:func}`tslib.interop.recipe.recipe` gives the preset's start and optimiser as PEFT's and the Trainer's settings;
# {doc}`10_your_own_training` has the lines.
