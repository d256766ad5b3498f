"""The command line: ``python -m tslib COMMAND``. What goes wrong is told in one line."""

import contextlib
import io
import itertools
import os
import re
import sys

from pydantic import ValidationError

from tslib.commands import app
from tslib.config import explain
from tslib.errors import TslibError


def main(arguments: list[str] | None = None) -> int:
    """Run a command; return the exit status: 0, 1 or 2 for an error told in one line, 130 after Ctrl-C."""
    parser_says = io.StringIO()
    try:
        with contextlib.redirect_stderr(parser_says):
            call = app.cli(prog="python -m tslib", args=arguments)
    except SystemExit as stop:
        return _rejected(stop, parser_says.getvalue()) if stop.code else 0
    except BrokenPipeError:  # the help went to a pager that was closed
        return _unread()
    except KeyboardInterrupt:  # checking a config imports torch, which takes a while
        return _interrupted()
    try:
        call()
    except TslibError as error:
        return _fail(str(error))
    except BrokenPipeError:
        return _unread()
    except OSError as error:
        return _fail(f"{error.filename or 'a file'}: {error.strerror or error}")
    except KeyboardInterrupt:
        return _interrupted()
    return 0


def _rejected(stop: SystemExit, said: str) -> int:
    """Tell in one line why the command line was rejected: the config's own words, or the parser's without its box."""
    error: BaseException | None = stop
    while error is not None:
        if isinstance(error, ValidationError):
            return _fail(explain(error), status=2)
        error = error.__cause__ or error.__context__
    plain = re.sub(r"\x1b\[[\d;]*m", "", said)  # a terminal gets colours
    lines = [line for line in (line.strip("│ ") for line in plain.splitlines()) if line]
    title = 1 if lines[:1] and lines[0].startswith("╭") else 2  # without box characters: a title over a rule
    body = itertools.takewhile(lambda line: line.strip("─-"), lines[title:])
    return _fail(f"{' '.join(body)} (see python -m tslib --help)", status=2)


def _unread() -> int:
    """Keep Python from complaining once more when it closes what nobody reads."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return 1


def _interrupted() -> int:
    print("interrupted", file=sys.stderr)
    return 130


def _fail(message: str, status: int = 1) -> int:
    print(f"error: {' '.join(message.split())}", file=sys.stderr)
    return status


if __name__ == "__main__":
    sys.exit(main())
