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
# # Is it topology?
#
# If TSLoss helps, is it because of topology, or would any pull on the prompt do? Each {term}`regulariser` below is
# put in its place, on the same samples, from the same initial prompts, at the same learning rate: the L2 norm and the
# pairwise distance, which know nothing of topology; parts of TSLoss; exact persistent homology; and a random
# direction as long as TSLoss's gradient, which knows nothing at all.

# %%
import matplotlib.pyplot as plt
from IPython.display import Markdown, display

from tslib.runs.store import RunStore
from tslib.runs.sweeps import Grid
from tslib.study import parameters, plots
from tslib.study.evidence import Evidence, stacked
from tslib.study.names import method_name, task_name
from tslib.study.report import evidence as report_evidence
from tslib.study.report import findings as report_findings
from tslib.study.report import rates as report_rates
from tslib.study.report import runs as report

plots.style()
evidence = Evidence()

# %% tags=["finding"]
display(Markdown(report_findings.baselines(evidence)))

# %% [markdown]
# ## Committed: one problem of GSM8K, one question of MMLU
#
# Every method on the same pairs. Below 1 a method needs fewer iterations than cross-entropy alone. p-values of the
# {term}`sign-flip test <sign flips>` are {term}`Holm-corrected <Holm correction>` over the methods.

# %% tags=["hide-input"]
for name in ("gsm8k", "mmlu"):
    display(Markdown(f"**{task_name(name)}**"))
    display(Markdown(report_evidence.not_there(evidence, f"one sample, {name}, SmolLM2", f"baselines, {name}")))
    comparison = report_evidence.baselines(evidence, name)
    if len(comparison):
        display(report.method_table(comparison).style.hide(axis="index"))
        figure = plots.ratios(comparison)
        plt.show()
        display(Markdown(report_evidence.read_baselines(comparison)))

# %% [markdown]
# ## Each method at its own best rate
#
# All methods above use the rate that suits cross-entropy alone. Might a regulariser prefer another? On the three
# pairs that chose that rate, with the frozen model in bfloat16; in brackets runs that were censored or diverged, where
# there were any:

# %% tags=["hide-input"]
display(Markdown(report_evidence.not_there(evidence, "own rates, gsm8k")))
display(report_rates.own_rates(evidence).style.hide(axis="index"))
display(Markdown(report_rates.read_own_rates(evidence)))

# %% [markdown]
# ## Exact homology, and weights that adapt
#
# Losses of exact homology are older than TSLoss: topological autoencoders {cite}`moor2020topological` and RTD-AE
# {cite}`trofimov2023rtd` keep the topology of their data, of which a soft prompt has none. Here `persistence`
# ({py:class}`tslib.losses.persistence.PersistencePenalty`) is the sum of the lifespans of $H_0$ and $H_1$ itself,
# differentiated through the edges that make them, where TSLoss only resembles it. `tsloss-adaptive` sets λ at each step
# so that the regulariser's gradient is as long as the cross-entropy's. The frozen model is in bfloat16, with all
# methods of this table.

# %% tags=["hide-input"]
display(Markdown(report_evidence.not_there(evidence, "exact and adaptive")))
exact = evidence.paired("sensitivity, defaults", "exact and adaptive")
exact = report_evidence.compared(exact)
exact.style.hide(axis="index")

# %% [markdown]
# ## Live: four ways to pull
#
# The live runs' parameters can be changed with papermill, for instance `papermill notebooks/05_baselines.ipynb
# out.ipynb -p task gsm8k -p max_steps 300`.

# %% tags=["parameters"]
model = "smollm2-135m"
task = "gsm-symbolic"
regularizers = ["none", "tsloss", "l2", "random-direction"]
weight = 1.0
pairs = 1
max_steps = 6
preset = "tuned"
store = "runs"
device = "auto"  # cuda, then mps, then cpu
dtype = "float32"
lr = None  # None: the preset's
n_tokens = 20
settings = {}  # any other fields of a run, such as {"init": "vocabulary"}

# %% tags=["remove-stderr"]
fields = parameters.fields(globals(), "regularizer", "sample_seed", "seed", topology_every=3, answer_every=0)
fields |= {"regularizer": regularizers}
configs = Grid(name="live", fields=fields, pairs=[(seed, seed) for seed in range(pairs)]).configs()
records = [RunStore(parameters.folder(store)).get_or_run(config) for config in configs]

# %% tags=["hide-input"]
loss = {"cross_entropy": "cross-entropy (nats per token)"}
figure = plots.by_method(stacked(records, "steps"), loss)
plt.show()
said = "The loss that is to be minimised, by what is added to it."
display(Markdown(f"{said} {report.read_ends(stacked(records, 'steps'), loss)}"))

# %% tags=["hide-input"]
pulling = {name: [r for r in records if r.config.regularizer == name] for name in regularizers if name != "none"}
figure = plots.gradients(pulling)
plt.show()
said = [f"{method_name(name)}: {report.read_gradients(runs)}" for name, runs in pulling.items()]
display(Markdown(" ".join(said)))

# %% tags=["hide-input"]
of_prompt = {"mean_distance": "mean distance of two tokens", "mean_norm": "mean norm of a token"}
figure = plots.by_method(stacked(records, "topology"), of_prompt)
plt.show()
said = "What a pull does to the cloud of tokens: how far they are from each other, and how long they are."
display(Markdown(f"{said} {report.read_ends(stacked(records, 'topology'), of_prompt)}"))
