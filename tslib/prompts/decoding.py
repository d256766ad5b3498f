"""Greedy decoding of several questions at once, each until its reply ends."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

import torch
from jaxtyping import Bool, Int
from torch import Tensor
from torch.nn import functional
from transformers import GenerationConfig, StoppingCriteria

from tslib.kernels.attention import packed_attention
from tslib.kernels.growing import Growing
from tslib.kernels.linears import frozen_linears
from tslib.prompts import probe
from tslib.prompts.encoding import Encoded, context_of, longest, stop_ids, until
from tslib.prompts.forward import embedded, hidden_states, logits_of, packs
from tslib.prompts.packing import pack
from tslib.prompts.soft_prompt import SoftPrompt, StatePrompt, model_inputs

__all__ = ["generate", "room_of"]

Way: TypeAlias = Literal["packed rows", "several rows", "one row"]
"""How replies are decoded: with states of our own, or by transformers, for several rows together or for each alone."""


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
    ends = _Ends(tokenizer, complete, sorted(stop_ids(tokenizer, model.generation_config)))
    replies = _decode(model, prompt, rows, rooms, [index for index, room in enumerate(rooms) if room], ends)
    return [until(replies.get(index, []), ends.stop) for index in range(len(rows))]


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


@dataclass(frozen=True)
class _Ends:
    """Where replies end.

    Attributes
    ----------
    complete
        Whether a text is a whole reply.
    stop
        Tokens that end every reply.
    """

    tokenizer: Any = None
    complete: Callable[[str], bool] | None = None
    stop: Sequence[int] = ()

    def at(self, row: Encoded, reply: Sequence[int]) -> bool:
        """Whether a reply has reached its end."""
        if reply[-1] in self.stop:
            return True
        if self.complete is None:
            return False
        # decode() strips; the end of a line is what many answers end with
        ids = [*row.target, *reply]
        text = self.tokenizer.decode(ids, skip_special_tokens=True, clean_up_tokenization_spaces=False)
        return self.complete(text)


def _decode(
    model: Any,
    prompt: SoftPrompt | None,
    rows: Sequence[Encoded],
    rooms: Sequence[int],
    chosen: Sequence[int],
    ends: _Ends,
) -> dict[int, list[int]]:
    """Replies of the rows that are chosen by their indices; each has room for a token at least."""
    if not chosen:
        return {}
    some, widths = [rows[index] for index in chosen], [rooms[index] for index in chosen]
    n_tokens = 0 if prompt is None else prompt.n_tokens
    positions = max(longest([row], n_tokens) + room for row, room in zip(some, widths, strict=True))
    if _is_right(model, prompt, positions, "packed rows"):
        return dict(zip(chosen, _decode_packed(model, prompt, some, widths, ends), strict=True))
    parts: Sequence[Sequence[int]] = []
    if len(set(widths)) > 1:  # rows that end before others would go on, as padding, past their last position
        parts = [[index for index in chosen if rooms[index] == room] for room in set(widths)]
    elif one_by_one := not _is_right(model, prompt, positions, "several rows"):
        parts = [[index] for index in chosen] if len(chosen) > 1 else []
    if parts:
        return {i: ids for part in parts for i, ids in _decode(model, prompt, rows, rooms, part, ends).items()}
    if one_by_one and not _is_right(model, prompt, positions, "one row"):
        return {chosen[0]: _step_by_step(model, prompt, some[0], widths[0], ends)}
    return dict(zip(chosen, _generate(model, prompt, some, widths[0], ends), strict=True))


def _decode_packed(
    model: Any, prompt: SoftPrompt | None, rows: Sequence[Encoded], rooms: Sequence[int], ends: _Ends
) -> list[list[int]]:
    """Decode with states of our own: what all share once, and rows that have ended leave."""
    embed, head = model.get_input_embeddings(), model.get_output_embeddings()
    device = embed.weight.device
    whole = [Encoded(row.question, [*row.target, 0]) for row in rows]  # the last of a target is not laid out
    placed: Any = {} if prompt is None else {"placement": prompt.placement, "before": prompt.states()}
    batch = pack(whole, 0 if prompt is None else prompt.inside, **placed, device=device)
    growing = Growing(batch.packing, rooms)
    replies: list[list[int]] = [[] for _ in rows]
    live = list(range(len(rows)))
    last = torch.tensor([len(row.target) for row in whole]).cumsum(0) - 1
    with frozen_linears(model), packed_attention(model):
        hidden = hidden_states(model, embedded(model, prompt, batch), batch.positions, growing)
        hidden = hidden.index_select(0, batch.predicting[last.to(device)].to(hidden.device))
        while True:
            tokens = head(hidden.to(head.weight.device)).argmax(-1).tolist()
            for place in reversed(range(len(live))):
                row = live[place]
                replies[row].append(tokens[place])
                if len(replies[row]) == rooms[row] or ends.at(rows[row], replies[row]):
                    growing.leave(place)
                    for own in (live, tokens):
                        own[place] = own[-1]
                        own.pop()
            if not live:
                return replies
            positions = growing.positions.to(device)
            hidden = hidden_states(model, embed(torch.tensor(tokens, device=device)), positions, growing)
            growing.grow()


def _generate(
    model: Any, prompt: SoftPrompt | None, rows: Sequence[Encoded], room: int, ends: _Ends
) -> list[list[int]]:
    """Decode with transformers."""
    _, given = model_inputs(rows, prompt, model)
    del given["position_ids"]  # as transformers counts them itself, past the padding
    before = given["attention_mask"].shape[1] - given["inputs_embeds"].shape[1]
    # transformers takes it that the embedded tokens begin with those whose states are there, and leaves these out
    given["inputs_embeds"] = functional.pad(given["inputs_embeds"], (0, 0, before, 0))
    pad = ends.stop[0] if ends.stop else 0
    how = GenerationConfig(max_new_tokens=room, do_sample=False, eos_token_id=list(ends.stop) or None, pad_token_id=pad)
    with _plain(model):
        ids = model.generate(**given, generation_config=how, stopping_criteria=[_Stops(ends, rows)])
    replies: list[list[int]] = ids.tolist()
    return replies


def _step_by_step(model: Any, prompt: SoftPrompt | None, row: Encoded, room: int, ends: _Ends) -> list[int]:
    """Decode without a cache, the whole row again for each token: slow, and right for every model."""
    reply: list[int] = []
    while len(reply) < room and not (reply and ends.at(row, reply)):
        logits = logits_of(model, prompt, [Encoded(row.question, [*row.target, *reply])], 1)
        reply.append(int(logits[0, -1].argmax()))
    return reply


def _is_right(model: Any, prompt: SoftPrompt | None, positions: int, way: Way) -> bool:
    """Whether what is decoded in a way are the most probable tokens."""
    inside = prompt is None or prompt.inside == prompt.n_tokens
    if way == "packed rows" and not packs(model, prompt, positions):
        return False
    tokens = probe.tokens(model, 2, 5)

    def attempt(rows: Sequence[Encoded]) -> bool:
        own, room = (SoftPrompt if inside else StatePrompt).of_tokens(model, tokens), 6
        if way == "packed rows":
            replies = _decode_packed(model, own, rows, [room] * len(rows), _Ends())
        else:
            replies = _generate(model, own, rows, room, _Ends())
        return all(_is_greedy(model, tokens, *pair) for pair in zip(rows, replies, strict=True))

    def short() -> bool:
        rows = [Encoded(probe.tokens(model, length, length), []) for length in (12, 5, 2)]
        return attempt(rows[:1] if way == "one row" else rows)

    def beyond(window: int) -> bool:
        rows = [Encoded(probe.tokens(model, window + 8, 11), []), Encoded(probe.tokens(model, 4), [])]
        return attempt(rows[:1] if way == "one row" else rows)

    what = f"decoding {way}"
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


class _Stops(StoppingCriteria):
    """Ends each row where its reply ends."""

    def __init__(self, ends: _Ends, rows: Sequence[Encoded]) -> None:
        self.ends, self.rows = ends, rows

    def __call__(self, input_ids: Int[Tensor, "b l"], scores: Any, **_: Any) -> Bool[Tensor, "b"]:
        replies = zip(self.rows, input_ids.tolist(), strict=True)
        return torch.tensor([self.ends.at(*pair) for pair in replies], device=input_ids.device)
