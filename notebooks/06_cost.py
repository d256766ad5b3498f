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
# # What it costs
#
# Hours per experiment decide what a researcher can try. Here prompt tuning by Hugging Face's library
# [PEFT](https://huggingface.co/docs/peft), under transformers' `Trainer`, is timed beside the tuning loop of this book,
# which has the prompt before the question ({term}`prefix <placement>`, as in PEFT) or between question and answer
# (suffix, which PEFT does not have).

# %%
import matplotlib.pyplot as plt
from IPython.display import Markdown, display

from tslib.config import TuneConfig
from tslib.study import parameters, plots
from tslib.study.bench import bench, cost
from tslib.study.bench import device as bench_device
from tslib.study.report import cost as report_cost
from tslib.study.report import device as report_device

plots.style()
records = bench.records()
committed = records[0]  # the newest

# %% tags=["finding"]
display(Markdown(report_cost.headline(records)))

# %% [markdown]
# ## A few steps, live
#
# Times of a shared machine drift, so the ways take turns: after each step of the Trainer comes one of ours, with the
# same frozen model, rows, initial prompt, learning rates and precision. A ratio compares two such neighbours. Another
# setting: `papermill notebooks/06_cost.ipynb out.ipynb -p model gemma3-270m -p dtype bfloat16 -p question 500`.

# %% tags=["parameters"]
model = "smollm2-135m"
dtype = "float32"
batch = 2
question = 60  # tokens, those of the chat template among them
answer = 60
steps = 4
device = "auto"  # cuda, then mps, then cpu
lr = None  # None: the preset's
n_tokens = 20
settings = {}  # any other fields of a run, such as {"init": "vocabulary"}

# %% tags=["remove-stderr"]
fields = parameters.fields(globals(), "method", "placement", "samples", "batch_size", "max_steps")
config = TuneConfig(**fields)
sizes = {"n_tokens": config.n_tokens, "batch": batch, "question": question, "answer": answer}
setting = cost.Setting(model=config.model, dtype=config.dtype, **sizes)
live = cost.alternate(setting, steps, device=config.device, like=config)

# %% tags=["hide-input"]
figure = plots.step_times({way: done.seconds[1:] for way, done in live.items()})
plt.show()
display(Markdown(report_cost.read_live(setting, live, committed)))

# %% [markdown]
# ## Aims and measurements
#
# The aims were set before the kernels were written that are measured here, from measurements on an Intel Xeon with
# AVX-512, where those before had not always been faster than PEFT. Beside them is what `make bench` found, one column
# for each machine that left a record: medians, and the 10 % and 90 % quantiles over the steps. Memory is what two steps
# need above the loaded model, in a process of its own. A record says with which library each product was made; one of
# before these kernels stays as it was.

# %% tags=["hide-input"]
aims = report_cost.aims(records).style.hide(axis="index")
aims.set_properties(subset=["what"], **{"min-width": "9rem"})  # of many words, also on a phone

# %% [markdown]
# Medians of all settings, in seconds, of the newest record:

# %% tags=["hide-input"]
report_cost.step_times(committed).style.format(precision=2, na_rep="").hide(axis="index")

# %% [markdown]
# ### Why not more?
#
# A step of a frozen model is mostly matrix products, and PEFT's step has the same ones: all that can be saved is what
# it does besides, and what several rows have in common. Torch's profiler sorts the seconds of one of our steps. *bound*
# is the ratio to PEFT's step if all but our matrix products and attention took no time at all.

# %% tags=["hide-input"]
report_cost.profiles(committed).style.format(precision=2).hide(axis="index")

# %% tags=["hide-input"]
display(Markdown(report_cost.read_profiles(committed)))

# %% [markdown]
# What makes the difference:
#
# * **What rows share goes through the model once.** The soft prompt stands first in every row, then the words of the
#   chat template (or the solved examples of a few-shot prompt). In a causal model their states are the same in every
#   row. All rows of a batch form one sequence behind this common head, and attention is told who belongs to whom; so
#   there is no padding, either. Whether a model's attention can be told is found out by a trial; if not, rows are
#   padded.
# * **Only the positions that predict a target** meet the output layer, a few at a time. Since it is frozen, the
#   gradient is computed together with the loss, and neither all logits nor their float32 copies are ever there.
# * **Products go to the library that is quicker here**: MKL or oneDNN, as a few calls of each say for a shape when it
#   is first met. On the way back frozen weights lie as MKL wants them. In bfloat16 torch takes oneDNN itself.
# * **Attention goes by blocks of queries** on a CPU, each against the keys before its end: half of the products.
# * **Replies are decoded with states of our own**: written in place, what rows share once, and rows that have ended
#   leave the batch.
# * **With a suffix, the question's keys and values are computed once** for the whole run and never copied; a step runs
#   the prompt and the answer. They are kept up to `question_cache` GiB, then computed again.
# * **The exact criterion costs no pass**: the step's own logits say whether every target comes first.
#
# ## The same losses
#
# At the paper's learning rate the two runs follow each other. (At larger ones, such as this book tunes with, they part
# after some steps: AdamW's first steps go by the sign of each gradient, and rounding decides the sign of a small one.)

# %% tags=["hide-input"]
figure = plots.loss_curves(report_cost.curves(committed["parts"]))
plt.show()
display(Markdown(report_cost.read_curves(committed)))

# %% [markdown]
# ## How it grows

# %% tags=["hide-input"]
by_batch, by_question = (report_cost.growth(committed, along) for along in ("batch", "question"))
figure = plots.growth({"rows of 60 + 60 tokens": by_batch, "tokens of the question, 8 of the answer": by_question})
plt.show()
display(Markdown(report_cost.read_growth(committed)))

# %% [markdown]
# ### TSLoss and exact homology
#
# TSLoss needs the distances of all pairs; exact persistent homology with a gradient (here torch-topological's, H0 and
# H1) needs the complex. The summary of a checkpoint (here ripser's diagrams) needs no gradient.

# %% tags=["hide-input"]
figure = plots.tsloss_times(report_cost.tsloss_times(committed))
plt.show()
display(Markdown(report_cost.read_tsloss(committed)))

# %% [markdown]
# ## On a GPU

# %% tags=["hide-input"]
on_gpu = bench_device.load()
display(Markdown(report_device.read(on_gpu)))
for table in report_device.tables(on_gpu):
    display(table.style.hide(axis="index"))
