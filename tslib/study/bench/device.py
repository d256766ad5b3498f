"""A check of a device that nothing has run on yet: whether it computes what it should, and how fast it is.

The reference is each row by itself, on the CPU in float32, as transformers computes it: no packing, no kept states, no
kernels of ours. Weights are SmolLM2's from the cache, or random; those of the large models are random, whose steps take
as long. Nothing is fetched.
"""

import contextlib
import copy
import dataclasses
import json
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor
from tqdm import tqdm

from tslib.config import SCHEMA_VERSION, TuneConfig
from tslib.errors import ResourceError
from tslib.losses.tsloss import TSLoss
from tslib.models import loading as models
from tslib.prompts.encoding import Encoded, longest
from tslib.prompts.forward import Outcome, forward, way_of
from tslib.records.checkpoints import Checkpoint
from tslib.records.durable import write
from tslib.records.provenance import environment
from tslib.records.record import COMMITTED
from tslib.study.bench import cost
from tslib.topology import diagrams as topology
from tslib.tuning import memory
from tslib.tuning.loop import _Run

__all__ = ["BOUNDS", "PATH", "Check", "Device", "check", "load"]

PATH = COMMITTED / "gpu.json"
"""Where chapter 6 looks for it."""
NAME = "smollm2-135m"
LARGE = ("gemma-2b-it", "open-llama-7b")
NARROW = {
    **{"vocab_size": 500, "hidden_size": 64, "intermediate_size": 96, "num_hidden_layers": 2},
    **{"num_attention_heads": 4, "num_key_value_heads": 2, "head_dim": 16},
}
"""What a small check makes of a model's config."""
METHODS: dict[str, dict[str, Any]] = {
    "prefix": {},
    "suffix": {"placement": "suffix"},
    "prefix tuning": {"method": "prefix-tuning"},
}
RAGGED = ((9, 5), (31, 12), (14, 2), (46, 15), (5, 8))
"""Tokens of question and target of the rows that are compared."""
BOUNDS = {
    "float32": {"loss": 1e-4, "gradient": 1e-3, "loss of a step": 1e-3},
    "bfloat16": {"loss": 0.02, "gradient": 0.2, "loss of a step": 0.05},
}
"""By precision of the model: how far loss and gradient at the start, and the loss before each of some steps, may be
from the reference, relative to it (of the gradient: length of the difference over length). Rounding to bfloat16 alone
may turn a gradient further than that; so there gradient and steps may be twice as far off as those of rows that go
through the model one by one, in bfloat16 on the device."""


class Check(NamedTuple):
    """One thing that was looked at, what was found, and what was asked: at most a number, or a word."""

    what: str
    found: float | str
    asked: float | str

    @property
    def met(self) -> bool:
        """Whether it is as asked."""
        if isinstance(self.found, str) or isinstance(self.asked, str):
            return self.found == self.asked
        return self.found <= self.asked


class _Alone(_Run):
    """A run whose rows go through the model one by one, as transformers computes them."""

    def _pass(self, rows: Sequence[Encoded], *, grad: bool) -> Outcome:
        return forward(self.model, self.prompt, rows, grad=grad, way="alone")


class Trace(NamedTuple):
    """What a run leaves: the prompt's gradient at the start, and the loss before each step."""

    gradient: Tensor
    losses: list[float]


@dataclasses.dataclass
class Device:
    """A device, and how much is done on it.

    Attributes
    ----------
    name
        As torch calls it.
    small
        Whether models are narrow, and steps few.
    """

    name: str
    small: bool = False

    @property
    def cuda(self) -> bool:
        """Whether it keeps an account of its memory."""
        return self.name.startswith("cuda")

    @property
    def native(self) -> bool:
        """Whether it computes bfloat16 natively."""
        return models.resolve_dtype("auto", self.name) == "bfloat16"

    @property
    def steps(self) -> int:
        """Steps of a run that is compared."""
        return 6 if self.small else 20

    def dtypes(self) -> list[str]:
        """Precisions that are compared: all of a small check, else those that it computes natively."""
        return list(BOUNDS) if self.small or self.native else ["float32"]

    def notes(self) -> list[str]:
        """What the checks cannot say."""
        native = {"bfloat16": self.native, "float16": models.computes("float16", self.name)}
        found = [
            f"{dtype} is {'' if itself else 'not '}computed natively on {self.name}{'' if itself else ': it is slow'}"
            for dtype, itself in native.items()
        ]
        found.append(f"dtype auto is {models.resolve_dtype('auto', self.name)}")
        if not self.cuda:
            found.append(f"{self.name} keeps no account of its peak memory: none is measured")
        if self.small:
            found.append("a small check: narrow models with random weights, whose times say nothing")
        return found

    def model(self, name: str, device: str, dtype: str = "float32") -> Any:
        """Return a model with random weights, made on a device."""
        from transformers import AutoModelForCausalLM

        torch.manual_seed(0)
        config = memory.config_of(name)
        if self.small:
            config = type(config)(**config.to_dict() | NARROW)
        with torch.device(device):
            made: Any = AutoModelForCausalLM.from_config(config, dtype=getattr(torch, dtype))
        return made.eval().requires_grad_(False)

    def smollm2(self) -> Any:
        """Return SmolLM2 on the CPU: from the cache, where it is there."""
        if not self.small and (models.cache_dir() / "models" / NAME).is_dir():
            return models.load_model(NAME, device="cpu").model
        return self.model(NAME, "cpu")


def check(device: str = "auto", *, small: bool = False, path: Path = Path("runs/gpu.json")) -> dict[str, Any]:
    """Check a device, and write what was found.

    Parameters
    ----------
    device
        As in ``TuneConfig``, but for ``spread``.
    small
        Whether models are narrow, and steps few: under a minute on a CPU.
    path
        The file, which is written anew.

    Returns
    -------
    dict
        ``environment``; ``notes``; ``checks``: see `Check`; ``steps``: of PEFT and of ours, with the peak of memory;
        ``seconds``: of TSLoss, on the device, and of exact homology, by what it is of.

    Raises
    ------
    InputError
        If the device is not here.
    ResourceError
        If the file cannot be written.
    """
    on, started = Device(models.resolve_device(device), small), time.time()
    with _threads(1 if small else torch.get_num_threads()):
        return _check(on, started, path)


@contextlib.contextmanager
def _threads(count: int) -> Iterator[None]:
    """Compute on so many threads of the CPU: for tensors this small, more of them cost time."""
    before = torch.get_num_threads()
    torch.set_num_threads(count)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def _check(on: Device, started: float, path: Path) -> dict[str, Any]:
    content: dict[str, Any] = {
        "schema": SCHEMA_VERSION,
        "small": on.small,
        "notes": on.notes(),
        "checks": [],
        "steps": [],
    }
    with tqdm(total=3, desc=f"check {on.name}", leave=False) as bar:
        checks = [*_compared(on), *_resumed(on)]
        content["checks"] = [one._asdict() | {"met": one.met} for one in checks]
        bar.update()
        for name in LARGE:
            content["steps"] += _steps(on, name, content["notes"])
        bar.update()
        content["seconds"] = _seconds(on)
        bar.update()
    content["environment"] = environment(NAME, torch.device(on.name), started)
    try:
        write(path, f"{json.dumps(content, indent=1)}\n".encode())
    except OSError as error:
        raise ResourceError(f"cannot write {path} ({error.strerror}): name another file") from error
    return content


def load(path: Path = PATH) -> dict[str, Any] | None:
    """Read what was found on a device; None where there is no such file.

    Raises
    ------
    ResourceError
        If the file is not one of these.
    """
    if not path.exists():
        return None
    try:
        content: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        if not all(name in content for name in ("environment", "notes", "checks", "steps", "seconds")):
            raise KeyError("it lacks a part")
    except (OSError, ValueError, KeyError) as error:
        raise ResourceError(f"{path} is no check of a device ({error}): make it with make gpu") from error
    return content


def _rows(vocabulary: int, lengths: Sequence[tuple[int, int]]) -> list[Encoded]:
    """Rows of random tokens; questions begin alike, as behind a template."""
    draw = torch.Generator().manual_seed(0)
    ids = [torch.randint(vocabulary, (question + target,), generator=draw).tolist() for question, target in lengths]
    return [
        Encoded([*ids[0][:4], *own[4:question]], own[question:])
        for own, (question, _) in zip(ids, lengths, strict=True)
    ]


def _config(on: Device, **fields: Any) -> TuneConfig:
    count = len(RAGGED)
    shared: dict[str, Any] = {"model": NAME, "samples": count, "batch_size": count, "n_tokens": 6}
    return TuneConfig(regularizer="tsloss", max_steps=on.steps, lr=1e-3, **shared, **fields)


def _trace(run: _Run) -> Trace:
    run.trained.zero_grad()
    run._losses(run.rows, grad=True).loss.backward()
    gradient = run.trained.gradient().float().cpu().clone()
    return Trace(gradient, [cost.step(run) for _ in range(run.config.max_steps)])


def _compared(on: Device) -> Iterator[Check]:
    """Compare the device with the reference, method by method and precision by precision."""
    reference = on.smollm2()
    rows = _rows(reference.config.vocab_size, RAGGED)
    expected = {}
    for name, fields in METHODS.items():
        expected[name] = _trace(_Alone(_config(on, **fields, question_cache=0), reference, None, [], rows))
    for dtype in on.dtypes():
        model = copy.deepcopy(reference).to(on.name, getattr(torch, dtype))
        for name, fields in METHODS.items():
            run = _Run(_config(on, **fields, dtype=dtype), model, None, [], rows)
            kept = "" if run.questions is None else ", questions kept"
            way = way_of(model, run.prompt, longest(rows, run.prompt.n_tokens)) + kept
            yield Check(f"{name}, {dtype}: rows go", way, "packed, questions kept" if name == "suffix" else "packed")
            bounds = BOUNDS[dtype]
            if dtype != "float32":
                alone = _trace(_Alone(_config(on, **fields, dtype=dtype, question_cache=0), model, None, [], rows))
                rounding = _apart(alone, expected[name])
                bounds = bounds | {
                    what: max(bounds[what], 2 * rounding[what]) for what in ("gradient", "loss of a step")
                }
            for what, apart in _apart(_trace(run), expected[name]).items():
                yield Check(f"{name}, {dtype}: {what}", apart, bounds[what])


def _apart(found: Trace, expected: Trace) -> dict[str, float]:
    """Relative differences of two traces."""
    losses = [abs(one - other) / other for one, other in zip(found.losses, expected.losses, strict=True)]
    gradient = (found.gradient - expected.gradient).norm() / expected.gradient.norm()
    worst = max(losses) if all(loss == loss for loss in losses) else float("inf")  # a NaN is no maximum
    return {"loss": losses[0], "gradient": float(gradient), "loss of a step": worst}


def _resumed(on: Device) -> Iterator[Check]:
    """Stop a run half-way, and go on from its state: the state has the same bits, and so have the steps after it.

    The latter is asked where two whole runs have the same bits, which not every device warrants.
    """
    model = on.model(NAME, on.name)
    rows = _rows(model.config.vocab_size, RAGGED)

    def begun() -> _Run:
        return _Run(_config(on), model, None, [], rows)

    whole, again = ([cost.step(run) for _ in range(on.steps)] for run in (begun(), begun()))
    middle = on.steps // 2
    with tempfile.TemporaryDirectory() as folder:
        half, kept = begun(), Checkpoint(Path(folder) / ".state", _config(on))
        for _ in range(middle):
            cost.step(half)
        kept.save(half, middle)
        resumed = begun()
        kept.restore(resumed)
    pairs = zip(_state(half), _state(resumed), strict=True)
    yield Check("a resumed run: tensors of its state that differ", sum(not torch.equal(*pair) for pair in pairs), 0)
    after = [cost.step(resumed) for _ in range(on.steps - middle)]
    same = whole == again
    differ = sum(one != other for one, other in zip(after, whole[middle:], strict=True))
    asked = 0 if same else len(after)
    said = "" if same else " (two whole runs differ here, too)"
    yield Check(f"a resumed run: losses that differ from those of a run that was not stopped{said}", differ, asked)


def _state(run: _Run) -> list[Tensor]:
    parameters = list(run.trained.parameters.values())
    moments = [run.optimizer.state[one][name].cpu() for one in parameters for name in ("step", "exp_avg", "exp_avg_sq")]
    return [*(one.detach().cpu() for one in parameters), *moments]


def _steps(on: Device, name: str, notes: list[str]) -> list[dict[str, Any]]:
    """Time steps of PEFT and of ours with random weights of a model's shape; note where it does not fit."""
    dtype = "bfloat16" if on.native else "float32"
    if not on.small and not on.cuda:
        notes.append(f"{name}: steps are timed on CUDA alone")
        return []
    sizes = [(2, 9, 5)] if on.small else [(8, 60, 60), (1, 1024, 8)]
    settings = [
        cost.Setting(model=name, dtype=dtype, batch=batch, question=question, answer=answer, n_tokens=20)
        for batch, question, answer in sizes
    ]
    if on.cuda and not on.small:
        needed = memory.estimate(name, batch=8, question=60, target=60, dtype=dtype).total
        free = torch.cuda.mem_get_info(on.name)[0]
        if 1.5 * needed > free:  # PEFT keeps all logits
            notes.append(f"{name}: {needed / 2**30:.0f} GiB and room for PEFT do not fit in {free / 2**30:.0f} GiB")
            return []
    model = on.model(name, on.name, dtype)
    return [_timed(on, setting, model, rounds=3 if on.small else 7) for setting in settings]


def _timed(on: Device, setting: cost.Setting, model: Any, rounds: int) -> dict[str, Any]:
    rows = _rows(model.config.vocab_size, [(setting.question, setting.answer)] * setting.batch)

    def turns(steps: int, ways: Sequence[str]) -> dict[str, cost.Steps]:
        return cost.turns(setting, steps, ways, cost.LIKE, model, None, rows)

    peaks = {way: _peak(on, lambda way=way: turns(2, [way])) for way in cost.WAYS}  # type: ignore[misc]
    done = turns(rounds, cost.WAYS)
    ways = {
        way: {"seconds": [round(one, 6) for one in steps.seconds], "peak": peaks[way]} for way, steps in done.items()
    }
    return dataclasses.asdict(setting) | {"ways": ways}


def _peak(on: Device, made: Callable[[], object]) -> int | None:
    """Bytes at the peak of something above what was there before; None where there is no account."""
    if not on.cuda:
        return None
    torch.cuda.empty_cache()
    torch.cuda.reset_peak_memory_stats(on.name)
    before = torch.cuda.memory_allocated(on.name)
    made()
    return torch.cuda.max_memory_allocated(on.name) - before


def _seconds(on: Device) -> dict[str, list[float]]:
    """Seconds of TSLoss with its gradient on the device, and of exact homology, which is the CPU's."""
    found, times = {}, 3 if on.small else 20
    for n, d in ((20, 64),) if on.small else ((20, 2048), (100, 2048), (20, 4096), (100, 4096)):
        points = 0.02 * torch.randn(n, d, generator=torch.Generator().manual_seed(0))
        prompt, penalty = points.clone().to(on.name).requires_grad_(), TSLoss()
        found[f"tsloss/{n}/{d}"] = cost.repeat(lambda: torch.autograd.grad(penalty(prompt), prompt), times)  # noqa: B023
        found[f"topology/{n}/{d}"] = cost.repeat(lambda: _summary(points), times)  # noqa: B023
    return {name: [round(one, 7) for one in seconds] for name, seconds in found.items()}


def _summary(points: Tensor) -> object:
    return topology.summarize(topology.persistence_diagrams(points.numpy()), points.numpy())
