import csv
import re
import time
from collections import Counter
from pathlib import Path

import pyarrow
import pyarrow.parquet
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tslib.errors import InputError, ResourceError
from tslib.tasks import TASKS, Example, load_task
from tslib.tasks.base import prompt_key
from tslib.tasks.choice import LETTERS, ask, find_letter
from tslib.tasks.mmlu import CATEGORIES, MMLU, MMLUCF, SUBJECTS
from tslib.tasks.multiple_choice import CAPITALS, ELEMENTS, ORDERS, UNITS

LONG = 10_000
GOLD = Example("mmlu/anatomy/test/0", "Which?", "B", "B", LETTERS)


@pytest.mark.parametrize(
    ("text", "letter"),
    [
        ("B", "B"),
        ("(B)", "B"),
        ("B.", "B"),
        ("B) text", "B"),
        ("B]", "B"),
        ("**B**", "B"),
        ("**B.** text", "B"),
        ("'B'", "B"),
        ("- B", "B"),
        ("> **C)** text", "C"),
        ("\n\nB\r\n", "B"),
        ("B. 1,234", "B"),
        ("B. $1,234.50 or -3", "B"),
        ("B.Oslo", "B"),
        ("B: yes, C: no", "B"),
        ("B\nBecause A is wrong", "B"),
        ("A\nman", "A"),
        ("Option C", "C"),
        ("Choice D: text", "D"),
        ("b", "B"),
        ("b.", "B"),
        ("a", "A"),
        ("b) text", "B"),
        ("Answer: b", "B"),
        ("Answer: b because it floats", "B"),
        ("Answer:\nB", "B"),
        ("**Answer:** B", "B"),
        ("answer=c", "C"),
        ("The answer is B.", "B"),
        ('The answer is "B".', "B"),
        ("The answer is: **B**", "B"),
        ("The answer is A because it floats", "A"),
        ("The answer is A, not D", "A"),
        ("the correct answer is (b)", "B"),
        ("The correct option is C", "C"),
        ("The answer is option B", "B"),
        ("The answer should be (D)", "D"),
        ("The correct answer to this question is D", "D"),
        (r"\boxed{B}", "B"),
        (r"It is $\boxed{\text{(c)}}$", "C"),
        (r"\boxed{B. 1,234}", "B"),
        ("A. Oslo\nThe answer is C", "C"),  # what is stated goes before what begins the reply
        ("The answer is B. No: the answer is C.", "C"),
        ("I choose (b).", "B"),
        ("Oslo is B, surely B", "B"),
        ("A is right", "A"),
        ("not B", "B"),  # a denial is not understood
        ("vitamin C", "C"),  # by the rule; the option's text alone would be no letter
        ("I think it is D because B is wrong", None),
        ("A, B and C are wrong", None),
        ("B or C", None),
        ("(A) and (C)", None),
        ("(A), (B), and (C)", None),
        ("20 °C", None),
        ("The answer is B or C.", None),
        ("A B C D", None),
        ("A man walks", None),
        ("a man walks", None),
        ("The answer is A man.", None),
        ("The answer is a matter of taste.", None),
        ("Answer: a man", None),
        ("The answer is not B, it is C", None),
        ("bad", None),
        ("ABCD", None),
        ("E", None),
        ("B12", None),
        ("B-12", None),
        ("B's", None),
        ("C++", None),
        ("A/B", None),
        ("400 B.C.", None),
        ("10 A.M.", None),
        ("f(a) = a", None),
        ("Oslo", None),  # an option's text
        (r"\frac12", None),
        ("$1,234.50", None),
        ("-3", None),
        ("", None),
        (" \n", None),
    ],
)
@pytest.mark.parametrize("name", ["mmlu", "mmlu-cf/Law", "multiple-choice"])
def test_the_letter_of_a_reply(name, text, letter):
    task = TASKS[name]
    assert task.extract(text) == letter
    assert task.score(text, GOLD) == (1.0 if letter == "B" else 0.0)
    assert task.max_new_tokens == 32


@pytest.mark.parametrize(
    ("text", "complete"),
    [
        ("B", False),
        ("B.", False),  # the choice's text may follow
        ("B. Oslo", False),
        ("B. Oslo\n", True),
        ("B\n", True),
        ("(b)\nBecause", True),
        ("\nB", False),
        ("The answer is B", False),
        ("The answer is B.", True),
        ("The answer is (b).", True),
        ("The answer is B\n", True),
        (r"\boxed{B", False),
        (r"\boxed{B}", True),
        ("Let me think.\n", False),
        ("It is vitamin C.\n", False),  # another letter may come
        ("", False),
    ],
)
def test_when_a_reply_is_complete(text, complete):
    assert TASKS["mmlu"].complete(text) is complete


PIECES = [
    "A",
    "B",
    "c",
    "(b)",
    "a man",
    "answer is ",
    "Answer: ",
    r"\boxed{",
    "}",
    ".",
    ")",
    "\n",
    " ",
    "*",
    "or ",
    "é",
    "-3",
]


@given(st.one_of(st.text(), st.lists(st.sampled_from(PIECES), max_size=12).map("".join)))
def test_any_reply_gets_a_score(text):
    assert find_letter(text) in {None, *LETTERS}
    assert TASKS["mmlu"].score(text, GOLD) == (find_letter(text) == "B")
    if TASKS["mmlu"].complete(text):
        assert find_letter(text) is not None


@pytest.mark.parametrize("piece", ["x", " ", "(", "*", "A ", "B or ", "answer: ", r"\boxed{", "B" + "*" * 9])
@pytest.mark.parametrize("head", ["", "answer: ", "B"])
def test_long_replies_take_no_time(head, piece):
    text = head + piece * (LONG // len(piece))
    start = time.process_time()
    assert find_letter(text) in {None, "A", "B"}
    TASKS["mmlu"].complete(text)
    assert time.process_time() - start < 1, "a pattern that tries every division of a long run takes many seconds"


# Invented rows.
TABLE = [
    ["How many legs has a spider?", "Six", "Eight", "Ten", "None", "1"],
    [" Which is round,\nsays the text?", " A ball", "A box ", "A book, thick", 'A "tent"', "0"],
    ["Which is cold?", "Fire", "Steam", "Lava", "Ice", "3"],
]
HEADER = ["question", "choice0", "choice1", "choice2", "choice3", "answer"]
CF_HEADER = ["Question", "A", "B", "C", "D", "Answer"]
BALL = """\
The following is a multiple choice question about high school physics. Answer with the letter of the right choice.

Which is round,
says the text?
A. A ball
B. A box
C. A book, thick
D. A "tent\""""


def lettered(rows):
    return [[*row[:5], LETTERS[int(row[5])]] for row in rows]


def write_csv(path: Path, rows) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", newline="", encoding="utf-8") as file:
        csv.writer(file, lineterminator="\n").writerows(rows)
    return path


@pytest.fixture
def hub(monkeypatch):
    """Stand for the hub: a dictionary from (config, split) to rows, and the list of what was asked."""
    monkeypatch.delenv("TSLIB_DATA_DIR", raising=False)
    datasets: dict[tuple[str | None, str], list[dict[str, object]]] = {}
    asked = []

    def load_dataset(repo, config, *, split, revision):
        asked.append((repo, config, split, revision))
        return datasets[config, split]

    monkeypatch.setattr("datasets.load_dataset", load_dataset)
    return datasets, asked


def test_mmlu_rows_from_a_file(data_dir):
    write_csv(data_dir / "mmlu/test/high_school_physics_test.csv", [HEADER, *TABLE])
    examples = load_task("mmlu/high_school_physics", "test")
    assert [example.id for example in examples] == [f"mmlu/high_school_physics/test/{index}" for index in range(3)]
    assert [example.answer for example in examples] == ["B", "A", "D"]
    assert [example.target for example in examples] == ["B", "A", "D"]
    assert examples[1].prompt == BALL
    assert {example.choices for example in examples} == {("A", "B", "C", "D")}


def test_the_original_release_of_mmlu_has_no_header_and_letters(data_dir):
    with_header = write_csv(data_dir / "mmlu/dev/virology_dev.csv", [HEADER, *TABLE])
    numbers = load_task("mmlu/virology", "dev")
    write_csv(with_header, lettered(TABLE))
    assert load_task("mmlu/virology", "dev") == numbers
    assert load_task("mmlu/virology", "train") == numbers, "the source's dev is the training split"
    assert numbers[0].id == "mmlu/virology/dev/0"


def test_a_line_separator_within_a_field_ends_no_row(data_dir):
    row = ["Odd\x85 and\u2028blanks\x0c?", "1\x1c", "2", "3", "4", "2"]
    write_csv(data_dir / "mmlu/test/virology_test.csv", [HEADER, row])
    assert [example.answer for example in load_task("mmlu/virology", "test")] == ["C"]


def test_the_whole_of_mmlu_is_its_subjects_in_order(data_dir):
    write_csv(data_dir / "mmlu/test/virology_test.csv", TABLE[:2])
    write_csv(data_dir / "mmlu/test/anatomy_test.csv", [HEADER, TABLE[0], TABLE[0], TABLE[2]])
    reading = TASKS["mmlu"].reading("test")
    assert [example.id for example in reading.examples] == [
        "mmlu/anatomy/test/0",
        "mmlu/anatomy/test/2",
        "mmlu/virology/test/1",
    ]
    assert (reading.read, reading.used, reading.elsewhere) == (5, 3, 0)
    # the second time under another subject, which the prompt names
    assert [refused.reason for refused in reading.refused] == ["repeats mmlu/anatomy/test/0"] * 2
    assert reading.refused[0].where.endswith("anatomy_test.csv line 3")
    assert reading.missing == tuple(subject for subject in SUBJECTS if subject not in {"anatomy", "virology"})


def test_subjects_and_categories():
    assert (len(SUBJECTS), len(set(SUBJECTS)), list(SUBJECTS)) == (57, 57, sorted(SUBJECTS))
    assert (len(CATEGORIES), len(set(CATEGORIES)), list(CATEGORIES)) == (14, 14, sorted(CATEGORIES))
    assert TASKS["mmlu"].subsets == SUBJECTS
    assert TASKS["mmlu-cf"].subsets == CATEGORIES
    assert TASKS["mmlu-cf/Computer_Science"].title == "MMLU-CF: computer science"
    assert TASKS["mmlu/anatomy"].subsets == ()
    assert TASKS["mmlu"].splits == ("train", "test", "dev")
    assert TASKS["mmlu-cf"].splits == ("train", "test", "dev", "val")


@pytest.mark.parametrize(("kind", "subset"), [(MMLU, "Anatomy"), (MMLUCF, "anatomy"), (MMLU, "")])
def test_an_unknown_subset(kind, subset):
    with pytest.raises(InputError, match=f"unknown subset '{subset}' of task {kind.family}: choose one of "):
        kind(subset)
    with pytest.raises(InputError, match=f"unknown subset '{subset}' of task {kind.family}: choose one of "):
        load_task(f"{kind.family}/{subset}")


def hub_row(row, subject):
    return {"question": row[0], "subject": subject, "choices": row[1:5], "answer": int(row[5])}


def test_mmlu_rows_of_the_hub_are_those_of_the_files(hub, tmp_path, monkeypatch):
    datasets, asked = hub
    for number, subject in enumerate(SUBJECTS):
        own = [[f"{row[0]} ({number})", *row[1:]] for row in TABLE]  # no question in two subjects
        rows = own[:2] if subject == "virology" else [own[0], own[0], own[2]]
        datasets[subject, "dev"] = [hub_row(row, subject) for row in rows]
        write_csv(tmp_path / f"mmlu/dev/{subject}_dev.csv", [HEADER, *rows])
    virology = datasets["virology", "dev"][1]
    virology["question"] = virology["question"].replace("\n", "\r\n")
    whole, part = load_task("mmlu", "train"), load_task("mmlu/virology", "dev")
    assert asked == [
        ("cais/mmlu", subject, "dev", "c30699e8356da336a370243923dbaf21066bb9fe") for subject in (*SUBJECTS, "virology")
    ]
    assert len(whole) == 2 * 57
    assert [example.id for example in part] == ["mmlu/virology/dev/0", "mmlu/virology/dev/1"]
    monkeypatch.setenv("TSLIB_DATA_DIR", str(tmp_path))
    assert load_task("mmlu", "dev") == whole
    assert load_task("mmlu/virology", "train") == part


def test_mmlu_cf_rows_of_the_hub_csv_and_parquet(hub, tmp_path, monkeypatch):
    datasets, asked = hub
    rows = [[*row[:5], f" {letter}\n"] for row, letter in zip(TABLE, "BAD", strict=True)]
    records = [dict(zip(CF_HEADER, row, strict=True)) for row in rows]
    datasets[None, "Computer_Science_val"] = records
    from_hub = load_task("mmlu-cf/Computer_Science", "test")
    assert asked == [("microsoft/MMLU-CF", None, "Computer_Science_val", "c25b89a968a2062e422dd96ddf0fe3387507f0dd")]
    assert [example.id for example in from_hub] == [f"mmlu-cf/Computer_Science/val/{index}" for index in range(3)]
    assert [example.answer for example in from_hub] == ["B", "A", "D"]
    assert from_hub[1].prompt == BALL.replace("high school physics", "computer science")
    assert load_task("mmlu-cf/Computer_Science", "val") == from_hub

    monkeypatch.setenv("TSLIB_DATA_DIR", str(tmp_path))
    parquet = tmp_path / "mmlu-cf/val/Computer_Science_val.parquet"
    parquet.parent.mkdir(parents=True)
    pyarrow.parquet.write_table(pyarrow.Table.from_pylist(records), parquet)
    assert load_task("mmlu-cf/Computer_Science", "test") == from_hub
    assert TASKS["mmlu-cf"].reading("test").missing == tuple(name for name in CATEGORIES if name != "Computer_Science")

    parquet.write_bytes(b"not read where there is a CSV file")
    write_csv(parquet.with_suffix(".csv"), [CF_HEADER, *rows])
    assert load_task("mmlu-cf/Computer_Science", "test") == from_hub


def test_the_heldout_rows_leave_out_what_training_asks(data_dir):
    write_csv(data_dir / "mmlu-cf/dev/Law_dev.csv", lettered(TABLE[:1]))
    write_csv(data_dir / "mmlu-cf/val/Law_val.csv", lettered(TABLE))
    assert [row.id for row in load_task("mmlu-cf/Law", "train")] == ["mmlu-cf/Law/dev/0"]
    assert [row.id for row in load_task("mmlu-cf/Law", "heldout")] == ["mmlu-cf/Law/val/1", "mmlu-cf/Law/val/2"]


@pytest.mark.parametrize(
    ("row", "message"),
    [
        (["Which?", "1", "2", "3", "4", "4"], "expected an answer A to D, or 0 to 3, found '4'"),
        (["Which?", "1", "2", "3", "4", "a"], "expected an answer A to D, or 0 to 3, found 'a'"),
        (["Which?", "1", "2", "3", "4", "AB"], "expected an answer A to D, or 0 to 3, found 'AB'"),
        (["Which?", "1", "2", "3", "4", "-1"], "expected an answer A to D, or 0 to 3, found '-1'"),
        ([" ", "1", "2", "3", "4", "0"], "expected text in the field '{question}', found blank text"),
        (["Which?", "1", "2", "3", "0"], "expected 6 fields"),
        (["Which?", "1", "2", "3", "4", "5", "0"], "expected 6 fields"),
    ],
)
@pytest.mark.parametrize(("name", "question"), [("mmlu/virology", "question"), ("mmlu-cf/Law", "Question")])
def test_malformed_rows_name_file_and_line(data_dir, name, question, row, message):
    family, _, subset = name.partition("/")
    path = write_csv(data_dir / family / "dev" / f"{subset}_dev.csv", [TABLE[0], row, TABLE[1]])
    message = re.escape(f"{path} line 2: {message.format(question=question)}")
    with pytest.raises(InputError, match=f"^{message}[^\n]*$"):
        load_task(name)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"answer": True}, "expected an answer A to D, or 0 to 3, found True"),
        ({"answer": 1.0}, "expected an answer A to D, or 0 to 3, found 1.0"),
        ({"answer": None}, "expected an answer A to D, or 0 to 3, found None"),
        ({"choices": ["1", "2", "3"]}, r"expected four texts in the field 'choices', found \['1', '2', '3'\]"),
        ({"choices": "1234"}, "expected four texts in the field 'choices', found '1234'"),
        ({"choices": ["1", 2, "3", "4"]}, "expected text in choice B, found int"),
        ({"question": None}, "expected text in the field 'question', found NoneType"),
    ],
)
def test_malformed_rows_of_the_hub(hub, change, message):
    datasets, _ = hub
    datasets["virology", "dev"] = [hub_row(TABLE[0], "virology"), hub_row(TABLE[1], "virology") | change]
    with pytest.raises(InputError, match=f"virology.* dev row 1: {message}"):
        load_task("mmlu/virology")


def test_a_missing_column(data_dir):
    path = data_dir / "mmlu-cf/dev/Law_dev.parquet"
    path.parent.mkdir(parents=True)
    pyarrow.parquet.write_table(pyarrow.table({"Question": ["Which?"], "A": ["1"], "Answer": ["A"]}), path)
    with pytest.raises(InputError, match=re.escape(f"{path} row 0: expected a field 'B', found the fields: Question")):
        load_task("mmlu-cf/Law")


@pytest.mark.parametrize("blank", ["", "  ", None])
def test_a_row_with_a_blank_choice_is_not_used(hub, blank):
    datasets, _ = hub
    record = dict(zip(CF_HEADER, lettered(TABLE)[0], strict=True))
    datasets[None, "Law_dev"] = [record | {"C": blank}, record]
    reading = TASKS["mmlu-cf/Law"].reading("train")
    assert [refused.reason for refused in reading.refused] == ["choice C is blank"]
    assert [example.id for example in reading.examples] == ["mmlu-cf/Law/dev/1"]


def test_parquet_files_that_cannot_be_read(data_dir):
    path = data_dir / "mmlu-cf/dev/Law_dev.parquet"
    path.parent.mkdir(parents=True)
    path.write_bytes(b"Question,A,B,C,D,Answer")
    with pytest.raises(InputError, match=f"^{re.escape(str(path))}: expected a parquet file [^\n]*$"):
        load_task("mmlu-cf/Law")
    pyarrow.parquet.write_table(pyarrow.table({name: [] for name in CF_HEADER}), path)
    with pytest.raises(InputError, match="expected at least one row, found none"):
        load_task("mmlu-cf/Law")


@pytest.mark.parametrize(
    ("name", "file"),
    [
        ("mmlu/virology", "mmlu/dev/virology_dev.csv"),
        ("mmlu", "mmlu/dev/abstract_algebra_dev.csv"),
        ("mmlu-cf", "mmlu-cf/dev/Biology_dev.csv"),
    ],
)
def test_a_missing_file_is_an_error_and_the_hub_is_not_asked(data_dir, monkeypatch, name, file):
    monkeypatch.setattr("datasets.load_dataset", lambda *_, **__: pytest.fail("the hub was asked"))
    with pytest.raises(ResourceError) as caught:
        load_task(name)
    message = str(caught.value)
    assert f"{data_dir / file} cannot be read (No such file" in message
    assert "stand-in multiple-choice" in message


def test_a_failing_hub_says_what_to_do(hub):
    with pytest.raises(ResourceError, match=r"cannot get split Law_val of microsoft/MMLU-CF \(default, .*Law_val\.csv"):
        load_task("mmlu-cf/Law", "test")


@pytest.fixture
def mmlu_rows(real_file) -> Path:
    """The folder with MMLU's own rows, where there is one."""
    return real_file("mmlu/dev").parent


def real_rows(folder: Path, split: str) -> dict[str, list[list[str]]]:
    """Rows of each file, read by nothing but the csv module."""
    found = {}
    for path in sorted((folder / split).glob("*.csv")):
        with path.open(newline="", encoding="utf-8") as file:
            rows = [[field.replace("\r\n", "\n").strip() for field in row] for row in csv.reader(file)]
        found[path.name.removesuffix(f"_{split}.csv")] = rows[1:] if rows[0] == HEADER else rows
    return found


@pytest.mark.parametrize("split", ["dev", "test"])
def test_every_real_mmlu_row(mmlu_rows, split):
    rows = real_rows(mmlu_rows, split)
    reading = TASKS["mmlu"].reading(split)
    assert reading.read == sum(map(len, rows.values()))
    assert reading.missing == tuple(subject for subject in SUBJECTS if subject not in rows)
    assert reading.used + len(reading.refused) == reading.read
    assert {refused.reason.partition(" ")[0] for refused in reading.refused} <= {"repeats"}
    assert len({example.id for example in reading.examples}) == reading.used
    task = TASKS["mmlu"]
    for example in reading.examples:
        _, subject, _, index = example.id.split("/")
        source = rows[subject][int(index)]
        number = int(source[5])
        assert example.answer == example.target == "ABCD"[number], example.id
        assert f"\n{example.answer}. {source[1 + number]}" in example.prompt, example.id
        assert source[0] in example.prompt, example.id
        assert [task.score(letter, example) for letter in LETTERS] == [letter == example.answer for letter in LETTERS]
        for letter, text in zip(LETTERS, source[1:5], strict=True):
            for reply in (f"{letter}. {text}", f"({letter}) {text}\nNot A.", f"The answer is **{letter}**: {text}"):
                assert task.extract(reply) == letter, (example.id, reply)


@pytest.mark.parametrize("split", ["dev", "test"])
def test_a_repeated_question_of_mmlu_always_has_the_same_answer(mmlu_rows, split):
    answers: dict[str, set[str]] = {}
    for subject, rows in real_rows(mmlu_rows, split).items():
        for question, *choices, answer in rows:
            answers.setdefault(prompt_key(ask(subject, question, choices)), set()).add(answer)
    assert {len(found) for found in answers.values()} == {1}


# ---- the stand-in

CAPITAL = {country: city for part in CAPITALS for country, city in part}
NUMBER = {name: number for number, (_, name) in enumerate(ELEMENTS, start=1)}
SYMBOL = {name: symbol for symbol, name in ELEMENTS}
PER = {(small, large): factor for factor, small, large in UNITS}
AFTER = {(name, order[i]): order[i + 1] for name, order in ORDERS.items() for i in range(len(order) - 1)}
VALUES = {"I": 1, "V": 5, "X": 10, "L": 50, "C": 100}


def arabic(numeral: str) -> int:
    values = [VALUES[letter] for letter in numeral]
    return sum(-a if a < b else a for a, b in zip(values, [*values[1:], 0], strict=True))


# What each kind of question asks: a pattern, the fact that an answer x would claim, and whether it is one.
KINDS = [
    (r"What is the chemical symbol of (.+)\?", lambda m, x: (m[1], SYMBOL[m[1]] == x)),
    (r"Which element has the chemical symbol (.+)\?", lambda m, x: (x, SYMBOL[x] == m[1])),
    (r"What is the atomic number of (.+)\?", lambda m, x: (m[1], NUMBER[m[1]] == int(x))),
    (r"Which element has the atomic number (.+)\?", lambda m, x: (x, NUMBER[x] == int(m[1]))),
    (r"What is the capital of (.+)\?", lambda m, x: (m[1], CAPITAL[m[1]] == x)),
    (r"(.+) is the capital of which country\?", lambda m, x: (x, CAPITAL[x] == m[1])),
    (r"What is (\d+) times (\d+)\?", lambda m, x: ((*sorted((m[1], m[2])),), int(m[1]) * int(m[2]) == int(x))),
    (r"How is (\d+) written in Roman numerals\?", lambda m, x: (int(m[1]), arabic(x) == int(m[1]))),
    (r"Which number is written (\w+) in Roman numerals\?", lambda m, x: (int(x), arabic(m[1]) == int(x))),
    (r"Which (.+) comes right after (\w+)\?", lambda m, x: ((m[1], m[2]), AFTER.get((m[1], m[2])) == x)),
    (r"Which (.+) comes right before (\w+)\?", lambda m, x: ((m[1], x), AFTER.get((m[1], x)) == m[2])),
    (
        r"How many (\w+) are there in (\d+) (\w+)\?",
        lambda m, x: ((m[1], m[3]), PER[m[1], m[3]] * int(m[2]) == int(x)),
    ),
]


def facts_of(example: Example) -> tuple[int, dict[str, tuple[object, bool]]]:
    """Which kind of question it is, and what each letter would claim."""
    intro, _, question, *choices = example.prompt.split("\n")
    assert intro.startswith("The following is a multiple choice question about ")
    assert [choice[:3] for choice in choices] == ["A. ", "B. ", "C. ", "D. "]
    matches = [(kind, match) for kind, (pattern, _) in enumerate(KINDS) if (match := re.fullmatch(pattern, question))]
    assert len(matches) == 1, question
    ((kind, match),) = matches
    return kind, {choice[0]: KINDS[kind][1](match, choice[3:]) for choice in choices}


def test_the_tables_of_the_stand_in():
    assert (len(ELEMENTS), len(SYMBOL), len(set(SYMBOL.values()))) == (92, 92, 92)
    assert [NUMBER[name] for name in ("hydrogen", "oxygen", "iron", "silver", "gold", "uranium")] == [
        1,
        8,
        26,
        47,
        79,
        92,
    ]
    noble = ["helium", "neon", "argon", "krypton", "xenon", "radon"]
    assert [NUMBER[name] for name in noble] == [2, 10, 18, 36, 54, 86]
    assert len(CAPITAL) == len(set(CAPITAL.values())) == sum(map(len, CAPITALS)) == 110
    assert CAPITAL["Haiti"] == "Port-au-Prince"
    assert not any(city in country or country in city for country, city in CAPITAL.items())
    assert [len(order) for order in ORDERS.values()] == [8, 13, 8, 24]
    assert len(PER) == 18


def test_exactly_one_choice_is_right():
    kinds = Counter()
    for example in load_task("multiple-choice", "train") + load_task("multiple-choice", "test"):
        kind, claims = facts_of(example)
        kinds[kind] += 1
        assert [letter for letter, (_, true) in claims.items() if true] == [example.answer], example.prompt
        texts = [line[3:] for line in example.prompt.split("\n")[-4:]]
        assert len(set(texts)) == 4, example.prompt
        assert not set(texts) & set(LETTERS), example.prompt
        scores = [TASKS["multiple-choice"].score(letter, example) for letter in LETTERS]
        assert scores == [letter == example.answer for letter in LETTERS]
        assert example.target == example.answer
        assert example.choices == LETTERS
    assert [kinds[kind] for kind in range(len(KINDS))] == [90, 92, 92, 92, 110, 110, 120, 54, 54, 49, 49, 108]


def test_no_fact_is_in_both_splits():
    found = {}
    for split in ("train", "test"):
        examples = load_task("multiple-choice", split)
        assert len({prompt_key(example.prompt) for example in examples}) == len(examples)
        assert len({example.prompt.split("\n")[2] for example in examples}) == len(examples)
        assert len(load_task("multiple-choice", "heldout")) == len(load_task("multiple-choice", "test"))
        # Directions of a fact share it: its two or four kinds count as one.
        found[split] = {
            ([0, 0, 0, 0, 1, 1, 2, 3, 3, 4, 4, 5][kind], claim)
            for kind, claims in map(facts_of, examples)
            for claim, true in claims.values()
            if true
        }
    assert not found["train"] & found["test"]
    assert len(found["train"] | found["test"]) == 92 + 110 + 120 + 54 + 49 + 18
    assert {kind for kind, _ in found["test"]} == {kind for kind, _ in found["train"]}


@pytest.mark.parametrize(("split", "size"), [("train", 760), ("test", 260)])
def test_the_letters_of_the_stand_in_are_balanced(split, size):
    examples = load_task("multiple-choice", split)
    assert [example.id for example in examples] == [f"multiple-choice/{split}/{index}" for index in range(size)]
    assert Counter(example.answer for example in examples) == dict.fromkeys(LETTERS, size // 4)
