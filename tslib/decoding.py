"""Greedy decoding of several questions at once, each until its reply ends."""

import math
from collections.abc import Callable, Sequence
from typing import Any

import torch
from jaxtyping import Bool, Int
from torch import Tensor
from transformers import GenerationConfig, StoppingCriteria

from tslib.encoding import Encoded, context_of, stop_ids
from tslib.prompts import SoftPrompt, lay_out

__all__ = ["generate"]


@torch.no_grad()
def generate(
    model: Any,
    tokenizer: Any,
    prompt: SoftPrompt | None,
    rows: Sequence[Encoded],
    *,
    max_new_tokens: int,
    complete: Callable[[str], bool] | None = None,
) -> list[list[int]]:
    """Token ids that greedy decoding puts after each row's question and target.

    Parameters
    ----------
    model, tokenizer
        Of transformers.
    prompt
        Soft prompt, or None.
    rows
        What is there already; an empty ``target`` starts a reply.
    max_new_tokens
        Longest reply; it also ends where the context does.
    complete
        Ends the reply of a row as soon as this is true of its text, from the beginning of its target, besides the
        tokens that end every reply.
    """
    batch, embeddings = lay_out(rows, prompt, model)
    stop = sorted(stop_ids(tokenizer, model.generation_config))
    room = (context_of(model) or math.inf) - batch.ids.shape[1]
    settings = GenerationConfig(
        max_new_tokens=int(min(max_new_tokens, room)),
        do_sample=False,
        eos_token_id=stop,
        pad_token_id=stop[0],
    )
    ids = model.generate(
        inputs_embeds=embeddings,
        attention_mask=batch.attention,
        generation_config=settings,
        stopping_criteria=[_Complete(tokenizer, complete, rows)] if complete else None,
    )
    tokens: list[list[int]] = ids.tolist()
    return tokens


class _Complete(StoppingCriteria):
    """Ends each row whose text is complete."""

    def __init__(self, tokenizer: Any, complete: Callable[[str], bool], rows: Sequence[Encoded]) -> None:
        self.tokenizer, self.complete, self.starts = tokenizer, complete, [row.target for row in rows]

    def __call__(self, input_ids: Int[Tensor, "b l"], scores: Any, **_: Any) -> Bool[Tensor, "b"]:
        # decode() strips; the end of a line is what many answers end with
        replies = [start + ids for start, ids in zip(self.starts, input_ids.tolist(), strict=True)]
        texts = self.tokenizer.batch_decode(replies, skip_special_tokens=True, clean_up_tokenization_spaces=False)
        return torch.tensor([self.complete(text) for text in texts], device=input_ids.device)
