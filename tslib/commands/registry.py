"""What makes a function a subcommand."""

import functools
from collections.abc import Callable
from typing import Any, TypeVar

import tyro

app = tyro.extras.SubcommandApp()
Function = TypeVar("Function", bound=Callable[..., None])


def command(function: Function) -> Function:
    """Make a function a subcommand; parsing the command line returns its call, to be made afterwards."""

    @functools.wraps(function)
    def call(*args: Any, **kwargs: Any) -> Callable[[], None]:
        return functools.partial(function, *args, **kwargs)

    app.command(call)
    return function
