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
# # Use TSLoss in your own training
#
# TSLoss is one term of a sum in a loop of your own, and one call in transformers' `Trainer` or TRL's `SFTTrainer`.
# What is tuned with tslib is an {term}`adapter` that PEFT loads, and a PEFT adapter made anywhere can be analysed
# here. All of that runs on this page, on a real model. Whether it is worth doing is another question, which
# {doc}`03_convergence` answers. The weight here is 0.1: where a prompt starts with PEFT's noise, fifty times the
# paper's, TSLoss with λ = 1 would pull much harder than it did there.

# %%
import matplotlib.pyplot as plt
import pandas as pd
import torch
from IPython.display import Markdown, display
from peft import PeftModel, PromptTuningConfig, TaskType, get_peft_model
from torch.nn import functional
from tqdm.auto import trange
from transformers import Trainer, TrainingArguments

from tslib import TSLoss, load_model, load_task, persistence_diagrams
from tslib.config import TuneConfig
from tslib.interop.adapters import cloud, save_adapter
from tslib.interop.trainer import add_regularizer
from tslib.losses.registry import REGULARIZERS
from tslib.prompts.encoding import Encoded, encode
from tslib.prompts.methods import METHODS
from tslib.prompts.soft_prompt import SoftPrompt, model_inputs
from tslib.runs.store import RunStore
from tslib.study import parameters, plots
from tslib.study.evidence import Evidence
from tslib.study.report import topology as report_topology
from tslib.study.report import training as report_training

plots.style()

# %% [markdown]
# With papermill, for instance: `papermill notebooks/10_your_own_training.ipynb out.ipynb -p model gemma3-270m -p
# steps 40`.

# %% tags=["parameters"]
model = "smollm2-135m"
task = "gsm-symbolic"
n_tokens = 20
weight = 0.1
steps = 5
learning_rate = 0.03  # in the loop and in Trainer
method_task = "math-symbolic"  # short questions, further down, for each method and each regulariser
method_steps = 1
store = "runs"
device = "auto"  # cuda, then mps, then cpu
dtype = "float32"
lr = None  # in tslib's own loop; None: the preset's
settings = {}  # any other fields of a run, such as {"init": "vocabulary"}

# %% [markdown]
# A model, and one question with its answer as token ids; only the answer's tokens are to be learnt.

# %% tags=["remove-stderr"]
fields = parameters.fields(globals(), "method", "max_steps", regularizer="tsloss", answer_every=0, topology_every=2)
config = TuneConfig(**fields, max_steps=steps)
runs = RunStore(parameters.folder(store))
language_model, tokenizer = load_model(config.model, device=config.device, dtype=config.dtype)
row = encode(tokenizer, load_task(config.task, "train", limit=1)[0])
ids = torch.tensor([row.question + row.target], device=language_model.device)
labels = torch.tensor([[-100] * len(row.question) + row.target], device=language_model.device)

# %% [markdown]
# ## In a loop of plain PyTorch
#
# The soft prompt is a parameter of shape $(n, d)$ that stands before the embedded tokens. TSLoss is called with it,
# and what it returns is added to the cross-entropy: the line with `ts_loss`.

# %% tags=["remove-stderr", "show"]
embed = language_model.get_input_embeddings()
torch.manual_seed(0)
prompt = torch.nn.Parameter(0.02 * torch.randn(config.n_tokens, embed.weight.shape[1]).to(ids.device))
optimizer = torch.optim.AdamW([prompt], lr=learning_rate)
ts_loss = TSLoss(config.weight)
history = []
for step in trange(steps):
    inputs = torch.cat([prompt[None].to(language_model.dtype), embed(ids)], 1)
    logits = language_model(inputs_embeds=inputs).logits[0, len(prompt) - 1 : -1]
    cross_entropy = functional.cross_entropy(logits.float(), labels[0], ignore_index=-100)
    loss = cross_entropy + ts_loss(prompt)
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    terms = {name: float(term) for name, term in ts_loss.terms(prompt.detach()).items() if term.ndim == 0}
    history.append({"step": step + 1, "cross-entropy": cross_entropy.item()} | terms)
by_hand = pd.DataFrame(history)

# %% tags=["hide-input"]
figure = plots.training(by_hand, "cross-entropy", ["h0", "repel", "attract"], ["delta", "zeta"])
plt.show()
display(Markdown(report_training.read_loss(by_hand, "cross-entropy")))

# %% [markdown]
# ## In PEFT with transformers' Trainer
#
# {py:func}`tslib.interop.trainer.add_regularizer` is all that is new in an ordinary run of PEFT. It adds TSLoss's
# gradient once to each optimiser step, however many batches that accumulates, after the gradient of the loss has been
# clipped.
# The terms and, every few steps, the exact persistent homology go wherever `report_to` says: TensorBoard here. It
# takes PEFT's `PromptTuningConfig`, `PromptEncoderConfig` (P-tuning) and `PrefixTuningConfig`; other regularisers of
# tslib go in the same way.

# %% tags=["remove-stderr", "show"]
torch.manual_seed(0)
virtual_tokens = PromptTuningConfig(task_type=TaskType.CAUSAL_LM, num_virtual_tokens=config.n_tokens)
tuned = get_peft_model(language_model, virtual_tokens)
arguments = TrainingArguments(
    f"{runs.root}/trainer",
    max_steps=steps,
    per_device_train_batch_size=1,
    learning_rate=learning_rate,
    logging_steps=1,
    report_to="tensorboard",
    save_strategy="no",
    use_cpu=ids.device.type == "cpu",
    dataloader_pin_memory=False,
)
rows = [{"input_ids": ids[0], "attention_mask": torch.ones_like(ids[0]), "labels": labels[0]}]
trainer = Trainer(tuned, arguments, train_dataset=rows)

add_regularizer(trainer, TSLoss(config.weight), topology_every=2)  # the one line that is new

trainer.train()
tuned.save_pretrained(f"{runs.root}/adapter", save_embedding_layers=False)

# %% tags=["hide-input"]
logged = report_training.history(trainer)
figure = plots.training(logged, "loss", ["ts/h0", "ts/repel", "ts/attract"], ["topology/h1_count"])
plt.show()
display(Markdown(report_training.read_loss(logged, "loss")))

# %% [markdown]
# PEFT starts a prompt with numbers of the order of 1, fifty times the paper's $\mathcal{N}(0, 0.02^2)$. Distances are
# larger by as much; TSLoss and its gradient change by quite another factor, for τ and α are in units of distance
# ({doc}`01_tsloss_by_hand`). A weight means something only together with the scale of the prompt;
# `TSLoss(normalize=True)` takes the scale out.
#
# ### With the start and the optimiser of a run
#
# PEFT begins with noise, and the Trainer warms up for no step. {py:func}`tslib.interop.recipe.recipe` gives both the
# settings of a run, by default those of the preset `fast`: rows of the vocabulary to begin with, a short warm-up, and
# its rate. The losses are then those of tslib's loop from the same words.
#
# ```python
# from tslib.interop.recipe import recipe
#
# settings, arguments = recipe(language_model, tokenizer, folder="out")
# trainer = Trainer(get_peft_model(language_model, settings), arguments, train_dataset=rows)
# ```
#
# ### In TRL
#
# `SFTTrainer` is a `Trainer`, so the same line does it:
#
# ```python
# from trl import SFTConfig, SFTTrainer
#
# name = "HuggingFaceTB/SmolLM2-135M-Instruct"
# arguments = SFTConfig("out")
# trainer = SFTTrainer(name, args=arguments, train_dataset=rows, peft_config=virtual_tokens)
# add_regularizer(trainer, TSLoss(0.1))
# trainer.train()
# ```
#
# ## A PEFT adapter, analysed
#
# What the Trainer saved is read without running any code of its own (JSON and safetensors only); a name on the
# Hugging Face hub works, too. On the command line: `python -m tslib topology runs/adapter --figure diagram.png`.

# %% tags=["show"]
points = cloud(f"{runs.root}/adapter").numpy()
print(report_topology.describe(points))

# %% tags=["hide-input"]
figure, ax = plt.subplots(figsize=(4, 4))
plots.diagram(persistence_diagrams(points), ax=ax)
plt.show()
said = "Birth and death of each bar. In high dimension all distances of random points nearly agree, so that components "
display(Markdown(f"{said} die, and loops live and die, in one narrow range of distances."))

# %% [markdown]
# ## A prompt of tslib, in PEFT
#
# The other way round, a record's prompt becomes an adapter with a model card (`python -m tslib adapter runs/RECORD
# my-adapter`, and `--push USER/NAME` for the hub). PEFT then computes what tslib computes:

# %% tags=["remove-stderr", "show"]
record = runs.get_or_run(config, prompts=True)
save_adapter(record, runs.root / "from-tslib")
again = PeftModel.from_pretrained(language_model, f"{runs.root}/from-tslib").eval()
question = ids[:, : len(row.question)]
with torch.no_grad():
    theirs = again(input_ids=question, attention_mask=torch.ones_like(question)).logits
    mine = SoftPrompt.resume(config, language_model, record.prompts[max(record.prompts)])
    ours = language_model(**model_inputs([Encoded(row.question, [])], mine, language_model)[1]).logits
difference = report_training.read_difference(ours, theirs)
display(Markdown(difference))

# %% tags=["finding"]
said = (
    "**One line adds TSLoss to a loop of plain PyTorch, and one call to transformers' `Trainer` or TRL's "
    "`SFTTrainer`.** The prompt that comes out is an adapter that PEFT loads, with tslib's logits. "
)
display(Markdown(said + report_training.warning(Evidence())))

# %% [markdown]
# ## Prompt methods and regularisers by name
#
# A config names them, so that one sweep can compare them: `method` is one of the first table, `regularizer` one of the
# second. A step of each shows that it runs. The point cloud that TSLoss and the topology see is what enters the model;
# methods that act in every layer have one cloud a layer. {term}`LoRA` {cite}`hu2022lora` has none, and is there as a
# reference line. References: prompt tuning {cite}`lester2021power`, {term}`P-tuning` {cite}`liu2021ptuning`,
# {term}`prefix tuning` {cite}`li2021prefix`, P-tuning v2 {cite}`liu2022ptuningv2`; exact homology as a loss
# {cite}`carriere2021optimizing`, weights balanced by gradients {cite}`chen2018gradnorm`.

# %% tags=["remove-stderr"]
kept = ("model", "n_tokens", "device", "dtype")  # what goes with every method
quick = {name: getattr(config, name) for name in kept}
quick |= {"task": method_task, "max_steps": method_steps, "answer_every": 0, "topology_every": 2}
rates = {"prompt-tuning": 0.01}  # what comes out of an encoder, or is in every layer, moves further at the same rate
names = [name for name, method in METHODS.items() if not method.resume]  # the others are of pictures
of_methods = [runs.get_or_run(TuneConfig(**quick, method=name, lr=rates.get(name, 0.001))) for name in names]
of_regularizers = [runs.get_or_run(TuneConfig(**quick, regularizer=name, weight=0.01)) for name in REGULARIZERS]

# %% tags=["hide-input"]
report_training.methods(of_methods).style.format(precision=4).hide(axis="index")

# %% tags=["hide-input"]
table = report_training.regularizers(of_regularizers)
digits = {"value": "{:.2g}", "gradient ratio": "{:.2g}", "cosine": "{:.3f}"}
display(table.style.format(digits, na_rep="").hide(axis="index"))
display(Markdown(report_training.read_regularizers(table)))

# %% [markdown]
# Nothing of this was run on a GPU. Under data parallelism each process adds the same gradient after the others' have
# been averaged; DeepSpeed and FSDP, which divide parameters over processes, and fp16, which scales gradients, are
# refused with an error. To add a method or a regulariser of your own, see {doc}`../extending`.
