"""What decoding costs: transformers' ``generate`` and ours, in turns, with the same questions."""

import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from itertools import zip_longest
from typing import Any, cast

import torch
from transformers import GenerationConfig

from tslib.models import loading as models
from tslib.prompts import decoding, probe
from tslib.prompts.encoding import encode, stop_ids, until
from tslib.study.bench.cost import settled, spent
from tslib.tasks import load_task

__all__ = ["decode", "profile"]

Reply = list[int]

TASK = "gsm-symbolic"
TOKENS = 96
"""Longest reply."""


@torch.no_grad()
def decode(rows: int, tokens: int = TOKENS, rounds: int = 3, *, model: str = "smollm2-135m") -> dict[str, Any]:
    """Time greedy replies to training questions, in two ways in turns: on the CPU, float32, without a prompt.

    Parameters
    ----------
    rows
        Questions that are decoded together.
    tokens
        Longest reply; one that ends before is as long for both.
    rounds
        Turns, after one that is not counted.
    model
        As in ``TuneConfig``.

    Returns
    -------
    dict
        ``rows``, ``tokens``; ``seconds`` of each way, ``generate`` (transformers') and ``ours``; ``alike``: the share
        of the tokens, both ways' replies laid over each other, in which they agree.
    """
    ways = _ways(rows, tokens, model)
    replies = {way: decoded() for way, decoded in ways.items()}
    seconds: dict[str, list[float]] = {way: [] for way in ways}
    for _ in range(rounds):
        for way, decoded in ways.items():
            settled()
            begun = time.perf_counter()
            decoded()
            settled()
            seconds[way].append(round(time.perf_counter() - begun, 4))
    return {"rows": rows, "tokens": tokens, "seconds": seconds, "alike": _alike(*replies.values())}


@torch.no_grad()
def profile(rows: int, tokens: int = TOKENS, *, model: str = "smollm2-135m") -> dict[str, float]:
    """Seconds of our way by what they are spent on: see ``decode`` and `tslib.study.bench.cost.spent`."""
    ours = _ways(rows, tokens, model)["ours"]
    ours()
    return spent(ours)


def _ways(rows: int, tokens: int, model: str) -> dict[str, Callable[[], list[Reply]]]:
    loaded, tokenizer = cast("tuple[Any, Any]", models.shared_model(model, "cpu", "float32"))
    probe.remember(loaded, model)
    asked = [replace(encode(tokenizer, example), target=[]) for example in load_task(TASK, "train", limit=rows)]
    ends = sorted(stop_ids(tokenizer, loaded.generation_config))
    width = max(len(row.question) for row in asked)
    ids = torch.tensor([[ends[0]] * (width - len(row.question)) + row.question for row in asked])
    mask = torch.tensor([[0] * (width - len(row.question)) + [1] * len(row.question) for row in asked])
    how = GenerationConfig(max_new_tokens=tokens, do_sample=False, eos_token_id=ends, pad_token_id=ends[0])

    def theirs() -> list[Reply]:
        found = loaded.generate(input_ids=ids, attention_mask=mask, generation_config=how)[:, width:]
        return [until(reply, ends) for reply in found.tolist()]

    def ours() -> list[Reply]:
        return decoding.generate(loaded, tokenizer, None, asked, max_new_tokens=tokens)

    return {"generate": theirs, "ours": ours}


def _alike(some: Sequence[Reply], others: Sequence[Reply]) -> float:
    same = [one == other for pair in zip(some, others, strict=True) for one, other in zip_longest(*pair)]
    return sum(same) / len(same) if same else 1.0
