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
# # Which claims hold?
#
# The paper makes fifteen claims that can be measured. [Claims and criteria](../claims) says when each counts as
# reproduced, contradicted or undecided; its criteria were committed before the runs below, and stand unchanged. Its
# amendments were written after them, when some of these rules, or how we applied them, turned out to be wrong. Here the
# {term}`verdicts <verdict>` are computed by both from the committed records, so that nobody's wish enters, ours
# included.

# %%
from IPython.display import Markdown, display

from tslib.runs.store import RunStore
from tslib.study import claims, parameters
from tslib.study.evidence import SWEEP, Evidence
from tslib.study.report import evidence as report_evidence
from tslib.study.report import referee
from tslib.study.report import verdicts as report_verdicts

# %% [markdown]
# The records and the sweep file that asks for them are parameters. To judge runs of your own: `papermill
# notebooks/09_verdicts.ipynb out.ipynb -p store runs`.

# %% tags=["parameters"]
sweep = ""  # a sweep file with grids of the same names; empty: data/sweeps/evidence.yaml
store = ""  # a folder of records; empty: data/results

# %% tags=["finding"]
parameters.check(globals())
records = RunStore(parameters.folder(store)) if store else None
evidence = Evidence(parameters.folder(sweep) or SWEEP, records)
registered, amended = claims.judge(evidence), claims.judge(evidence, amended=True)
said, amendments = claims.criteria(), claims.amendments()
display(Markdown(report_verdicts.summary(registered, amended)))

# %% tags=["hide-input"]
report_verdicts.table(registered, amended, said).style.hide(axis="index")

# %% [markdown]
# *Undecided* is a verdict: the runs are there, and what they show fulfils neither criterion. *As for noise* means that
# a {term}`twin` that moves at random does the same, *more than noise* that it does so less, *drift only* that both
# quantities change with time and nothing more can be seen.
#
# ## What was found wrong after the runs
#
# The criteria were applied as they had been written, and the first version of this page had their verdicts alone. Then
# a reader in the place of a sceptical author recomputed it from the records. The formulas were right; several
# inferences were not. Thirteen points were raised. Each is answered here, in the order of their weight; the rules that
# follow from them are the [amendments](../claims).

# %% tags=["hide-input"]
display(Markdown("\n".join(referee.points(evidence, amended))))

# %% [markdown]
# ## What the verdicts rest on
#
# Runs that were never correct within their steps are {term}`censored`: they stay in every table, and count with the
# steps that they had. A run that {term}`diverged` counts as censored. {doc}`03_convergence` has the comparisons behind
# the main claim.

# %% tags=["hide-input"]
display(Markdown(report_evidence.read_progress(evidence)))

# %% [markdown]
# ## Claim by claim
#
# What counts as reproduced or contradicted stands, claim by claim, with the [criteria](../claims).

# %% tags=["hide-input"]
display(Markdown("\n\n".join(report_verdicts.sections(registered, amended, said, amendments))))

# %% [markdown]
# ## What no verdict here can say
#
# * The paper's models were not run. A claim about *every* model can be contradicted by ours; a claim about one of the
#   paper's models can't be.
# * The settings that the paper leaves open are ours ([ledger](../assumptions)); [how much they matter](04_sensitivity)
#   is measured around the default, one at a time.
# * Each verdict is about this loss, this optimiser and this schedule. That some other topological loss helps elsewhere
#   is not excluded by any of them.
