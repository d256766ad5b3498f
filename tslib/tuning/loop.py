"""The tuning loop: a soft prompt is trained on a frozen model until it is right, or out of steps.

One iteration is one optimiser step. Step k's row holds what was measured with the prompt as it was before that step.
"""

import contextlib
import math
import time
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import Any, cast

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn
from torch.nn import functional
from tqdm import tqdm

from tslib.config import TuneConfig
from tslib.losses.registry import Follows, Regularizer, Replays, make_regularizer
from tslib.models import chat
from tslib.models import loading as models
from tslib.prompts import methods, probe
from tslib.prompts.decoding import generate
from tslib.prompts.encoding import Encoded, context_of, decode, encode_all, longest, stop_ids, until
from tslib.prompts.forward import Outcome, caches_questions, forward
from tslib.prompts.initial import rate_unit
from tslib.prompts.passes import in_passes
from tslib.prompts.question_cache import QuestionCache
from tslib.records.checkpoints import Checkpoint, stop_requests
from tslib.records.provenance import environment
from tslib.records.record import RunRecord
from tslib.tasks import TASKS, Example, few_shot, find_task, load_task
from tslib.topology import nulls
from tslib.tuning import replay
from tslib.tuning.optimizer import add_gradient, optimizer
from tslib.tuning.watching import compared, diagrams_of, mean_of, summary
from tslib.vision.sight import positions, seeing, seen_by

__all__ = ["TuneConfig", "tune"]

REGULARIZER_OPTIONS = ("metric", "tau", "alpha", "beta_h0", "beta_h1", "lambda_repel", "lambda_attract")


def tune(
    config: TuneConfig, *, progress: bool = True, checkpoint: Checkpoint | None = None, replays: RunRecord | None = None
) -> RunRecord:
    """Train a soft prompt as the config says.

    Parameters
    ----------
    config
        The run.
    progress
        Show a progress bar with loss, regulariser, share of samples that are correct, and the time left.
    checkpoint
        Where the state of the run is kept from time to time and on SIGINT or SIGTERM; a state that is there is gone
        on from. `RunStore.run` sees to it.
    replays
        The record of the run that this one replays (``config.replayed``), if any; by default that run is made first.

    Returns
    -------
    RunRecord
        Its ``status`` is ``finished``; ``interrupted`` after Ctrl-C or SIGTERM; ``diverged`` when the loss or the
        prompt became NaN or infinite, or the prompt so long that the square of a distance is. In each case what was
        measured until then is in the record.

    Raises
    ------
    InputError
        If a sample cannot be encoded, or exceeds the model's context together with the prompt, or there are fewer rows
        than samples; or if there is no length to match in the run that is replayed.
    ResourceError
        If rows or model cannot be had.
    KeyboardInterrupt
        If the run that is replayed was made first and interrupted: this one had not begun.
    """
    lengths = replay.lengths(config, replays, partial(tune, progress=progress))
    examples = load_task(config.task, "train", limit=config.samples, seed=config.sample_seed)
    model, tokenizer = cast("tuple[Any, Any]", models.shared_model(config.model, config.device, config.dtype))
    probe.remember(model, config.model)
    probe.check(model)
    rows = encode_all(
        tokenizer,
        examples,
        shots=few_shot(config.task, config.shots, config.sample_seed, skip=config.samples),
        n_tokens=config.n_tokens + positions(examples),
        context=context_of(model, config.max_context),
        vocabulary=len(model.get_input_embeddings().weight),
        reply=config.max_new_tokens,
        cut_middle=find_task(config.task).cuts_middle,
    )
    with seeing(config, model, tokenizer, examples, rows, run=config, shots=config.shots, progress=progress) as seen:
        run = _Run(config, model, tokenizer, examples, seen, lengths)
        with contextlib.closing(run.trained):
            return _train(run, checkpoint, progress)


def _train(run: "_Run", checkpoint: Checkpoint | None, progress: bool) -> RunRecord:
    config = run.config
    begin = 0 if checkpoint is None else checkpoint.restore(run)
    label = f"{config.task} {config.regularizer} sample {config.sample_seed} seed {config.seed}"
    bar = tqdm(total=config.max_steps, initial=begin, desc=label, disable=not progress, leave=False)
    with bar, stop_requests() as stopped:
        try:
            status = run.train(bar, begin, checkpoint, stopped)
        except KeyboardInterrupt:
            status = "interrupted"
    return run.record(status)


class _Run:
    """State of one run."""

    def __init__(
        self,
        config: TuneConfig,
        model: Any,
        tokenizer: Any,
        examples: Sequence[Example],
        rows: Sequence[Encoded],
        lengths: Sequence[float] = (),
    ) -> None:
        self.config, self.model, self.tokenizer = config, model, tokenizer
        self.examples, self.rows, self.lengths = examples, rows, lengths
        self.trained = methods.start(config, model, tokenizer)
        self.prompt = self.trained.prompt
        self.device = self.prompt.weight.device
        cached = (
            config.placement == "suffix"
            and config.question_cache > 0
            and caches_questions(model, longest(rows, config.n_tokens))
        )
        self.questions = QuestionCache(model, config.question_cache * 2**30) if cached else None
        options = {name: getattr(config, name) for name in REGULARIZER_OPTIONS}
        self.regularizer: Regularizer | None = make_regularizer(config.regularizer, config.weight, **options)
        unit = rate_unit(config, model, tokenizer)
        self.optimizer, self.schedule = optimizer(config, self.trained.parameters.values(), unit)
        self.batches = self._batches()
        self.whole = len(rows) <= config.batch_size  # one batch holds all samples: no extra pass to check them
        self.steps: list[dict[str, float]] = []
        self.topology: list[dict[str, float]] = []
        self.diagrams: list[dict[str, float]] = []
        self.last_diagrams: list[Any] | None = None
        self.prompts: dict[int, Tensor] = {}
        self.beside: dict[str, Tensor] = {}
        self.twin = torch.empty(0)  # moves at random, as far as the prompt
        self.iterations_to_correct: int | None = None
        self.iterations_to_answer: int | None = None
        self.final: dict[str, int | float] = {}
        self.started = time.time()
        self.resumed = 0

    def _batches(self) -> Iterator[list[Encoded]]:
        """Yield epochs without end, shuffled by the seed."""
        generator = torch.Generator().manual_seed(self.config.seed)
        while True:
            order = torch.randperm(len(self.rows), generator=generator).tolist()
            if len(self.rows) <= self.config.batch_size:
                order = sorted(order)
            for start in range(0, len(order), self.config.batch_size):
                yield [self.rows[i] for i in order[start : start + self.config.batch_size]]

    def train(
        self,
        bar: "tqdm[Any]",
        begin: int = 0,
        checkpoint: Checkpoint | None = None,
        stopped: Callable[[], bool] = lambda: False,
    ) -> str:
        """Step until the samples are right or the steps are used up; return the run's status.

        Parameters
        ----------
        bar
            Is told of each step.
        begin
            Steps that were done before.
        checkpoint
            Where the state is kept.
        stopped
            Whether to stop before the next step.
        """
        for _ in range(begin):
            next(self.batches)
        for step in range(begin, self.config.max_steps + 1):
            begun = time.perf_counter()
            if stopped():
                if checkpoint is not None:
                    checkpoint.save(self, step)
                return "interrupted"
            if checkpoint is not None and step > begin:
                checkpoint.offer(self, step)
            last = step == self.config.max_steps
            rows = next(self.batches)
            outcome = self._losses(rows, grad=not last)
            if not (outcome.loss.isfinite() and (4 * self.prompt.weight.square().sum()).isfinite()):
                return "diverged"  # two prompts of this length may be twice as far apart
            right = self._check(step, outcome, last)
            done = last or (self.iterations_to_correct is not None and self.config.stop_when_correct)
            if done or step % self.config.topology_every == 0:
                self._checkpoint(step, right)
            if done:
                self.final = {"final_cross_entropy": float(outcome.loss.detach()), "final_exact": right["exact"]}
                return "finished"
            row = self._update(outcome.loss, rows)
            self.steps.append({"step": step + 1} | row | right | {"seconds": time.perf_counter() - begun})
            shown = {"loss": f"{row['cross_entropy']:.4f}", "reg": f"{row['regularizer']:.3g}"}
            bar.set_postfix(shown, correct=f"{right['exact']:.0%}")
            bar.update()
        raise AssertionError("the last step ends the run")

    def _losses(self, rows: Sequence[Encoded], *, grad: bool) -> Outcome:
        """Mean loss over the target tokens of a batch: one that can be differentiated, where a single pass holds all.

        Of several passes each adds its gradient to the prompt's, so that only one's activations are in memory.
        """
        passes = list(self._passes(rows, self.config.batch_size))
        if len(passes) == 1:
            return self._pass(rows, grad=grad)
        if grad:
            self.trained.zero_grad()
        total, width = sum(len(row.target) for row in rows), max(len(row.target) for row in rows)
        losses, matches = [], []
        for part in passes:
            outcome = self._pass(part, grad=grad)
            loss = outcome.loss * (sum(len(row.target) for row in part) / total)
            if grad:
                loss.backward()
            losses.append(loss.detach())
            matches.append(functional.pad(outcome.matches, (width - outcome.matches.shape[1], 0), value=True))
        return Outcome(torch.stack(losses).sum(), torch.cat(matches))

    def _passes(self, rows: Sequence[Encoded], most: int) -> Iterator[list[Encoded]]:
        sizes = (self.prompt.n_tokens, self.config.pass_tokens, most)
        for indices in in_passes(rows, *sizes, vocabulary=len(self.model.get_input_embeddings().weight)):
            yield [rows[index] for index in indices]

    def _pass(self, rows: Sequence[Encoded], *, grad: bool) -> Outcome:
        settings: dict[str, Any] = {"questions": self.questions, "pass_tokens": self.config.pass_tokens}
        return forward(self.model, self.prompt, rows, grad=grad, **settings)

    def _update(self, loss: Float[Tensor, ""], rows: Sequence[Encoded] = ()) -> dict[str, float]:
        """Take one optimiser step; return the row of the steps table."""
        if loss.requires_grad:  # else several passes have left their gradient
            self.trained.zero_grad()
            loss.backward()
        ce_gradient = self.trained.gradient().clone()
        row = {"cross_entropy": float(loss.detach()), "regularizer": 0.0}
        norms = {"grad_norm_ce": float(ce_gradient.norm()), "grad_norm_reg": 0.0, "grad_cosine": math.nan}
        if self.regularizer is not None:
            cloud = self.prompt.cloud(rows)
            if isinstance(self.regularizer, Follows):
                self.regularizer.follow(len(self.steps), self.config.seed, ce_gradient)
            if isinstance(self.regularizer, Replays):
                self.regularizer.replay(replay.length(self.lengths, len(self.steps)))
            penalty = self.regularizer(cloud)
            gradient = add_gradient(self.prompt, penalty)
            terms = self.regularizer.terms(cloud.detach())
            row["regularizer"] = float(penalty.detach())
            # the mean over layers, where there are several
            row |= {name: float(term.mean()) for name, term in terms.items() if term.ndim <= cloud.ndim - 2}
            norms["grad_norm_reg"] = float(gradient.norm())
            norms["grad_cosine"] = float(functional.cosine_similarity(ce_gradient.flatten(), gradient.flatten(), 0))
        row |= norms | {"lr": self.schedule.get_last_lr()[0]}
        self.trained.pull_back()
        if self.config.max_grad_norm:
            nn.utils.clip_grad_norm_(self.trained.parameters.values(), self.config.max_grad_norm)
        self.optimizer.step()
        self.schedule.step()
        self.trained.refresh()
        return row

    def _check(self, step: int, outcome: Outcome, last: bool) -> dict[str, float]:
        """Test the criteria due with the prompt as it is.

        Returns the share of samples that are exact and the share of target tokens that are the most probable one; NaN
        where it was not looked at.
        """
        shares, correct = {"exact": math.nan, "token_accuracy": math.nan}, False
        seen = outcome if self.whole else None  # no pass of its own where the step's batch has all samples
        if last or step % self.config.check_every == 0:
            seen = seen or self._losses(self.rows, grad=False)
            wrong, total = int((~seen.matches).sum()), sum(len(row.target) for row in self.rows)  # padding is no error
            shares = {"exact": float(seen.exact.float().mean()), "token_accuracy": 1 - wrong / total}
            correct = bool(seen.exact.all())
        if correct and self.iterations_to_correct is None:
            self.iterations_to_correct = step
        due = self.config.answer_every and (last or step % self.config.answer_every == 0)
        if self.iterations_to_answer is None and (correct or due) and self._answers_correct(seen):
            self.iterations_to_answer = step
        return shares

    def _answers_correct(self, seen: Outcome | None) -> bool:
        seen = seen or self._losses(self.rows, grad=False)
        score = TASKS[self.config.task].score
        replies = self.replies(self.rows, seen.matches)
        # ROUGE of a text with itself is 1 to rounding
        return all(score(reply, example) > 1 - 1e-6 for reply, example in zip(replies, self.examples, strict=True))

    def replies(self, rows: Sequence[Encoded], matches: Bool[Tensor, "b t"]) -> list[str]:
        """Greedy replies to several questions, each as far as its answer.

        A greedy reply follows the target for as long as the most probable token is the target's (`matches`), so
        decoding starts where the two part, for all rows in one batch (where it is not too long for a pass).
        """
        stop = stop_ids(self.tokenizer, self.model.generation_config) | {row.target[-1] for row in rows}
        starts = []
        for row, match in zip(rows, matches, strict=True):
            own = match[len(match) - len(row.target) :]
            starts.append(row.target[: int(own.int().cumprod(0).sum())])
        ended = [bool(stop.intersection(start)) for start in starts]
        parted = [Encoded(row.question, start) for row, start, end in zip(rows, starts, ended, strict=True) if not end]
        settings: dict[str, Any] = {
            "max_new_tokens": self.config.max_new_tokens,
            "max_context": self.config.max_context,
            "complete": find_task(self.config.task).complete,
        }
        generated = iter(
            ids
            for part in self._passes(parted, most=len(rows))
            for ids in generate(self.model, self.tokenizer, self.prompt, part, **settings)
        )
        return [
            decode(self.tokenizer, until(start, stop) if end else [*start, *next(generated)])
            for start, end in zip(starts, ended, strict=True)
        ]

    def _checkpoint(self, step: int, right: dict[str, float]) -> None:
        """Keep the prompt, its exact persistent homology and that of its random twin; of several clouds the mean."""
        if not len(self.prompt.weight):
            return
        metric, named = self.config.metric, self.prompt.named_parameters()
        self.beside |= {f"{step}/{name}": value.detach().cpu().clone() for name, value in named if name != "weight"}
        after = self.prompt.weight.detach().cpu().clone()
        if self.prompts:
            before = self.prompts[max(self.prompts)]
            self.twin = nulls.random_step(self.twin, before, after, self.config.seed, step)
        else:
            self.twin = after
        self.prompts[step] = after
        clouds, found = diagrams_of(after, metric)
        last = self.last_diagrams or [None] * len(clouds)
        rows = [compared(*layer, metric) for layer in zip(clouds, found, last, strict=True)]
        null = mean_of([summary(*layer, metric) for layer in zip(*diagrams_of(self.twin, metric), strict=True)])
        twin = {f"null_{name}": null[name] for name in nulls.FIELDS}
        self.topology.append({"step": step} | right | mean_of(rows) | twin)
        for layer, diagrams in enumerate(found):
            self.diagrams += [
                {"step": step, "layer": layer, "dimension": dimension, "birth": birth, "death": death}
                for dimension, diagram in enumerate(diagrams)
                for birth, death in diagram
            ]
        self.last_diagrams = found

    @property
    def seen(self) -> dict[str, Any]:
        """What the environment says of the pictures that the model sees."""
        return seen_by(self.model)

    def record(self, status: str) -> RunRecord:
        """Gather what the run leaves behind."""
        import pandas as pd

        layer = ["layer"] if self.prompt.weight.ndim > 2 else []
        return RunRecord(
            config=self.config,
            status=status,
            iterations_to_correct=self.iterations_to_correct,
            iterations_to_answer=self.iterations_to_answer,
            results=self.final | {"steps_done": len(self.steps), "seconds": round(time.time() - self.started, 3)},
            environment=environment(self.config.model, self.device, self.started)
            | chat.dated(self.tokenizer)
            | {"dtype": str(self.model.dtype).removeprefix("torch."), "resumed": self.resumed}
            | {"probe": probe.answers(self.model)}
            | self.seen
            | replay.replayed(self.config, self.lengths),
            rows=[example.id for example in self.examples],
            steps=pd.DataFrame(self.steps, columns=None if self.steps else ["step"]),
            topology=pd.DataFrame(self.topology),
            diagrams=pd.DataFrame(self.diagrams, columns=["step", *layer, "dimension", "birth", "death"]),
            prompts=self.prompts,
            beside=self.beside,
        )
