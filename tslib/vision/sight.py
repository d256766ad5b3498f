"""How pictures get into a language model that has none: as tokens from behind the end of its vocabulary.

While a model sees, ids above those of its words stand for the 64 tokens of a picture, which a frozen projector makes,
or for the slots of a prompt that depends on picture and question. Its embedding puts them in their places. So packed,
padded and single rows, prefixes in every layer, kept states and decoding all take pictures without knowing of them, and
rows that begin with the same picture share its states::

    [prompt ; picture ; question ; answer]
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any
from weakref import WeakKeyDictionary

import torch
from jaxtyping import Float, Int
from torch import Tensor
from tqdm import tqdm

from tslib.config import METHODS, EvalConfig, TuneConfig
from tslib.errors import InputError
from tslib.prompts.encoding import Encoded
from tslib.tasks.base import Example
from tslib.vision.encoders import averaged
from tslib.vision.pictures import grids
from tslib.vision.projector import SIDE, TOKENS, Projector, load_projector, projector_identity
from tslib.vision.questions import question_of

__all__ = ["Pair", "Sight", "check_pictures", "opened", "positions", "seeing", "seen_by", "sight_of"]

SLOTS = 2**40
"""Ids of slots begin so far behind those of pictures."""
Fuse = Callable[[list[int]], Float[Tensor, "u m d"]]
"""From numbers of pairs to the tokens in their slots."""


@dataclass(frozen=True)
class Pair:
    """A question about a picture.

    Attributes
    ----------
    picture
        Its name.
    question
        Its words, without the instruction that follows them.
    """

    picture: str
    question: str


class Sight:
    """Pictures and questions that a model knows by ids of their own.

    Parameters
    ----------
    model, tokenizer
        Of transformers.
    projector
        Makes tokens of what an encoder sees.
    slots
        Tokens of the prompt that depends on picture and question, for each row; none without such a prompt.
    after
        Whether the slots stand behind the picture, not before it.
    """

    def __init__(
        self, model: Any, tokenizer: Any, projector: Projector, *, slots: int = 0, after: bool = False
    ) -> None:
        self.model, self.tokenizer, self.projector = model, tokenizer, projector
        self.slots, self.after = slots, after
        self.embed = model.get_input_embeddings()
        self.first = len(self.embed.weight)
        self.fuse: Fuse | None = None
        self.numbers: dict[str, int] = {}
        self.pairs: dict[Pair, int] = {}
        self.asked: dict[str, Float[Tensor, d]] = {}
        self.tokens = torch.zeros(0, TOKENS, len(projector.mean), device=self.embed.weight.device)

    def look(self, examples: Sequence[Example], *, progress: bool = True) -> None:
        """Take in pictures that are not known yet, encoding those that were never seen.

        Raises
        ------
        InputError, ResourceError
            As `tslib.vision.pictures.grids`.
        """
        new = {row.picture: row.id for row in examples if row.picture not in self.numbers}
        if not new:
            return
        device = self.tokens.device
        found = grids(
            list(new), self.projector.encoder, where=list(new.values()), device=str(device), progress=progress
        )
        self.tokens = torch.cat([self.tokens, averaged(found, SIDE).to(device)])
        self.numbers |= {picture: len(self.numbers) + number for number, picture in enumerate(new)}

    def put(self, rows: Sequence[Encoded], examples: Sequence[Example]) -> list[Encoded]:
        """Return rows with their pictures, and their slots, before the question."""
        asked = {question_of(example.prompt) for example in examples} if self.slots else set()
        for words in tqdm(sorted(asked), desc="questions", delay=2, leave=False):
            self.question(words)  # now: while rows go through the model, nothing else can
        put = []
        for row, example in zip(rows, examples, strict=True):
            start = self.first + TOKENS * self.numbers[example.picture]
            before = list(range(start, start + TOKENS))
            if self.slots:
                pair = Pair(example.picture, question_of(example.prompt))
                start = self.first + SLOTS + self.slots * self.pairs.setdefault(pair, len(self.pairs))
                own = list(range(start, start + self.slots))
                before = [*before, *own] if self.after else [*own, *before]
            put.append(replace(row, question=[*before, *row.question]))
        return put

    def pairs_of(self, rows: Sequence[Encoded]) -> list[int]:
        """Return the numbers of the pairs that rows are about, by their slots."""
        at = TOKENS if self.after else 0
        return [(row.question[at] - self.first - SLOTS) // self.slots for row in rows]

    def pictures(self, numbers: Int[Tensor, "u"]) -> Float[Tensor, "u 64 d"]:
        """Return the tokens of some pictures, as they enter the model."""
        projected: Tensor = self.projector(self.tokens[numbers])
        return projected

    @torch.no_grad()
    def question(self, words: str) -> Float[Tensor, "d"]:
        """Return a question as the frozen model has it, alone: the mean of its last hidden states; kept."""
        if words not in self.asked:
            ids = torch.tensor([self.tokenizer(words)["input_ids"]], device=self.embed.weight.device)
            states = self.model.base_model(input_ids=ids, use_cache=False).last_hidden_state
            self.asked[words] = states[0].float().mean(0)
        return self.asked[words]

    def embedded(self, inner: Callable[[Tensor], Tensor], ids: Int[Tensor, "*b"]) -> Float[Tensor, "*b d"]:
        """Embed ids: words by the model's own embedding, pictures and slots as they are."""
        beyond = ids - self.first
        special = beyond >= 0
        if not special.any():
            return inner(ids)
        embedded = inner(ids.masked_fill(special, 0))
        places = {False: special & (beyond < SLOTS), True: beyond >= SLOTS}
        for slots, mask in places.items():
            numbers, size = (beyond[mask] - SLOTS, self.slots) if slots else (beyond[mask], TOKENS)
            if numbers.numel():
                own, which = (numbers // size).unique(return_inverse=True)
                values = self._fused(own) if slots else self.pictures(own)  # (u, size, d)
                embedded = embedded.masked_scatter(mask[..., None], values[which, numbers % size].to(embedded.dtype))
        return embedded

    def _fused(self, pairs: Int[Tensor, "u"]) -> Float[Tensor, "u m d"]:
        if self.fuse is None:
            raise InputError("rows have slots for a prompt, and there is none: set Sight.fuse")
        return self.fuse(pairs.tolist())


_SIGHTS: "WeakKeyDictionary[Any, Sight]" = WeakKeyDictionary()


def sight_of(model: Any) -> Sight:
    """Return what a model sees.

    Raises
    ------
    InputError
        If it sees nothing.
    """
    if model not in _SIGHTS:
        raise InputError(
            "a prompt of method=grasp or cocoop depends on a picture: give a task with some, such as aerial-scenes"
        )
    return _SIGHTS[model]


def seen_by(model: Any) -> dict[str, Any]:
    """Return what a record's environment says of the pictures that a model sees: the projector; nothing without any."""
    return {"projector": projector_identity(_SIGHTS[model].projector)} if model in _SIGHTS else {}


@contextmanager
def opened(sight: Sight) -> Iterator[None]:
    """While active, the model's embedding knows the ids of a sight."""
    embed, inner = sight.embed, sight.embed.forward
    before = vars(embed).get("forward")  # one that is divided over devices has its own
    embed.forward = lambda ids: sight.embedded(inner, ids)
    _SIGHTS[sight.model] = sight
    try:
        yield
    finally:
        del _SIGHTS[sight.model]
        if before is None:
            del embed.forward
        else:
            embed.forward = before


def check_pictures(examples: Sequence[Example], shots: int = 0) -> bool:
    """Return whether rows have pictures.

    Raises
    ------
    InputError
        If some have one and others none, or solved examples go before them.
    """
    seen = {bool(example.picture) for example in examples}
    if len(seen) > 1:
        blind = next(example.id for example in examples if not example.picture)
        raise InputError(f"{blind} has no picture, other rows of its task have: leave it out")
    if True in seen and shots:
        raise InputError(f"rows with pictures take no solved examples before them: shots is 0; given {shots}")
    return True in seen


def positions(examples: Sequence[Example]) -> int:
    """Positions that a picture takes in each row: none without pictures."""
    return TOKENS if any(example.picture for example in examples) else 0


@contextmanager
def seeing(
    config: TuneConfig | EvalConfig,
    model: Any,
    tokenizer: Any,
    examples: Sequence[Example],
    rows: Sequence[Encoded],
    *,
    run: TuneConfig | None = None,
    shots: int = 0,
    progress: bool = True,
) -> Iterator[list[Encoded]]:
    """Let a model see the pictures of some rows, and yield the rows with them; rows without pictures are as they were.

    Parameters
    ----------
    config
        Names the model, and the projector.
    model, tokenizer
        Of transformers.
    examples, rows
        The rows before and after they were encoded.
    run
        The run whose prompt is used, which says how many slots there are and where.
    shots
        Solved examples before each row.
    progress
        Show progress bars.

    Raises
    ------
    InputError, ResourceError
        If pictures, encoder or projector cannot be had or used.
    """
    if not check_pictures(examples, shots):
        yield list(rows)
        return
    made = load_projector(config.projector, config.model, model, tokenizer, progress=progress)
    guided = run is not None and METHODS[run.method].resume
    slots, after = (run.n_tokens, run.prompt_place == "after-picture") if run is not None and guided else (0, False)
    sight = Sight(model, tokenizer, made, slots=slots, after=after)
    sight.look(examples, progress=progress)
    with opened(sight):
        yield sight.put(rows, examples)
