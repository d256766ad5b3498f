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
# # How does the structure of a soft prompt evolve?
#
# The paper follows the persistent homology of a soft prompt while it is trained, and reads in it that loops vanish,
# components grow longer and entropy falls. This chapter first repeats that on one run, tuned here and now: at each
# {term}`checkpoint` it computes the exact persistent homology of the prompt's $n$ rows. Then come many committed runs,
# each beside a {term}`twin` that moves as far in random directions: what the twin does too says nothing about what was
# learnt.

# %%
import matplotlib.pyplot as plt
from IPython.display import Markdown, display

from tslib.config import TuneConfig
from tslib.runs.store import RunStore
from tslib.study import parameters, plots
from tslib.study.evidence import Evidence
from tslib.study.names import task_name
from tslib.study.plots import interactive
from tslib.study.report import findings as report_findings
from tslib.study.report import runs as report
from tslib.study.report import structure as report_structure

plots.style()
evidence = Evidence()

# %% tags=["finding"]
display(Markdown(report_findings.structure(evidence)))

# %% [markdown]
# The parameters below can be changed with papermill, for instance
# `papermill notebooks/02_structural_evolution.ipynb out.ipynb -p regularizer tsloss -p max_steps 300`.

# %% tags=["parameters"]
model = "smollm2-135m"
task = "gsm-symbolic"
samples = 1
sample_seed = 0
seed = 0
regularizer = "none"
weight = 1.0
max_steps = 30
topology_every = 3
store = "runs"
device = "auto"  # cuda, then mps, then cpu
dtype = "float32"
lr = None  # None: the preset's
n_tokens = 20
settings = {}  # any other fields of a run, such as {"init": "vocabulary"}

# %% [markdown]
# The run goes on to the last step even if the prompt is correct before, so that there is something to watch.

# %% tags=["remove-stderr"]
config = TuneConfig(**parameters.fields(globals(), answer_every=0, stop_when_correct=False))
record = RunStore(parameters.folder(store)).get_or_run(config, prompts=True)
print(report.run_table(record))

# %% [markdown]
# ## Counts, lifespans, entropy, density
#
# The four panels are those of the paper's Figures 2c, 2a, 3b and 3a: the number of features in $H_0$ and $H_1$, their
# mean lifespans, the persistence entropy ({eq}`eq-ph-entropy`, in nats; its largest value is the logarithm of the
# number of finite bars), and the {term}`density`, which the paper does not define: ours is $n$, or the number of loops,
# over the mean distance.

# %% tags=["hide-input"]
figure = plots.evolution(record.topology)
plt.show()
settings = report_structure.by_setting(evidence)
curves = settings["one sample"]
said = [report.read_evolution(record.topology), report_structure.read_opening(record.topology, curves)]
display(Markdown(" ".join(said)))

# %% [markdown]
# The number of $H_0$ features cannot change: $n$ distinct points give $n$ bars whatever their arrangement
# ({doc}`00_persistent_homology`). It is drawn because the paper draws it.
#
# ## Barcodes and diagrams
#
# Figures 2b and 2d of the paper overlay the diagrams and barcodes of all checkpoints; here are the first and the last.

# %% tags=["hide-input"]
figure = plots.first_and_last(record.diagrams)
plt.show()
display(Markdown(report.read_diagrams(record.diagrams)))

# %% [markdown]
# All checkpoints of the live run; move the slider, or play it. The axes stand still, so that what moves is the prompt.

# %% tags=["hide-input"]
display(interactive.film(record.prompts, record.diagrams))
display(Markdown(report_structure.read_film(record.prompts)))

# %% [markdown]
# ## Is the structure stable?
#
# The paper says that "topologically stable" prompts perform better, and does not define the word. Taken as a small
# {term}`distance between the diagrams <diagram distance>` of successive checkpoints, stability can be measured.

# %% tags=["hide-input"]
figure = plots.stability(record.topology)
plt.show()
display(Markdown(report.read_stability(record)))

# %% [markdown]
# ## Over many runs, beside a random twin
#
# Each committed run of cross-entropy alone has a twin: from the same initial prompt, each token moves at each
# checkpoint as far as the prompt's own token, in a random direction. The paper's Figure 19 averages over its data sets;
# here are means over runs with 95 % intervals; the dashed lines are the twins. A run that ends when it is correct has
# no later checkpoints, so the means at late steps are over fewer runs.

# %% tags=["hide-input"]
figure = plots.bands(settings)
plt.show()
display(Markdown(report_structure.read_bands(settings)))

# %% [markdown]
# The same curves with their values (hover, or tap a point), one quantity at a time:

# %% tags=["hide-input"]
interactive.curves(settings)

# %% [markdown]
# How steadily does each quantity go up or down? {term}`Spearman's ρ` with the step, per run (+1: always up), over the
# runs that have at least six checkpoints:

# %% tags=["hide-input"]
report_structure.drifts(curves).style.hide(axis="index")

# %% [markdown]
# ### By data set
#
# The paper's Figures 7–18 show each data set. Below: the number of $H_1$ features and the persistence entropy.

# %% tags=["hide-input"]
quantities = {name: plots.QUANTITIES[name] for name in ("h1_count", "persistence_entropy")}
datasets = report_structure.by_dataset(evidence)
for count in (1, 10):
    shown = {task_name(task): table for (task, samples), table in datasets.items() if samples == count}
    if shown:
        figure = plots.bands(shown, quantities)
        plt.show()
        title = "one sample" if count == 1 else f"{count} samples"
        display(
            Markdown(f"Runs of {title}, by data set: means with 95 % intervals; the dashed lines are the random twins.")
        )

# %% [markdown]
# ## The paper's Table 2: does topology go with accuracy?
#
# The paper correlates topological features with accuracy over the checkpoints and finds ρ = 0.866 for the mean $H_0$
# lifespan. What that table is of can be read from its own numbers ({py:func}`tslib.study.paper.rho_of_groups`), though
# not known:

# %% tags=["hide-input"]
display(Markdown(report_structure.read_papers_table2()))

# %% [markdown]
# So here is, for our runs that go on to the last step, the ρ of each feature with the half of the run that a checkpoint
# is in, per run ({py:func}`tslib.study.structure.with_half`), and that of the random twins:

# %% tags=["hide-input"]
halves = report_structure.by_halves(evidence)
display(report_structure.words_by_halves(halves).style.hide(axis="index"))
display(Markdown(report_structure.read_by_halves(halves)))

# %% [markdown]
# Accuracy rises with the step, and goes with anything that drifts; and tasks differ in both, so that runs of several
# tasks taken together may show the opposite of each task (Simpson's paradox). So beside the ρ of all runs together
# stand that within tasks ({py:func}`tslib.study.structure.within`), the {term}`partial correlation` given the step, and
# what is left with task and step taken out: each run beside others of its task at the same step
# ({py:func}`tslib.study.structure.beside`). The last two rows are controls: the lifespan of the random twin, which
# learns nothing, and the length of tokens, which is no topology. Accuracy here is the share of target tokens that are
# the most probable one, since the share of samples that are exact is 0 until the end of a run of one sample;
# [the verdict](09_verdicts) is by the latter, over runs that go on to step 300. Intervals are over runs.

# %% tags=["hide-input"]
table = report_structure.table2(curves)
report_structure.words(table).style.hide(axis="index")

# %% tags=["hide-input"]
figure = plots.correlations(table)
plt.show()
display(Markdown(report_structure.read_table2(table)))

# %% [markdown]
# Are the relations monotone, as Spearman's ρ supposes? Then accuracy rises or falls from each bin of a feature to the
# next:

# %% tags=["hide-input"]
figure = plots.binned(curves, report_structure.BINNED)
plt.show()
said = "Accuracy by bins of a feature, over the checkpoints of all runs, with 95 % intervals over runs."
display(Markdown(f"{said} {report_structure.read_binned(curves, report_structure.BINNED)}"))
