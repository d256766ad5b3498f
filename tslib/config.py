"""What defines a tuning run, and an evaluation: frozen dataclasses that check themselves when they are made."""

import dataclasses
import hashlib
import json
from collections.abc import Callable, Iterable
from dataclasses import InitVar
from functools import cached_property
from importlib import import_module
from typing import Annotated, Any, Literal

from tslib.errors import InputError, needs
from tslib.presets import PRESETS, settings_of

needs("tune", "pydantic")
from pydantic import AfterValidator, ConfigDict, Field, ValidationError, model_validator
from pydantic.dataclasses import dataclass
from pydantic_core import ArgsKwargs, PydanticCustomError

SCHEMA_VERSION = 1
"""Version of the experiment's meaning: raised when the same config would give other numbers or another record,
which includes every change of a default below."""

Positive = Annotated[float, Field(gt=0)]
NonNegative = Annotated[float, Field(ge=0)]
Share = Annotated[float, Field(ge=0, lt=1)]
Rate = Annotated[float, Field(gt=0, le=1e30)]
"""AdamW multiplies it in single precision."""
Count = Annotated[int, Field(ge=1, lt=2**63)]
Period = Annotated[int, Field(ge=0, lt=2**63)]
"""As many as a generator takes for its seed, and a column of a table holds."""


def _one_of_regularizers(name: str) -> str:
    # imports torch, which a mere look at this module should not wait for
    from tslib.losses import REGULARIZERS

    return _one_of(name, REGULARIZERS)


def _one_of_tasks(name: str) -> str:
    from tslib.tasks import find_task

    try:
        return find_task(name).name
    except InputError as error:
        raise PydanticCustomError("unknown_name", "{reason}", {"reason": str(error)}) from None


def _one_of(name: str, known: Iterable[str]) -> str:
    if name not in known:
        raise PydanticCustomError("unknown_name", "unknown; known: {known}", {"known": ", ".join(known)})
    return name


@dataclasses.dataclass(frozen=True)
class Method:
    """A prompt method, and what a config may combine it with.

    Attributes
    ----------
    start
        Begins a run; `tslib.prompts.methods` fills it in for those below, which knows the encoders.
    among
        Whether its virtual tokens stand among the embedded ones, where they have a placement and a scale.
    inits
        The values of ``init`` that it can start from.
    cloud
        Whether there is a point cloud, for a regulariser.
    resume
        Puts a run's prompt to work again, of one that depends on the picture; None: it is a `SoftPrompt`.
    guided
        Those of `GUIDED` that it has.
    """

    start: Callable[["TuneConfig", Any, Any], Any] | None = None
    among: bool = True
    inits: tuple[str, ...] = ("gaussian", "embedding-gaussian", "vocabulary", "text", "superposition")
    cloud: bool = True
    resume: Callable[..., Any] | None = None
    guided: tuple[str, ...] = ()

    def conflict(self, config: "TuneConfig") -> str | None:
        """Return what of a config does not go with this method, or None."""
        name = config.method
        for field in GUIDED:
            if field not in self.guided and getattr(config, field) != getattr(TuneConfig, field):
                return f"{field}={getattr(config, field)} is for method=grasp; given method={name}"
        if self.resume and config.placement != "prefix":
            return f"method={name} stands beside the picture: placement is prefix, and prompt_place says on which side"
        if not self.among and config.placement != "prefix":
            return f"method={name} acts in every layer before all tokens: placement is prefix; given {config.placement}"
        for field in ("prompt_scale", "position_encoding"):
            if (self.resume or not self.among) and getattr(config, field) != "none":
                what = "what it fuses" if self.resume else "nothing"
                return f"method={name} puts {what} among the embedded tokens: {field} is none"
        itself = name == "prompt-tuning" and config.init != "superposition"  # trained is what enters the model
        what = f"method={name}" if name != "prompt-tuning" else f"init={config.init}"
        if config.prompt_dtype != "float32" and not itself:
            return f"{what} is trained in float32; given prompt_dtype={config.prompt_dtype}"
        if config.lr_unit != "one" and not itself:
            return f"{what} trains no embedded tokens: lr_unit is one; given {config.lr_unit}"
        if config.init not in self.inits:
            return f"method={name}: init is one of {', '.join(self.inits)}; given {config.init}"
        if not self.cloud and config.regularizer != "none":
            return f"method={name} has no virtual tokens to regularise: regularizer is none; given {config.regularizer}"
        return None


def _pictured(module: str, name: str, guided: tuple[str, ...]) -> Method:
    """Return a method whose prompt depends on a picture; its class, of a room above, is imported when it is called."""

    def called(what: str) -> Callable[..., Any]:
        return lambda *args: getattr(getattr(import_module(f"tslib.vision.{module}"), name), what)(*args)

    return Method(called("start"), inits=Method.inits[:3], resume=called("resume"), guided=guided)


GUIDED = ("blocks", "gate", "gate_width", "gate_keys", "gate_queries", "prompt_place", "regularized")
"""Fields of `TuneConfig` that grasp has, and cocoop in part."""

METHODS: dict[str, Method] = {
    "prompt-tuning": Method(),
    "p-tuning": Method(inits=("gaussian",)),
    "prefix-tuning": Method(among=False, inits=("gaussian",)),
    "residual": Method(inits=("gaussian", "embedding-gaussian", "vocabulary", "text")),
    "p-tuning-v2": Method(among=False, inits=("gaussian", "vocabulary", "text")),
    "lora": Method(among=False, inits=("gaussian",), cloud=False),
    "grasp": _pictured("grasp", "GraspPrompt", GUIDED),
    "cocoop": _pictured("conditional", "ConditionalPrompt", ("prompt_place", "regularized")),
}
"""Prompt methods by the name that a config gives them, and what goes with each; `tslib.prompts.methods` starts them. To
add one, give its name a `Method` with a ``start``."""

REPLAYED = {"random-direction-matched": "tsloss"}
"""Regularisers that replay what another run has recorded, each with that run's regulariser."""

TaskName = Annotated[str, AfterValidator(_one_of_tasks)]
Dtype = Literal["float32", "bfloat16", "float16", "auto"]
STRICT = ConfigDict(extra="forbid", allow_inf_nan=False)


class Hashed:
    """What the configs share: their fields as plain values, and a hash of them."""

    def as_dict(self) -> dict[str, Any]:
        """Return the fields as plain values; ``type(config)(**config.as_dict())`` is the same config."""
        return dataclasses.asdict(self)  # type: ignore[call-overload,no-any-return]

    @cached_property
    def hash(self) -> str:
        """Twelve hexadecimal digits that identify the config together with the schema version.

        Only fields that differ from their defaults enter, so that a field added later leaves old hashes alone.
        """
        defaults = {field.name: field.default for field in dataclasses.fields(self)}  # type: ignore[arg-type]
        chosen = {name: value for name, value in self.as_dict().items() if value != defaults[name]}
        text = json.dumps(chosen | {"schema": SCHEMA_VERSION}, sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()[:12]


@dataclass(frozen=True, kw_only=True, config=STRICT)
class TuneConfig(Hashed):
    """One tuning run. Two runs with the same config on the same machine give the same numbers.

    Raises
    ------
    pydantic.ValidationError
        (a ``ValueError``) for an unknown name or key, or a value out of range: it names the field, the value and
        what is allowed.
    """

    model: Annotated[str, Field(min_length=1)] = "smollm2-135m"
    """A name of ``python -m tslib models``, a hub id or a local folder."""
    task: TaskName = "gsm-symbolic"
    """A name of ``python -m tslib tasks``, or one of its subsets, such as bbh/navigate."""
    samples: Count = 1
    """Training samples; all share one prompt."""
    sample_seed: Period = 0
    """Which samples are drawn from the task's training rows."""
    seed: Period = 0
    """Initial prompt and order of the batches."""
    shots: Period = 0
    """Solved training rows before each question (few-shot), of the same subset, none of them a sample."""
    method: Annotated[str, AfterValidator(lambda name: _one_of(name, METHODS))] = "prompt-tuning"
    """What is trained, and how it enters the model: prompt-tuning, residual, p-tuning, prefix-tuning, p-tuning-v2;
    lora as a reference line (`METHODS`), beside PEFT's choice of layers, or all linear ones where PEFT has none; or
    for tasks with pictures, grasp: a bank of prompts tied to places, of which a question chooses; and cocoop: a prompt
    that the picture shifts."""
    n_tokens: Count = 20
    """Prompt length n, in virtual tokens; with grasp the length m of each block's prompt and of the fused one."""
    projector: Annotated[str, Field(min_length=1)] = "vit-s14"
    """For tasks with pictures: the encoder of pictures, whose projector for this model is used, the committed one or,
    where there is none, its start; or a projector's file, which ends in .safetensors."""
    blocks: Literal[1, 4, 16, 64] = 4
    """Blocks N of a picture, in a square, each with a prompt of its own (grasp). 4 with one token each is said to be
    the setting of arXiv:2601.17089; 16 with four is ours."""
    gate: Literal["entmax15", "softmax", "sparsemax", "top1", "uniform", "known", "random"] = "entmax15"
    """How scores of blocks become weights (grasp): entmax with α = 1.5, softmax (α = 1), sparsemax (α = 2), or the best
    block alone; the same for all; those of the quarter that the question names; or entmax's on random blocks."""
    gate_width: Count = 128
    """Numbers h of a key and of a query (grasp)."""
    gate_keys: Literal["content+position", "content", "position"] = "content+position"
    """What keys are made of (grasp): the mean of a block's tokens, where the block is, or both."""
    gate_queries: Literal["question", "constant"] = "question"
    """What the query is made of (grasp): the question, or a vector that is trained in its place."""
    prompt_place: Literal["before-picture", "after-picture"] = "before-picture"
    """Where the prompt of a picture stands (grasp, cocoop)."""
    regularized: Literal["bank", "fused", "regions"] = "bank"
    """What the regulariser acts on (grasp, cocoop): the bank as one cloud, the prompts of a batch's pictures and
    questions, or each block's."""
    placement: Literal["prefix", "suffix"] = "prefix"
    """Soft prompt before the question, or between the question and the answer; a method that acts in every layer has
    its prompt before both."""
    init: Literal["gaussian", "embedding-gaussian", "vocabulary", "text", "superposition"] = "gaussian"
    """N(0, 0.02² I); a Gaussian with mean and spread of the vocabulary's embeddings in each coordinate; embeddings of
    random vocabulary tokens; embeddings of ``init_text`` (or, in every layer, their keys and values); or sums of
    ``superposed`` random embeddings, whose weights are trained in the prompt's place (arXiv:2406.05279). A method of
    PEFT with an encoder starts as PEFT draws it."""
    init_text: Annotated[str, Field(min_length=1)] = "Solve the problem step by step and end with the answer."
    """Text whose tokens, repeated or cut to n, start the prompt when ``init`` is ``text``."""
    superposed: Count = 128
    """Embeddings that each virtual token is a sum of when ``init`` is ``superposition``."""
    prompt_scale: Literal["none", "sqrt_d"] = "none"
    """Factor between the trained prompt and the model: 1, or √d as in Gemma under transformers 4."""
    position_encoding: Literal["none", "sinusoidal"] = "none"
    """Added to the prompt where it enters the model, and neither trained nor part of the point cloud: nothing, or sines
    and cosines of the position (Vaswani et al., 2017, § 3.5)."""
    prompt_dtype: Literal["float32", "float16"] = "float32"
    """Precision in which the prompt, its gradient and the optimiser's moments are kept. In float16 a step is rounded
    away that is shorter than half of the spacing around a value (1.5e-5 at 0.05), and Adam's second moment is 0 where
    a gradient is below about 5e-3, so that there its step is the gradient times lr / ε."""
    regularizer: Annotated[str, AfterValidator(_one_of_regularizers)] = "none"
    """What is added to the cross-entropy: none, tsloss, tsloss-printed (as in the paper), tsloss-normalized, tsloss-h0,
    tsloss-h1, tsloss-adaptive, tsloss-balanced, l2, pairwise, orthogonality, random-direction, random-direction-matched
    (as long as in the run with tsloss, which is made first where it is missing), persistence (exact homology), or
    push-h0-up, push-h0-down, push-h1-up, push-h1-down, push-entropy-up, push-entropy-down (``losses.REGULARIZERS``)."""
    weight: NonNegative = 1.0
    """λ_ts, the factor of the regulariser (Eq. 8); without meaning for ``none``."""
    metric: Literal["euclidean", "cosine"] = "euclidean"
    """Distance of two virtual tokens, for the regulariser and for the topology of the checkpoints."""
    tau: Positive = 1.0
    """Temperature τ of the soft nearest distance (Eq. 1)."""
    alpha: Positive = 10.0
    """Sharpness α of the soft thresholds (Eq. 7)."""
    beta_h0: NonNegative = 1.0
    """β_H0 of Eq. 8."""
    beta_h1: NonNegative = 1.0
    """β_H1 of Eq. 8."""
    lambda_repel: NonNegative = 1.0
    """λ_repel of Eq. 5."""
    lambda_attract: NonNegative = 1.0
    """λ_attract of Eq. 5."""
    lr: Rate | None = None
    """Peak learning rate; by default the preset's."""
    lr_unit: Literal["one", "embedding"] = "one"
    """Unit of ``lr``: 1, or the root mean square of what the model embeds its vocabulary as, so that one number suits
    models whose embeddings differ in scale."""
    optimizer: Literal["adamw", "adam"] = "adamw"
    """AdamW as in the paper: β = (0.9, 0.98), ε = 1e-8, decay 0.01, and a rate that rises for a tenth of the steps and
    falls to 0; or Adam with β = (0.9, 0.999), ε = 1e-6 and one rate throughout. What is given below goes before."""
    warmup_steps: Period | None = None
    """Steps in which the rate rises from 0."""
    schedule: Literal["linear", "cosine", "constant"] | None = None
    """How the rate goes on from there: down to 0 at ``max_steps`` on a line or a cosine, or not at all."""
    beta1: Share = 0.9
    """Decay of the optimiser's first moment."""
    beta2: Share | None = None
    """Decay of its second moment."""
    weight_decay: NonNegative | None = None
    """Share of a weight, times the rate, that is taken away at each step (decoupled)."""
    max_grad_norm: NonNegative = 0.0
    """Length to which a longer gradient of what is trained, the regulariser's included, is cut; 0: none is."""
    batch_size: Count = 8
    """Samples per optimiser step."""
    pass_tokens: Count = 4096
    """Positions in one pass through the model, padding included: a larger batch is done in parts, and a longer row
    keeps less and computes it again (gradient checkpointing), with the same gradient. Lower it for less memory."""
    question_cache: NonNegative = 4.0
    """GiB of the questions' keys and values that are kept where the prompt is a suffix, so that a step runs prompt and
    target alone; 0: none are, and each step runs the whole sequence."""
    max_context: Count | None = None
    """Positions at most; None: as many as the model has. The middle of longer prompts is left out where the task allows
    it (LongBench)."""
    max_steps: Count = 300
    """Optimiser steps after which a run is censored; also the length of the learning rate's schedule."""
    check_every: Count = 1
    """Steps between checks of the exact criterion."""
    answer_every: Period = 25
    """Steps between checks of the answer criterion, which decodes; 0: only where the exact criterion holds."""
    max_new_tokens: Count = 256
    """Tokens decoded at most, from where the reply parts from the target."""
    stop_when_correct: bool = True
    """End the run as soon as the exact criterion holds (False: go on to ``max_steps``, to watch the structure)."""
    topology_every: Count = 20
    """Steps between checkpoints (exact persistent homology and a snapshot of the prompt)."""
    dtype: Dtype = "float32"
    """Precision of the frozen model, whatever the prompt's. ``auto``: bfloat16 where the device computes it natively,
    else float32."""
    device: str = "auto"
    """``auto`` (cuda, then mps, then cpu), a torch device, or ``spread``: the model is divided over all devices."""
    preset: InitVar[Literal["paper", "tuned", "fast", "public-code"]] = "tuned"
    """Where the rate comes from when ``lr`` is not given: 5e-5 as printed; the sweep's; or, with the preset's other
    settings where they are not given, a recipe's of fewer steps (`FAST`) or a public repository's (`PUBLIC_CODE`).
    Where no preset is given, grasp and cocoop have settings of their own (`SUITED`)."""

    @model_validator(mode="before")
    @classmethod
    def _fill_in(cls, given: ArgsKwargs) -> ArgsKwargs:
        """Add what preset or method say to what is given; only here is known what that is."""
        fields = given.kwargs or {}
        named = [fields.get(name) for name in ("preset", "method")]
        if not all(isinstance(name, str | None) for name in named):  # it is refused in a moment
            return given
        return ArgsKwargs(given.args, settings_of(*named) | fields)

    def __post_init__(self, preset: str) -> None:
        """Fill in the preset's rate, and check what goes together."""
        if self.lr is None:
            object.__setattr__(self, "lr", PRESETS[preset])
        if conflict := METHODS[self.method].conflict(self) or self._unmatched():
            raise PydanticCustomError("conflict", "{reason}", {"reason": conflict})

    def _unmatched(self) -> str | None:
        """Say why the run that this one replays has no length to be matched, where the config says so."""
        if self.regularizer not in REPLAYED or (self.weight and self.n_tokens > 1 and (self.beta_h0 or self.beta_h1)):
            return None
        given = "weight=0" if not self.weight else "n_tokens=1" if self.n_tokens == 1 else "beta_h0=0, beta_h1=0"
        other = REPLAYED[self.regularizer]
        return f"{given}: {other} has no gradient then, and regularizer={self.regularizer} no length to match"

    @property
    def learning_rate(self) -> float:
        """Peak learning rate (``lr``, which is always set once the config is made)."""
        assert self.lr is not None
        return self.lr

    @property
    def replayed(self) -> "TuneConfig | None":
        """The run whose recorded lengths this one replays; None: this one replays nothing."""
        other = REPLAYED.get(self.regularizer)
        return None if other is None else dataclasses.replace(self, regularizer=other)


@dataclass(frozen=True, kw_only=True, config=STRICT)
class EvalConfig(Hashed):
    """One evaluation of a model, with or without a tuned prompt, on rows it was not tuned on.

    Raises
    ------
    pydantic.ValidationError
        As for ``TuneConfig``.
    """

    model: Annotated[str, Field(min_length=1)] = "smollm2-135m"
    """A name of ``python -m tslib models``, a hub id or a local folder."""
    task: TaskName = "gsm-symbolic"
    """A name of ``python -m tslib tasks``, or one of its subsets, such as bbh/navigate."""
    run: str = ""
    """Hash of the run whose tuned prompt is used; empty: the model as it is."""
    split: str = "heldout"
    """A split of the task, or ``heldout``: its test rows whose prompt is not among the training rows."""
    limit: Count = 100
    """Rows at most, drawn by ``seed``."""
    seed: Period = 0
    """Which rows, and which examples go before them."""
    shots: Period = 0
    """Solved training rows before each question (few-shot), of the same subset."""
    scoring: Literal["generate", "likelihood"] = "generate"
    """Greedy decoding, or the likeliest of the choices (closed questions only; one forward pass)."""
    max_new_tokens: Period = 0
    """Longest reply; 0: as the task says."""
    max_context: Count | None = None
    """Positions at most; None: as many as the model has."""
    projector: Annotated[str, Field(min_length=1)] = "vit-s14"
    """As for a run."""
    intervention: Literal["none", "question", "picture", "blocks"] = "none"
    """What the gate of a run with grasp goes by (`tslib.vision.gates`): what is asked and shown; another question or
    another picture, which the model itself does not see; or as it should, and the weights go to other blocks."""
    batch_size: Count = 32
    """Rows that are decoded together."""
    pass_tokens: Count = 8192
    """Positions that go through the model at once, padding included."""
    dtype: Dtype = "float32"
    """Precision of the model."""
    device: str = "auto"
    """As for a run."""


def explain(error: ValidationError) -> str:
    """Return a config's errors in one line: field, value, what is allowed."""
    known = [field.name for field in dataclasses.fields(EvalConfig if error.title == "EvalConfig" else TuneConfig)]
    parts = []
    for e in error.errors(include_url=False):
        message = e["msg"]
        if e["type"] == "unexpected_keyword_argument":
            message = f"unknown; known: {', '.join(known)}{', preset' if error.title == 'TuneConfig' else ''}"
        where = ".".join(map(str, e["loc"]))
        parts.append(message if e["type"] == "conflict" else f"{where or 'config'}={e['input']!r}: {message}")
    return "; ".join(parts)
