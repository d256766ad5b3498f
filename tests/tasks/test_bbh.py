import ast
import itertools
import json
import operator
import re
from collections import Counter
from datetime import date, timedelta
from fractions import Fraction
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tslib.errors import InputError, ResourceError
from tslib.tasks import FAMILIES, TASKS, Example, load_task
from tslib.tasks.bbh import SUBSETS, find_choice, find_reply
from tslib.tasks.bbh_symbolic import SUBSETS as SYMBOLIC
from tslib.tasks.registry import _tell_missing

# Invented rows in the format of BIG-Bench Hard.
JARS = "Which jar is the largest?\nOptions:\n(A) the red jar\n(B) the old grey jar\n(C) neither (A) nor (B)"
FERRY = "The ferry left late. Did the fog cause that?\nOptions:\n- Yes\n- No"
ROWS = {
    "date_understanding": [{"input": JARS, "target": "(B)"}, {"input": f" {JARS}\n(D) all\n", "target": "(D)"}],
    "navigate": [{"input": FERRY, "target": "No"}],
    "word_sorting": [
        {"input": "Sort the following words: List: yew ash it&t o'clock", "target": "ash it&t o'clock yew"}
    ],
    "dyck_languages": [{"input": "Complete the rest. Input: ( [ <", "target": "> ] )"}],
}
LETTERS = Example("bbh/date_understanding/0", JARS, "(B)", "(B)", ("(A)", "(B)", "(C)"))
YES_NO = Example("bbh/navigate/0", FERRY, "No", "No", ("Yes", "No"))
VALID = Example("bbh/formal_fallacies/0", "Is it?", "invalid", "invalid", ("valid", "invalid"))
TRUE = Example("bbh/boolean_expressions/0", "True and not False is", "True", "True", ("True", "False"))
NUMBER = Example("bbh/object_counting/0", "How many?", "-3", "-3")
WORDS = Example("bbh/word_sorting/0", "Sort", "ash it&t o'clock yew", "ash it&t o'clock yew")
BRACKETS = Example("bbh/dyck_languages/0", "Complete", "> ] )", "> ] )")
KINDS = [LETTERS, YES_NO, VALID, TRUE, NUMBER, WORDS, BRACKETS]


def write_rows(folder: Path, **parts: object) -> Path:
    """Write subsets as the source's files; return the last."""
    (folder / "bbh").mkdir(exist_ok=True)
    for subset, rows in parts.items():
        path = folder / "bbh" / f"{subset}.json"
        path.write_text(json.dumps({"canary": "invented rows", "examples": rows}, indent=2))
    return path


@pytest.fixture
def bbh_rows(real_file):
    """The source's own rows, by subset, where they are."""
    files = sorted(real_file("bbh/word_sorting.json").parent.glob("*.json"))
    return {path.stem: json.loads(path.read_text(encoding="utf-8"))["examples"] for path in files}


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("(B)", "(B)"),
        ("\n\n  (B)  \nbecause it is", "(B)"),
        ("Answer: b", "b"),
        ("answer : b\n", "b"),
        ("The answer is (B) because …", "(B) because …"),
        ("Let us see.\nSo the answer is (B).\nSure.", "(B)."),
        ("The answer is (A). No: the answer is (B).", "(B)."),
        ("The answer is:\n\n(B)\n(C)", "(B)"),
        ("**Answer:** `(B)`", "(B)"),
        ("**Answer**: (B)", "(B)"),
        ("Yes. The answer is", "Yes. The answer is"),  # cut off: nothing follows
        ("The answer isn't (A)", "The answer isn't (A)"),
        ("The answers are (A)", "The answers are (A)"),
        ("(B)\r\n(C)", "(B)"),
        ("", None),
        (" \n\t", None),
        ("**", None),
    ],
)
def test_the_line_of_a_reply(text, line):
    assert find_reply(text) == line
    assert TASKS["bbh"].extract(text) == line


@pytest.mark.parametrize(
    ("line", "letter"),
    [
        ("(B)", "(B)"),
        ("b", "(B)"),
        ("B.", "(B)"),
        ("B)", "(B)"),
        ("[B]", "(B)"),
        ("( b )", "(B)"),
        ("(B", "(B)"),
        ('"B"', "(B)"),
        ("- B", "(B)"),
        ("(B) the old grey jar", "(B)"),
        ("(B)the old grey jar", "(B)"),
        ("B. the old grey jar", "(B)"),
        ("B: the old grey jar", "(B)"),
        ("B, because", "(B)"),
        ("B - the old grey jar", "(B)"),
        ("(B) is larger than (A)", "(B)"),
        ("B, not (A)", "(B)"),
        ("Option B is right", "(B)"),
        ("option (b)", "(B)"),
        ("I think (B) is right.", "(B)"),
        ("The correct option is (B).", "(B)"),
        ("not (A) but (B)", "(B)"),
        ("a", "(A)"),
        ("A man walks", None),
        ("(A man walks)", None),
        ("a-b", None),
        ("Because of it", None),
        ("B is right", None),  # would read "A is …" and "I is …" too
        ("either (A) or (B)", None),
        ("not (A)", None),
        ("the jar(B)", None),
        ("the old grey jar", None),
        ("(D)", None),  # no option of the row
        ("AB", None),
        ("\N{KELVIN SIGN}", None),
        ("", None),
    ],
)
def test_the_letter_of_a_line(line, letter):
    assert find_choice(line, LETTERS.choices) == letter


@pytest.mark.parametrize(
    ("line", "choices", "word"),
    [
        ("No", ("Yes", "No"), "No"),
        ("no.", ("Yes", "No"), "No"),
        ("- No", ("Yes", "No"), "No"),
        ("(no)", ("Yes", "No"), "No"),
        ("No, because yes would be wrong", ("Yes", "No"), "No"),
        ("No it did not", ("Yes", "No"), "No"),
        ("Not sure", ("Yes", "No"), None),
        ("Nobody knows", ("Yes", "No"), None),
        ("Yes or No", ("Yes", "No"), None),
        ("Yes/No", ("Yes", "No"), None),
        ("I say no", ("Yes", "No"), None),
        ("YES", ("yes", "no"), "yes"),
        ("invalid", ("valid", "invalid"), "invalid"),
        ("Invalid: it is not valid", ("valid", "invalid"), "invalid"),
        ("not valid", ("valid", "invalid"), None),
        ("valid or invalid", ("valid", "invalid"), None),
        ("true", ("True", "False"), "True"),
        ("True and not False is True", ("True", "False"), None),
        ("Truely", ("True", "False"), None),
        ("", ("True", "False"), None),
    ],
)
def test_the_word_of_a_line(line, choices, word):
    assert find_choice(line, choices) == word


@pytest.mark.parametrize(
    ("text", "example", "score"),
    [
        ("(B) the old grey jar", LETTERS, 1.0),
        ("The answer is (B) because (A) is small", LETTERS, 1.0),
        ("A man walks\n(B)", LETTERS, 0.0),
        ("(A)\n(B)", LETTERS, 0.0),
        ("(A)\nNo, the answer is b.", LETTERS, 1.0),
        ("the old grey jar", LETTERS, 0.0),
        ("No, because …", YES_NO, 1.0),
        ("Answer: no", YES_NO, 1.0),
        ("Yes", YES_NO, 0.0),
        ("Invalid.", VALID, 1.0),
        ("Valid.", VALID, 0.0),
        ("True", TRUE, 1.0),
        ("-3", NUMBER, 1.0),
        ("\N{MINUS SIGN}3.0", NUMBER, 1.0),
        ("3", NUMBER, 0.0),
        ("**-3**", NUMBER, 1.0),
        ("The answer is -3.", NUMBER, 1.0),
        ("2 - 5 = -3", NUMBER, 1.0),
        ("-3, since 2 - 5 is that", NUMBER, 1.0),
        ("5 apples and -3 pears", NUMBER, 0.0),
        ("minus three", NUMBER, 0.0),
        ("-3/4", NUMBER, 0.0),
        (r"-\frac12", NUMBER, 0.0),
        ("-30", NUMBER, 0.0),
        ("ash it&t o'clock yew", WORDS, 1.0),
        ("Ash, itt,  oclock,yew.", WORDS, 1.0),
        ("ash\nit&t\no'clock\nyew", WORDS, 0.0),  # one line is read
        ("ash it&t yew o'clock", WORDS, 0.0),
        ("ash it&t o'clock", WORDS, 0.0),
        ("> ] )", BRACKETS, 1.0),
        (">])", BRACKETS, 1.0),
        ('Answer: ">] )".', BRACKETS, 1.0),
        ("] > )", BRACKETS, 0.0),
        ("> ] ) :)", BRACKETS, 0.0),
        ("I would say > ] )", BRACKETS, 0.0),
        ("> ]", BRACKETS, 0.0),
    ],
)
@pytest.mark.parametrize("name", ["bbh", "bbh/navigate", "bbh-symbolic", "bbh-symbolic/word_sorting"])
def test_scores(name, text, example, score):
    assert TASKS[name].score(text, example) == score


@pytest.mark.parametrize(
    ("text", "gold", "score"),
    [
        ("$1,234.50", "1234.5", 1.0),
        ("$1,234.50", "1", 0.0),
        ("1234.5000000000000000000000001", "1234.5", 0.0),  # equal as floats
        (r"\frac12", "0.5", 0.0),  # nothing is calculated
        (r"\frac12", "12", 0.0),
        ("1/2", "1", 0.0),
        ("1 / 2", "2", 0.0),
        ("14 (2/3 of 21)", "14", 1.0),
        ("x = 14", "14", 1.0),
        ("14 =", "14", 0.0),
        ("#### 14", "14", 1.0),
    ],
)
def test_numbers(text, gold, score):
    assert TASKS["bbh"].score(text, Example("bbh/object_counting/0", "How many?", gold, gold)) == score


@pytest.mark.parametrize("example", KINDS, ids=lambda example: example.target)
@pytest.mark.parametrize(
    "text",
    ["", " \n", "answer", "Answer:", "####", "=", "9" * 10_000, "(" * 10_000, "B" + "." * 10_000 + "x", "*" * 99],
)
def test_replies_that_say_nothing(example, text):
    assert TASKS["bbh"].score(text, example) == 0.0


@given(st.text(alphabet=st.sampled_from("ABb()[]<>.,:=-/\\*# \n19yesnoriw") | st.characters(), max_size=60))
def test_no_text_raises_and_an_answer_stands_once_it_is_complete(text):
    task = TASKS["bbh"]
    assert {task.score(text, example) for example in KINDS} <= {0.0, 1.0}
    if task.complete(text):
        assert find_reply(text) == find_reply(text.rstrip())
        assert find_reply(text) is not None


@pytest.mark.parametrize(
    ("text", "complete"),
    [
        ("", False),
        ("\n\n", False),
        ("(B)", False),
        ("(B)\n", True),
        ("\n(B)\n", True),
        ("(B) the old\ngrey", True),
        ("The answer is", False),
        ("The answer is:\n", False),
        ("The answer is:\n\n(B)", False),
        ("The answer is:\n\n(B)\n", True),
        ("ash, yew\n", True),
        ("**\n", False),
    ],
)
def test_a_reply_is_complete_when_its_line_has_ended(text, complete):
    assert TASKS["bbh"].complete(text) is complete


def test_rows_from_files(data_dir, caplog):
    _tell_missing.cache_clear()
    write_rows(data_dir, **ROWS)
    examples = load_task("bbh", "all")
    assert {example.id: (example.answer, example.choices) for example in examples} == {
        "bbh/date_understanding/0": ("(B)", ("(A)", "(B)", "(C)")),
        "bbh/date_understanding/1": ("(D)", ("(A)", "(B)", "(C)", "(D)")),
        "bbh/dyck_languages/0": ("> ] )", ()),
        "bbh/navigate/0": ("No", ("Yes", "No")),
        "bbh/word_sorting/0": ("ash it&t o'clock yew", ()),
    }
    assert [example.target for example in examples] == [example.answer for example in examples]
    assert examples[0].prompt == f"{JARS}\nAnswer with the letter of the option, like (A)."
    assert examples[1].prompt == f"{JARS}\n(D) all\nAnswer with the letter of the option, like (A)."
    assert examples[3].prompt == f"{FERRY}\nAnswer with Yes or No."
    assert "23 of its 27 subsets are not in the folder of rows" in caplog.text
    assert load_task("bbh/navigate", "all") == [examples[3]]
    assert load_task("bbh", "train") + load_task("bbh", "test") != []
    assert {row.id for split in ("train", "test") for row in load_task("bbh", split)} == {row.id for row in examples}


def test_a_gold_answer_that_is_no_option_is_refused(data_dir):
    broken = {"input": "What is it?\nOptions:\n(A) this\n(B) that", "target": "this, that"}
    path = write_rows(data_dir, ruin_names=[broken, {"input": JARS, "target": "(C)"}])
    reading = TASKS["bbh/ruin_names"].reading("all")
    assert [example.id for example in reading.examples] == ["bbh/ruin_names/1"]
    assert [(row.where, row.reason) for row in reading.refused] == [
        (f"{path} line 4", "its gold answer is none of its options")
    ]
    write_rows(data_dir, navigate=[{"input": FERRY, "target": "maybe"}])
    assert TASKS["bbh/navigate"].reading("all").used == 0


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ({"input": JARS}, "expected a field 'target', found the fields: input"),
        ({"input": 7, "target": "(A)"}, "expected text in the field 'input', found int"),
        ({"input": JARS, "target": " "}, "expected text in the field 'target', found blank text"),
        (
            {"input": "Which?\nOptions:\n- this", "target": "(A)"},
            "expected options such as '(A) …' in the field 'input'",
        ),
        ("(A)", "expected a JSON object, found str"),
    ],
)
def test_malformed_rows_name_file_and_line(data_dir, row, message):
    path = write_rows(data_dir, snarks=[{"input": JARS, "target": "(A)"}, row])
    with pytest.raises(InputError, match=f"^{re.escape(f'{path} line 8: {message}')}"):
        load_task("bbh/snarks", "all")


def test_a_file_of_another_format(data_dir):
    write_rows(data_dir, snarks=[])
    with pytest.raises(InputError, match="expected at least one row, found none"):
        load_task("bbh/snarks", "all")
    (data_dir / "bbh" / "snarks.json").write_text('{"rows": []}')
    with pytest.raises(InputError, match="expected a JSON array of objects at the key 'examples'"):
        load_task("bbh/snarks", "all")


def test_what_is_not_there(data_dir):
    with pytest.raises(ResourceError, match=r"bbh.navigate\.json cannot be read.*stand-in bbh-symbolic"):
        load_task("bbh/navigate")
    with pytest.raises(ResourceError, match=r"no rows for task bbh: .*boolean_expressions\.json cannot be read"):
        load_task("bbh")
    with pytest.raises(InputError, match="unknown subset 'sailing' of task bbh: choose one of boolean_expressions, "):
        load_task("bbh/sailing")
    with pytest.raises(InputError, match="unknown subset 'snarks' of task bbh-symbolic: choose one of word_sorting, "):
        load_task("bbh-symbolic/snarks")
    with pytest.raises(InputError, match="unknown split 'dev' of task bbh/navigate: choose one of train, test, all"):
        load_task("bbh/navigate", "dev")


def test_hub_rows_are_the_same_as_those_of_files(tmp_path, monkeypatch):
    def load_dataset(repo, config, *, split, revision):
        assert (repo, split) == ("SaylorTwift/bbh", "test")
        assert revision == "b5306be6f827cfafbb545ff5a51f96916029b0fd"
        asked.append(config)
        return ROWS.get(config, [{"input": f"{config}\n{JARS}", "target": "(A)"}])

    asked: list[str] = []
    monkeypatch.setattr("datasets.load_dataset", load_dataset)
    monkeypatch.delenv("TSLIB_DATA_DIR", raising=False)
    load_task("bbh", "all")
    assert asked == list(SUBSETS)
    from_hub = [load_task(f"bbh/{subset}", "all") for subset in ROWS]
    write_rows(tmp_path, **ROWS)
    monkeypatch.setenv("TSLIB_DATA_DIR", str(tmp_path))
    assert from_hub == [load_task(f"bbh/{subset}", "all") for subset in ROWS]


def test_a_failing_hub_says_what_to_do(monkeypatch):
    def offline(*_, **__):
        raise ConnectionError("cannot reach the hub")

    monkeypatch.delenv("TSLIB_DATA_DIR", raising=False)
    monkeypatch.setattr("datasets.load_dataset", offline)
    with pytest.raises(ResourceError, match=r"SaylorTwift/bbh \(navigate, .*bbh/navigate\.json; the stand-in bbh-symb"):
        load_task("bbh/navigate")


def test_names():
    assert len(SUBSETS) == 27
    assert FAMILIES["bbh"].subsets == tuple(SUBSETS)
    for family in ("bbh", "bbh-symbolic"):
        for subset in FAMILIES[family].subsets:
            assert TASKS[f"{family}/{subset}"].subsets == ()
    assert TASKS["bbh/word_sorting"].title == "BIG-Bench Hard: word sorting"


def test_counts_of_the_real_rows(bbh_rows):
    """Counted without tslib's reader."""
    inputs = [(name, row["input"]) for name, rows in bbh_rows.items() for row in rows]
    broken = [
        row
        for rows in bbh_rows.values()
        for row in rows
        if "\n(A) " in row["input"] and f"\n{row['target']} " not in row["input"]
    ]
    reading = TASKS["bbh"].reading("all")
    reasons = Counter(row.reason.split("/")[0] for row in reading.refused)
    assert reading.read == len(inputs)
    assert reading.missing == tuple(name for name in SUBSETS if name not in bbh_rows)
    assert reasons["its gold answer is none of its options"] == len(broken)
    assert reasons["repeats bbh"] == len(inputs) - len(set(inputs))
    assert reading.used == len(set(inputs)) - len(broken)
    train, test = TASKS["bbh"].reading("train"), TASKS["bbh"].reading("test")
    assert train.used + test.used == reading.used
    assert {row.id for row in train.examples}.isdisjoint(row.id for row in test.examples)
    parts = [row for name in bbh_rows for row in load_task(f"bbh/{name}", "all")]
    assert parts == reading.examples
    if len(inputs) == 4046:  # the first 150 of each subset
        twice = [text for text, times in Counter(inputs).items() if times == 2]
        gold = [{row["target"] for row in bbh_rows[name] if row["input"] == text} for name, text in twice]
        assert [name for name, _ in twice] == ["causal_judgement"] * 2
        assert gold == [{"Yes", "No"}] * 2, "the source contradicts itself"
        assert (reading.used, len(broken), reasons["repeats bbh"]) == (4042, 2, 2)
        assert (train.used, test.used) == (1337, 2705)


def test_every_real_row(bbh_rows):
    task = TASKS["bbh"]
    examples = {row.id: row for row in load_task("bbh", "all")}
    for example in examples.values():
        _, subset, index = example.id.split("/")
        source = bbh_rows[subset][int(index)]
        assert example.target == example.answer == source["target"], example.id
        assert example.prompt.startswith(source["input"].strip()), example.id
        for reply in ("{}", "{}.", "\n{}\n", "Answer: {}", "So the answer is {}."):
            assert task.score(reply.format(example.target), example) == 1.0, (example.id, reply)
        if example.choices:
            assert example.target in example.choices, example.id
            others = [choice for choice in example.choices if choice != example.target] or ["(B)"]
            assert re.findall(r"^\([A-Z]\)", example.prompt, re.MULTILINE) == list(example.choices) * (
                example.choices[0] == "(A)"
            ), example.id
        else:
            others = {row["target"] for row in bbh_rows[subset][:20]} - {example.target}
        for other in others:
            assert task.score(other, example) == 0.0, example.id
        for option in re.findall(r"^\([A-Z]\) .*", example.prompt, re.MULTILINE):
            assert task.score(option, example) == float(option.startswith(example.target)), (example.id, option[:3])


# The stand-in


def symbolic(subset: str) -> list[Example]:
    return [row for split in ("train", "test") for row in load_task(f"bbh-symbolic/{subset}", split)]


def test_rows_of_the_stand_in():
    task = TASKS["bbh-symbolic"]
    train, test = load_task("bbh-symbolic", "train"), load_task("bbh-symbolic", "test")
    assert Counter(row.id.split("/")[1] for row in train) == dict.fromkeys(task.subsets, 200)
    assert Counter(row.id.split("/")[1] for row in test) == dict.fromkeys(task.subsets, 100)
    assert len({row.id for row in train + test}) == 1500
    assert len({row.prompt.casefold() for row in train + test}) == 1500, "no prompt twice, within or across splits"
    parts = [symbolic(subset) for subset in task.subsets]
    assert [row for part in parts for row in part[:200]] == train
    for part in parts:
        targets = {row.target for row in part[:20] if not row.choices}
        for row in part:
            assert task.score(row.target, row) == 1.0, row.id
            assert row.target == row.answer
            assert "  " not in row.prompt, row.id
            assert row.prompt.count("Answer") == 1, row.id
            others = (set(row.choices) or targets) - {row.target}
            assert others, row.id
            assert {task.score(other, row) for other in others} == {0.0}, row.id


def test_sorted_words():
    for row in symbolic("word_sorting"):
        order, words = re.fullmatch(r"Sort the following words (.*): ([a-z ]+)\n.*", row.prompt).groups()
        assert order in {"alphabetically", "in reverse alphabetical order"}
        assert row.answer.split() == sorted(words.split(), reverse=order != "alphabetically"), row.id
        assert len(set(words.split())) == len(words.split()) > 1, row.id


def exact(node: ast.AST) -> Fraction:
    """Value of an expression, by the rules of arithmetic."""
    match node:
        case ast.Constant():
            return Fraction(node.value)
        case ast.UnaryOp(op=ast.USub()):
            return -exact(node.operand)
        case ast.BinOp():
            operators = {
                ast.Add: operator.add,
                ast.Sub: operator.sub,
                ast.Mult: operator.mul,
                ast.Div: operator.truediv,
            }
            return operators[type(node.op)](exact(node.left), exact(node.right))
    raise AssertionError(ast.dump(node))


def test_expressions():
    assert exact(ast.parse("-(2 - 5) / 2 * 4", mode="eval").body) == 6
    rows = symbolic("basic_arithmetic")
    for row in rows:
        expression = row.prompt.removesuffix(" =\nAnswer with the number in digits.")
        assert exact(ast.parse(expression, mode="eval").body) == Fraction(row.answer), row.id
    assert sum("(" in row.prompt for row in rows) > 100
    assert sum("/" in row.prompt for row in rows) > 50


def test_what_reasoning_gym_gets_wrong_is_left_out():
    import reasoning_gym

    source = reasoning_gym.create_dataset("basic_arithmetic", seed=0, **SYMBOLIC["basic_arithmetic"][1])
    rows = [source[index] for index in range(1000)]
    wrong = [
        exact(ast.parse(row["metadata"]["expression"], mode="eval").body) != Fraction(row["answer"]) for row in rows
    ]
    assert [SYMBOLIC["basic_arithmetic"][0](row) is None for row in rows] == wrong
    assert 0 < sum(wrong) < 20

    source = reasoning_gym.create_dataset("calendar_arithmetic", seed=0, tasks=["count_business_days"])
    rows = [source[index] for index in range(1000)]
    wrong = [calendar_answer(row["question"]) != row["answer"] for row in rows]
    assert [SYMBOLIC["calendar_arithmetic"][0](row) is None for row in rows] == wrong
    assert sum(wrong) > 20


IS = r"([A-Z][a-z]+) is an? ([a-z]+)"
CLAIM = re.compile(rf"if {IS} then {IS}|{IS} if and only if {IS}|{IS} and {IS}|{IS} or {IS}|{IS}")


def says_true(claim: re.Match[str], truthful: dict[str, bool], knight: str) -> bool:
    """Whether a claim about knights and knaves holds."""
    found = [group for group in claim.groups() if group]
    first, *second = (truthful[name] == (role == knight) for name, role in zip(found[::2], found[1::2], strict=True))
    if not second:
        return first
    connective = re.search("^if|if and only if| and | or ", claim[0])[0].strip()
    return {
        "if": not first or second[0],
        "if and only if": first == second[0],
        "and": first and second[0],
        "or": first or second[0],
    }[connective]


def test_knights_and_knaves():
    for row in symbolic("knights_knaves"):
        knight, knave = re.search(r"inhabited only by (\w+)s and (\w+)s\.", row.prompt).groups()
        listed, body = re.search(r"inhabitants: (.*?)\. (.*) So who is", row.prompt).groups()
        names = re.findall("[A-Z][a-z]+", listed)
        claims = list(CLAIM.finditer(body))
        assert len(claims) == len(names) == 3, row.id
        assert "(" not in body, row.id
        solutions = []
        for guess in itertools.product([True, False], repeat=3):
            truthful = dict(zip(names, guess, strict=True))
            if all(says_true(claim, truthful, knight) == true for claim, true in zip(claims, guess, strict=True)):
                solutions.append(", ".join(knight if true else knave for true in guess))
        assert solutions == [row.answer], row.id


def test_zebra_puzzles():
    for row in symbolic("zebra_puzzles"):
        names, values = (line.split(": ")[1].split(", ") for line in re.findall("(?m)^ - .*", row.prompt))
        stems = [value.removesuffix("s") for value in values]  # roses, the rose bouquet
        clues = re.findall(r"(?m)^\d\. (.*)\.$", row.prompt.lower())
        solutions = set()
        for people, things in itertools.product(itertools.permutations(names), itertools.permutations(stems)):
            house = {thing: number for order in (people, things) for number, thing in enumerate(order)}
            places = [[house[t] for _, t in sorted(named(clue, house))] for clue in clues]
            if all(map(holds, clues, places)):
                solutions.add(people[0].title())
        assert row.prompt.count("Who lives in house 1?") == 1
        assert solutions == {row.answer}, row.id
        assert sorted(row.choices) == sorted(name.title() for name in names)


def named(clue: str, things: dict[str, int]) -> list[tuple[int, str]]:
    """Things that a clue names, with their positions: "the British person" is the brit, a boba tea is not Bob's."""
    found = [(re.search(rf"\b{thing}(?:s|ish)?\b", clue), thing) for thing in things]
    return [(match.start(), thing) for match, thing in found if match]


def holds(clue: str, places: list[int]) -> bool:
    """Whether a clue holds of the houses of the things that it names, from 0."""
    if match := re.search(r"is in the (first|second|third) house$", clue):
        return places == [["first", "second", "third"].index(match[1])]
    first, second = places
    if clue.endswith("are next to each other"):
        return abs(first - second) == 1
    if " is directly left of " in clue:
        return second - first == 1
    return first == second


DAYS = ["Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday"]
MONTHS = ["January", "February", "March", "April", "May", "June"]
MONTHS += ["July", "August", "September", "October", "November", "December"]
DATE = re.compile(rf"({'|'.join(MONTHS)}) (\d{{1,2}})\b(?:, (\d{{4}}))?")


def calendar_answer(question: str) -> str:
    """Answer to a question about the calendar."""
    dates = [date(int(year or 2022), MONTHS.index(month) + 1, int(day)) for month, day, year in DATE.findall(question)]
    days = [day for day in re.findall("[A-Z][a-z]+day", question) if day in DAYS]
    if "leap year" in question:
        year = int(re.search(r"\d{4}", question)[0])
        return "Yes" if (year % 4 == 0 and year % 100 != 0) or year % 400 == 0 else "No"
    if ordinal := re.search(rf"(first|second|third|fourth|last) ({'|'.join(DAYS)})", question):
        month, year = re.search(rf"({'|'.join(MONTHS)}) (\d{{4}})", question).groups()
        start = date(int(year), MONTHS.index(month) + 1, 1)
        month_days = [day for i in range(31) if (day := start + timedelta(i)).month == start.month]
        found = [day.day for day in month_days if DAYS[day.weekday()] == ordinal[2]]
        return str(
            found[["first", "second", "third", "fourth", "last"].index(ordinal[1]) if ordinal[1] != "last" else -1]
        )
    if re.search("first day of the year|January 1 fell|January 1st", question):
        assert dates[-1] <= date(2022, 2, 28), "no leap year may change the answer"
        return DAYS[(DAYS.index(days[0]) + (dates[-1] - date(2022, 1, 1)).days) % 7]
    if len(dates) == 2:
        span = [dates[0] + timedelta(i) for i in range((dates[1] - dates[0]).days + 1)]
        if re.search("business days|weekends", question):
            return str(sum(day.weekday() < 5 for day in span))
        asked = re.search(rf"How many ({'|'.join(DAYS)})s|(?:occurrences of|times does) ({'|'.join(DAYS)})", question)
        return str(sum(DAYS[day.weekday()] == (asked[1] or asked[2]) for day in span))
    shift = re.search(r"(\d+)[ -]days?", question)
    offset = int(shift[1]) * (-1 if re.search("ago|before|backward", question) else 1) if shift else 0
    assert dates[0].year == 2022
    assert not days or DAYS[dates[0].weekday()] == days[0]
    return DAYS[(dates[0] + timedelta(offset)).weekday()]


@pytest.mark.parametrize(
    ("question", "answer"),
    [
        ("Is 1900 a leap year?", "No"),
        ("What day of the week was March 1, 2022?", "Tuesday"),
        ("Count backward 1 days from Tuesday, March 1, 2022 - what's the weekday?", "Monday"),
        ("If the first day of the year was a Friday, what day of the week will January 3 be?", "Sunday"),
        ("Determine the day of the month for the last Monday in May 2022.", "30"),
        ("Count the weekdays (excluding weekends) from Friday, May 27 to Tuesday, May 31, 2022.", "3"),
        ("How many Mondays are there from Monday, May 2, 2022 to Monday, May 16, 2022 (inclusive)?", "3"),
    ],
)
def test_the_calendar_of_the_next_test(question, answer):
    assert calendar_answer(question) == answer


def test_calendar_questions():
    kinds = Counter()
    for row in symbolic("calendar_arithmetic"):
        question, _, form = row.prompt.rpartition("\n")
        assert row.answer == calendar_answer(question), row.id
        assert "/" not in question, row.id
        kinds[form] += 1
    assert set(kinds) == {
        "Answer with Yes or No.",
        "Answer with the weekday.",
        "Answer with the number in digits.",
    }
    assert min(kinds.values()) > 20
