r"""MATH-500: competition problems whose final answer stands in a \boxed{}, and the rule that compares two formulas.

Hendrycks et al., Measuring Mathematical Problem Solving, arXiv:2103.03874; the 500 rows of Lightman et al.,
arXiv:2305.20050. Formulas are compared by math-verify (https://github.com/huggingface/Math-Verify).
"""

import atexit
import contextlib
import json
import os
import re
import signal
import subprocess
import sys
import threading
from collections.abc import Mapping
from pathlib import Path
from typing import ClassVar

from tslib.errors import ResourceError
from tslib.tasks.base import Example, Hub, Row, SourceTask, Task
from tslib.tasks.sources import data_dir, find_rows, is_file, read_json, read_jsonl

__all__ = ["ASK", "CompetitionMath", "MathTask", "find_boxed"]

ASK = r"Give the final answer in \boxed{}."

LONGEST = 400
"""Characters of an answer, or of the end of a reply without \\boxed, that are looked at."""
DEEPEST = 12
"""Brackets within brackets; math-verify's parser needs seconds for a hundred."""
CPU_SECONDS = 1.0
"""Processor time that one comparison may take, parsing included; usual ones need a hundredth of it."""

_TOKEN = re.compile(r"\\boxed\s*\{|\\.|[{}]", re.DOTALL)  # TeX does not count \{ and \} as braces
_BRACKET = re.compile(r"[({\[]|[)}\]]")
_WORDS = re.compile(r"\\(?:text\w*|mathrm|mathbf|mbox)\s*\{([^{}]*)\}")
_BASE = re.compile(r"\d_\{?(\d+)\}?$")
_SPELLINGS = (
    (re.compile(r"\\\$"), ""),
    (re.compile(r"\^?\s*(?:°|\\degree\b)"), r"^\\circ"),
    # With a blank, math-verify takes the i for the imaginary unit, without it for a name: 7-4i, 7-4 i must be one.
    (re.compile(r"\\(?:mathrm|text)\{i\}|\\imath\b"), " i"),
    (re.compile(r"(?<=\d)i\b"), " i"),
    # 20\,160 would be 20 + 160, a mixed number
    (re.compile(r"(?<=\d)(?:\\[,! ]|[ ~])+(?=\d{3}(?!\d))"), ""),
)


def find_boxed(text: str) -> str | None:
    r"""Find what the last closed ``\boxed{...}`` of a text holds, the inner one of two; None if there is none."""
    opened: list[int | None] = []  # where the content of each open brace begins, None for one that is no \boxed
    start, content = -1, None
    for token in _TOKEN.finditer(text):
        if token[0].endswith("{") and token[0] != r"\{":
            opened.append(token.end() if token[0] != "{" else None)
        elif token[0] == "}" and opened:
            begin = opened.pop()
            if begin is not None and begin > start:
                start, content = begin, text[begin : token.start()]
    return content


class MathTask(Task):
    r"""A task whose answer is a formula in ``\boxed{}``, scored by math-verify: right or wrong.

    What counts as equal is math-verify's decision: values, not forms, so that 50\%, 0.5, 2/4 and x = 1/2 all equal
    ``\frac12``, and so does an unfinished 1 - 1/2; units and degree signs are dropped; of integers, 5\% equals 5.
    Stricter than math-verify: 61_9 is not 61_7, and a gold decimal is compared in all of its places.
    """

    metric = "accuracy"
    max_new_tokens = 512

    def extract(self, text: str) -> str | None:
        r"""Content of the last closed ``\boxed``; without one, what math-verify finds in the end of the text."""
        boxed = find_boxed(text)
        if boxed is not None:
            return boxed.strip() or None
        reply = _ending(text)
        return _CHECKER.ask(reply, "", 0)[0] if _feasible(reply) else None

    def score(self, text: str, example: Example) -> float:
        """1 if the answer found is the same text as the gold answer or equals it by math-verify, else 0."""
        boxed = find_boxed(text)
        found = _ending(text) if boxed is None else _tidy(boxed)
        reply = found if boxed is None else rf"\boxed{{{found}}}"
        return float(any(_equal(found, reply, gold) for gold in map(_tidy, example.answers)))

    def complete(self, text: str) -> bool:
        r"""Whether a closed ``\boxed{...}`` stands in the text."""
        return find_boxed(text) is not None


class CompetitionMath(MathTask, SourceTask):
    """MATH-500, from ``$TSLIB_DATA_DIR/math500/test.json`` (or ``test.jsonl``) when that is set, else from the hub.

    All have the fields ``problem``, ``solution`` and ``answer``. The source has one split, which is divided.
    """

    name = "math"
    title = "MATH-500"
    licence = "disputed: not to be redistributed"
    source = "https://github.com/openai/prm800k"
    splits = ("train", "test", "all")
    hub: Hub = Hub("HuggingFaceH4/MATH-500", None, "6e4ed1a2a79af7d8630a6b768ec859cb5af4d3be")
    stand_in = "math-symbolic"
    layout = "math500/test.json"
    source_splits: ClassVar[Mapping[str, str]] = {"all": "test"}

    def rows(self, source_split: str) -> tuple[list[Row], tuple[str, ...]]:
        """Rows of a split of the source."""
        path = f"math500/{source_split}.json"
        lines = f"{path}l"  # the hub's own file
        if (folder := data_dir()) and is_file(folder / lines) and not is_file(folder / path):
            path = lines
        return find_rows(self, ("",), lambda _: path, _read, lambda _: (self.hub, source_split))

    def example(self, row: Row, source_split: str) -> Example | str:
        """Make an example of a row."""
        problem, solution, answer = (row.text(field).strip() for field in ("problem", "solution", "answer"))
        if find_boxed(solution) is None:
            return r"its solution has no \boxed answer"
        return Example(f"{self.name}/{source_split}/{row.index}", f"{problem}\n\n{ASK}", solution, answer)


def _read(task: Task, path: Path) -> list[Row]:
    return (read_jsonl if path.suffix == ".jsonl" else read_json)(task, path)


def _spell(text: str) -> str:
    """Replace spellings that math-verify misreads."""
    for pattern, replacement in _SPELLINGS:
        text = pattern.sub(replacement, text)
    return text


def _tidy(answer: str) -> str:
    """Answer without the dollar signs around it and the full stop after it, which math-verify cannot parse."""
    return re.sub(r"^[$\s]+|(?<!\\)[$\s.,;:]+$", "", _spell(answer[: LONGEST + 1]))


def _unwrap(answer: str) -> str:
    r"""Answer without blanks and without \text around words."""
    return "".join(_WORDS.sub(r"\1", answer).split())


def _ending(text: str) -> str:
    """End of a reply; it does not begin within a formula."""
    ending = text[-LONGEST:]
    if text[: len(text) - len(ending)].count("$") % 2:
        ending = ending.partition("$")[2]
    return _spell(ending)


def _feasible(formula: str) -> bool:
    depth = deepest = 0
    for bracket in _BRACKET.finditer(formula):
        depth += 1 if bracket[0] in "({[" else -1
        deepest = max(deepest, depth)
    return len(formula) <= LONGEST + len(r"\boxed{}") and deepest <= DEEPEST


def _equal(found: str, reply: str, gold: str) -> bool:
    """Whether an answer, that math-verify is to find in a reply, equals the gold answer; both are tidy."""
    if _unwrap(found) == _unwrap(gold):
        return True
    if _WORDS.fullmatch(gold) and _unwrap(found).casefold() == _unwrap(gold).casefold():
        return True  # math-verify takes a word that stands bare for a product of letters, in alphabetical order
    base, gold_base = _BASE.search(found), _BASE.search(gold)
    if base and base[1] != (gold_base[1] if gold_base else "10"):
        return False
    decimals = re.fullmatch(r"-?\d*\.(\d+)", gold)
    places = max(6, len(decimals[1]) if decimals else 0)  # 6 is what math-verify rounds to
    return bool(found) and _feasible(reply) and _CHECKER.ask(reply, gold, places)[1]


class _Checker:
    """Asks math-verify in a process of its own, which can be ended.

    Its own time limit is an alarm that works in no thread but the main one, and that cannot stop one long operation
    such as 9^(9^9); nor does a bound on the length of the formula help, as a dozen nested sines keep it busy too. The
    limit here is one of processor time, so that a score does not depend on what else the machine does.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._process: subprocess.Popen[str] | None = None
        self._owner = 0

    def ask(self, reply: str, gold: str, places: int) -> tuple[str | None, bool]:
        """What math-verify finds in a reply, and whether it equals the gold answer."""
        with self._lock:
            for _ in range(2):  # again if something else ended the process
                answer = self._exchange(json.dumps([reply, gold, places]))
                if answer:
                    found, equal = json.loads(answer)
                    return found, equal
                if self.stop() == -signal.SIGPROF:
                    break
            return None, False

    def stop(self) -> int | None:
        """End the process; its exit status."""
        process, self._process = self._process, None
        if process is None or self._owner != os.getpid():  # that of the process which this one was forked from
            return None
        with contextlib.suppress(BrokenPipeError), process:  # which closes the pipes and waits
            process.kill()
        return process.returncode

    def _exchange(self, question: str) -> str:
        if self._process is None or self._owner != os.getpid():
            self._start()
        process = self._process
        assert process is not None
        assert process.stdin is not None
        assert process.stdout is not None
        try:
            process.stdin.write(question + "\n")
            process.stdin.flush()
            return process.stdout.readline()
        except BrokenPipeError:
            return ""
        except BaseException:  # interrupted: its answer must not be taken for that to the next question
            self.stop()
            raise

    def _start(self) -> None:
        code = f"import sys; sys.path[:] = {sys.path!r}; from {__name__} import _serve; _serve()"
        self._owner = os.getpid()
        self._process = process = subprocess.Popen(
            [sys.executable, "-c", code],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
            start_new_session=True,  # Ctrl-C is for the caller
        )
        assert process.stdout is not None
        if process.stdout.readline() != "ready\n":
            status = self.stop()
            raise ResourceError(
                f"cannot compare formulas: the process that runs math-verify ended at its start with status {status}; "
                f"try `{sys.executable} -c 'import math_verify'`, and install math-verify if that fails"
            )


def _serve() -> None:
    """Be the other end of `_Checker`."""
    import logging

    from math_verify import parse, verify

    logging.disable()
    output, sys.stdout = sys.stdout, sys.stderr  # the parser prints
    verify(parse("$x+1$", parsing_timeout=None), parse("$2x$", parsing_timeout=None), timeout_seconds=None)  # warm up
    print("ready", file=output, flush=True)
    for question in sys.stdin:
        reply, gold, places = json.loads(question)
        signal.setitimer(signal.ITIMER_PROF, CPU_SECONDS)  # unhandled, its signal ends the process at once
        parsed = parse(reply, parsing_timeout=None)
        found = parsed[-1] if parsed and isinstance(parsed[-1], str) else None
        wanted = parse(rf"\boxed{{{gold}}}", parsing_timeout=None) if gold else []
        equal = verify(wanted, parsed, float_rounding=places, timeout_seconds=None)
        signal.setitimer(signal.ITIMER_PROF, 0)
        print(json.dumps([found, equal]), file=output, flush=True)


_CHECKER = _Checker()
atexit.register(_CHECKER.stop)
