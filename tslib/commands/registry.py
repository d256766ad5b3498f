"""What makes a function a subcommand."""

import functools
import inspect
import re
import sys
from collections.abc import Callable
from typing import Any, TypeVar

from tyro.extras import SubcommandApp

app = SubcommandApp()
"""The subcommands, each with its whole help."""
overview = SubcommandApp()
"""The same, each with the first sentences of its help: what is listed where none is named."""
names: list[str] = []
"""Their names, in the order in which help lists them."""
Function = TypeVar("Function", bound=Callable[..., None])


def command(function: Function) -> Function:
    """Make a function a subcommand; parsing the command line returns its call, to be made afterwards.

    Its docstring is the help: what stands before the parameters, and the lines of the section Examples.
    """

    @functools.wraps(function)
    def call(*args: Any, **kwargs: Any) -> Callable[[], None]:
        return functools.partial(function, *args, **kwargs)

    said, *sections = re.split(r"\n\n(\w+)\n-+\n", inspect.getdoc(function) or "")
    examples = dict(zip(sections[::2], sections[1::2], strict=True))["Examples"]
    indented = "\n".join(f"  {line}" for line in examples.splitlines())
    name = function.__name__.replace("_", "-")
    app.command(name=name, help=f"{said}\n\nExamples:\n{indented}")(call)
    overview.command(name=name, help=said.partition("\n\n")[0])(call)
    names.append(name)
    return function


def say(line: str) -> None:
    """Say something before a command begins, beside what it prints; nothing where there is nothing to say."""
    if line:
        print(line, file=sys.stderr)
