"""One pass of rows through the frozen model: the loss of their targets, and where the most probable token is right."""

import math
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any, Literal, TypeAlias

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn
from torch.nn import functional

from tslib.errors import InputError
from tslib.kernels.attention import packed_attention
from tslib.kernels.growing import Growing
from tslib.kernels.layout import Packing, States
from tslib.kernels.linears import frozen_linears
from tslib.kernels.target_loss import target_loss
from tslib.prompts import probe
from tslib.prompts.encoding import Encoded, longest
from tslib.prompts.packing import Packed, pack
from tslib.prompts.passes import checkpointing
from tslib.prompts.question_cache import QuestionCache
from tslib.prompts.soft_prompt import IGNORE, SoftPrompt, StatePrompt, model_inputs, row_inputs

__all__ = [
    "Outcome",
    "Way",
    "attends_by_interface",
    "caches_questions",
    "embedded",
    "forward",
    "hidden_states",
    "keeps_states",
    "logits_of",
    "packs",
    "pads",
    "way_of",
]

Way: TypeAlias = Literal["packed", "padded", "alone"]
"""How rows go through a model: as one sequence (see `tslib.prompts.packing`), padded to one length, or one by one."""


@dataclass
class Outcome:
    """What a batch says.

    Attributes
    ----------
    loss
        Mean cross-entropy of its target tokens, in nats.
    matches
        (b, t) whether the most probable token is the target, padded on the left with true.
    """

    loss: Float[Tensor, ""]
    matches: Bool[Tensor, "b t"]

    @property
    def exact(self) -> Bool[Tensor, "b"]:
        """Whether the exact criterion holds: the most probable token is the target at every position."""
        return self.matches.all(-1)


def forward(
    model: Any,
    prompt: SoftPrompt,
    rows: Sequence[Encoded],
    *,
    grad: bool,
    questions: QuestionCache | None = None,
    pass_tokens: int | None = None,
    way: Way | None = None,
) -> Outcome:
    """Loss and matches of some rows behind a soft prompt.

    Parameters
    ----------
    model
        A frozen causal model of transformers.
    prompt
        The soft prompt.
    rows
        Encoded examples, with a target each.
    grad
        Whether the loss is to be differentiated.
    questions
        States of the questions, for a prompt that is a suffix; None: questions go through the model with the rest.
    pass_tokens
        Positions beyond which activations are not kept, but computed again in the backward pass.
    way
        How rows go through the model; by default as `way_of` says. One that is given is taken, right or not.

    Raises
    ------
    InputError
        If there are states of questions and rows are not packed.
    """
    pass_tokens = pass_tokens if grad else None
    if way is None:
        positions = longest(rows, prompt.n_tokens)
        way = way_of(model, prompt, positions)
        if pass_tokens is not None and positions * len(rows) > pass_tokens and not _computes_again(model, way):
            pass_tokens = None
    if questions is not None and way != "packed":
        raise InputError("states of questions are for models that take packed rows: give none")
    return _run(model, prompt, rows, way, grad=grad, questions=questions, pass_tokens=pass_tokens)


def _run(
    model: Any,
    prompt: SoftPrompt,
    rows: Sequence[Encoded],
    way: Way,
    *,
    grad: bool = True,
    questions: QuestionCache | None = None,
    pass_tokens: int | None = None,
) -> Outcome:
    past = [] if questions is None else [questions.states(row.question) for row in rows]
    with torch.set_grad_enabled(grad), _kernels(model, way):
        if way == "packed":
            return _packed(model, prompt, rows, past, pass_tokens)
        return (_padded if way == "padded" else _alone)(model, prompt, rows, pass_tokens)


@contextmanager
def _kernels(model: Any, way: Way) -> Iterator[None]:
    with ExitStack() as stack:
        if way != "alone":
            stack.enter_context(frozen_linears(model))
        if way == "packed":
            stack.enter_context(packed_attention(model))
        yield


def _packed(
    model: Any, prompt: SoftPrompt, rows: Sequence[Encoded], past: Sequence[States], pass_tokens: int | None
) -> Outcome:
    device = model.get_input_embeddings().weight.device
    batch = pack(rows, prompt.inside, prompt.placement, past, prompt.states(), device=device)
    long = pass_tokens is not None and len(batch.order) > pass_tokens
    with checkpointing(model, on=long, again=partial(_kernels, model, "packed")):
        hidden = hidden_states(model, embedded(model, prompt, batch), batch.positions, batch.packing)
    head = model.get_output_embeddings()
    # one that is the embedding, too, is on the first of several devices; what moves states there is not called here
    predicting = hidden.index_select(0, batch.predicting.to(hidden.device)).to(head.weight.device)
    loss, matches = target_loss(predicting, head, batch.targets.to(head.weight.device))
    return Outcome(loss / len(batch.targets), _by_row(matches.split([len(row.target) for row in rows])))


def embedded(model: Any, prompt: SoftPrompt | None, batch: Packed) -> Float[Tensor, "l d"]:
    """Return what enters the model at each position of a packed sequence."""
    tokens = model.get_input_embeddings()(batch.ids)
    virtual = [] if prompt is None else [prompt().to(tokens.dtype)]
    sequence: Tensor = torch.cat([*virtual, tokens]).index_select(0, batch.order)
    return sequence


def hidden_states(
    model: Any, sequence: Float[Tensor, "l d"], positions: Int[Tensor, "l"], packing: Packing | Growing
) -> Float[Tensor, "l d"]:
    """Return what would enter the output layer, where attention is packed.

    Parameters
    ----------
    model
        Of transformers, within `tslib.kernels.attention.packed_attention`.
    sequence
        What enters it.
    positions
        Of each in its own row.
    packing
        Whose they are.
    """
    hidden: Tensor = model.base_model(
        inputs_embeds=sequence[None], position_ids=positions[None], use_cache=False, packing=packing
    ).last_hidden_state[0]
    return hidden


def _by_row(matches: Sequence[Bool[Tensor, "_"]]) -> Bool[Tensor, "b t"]:
    padded: Tensor = nn.utils.rnn.pad_sequence(list(matches), batch_first=True, padding_value=True, padding_side="left")
    return padded


def _padded(model: Any, prompt: SoftPrompt, rows: Sequence[Encoded], pass_tokens: int | None) -> Outcome:
    batch, given = model_inputs(rows, prompt, model)
    # layers that are computed again would write the states of a prefix twice
    long = pass_tokens is not None and batch.ids.numel() > pass_tokens and "past_key_values" not in given
    with checkpointing(model, on=long, again=partial(_kernels, model, "padded")):
        logits = model(
            **given,
            **probe.keeping(model, keep := batch.targets.shape[1] + 1),  # only these go through the output layer
            use_cache=False,
        ).logits[:, -keep:-1]  # (b, t, vocabulary)
    targets = batch.targets.to(logits.device)  # the last of several devices, where the model is spread
    loss = functional.cross_entropy(logits.float().flatten(0, 1), targets.flatten(), ignore_index=IGNORE)
    return Outcome(loss, (logits.argmax(-1) == targets) | (targets == IGNORE))


def _alone(model: Any, prompt: SoftPrompt, rows: Sequence[Encoded], pass_tokens: int | None) -> Outcome:
    """Each row as transformers has it, without mask, padding and kernels of ours."""
    losses, matches = [], []
    for row in rows:
        given = row_inputs(row, prompt, model)
        long = pass_tokens is not None and given["inputs_embeds"].shape[1] > pass_tokens
        with checkpointing(model, on=long and "past_key_values" not in given):
            keep = len(row.target) + 1
            logits = model(**given, **probe.keeping(model, keep), use_cache=False).logits[
                0, -keep:-1
            ]  # (t, vocabulary)
        targets = torch.tensor(row.target, device=logits.device)
        losses.append(functional.cross_entropy(logits.float(), targets, reduction="sum").to(prompt.weight.device))
        matches.append(logits.argmax(-1) == targets)
    return Outcome(torch.stack(losses).sum() / sum(len(row.target) for row in rows), _by_row(matches))


@torch.no_grad()
def logits_of(model: Any, prompt: SoftPrompt | None, rows: Sequence[Encoded], keep: int) -> Float[Tensor, "b k v"]:
    """Logits of the last positions of each row; zeros where a row has fewer.

    Parameters
    ----------
    model, prompt, rows
        As for `forward`; without a prompt, rows as they are.
    keep
        How many positions.
    """
    if pads(model, prompt, longest(rows, 0 if prompt is None else prompt.n_tokens)):
        _, given = model_inputs(rows, prompt, model)
        logits: Tensor = model(**given, **probe.keeping(model, keep), use_cache=False).logits[:, -keep:]
        return logits
    inputs = [row_inputs(row, prompt, model) for row in rows]
    each = [model(**given, **probe.keeping(model, keep), use_cache=False).logits[0, -keep:] for given in inputs]
    return torch.stack([functional.pad(own, (0, 0, keep - len(own), 0)) for own in each])


def way_of(model: Any, prompt: SoftPrompt, positions: int) -> Way:
    """How rows behind a prompt go through a model: packed where that is right, else padded, else one by one.

    Parameters
    ----------
    model, prompt
        As for `forward`.
    positions
        Positions of the positions row, with the prompt's.

    Raises
    ------
    InputError
        If the model is none that prompts can be tuned on (see `tslib.prompts.probe.check`).
    """
    probe.check(model)
    if prompt.inside < prompt.n_tokens:
        check_states(model, positions)
    if packs(model, prompt, positions):
        return "packed"
    return "padded" if pads(model, prompt, positions) else "alone"


def packs(model: Any, prompt: SoftPrompt | None = None, positions: int = 0) -> bool:
    """Whether a model computes the same for packed rows as for each alone; parameters as for `way_of`.

    It does where nothing but attention carries information between positions, attention goes through transformers'
    interface, and the output layer is a linear one on top of the base model.
    """
    ends = attends_by_interface(model) and probe.ask(model, "ends in its head", lambda: probe.ends_in_its_head(model))
    return ends and _is_right(model, "packed", prompt, positions)


def pads(model: Any, prompt: SoftPrompt | None = None, positions: int = 0) -> bool:
    """Whether a model computes the same for rows that are padded on the left as for each alone."""
    return _is_right(model, "padded", prompt, positions)


def keeps_states(model: Any, positions: int = 0) -> bool:
    """Whether keys and values of tokens, before a row, do what the tokens do: so a prefix in every layer can be had."""

    def attempt(rows: Sequence[Encoded]) -> Tensor:
        return forward(model, _example(model, inside=False), rows, grad=False, way="alone").loss

    @torch.no_grad()
    def short() -> bool:
        rows, prompt = probe.ragged(model), _example(model)
        expected = probe.plain(model, prompt, rows)
        effect = (expected - probe.plain(model, SoftPrompt(prompt.weight[:0]), rows)).abs()
        return probe.is_little((attempt(rows) - expected).abs(), effect, expected, model)

    return probe.right_for(model, "keeps states", positions, short, _beyond(model, _example(model), attempt))


def check_states(model: Any, positions: int = 0) -> None:
    """Check that a prefix in every layer can be had.

    Raises
    ------
    InputError
        If it cannot.
    """
    if not keeps_states(model, positions):
        raise InputError(
            f"{type(model).__name__} goes by more than the keys and values that it keeps: take a method whose prompt "
            "stands among the embedded tokens, prompt-tuning or p-tuning"
        )


def caches_questions(model: Any, positions: int = 0) -> bool:
    """Whether a prompt behind the kept states of its question does what it does behind the question."""
    prompt, kept = _example(model, placement="suffix"), QuestionCache(model, math.inf)

    def attempt(rows: Sequence[Encoded], grad: bool = False) -> Tensor:
        return forward(model, prompt, rows, grad=grad, way="packed", questions=kept).loss

    def short() -> bool:
        return _agree(model, prompt, lambda rows: probe.plain(model, prompt, rows), partial(attempt, grad=True))

    beyond = _beyond(model, prompt, attempt)
    return packs(model) and probe.right_for(model, "caches questions", positions, short, beyond)


def _is_right(model: Any, way: Way, prompt: SoftPrompt | None, positions: int) -> bool:
    """Whether a way gives the loss and the gradient that each row has alone."""
    inside = prompt is None or prompt.inside == prompt.n_tokens
    what = f"{way} rows" if inside else f"{way} rows behind states"

    def attempt(rows: Sequence[Encoded]) -> Tensor:
        return forward(model, _example(model, inside=inside), rows, grad=False, way=way).loss

    def short() -> bool:
        own = _example(model, inside=inside)

        def right(rows: Sequence[Encoded]) -> Tensor:
            return probe.plain(model, own, rows) if inside else forward(model, own, rows, grad=True, way="alone").loss

        return _agree(model, own, right, lambda rows: forward(model, own, rows, grad=True, way=way).loss)

    return probe.right_for(model, what, positions, short, _beyond(model, _example(model), attempt))


def _computes_again(model: Any, way: Way) -> bool:
    """Whether a way gives the same loss and gradient where activations are not kept, but computed again."""
    prompt = _example(model)

    def loss(rows: Sequence[Encoded], most: int | None = None) -> Tensor:
        return _run(model, prompt, rows, way, pass_tokens=most).loss

    attempt = partial(_agree, model, prompt, loss, partial(loss, most=1))
    return probe.ask(model, f"{way} rows, computed again", attempt)


def _example(model: Any, *, inside: bool = True, placement: Literal["prefix", "suffix"] = "prefix") -> SoftPrompt:
    """Return a prompt of two real tokens: as embedded, or as the states that they leave in every layer."""
    tokens = probe.tokens(model, 2, 5)
    if not inside:
        return StatePrompt.of_tokens(model, tokens)
    return SoftPrompt.of_tokens(model, tokens, placement)


Loss: TypeAlias = Callable[[Sequence[Encoded]], Tensor]


def _agree(model: Any, prompt: SoftPrompt, one: Loss, other: Loss) -> bool:
    """Whether two ways give the same loss of short rows, and the same gradient."""
    with torch.enable_grad():
        rows = probe.ragged(model)
        return probe.agrees(model, *(probe.differentiated(loss(rows), prompt) for loss in (one, other)))


def _beyond(model: Any, prompt: SoftPrompt, attempt: Loss) -> Callable[[int], bool]:
    """Whether a way gives the loss that the model itself gives behind a prompt of tokens, beyond a window."""
    return lambda window: probe.reaches(model, window, attempt, lambda rows: probe.plain(model, prompt, rows))


def attends_by_interface(model: Any) -> bool:
    """Whether attention goes through transformers' interface, and the output layer is a linear one."""
    supported = getattr(model, "_supports_attention_backend", False)
    return bool(supported) and isinstance(model.get_output_embeddings(), nn.Linear)
