"""Greedy decoding of several questions at once, each until its reply ends."""

import math
from collections.abc import Callable, Sequence
from typing import Any

import torch
from jaxtyping import Bool, Int
from torch import Tensor
from torch.nn import functional
from transformers import GenerationConfig, StoppingCriteria

from tslib.prompts.encoding import Encoded, context_of, stop_ids
from tslib.prompts.forward import pads
from tslib.prompts.soft_prompt import SoftPrompt, model_inputs

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
    if len(rows) > 1 and not pads(model, prompt):
        settings: dict[str, Any] = {"max_new_tokens": max_new_tokens, "complete": complete}
        return [generate(model, tokenizer, prompt, [row], **settings)[0] for row in rows]
    _, given = model_inputs(rows, prompt, model)
    del given["position_ids"]  # as transformers counts them itself, past the padding
    before = given["attention_mask"].shape[1] - given["inputs_embeds"].shape[1]
    # transformers takes it that the embedded tokens begin with those whose states are there, and leaves these out
    given["inputs_embeds"] = functional.pad(given["inputs_embeds"], (0, 0, before, 0))
    stop = sorted(stop_ids(tokenizer, model.generation_config))
    room = (context_of(model) or math.inf) - given["attention_mask"].shape[1]
    how = GenerationConfig(
        max_new_tokens=int(min(max_new_tokens, room)),
        do_sample=False,
        eos_token_id=stop,
        pad_token_id=stop[0],
    )
    ids = model.generate(
        **given,
        generation_config=how,
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
