"""Greedy decoding of several questions at once, each until its reply ends."""

from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from jaxtyping import Bool, Int
from torch import Tensor
from torch.nn import functional
from transformers import GenerationConfig, StoppingCriteria

from tslib.prompts import probe
from tslib.prompts.encoding import Encoded, context_of, longest, stop_ids, until
from tslib.prompts.forward import logits_of
from tslib.prompts.soft_prompt import SoftPrompt, StatePrompt, model_inputs

__all__ = ["generate", "room_of"]


@torch.no_grad()
def generate(
    model: Any,
    tokenizer: Any,
    prompt: SoftPrompt | None,
    rows: Sequence[Encoded],
    *,
    max_new_tokens: int,
    max_context: int | None = None,
    complete: Callable[[str], bool] | None = None,
) -> list[list[int]]:
    """Token ids that greedy decoding puts after each row's question and target, without the one that ends a reply.

    Of the model's own settings for generation only the tokens that end a reply are used: others, such as a penalty on
    repetition, would make the reply one that is not greedy.

    Parameters
    ----------
    model, tokenizer
        Of transformers.
    prompt
        Soft prompt, or None.
    rows
        What is there already; an empty ``target`` starts a reply.
    max_new_tokens
        Longest reply; it also ends where the row's context does, whatever other rows there are.
    max_context
        Positions at most; None: as many as the model has.
    complete
        Ends the reply of a row as soon as this is true of its text, from the beginning of its target, besides the
        tokens that end every reply.
    """
    context, n_tokens = context_of(model, max_context), 0 if prompt is None else prompt.n_tokens
    rooms = [room_of(row, n_tokens, context, max_new_tokens) for row in rows]
    replies: dict[int, list[int]] = {}
    for room in set(rooms):  # rows that end before others would go on, as padding, past their last position
        here = [index for index, own in enumerate(rooms) if own == room]
        replies |= zip(here, _decode(model, tokenizer, prompt, [rows[i] for i in here], room, complete), strict=True)
    return [replies[index] for index in range(len(rows))]


def room_of(row: Encoded, n_tokens: int, context: int | None, max_new_tokens: int) -> int:
    """Tokens that a reply has at most.

    Parameters
    ----------
    row
        What is there already.
    n_tokens
        Virtual tokens of the soft prompt.
    context
        Positions there are; None for no limit.
    max_new_tokens
        Longest reply.
    """
    taken = n_tokens + len(row.question) + len(row.target)
    return max_new_tokens if context is None else max(0, min(max_new_tokens, context - taken))


def _decode(
    model: Any,
    tokenizer: Any,
    prompt: SoftPrompt | None,
    rows: Sequence[Encoded],
    room: int,
    complete: Callable[[str], bool] | None,
) -> list[list[int]]:
    """Replies of at most so many tokens each, for which all rows have room."""
    if not room:
        return [[] for _ in rows]
    n_tokens = 0 if prompt is None else prompt.n_tokens
    positions = longest(rows, n_tokens) + room
    one_by_one = not _generates(model, prompt, positions, together=True)
    if len(rows) > 1 and one_by_one:
        return [_decode(model, tokenizer, prompt, [row], room, complete)[0] for row in rows]
    stop = sorted(stop_ids(tokenizer, model.generation_config))
    ends = _Complete(tokenizer, complete, rows, stop) if complete else None
    if one_by_one and not _generates(model, prompt, positions, together=False):
        return [until(_step_by_step(model, prompt, rows[0], room, stop, ends), stop)]
    return [until(reply, stop) for reply in _generate(model, prompt, rows, room, stop, ends)]


def _generate(
    model: Any,
    prompt: SoftPrompt | None,
    rows: Sequence[Encoded],
    room: int,
    stop: Sequence[int] = (),
    ends: "_Complete | None" = None,
) -> list[list[int]]:
    """Decode with transformers."""
    _, given = model_inputs(rows, prompt, model)
    del given["position_ids"]  # as transformers counts them itself, past the padding
    before = given["attention_mask"].shape[1] - given["inputs_embeds"].shape[1]
    # transformers takes it that the embedded tokens begin with those whose states are there, and leaves these out
    given["inputs_embeds"] = functional.pad(given["inputs_embeds"], (0, 0, before, 0))
    how = GenerationConfig(
        max_new_tokens=room, do_sample=False, eos_token_id=list(stop) or None, pad_token_id=stop[0] if stop else 0
    )
    with _plain(model):
        ids = model.generate(**given, generation_config=how, stopping_criteria=[ends] if ends else None)
    replies: list[list[int]] = ids.tolist()
    return replies


def _step_by_step(
    model: Any,
    prompt: SoftPrompt | None,
    row: Encoded,
    room: int,
    stop: Sequence[int],
    ends: "_Complete | None",
) -> list[int]:
    """Decode without a cache, the whole row again for each token: slow, and right for every model."""
    reply: list[int] = []
    while len(reply) < room and not (reply and reply[-1] in stop):
        logits = logits_of(model, prompt, [Encoded(row.question, [*row.target, *reply])], 1)
        reply.append(int(logits[0, -1].argmax()))
        if ends is not None and ends(torch.tensor([reply]), None)[0]:
            break
    return reply


def _generates(model: Any, prompt: SoftPrompt | None, positions: int, *, together: bool) -> bool:
    """Whether what transformers decodes, of several rows together or of one, are the most probable tokens."""
    inside = prompt is None or prompt.inside == prompt.n_tokens
    tokens = probe.tokens(model, 2, 5)

    def attempt(rows: Sequence[Encoded]) -> bool:
        own = (SoftPrompt if inside else StatePrompt).of_tokens(model, tokens)
        replies = _generate(model, own, rows, room=6)
        return all(_is_greedy(model, tokens, *pair) for pair in zip(rows, replies, strict=True))

    def short() -> bool:
        rows = [Encoded(probe.tokens(model, length, length), []) for length in (12, 5, 2)]
        return attempt(rows if together else rows[:1])

    def beyond(window: int) -> bool:
        few = Encoded(probe.tokens(model, 4), [])
        return attempt([Encoded(probe.tokens(model, window + 8, 11), []), few][: 1 + together])

    what = "decoding several rows" if together else "decoding one row"
    return probe.right_for(model, what if inside else f"{what} behind states", positions, short, beyond)


def _is_greedy(model: Any, virtual: Sequence[int], row: Encoded, reply: Sequence[int]) -> bool:
    """Whether each token of a reply is the most probable one, to rounding, behind all that is before it."""
    whole = Encoded([*virtual, *row.question], [*row.target, *reply])
    logits = logits_of(model, None, [whole], len(reply) + 1)[0, :-1].float()  # (t, vocabulary)
    chosen = logits.gather(-1, torch.tensor(reply, device=logits.device)[:, None])[:, 0]
    little = 1e-3 if model.dtype == torch.float32 else 0.1
    return bool((logits.amax(-1) - chosen <= little * logits.std(-1)).all())


@contextmanager
def _plain(model: Any) -> Iterator[None]:
    """Take away a model's settings for generation, from which ``generate`` fills in all that it was not told."""
    own, model.generation_config = model.generation_config, GenerationConfig()
    try:
        yield
    finally:
        model.generation_config = own


class _Complete(StoppingCriteria):
    """Ends each row whose text is complete."""

    def __init__(
        self, tokenizer: Any, complete: Callable[[str], bool], rows: Sequence[Encoded], stop: Collection[int]
    ) -> None:
        self.tokenizer, self.complete, self.stop = tokenizer, complete, stop
        self.starts = [row.target for row in rows]

    def __call__(self, input_ids: Int[Tensor, "b l"], scores: Any, **_: Any) -> Bool[Tensor, "b"]:
        # decode() strips; the end of a line is what many answers end with
        ids = [start + until(reply, self.stop) for start, reply in zip(self.starts, input_ids.tolist(), strict=True)]
        texts = self.tokenizer.batch_decode(ids, skip_special_tokens=True, clean_up_tokenization_spaces=False)
        return torch.tensor([self.complete(text) for text in texts], device=input_ids.device)
