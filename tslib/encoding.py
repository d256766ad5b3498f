"""The one place that turns an `Example` into token ids for a causal language model, and ids into text."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from tslib.errors import InputError
from tslib.tasks.base import Example

__all__ = ["Encoded", "check_fits", "decode", "encode", "stop_ids"]

# For models without a chat template; what follows is the target.
PLAIN_QUESTION = "Question: {prompt}\nAnswer:"


@dataclass(frozen=True)
class Encoded:
    """Token ids of an example.

    Attributes
    ----------
    question
        All that the model reads before its reply, with the tokens of the chat template.
    target
        The reply, ending in the token at which generation stops.
    """

    question: list[int]
    target: list[int]


def encode(tokenizer: Any, example: Example) -> Encoded:
    """Token ids of an example, as the model's chat template writes them.

    The question is one user message with the generation prompt. The target is what the template writes for
    the assistant's reply, up to its end-of-turn token. Where the template rewrites the reply, or writes the
    question in another way once there is a reply, it is the target itself and the tokenizer's eos token.

    Without a chat template the text is ``Question: …`` and ``Answer: …`` on two lines, after a bos token if
    the tokenizer adds one, and an eos token follows. The blank after ``Answer:`` belongs to the target, since
    vocabularies hold words with the blank before them.

    Parameters
    ----------
    tokenizer
        A tokenizer of transformers.
    example
        What to encode.

    Raises
    ------
    InputError
        If the tokenizer has neither an end-of-turn nor an eos token.
    """
    if tokenizer.chat_template is None:
        question, reply, end = PLAIN_QUESTION.format(prompt=example.prompt), f" {example.target}", None
        start = _leading_bos(tokenizer)
    else:
        question, reply, end = _render(tokenizer, example)
        start = []  # the template writes it
    if end is None:
        end = tokenizer.eos_token_id
    if end is None:
        raise InputError("the tokenizer has no eos token, so no reply could end: set tokenizer.eos_token")
    head = _ids(tokenizer, question)
    whole = _ids(tokenizer, question + reply)
    # Cut the ids of the whole text where that can be done: some tokenizers begin any text with a blank.
    tail = whole[len(head) :] if whole[: len(head)] == head else _ids(tokenizer, reply)
    return Encoded(start + head, [*tail, end])


def _render(tokenizer: Any, example: Example) -> tuple[str, str, int | None]:
    """Question, reply and end-of-turn token (None: not given) as the chat template writes them."""
    user = {"role": "user", "content": example.prompt}
    assistant = {"role": "assistant", "content": example.target}
    question: str = tokenizer.apply_chat_template([user], add_generation_prompt=True, tokenize=False)
    whole: str = tokenizer.apply_chat_template([user, assistant], tokenize=False)
    target = example.target.strip()  # some templates strip the messages
    if not target or not whole.startswith(question) or target not in whole[len(question) :]:
        return question, example.target, None
    before, _, after = whole[len(question) :].rpartition(target)
    marker = after.lstrip()
    first = _ids(tokenizer, marker.rstrip())[:1]
    if not first or first[0] not in tokenizer.added_tokens_decoder:
        return question, before + target, None  # words, or nothing, end the turn
    return question, before + target + after.removesuffix(marker), first[0]


def _leading_bos(tokenizer: Any) -> list[int]:
    bos = tokenizer.bos_token_id
    return [bos] if bos is not None and tokenizer("a")["input_ids"][:1] == [bos] else []


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
    return {int(end) for end in ends if end is not None}


def check_fits(n_tokens: int, encoded: Encoded, max_positions: int | None, example_id: str) -> None:
    """Check that soft prompt, question and target fit into the model's context.

    Parameters
    ----------
    n_tokens
        Virtual tokens of the soft prompt.
    encoded
        The example.
    max_positions
        Positions of the model; None when it has no limit.
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
            f"question, {target} of the target), the model has {max_positions}: leave it out or lower n_tokens"
        )


def decode(tokenizer: Any, ids: Iterable[int]) -> str:
    """Text of generated ids, without special tokens and without the blanks around it."""
    text: str = tokenizer.decode(list(ids), skip_special_tokens=True, clean_up_tokenization_spaces=False)
    return text.strip()
