"""What a model does with rows, tried on the model itself: nothing is read from its name or its architecture.

Each way of taking rows through a model (packed, padded, behind states, decoded) is a question. It is asked where it
first matters, on a few short rows (and rows beyond each window that the config names), and held against the model as
transformers has it: one row at a time, without mask, cache, or kernels of ours. The answers are kept in the cache
under what the weights are, and stand in a run's record.
"""

import hashlib
import inspect
import json
import platform
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from importlib.metadata import version
from pathlib import Path
from typing import Any
from weakref import WeakKeyDictionary

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional

from tslib.errors import InputError
from tslib.models import loading as models
from tslib.prompts.encoding import Encoded
from tslib.prompts.soft_prompt import SoftPrompt

__all__ = ["answers", "ask", "check", "remember"]

WINDOW = re.compile(r"^(?!.*(layer|pattern)).*(window|chunk|block_size|block_length|local|topk$|compress|span)")
"""Names in a config of lengths beyond which attention may change; not of layers and their pattern."""
LONGEST = 4096
"""Positions of a row that is tried, at most; what changes beyond is not trusted."""


@dataclass
class _Known:
    said: dict[str, bool] = field(default_factory=dict)
    file: Path | None = None


_KNOWN: "WeakKeyDictionary[Any, _Known]" = WeakKeyDictionary()


def remember(model: Any, name: str) -> None:
    """Keep a model's answers on disk under its weights, and take those that are there.

    Parameters
    ----------
    model
        A model of transformers.
    name
        As for `tslib.models.loading.load_model`.
    """
    if model in _KNOWN and _KNOWN[model].file is not None:
        return
    what = {
        "model": {key: value for key, value in models.identity(name).items() if key != "name"},
        "dtype": str(model.dtype),
        "device": str(model.get_input_embeddings().weight.device.type),
        "machine": platform.machine(),
        "packages": {package: version(package) for package in ("torch", "transformers")},
        "code": _code(),
    }
    key = hashlib.sha256(json.dumps(what, sort_keys=True).encode()).hexdigest()[:16]
    known = _KNOWN.setdefault(model, _Known())
    known.file = models.cache_dir() / "probes" / f"{key}.json"
    try:
        kept = json.loads(known.file.read_text(encoding="utf-8"))
        known.said |= {question: answer for question, answer in kept.items() if isinstance(answer, bool)}
    except (OSError, ValueError, AttributeError):  # nothing is kept, or it cannot be read: it is asked again
        pass


def _code() -> str:
    digest = hashlib.sha256()
    for room in ("kernels", "prompts"):
        for path in sorted(Path(__file__).parents[1].glob(f"{room}/*.py")):
            digest.update(path.read_bytes())
    return digest.hexdigest()


def answers(model: Any) -> dict[str, bool]:
    """Return what is known of a model, by question."""
    return dict(sorted(_KNOWN[model].said.items())) if model in _KNOWN else {}


def ask(model: Any, question: str, attempt: Callable[[], bool]) -> bool:
    """Return a model's answer to a question; one that is not known yet is found out by an attempt.

    An attempt that raises is a no, save where memory or patience ran out.
    """
    known = _KNOWN.setdefault(model, _Known())
    if question not in known.said:
        try:
            known.said[question] = bool(attempt())
        except torch.OutOfMemoryError:
            raise
        except Exception:  # whatever an architecture's code raises: this way is not for it
            known.said[question] = False
        _keep(known)
    return known.said[question]


def _keep(known: _Known) -> None:
    if known.file is None:
        return
    try:
        known.file.parent.mkdir(parents=True, exist_ok=True)
        scratch = known.file.with_suffix(f".{id(known):x}")
        scratch.write_text(json.dumps(known.said, indent=1), encoding="utf-8")
        scratch.replace(known.file)
    except OSError:  # a cache that cannot be written to only costs the time of asking again
        pass


def check(model: Any) -> None:
    """Check that a model is one that prompts can be tuned on.

    Raises
    ------
    InputError
        If it sees later tokens, or does not take embedded tokens for tokens.
    """
    name = type(model).__name__
    if "causal" not in answers(model):  # the model itself, so that what it raises is no answer
        try:
            causal = _is_causal(model)
        except Exception as error:
            said = " ".join(str(error).split())[:200]
            raise InputError(f"{name} fails on a few of its own tokens ({type(error).__name__}: {said})") from error
        ask(model, "causal", lambda: causal)
    if not answers(model)["causal"]:
        raise InputError(
            f"{name} is no causal language model: its state at a token changes with the tokens behind it; "
            "give a model that predicts the next token from those before it"
        )
    if not ask(model, "takes embeddings", lambda: _takes_embeddings(model)):
        raise InputError(
            f"{name} cannot take a soft prompt: it computes something else from embedded tokens than from their ids "
            "(or takes none); give a model whose tokens enter it through one embedding alone"
        )


def tokens(model: Any, length: int, seed: int = 0) -> list[int]:
    """Token ids drawn at random, none of them the padding's, which some models give no position."""
    generator = torch.Generator().manual_seed(seed)
    size, padding = len(model.get_input_embeddings().weight), getattr(model.config, "pad_token_id", None)
    ids = torch.randint(size, (length,), generator=generator).tolist()
    return [(token + 1) % size if token == padding else token for token in ids]


def _logits(model: Any, **given: Any) -> Float[Tensor, "b l v"]:
    logits: Tensor = model(**given, use_cache=False).logits.float()
    return logits - logits.mean(-1, keepdim=True)


@torch.no_grad()
def _is_causal(model: Any) -> bool:
    """Whether the last tokens change nothing before them, and the first one what is behind it."""
    length, last = 9, 3
    ids = torch.tensor([tokens(model, length)], device=model.get_input_embeddings().weight.device)
    behind, before = ids.clone(), ids.clone()
    behind[:, -last:] = torch.tensor(tokens(model, last, 1))
    before[:, 0] = torch.tensor(tokens(model, 1, 2))
    one, other, first = _logits(model, input_ids=torch.cat([ids, behind, before]))
    effect = (first - one)[length - last :].norm()
    return is_little((other - one)[: length - last].norm(), effect, one.norm(), model, share=1e-4)


@torch.no_grad()
def _takes_embeddings(model: Any) -> bool:
    embed = model.get_input_embeddings()
    ids = torch.tensor([tokens(model, 7), tokens(model, 7, 1)], device=embed.weight.device)
    one, other = _logits(model, input_ids=ids), _logits(model, inputs_embeds=embed(ids))
    return is_little((one - other).norm(), (one[0] - one[1]).norm(), one.norm(), model, share=1e-4)


def is_little(error: Tensor, effect: Tensor, whole: Tensor, model: Any, share: float = 1e-2) -> bool:
    """Whether an error is rounding: small against what a real change does.

    Parameters
    ----------
    error, effect, whole
        Sizes of what is to be judged, of a real change, and of the number itself.
    model
        Whose precision counts.
    share
        Of the effect, at most, in float32; less where both come out of the same arithmetic.
    """
    exact = model.dtype == torch.float32
    share, rounding = (share, 1e-6) if exact else (0.2, 2e-2)
    return bool(error <= share * effect + rounding * whole)


def ragged(model: Any) -> list[Encoded]:
    """Return two short rows of very different lengths that begin alike.

    Of the second only the question's last token is its own: packed, it stands behind the first row's target.
    """
    start = tokens(model, 3)
    return [
        Encoded(start + tokens(model, own, 3 * seed), tokens(model, target, 3 * seed + 1))
        for seed, (own, target) in enumerate(((9, 2), (1, 3)), 1)
    ]


def right_for(
    model: Any, question: str, longest: int, attempt: Callable[[], bool], beyond: Callable[[int], bool]
) -> bool:
    """Return whether a way is right for rows of a length: as it is for short ones, and beyond the windows they reach.

    Parameters
    ----------
    model
        A model of transformers.
    question
        What is asked of it.
    longest
        Positions of the longest row.
    attempt
        Tries short rows.
    beyond
        Tries rows beyond a window of so many positions.
    """
    if not ask(model, question, attempt):
        return False
    reached = [window for window in windows(model) if window < longest]
    if not reached:
        return True
    window = max(reached)
    return window <= LONGEST and ask(model, f"{question}, beyond {window}", lambda: beyond(window))


@torch.no_grad()
def reaches(
    model: Any,
    window: int,
    attempt: Callable[[Sequence[Encoded]], Tensor],
    expected: Callable[[Sequence[Encoded]], Tensor],
) -> bool:
    """Whether a way gives the right loss of a row that goes beyond a window, beside a short one.

    Parameters
    ----------
    model
        A model of transformers.
    window
        Positions.
    attempt, expected
        Give the loss of some rows, by the way that is tried and by the model itself.
    """
    short = Encoded(tokens(model, 2, 13), tokens(model, 2, 14))  # padded, it begins a whole window later
    one, other = ([Encoded(tokens(model, window + 8, seed), short.target), short] for seed in (11, 12))
    loss = expected(one)
    return is_little((attempt(one) - loss).abs(), (loss - expected(other)).abs(), loss, model, share=1e-3)


def windows(model: Any) -> list[int]:
    """Lengths beyond which the config says that attention may change, and that the model's context reaches."""
    config = model.config.get_text_config()
    reach = getattr(config, "max_position_embeddings", None) or float("inf")
    found = set()
    for name, value in config.to_dict().items():
        values = value if isinstance(value, list | tuple) else [value]
        if WINDOW.search(name):
            found |= {one for one in values if type(one) is int and 1 < one < reach - 16}
    return sorted(found)


def keeping(model: Any, keep: int) -> dict[str, int]:
    """Ask for the logits of the last positions alone, where the model's class can be asked."""
    return {"logits_to_keep": keep} if "logits_to_keep" in inspect.signature(model.forward).parameters else {}


def plain(model: Any, prompt: SoftPrompt, rows: Sequence[Encoded]) -> Tensor:
    """Loss of some rows, from the model as transformers has it, one row at a time."""
    embed = model.get_input_embeddings()
    total: Any = 0
    for row in rows:
        parts = [embed(torch.tensor(part, device=embed.weight.device)) for part in (row.question, row.target)]
        virtual = prompt().to(parts[0].dtype)
        parts = [virtual, *parts] if prompt.placement == "prefix" else [parts[0], virtual, parts[1]]
        kept = keeping(model, keep := len(row.target) + 1)
        logits = model(inputs_embeds=torch.cat(parts)[None], **kept, use_cache=False).logits[0, -keep:-1].float()
        loss = functional.cross_entropy(logits, torch.tensor(row.target, device=logits.device), reduction="sum")
        total = total + loss.to(embed.weight.device)
    mean: Tensor = total / sum(len(row.target) for row in rows)
    return mean


def differentiated(loss: Tensor, prompt: SoftPrompt) -> tuple[Tensor, Tensor]:
    """Return a loss and its gradient with respect to the prompt."""
    (gradient,) = torch.autograd.grad(loss, prompt.weight)
    return loss.detach(), gradient


@torch.no_grad()
def ends_in_its_head(model: Any) -> bool:
    """Whether the logits are what the output layer makes of the base model's states, with no scale or cap behind."""
    ids = torch.tensor([tokens(model, 5)], device=model.get_input_embeddings().weight.device)
    seen: list[Tensor] = []
    with model.get_output_embeddings().register_forward_hook(lambda _head, given, out: seen.extend((*given, out))):
        logits = model(input_ids=ids, use_cache=False).logits
    states = model.base_model(input_ids=ids, use_cache=False).last_hidden_state
    pairs = ((seen[0], states), (seen[1], logits))
    little = 1e-6 if model.dtype == torch.float32 else 1e-2
    return all(bool((one.float() - other.float()).norm() <= little * other.float().norm()) for one, other in pairs)


def agrees(model: Any, one: tuple[Tensor, Tensor], other: tuple[Tensor, Tensor]) -> bool:
    """Whether two losses and their gradients are the same to rounding."""
    exact = model.dtype == torch.float32
    losses = torch.isclose(one[0], other[0].to(one[0]), rtol=5e-5 if exact else 2e-2, atol=0)
    distance = (one[1] - other[1]).norm()
    return bool(losses and distance <= (2e-3 if exact else 0.2) * one[1].norm())
