"""What a step costs: PEFT's prompt tuning under transformers' Trainer against ours, and TSLoss against its step.

Times of a shared machine drift, so those to be compared are taken in turns, in one process: between two steps of the
Trainer ours are made, and each ratio is one of neighbours.
"""

import dataclasses
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass
from itertools import cycle, islice
from typing import Any, NamedTuple

import torch

from tslib.config import TuneConfig
from tslib.errors import InputError, ResourceError
from tslib.kernels.linears import linear
from tslib.losses.tsloss import TSLoss
from tslib.models import loading as models
from tslib.prompts.encoding import Encoded, encode
from tslib.tasks import Example, load_task
from tslib.tuning.loop import _Run
from tslib.tuning.memory_steps import resident, warm_up

__all__ = [
    "WAYS",
    "Setting",
    "Steps",
    "alternate",
    "flops",
    "matrix_rate",
    "peak_memory",
    "peak_of_tsloss",
    "profile",
    "repeat",
    "settled",
    "spread",
    "step",
    "turns",
]

WAYS = ("peft", "prefix", "suffix")
"""PEFT's PromptTuning under the Trainer; ours with the prompt before the question; ours with it behind the question,
whose states are computed once."""
LIKE = TuneConfig()
"""What our runs are like where nothing else is said."""


@dataclass(frozen=True, kw_only=True)
class Setting:
    """A batch of rows of equal length, and the model that they go through."""

    model: str = "smollm2-135m"
    dtype: str = "float32"
    batch: int = 8
    question: int = 60
    """Tokens of each question, those of the template among them."""
    answer: int = 60
    n_tokens: int = 20
    alike: bool = True
    """Whether questions stand in the same template; else rows are random tokens, and share nothing but the prompt."""

    def __str__(self) -> str:
        """Name it as in the tables."""
        said = f"{self.model}, {self.batch} × ({self.question} + {self.answer}), {self.dtype}"
        return said if self.alike else f"{said}, rows that share nothing"

    def config(self, placement: str, steps: int, like: TuneConfig = LIKE) -> TuneConfig:
        """Return the run that makes such steps, each in a single pass, and is like another in all else."""
        own: dict[str, Any] = {"model": self.model, "dtype": self.dtype, "n_tokens": self.n_tokens}
        own |= {"placement": placement, "samples": self.batch, "batch_size": self.batch}
        return dataclasses.replace(like, **own, pass_tokens=2**20, max_steps=steps)

    def rows(self, tokenizer: Any, task: str = LIKE.task) -> list[Encoded]:
        """Training rows of a task in the model's template, whose own tokens are cut or repeated to the size.

        Raises
        ------
        InputError
            If the sizes leave no room for a problem.
        """
        if not self.alike:
            size, draw = (self.batch, self.question + self.answer), torch.Generator().manual_seed(0)
            ids = torch.randint(len(tokenizer), size, generator=draw).tolist()
            return [Encoded(row[: self.question], row[self.question :]) for row in ids]
        before, after = _template(tokenizer)
        room = self.question - len(before) - len(after)
        if room < 1 or self.answer < 1:
            raise InputError(
                f"a question of {self.question} tokens and an answer of {self.answer}: give more than "
                f"{len(before) + len(after)}, which the template takes, and at least 1"
            )
        rows = []
        for example in load_task(task, "train", limit=self.batch):
            row = encode(tokenizer, example)
            problem = cycle(row.question[len(before) : len(row.question) - len(after)])
            question = [*before, *islice(problem, room), *after]
            rows.append(Encoded(question, [*islice(cycle(row.target[:-1]), self.answer - 1), row.target[-1]]))
        return rows


def _template(tokenizer: Any) -> tuple[list[int], list[int]]:
    """What the template puts before and after a question: what two questions have in common."""
    one, other = (encode(tokenizer, Example("", prompt, "1", "1")).question for prompt in ("Why", "7"))
    before = _alike(one, other)
    after = _alike(one[:before:-1], other[:before:-1])
    return one[:before], one[len(one) - after :]


def _alike(one: Sequence[int], other: Sequence[int]) -> int:
    return next((i for i, (a, b) in enumerate(zip(one, other, strict=False)) if a != b), min(len(one), len(other)))


class Steps(NamedTuple):
    """Steps of one way: their times in seconds, and the loss before each."""

    seconds: list[float]
    losses: list[float]


def alternate(
    setting: Setting,
    steps: int,
    ways: Sequence[str] = WAYS,
    *,
    device: str = "auto",
    lr: float | None = None,
    like: TuneConfig = LIKE,
    on_step: Callable[[], Any] = lambda: None,
) -> dict[str, Steps]:
    """Tune in several ways at once, one step of each in turn, with the same model, rows, initial prompt and schedule.

    Parameters
    ----------
    setting
        Model and rows.
    steps
        Optimiser steps of each way.
    ways
        Of `WAYS`.
    device
        As in `TuneConfig`, but for ``spread``.
    lr
        Peak learning rate; by default that of ``like``.
    like
        Further settings of our runs, and the task of the rows. PEFT's run has the rate and the initial prompt of ours.
    on_step
        Called after each round.

    Returns
    -------
    dict
        The steps of each way.

    Raises
    ------
    InputError
        If a way is unknown, or the setting leaves no room for a problem.
    """
    if unknown := set(ways) - set(WAYS):
        raise InputError(f"unknown ways {sorted(unknown)}: give some of {', '.join(WAYS)}")
    model, tokenizer = models.shared_model(setting.model, models.resolve_device(device), setting.dtype)
    rows = setting.rows(tokenizer, like.task)
    like = dataclasses.replace(like, lr=lr or like.lr)
    return turns(setting, steps, ways, like, model, tokenizer, rows, on_step)


def turns(
    setting: Setting,
    steps: int,
    ways: Sequence[str],
    like: TuneConfig,
    model: Any,
    tokenizer: Any,
    rows: Sequence[Encoded],
    on_step: Callable[[], Any] = lambda: None,
) -> dict[str, Steps]:
    """Do as `alternate` does, with a model that is loaded, its tokenizer (where the config needs one) and some rows."""
    runs = {way: _ours(setting, way, steps, like, model, tokenizer, rows) for way in ways if way != "peft"}
    done = {way: Steps([], []) for way in ways}

    def others() -> None:
        for way, run in runs.items():
            begun = time.perf_counter()
            loss = step(run)
            settled()
            done[way].seconds.append(time.perf_counter() - begun)
            done[way].losses.append(loss)
        on_step()

    if "peft" in ways:
        start = next(iter(runs.values())) if runs else _ours(setting, "prefix", steps, like, model, tokenizer, rows)
        _train_with_peft(start, rows, done["peft"], others)
    else:
        for _ in range(steps):
            others()
    return done


def _ours(
    setting: Setting, placement: str, steps: int, like: TuneConfig, model: Any, tokenizer: Any, rows: Sequence[Encoded]
) -> _Run:
    return _Run(setting.config(placement, steps, like), model, tokenizer, [], rows)


def step(run: _Run) -> float:
    """Take one step of a run; return the loss before it."""
    return run._update(run._losses(next(run.batches), grad=True).loss)["cross_entropy"]


def _train_with_peft(start: _Run, rows: Sequence[Encoded], done: Steps, between: Callable[[], None]) -> None:
    """Train PEFT's prompt as a run does ours, from its initial prompt, and do something between the steps."""
    from peft import PromptTuningConfig, TaskType, get_peft_model
    from transformers import Trainer, TrainerCallback
    from transformers.trainer_callback import PrinterCallback

    from tslib.interop.recipe import training_arguments

    class Clock(TrainerCallback):
        def on_step_begin(self, *_: Any, **__: Any) -> None:
            self.begun = time.perf_counter()

        def on_step_end(self, *_: Any, **__: Any) -> None:
            settled()
            done.seconds.append(time.perf_counter() - self.begun)
            between()

        def on_log(self, *_: Any, **given: Any) -> None:
            done.losses.extend(given["logs"][name] for name in ("loss",) if name in given["logs"])

    config = start.config
    tuned: Any = get_peft_model(
        start.model, PromptTuningConfig(task_type=TaskType.CAUSAL_LM, num_virtual_tokens=config.n_tokens)
    )
    with torch.no_grad():
        tuned.prompt_encoder["default"].embedding.weight.copy_(start.prompt.weight)
    data = [
        {
            "input_ids": [*row.question, *row.target],
            "attention_mask": [1] * (len(row.question) + len(row.target)),
            "labels": [-100] * len(row.question) + row.target,
        }
        for row in rows
    ]
    with tempfile.TemporaryDirectory() as folder:
        arguments = training_arguments(
            config,
            folder,
            per_device_train_batch_size=len(rows),
            logging_steps=1,
            save_strategy="no",
            report_to=[],
            disable_tqdm=True,
            dataloader_pin_memory=False,
            use_cpu=start.device.type == "cpu",
        )
        trainer = Trainer(tuned, arguments, train_dataset=data, callbacks=[Clock()])
        trainer.remove_callback(PrinterCallback)
        trainer.train()
    start.model.eval()


def settled() -> None:
    """Wait until an accelerator, where there is one, has done what it was asked for: calls to it return before."""
    if torch.accelerator.is_available():
        torch.accelerator.synchronize()


def repeat(function: Callable[[], Any], times: int) -> list[float]:
    """Seconds of each of some calls, after one that is not counted."""
    function()
    seconds = []
    for _ in range(times):
        settled()
        begun = time.perf_counter()
        function()
        settled()
        seconds.append(time.perf_counter() - begun)
    return seconds


def flops(setting: Setting) -> float:
    """Floating-point operations of a step in which every row runs alone, attention left out.

    A frozen weight takes two in the forward pass and two in the backward pass, for each position that it meets: all
    do in the layers, and those that predict a target in the output layer.
    """
    model, _ = models.shared_model(setting.model, "cpu", setting.dtype)
    linears = [module for module in model.base_model.modules() if isinstance(module, torch.nn.Linear)]
    positions = setting.batch * (setting.n_tokens + setting.question + setting.answer)
    layers = sum(module.weight.numel() for module in linears) * positions
    labels = model.get_output_embeddings().weight.numel() * setting.batch * setting.answer
    return float(4 * (layers + labels))


def matrix_rate(dtype: str, size: int = 2048, times: int = 10) -> float:
    """Floating-point operations per second of the fastest product of two square matrices, by any library torch has."""
    one, other = (torch.randn(size, size, dtype=getattr(torch, dtype)) for _ in range(2))
    return 2.0 * size**3 / min(*repeat(lambda: one @ other, times), *repeat(lambda: linear(one, other), times))


PRODUCTS = ("mkldnn::_linear_pointwise", "aten::mm", "aten::addmm")
ATTENTION = ("aten::bmm", "aten::baddbmm", "aten::_softmax", "aten::masked_fill", "scaled_dot_product")


def profile(setting: Setting, placement: str = "prefix") -> dict[str, float]:
    """Seconds of one of our steps by what they are spent on: see `spent`."""
    model, tokenizer = models.shared_model(setting.model, "cpu", setting.dtype)
    run = _ours(setting, placement, 3, LIKE, model, tokenizer, setting.rows(tokenizer))
    step(run)
    return spent(lambda: step(run))


def spent(call: Callable[[], Any]) -> dict[str, float]:
    """Seconds of a call by what they are spent on, by torch's profiler.

    Returns
    -------
    dict
        ``products`` of matrices, in the layers and the output layer; ``attention``; ``rest``: norms, activations,
        rotations, copies, the loss, and Python.
    """
    with torch.profiler.profile(activities=[torch.profiler.ProfilerActivity.CPU]) as profiler:
        call()
    seconds = dict.fromkeys(("products", "attention", "rest"), 0.0)
    for event in profiler.key_averages():
        kind = "products" if event.key.startswith(PRODUCTS) else "rest"
        kind = "attention" if any(name in event.key for name in ATTENTION) else kind
        seconds[kind] += event.self_cpu_time_total * 1e-6
    return seconds


def peak_memory(setting: Setting, way: str) -> int:
    """Bytes that two steps need on the CPU at their peak, above the loaded model, in a process of its own.

    Raises
    ------
    ResourceError
        If the process failed, for example for want of memory.
    """
    return _in_a_process("_peak", asdict(setting), way)


def peak_of_tsloss(n: int, d: int) -> int:
    """Bytes that TSLoss and its gradient need at their peak, above a prompt of n tokens, in a process of its own."""
    return _in_a_process("_peak_of_tsloss", n, d)


def _in_a_process(function: str, *arguments: Any) -> int:
    done = subprocess.run(
        [sys.executable, "-m", "tslib.study.bench.cost"],
        input=json.dumps([function, *arguments]),
        capture_output=True,
        text=True,
        env=os.environ | {"MALLOC_MMAP_THRESHOLD_": "65536"},  # glibc: what is freed goes back at once
    )
    if done.returncode:
        why = (done.stderr.strip().splitlines() or ["it was killed, most likely for want of memory"])[-1]
        raise ResourceError(f"{function.strip('_')} of {arguments} failed: {why}")
    return int(done.stdout.split()[-1])


def _peak(fields: dict[str, Any], way: str) -> int:
    setting = Setting(**fields)
    model, _ = models.shared_model(setting.model, "cpu", setting.dtype)
    for parameter in model.parameters():
        parameter.sum()  # a page of a mapped file takes memory once it is read
    few = fields | {"batch": 1, "question": 45, "answer": 2}
    alternate(Setting(**few), 1, [way], device="cpu")  # imports what there is to import
    before = resident("VmRSS")
    alternate(setting, 2, [way], device="cpu")
    return resident("VmHWM") - before


def _peak_of_tsloss(n: int, d: int) -> int:
    warm_up("cpu")
    torch.autograd.grad(TSLoss()(few := torch.randn(3, d, requires_grad=True)), few)
    prompt = torch.randn(n, d, requires_grad=True)
    before = resident("VmRSS")
    torch.autograd.grad(TSLoss()(prompt), prompt)
    return resident("VmHWM") - before


def spread(values: Iterable[float]) -> tuple[float, float, float]:
    """Median, and the 10 % and 90 % quantiles."""
    at = torch.tensor([0.5, 0.1, 0.9], dtype=torch.float64)
    middle, low, high = torch.tensor(list(values), dtype=torch.float64).quantile(at).tolist()
    return middle, low, high


if __name__ == "__main__":
    asked, *given = json.load(sys.stdin)
    print(_peak(*given) if asked == "_peak" else _peak_of_tsloss(*given))
