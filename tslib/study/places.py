"""What a tuned prompt that is tied to places does with some questions about pictures."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any, NamedTuple, cast

import numpy as np
import pandas as pd
import torch
from jaxtyping import Float
from numpy import ndarray

from tslib.models import loading as models
from tslib.prompts import probe
from tslib.prompts.encoding import Encoded, context_of, encode_all
from tslib.prompts.forward import forward
from tslib.records.record import RunRecord
from tslib.tasks import Example
from tslib.vision.gates import chosen, gradient_of_scores, spread
from tslib.vision.grasp import TRAINED, GraspPrompt
from tslib.vision.questions import quarter_of
from tslib.vision.sight import positions, seeing

__all__ = ["Places", "places"]


class Places(NamedTuple):
    """What a run's prompts do with some rows.

    Attributes
    ----------
    weights
        (u, N) of the blocks, at the end of the run, row by row.
    chosen
        Of `tslib.vision.gates.chosen`, at the end, row by row.
    fused
        (u, m · d) the rows' prompts, by checkpoint.
    banks
        (N, m · d) the bank, by checkpoint.
    course
        One row a checkpoint: ``step``; ``spread`` of the blocks' prompts; ``gradient``, the mean length of that of the
        gate's scores over the rows (NaN without scores); and the means of `MEASURES`, ``right`` over the questions that
        name a quarter (NaN without any).
    """

    weights: Float[ndarray, "u n"]
    chosen: pd.DataFrame
    fused: dict[int, Float[ndarray, "u k"]]
    banks: dict[int, Float[ndarray, "n k"]]
    course: pd.DataFrame


def places(record: RunRecord, examples: Sequence[Example]) -> Places:
    """Let the prompts of a run's checkpoints look at rows.

    Parameters
    ----------
    record
        Of a run with ``method="grasp"``, with its prompts.
    examples
        Rows of a task with pictures.
    """
    fused, banks, course = {}, {}, []
    with _seen(record, examples) as (model, rows):
        for step, values in record.prompts.items():
            start = f"{step}/"
            beside = {name[len(start) :]: value for name, value in record.beside.items() if name.startswith(start)}
            prompt = cast("GraspPrompt", GraspPrompt.resume(record.config, model, values, beside))
            numbers = prompt.sight.pairs_of(rows)
            pairs = [list(prompt.sight.pairs)[number] for number in numbers]
            found = chosen(prompt, pairs)
            with torch.no_grad():
                weights = prompt.weights(pairs).cpu().numpy()
                fused[step] = prompt.fuse(numbers).flatten(1).cpu().numpy()
            banks[step] = prompt.bank.detach().flatten(1).cpu().numpy()
            gradient = _pull(model, prompt, rows) if record.config.gate in TRAINED else np.nan
            about = {"step": step, "spread": spread(prompt.bank.detach()), "gradient": gradient}
            named = [quarter_of(pair.question) is not None for pair in pairs]
            course.append(about | found.mean().to_dict() | {"right": float(found["right"][named].mean())})
    return Places(weights, found, fused, banks, pd.DataFrame(course))


def _pull(model: Any, prompt: GraspPrompt, rows: Sequence[Encoded]) -> float:
    """Mean length of the gradient of the scores over rows, of the loss of each row by itself."""
    lengths = []
    for row in rows:
        pair = list(prompt.sight.pairs)[prompt.sight.pairs_of([row])[0]]
        with torch.no_grad():
            fused = prompt.fuse(prompt.sight.pairs_of([row]))
        fused.requires_grad_()
        prompt.sight.fuse = lambda _, fused=fused: fused
        forward(model, prompt, [row], grad=True, way="alone").loss.backward()
        prompt.sight.fuse = prompt.fuse
        assert fused.grad is not None
        lengths.append(float(gradient_of_scores(prompt, [pair], fused.grad).norm()))
    return float(np.mean(lengths))


@contextmanager
def _seen(record: RunRecord, examples: Sequence[Example]) -> Iterator[tuple[Any, list[Encoded]]]:
    config = record.config
    model, tokenizer = cast("tuple[Any, Any]", models.shared_model(config.model, config.device, config.dtype))
    probe.remember(model, config.model)
    rows = encode_all(
        tokenizer,
        examples,
        n_tokens=config.n_tokens + positions(examples),
        context=context_of(model, config.max_context),
        vocabulary=len(model.get_input_embeddings().weight),
    )
    with seeing(config, model, tokenizer, examples, rows, run=config, progress=False) as seen:
        yield model, seen
