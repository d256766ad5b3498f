"""The command line: ``python -m tslib COMMAND``. What goes wrong is told in one line."""

import contextlib
import gc
import io
import itertools
import os
import re
import sys

from tslib.errors import MissingExtraError, TslibError, needs

try:
    needs("tune", "tyro", "pydantic", "transformers")
except MissingExtraError as error:
    sys.exit(f"error: {error}")

from pydantic import ValidationError

from tslib.commands import app, names, overview
from tslib.commands.runs import with_preset
from tslib.config import explain

ABOUT = """Tune soft prompts with and without TSLoss, and look at their topology.

Examples (python -m tslib COMMAND --help has those of a command):
  python -m tslib fetch
  python -m tslib tune --regularizer tsloss --max-steps 20"""


def main(arguments: list[str] | None = None) -> int:
    """Run a command; return the exit status: 0, 1 or 2 for an error told in one line, 130 after Ctrl-C."""
    try:
        return _run(sys.argv[1:] if arguments is None else arguments)
    except BrokenPipeError:  # a pager was closed; keep Python from complaining once more when it closes stdout
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        return 130


def _run(arguments: list[str]) -> int:
    named = arguments[0] if arguments and not arguments[0].startswith("-") else ""
    if named and named not in names:
        return _fail(f"unknown command {named!r}: give one of {', '.join(names)}", status=2)
    if named == "tune":
        arguments = with_preset(arguments)
    parser_says = io.StringIO()
    try:
        with contextlib.redirect_stderr(parser_says):
            parser = app if named else overview
            call = parser.cli(prog="python -m tslib", args=arguments, description=ABOUT)
    except SystemExit as stop:
        return _rejected(stop, parser_says.getvalue(), named) if stop.code else 0
    try:
        call()
        sys.stdout.flush()
    except BrokenPipeError:
        raise
    except TslibError as error:
        return _fail(str(error))
    except OSError as error:
        return _fail(f"{error.filename or 'a file'}: {error.strerror or error}")
    return 0


def _rejected(stop: SystemExit, said: str, command: str) -> int:
    """Tell in one line why the command line was rejected: the config's own words, or the parser's without its box."""
    error: BaseException | None = stop
    while error is not None:
        if isinstance(error, ValidationError):
            return _fail(explain(error), status=2)
        if isinstance(error, TslibError):
            return _fail(str(error), status=2)
        error = error.__cause__ or error.__context__
    plain = re.sub(r"\x1b\[[\d;]*m", "", said)  # a terminal gets colours
    lines = [line for line in (line.strip("│ ") for line in plain.splitlines()) if line]
    title = 1 if lines[:1] and lines[0].startswith("╭") else 2  # without box characters: a title over a rule
    body = itertools.takewhile(lambda line: line.strip("─-"), lines[title:])
    asked = f"python -m tslib {command}".strip()
    return _fail(f"{' '.join(body)} (see {asked} --help)", status=2)


def _fail(message: str, status: int = 1) -> int:
    print(f"error: {' '.join(message.split())}", file=sys.stderr)
    return status


if __name__ == "__main__":
    gc.set_threshold(50_000, 20, 50)  # what is imported stays; looking for garbage in it takes a second
    sys.exit(main())
