"""What a model knows of rows it was not tuned on: the scores of its replies, and the loss of the right answers."""

import dataclasses
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, cast

import numpy as np
import pandas as pd
import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional
from tqdm import tqdm

from tslib import stats
from tslib.config import METHODS, EvalConfig
from tslib.errors import InputError, ResourceError
from tslib.models import chat
from tslib.models import loading as models
from tslib.prompts import probe
from tslib.prompts.decoding import generate, room_of
from tslib.prompts.encoding import Encoded, context_of, decode, encode, encode_all
from tslib.prompts.forward import logits_of
from tslib.prompts.passes import in_passes
from tslib.prompts.soft_prompt import IGNORE, SoftPrompt, collate
from tslib.records.provenance import check_weights, environment
from tslib.records.record import RunRecord
from tslib.runs.evaluations import Evaluation, EvaluationStore, of_config, of_run
from tslib.tasks import Example, few_shot, find_task, load_task, shuffled
from tslib.vision.gates import watched
from tslib.vision.sight import positions, seeing, seen_by

__all__ = ["Evaluation", "EvaluationStore", "evaluate", "of_config", "of_run"]


def evaluate(config: EvalConfig, record: RunRecord | None = None, *, progress: bool = True) -> Evaluation:
    """Let a model answer rows of a task, and score the replies by the task's own rule.

    Parameters
    ----------
    config
        The evaluation.
    record
        The run whose last prompt is used, with the solved examples that it had; None for the model as it is.
    progress
        Show a progress bar with the mean score so far.

    Raises
    ------
    InputError
        If a row cannot be encoded or does not fit into the context, the task's questions are open and likelihood was
        asked for, or a loss is not finite.
    ResourceError
        If rows, model or the run's prompt cannot be had.
    """
    if config.run != (record.config.hash if record else ""):
        raise InputError(f"the config names run {config.run!r}, which is not the record given: use of_run")
    if record is not None:
        check_weights(
            record.environment, config.model, f"run {config.run}", "tune it again (--force) or put those back"
        )
    started = time.time()
    task = find_task(config.task)
    shots = _shots(config, record)
    examples = shuffled(load_task(config.task, config.split), config.seed)[: config.limit]
    if config.scoring == "likelihood" and not all(example.choices for example in examples):
        raise InputError(f"likelihood needs the choices of a closed question, {task.name} has open ones: use generate")
    loaded = models.shared_model(config.model, config.device, config.dtype)
    model, tokenizer = cast("Any", loaded.model), loaded.tokenizer
    probe.remember(model, config.model)
    probe.check(model)
    longest = config.max_new_tokens or task.max_new_tokens
    context, virtual = context_of(model, config.max_context), 0 if record is None else record.config.n_tokens
    rows = encode_all(
        tokenizer,
        examples,
        shots=shots,
        n_tokens=virtual + positions(examples),
        context=context,
        vocabulary=len(model.get_input_embeddings().weight),
        reply=longest if config.scoring == "generate" else 0,
        cut_middle=task.cuts_middle,
    )
    run = None if record is None else record.config
    with seeing(config, model, tokenizer, examples, rows, run=run, shots=config.shots, progress=progress) as seen:
        prompt = None if record is None else _tuned_prompt(record, model)
        measured = watched(prompt, seen, config.intervention, config.seed)
        judge = _Judge(config, model, tokenizer, prompt, longest, shots)
        outcomes, projector = _outcomes(judge, examples, seen, progress), seen_by(model)
    table = pd.DataFrame([{"id": example.id} | outcomes[example.id] for example in examples]).join(measured)
    if not np.isfinite(table["answer_loss"]).all():
        raise InputError(f"{config.model} in {config.dtype} gives losses that are not finite: use float32 or bfloat16")
    rooms = [room_of(dataclasses.replace(row, target=[]), judge.n_tokens, context, longest) for row in seen]
    interval = stats.mean_score(table["score"].to_numpy())
    results: dict[str, int | float] = {
        "score": interval.value,
        "low": interval.low,
        "high": interval.high,
        "answer_loss": float(table["answer_loss"].mean()),
        "rows": len(table),
        "cut": sum(row.cut for row in rows),
        "unfinished": int((table["tokens"] >= rooms).sum()),
        "seconds": round(time.time() - started, 3),
    }
    device = model.get_input_embeddings().weight.device
    return Evaluation(
        config, results, environment(config.model, device, started) | chat.dated(tokenizer) | projector, table
    )


def _outcomes(
    judge: "_Judge", examples: Sequence[Example], rows: Sequence[Encoded], progress: bool
) -> dict[str, dict[str, float]]:
    """Judge rows, the shorter first; by their ids."""
    config, outcomes = judge.config, dict[str, dict[str, float]]()
    order = sorted(range(len(rows)), key=lambda index: len(rows[index].question))
    in_order = [rows[index] for index in order]
    sizes = (judge.n_tokens, config.pass_tokens, config.batch_size)
    with tqdm(total=len(rows), desc=f"{config.task} {config.split}", disable=not progress, leave=False) as bar:
        for part in in_passes(in_order, *sizes, vocabulary=0):  # the losses are divided further
            chosen = [order[index] for index in part]
            batch = [examples[index] for index in chosen]
            for example, outcome in zip(batch, judge.judge(batch, [rows[i] for i in chosen]), strict=True):
                outcomes[example.id] = outcome
            bar.update(len(chosen))
            bar.set_postfix(score=f"{sum(o['score'] for o in outcomes.values()) / len(outcomes):.3f}")
    return outcomes


def _shots(config: EvalConfig, record: RunRecord | None) -> Callable[[Example], list[Example]]:
    if record is None:
        return few_shot(config.task, config.shots, config.seed)
    run = record.config
    return few_shot(run.task, run.shots, run.sample_seed, skip=run.samples)


def _tuned_prompt(record: RunRecord, model: Any) -> SoftPrompt:
    if not record.prompts:
        raise ResourceError(
            f"the prompts of run {record.config.hash} are not in this machine's cache: tune it here again (--force)"
        )
    last = max(record.prompts)
    if (begin := METHODS[record.config.method].resume) is None:
        return SoftPrompt.resume(record.config, model, record.prompts[last])
    start = f"{last}/"
    beside = {name[len(start) :]: value for name, value in record.beside.items() if name.startswith(start)}
    prompt: SoftPrompt = begin(record.config, model, record.prompts[last], beside)
    return prompt


@dataclass
class _Judge:
    """What scores a batch of rows."""

    config: EvalConfig
    model: Any
    tokenizer: Any
    prompt: SoftPrompt | None
    longest: int
    shots: Callable[[Example], list[Example]]

    @property
    def n_tokens(self) -> int:
        """Virtual tokens of the prompt."""
        return 0 if self.prompt is None else self.prompt.n_tokens

    @torch.no_grad()
    def judge(self, examples: Sequence[Example], rows: Sequence[Encoded]) -> Iterator[dict[str, float]]:
        """Score, loss of the answer and length of the reply of each row."""
        task = find_task(self.config.task)
        vocabulary = len(self.model.get_input_embeddings().weight)
        parts = in_passes(rows, self.n_tokens, self.config.pass_tokens, len(rows), vocabulary)
        read = [
            one
            for part in parts
            for one in self._read([examples[index] for index in part], [rows[index] for index in part])
        ]
        losses = [loss for loss, _ in read]
        if self.config.scoring == "likelihood":
            replies, tokens = [likeliest for _, likeliest in read], [0] * len(rows)
        else:
            questions = [Encoded(row.question, []) for row in rows]
            generated = generate(
                *(self.model, self.tokenizer, self.prompt, questions),
                max_new_tokens=self.longest,
                max_context=self.config.max_context,
                complete=task.complete,
            )
            replies = [decode(self.tokenizer, ids) for ids in generated]
            tokens = [len(ids) for ids in generated]
        for example, loss, reply, length in zip(examples, losses, replies, tokens, strict=True):
            yield {"score": task.score(reply, example), "answer_loss": loss, "tokens": length}

    def _read(self, examples: Sequence[Example], rows: Sequence[Encoded]) -> list[tuple[float, str]]:
        """Mean cross-entropy of each row's target, and its likeliest choice where likelihoods are asked for."""
        logits = logits_of(self.model, self.prompt, rows, keep=max(len(row.target) for row in rows) + 1)
        targets = collate(rows, 0, device=logits.device).targets
        losses = functional.cross_entropy(
            logits[:, :-1].float().transpose(1, 2), targets, ignore_index=IGNORE, reduction="none"
        )  # (b, t)
        counts = (targets != IGNORE).sum(-1)
        means = (losses.sum(-1) / counts).tolist()
        if self.config.scoring != "likelihood":
            return [(mean, "") for mean in means]
        return [
            (mean, self._likeliest(example, row, own))
            for mean, example, row, own in zip(means, examples, rows, logits, strict=True)
        ]

    def _likeliest(self, example: Example, row: Encoded, logits: Float[Tensor, "k v"]) -> str:
        """The choice whose first token of its own is the likeliest, given the tokens that all choices share.

        Logits are those of the row's last positions, its target's among them. The target is one of the choices in all
        tasks of ours, so that they tell; for another the row is read once more.
        """
        choices, shared = self._options(example)
        if row.target[:shared] == choices[0][:shared]:
            own = logits[shared - len(row.target) - 1]
        else:
            start = Encoded(row.question, choices[0][:shared])
            own = logits_of(self.model, self.prompt, [start], keep=1)[0, -1]
        return example.choices[int(own[[choice[shared] for choice in choices]].argmax())]

    def _options(self, example: Example) -> tuple[list[list[int]], int]:
        """Token ids of an example's choices, and how many of them all share at the beginning."""
        ids = [
            encode(self.tokenizer, dataclasses.replace(example, target=choice), self.shots(example)).target
            for choice in example.choices
        ]
        shared = next((i for i, same in enumerate(zip(*ids, strict=False)) if len(set(same)) > 1), min(map(len, ids)))
        own = [choice[shared] for choice in ids if len(choice) > shared]
        if len(set(own)) < len(ids):
            raise InputError(
                f"{example.id}: two of its choices begin with the same tokens, so that one forward pass cannot "
                "tell their likelihoods: use generate"
            )
        return ids, shared
