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
# # Does topology cause accuracy?
#
# The paper finds that topological features go with accuracy, and concludes that they matter. Anything that drifts goes
# with accuracy while a prompt is trained. {doc}`02_structural_evolution` takes the step out of the correlation; here
# the features are *moved*: a regulariser pushes one quantity up or down while the cross-entropy is minimised as ever.
# If the quantity causes accuracy, pushing it one way should help and the other way hurt. Which way is not agreed upon:
# where the paper reads a falling entropy as progress, {cite:t}`kudriashov2025shrink` *raise* the persistence entropy of
# a model's representations in fine-tuning, and report that it helps.

# %%
import matplotlib.pyplot as plt
from IPython.display import Markdown, display

from tslib.runs.store import RunStore
from tslib.study import parameters, plots
from tslib.study.claims import choices
from tslib.study.claims.sceptic import SCEPTIC
from tslib.study.evidence import Evidence, stacked
from tslib.study.experiments import paired
from tslib.study.report import choices as report_choices
from tslib.study.report import evidence as report_evidence
from tslib.study.report import findings as report_findings
from tslib.study.report import runs as report
from tslib.study.report import structure as report_structure

plots.style()
evidence = Evidence()

# %% tags=["finding"]
display(Markdown(report_findings.causation(evidence)))

# %% [markdown]
# ## Committed: held-out accuracy under each push
#
# Prompts are tuned on ten MMLU questions for 300 steps, in five pairs, and tested on 100 held-out questions.
# Differences are paired: a push less cross-entropy alone. If the quantity caused accuracy, pushing it up and pushing it
# down would move accuracy in opposite directions. {term}`Answer loss <answer loss>` is the finer measure.

# %% tags=["hide-input"]
display(Markdown(report_evidence.not_there(evidence, report_evidence.MEASURED, *report_evidence.PUSHES)))
pushed = report_evidence.interventions(evidence)
pushed.style.hide(axis="index")

# %% [markdown]
# Those on $H_1$ and the entropy were declared with the frozen model in bfloat16, and then [in float32](../claims):

# %% tags=["hide-input"]
second = Evidence(SCEPTIC)
display(Markdown(report_choices.read_pushes(second)))
if len(in_float32 := choices.pushes(second)):
    display(report_choices.push_table(in_float32).style.hide(axis="index"))

# %% [markdown]
# ## Company: between runs at one and the same step
#
# Runs with a longer $H_0$, more loops or a lower entropy than other runs *at the same step*: are they more accurate?
# Training time is the same for all, so it cannot make the correlation. Tasks can, since they differ in both: colours
# are tasks. ρ has task and step taken out, over all checkpoints ({py:func}`tslib.study.structure.beside`).

# %% tags=["hide-input"]
curves = report_structure.by_setting(evidence)["one sample"]
figure = plots.scatter_at(curves, ["h0_mean_lifespan", "persistence_entropy", "h1_count"], report_structure.STEP)
plt.show()
table = report_structure.table2(curves)
display(Markdown(report_structure.read_table2(table)))

# %% [markdown]
# ## Live: pushing $H_0$
#
# A {term}`push` is {py:class}`tslib.losses.persistence.Push`: `push-h0-up` lengthens the $H_0$ bars and `push-h0-down`
# shortens them; `push-h1-…` and `push-entropy-…` do so with the $H_1$ bars and the entropy. The live runs' parameters
# can be changed with papermill, for instance
# `papermill notebooks/07_causation.ipynb out.ipynb -p task gsm8k -p max_steps 300`.

# %% tags=["parameters"]
model = "smollm2-135m"
task = "gsm-symbolic"
regularizers = ["none", "push-h0-up", "push-h0-down"]
weight = 1.0
seed = 0
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
configs = paired(regularizers, sample_seeds=[seed], seeds=[seed], **fields)
records = [RunStore(parameters.folder(store)).get_or_run(config) for config in configs]

# %% tags=["hide-input"]
shown = {"h0_mean_lifespan": "mean H0 lifespan", "h1_count": "number of H1 features"}
figure = plots.by_method(stacked(records, "topology"), shown)
plt.show()
said = "Does the push move what it is meant to move, and what else moves with it?"
display(Markdown(f"{said} {report.read_ends(stacked(records, 'topology'), shown)}"))

# %% tags=["hide-input"]
loss = {"cross_entropy": "cross-entropy (nats per token)"}
figure = plots.by_method(stacked(records, "steps"), loss)
plt.show()
said = "The loss that is to be minimised, under each push."
display(Markdown(f"{said} {report.read_ends(stacked(records, 'steps'), loss)}"))
