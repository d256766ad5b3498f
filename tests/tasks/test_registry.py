import dataclasses
import json
import re
import subprocess
import sys
from fractions import Fraction
from pathlib import Path

import pyarrow
import pyarrow.parquet
import pytest

from tslib.errors import InputError, ResourceError
from tslib.tasks import TASKS, Example, Hub, Task, few_shot, load_task
from tslib.tasks.gsm8k import GSM8K, find_number, worked_target
from tslib.tasks.gsm_symbolic import TRUNCATING

# Invented rows in GSM8K's format.
ROWS = [
    {
        "question": "Ida has 3 jars with 24 beans each. How many beans has she?",
        "answer": "She has 3*24=<<3*24=72>>72 beans.\n#### 72",
    },
    {
        "question": "A boat costs $1,000 and its oars $80. What do both cost?",
        "answer": "Both cost 1000+80 = $<<1000+80=1080>>1,080  together.\n\n#### 1,080",
    },
    {
        "question": "It is 5 degrees, then it gets 15 degrees colder. How warm is it?",
        "answer": "It is 5-15=<<5-15=-10>>-10 degrees.\n#### -10",
    },
    {"question": "What is half of 5?", "answer": "Half of 5 is 5/2=<<5/2=2.5>>2.5.\n#### 2.5"},
]
GOLD = Example("gsm8k/test/0", "How many?", "#### 72", "72")


def write_rows(folder: Path, rows: list[object], split: str = "train") -> Path:
    path = folder / "gsm8k" / f"{split}.jsonl"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(row if isinstance(row, str) else json.dumps(row) + "\n" for row in rows))
    return path


@pytest.mark.parametrize(
    ("text", "number"),
    [
        ("… so the answer is 72.", "72"),
        ("#### 72", "72"),
        ("3 * 24 = 72\n#### 72", "72"),
        ("#### 71\nNo, wait.\n#### 72", "72"),
        ("#### 72 because 3 * 24 is that", "72"),
        ("####72", "72"),
        ("#### $72", "72"),
        ("#### 72.0", "72.0"),
        ("It is 72, as 24 * 3 shows.\n####", "3"),  # cut off after the mark: the last number
        ("#### no idea", None),
        ("No idea.", None),
        ("", None),
        ("It costs $1,080.", "1080"),
        ("#### 109,200,000", "109200000"),
        ("It is -10 degrees.", "-10"),
        ("#### -1,080", "-1080"),
        ("He owes -$5.", "-5"),
        ("He owes $-5.", "-5"),
        ("It is \N{MINUS SIGN}10 degrees.", "-10"),
        ("x=-5", "-5"),
        ("Pages 5-3", "3"),
        ("The answer--72", "72"),
        ("It takes 2.5.", "2.5"),
        ("A share of .5", ".5"),
        ("#### 3/4", "3"),  # nothing is calculated
        ("It is 3/4.", "4"),
        ("It is 72%.", "72"),
        ("**72**", "72"),
        (r"\boxed{72}", "72"),
        ("€ 72", "72"),
        ("3 jars. 24 beans.", "24"),
    ],
)
def test_the_number_of_a_reply(text, number):
    assert find_number(text) == number
    assert TASKS["gsm8k"].extract(text) == number


@pytest.mark.parametrize(
    ("text", "answer", "score"),
    [
        ("… so the answer is 72.", "72", 1.0),
        ("#### 72.0", "72", 1.0),
        ("#### $72", "72", 1.0),
        ("#### 072", "72", 1.0),
        ("#### 72.001", "72", 0.0),
        ("#### 72.00000000000000000000000000000001", "72", 0.0),  # equal as floats
        ("#### -72", "72", 0.0),
        ("#### 73\n72 is the number of beans", "72", 0.0),  # the mark goes before what follows
        ("72 beans in 3 jars", "72", 0.0),
        ("I do not know.", "72", 0.0),
        ("", "72", 0.0),
        ("#### 1,080", "1080", 1.0),
        ("#### .5", "0.50", 1.0),
        ("#### 3", ("3", "4"), 1.0),
        ("#### 4", ("3", "4"), 1.0),
        ("#### 5", ("3", "4"), 0.0),
    ],
)
@pytest.mark.parametrize("name", ["gsm8k", "gsm-symbolic"])
def test_scores(name, text, answer, score):
    assert TASKS[name].score(text, dataclasses.replace(GOLD, answer=answer)) == score


@pytest.mark.parametrize(
    ("text", "complete"),
    [
        ("3 * 24 = 72\n#### 72\n", True),
        ("#### 72 beans", True),
        ("#### 72.\n", True),
        ("#### 72", False),  # it may go on with 720
        ("#### 72.", False),  # or with 72.5
        ("#### 7\n#### 72", False),  # the last mark counts
        ("#### 7 no\n#### 72\n", True),
        ("#### \n", False),
        ("####", False),
        ("The answer is 72.\n", False),  # without a mark, a later number may be the answer
        ("", False),
    ],
)
def test_a_reply_is_complete_when_the_number_after_its_mark_has_ended(text, complete):
    assert TASKS["gsm8k"].complete(text) is complete


def test_worked_target_drops_annotations_and_tidies_blanks():
    solution = " Two  jars: 2*3=<<2*3=6>>6. \n\nWith 1 more, $<<6+1=7>>7.\n#### 7"
    assert worked_target(solution, "7") == "Two jars: 2*3=6.\nWith 1 more, $7.\n#### 7"
    assert worked_target("#### 7", "7") == "#### 7"


def test_gsm8k_rows_from_a_file(data_dir):
    write_rows(data_dir, ROWS)
    examples = load_task("gsm8k", "train")
    assert [example.id for example in examples] == [f"gsm8k/train/{index}" for index in range(4)]
    assert [example.answer for example in examples] == ["72", "1080", "-10", "2.5"]
    assert examples[0].prompt == ROWS[0]["question"]
    assert examples[1].target == "Both cost 1000+80 = $1,080 together.\n#### 1080"
    assert examples[2].target == "It is 5-15=-10 degrees.\n#### -10"
    assert [TASKS["gsm8k"].score(example.target, example) for example in examples] == [1.0] * 4


def test_repeated_questions_are_dropped_and_ids_keep_the_index(data_dir):
    repeated = ROWS[0] | {"answer": "Another way.\n#### 72"}
    write_rows(data_dir, [ROWS[0], "\n", ROWS[1], repeated, ROWS[2]])
    examples = load_task("gsm8k")
    assert [example.id for example in examples] == ["gsm8k/train/0", "gsm8k/train/1", "gsm8k/train/3"]
    assert examples[0].target == "She has 3*24=72 beans.\n#### 72"


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ('{"question": "How many?"\n', "line 3: expected one JSON object a line, found bad JSON"),
        ('["How many?", "#### 1"]\n', "line 3: expected one JSON object a line, found list"),
        ({"question": "How many?"}, "line 3: expected a field 'answer', found the fields: question"),
        ({"question": 7, "answer": "#### 7"}, "line 3: expected text in the field 'question', found int"),
        ({"question": "  ", "answer": "#### 7"}, "line 3: expected text in the field 'question', found blank text"),
        ({"question": "How many?", "answer": "7"}, "line 3: expected the field 'answer' to end in '#### N'"),
        ({"question": "How many?", "answer": "7 ####"}, "line 3: expected the field 'answer' to end in '#### N'"),
    ],
)
def test_malformed_rows_name_file_and_line(data_dir, line, message):
    path = write_rows(data_dir, [ROWS[0], "\n", line, ROWS[1]])
    with pytest.raises(InputError, match=f"^{re.escape(f'{path} {message}')}[^\n]*$"):
        load_task("gsm8k")


def test_files_without_rows_and_without_text(data_dir):
    path = write_rows(data_dir, ["\n"])
    with pytest.raises(InputError, match="expected at least one row, found none"):
        load_task("gsm8k")
    path.write_bytes(b'{"question": "\xff"}\n')
    with pytest.raises(InputError, match="expected UTF-8 text"):
        load_task("gsm8k")


def test_a_missing_file_is_an_error_and_the_hub_is_not_asked(data_dir, monkeypatch):
    monkeypatch.setattr("datasets.load_dataset", lambda *_, **__: pytest.fail("the hub was asked"))
    write_rows(data_dir, ROWS)
    with pytest.raises(ResourceError) as caught:
        load_task("gsm8k", "test")
    message = str(caught.value)
    assert str(data_dir / "gsm8k" / "test.jsonl") in message
    assert "No such file" in message
    assert "stand-in gsm-symbolic" in message
    assert "\n" not in message


@pytest.fixture
def hub_folder(tmp_path, monkeypatch):
    """Rows laid out as a dataset repository, read by the datasets library as it reads a downloaded one."""
    folder = tmp_path / "repository"
    (folder / "main").mkdir(parents=True)
    table = pyarrow.Table.from_pylist([ROWS[0], ROWS[1], ROWS[0]])
    pyarrow.parquet.write_table(table, folder / "main" / "train-00000-of-00001.parquet")
    (folder / "README.md").write_text(
        "---\nconfigs:\n- config_name: main\n  data_files:\n  - split: train\n    path: main/train-*\n---\n"
    )
    monkeypatch.delenv("TSLIB_DATA_DIR", raising=False)
    monkeypatch.setattr("datasets.config.HF_DATASETS_CACHE", tmp_path / "cache")
    monkeypatch.setattr(GSM8K, "hub", Hub(str(folder), "main", "0" * 40))
    return folder


def test_hub_rows_are_the_same_as_those_of_a_file(hub_folder, tmp_path, monkeypatch):
    from_hub = load_task("gsm8k", "train")
    write_rows(tmp_path, [ROWS[0], ROWS[1], ROWS[0]])
    monkeypatch.setenv("TSLIB_DATA_DIR", str(tmp_path))
    assert [example.id for example in from_hub] == ["gsm8k/train/0", "gsm8k/train/1"]
    assert from_hub == load_task("gsm8k", "train")


def test_a_hub_dataset_without_the_split(hub_folder):
    with pytest.raises(ResourceError, match=r"cannot get split test of .*TSLIB_DATA_DIR.*gsm8k/test\.jsonl"):
        load_task("gsm8k", "test")


def test_a_failing_hub_says_what_to_do(monkeypatch):
    def offline(repo, config, *, split, revision):
        assert (repo, config, split) == ("openai/gsm8k", "main", "train")
        assert revision == "740312add88f781978c0658806c59bc2815b9866"
        raise ConnectionError("cannot reach\nthe hub")

    monkeypatch.delenv("TSLIB_DATA_DIR", raising=False)
    monkeypatch.setattr("datasets.load_dataset", offline)
    with pytest.raises(ResourceError) as caught:
        load_task("gsm8k")
    assert str(caught.value) == (
        "no rows for task gsm8k: cannot get split train of openai/gsm8k (main, revision 740312add88f) from the hub "
        "(ConnectionError: cannot reach the hub); allow network access, or set TSLIB_DATA_DIR to a folder that "
        "holds gsm8k/train.jsonl; the stand-in gsm-symbolic needs no download"
    )


def test_samples(data_dir):
    write_rows(data_dir, ROWS)
    everything = load_task("gsm8k", limit=4, seed=1)
    assert sorted(example.id for example in everything) == [f"gsm8k/train/{index}" for index in range(4)]
    for limit in (1, 2, 3):
        assert load_task("gsm8k", limit=limit, seed=1) == everything[:limit]
    # By hand: random.Random(1) begins 0.134, 0.847, 0.764, 0.255, and rows come in the order of their numbers.
    assert [example.id[-1] for example in everything] == ["0", "3", "2", "1"]
    firsts = {load_task("gsm8k", limit=1, seed=seed)[0].id for seed in range(20)}
    assert len(firsts) == 4, "twenty seeds should begin with each of the four rows"


def test_few_shots_are_of_the_same_subset_and_never_the_question():
    train = load_task("bbh-symbolic", "train", limit=1000, seed=5)
    for question in load_task("bbh-symbolic", "heldout", limit=20):
        subset = question.id.split("/")[1]
        expected = [row for row in train[3:] if row.id.split("/")[1] == subset][:2]
        assert few_shot("bbh-symbolic", 2, seed=5, skip=3)(question) == expected
    chosen = few_shot("gsm-symbolic", 2, seed=5)
    first, second, third = load_task("gsm-symbolic", "train", limit=3, seed=5)
    assert chosen(load_task("gsm-symbolic", "test", limit=1)[0]) == [first, second]
    assert chosen(first) == [second, third]
    assert few_shot("gsm-symbolic", 0)(first) == []


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"name": "bbh/nonesuch"}, "unknown subset 'nonesuch' of task bbh: choose one of boolean_expressions, "),
        ({"name": "gsm9k"}, "unknown task 'gsm9k': choose one of gsm8k, gsm-symbolic"),
        ({"name": "gsm8k", "split": "dev"}, "unknown split 'dev' of task gsm8k: choose one of train, test"),
        ({"name": "gsm8k", "limit": 5}, "limit 5 is more than the 4 rows of gsm8k train"),
        ({"name": "gsm8k", "limit": 0}, "limit must be at least 1"),
        ({"name": "gsm8k", "limit": -3}, "limit must be at least 1"),
        ({"name": "gsm8k", "limit": 2, "seed": -1}, "seed must be at least 0"),
    ],
)
def test_impossible_arguments(data_dir, arguments, message):
    write_rows(data_dir, ROWS)
    with pytest.raises(InputError, match=message):
        load_task(**arguments)


def test_every_task_is_described():
    for name, task in TASKS.items():
        assert isinstance(task, Task)
        assert task.name == name
        assert task.title
        assert task.licence
        assert task.source.startswith("https://")
        assert task.splits
        assert task.hub is None or re.fullmatch("[0-9a-f]{40}", task.hub.revision)
        assert task.stand_in is None or TASKS[task.stand_in].hub is None


@pytest.mark.parametrize("split", ["train", "test"])
def test_every_real_gsm8k_row(gsm8k_rows, split):
    examples = load_task("gsm8k", split)
    with (gsm8k_rows / "gsm8k" / f"{split}.jsonl").open(encoding="utf-8") as lines:
        questions = {json.loads(line)["question"].strip() for line in lines}
    assert len(examples) == len(questions)
    assert len({example.id for example in examples}) == len(examples)
    for example in examples:
        assert TASKS["gsm8k"].score(example.target, example) == 1.0, example.id
        assert not re.search("<<|>>|  |\n\n", example.target), example.id
        assert example.target.endswith(f"\n#### {example.answer}"), example.id
        assert re.fullmatch(r"-?\d+(\.\d+)?", str(example.answer)), example.id


def test_gsm_symbolic_rows():
    train, test = load_task("gsm-symbolic", "train"), load_task("gsm-symbolic", "test")
    assert (len(train), len(test)) == (1000, 200)
    assert len({example.prompt for example in train + test}) == 1200, "no question twice, within or across splits"
    assert len({example.id for example in train + test}) == 1200
    for example in train + test:
        assert re.fullmatch(r"\d+(\.\d+)?", str(example.answer)), example.id
        assert example.target.endswith(f"\n#### {example.answer}"), example.id
        assert not re.search(r"<<|>>|  |\n\n|\.\d{5}", example.target), example.id
        assert TASKS["gsm-symbolic"].score(example.target, example) == 1.0, example.id


NUMBER = r"\d+(?:\.\d+)?"
EQUATION = re.compile(
    rf"(?<![\w.÷])(?<![-+*/÷x] )({NUMBER}(?:(?: ?[-+*/] ?| x ){NUMBER})+) ?= ?({NUMBER})(?!\.?\d|[/%])"
)
UNIT = re.compile(r"(?<=\d)[ /][a-z][a-z/ ]*?(?=\.| [-+*/=] | x )")  # " days", "/month"


def equations(text: str) -> dict[str, bool]:
    """Equations between plain numbers in a worked solution, and whether each is exactly true."""
    plain = UNIT.sub("", re.sub(r"[$£€¥]|(?<=\d),(?=\d)", "", text))
    exact = {
        f"{left} = {right}": re.sub(NUMBER, r"Fraction('\g<0>')", left.replace(" x ", "*"))
        for left, right in EQUATION.findall(plain)
    }
    return {key: eval(left) == Fraction(key.rpartition(" = ")[2]) for key, left in exact.items()}


def test_the_solutions_of_gsm_symbolic_are_true_and_those_left_out_are_not():
    assert equations("He pays $1,200 / 12 months = $100 per month. 0.53*80 = 42") == {
        "1200 / 12 = 100": True,
        "0.53*80 = 42": False,
    }
    kept = [equations(row.target) for split in ("train", "test") for row in load_task("gsm-symbolic", split)]
    assert sum(map(len, kept)) > 3000
    assert not [key for found in kept for key, true in found.items() if not true]

    import reasoning_gym

    series = reasoning_gym.create_dataset("gsm_symbolic", size=6000, seed=0)
    faulty = {
        template
        for index, template in enumerate(series.task_indices)
        if template in TRUNCATING and not all(equations(series[index]["metadata"]["answer_cot"]).values())
    }
    assert faulty == TRUNCATING


def test_importing_the_tasks_is_quick():
    code = (
        "import sys, tslib.tasks; "
        "print([name for name in ('torch', 'transformers', 'datasets', 'reasoning_gym') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
