"""How a model's chat template writes a conversation: alike on every day, and with all that was said, or not at all."""

import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime
from types import SimpleNamespace
from typing import Any

from tslib.errors import InputError

__all__ = ["DATE", "dated", "write"]

DATE = datetime(2024, 7, 26)
"""What templates are told of today, so that token ids are the same tomorrow: the date that Llama's templates take where
they are given none."""

FORMS: tuple[Callable[[str], Any], ...] = (str, lambda text: [{"type": "text", "text": text}])
"""What a message's content is to a template: a text, or a list of parts."""

PRINTED = re.compile(r"""['"]type['"]: ['"]text['"]""")
"""What a template leaves of a list of parts that it takes for a text."""

CHANCE = re.compile(r"\|\s*random\b|\blipsum\b")
"""What jinja draws at random with."""


def write(tokenizer: Any, messages: Sequence[tuple[str, str]]) -> tuple[str, str]:
    """Return a question with the generation prompt, and the conversation with its reply, as the template writes them.

    Parameters
    ----------
    tokenizer
        A tokenizer of transformers that has a chat template.
    messages
        Role and content of each message. The last is the reply.

    Returns
    -------
    question
        Without the reply.
    whole
        With the reply; empty where the template refuses to write one.

    Raises
    ------
    InputError
        If the template fails, leaves out what a message says, or takes something at random.
    """
    refused = []
    for form in FORMS:
        chat = [{"role": role, "content": form(content)} for role, content in messages]
        try:
            question = _apply(tokenizer, chat[:-1], add_generation_prompt=True)
        except Exception as error:  # jinja's own, the template's, and what Python makes of its expressions
            refused.append(f"{type(error).__name__}: {' '.join(str(error).split())}")
            continue
        if _holds(question, (content for _, content in messages[:-1])) and (
            form is str or not PRINTED.search(question)
        ):
            return question, _whole(tokenizer, chat)
        refused.append("it leaves out what a message says")
    raise InputError(
        f"the model's chat template does not write a question of user and assistant in turn ({refused[0]}): mend the "
        "template, or take it out of the model's folder, and questions are written without one"
    )


def dated(tokenizer: Any) -> dict[str, str]:
    """Return what a record says of the date that the template was told; nothing where it asks for none."""
    asks = tokenizer.chat_template is not None and "strftime_now" in tokenizer.get_chat_template()
    return {"template_date": f"{DATE:%Y-%m-%d}"} if asks else {}


def _apply(tokenizer: Any, chat: list[dict[str, Any]], *, add_generation_prompt: bool = False) -> str:
    if found := CHANCE.search(tokenizer.get_chat_template()):
        raise ValueError(f"{found[0]} is another one each time")
    with _one_day():
        text: str = tokenizer.apply_chat_template(chat, add_generation_prompt=add_generation_prompt, tokenize=False)
    return text


def _whole(tokenizer: Any, chat: list[dict[str, Any]]) -> str:
    try:
        return _apply(tokenizer, chat)
    except Exception:  # as above; a template may be for questions only
        return ""


@contextmanager
def _one_day() -> Iterator[None]:
    """Let transformers, which gives templates no other clock than its own ``strftime_now``, have it stand still."""
    from transformers.utils import chat_template_utils

    module: Any = chat_template_utils
    module.datetime = SimpleNamespace(now=lambda: DATE)
    try:
        yield
    finally:
        module.datetime = datetime


def _holds(written: str, texts: Iterable[str]) -> bool:
    """Whether the words of some texts are there in their order: templates may strip, indent, escape and capitalise."""
    written, place = written.casefold(), 0
    for text in texts:
        for word in re.findall(r"\w+", text.casefold()) or text.split():
            place = written.find(word, place)
            if place < 0:
                return False
            place += len(word)
    return True
