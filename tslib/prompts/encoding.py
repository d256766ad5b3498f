"""The one place that turns an `Example` into token ids for a causal language model, and ids into text."""

import dataclasses
from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

from tslib.errors import InputError
from tslib.models import chat
from tslib.tasks.base import Example

__all__ = ["Encoded", "check_fits", "context_of", "decode", "encode", "encode_all", "longest", "stop_ids", "until"]

# For models without a chat template; what follows is the target.
PLAIN_QUESTION = "Question: {prompt}\nAnswer:"

CONTEXTS = ("max_position_embeddings", "n_positions", "max_seq_len", "max_sequence_length", "n_ctx", "seq_length")
"""What configs call the positions that a model has, the usual name first."""


@dataclass(frozen=True)
class Encoded:
    """Token ids of an example.

    Attributes
    ----------
    question
        All that the model reads before its reply, with the tokens of the chat template.
    target
        The reply, ending in the token at which generation stops.
    cut
        Whether the middle of the prompt was left out.
    """

    question: list[int]
    target: list[int]
    cut: bool = field(default=False, compare=False)


def encode(tokenizer: Any, example: Example, shots: Sequence[Example] = ()) -> Encoded:
    """Token ids of an example, as the model's chat template writes them.

    The question is one user message with the generation prompt. The target is what the template writes for
    the assistant's reply, up to its end-of-turn token. Where the template rewrites or refuses the reply, or writes
    the question in another way once there is a reply, it is the target itself and the tokenizer's eos token.

    Without a chat template the text is ``Question: …`` and ``Answer: …`` on two lines, after what the tokenizer
    puts before every text (most often a bos token, or nothing), and an eos token follows. The blank after
    ``Answer:`` belongs to the target, since vocabularies hold words with the blank before them.

    Parameters
    ----------
    tokenizer
        A tokenizer of transformers.
    example
        What to encode.
    shots
        Solved examples that go before it: turns of the conversation, or blocks of question and answer with a
        blank line between them.

    Raises
    ------
    InputError
        If the tokenizer has neither an end-of-turn nor an eos token, or its chat template does not write the question.
    """
    if tokenizer.chat_template is None:
        solved = [f"{PLAIN_QUESTION.format(prompt=shot.prompt)} {shot.target}\n\n" for shot in shots]
        question = "".join(solved) + PLAIN_QUESTION.format(prompt=example.prompt)
        reply, end = f" {example.target}", None
    else:
        question, reply, end = _render(tokenizer, example, shots)
    if end is None:
        end = tokenizer.eos_token_id
    if end is None:
        raise InputError("the tokenizer has no eos token, so no reply could end: set tokenizer.eos_token")
    head = _ids(tokenizer, question)
    start = _before(tokenizer, question, head) if tokenizer.chat_template is None else []  # the template writes it
    whole = _ids(tokenizer, question + reply)
    # Cut the ids of the whole text where that can be done: some tokenizers begin any text with a blank.
    tail = whole[len(head) :] if whole[: len(head)] == head else _ids(tokenizer, reply)
    return Encoded(start + head, [*tail, end])


def _no_shots(_example: Example) -> Sequence[Example]:
    return ()


def encode_all(
    tokenizer: Any,
    examples: Sequence[Example],
    *,
    shots: Callable[[Example], Sequence[Example]] = _no_shots,
    n_tokens: int,
    context: int | None,
    vocabulary: int | None = None,
    reply: int = 0,
    cut_middle: bool = False,
) -> list[Encoded]:
    """Token ids of examples that fit into a context.

    Parameters
    ----------
    tokenizer
        A tokenizer of transformers.
    examples
        What to encode.
    shots
        Gives the solved examples before each.
    n_tokens
        Virtual tokens of the soft prompt.
    context
        Positions there are; None for no limit.
    vocabulary
        Token ids that the model has an embedding of; None where any will do.
    reply
        Positions to keep free for a reply, if that is more than its target.
    cut_middle
        Leave out the middle of a prompt that is too long, as LongBench does (arXiv:2308.14508): its first and last
        tokens stay, as many of both.

    Raises
    ------
    InputError
        If an example does not fit, or tokenizer or model have no tokens for it.
    """
    rows = []
    for example in examples:
        _check_known(tokenizer, example)
        row = encode(tokenizer, example, shots(example))
        if cut_middle and context is not None:
            room = context - n_tokens - max(len(row.target), reply)
            if len(row.question) > room:
                row = _cut_middle(tokenizer, example, shots(example), len(row.question) - room)
                row = dataclasses.replace(row, cut=True)
        check_fits(n_tokens, row, context, example.id)
        highest = max(row.question + row.target)
        if vocabulary is not None and highest >= vocabulary:
            raise InputError(
                f"example {example.id} has token {highest}, the model embeds {vocabulary} tokens: its tokenizer is "
                "that of another model"
            )
        rows.append(row)
    return rows


def _check_known(tokenizer: Any, example: Example) -> None:
    for name, text in (("question", example.prompt), ("target", example.target)):
        if text.strip() and set(_ids(tokenizer, text)) <= {tokenizer.unk_token_id}:
            raise InputError(
                f"the tokenizer knows nothing of the {name} of example {example.id}: give a model whose vocabulary has "
                "its letters or words"
            )


def _cut_middle(tokenizer: Any, example: Example, shots: Sequence[Example], excess: int) -> Encoded:
    """Encode an example whose prompt has at least `excess` tokens too many; where none are left, it may not fit."""
    ids = _ids(tokenizer, example.prompt)
    allowed = len(encode(tokenizer, example, shots).question) - excess
    while True:
        half = max(0, len(ids) - excess) // 2
        first, last = (
            tokenizer.decode(part, skip_special_tokens=True, clean_up_tokenization_spaces=False)
            for part in (ids[:half], ids[len(ids) - half :])
        )
        row = encode(tokenizer, dataclasses.replace(example, prompt=first + last), shots)
        if len(row.question) <= allowed or not half:
            return row
        excess += len(row.question) - allowed  # what is cut apart may become more tokens


def _render(tokenizer: Any, example: Example, shots: Sequence[Example]) -> tuple[str, str, int | None]:
    """Question, reply and end-of-turn token (None: not given) as the chat template writes them."""
    turns = [(shot.prompt, shot.target) for shot in shots] + [(example.prompt, example.target)]
    messages = [message for turn in turns for message in zip(("user", "assistant"), turn, strict=True)]
    question, whole = chat.write(tokenizer, messages)
    target = example.target.strip()  # some templates strip the messages
    if not target or not whole.startswith(question) or target not in whole[len(question) :]:
        return question, example.target, None
    before, _, after = whole[len(question) :].rpartition(target)
    marker = after.lstrip()
    first = _ids(tokenizer, marker.rstrip())[:1]
    if not first or first[0] not in tokenizer.added_tokens_decoder:
        return question, before + target, None  # words, or nothing, end the turn
    return question, before + target + after.removesuffix(marker), first[0]


def _before(tokenizer: Any, text: str, ids: list[int]) -> list[int]:
    """Tokens that the tokenizer puts before a text of these ids."""
    given = list(tokenizer(text)["input_ids"])
    return next((given[:i] for i in range(len(given)) if given[i : i + len(ids)] == ids), [])


def _ids(tokenizer: Any, text: str) -> list[int]:
    return list(tokenizer(text, add_special_tokens=False)["input_ids"])


def stop_ids(tokenizer: Any, model_generation_config: Any = None) -> set[int]:
    """Every token that ends a reply: tokenizer's eos, template's end of turn, generation config's eos ids.

    Parameters
    ----------
    tokenizer
        A tokenizer of transformers.
    model_generation_config
        ``model.generation_config``, or None.
    """
    ends = {encode(tokenizer, Example("stop", "Is it so?", "Yes.", "Yes")).target[-1], tokenizer.eos_token_id}
    eos = getattr(model_generation_config, "eos_token_id", None)
    ends.update(eos if isinstance(eos, list | tuple) else [eos])
    return {int(end) for end in ends if end is not None and end >= 0}  # -1 stands for none in some files


def until(ids: Sequence[int], stop: Collection[int]) -> list[int]:
    """Ids before the first that ends a reply; all, where none does."""
    return list(ids[: next((i for i, token in enumerate(ids) if token in stop), len(ids))])


def longest(rows: Sequence[Encoded], n_tokens: int) -> int:
    """Positions of the longest of some rows, with the virtual tokens of its soft prompt; none without rows."""
    return max((n_tokens + len(row.question) + len(row.target) for row in rows), default=0)


def context_of(model: Any, limit: int | None = None) -> int | None:
    """Positions of a model, at most `limit`; None where neither says how many."""
    config = model.config.get_text_config()
    named = [getattr(config, name, None) for name in CONTEXTS]
    positions = next((given for given in named if isinstance(given, int) and given > 0), None)  # -1 stands for none
    return min((given for given in (positions, limit) if given is not None), default=None)


def check_fits(n_tokens: int, encoded: Encoded, max_positions: int | None, example_id: str) -> None:
    """Check that soft prompt, question and target fit into the model's context.

    Parameters
    ----------
    n_tokens
        Virtual tokens of the soft prompt.
    encoded
        The example.
    max_positions
        Positions there are; None when there is no limit.
    example_id
        Its id, for the message.

    Raises
    ------
    InputError
        If they do not.
    """
    question, target = len(encoded.question), len(encoded.target)
    needed = n_tokens + question + target
    if max_positions is not None and needed > max_positions:
        raise InputError(
            f"example {example_id} needs {needed} positions ({n_tokens} virtual tokens, {question} of the "
            f"question, {target} of the target), the context has {max_positions}: leave it out, or lower n_tokens"
        )


def decode(tokenizer: Any, ids: Iterable[int]) -> str:
    """Text of generated ids, without special tokens and without the blanks around it."""
    text: str = tokenizer.decode(list(ids), skip_special_tokens=True, clean_up_tokenization_spaces=False)
    return text.strip()
