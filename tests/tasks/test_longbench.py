import inspect
import json
import os
import re
import subprocess
import sys
import tomllib
from collections import Counter
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rouge import Rouge

from tslib.errors import InputError, ResourceError
from tslib.tasks import FAMILIES, TASKS, Example, load_task
from tslib.tasks import longbench_scores as scores
from tslib.tasks.longbench import MAX_NEW_TOKENS, SUBSETS, TEMPLATES, LongBench
from tslib.tasks.needle import LENGTHS, Needle

# Invented rows in LongBench's format.
NEWS = {
    "input": "",
    "context": "Passage 1:\nA {new} bridge was opened in Garvik.\nPassage 2:\nThe bridge of Garvik is red.",
    "answers": ["A red bridge was opened. It stands in Garvik."],
    "length": 18,
    "dataset": "multi_news",
    "language": "en",
    "all_classes": None,
    "_id": "0" * 48,
}
PARIS = NEWS | {
    "input": "Who painted it?",
    "context": "Passage 1:\nAda painted it.",
    "answers": ["Ada Lund", "Ms Lund"],
    "dataset": "hotpotqa",
}
TREC = NEWS | {
    "input": "Question: Where is Garvik ?\nType:",
    "context": "Question: Who is Ada ?\nType: Individual\n",
    "answers": ["Other location"],
    "dataset": "trec",
    "all_classes": ["Individual", "Other location", "Date"],
}
SAMSUM = NEWS | {
    "input": "Dialogue: Ada: Hi!\nBo: Bye!\nSummary: ",
    "context": "Dialogue: Cy: No.\nSummary: Cy says no.\n",
    "answers": ["Ada greets Bo."],
    "dataset": "samsum",
}
# The three pieces into which the hub's rows cut the prompts of those four.
IN_PIECES = {
    "multi_news": (
        "You are given several news passages. Write a one-page summary of all news. \n\nNews:\nPassage 1:\nA {new} "
        "bridge was opened in Garvik.\nPassage 2:\nThe bridge of Garvik is red.\n\n",
        "Now, write a one-page summary of all the news.\n\n",
        "Summary:",
    ),
    "hotpotqa": (
        "Answer the question based on the given passages. Only give me the answer and do not output any other words."
        "\n\nThe following are given passages.\nPassage 1:\nAda painted it.\n\nAnswer the question based on the given "
        "passages. Only give me the answer and do not output any other words.\n\n",
        "Question: Who painted it?\n",
        "Answer:",
    ),
    "trec": (
        "Please determine the type of the question below. Here are some examples of questions.\n\n"
        "Question: Who is Ada ?\nType: Individual\n\n",
        "Question: Where is Garvik ?\n",
        "Type:",
    ),
    "samsum": (  # the prefix stands in the question too
        "Summarize the dialogue into a few short sentences. The following are some examples.\n\n"
        "Dialogue: Cy: No.\nSummary: Cy says no.\n\n\n",
        "Dialogue: Ada: Hi!\nBo: Bye!\nSummary: ",
        "Summary:",
    ),
}
ROWS = {row["dataset"]: row for row in (NEWS, PARIS, TREC, SAMSUM)}


def on_hub(row: dict[str, object], pieces: tuple[str, str, str]) -> dict[str, object]:
    """Return a row as the hub has it."""
    context, question, prefix = pieces
    rest = {key: value for key, value in row.items() if key != "input"}
    task = row["dataset"]
    return rest | {
        "context": context,
        "question": question,
        "answer_prefix": prefix,
        "task": task,
        "max_new_tokens": 84,
    }


def write_rows(folder: Path, subset: str, *rows: dict[str, object]) -> Path:
    path = folder / "longbench" / f"{subset}.jsonl"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows), encoding="utf-8")
    return path


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.setenv("TSLIB_DATA_DIR", str(tmp_path))
    return tmp_path


@pytest.fixture
def longbench_rows(real_file):
    return real_file("longbench/multi_news.jsonl").parent


@pytest.fixture
def hub(monkeypatch):
    """Rows by subset in place of the hub, and the list of what was asked for."""
    rows: dict[str, list[dict[str, object]]] = {}
    asked = []

    def load_dataset(repo, config, *, split, revision):
        asked.append((repo, config, split, revision))
        return rows[config]

    monkeypatch.delenv("TSLIB_DATA_DIR", raising=False)
    monkeypatch.setattr("datasets.load_dataset", load_dataset)
    return rows, asked


def example_of(subset: str, *answers: str, classes: tuple[str, ...] = ()) -> Example:
    answer = answers if len(answers) > 1 else answers[0]
    return Example(f"longbench/{subset}/0", "…", answers[0], answer, classes)


def test_the_family():
    assert len(SUBSETS) == 21
    assert FAMILIES["longbench"].subsets == SUBSETS
    assert FAMILIES["longbench"].max_new_tokens == 512
    assert FAMILIES["longbench"].metric == "score"
    assert FAMILIES["longbench"].layout == "longbench/SUBSET.jsonl"
    assert [name for name in TASKS if name.startswith("longbench/")] == [f"longbench/{subset}" for subset in SUBSETS]
    kinds = Counter(TASKS[f"longbench/{subset}"].metric for subset in SUBSETS)
    assert kinds == {"F1": 8, "ROUGE-L": 6, "accuracy": 5, "edit similarity": 2}
    task = TASKS["longbench/hotpotqa"]
    assert (task.max_new_tokens, task.layout, task.subsets) == (32, "longbench/hotpotqa.jsonl", ())
    assert task.cuts_middle
    assert task.hub.config == "hotpotqa"
    with pytest.raises(InputError, match="unknown subset 'news' of LongBench: choose one of narrativeqa, qasper, "):
        LongBench("news")


def test_prompts_and_lengths_are_longbenchs_own(longbench_rows):
    for file, ours in (("dataset2prompt", TEMPLATES), ("dataset2maxlen", MAX_NEW_TOKENS)):
        assert ours == json.loads((longbench_rows / f"{file}.json").read_text(encoding="utf-8"))


def test_the_prompts_are_part_of_the_package():
    project = tomllib.loads((Path(__file__).parents[2] / "pyproject.toml").read_text(encoding="utf-8"))
    patterns = project["tool"]["setuptools"]["package-data"]["tslib.tasks"]
    assert any(Path("longbench_prompts.json").match(pattern) for pattern in patterns)


def test_a_row_of_a_file(folder):
    write_rows(folder, "multi_news", NEWS)
    (example,) = load_task("longbench/multi_news", "all")
    assert example == Example(
        "longbench/multi_news/0",
        "".join(IN_PIECES["multi_news"]),
        "A red bridge was opened. It stands in Garvik.",
        "A red bridge was opened. It stands in Garvik.",
    )
    write_rows(folder, "hotpotqa", PARIS)
    (example,) = load_task("longbench/hotpotqa", "all")
    assert (example.target, example.answer, example.choices) == ("Ada Lund", ("Ada Lund", "Ms Lund"), ())
    write_rows(folder, "trec", TREC)
    (example,) = load_task("longbench/trec", "all")
    assert (example.target, example.choices) == ("Other location", ("Individual", "Other location", "Date"))


@pytest.mark.parametrize("subset", ROWS)
def test_rows_of_the_hub_are_the_same(subset, hub, tmp_path, monkeypatch):
    rows, asked = hub
    rows[subset] = [on_hub(ROWS[subset], IN_PIECES[subset])]
    from_hub = load_task(f"longbench/{subset}", "all")
    assert asked == [("Xnhyacinth/LongBench", subset, "test", "2e9ade51ebf45d98942056c0716234f9d5d257d5")]
    monkeypatch.setenv("TSLIB_DATA_DIR", str(tmp_path))
    write_rows(tmp_path, subset, ROWS[subset])
    assert load_task(f"longbench/{subset}", "all") == from_hub


def test_the_whole_from_the_hub(hub):
    rows, asked = hub
    for subset in SUBSETS:
        row = NEWS | {"dataset": subset, "answers": ["Paragraph 3 段落3"], "all_classes": ["x"]}
        filled = TEMPLATES[subset].format(context=f"Some {subset}.", input="Something?")
        head, _, last = filled.rpartition("\n")
        rows[subset] = [on_hub(row, (filled[:9], head[9:] + "\n", last))]
    examples = load_task("longbench", "all")
    assert [example.id for example in examples] == [f"longbench/{subset}/0" for subset in SUBSETS]
    assert [example.prompt for example in examples] == [
        template.format(context=f"Some {subset}.", input="Something?") for subset, template in TEMPLATES.items()
    ]
    assert [config for _, config, _, _ in asked] == list(SUBSETS)


def test_a_folder_with_some_of_the_subsets(folder):
    write_rows(folder, "trec", TREC)
    write_rows(folder, "multi_news", NEWS)
    reading = TASKS["longbench"].reading("all")
    assert [example.id for example in reading.examples] == ["longbench/multi_news/0", "longbench/trec/0"]
    assert len(reading.missing) == 19
    with pytest.raises(ResourceError, match=r"longbench/samsum\.jsonl cannot be read .*the stand-in needle-haystack"):
        load_task("longbench/samsum")


def test_the_split_is_by_prompt_and_repeated_rows_are_refused(folder):
    rows = [NEWS | {"context": f"Passage 1:\nBridge {number} was opened."} for number in range(60)]
    write_rows(folder, "multi_news", *rows, rows[7])
    task = TASKS["longbench/multi_news"]
    train, test, everything = (task.reading(split) for split in ("train", "test", "all"))
    ids = [{example.id for example in reading.examples} for reading in (train, test, everything)]
    assert ids[0] | ids[1] == ids[2] == {f"longbench/multi_news/{number}" for number in range(60)}
    assert not ids[0] & ids[1]
    assert 10 <= train.used <= 30, "about one in three"
    assert [refused.reason for refused in everything.refused] == ["repeats longbench/multi_news/7"]
    for reading in (train, test, everything):
        assert reading.read == 61 == reading.used + len(reading.refused) + reading.elsewhere


@pytest.mark.parametrize(
    ("subset", "change", "message"),
    [
        ("multi_news", {"answers": []}, "expected a list of texts in the field 'answers', found '[]'"),
        ("multi_news", {"answers": "A bridge."}, "expected a list of texts in the field 'answers', found 'A bridge.'"),
        ("multi_news", {"answers": ["A", "  "]}, "expected a list of texts in the field 'answers', found"),
        ("multi_news", {"answers": [3]}, "expected a list of texts in the field 'answers', found '[3]'"),
        ("multi_news", {"context": "\n"}, "expected text in the field 'context', found blank text"),
        ("multi_news", {"input": None}, "expected text in the field 'input', found NoneType"),
        ("trec", {"all_classes": None}, "expected a list of texts in the field 'all_classes', found 'None'"),
        ("passage_retrieval_en", {"answers": ["Paragraph"]}, "expected the number of a paragraph in each of the field"),
        (
            "multi_news",
            {"question": "Who?", "answer_prefix": "Summary:"},
            "expected the fields 'context', 'question' and",
        ),
        ("multi_news", {"question": "Who?"}, "expected a field 'answer_prefix', found the fields: input, context"),
        ("multi_news", {"question": 5, "answer_prefix": ""}, "expected text in the field 'question', found int"),
    ],
)
def test_malformed_rows_name_file_and_line(folder, subset, change, message):
    good = ROWS.get(subset, NEWS | {"answers": ["Paragraph 3"]})
    path = write_rows(folder, subset, good, good | change)
    with pytest.raises(InputError, match=f"^{re.escape(f'{path} line 2: {message}')}[^\n]*$"):
        load_task(f"longbench/{subset}", "all")


CLASSES = ("Individual", "Date", "Other location", "location")


@pytest.mark.parametrize(
    ("subset", "reply", "answers", "score"),
    [
        ("hotpotqa", "The Ada Lund!", ["Ada Lund"], 1.0),
        ("hotpotqa", "the old Ada Lund of Garvik", ["Ada Lund"], 4 / 7),  # 2 of 5 words, 2 of 2
        ("hotpotqa", "Ms Lund", ["Ada", "Ms Lund"], 1.0),  # the best of the answers
        ("hotpotqa", "Lund\nand nobody else", ["Lund"], 2 / 5),
        ("hotpotqa", "", ["Lund"], 0.0),
        ("triviaqa", "\n\nLund\nPassage: more", ["Lund"], 1.0),
        ("multifieldqa_zh", "我们在北京大学", ["北京大学。"], 0.5),  # 我们 在 北京大学: 1 of 3 words, 1 of 1
        ("multifieldqa_zh", "上海", ["北京大学"], 0.0),
        ("multi_news", "the cat sat on the mat", ["the cat lay on the mat"], 0.8),  # 4 of 5 different words
        ("multi_news", "Bo hums. Ada sings.", ["Ada sings. Bo hums."], 1.0),  # sentences in any order
        ("multi_news", "sings Ada", ["Ada sings"], 0.5),  # words are not
        ("multi_news", "first\nsecond", ["second"], 2 / 3),  # every line counts
        ("multi_news", "...", ["second"], 0.0),
        ("multi_news", "", ["second"], 0.0),
        ("samsum", "\nAda greets Bo.\nDialogue: Cy: No.", ["Ada greets Bo."], 1.0),
        ("samsum", "Dialogue: Cy: No.\nAda greets Bo.", ["Ada greets Bo."], 0.0),
        ("vcsum", "我们在北京大学", ["我们在北京大学"], 1.0),
        ("vcsum", "我们在上海", ["我们在北京大学"], 2 / 3),  # 我们 在
        ("dureader", "上海", ["北京大学"], 0.0),
        ("trec", " Other location", ["Other location"], 1.0),  # it holds "location", which is part of it
        ("trec", "Date or Individual", ["Date"], 0.5),
        ("trec", "Date\nType: Individual", ["Date"], 1.0),
        ("trec", "Date", ["Individual"], 0.0),
        ("trec", "date", ["Date"], 0.0),
        ("trec", "", ["Date"], 0.0),
        ("lsht", "Individual", ["Individual"], 1.0),
        ("passage_retrieval_en", "Paragraph 3", ["Paragraph 3"], 1.0),
        ("passage_retrieval_en", "3.", ["Paragraph 3"], 1.0),
        ("passage_retrieval_en", "Paragraph 13", ["Paragraph 3"], 0.0),
        ("passage_retrieval_en", "Paragraph 3, 3 or 7", ["Paragraph 3"], 2 / 3),
        ("passage_retrieval_en", "Paragraph three", ["Paragraph 3"], 0.0),
        ("passage_retrieval_zh", "段落3", ["段落3"], 1.0),
        ("passage_retrieval_zh", "段落4", ["段落3"], 0.0),
        ("passage_count", "There are 12.", ["12"], 1.0),
        ("passage_count", "$1,234.50", ["50"], 1 / 3),
        ("passage_count", "-3", ["3"], 1.0),
        ("passage_count", "12.5", ["12"], 0.5),
        ("lcc", "```python\n# the sum\n// this\n    return a\nx = 3", ["    return a"], 1.0),
        ("lcc", "abce", ["abcd"], 0.75),  # 3 of 4 letters in common
        ("lcc", "return a", ["    return a"], 0.8),  # 2 * 8 / 20
        ("repobench-p", "# nothing but a comment", ["return a"], 0.0),
        ("repobench-p", "", ["return a"], 0.0),
    ],
)
def test_scores(subset, reply, answers, score):
    example = example_of(subset, *answers, classes=CLASSES)
    assert TASKS[f"longbench/{subset}"].score(reply, example) == pytest.approx(score, abs=1e-8)
    assert TASKS["longbench"].score(reply, example) == pytest.approx(score, abs=1e-8)


def test_a_class_that_longbench_passes_over_counts():
    # "sea" and "sea bird" are parts of the answer, but the name after a removed one is not looked at.
    assert scores.classification("sea bird nest", "sea bird nest", ["sea", "sea bird", "sea bird nest"]) == 0.5
    assert scores.classification("sea bird nest", "sea bird nest", ["sea", "sea bird nest", "sea bird"]) == 1.0


def test_an_example_of_no_subset():
    with pytest.raises(InputError, match="example toy/0: expected an id such as longbench/multi_news/17"):
        TASKS["longbench"].score("reply", Example("toy/0", "…", "a", "a"))


@pytest.mark.parametrize(
    ("subset", "reply", "part", "complete"),
    [
        ("trec", "\n\nDate", "Date", False),
        ("trec", "\n\nDate\n", "Date", True),
        ("trec", " \nDate", None, True),  # a line of blanks is the first
        ("trec", "X\n", "X", True),
        ("samsum", "Ada. Bo.\nMore", "Ada. Bo.", True),
        ("triviaqa", "\n", None, False),
        ("lsht", "", None, False),
        ("hotpotqa", "Ada\nand more\n", "Ada\nand more\n", False),
        ("multi_news", "One.\n\nTwo.\n", "One.\n\nTwo.\n", False),
        ("multi_news", " \n", None, False),
        ("lcc", "# no\nx = 3\ny = 4", "x = 3", False),
        ("repobench-p", "# no", None, False),
        ("", "Ada\nand more\n", "Ada\nand more\n", False),
    ],
)
def test_the_scored_part_of_a_reply(subset, reply, part, complete):
    task = LongBench(subset)
    assert task.extract(reply) == part
    assert task.complete(reply) is complete


@pytest.mark.parametrize(
    ("text", "first", "code"),
    [
        ("\n\n  a\nb\nc", "  a", "  a"),  # line breaks alone go, code keeps its indentation
        ("X = 1\n", "X = 1", "X = 1"),
        ("\nX\nY", "X", "X"),
        ("#\nb\n", "#", "b"),
        ("", "", ""),
    ],
)
def test_the_first_line_is_taken_as_it_is(text, first, code):
    assert scores.first_line(text) == first
    assert scores.code_line(text) == code


GOLD = {
    "multifieldqa_zh": "北京大学",
    "dureader": "我们在北京大学学习。",
    "vcsum": "会议总结，我们在北京大学。",
    "passage_retrieval_en": "Paragraph 3",
    "passage_retrieval_zh": "段落3",
    "passage_count": "3",
    "trec": "Date",
    "lsht": "Date",
}
HOSTILE = [
    "x" * 10_000,
    "我们在北京大学" * 1429,
    "a b. " * 2000,
    "#" * 10_000,
    "\n" * 10_000,
    r"\frac12",
    "(B)",
    "\0",
    "…。",
]


@pytest.mark.parametrize("subset", SUBSETS)
def test_gold_replies_and_hostile_ones(subset):
    gold = GOLD.get(subset, "Ada Lund painted it")
    task, example = TASKS[f"longbench/{subset}"], example_of(subset, gold, classes=CLASSES)
    assert task.score(gold, example) == pytest.approx(1, abs=1e-8)
    for reply in HOSTILE:
        assert 0 <= task.score(reply, example) <= 1
        task.extract(reply)
        task.complete(reply)


@given(st.sampled_from(SUBSETS), st.text(), st.text(min_size=1))
@settings(max_examples=200)
def test_no_reply_is_an_exception(subset, reply, answer):
    assert 0 <= TASKS["longbench"].score(reply, example_of(subset, answer, classes=CLASSES)) <= 1


SENTENCES = st.lists(st.sampled_from(["Ada", "Bo", "sings", "hums", "to", ".", "\n", ""]), max_size=12).map(" ".join)


@given(SENTENCES, SENTENCES)
@settings(max_examples=200)
def test_rouge_is_what_longbench_calls(reply, answer):
    try:
        expected = Rouge().get_scores([reply], [answer], avg=True)["rouge-l"]["f"]
    except ValueError:
        expected = 0.0
    assert scores.rouge_l(reply, answer) == expected


def test_rouge_of_a_long_sentence():
    words = " ".join(f"w{number}" for number in range(300))
    limit = sys.getrecursionlimit()
    sys.setrecursionlimit(len(inspect.stack(0)) + 200)
    try:
        low = sys.getrecursionlimit()
        with pytest.raises(RecursionError):
            Rouge(metrics=["rouge-l"]).get_scores([words], [words])
        assert scores.rouge_l(words, words) == pytest.approx(1, abs=1e-8)
        assert sys.getrecursionlimit() == low
    finally:
        sys.setrecursionlimit(limit)


def test_chinese_words_are_found_without_a_word_and_without_a_file(tmp_path):
    # jieba as it is tells of its loading, warns, and leaves its dictionary in the temporary folder.
    code = "from tslib.tasks.longbench_scores import qa_f1_zh; print(qa_f1_zh('我们在北京大学', '北京大学'))"
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", code],
        env=os.environ | {"TMPDIR": str(tmp_path)},
        capture_output=True,
        text=True,
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "0.5\n", "")
    assert not list(tmp_path.iterdir())


def test_every_real_row(longbench_rows):
    with (longbench_rows / "multi_news.jsonl").open(encoding="utf-8") as lines:
        rows = [json.loads(line) for line in lines]
    task = TASKS["longbench/multi_news"]
    train, test, everything = (task.reading(split) for split in ("train", "test", "all"))
    assert everything.used == everything.read == len(rows)
    assert train.used + test.used == len(rows)
    assert train.used > 0 < test.used
    head, tail = TEMPLATES["multi_news"].split("{context}")
    for row, example in zip(rows, everything.examples, strict=True):
        assert example.prompt == head + row["context"] + tail, example.id
        assert [*example.answers] == row["answers"], example.id
        assert task.score(example.target, example) == pytest.approx(1, abs=1e-8), example.id
        assert task.score("zyx wvu. tsr", example) == 0, example.id


KEY = re.compile(r"The pass code of the (\w+ \w+) is (\d+)\.")


@pytest.mark.parametrize("length", LENGTHS)
@pytest.mark.parametrize(("split", "size"), [("train", 300), ("test", 100)])
def test_every_needle_can_be_found(length, split, size):
    task = TASKS[f"needle-haystack/{length}"]
    examples = load_task(task.name, split)
    assert [example.id for example in examples] == [f"needle-haystack/{length}/{split}/{i}" for i in range(size)]
    tenths = Counter()
    for example in examples:
        first, text, question = example.prompt.split("\n\n")
        assert first == "Read the following text."
        asked = re.fullmatch(r"What is the pass code of the (\w+ \w+)\? Reply with the code alone\.", question)
        keys = KEY.findall(text)
        codes = dict(keys)
        assert len(keys) == len(codes) == len(set(codes.values())) == 5 == text.count("pass code"), example.id
        assert example.target == example.answer == codes[asked[1]], example.id
        assert example.prompt.count(example.target) == 1, example.id
        assert length <= len(text.split()) <= length + 15, example.id
        colour, place = asked[1].split()
        assert sum(name.startswith(f"{colour} ") for name in codes) == 3, example.id
        assert sum(name.endswith(f" {place}") for name in codes) == 3, example.id
        sentences = text.split(". ")
        assert len(set(sentences)) > 0.95 * len(sentences), example.id
        tenths[10 * text.index(f"{asked[1]} is ") // len(text)] += 1
        assert task.score(example.target, example) == 1, example.id
        for name, code in codes.items():
            assert task.score(f"It is {code}.", example) == (name == asked[1]), example.id
    assert sum(tenths.values()) == size
    assert all(0.06 * size <= tenths[tenth] <= 0.14 * size for tenth in range(10)), tenths


def test_no_prompt_occurs_twice():
    rows = [row for length in LENGTHS for split in ("train", "test") for row in Needle(length).load(split)]
    assert len({row.prompt for row in rows}) == len({row.id for row in rows}) == 1600
    assert len({row.answer for row in rows}) > 1000, "codes are spread"


def test_the_whole_is_half_of_two_lengths():
    train, test = load_task("needle-haystack", "train"), load_task("needle-haystack", "test")
    assert (len(train), len(test)) == (300, 100)
    assert train == Needle(512).load("train")[:150] + Needle(1024).load("train")[:150]
    assert test == Needle(512).load("test")[:50] + Needle(1024).load("test")[:50]
    task = TASKS["needle-haystack"]
    assert task.subsets == ("512", "1024", "2048", "4096")
    assert not task.cuts_middle
    assert TASKS["needle-haystack/512"].subsets == ()
    with pytest.raises(InputError, match="no needle-haystack of 600 words: choose one of 512, 1024, 2048, 4096"):
        Needle(600)
    with pytest.raises(InputError, match="unknown subset '600' of task needle-haystack: choose one of 512, 1024"):
        load_task("needle-haystack/600")


@pytest.mark.parametrize(
    ("reply", "found", "complete"),
    [
        ("4821", "4821", False),
        ("4821.", "4821", False),
        ("4821.\n", "4821", True),
        ("The pass code of the blue archive is 4821. ", "4821", True),
        ("4,821", "4821", False),
        ("**4821**", "4821", True),
        ("(4821)", "4821", True),
        ("$4821", "4821", False),
        (r"\boxed{4821}", "4821", True),
        ("-4821", "4821", False),
        ("4821, not 7310", "4821", True),
        ("7310 or 4821", "7310", True),
        ("1. 4821", "1", True),
        ("04821", "04821", False),
        ("48210", "48210", False),
        ("4821.5", "4821.5", False),
        ("$1,234.50", "1234.50", False),
        ("a" * 10_000, None, False),
        ("4" * 10_000, "4" * 10_000, False),
        ("four eight two one", None, False),
        ("٤٨٢١", None, False),
        ("", None, False),
    ],
)
def test_the_number_of_a_reply(reply, found, complete):
    task = TASKS["needle-haystack"]
    assert task.extract(reply) == found
    assert task.score(reply, Example("needle-haystack/512/test/0", "…", "4821", "4821")) == (found == "4821")
    assert task.complete(reply) is complete
