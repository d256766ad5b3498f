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
# # What does a tuned prompt mean?
#
# The paper leaves the meaning of {term}`virtual tokens <virtual token>` to future work. A model has words of its own
# to hold them against: the embeddings of its vocabulary. This chapter looks at one run, tuned live: the nearest words
# and how they change, the paths of the tokens through a plane, and how far all of that is from where words are. The
# nearest word of a tuned token says little about what the token does {cite}`khashabi2022waywardness`, so each comes
# with its distance.

# %%
import matplotlib.pyplot as plt
from IPython.display import Markdown, display

from tslib.config import TuneConfig
from tslib.models import shared_model
from tslib.prompts.soft_prompt import SoftPrompt
from tslib.runs.store import RunStore
from tslib.study import parameters, plots
from tslib.study.report import meaning as report_meaning
from tslib.topology.meaning import Vocabulary, drift, manifold, plane

plots.style()

# %% [markdown]
# It is the same run as in {doc}`02_structural_evolution`. With TSLoss and Gemma, for instance: `papermill
# notebooks/08_meaning.ipynb out.ipynb -p regularizer tsloss -p model gemma3-270m`.

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

# %% tags=["remove-stderr"]
config = TuneConfig(**parameters.fields(globals(), answer_every=0, stop_when_correct=False))
record = RunStore(parameters.folder(store)).get_or_run(config, prompts=True)

# %% [markdown]
# ## The nearest words
#
# What enters the model is compared, not the trained numbers (which may be scaled), and with words as they enter it
# (Gemma's embeddings are multiplied by $\sqrt d$). Blanks are shown as ␣, line ends as ⏎; in brackets the distance.

# %% tags=["remove-stderr"]
loaded = shared_model(config.model, config.device, config.dtype)
vocabulary = Vocabulary(*loaded)
resumed = {step: SoftPrompt.resume(config, loaded.model, values) for step, values in record.prompts.items()}
enters = {step: prompt().detach().float().cpu() for step, prompt in resumed.items()}
by_distance = drift(enters, vocabulary)
by_angle = drift(enters, vocabulary, "cosine")

# %% tags=["hide-input"]
display(Markdown("By Euclidean distance:"))
display(report_meaning.words(by_distance).style.hide(axis="index"))
display(Markdown("By cosine distance, in which length has no part:"))
display(report_meaning.words(by_angle).style.hide(axis="index"))

# %% tags=["hide-input"]
figure = plots.nearest_words(by_distance)
plt.show()
display(Markdown(report_meaning.read_drift(by_distance)))

# %% [markdown]
# ## Paths through a plane
#
# Principal components keep as much of the distances as two axes can, and say how much that is; t-SNE keeps neighbours
# together, and its distances mean nothing.

# %% tags=["hide-input"]
prompts = list(enters.values())
figure = plots.paths({"PCA": plane(prompts), "t-SNE": plane(prompts, "tsne")})
plt.show()
display(Markdown("Each line is a virtual token, from its place at the first checkpoint to that at the last."))

# %% [markdown]
# ## Far from words?
#
# Words fill only some of the space. Two measures of how far a prompt is from there: the distance to the nearest word,
# against that of words among themselves; and the part of it that points out of the flat space which the 20 nearest
# words span, a stand-in for the manifold they lie on. Far from words need not be worse: where a prompt starts is
# reported to decide much of where it ends, and models to work with prompts from regions without words
# {cite}`sedov2024priors`.

# %% tags=["hide-input"]
first, last = (manifold(enters[step], vocabulary) for step in (min(enters), max(enters)))
display(Markdown(report_meaning.read_manifold(first, last)))

# %% tags=["finding"]
display(Markdown(report_meaning.finding(by_distance, last)))

# %% tags=["hide-input"]
figure = plots.stability(record.topology)
plt.show()
said = "The same path in the topology: how far the diagrams of a checkpoint are from those of the one before."
display(Markdown(said))
