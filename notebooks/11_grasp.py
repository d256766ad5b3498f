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
# # Prompts tied to places
#
# A picture from above is cut into blocks, each block has a soft prompt of its own, and the question chooses which of
# them enter the model. So says the abstract of GRASP {cite}`graspabstract2026`, a method for questions about
# remote-sensing images. Here it is built on pictures that are generated, with a language model that has never seen
# one, and asked: does the choice matter?

# %%
import matplotlib.pyplot as plt
from IPython.display import Markdown, display

from tslib.config import GUIDED, EvalConfig, TuneConfig
from tslib.presets import FAST
from tslib.runs.evaluation import EvaluationStore, of_run
from tslib.runs.store import RunStore
from tslib.study import parameters, plots
from tslib.study.bench import bench
from tslib.study.claims import grasp as claims
from tslib.study.evidence import Evidence
from tslib.study.places import places
from tslib.study.plots import grasp as pictures
from tslib.study.report import grasp as report
from tslib.study.report.evidence import not_there
from tslib.tasks import load_task
from tslib.vision.pictures import pixels

plots.style()
evidence = Evidence(claims.GRASP)
record_of_projector = claims.stage0()

# %% [markdown]
# In the setting that is said to be the paper's: `papermill notebooks/11_grasp.ipynb out.ipynb -p blocks 4 -p n_tokens
# 1`. On real pictures, where `TSLIB_DATA_DIR` has them: `papermill notebooks/11_grasp.ipynb out.ipynb -p task
# rsvqa-hr/fold-1 -p scoring generate`.

# %% tags=["parameters"]
model = "smollm2-135m"
task = "aerial-scenes/closed"
blocks = 16
n_tokens = 4
gate = "entmax15"
prompt_place = "before-picture"
regularizer = "none"
weight = 1.0
steps = 4
seeds = 1
samples = 2
held_out = 4
scoring = "likelihood"  # generate: where not all questions are of yes or no
scene = 0
store = "runs"
device = "auto"  # cuda, then mps, then cpu
dtype = "float32"
lr = None  # None: the preset's
settings = {}  # any other fields of a run

# %% tags=["finding"]
display(Markdown(report.finding(evidence, record_of_projector)))

# %% [markdown]
# ## Whose is what
#
# The abstract's
# : A frozen grid of visual tokens is cut into spatial blocks; soft prompts are tied to them; a sparse fusion, guided by
#   the question, makes one compact prompt of them.
#
# A third party's, who built it again for another model
# : Four blocks with one token each. A block is the mean of its tokens and its position, a question the mean of the
#   frozen model's last states; entmax {cite}`peters2019entmax` with α = 1.5; the order is prompt, picture, question.
#
# Ours
# : 16 blocks with 4 tokens each; model, encoder and projector; the scenes; the scale of the gate's matrices, and the
#   start of the bank; every figure.
#
# No table of the paper was read, and none of its figures is quoted. With tokens $v_i$ of block $i$, a question $q$ and
# a bank of prompts $P_i \in \mathbb{R}^{m \times d}$, the gate's weights $w$ and the prompt $p$ are those of
# {eq}`eq-grasp`:
#
# ```{math}
# :label: eq-grasp
# w = \operatorname{entmax}_{1.5}\big((W_k v_i) \cdot (W_q q) / \sqrt h\big), \qquad p(x, q) = \sum_i w_i P_i .
# ```
#
# The bank has no picture in it: it can say *where* and *which task*, never *what*. And the gate learns by how
# differently the blocks' prompts do: while they are equal its gradient is 0. That is where a regulariser that keeps
# prompts apart might help.
#
# ## Does the model see?
#
# A language model has to learn to see before a prompt can tell it where to look. This was measured first, with no
# prompt, beside a blind table of the questions:

# %% tags=["hide-input"]
display(Markdown(report.read_seen(record_of_projector)))
if record_of_projector is not None:
    display(report.seen(record_of_projector).style.hide(axis="index"))

# %% [markdown]
# ## A run, live
#
# Yes-or-no questions about generated scenes, balanced question by question, so that whoever is blind is right in half
# of them. Beside GRASP run a static prompt with as many tokens in the input, and one that the picture shifts
# {cite}`zhou2022cocoop`.

# %% tags=["remove-stderr"]
watched = {"answer_every": 0, "check_every": steps, "topology_every": max(1, steps // 2), "stop_when_correct": False}
own = ("seed", "sample_seed", "method")
fields = parameters.fields(globals(), *own, method="grasp", **FAST, **watched, max_steps=steps)
without = {name: value for name, value in fields.items() if name not in GUIDED}
runs = RunStore(parameters.folder(store))
of_seeds = [runs.get_or_run(TuneConfig(**fields, seed=seed, sample_seed=seed)) for seed in range(seeds)]
record = of_seeds[0]
others = {name: runs.get_or_run(TuneConfig(**without | {"method": name})) for name in ("prompt-tuning", "cocoop")}

# %% tags=["remove-stderr"]
rows = load_task(record.config.task, "test")
shown = list(dict.fromkeys(row.picture for row in rows))[scene]
about = [row for row in rows if row.picture == shown][:4]
found = places(record, about)
asked = [row.prompt.partition("\n")[0] for row in about]
weights = dict(zip(asked, found.weights, strict=True))

# %% [markdown]
# ## What the gate chooses
#
# The same picture for two questions; the brighter a block, the more weight its prompt has.

# %% tags=["hide-input"]
picture = pixels(shown, 448)
figure = pictures.choices(picture, dict(list(weights.items())[:2]))
plt.show()
display(Markdown(report.read_choices(found.chosen, asked)))

# %% [markdown]
# And for more of its questions:

# %% tags=["hide-input"]
display(pictures.questions(picture, weights))

# %% [markdown]
# ## Fused prompts
#
# With sparse weights the prompts of all questions lie on corners, edges and faces of the hull of the bank. The
# persistence diagrams are those of the set of fused prompts, each a point in $\mathbb{R}^{m d}$, before and after the
# run.

# %% tags=["hide-input"]
figure = pictures.fused_prompts(found)
plt.show()
figure = pictures.course(found.course)
plt.show()
display(Markdown(report.read_course(found.course)))

# %% [markdown]
# ## Held-out questions, and a gate that is misled
#
# The gate alone gets another question or another picture, or its weights go to other blocks; the model still has the
# true ones. If places matter, answers get worse.

# %% tags=["remove-stderr"]
evaluations = EvaluationStore(runs.root / "evaluations")
plain = EvalConfig(split="test", limit=held_out, scoring=scoring)
misled = {
    name: EvalConfig(split="test", limit=held_out, scoring=scoring, intervention=what)
    for name, what in report.possible(record.config).items()
}
all_runs = {report.name(run.config): run for run in others.values()}
all_runs |= {f"{report.name(run.config)}, seed {run.config.seed}": run for run in reversed(of_seeds)}
answers = {name: evaluations.get_or_run(of_run(plain, run), run).rows for name, run in all_runs.items()}
changed = {name: evaluations.get_or_run(of_run(asked, record), record).rows for name, asked in misled.items()}

# %% tags=["hide-input"]
display(report.live(all_runs, answers).style.hide(axis="index"))
display(Markdown(report.read_live({"as it is": list(answers.values())[-1]} | changed)))

# %% [markdown]
# ## The runs that decide
#
# The rule stands in the fourth part of [](../claims), and was written before them: sparse against dense weights, chosen
# against random blocks, a question against a constant, all three on the same questions. Where the model does not see
# enough, these are shown and decide nothing.

# %% tags=["hide-input"]
contrasts = claims.contrasts(evidence)
if contrasts:
    figure = pictures.differences(report.labelled(contrasts))
    plt.show()
    display(report.contrast_table(contrasts).style.hide(axis="index"))
display(Markdown(not_there(evidence, claims.DECISION)))

# %% [markdown]
# Baselines and ablations with the blind readers, who answer from the questions of the training rows alone:

# %% tags=["hide-input"]
grids = (claims.DECISION, "baselines", "ablations", "regularisers")
accuracies = report.accuracy(evidence, *grids)
if len(accuracies):
    display(accuracies.style.hide(axis="index").format(na_rep=""))
display(Markdown(not_there(evidence, *grids)))

# %% [markdown]
# A gate that is misled, over all seeds:

# %% tags=["hide-input"]
table = report.interventions(evidence)
if len(table):
    display(table.style.hide(axis="index"))
display(Markdown(not_there(evidence, *report.INTERVENTIONS)))

# %% [markdown]
# On forty real pictures, in five folds by picture, with the blind readers' figures; direction and interval alone:

# %% tags=["hide-input"]
real = report.accuracy(evidence, "the real sample")
if len(real):
    display(real.style.hide(axis="index").format(na_rep=""))
display(Markdown(not_there(evidence, "the real sample")))

# %% [markdown]
# ## What it costs
#
# Beside the model's own pass a step has the gate, the bank, and the pictures' tokens, which are the same for all
# methods.

# %% tags=["hide-input"]
display(Markdown(report.read_cost(bench.records())))
