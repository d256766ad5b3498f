import io
import json
import logging
import math
import re
import signal
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from fractions import Fraction
from itertools import product
from pathlib import Path

import pyarrow
import pyarrow.parquet
import pytest
import sympy
from hypothesis import given, settings
from hypothesis import strategies as st

from tslib.errors import InputError, ResourceError
from tslib.tasks import TASKS, Example, Hub, load_task
from tslib.tasks import competition_math as cm
from tslib.tasks.competition_math import ASK, CompetitionMath, find_boxed

MATH = TASKS["math"]

# Invented rows in MATH-500's format.
ROWS = [
    {
        "problem": "What is half of $1$? ",
        "solution": "Half of it is $\\frac{1}{2}$, that is, $\\boxed{\\frac{1}{2}}.$",
        "answer": "\\frac{1}{2}",
        "subject": "Prealgebra",
        "level": 1,
        "unique_id": "test/prealgebra/1.json",
    },
    {
        "problem": "Solve $x^2 = 9$.",
        "solution": "Both signs do, so $x$ is $\\boxed{3,-3}$.\n",
        "answer": "3,-3",
        "subject": "Algebra",
        "level": 2,
        "unique_id": "test/algebra/2.json",
    },
    {
        "problem": "Who is taller, Ida or Bo?",
        "solution": "It is $\\boxed{\\text{Ida}}$.",
        "answer": "\\text{Ida}",
        "subject": "Algebra",
        "level": 3,
        "unique_id": "test/algebra/3.json",
    },
]


def gold(answer: str) -> Example:
    return Example("math/test/0", "?", f"\\boxed{{{answer}}}", answer)


def score(reply: str, answer: str) -> float:
    return MATH.score(reply, gold(answer))


def write_rows(folder: Path, rows: list[dict], lines: bool = False) -> Path:
    path = folder / "math500" / ("test.jsonl" if lines else "test.json")
    path.parent.mkdir(exist_ok=True)
    texts = [json.dumps(row) for row in rows]
    path.write_text("\n".join(texts) if lines else "[" + ",\n".join(texts) + "]")  # row k on line k
    return path


@pytest.fixture
def math_rows(real_file) -> list[dict]:
    """MATH-500's own rows, where they are."""
    return json.loads(real_file("math500/test.json").read_text(encoding="utf-8"))


@pytest.mark.parametrize(
    ("text", "content"),
    [
        (r"so \boxed{5}.", "5"),
        (r"\boxed{5} no, \boxed{6}", "6"),
        (r"\boxed{\frac{1}{2}}", r"\frac{1}{2}"),
        (r"\boxed{\boxed{5}}", "5"),
        (r"\boxed {5}", "5"),
        (r"\boxed{\{1, 2\}}", r"\{1, 2\}"),
        (r"\boxed{\left\{ 1 \right.}", r"\left\{ 1 \right."),  # an escaped brace is none
        (r"\boxed{1 \\}", r"1 \\"),  # but one after a line break is
        (r"{ so \boxed{5}", "5"),
        (r"} so \boxed{5}", "5"),
        (r"\boxed{5} and \boxed{6", "5"),
        (r"\boxed{}", ""),
        (r"\boxed{\frac{1}{2}", None),
        (r"\boxed 5", None),
        ("5", None),
        ("", None),
        (r"\boxed{" * 1400, None),
        (r"\boxed{" * 1400 + "5" + "}" * 1400, "5"),
    ],
)
def test_the_last_closed_box(text, content):
    assert find_boxed(text) == content
    assert MATH.complete(text) == (content is not None)


@pytest.mark.parametrize(
    ("text", "found"),
    [
        (r"It is $\boxed{ \frac12 }$.", r"\frac12"),
        (r"\boxed{}", None),
        (r"\boxed{ }", None),
        ("The answer is $x + 1$.", "x + 1"),
        ("First $3$, then $4$.", "4"),
        ("It is 3, so the answer is 72.", "72"),
        ("I do not know.", None),
        ("", None),
        ("$5$" + " and so on" * 1000, None),  # only the end counts
        ("$" + "x" * 500 + "$ is what $y$ becomes for $z$", "z"),  # an end that begins within a formula
        ("$a$" + " and so on" * 50 + ", so it costs 5 $", "5"),  # one that does not
        ("(" * 13 + "so the answer is 5", None),  # too deep for the parser
    ],
)
def test_the_answer_of_a_reply(text, found):
    assert MATH.extract(text) == found


# Whether an answer in \boxed{} is right: by its value, not by its form.
JUDGED = {
    r"\frac{1}{2}": {
        1: [
            *(r"\frac12", r"\frac 1 2", r"\dfrac{1}{2}", r"\tfrac12", "1/2", "0.5", ".5", "0.50", "2/4", r"$\frac12$."),
            *(r"x = \frac12", r"\frac12 \text{ cm}", r"1 - \frac12", "0.5.", "{0.5}"),
            *(r"50\%", "50%"),  # a percentage is a number
        ],
        0: ["1", "2", "12", "0.49", "0.500001", "-0.5", r"\frac{2}{1}", "0,5", "5"],
    },
    "1234.5": {
        1: ["$1,234.50", r"\$1,234.50", "1,234.5", r"1,\!234.5", "1{,}234.5", r"1\,234.5"],
        0: ["1234", "234.5", "1.2345"],
    },
    "20,\\!160": {
        1: ["20160", "20,160", r"20\,160", "20 160", r"2.016 \times 10^4"],
        0: ["180", "20", "160", "20.160", "3200"],
    },
    "-3": {1: ["-3", "- 3", "\N{MINUS SIGN}3", "-3.", "-3.0", r"-\frac{6}{2}", "x=-3", "(-3)"], 0: ["3", "|3|", "--3"]},
    "5": {
        1: [
            *("x = 5", "x=5", "05", "+5", r"\text{5}", r"5 \text{ cm}", "5cm", r"5 \text{ cm}^2", r"5^\circ", "5_{10}"),
            r"\sqrt{25}",
            r"5\%",  # math-verify: of integers, the percent sign is a unit
        ],
        0: ["5x", "4,5", "x=4,5", "5_8", r"5 \text{ or } 6", "50", r"\pm 5", "5!", "five", "", "?", "I do not know"],
    },
    "y=8": {1: ["8", "y = 8", "8=y"], 0: ["x=8", "y=6", "y"]},
    r"(5, \frac{\pi}{2})": {
        1: [r"(5, \pi/2)", r"\left( 5, \frac{\pi}{2} \right)", r"5, \pi/2", "(5, 1.5707963)"],
        0: [r"(\pi/2, 5)", "(5, 2)", r"(5, \pi/2, 0)", r"(5, \pi/2", "5"],
    },
    "4,-6": {1: ["-6,4", "4 and -6", r"\{4,-6\}", "x=4 \\text{ or } x=-6"], 0: ["4", "4,6", "4,-6,3"]},
    "(2,9]": {1: ["(2, 9]", r"x \in (2,9]"], 0: ["(2,9)", "[2,9]", "2,9"]},
    r"70^\circ": {1: ["70", "70°", r"70^{\circ}", r"70\degree", "70 degrees"], 0: [r"69^\circ", r"\frac{7\pi}{18}"]},
    "61_7": {1: ["61_7", "61_{7}", "61"], 0: ["61_9", "61_{10}", "43", "61_{17}"]},
    ".0000841": {1: ["0.0000841", r"8.41 \times 10^{-5}"], 0: ["0.000084", "0.0000843", "0", "8.41"]},
    "7 - 4i": {1: ["7-4i", "7 - 4 i", "-4i + 7", r"7-4\mathrm{i}", "z = 7-4i"], 0: ["7+4i", "7-4j", "7", "3"]},
    r"5\sqrt{11}": {1: [r"\sqrt{275}", "16.583123952", r"5 \times \sqrt{11}"], 0: ["16.6", r"5\sqrt{12}", "5"]},
    "3k+6": {1: ["3(k+2)", "6 + 3k"], 0: ["3n+6", "3(k+3)", "3k"]},
    r"\text{Ida}": {
        1: ["Ida", r"\text{Ida}", r"\mathrm{Ida}", r"\textbf{ida}", "Ida.", "ida"],
        0: ["Bo", "I", r"\text{Idas}"],
    },
    r"\text{(D)}": {1: ["D", "(D)", r"\textbf{(D)}"], 0: ["B", "(A)", "(D", r"\text{B, D}"]},
    r"\begin{pmatrix} 1 \\ 2 \end{pmatrix}": {
        1: [r"\begin{pmatrix}1\\2\end{pmatrix}", r"\begin{bmatrix} 1.0 \\ 4/2 \end{bmatrix}"],
        0: [r"\begin{pmatrix} 1 & 2 \end{pmatrix}", r"\begin{pmatrix} 2 \\ 1 \end{pmatrix}", "1"],
    },
    "3x - 8y + 5 = 0": {1: ["3x-8y=-5", "-6x+16y-10=0"], 0: ["3x+8y+5=0", "3x-8y+5", "0"]},
}


@pytest.mark.parametrize(
    ("answer", "given", "right"),
    [
        (answer, given, right)
        for answer, judged in JUDGED.items()
        for right, replies in judged.items()
        for given in replies
    ],
)
@pytest.mark.parametrize("task", ["math", "math-symbolic"])
def test_scores_of_a_boxed_answer(task, answer, given, right):
    assert TASKS[task].score(f"Thus the answer is $\\boxed{{{given}}}$, as 7 shows.", gold(answer)) == right


@pytest.mark.parametrize(
    ("reply", "answer", "right"),
    [
        (r"\boxed{4} No, wait. \boxed{5} is it, not 6.", "5", 1),
        (r"\boxed{5} No, wait. \boxed{4}", "5", 0),
        (r"\boxed{5} is it. Or \boxed{4", "5", 1),
        ("5", "5", 1),
        (r"\frac{1}{2}", r"\frac{1}{2}", 1),
        (r"\text{Ida}", r"\text{Ida}", 1),
        ("There are 3 jars with 24 each, so 72.", "72", 1),
        ("There are 72 beans in 3 jars.", "72", 0),
        ("It costs $1,234.50", "1234.5", 1),
        ("The answer is $-3$. I hope it is correct.", "-3", 1),
        ("The answer is $\\frac12$ of $7$", r"\frac{1}{2}", 0),
        (r"\boxed{}", "5", 0),
        ("", "5", 0),
        (" ", r"\text{Ida}", 0),
        ("I do not know.", r"\text{Ida}", 0),
        ("5" * 10_000, "5", 0),
        (r"\boxed{" + "5" * 10_000 + "}", "5", 0),
        ("word " * 2000 + r"\boxed{5}", "5", 1),
        ("5" + " x" * 5000, "5", 0),
        ("\ud800 \\boxed{\ud800}", "5", 0),
        ("\\boxed{5\n}\0", "5", 1),
    ],
)
def test_scores_of_a_reply(reply, answer, right):
    assert score(reply, answer) == right


def test_one_of_several_gold_answers_is_enough():
    example = Example("math/test/0", "?", "", ("4", r"\frac12"))
    assert [MATH.score(rf"\boxed{{{reply}}}", example) for reply in ("4", "0.5", "5")] == [1.0, 1.0, 0.0]


@pytest.mark.parametrize(
    ("formula", "feasible"),
    [
        ("()" * 200, True),  # side by side, not one in another
        ("([{" * 4 + "}])" * 4, True),
        ("(" * 12, True),
        ("(" * 13, False),
        ("(" * 6 + ")" * 6 + "[" * 13, False),
        ("x" * 408, True),  # 400 in a box
        ("x" * 409, False),
        ("", True),
    ],
)
def test_what_math_verify_is_asked(formula, feasible):
    assert cm._feasible(formula) is feasible


def test_an_answer_is_compared_whole_or_not_at_all():
    assert score(r"\boxed{" + "0" * 398 + "5}", "5") == 1
    assert score(r"\boxed{" + "0" * 398 + "555}", "5") == 0


def test_words_are_compared_without_blanks_and_commands():
    assert cm._unwrap(r"\text{Ida},  \mathrm{Bo} and  x") == "Ida,Boandx"


def test_six_places_are_enough_where_the_gold_answer_is_no_decimal():
    assert [score(rf"\boxed{{{reply}}}", r"\frac{1}{3}") for reply in ("0.333333", "0.33333")] == [1, 0]


@pytest.mark.parametrize(
    "reply",
    [
        r"\boxed{9^9^9^9}",
        r"\boxed{9^{9^{9^9}}}",
        "It is $9^{9^{9^9}}$",
        r"\boxed{100000000!}",
        r"\boxed{\sum_{k=1}^{10000000} \frac{1}{k^3+1}}",
        r"\boxed{" + "(" * 5000 + "1" + ")" * 5000 + "}",
        r"\boxed{" + r"\frac{1}{1+" * 30 + "2" + "}" * 31,
        r"\boxed{" + r"\sin(" * 11 + "x" + ")" * 11 + "}",
        r"\boxed{(x+1)^{1000}}",
        r"\boxed{" + "x+" * 5000 + "x}",
    ],
)
def test_no_formula_stops_the_program(reply):
    start = time.monotonic()
    assert score(reply, r"\tan x") == 0
    assert time.monotonic() - start < 30, "one second of processor time, on a machine that may be busy"
    assert score(r"\boxed{0.5}", r"\frac12") == 1, "and what comes next is judged as ever"


def test_a_checker_that_was_killed_is_started_again():
    assert score(r"\boxed{0.5}", r"\frac12") == 1
    process = cm._CHECKER._process
    process.kill()
    process.wait()
    assert score(r"\boxed{0.25}", r"\frac14") == 1
    assert cm._CHECKER._process is not process


def test_an_interrupted_question_does_not_answer_the_next(monkeypatch):
    class Interrupted:
        def __init__(self, pipe):
            self.pipe = pipe

        def readline(self):
            raise KeyboardInterrupt

        def close(self):
            self.pipe.close()

    assert score(r"\boxed{0.5}", r"\frac12") == 1
    process = cm._CHECKER._process
    monkeypatch.setattr(process, "stdout", Interrupted(process.stdout))
    with pytest.raises(KeyboardInterrupt):
        score(r"\boxed{0.25}", r"\frac14")
    assert score(r"\boxed{0.3}", r"\frac14") == 0
    assert score(r"\boxed{0.25}", r"\frac14") == 1


def test_a_checker_that_cannot_start_says_so(monkeypatch):
    monkeypatch.setattr(cm, "_CHECKER", cm._Checker())
    monkeypatch.setattr(sys, "path", [])
    with pytest.raises(ResourceError, match=r"math-verify ended at its start with status 1; try .*import math_verify"):
        score(r"\boxed{0.5}", r"\frac12")


def test_what_the_process_of_the_checker_does(monkeypatch):
    """A line in, a line out at once; processor time is limited for each, and math-verify's own alarm is not used."""

    class Pipe(io.StringIO):
        """Remembers how many lines could be read from it, each time that there is something."""

        def __init__(self):
            super().__init__()
            self.lines = []

        def flush(self):
            self.lines.append(self.getvalue().count("\n"))

    asked = [
        (r"\boxed{0.5}", r"\frac12", 6),
        ("The answer is $x + 1$.", "", 0),
        ("I do not know.", "5", 6),
        (r"\boxed{0.0000843}", "0.0000841", 6),
        (r"\boxed{0.0000843}", "0.0000841", 7),
        (r"\boxed{\emptyset}", "", 6),
    ]
    limits, pipe, printed = [], Pipe(), io.StringIO()
    monkeypatch.setattr(signal, "setitimer", lambda *given: limits.append((*given, pipe.getvalue().count("\n"))))
    monkeypatch.setattr(signal, "alarm", lambda _: pytest.fail("an alarm works in the main thread only"))
    monkeypatch.setattr(sys, "stdin", io.StringIO("".join(json.dumps(one) + "\n" for one in asked)))
    monkeypatch.setattr(sys, "stdout", pipe)
    monkeypatch.setattr(sys, "stderr", printed)
    try:
        cm._serve()
        assert sys.stdout is printed  # what the parser prints is no answer
        assert not logging.getLogger("math_verify").isEnabledFor(logging.CRITICAL)
    finally:
        logging.disable(logging.NOTSET)
    ready, *answers = pipe.getvalue().splitlines()
    assert ready == "ready"
    assert [json.loads(answer) for answer in answers] == [
        [r"\frac{1}{2}", True],  # as math-verify writes a half
        ["x + 1", False],
        [None, False],
        ["0.0000843", True],
        ["0.0000843", False],
        [r"\emptyset", False],
    ]
    assert pipe.lines == list(range(1, 8))
    assert limits == [(signal.ITIMER_PROF, seconds, done) for done in range(1, 7) for seconds in (cm.CPU_SECONDS, 0)]


def test_scores_from_threads():
    cases = [(rf"\boxed{{{k / 4}}}", rf"\frac{{{k % 7}}}{{4}}") for k in range(1, 40)]
    with ThreadPoolExecutor(4) as pool:
        scores = list(pool.map(lambda case: score(*case), cases))
    assert scores == [float(k < 7) for k in range(1, 40)]


@settings(max_examples=60)
@given(st.text() | st.text(r"\{}[]()$^_+-*/=<>|!%,. 0123456789xyei").map(lambda text: rf"\boxed{{{text}}}"))
def test_no_reply_is_an_error(text):
    assert score(text, "x^2+1") in (0.0, 1.0)
    assert MATH.extract(text) is None or MATH.extract(text).strip()
    if MATH.complete(text):  # what comes after the box, and is none, does not count
        assert score(text + "\nThat is all.", "x^2+1") == score(text, "x^2+1")


@pytest.mark.parametrize("lines", [False, True])
def test_rows_from_a_file(data_dir, lines):
    write_rows(data_dir, ROWS, lines)
    examples = load_task("math", "all")
    assert [example.id for example in examples] == [f"math/test/{index}" for index in range(3)]
    assert [example.answer for example in examples] == [r"\frac{1}{2}", "3,-3", r"\text{Ida}"]
    assert examples[0].prompt == "What is half of $1$?\n\nGive the final answer in \\boxed{}."
    assert examples[1].target == r"Both signs do, so $x$ is $\boxed{3,-3}$."
    assert [MATH.score(example.target, example) for example in examples] == [1.0] * 3


def test_the_array_is_read_where_both_files_are_there(data_dir):
    write_rows(data_dir, ROWS[:1])
    write_rows(data_dir, ROWS, lines=True)
    assert len(load_task("math", "all")) == 1


def test_the_one_split_is_divided(data_dir):
    rows = [ROWS[0] | {"problem": f"What is ${k} / 2$?"} for k in range(60)]
    write_rows(data_dir, rows)
    train, test = load_task("math", "train"), load_task("math", "test")
    assert len(train) + len(test) == 60
    assert 10 < len(train) < 30, "about one in three"
    assert sorted(example.id for example in train + test) == sorted(f"math/test/{k}" for k in range(60))


def test_the_rows_of_the_hub_are_the_same(tmp_path, monkeypatch):
    folder = tmp_path / "repository"
    folder.mkdir()
    table = pyarrow.Table.from_pylist(ROWS)
    pyarrow.parquet.write_table(table, folder / "test.parquet")
    monkeypatch.delenv("TSLIB_DATA_DIR", raising=False)
    monkeypatch.setattr("datasets.config.HF_DATASETS_CACHE", tmp_path / "cache")
    monkeypatch.setattr(CompetitionMath, "hub", Hub(str(folder), None, "0" * 40))
    from_hub = load_task("math", "all")
    write_rows(tmp_path, [row | {"level": str(row["level"])} for row in ROWS])
    monkeypatch.setenv("TSLIB_DATA_DIR", str(tmp_path))
    assert len(from_hub) == 3
    assert from_hub == load_task("math", "all")


def test_the_hub_is_asked_for_one_revision(monkeypatch):
    def offline(repo, config, *, split, revision):
        assert (repo, config, split) == ("HuggingFaceH4/MATH-500", None, "test")
        assert revision == "6e4ed1a2a79af7d8630a6b768ec859cb5af4d3be"
        raise ConnectionError("cannot reach the hub")

    monkeypatch.delenv("TSLIB_DATA_DIR", raising=False)
    monkeypatch.setattr("datasets.load_dataset", offline)
    with pytest.raises(ResourceError, match=r"cannot reach.*holds math500/test\.json; the stand-in math-symbolic"):
        load_task("math")


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ({"problem": "?", "solution": r"\boxed{1}"}, "expected a field 'answer', found the fields: problem, solution"),
        ({**ROWS[0], "answer": 5}, "expected text in the field 'answer', found int"),
        ({**ROWS[0], "problem": " "}, "expected text in the field 'problem', found blank text"),
        ({**ROWS[0], "solution": None}, "expected text in the field 'solution', found NoneType"),
    ],
)
@pytest.mark.parametrize("lines", [False, True])
def test_malformed_rows_name_file_and_line(data_dir, row, message, lines):
    path = write_rows(data_dir, [ROWS[1], row], lines)
    with pytest.raises(InputError, match=f"^{re.escape(f'{path} line 2: {message}')}$"):
        load_task("math", "all")


def test_a_solution_without_a_box_is_not_used(data_dir):
    path = write_rows(data_dir, [ROWS[0], ROWS[1] | {"solution": "It is 3 or -3."}, ROWS[0]])
    reading = MATH.reading("all")
    assert (reading.read, reading.used) == (3, 1)
    assert [(row.where, row.reason) for row in reading.refused] == [
        (f"{path} line 2", "its solution has no \\boxed answer"),
        (f"{path} line 3", "repeats math/test/0"),
    ]


def test_missing_rows(data_dir):
    with pytest.raises(ResourceError, match=r"math500/test\.json cannot be read .*stand-in math-symbolic"):
        load_task("math")


def test_every_real_row(math_rows):
    reading = MATH.reading("all")
    assert (reading.read, reading.used, reading.refused) == (len(math_rows), len(math_rows), ())
    train, test = load_task("math", "train"), load_task("math", "test")
    assert {row.id for row in train} | {row.id for row in test} == {row.id for row in reading.examples}
    assert not {row.prompt for row in train} & {row.prompt for row in test}
    for example, row in zip(reading.examples, math_rows, strict=True):
        assert example.prompt.startswith(row["problem"].strip()), example.id
        assert example.target == row["solution"].strip(), example.id
        assert MATH.complete(example.target), example.id
        for reply in (example.target, row["answer"], rf"\boxed{{{row['answer']}}}", f"It is ${row['answer']}$."):
            assert MATH.score(reply, example) == 1.0, (example.id, reply[-80:])
        assert MATH.score("I do not know", example) == 0.0, example.id


def test_math_verify_understands_every_real_answer(math_rows):
    for row in math_rows:
        answer = cm._tidy(row["answer"])
        assert cm._CHECKER.ask(rf"\boxed{{{answer}}}", answer, 6)[1], row["unique_id"]
        plain = answer.removeprefix("x=").removesuffix(r"^\circ")
        if re.fullmatch(r"-?\d+", plain):  # as another text
            assert score(rf"\boxed{{{plain}.0}}", row["answer"]) == 1, row["unique_id"]


def test_the_answer_to_another_real_problem_is_wrong(math_rows):
    def meant(row):
        return row["answer"].removeprefix("x=").replace(" ", "")

    for index, row in enumerate(math_rows):
        others = math_rows[index + 1 :] + math_rows[:index]
        other = next(other for other in others if meant(other) != meant(row))
        assert score(rf"\boxed{{{other['answer']}}}", row["answer"]) == 0, (row["unique_id"], other["unique_id"])


def symbolic_rows() -> list[Example]:
    return load_task("math-symbolic", "train") + load_task("math-symbolic", "test")


def test_math_symbolic_rows():
    train, test = load_task("math-symbolic", "train"), load_task("math-symbolic", "test")
    assert (len(train), len(test)) == (1000, 200)
    assert len({example.prompt for example in train + test}) == 1200, "no question twice, within or across splits"
    assert [example.id for example in test] == [f"math-symbolic/test/{index}" for index in range(200)]
    for example in train + test:
        assert example.prompt.endswith(f"\n\n{ASK}")
        assert find_boxed(example.target) == example.answer
        assert TASKS["math-symbolic"].score(example.target, example) == 1.0, example.id
    for example, other in zip(test, test[1:] + test[:1], strict=True):  # the next row has another kind of question
        assert example.answer == other.answer or not score(other.target, str(example.answer)), example.id


def sides(equation: str, variable: str, value: str) -> list[int]:
    product_of = re.sub(rf"(\d){variable}", r"\1*" + variable, equation)
    return [eval(side, {variable: int(value)}) for side in product_of.split("=")]


def polynomial(latex: str) -> sympy.Expr:
    return sympy.sympify(re.sub(r"\^\{(\d+)\}", r"**\1", re.sub(r"(\d)([xX])", r"\1*\2", latex)))


def test_every_equation_of_math_symbolic_is_solved():
    rows = symbolic_rows()[::5]
    for row in rows:
        variable, equation = re.match(r"Solve for \$([a-z])\$: \$([^$]*)\$\n", row.prompt).groups()
        left, right = sides(equation, variable, row.answer)
        assert left == right, row.prompt
        assert sides(equation, variable, str(int(row.answer) + 1))[0] != right, "it has one solution only"
        assert score(rf"\boxed{{{equation}}}", row.answer) == 0, "a copy of the question is no answer"
    assert len(rows) == 240


@pytest.mark.parametrize(("kind", "name", "rule"), [(1, "divisor", math.gcd), (2, "multiple", math.lcm)])
def test_every_divisor_and_multiple_of_math_symbolic_is_right(kind, name, rule):
    for row in symbolic_rows()[kind::5]:
        first, second = re.match(rf"Find the \w+ common {name} of (\d+) and (\d+)\.\n", row.prompt).groups()
        assert row.answer == str(rule(int(first), int(second)))
        assert score(rf"\boxed{{{first}, {second}}}", row.answer) == 0


def test_every_chance_of_math_symbolic_is_right():
    for row in symbolic_rows()[3::5]:
        pattern = r"Fair dice with (\d+), (\d+) and (\d+) sides .* sum is at least (\d+)\?\n"
        *dice, least = map(int, re.match(pattern, row.prompt).groups())
        rolls = [sum(roll) for roll in product(*(range(1, die + 1) for die in dice))]
        chance = Fraction(sum(roll >= least for roll in rolls), len(rolls))
        assert row.answer == rf"\frac{{{chance.numerator}}}{{{chance.denominator}}}"
        assert score(rf"\boxed{{{chance}}}", row.answer) == 1
        assert chance.denominator > 1


def test_every_integral_of_math_symbolic_is_right():
    for row in symbolic_rows()[4::5]:
        pattern = r"Find the indefinite integral \$\\int \\left\(([^$]*)\\right\) d([xX])\$\."
        integrand, variable = re.match(pattern, row.prompt).groups()
        answer = polynomial(row.answer)
        assert sympy.expand(sympy.diff(answer, variable) - polynomial(integrand)) == 0, row.prompt
        assert answer.subs(variable, 0) == sympy.Symbol("C")
        if row.id.startswith("math-symbolic/test"):
            without = row.answer.removesuffix(" + C")
            assert score(rf"\boxed{{C + {without}}}", row.answer) == 1, row.answer
            assert score(rf"\boxed{{{without}}}", row.answer) == 0, row.answer
            assert score(rf"\boxed{{{integrand}}}", row.answer) == 0, "a copy of the question is no answer"
