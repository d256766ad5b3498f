"""One pass of rows through the frozen model: the loss of their targets, and where the most probable token is right."""

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any
from weakref import WeakKeyDictionary

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn
from torch.nn import functional

from tslib.errors import InputError
from tslib.prompts.encoding import Encoded
from tslib.prompts.frozen import FrozenLinears, target_loss
from tslib.prompts.packing import States, pack, packed_attention
from tslib.prompts.passes import checkpointing
from tslib.prompts.question_cache import QuestionCache
from tslib.prompts.soft_prompt import IGNORE, SoftPrompt, model_inputs

__all__ = ["Outcome", "attends_by_interface", "forward", "packs"]


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
    packed: bool | None = None,
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
    packed
        Whether rows go through the model as one sequence (see `tslib.prompts.packing`), or padded to one length; by
        default as `packs` says.

    Raises
    ------
    InputError
        If there are states of questions and rows are padded.
    """
    packed = packs(model) if packed is None else packed
    pass_tokens = pass_tokens if grad else None
    if not packed:
        if questions is not None:
            raise InputError("states of questions are for models that take packed rows: give none")
        with torch.set_grad_enabled(grad), _kernels(model, packed):
            return _padded(model, prompt, rows, pass_tokens)
    past = [] if questions is None else [questions.states(row.question) for row in rows]
    with torch.set_grad_enabled(grad), _kernels(model, packed):
        return _packed(model, prompt, rows, past, pass_tokens)


@contextmanager
def _kernels(model: Any, packed: bool) -> Iterator[None]:
    with ExitStack() as stack:
        stack.enter_context(FrozenLinears())
        if packed:
            stack.enter_context(packed_attention(model))
        yield


def _packed(
    model: Any, prompt: SoftPrompt, rows: Sequence[Encoded], past: Sequence[States], pass_tokens: int | None
) -> Outcome:
    embed = model.get_input_embeddings()
    batch = pack(rows, prompt.inside, prompt.placement, past, prompt.states(), device=embed.weight.device)
    embedded = embed(batch.ids)
    sequence = torch.cat([prompt().to(embedded.dtype), embedded]).index_select(0, batch.order)  # (l, d)
    long = pass_tokens is not None and len(sequence) > pass_tokens
    with checkpointing(model, on=long, again=partial(_kernels, model, True)):
        hidden = model.base_model(
            inputs_embeds=sequence[None],
            position_ids=batch.positions[None],
            use_cache=False,
            packing=batch.packing,
        ).last_hidden_state[0]
    head = model.get_output_embeddings()
    # one that is the embedding, too, is on the first of several devices; what moves states there is not called here
    predicting = hidden.index_select(0, batch.predicting.to(hidden.device)).to(head.weight.device)
    loss, matches = target_loss(predicting, head, batch.targets.to(head.weight.device))
    by_row = matches.split([len(row.target) for row in rows])
    padded = nn.utils.rnn.pad_sequence(by_row, batch_first=True, padding_value=True, padding_side="left")
    return Outcome(loss / len(batch.targets), padded)


def _padded(model: Any, prompt: SoftPrompt, rows: Sequence[Encoded], pass_tokens: int | None) -> Outcome:
    batch, given = model_inputs(rows, prompt, model)
    # checkpointed layers would leave out the states of a prefix
    long = pass_tokens is not None and batch.ids.numel() > pass_tokens and "past_key_values" not in given
    with checkpointing(model, on=long, again=partial(_kernels, model, False)):
        logits = model(
            **given,
            use_cache=False,
            # only the positions that predict a target go through the output layer
            logits_to_keep=batch.targets.shape[1] + 1,
        ).logits[:, :-1]  # (b, t, vocabulary)
    targets = batch.targets.to(logits.device)  # the last of several devices, where the model is spread
    loss = functional.cross_entropy(logits.float().flatten(0, 1), targets.flatten(), ignore_index=IGNORE)
    return Outcome(loss, (logits.argmax(-1) == targets) | (targets == IGNORE))


_PACKS: "WeakKeyDictionary[Any, bool]" = WeakKeyDictionary()


def packs(model: Any) -> bool:
    """Whether a model computes the same for packed rows as for padded ones, which is tried once for each model.

    It does where nothing but attention carries information between positions, attention goes through transformers'
    interface, and the output layer is a linear one on top of the base model.
    """
    if model not in _PACKS:
        _PACKS[model] = attends_by_interface(model) and _same(model)
    return _PACKS[model]


def attends_by_interface(model: Any) -> bool:
    """Whether attention goes through transformers' interface, and the output layer is a linear one."""
    supported = getattr(model, "_supports_attention_backend", False)
    return bool(supported) and isinstance(model.get_output_embeddings(), nn.Linear)


def _same(model: Any) -> bool:
    embed = model.get_input_embeddings().weight
    generator = torch.Generator().manual_seed(0)

    def tokens(length: int) -> list[int]:
        return torch.randint(len(embed), (length,), generator=generator).tolist()

    start = tokens(3)  # questions that begin alike; after one or two more tokens they predict
    rows = [Encoded(start + tokens(own), tokens(target)) for own, target in ((1, 3), (4, 2), (1, 4))]
    prompt = SoftPrompt(embed[tokens(2)].float()).to(embed.device)
    one, other = (forward(model, prompt, rows, grad=False, packed=packed).loss for packed in (True, False))
    tolerance = 1e-4 if model.dtype == torch.float32 else 2e-2
    return bool(torch.isclose(one, other, rtol=tolerance, atol=0))
