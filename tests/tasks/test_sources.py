import csv
import hashlib
import io
import json
import logging
import os
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import ClassVar

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tslib.errors import InputError, ResourceError
from tslib.tasks import FAMILIES, TASKS, Example, Hub, Reading, SourceTask, load_task
from tslib.tasks.base import Row, is_training_prompt, prompt_key
from tslib.tasks.registry import _tell_missing
from tslib.tasks.sources import find_rows, read_csv, read_hub, read_json, read_jsonl


class Plain(SourceTask):
    """Rows {"q": prompt, "a": answer}; a row whose answer is "?" cannot be used."""

    name = "plain"
    title = "Plain"
    licence = "CC0-1.0"
    source = "https://example.org"
    hub = Hub("someone/plain", None, "0123456789abcdef0123456789abcdef01234567")
    stand_in = "gsm-symbolic"
    layout = "plain/{train,test}.jsonl"

    def rows(self, source_split: str) -> tuple[list[Row], tuple[str, ...]]:
        path = f"plain/{source_split}.jsonl"
        return find_rows(self, ("",), lambda _: path, read_jsonl, lambda _: (self.hub, source_split))

    def example(self, row: Row, source_split: str) -> Example | str:
        if row.text("a") == "?":
            return "has no answer"
        where = f"{row.subset}/{row.index}" if row.subset else f"{source_split}/{row.index}"
        return Example(f"{self.name}/{where}", row.text("q"), row.text("a"), row.text("a"))

    def extract(self, text: str) -> str | None:
        return text

    def score(self, text: str, example: Example) -> float:
        return float(text == example.answer)


class Divided(Plain):
    """The same in one split, from a list."""

    name = "divided"
    splits = ("train", "test", "all")
    source_splits: ClassVar[Mapping[str, str]] = {"all": "dev"}

    def __init__(self, rows: list[Row]) -> None:
        self.given = rows

    def rows(self, source_split: str) -> tuple[list[Row], tuple[str, ...]]:
        assert source_split == "dev"
        return self.given, ()


class Parts(Plain):
    """Three subsets, each a JSON array in a file of its own."""

    name = "parts"
    subsets = ("ant", "bee", "cow")
    layout = "parts/{split}/{subset}.json"

    def rows(self, source_split: str) -> tuple[list[Row], tuple[str, ...]]:
        return find_rows(
            self,
            self.subsets,
            lambda subset: f"parts/{source_split}/{subset}.json",
            read_json,
            lambda subset: (Hub("someone/parts", subset, "0" * 40), source_split),
        )


PLAIN = Plain()
COLUMNS = ("q", "a")


def rows_of(*prompts: str) -> list[Row]:
    return [Row(index, f"made row {index}", {"q": prompt, "a": "7"}) for index, prompt in enumerate(prompts)]


def lines_of(rows: list[Row]) -> list[int]:
    return [int(row.where.rpartition(" line ")[2]) for row in rows]


def read_columns(task: SourceTask, path: Path) -> list[Row]:
    return read_csv(task, path, COLUMNS)


@pytest.fixture
def path(tmp_path):
    return tmp_path / "rows"


@pytest.fixture
def tasks(monkeypatch):
    """The tasks of this module, under their names."""
    for task in (PLAIN, Parts()):
        monkeypatch.setitem(TASKS, task.name, task)
        monkeypatch.setitem(FAMILIES, task.name, task)


# Lines of JSON


@pytest.mark.parametrize(
    ("text", "lines"),
    [
        ('{"q": 1}\n{"q": 2}\n', [1, 2]),
        ('{"q": 1}\n{"q": 2}', [1, 2]),
        ('\n\n{"q": 1}\n  \n\t{"q": 2} \n\n', [3, 5]),
        ('{"q": 1}\r\n\r\n{"q": 2}\r\n', [1, 3]),
        ('\ufeff{"q": 1}\n{"q": 2}\n', [1, 2]),
        ('{"q": 1, "a": "x\u2028y\u0085z"}\n{"q": 2}', [1, 2]),  # str.splitlines() would break the first
    ],
)
def test_jsonl_rows_and_their_lines(path, text, lines):
    path.write_bytes(text.encode())
    rows = read_jsonl(PLAIN, path)
    assert [(row.index, row.fields["q"]) for row in rows] == [(0, 1), (1, 2)]
    assert [row.where for row in rows] == [f"{path} line {line}" for line in lines]


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ('{"q": 1', "bad JSON (Expecting ',' delimiter)"),
        ('{"q": 1,}', "bad JSON ("),
        ("{'q': 1}", "bad JSON (Expecting property name enclosed in double quotes)"),
        ('{"q": 1} {"q": 2}', "bad JSON (Extra data)"),
        ('{"q": 1},', "bad JSON (Extra data)"),
        ('{"q": "a\tb"}', "bad JSON (Invalid control character at)"),
        ('{"q": ' + "[" * 100_000, "JSON that is nested too deeply"),
        ('{"q": ' + "9" * 5000 + "}", "bad JSON (Exceeds the limit (4300 digits)"),
        ("[1, 2]", "list"),
        ("null", "NoneType"),
        ("7", "int"),
        ('"q"', "str"),
    ],
)
def test_malformed_jsonl_names_the_line(path, line, message):
    path.write_text(f'{{"q": 0}}\n\n{line}\n{{"q": 3}}\n')
    expected = f"{path} line 3: expected one JSON object a line, found {message}"
    with pytest.raises(InputError, match=f"^{re.escape(expected)}[^\n]*$"):
        read_jsonl(PLAIN, path)


# Arrays of JSON

RECORDS = [{"q": 'a, "b" ]\n}'}, {"q": 2, "a": [{"b": [1, 2]}]}, {}]


@pytest.mark.parametrize(
    ("text", "lines"),
    [
        (json.dumps(RECORDS), [1, 1, 1]),
        (json.dumps(RECORDS, indent=2), [2, 5, 16]),
        ("[\n" + ",\n".join(map(json.dumps, RECORDS)) + "\n]\n", [2, 3, 4]),
        ("\n\n [" + "\n,\n".join(map(json.dumps, RECORDS)) + "] \n", [3, 5, 7]),
        ("\ufeff[" + ",\r\n".join(map(json.dumps, RECORDS)) + "]", [1, 2, 3]),
    ],
)
def test_json_array_rows_and_their_lines(path, text, lines):
    path.write_bytes(text.encode())
    rows = read_json(PLAIN, path)
    assert [row.fields for row in rows] == RECORDS
    assert [row.index for row in rows] == [0, 1, 2]
    assert [row.where for row in rows] == [f"{path} line {line}" for line in lines]


@pytest.mark.parametrize(
    ("text", "lines"),
    [
        ('{"note": "keep", "examples": [{"q": 1}, {"q": 2}]}', [1, 1]),
        ('{"examples"\n:\n[{"q": 1},\n{"q": 2}], "note": []}', [3, 4]),
        ('{"note": "the \\"examples\\": [0]",\n"examples": [{"q": 1},\n{"q": 2}]}', [2, 3]),
        ('{"note": "examples", "other": [5],\n"examples": [{"q": 1}, {"q": 2}]}', [2, 2]),
    ],
)
def test_json_array_under_a_key(path, text, lines):
    path.write_text(text)
    rows = read_json(PLAIN, path, "examples")
    assert [row.fields for row in rows] == [{"q": 1}, {"q": 2}]
    assert lines_of(rows) == lines


@pytest.mark.parametrize(
    "text",
    ['{"rows": [{"q": 1}]}', '{"examples": 3, "rows": [{"q": 1}]}', '{"examples": {"a": [{"q": 1}]}}', "[]", "{}"],
)
def test_a_key_that_holds_no_array(path, text):
    path.write_text(text)
    expected = f"{path}: expected a JSON array of objects at the key 'examples'"
    with pytest.raises(InputError, match=f"^{re.escape(expected)}$"):
        read_json(PLAIN, path, "examples")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", " line 1: expected a JSON array of objects, found an empty file"),
        ("\n \n", " line 1: expected a JSON array of objects, found an empty file"),
        ("[]", ": expected at least one row, found none"),
        ("[\n]\n", ": expected at least one row, found none"),
        ('{"q": 1}', ": expected a JSON array of objects at the top"),
        ('{"q": 1}\n{"q": 2}', " line 2: bad JSON (Extra data)"),  # one object a line
        ("7", ": expected a JSON array of objects at the top"),
        ('[{"q": 1},\n7]', " line 2: expected a JSON object, found int"),
        ('[{"q": 1},\n\n["q"]]', " line 3: expected a JSON object, found list"),
        ('[{"q": 1},\nnull]', " line 2: expected a JSON object, found NoneType"),
        ('[{"q": 1},\n{"q": }]', " line 2: bad JSON (Expecting value)"),
        ('[{"q": 1},\n{"q": "\n"}]', " line 2: bad JSON (Invalid control character at)"),
        ('[{"q": 1}\n{"q": 2}]', " line 2: bad JSON (Expecting ',' delimiter)"),
        ('[{"q": 1},,\n{"q": 2}]', " line 1: bad JSON ("),
        ('[,\n{"q": 2}]', " line 1: bad JSON ("),
        ('[{"q": 1},\n{"q": 2},\n]', " line 3: bad JSON ("),
        ('[{"q": 1},\n{"q": 2}', " line 2: bad JSON (Expecting ',' delimiter)"),
        ('[{"q": 1},\n{"q": 2},', " line 2: bad JSON ("),
        ("[", " line 1: bad JSON (Expecting value)"),
        ('[{"q": 1},\n{"q": 2}]\n\nend', " line 4: bad JSON (Extra data)"),
        ('[{"q": 1}]\n[{"q": 2}]', " line 2: bad JSON (Extra data)"),
        ('[{"q": 1},\n{"q": ' + "[" * 100_000 + "]", " line 2: expected a JSON object, found JSON that is nested too"),
        ("[" * 100_000, " line 1: expected a JSON object, found JSON that is nested too deeply"),
        ('{"q": ' + "[" * 100_000, ": expected rows, found JSON that is nested too deeply"),
        (
            '[{"q": 1},\n{"q": ' + "9" * 5000 + "}]",
            " line 2: expected a JSON object, found bad JSON (Exceeds the limit",
        ),
    ],
)
def test_malformed_json_arrays(path, text, message):
    path.write_text(text)
    with pytest.raises(InputError, match=f"^{re.escape(f'{path}{message}')}[^\n]*$"):
        read_json(PLAIN, path)


# CSV


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("one,1\ntwo,2\n", [(1, "one", "1"), (2, "two", "2")]),
        ("q,a\none,1\ntwo,2", [(2, "one", "1"), (3, "two", "2")]),
        ("\ufeffq,a\r\none,1\r\n", [(2, "one", "1")]),
        ("\ufeffone,1\n", [(1, "one", "1")]),
        ("one,1\nq,a\n", [(1, "one", "1"), (2, "q", "a")]),  # a header is the first line
        ("\n\none,1\n\n\ntwo,2\n\n", [(3, "one", "1"), (6, "two", "2")]),
        ('"a\nb\n\nc",1\ntwo,2\n', [(1, "a\nb\n\nc", "1"), (5, "two", "2")]),
        ('"x,""y""\n",1\n\n"",2', [(1, 'x,"y"\n', "1"), (4, "", "2")]),
        ("a\u2028b\u0085c\x0cd\x1ce,1\ntwo,2\n", [(1, "a\u2028b\u0085c\x0cd\x1ce", "1"), (2, "two", "2")]),
        (",\n", [(1, "", "")]),
    ],
)
def test_csv_rows_and_their_lines(path, text, expected):
    path.write_bytes(text.encode())
    rows = read_columns(PLAIN, path)
    found = [(line, *row.fields.values()) for line, row in zip(lines_of(rows), rows, strict=True)]
    assert found == expected
    assert [row.index for row in rows] == list(range(len(rows)))
    assert all(tuple(row.fields) == COLUMNS for row in rows)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", ": expected at least one row, found none"),
        ("q,a\n", ": expected at least one row, found none"),
        ("\n\n", ": expected at least one row, found none"),
        ("one,1\ntwo\n", " line 2: expected 2 fields (q, a), found 1"),
        ("one,1\ntwo,2,3\n", " line 2: expected 2 fields (q, a), found 3"),
        ('"a\nb",1\n\ntwo\n', " line 4: expected 2 fields (q, a), found 1"),
        ("q,a,b\none,1,2\n", " line 1: expected 2 fields (q, a), found 3"),
        ('one,1\n"two,2\nthree,3\n', " line 2: bad CSV (unexpected end of data)"),
        ('one,1\n"two" or so,2\n', " line 2: bad CSV (',' expected after '\"')"),
        ("one,1\n" + "x" * 200_000 + ",2\n", " line 2: bad CSV (field larger than field limit"),
    ],
)
def test_malformed_csv(path, text, message):
    path.write_text(text)
    with pytest.raises(InputError, match=f"^{re.escape(f'{path}{message}')}[^\n]*$"):
        read_columns(PLAIN, path)


CELLS = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\r\ufeff"), max_size=8)


@given(st.lists(st.tuples(CELLS, CELLS).filter(lambda row: row != COLUMNS), min_size=1, max_size=6), st.booleans())
def test_csv_as_python_writes_it(tmp_path_factory, rows, header):
    path = tmp_path_factory.getbasetemp() / "written.csv"
    text, starts = io.StringIO(), []
    writer = csv.writer(text, lineterminator="\n")
    if header:
        writer.writerow(COLUMNS)
    for row in rows:
        starts.append(text.getvalue().count("\n") + 1)
        writer.writerow(row)
    path.write_text(text.getvalue(), encoding="utf-8")
    read = read_columns(PLAIN, path)
    assert [tuple(row.fields.values()) for row in read] == rows
    assert lines_of(read) == starts


# Files that cannot be read

READERS = [read_jsonl, read_json, read_columns]


@pytest.mark.parametrize("read", READERS)
@pytest.mark.parametrize(
    ("start", "line"), [(b"", 1), (b"\n\n", 3), (b"\xef\xbb\xbf\n\n", 3), (b'{"q": 1}\r\n' * 9, 10)]
)
def test_wrong_encoding_names_the_line(path, read, start, line):
    path.write_bytes(start + '{"q": "café"}\n{}\n'.encode("latin-1"))
    expected = f"{path} line {line}: expected UTF-8 text (invalid continuation byte): get the file again"
    with pytest.raises(InputError, match=f"^{re.escape(expected)}$"):
        read(PLAIN, path)


@pytest.mark.parametrize("read", READERS)
def test_utf_16_is_not_read(path, read):
    path.write_text('[{"q": 1}]', encoding="utf-16")
    with pytest.raises(InputError, match=f"^{re.escape(f'{path} line 1: expected UTF-8 text')}"):
        read(PLAIN, path)


@pytest.mark.parametrize("read", READERS)
def test_files_that_cannot_be_read(path, read):
    told = f"no rows for task plain: TSLIB_DATA_DIR is set, and {path} cannot be read"
    remedy = (
        "put the file there, or unset TSLIB_DATA_DIR to read from the hub; the stand-in gsm-symbolic needs no download"
    )
    with pytest.raises(ResourceError) as caught:
        read(PLAIN, path)
    assert str(caught.value) == f"{told} (No such file or directory); {remedy}"
    path.mkdir()
    with pytest.raises(ResourceError) as caught:
        read(PLAIN, path)
    assert str(caught.value) == f"{told} (Is a directory); {remedy}"


@contextmanager
def no_root() -> Iterator[None]:
    """Go on as the user nobody where this is root, who may read every file."""
    root = os.geteuid() == 0
    if root:
        os.seteuid(65534)
    try:
        yield
    finally:
        if root:
            os.seteuid(0)


@pytest.mark.parametrize("read", READERS)
def test_a_file_without_permission(read):
    with no_root(), TemporaryDirectory() as folder:
        path = Path(folder) / "rows"
        path.write_text("")
        path.read_text()
        path.chmod(0)
        with pytest.raises(ResourceError, match="Permission denied"):
            read(PLAIN, path)


@pytest.mark.parametrize("name", ["plain", "parts"])
@pytest.mark.parametrize(
    ("folder", "told"),
    [
        ("/no/such/folder", "/no/such/folder/"),
        ("/" + "x" * 5000, "File name too long"),
        ("~nobody-has-this-name/rows", "~nobody-has-this-name/rows/"),
        ("/dev/null", "Not a directory"),
    ],
)
def test_folders_that_are_none(tasks, monkeypatch, name, folder, told):
    monkeypatch.setenv("TSLIB_DATA_DIR", folder)
    with pytest.raises(ResourceError, match=re.escape(told)):
        load_task(name)


def test_the_folder_may_be_below_home(tasks, tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("TSLIB_DATA_DIR", "~/rows")
    write_plain(tmp_path / "rows", "train", {"q": "How many?", "a": "7"})
    assert [row.prompt for row in load_task("plain")] == ["How many?"]


@pytest.mark.parametrize("value", [None, ""])
def test_without_a_folder_the_hub_is_asked(tasks, monkeypatch, value):
    asked = []

    def load_dataset(repo, config, *, split, revision):
        asked.append((repo, config, split, revision))
        return [{"q": f"How many {config}s?", "a": "7"}] * 2

    monkeypatch.setattr("datasets.load_dataset", load_dataset)
    monkeypatch.delenv("TSLIB_DATA_DIR", raising=False)
    if value is not None:
        monkeypatch.setenv("TSLIB_DATA_DIR", value)
    reading = TASKS["parts"].reading("test")
    assert asked == [("someone/parts", subset, "test", "0" * 40) for subset in ("ant", "bee", "cow")]
    assert [row.id for row in reading.examples] == ["parts/ant/0", "parts/bee/0", "parts/cow/0"]
    assert reading.missing == ()
    assert (reading.read, len(reading.refused)) == (6, 3)
    assert reading.refused[2].where == "someone/parts (cow, revision 000000000000) test row 1"


def test_rows_of_the_hub_say_where_they_are_from(monkeypatch):
    monkeypatch.setattr("datasets.load_dataset", lambda *_, **__: [{"q": "How many?"}, {}])
    first, second = read_hub(PLAIN, PLAIN.hub, "train", "plain/train.jsonl")
    assert first.where == "someone/plain (default, revision 0123456789ab) train row 0"
    with pytest.raises(InputError, match=r"train row 1: expected a field 'q', found the fields: none$"):
        second.text("q")


# From rows to examples


def write_plain(folder: Path, split: str, *rows: dict[str, object]) -> Path:
    path = folder / "plain" / f"{split}.jsonl"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def write_part(folder: Path, split: str, subset: str, *prompts: str) -> Path:
    path = folder / "parts" / split / f"{subset}.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps([{"q": prompt, "a": "7"} for prompt in prompts], indent=1))
    return path


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"q": "How many?"}, "expected a field 'a', found the fields: q"),
        ({}, "expected a field 'a', found the fields: none"),
        ({"q": "How many?", "a": None}, "expected text in the field 'a', found NoneType"),
        ({"q": "How many?", "a": 7}, "expected text in the field 'a', found int"),
        ({"q": ["How many?"], "a": "7"}, "expected text in the field 'q', found list"),
        ({"q": "", "a": "7"}, "expected text in the field 'q', found blank text"),
        ({"q": "\t\n", "a": "7"}, "expected text in the field 'q', found blank text"),
        ({"q": "How many \ud83d?", "a": "7"}, "expected text that UTF-8 can hold (surrogates not allowed)"),
        ({"q": "How many?", "a": "\ude00"}, "expected text that UTF-8 can hold (surrogates not allowed)"),
    ],
)
def test_rows_with_wrong_fields_name_file_and_line(tasks, data_dir, fields, message):
    path = write_plain(data_dir, "train", {"q": "How?", "a": "so"}, fields, {"q": "Why?", "a": "because"})
    with pytest.raises(InputError, match=f"^{re.escape(f'{path} line 2: {message}')}[^\n]*$"):
        load_task("plain")


def test_a_wrong_row_of_one_of_many_files_names_that_file(tasks, data_dir):
    for subset in ("ant", "cow"):
        write_part(data_dir, "train", subset, f"How many {subset}s?")
    path = write_part(data_dir, "train", "bee", "How many bees?", "")
    with pytest.raises(InputError, match=f"^{re.escape(f'{path} line 6: ')}.*'q', found blank text$"):
        load_task("parts")


def test_what_is_not_used_is_counted_with_its_reason(tasks, data_dir):
    path = write_plain(
        data_dir,
        "train",
        {"q": "How many?", "a": "7"},
        {"q": "Who?", "a": "?"},
        {"q": " how  MANY? ", "a": "8"},
        {"q": "Who?", "a": "Ida"},  # the first one was not used, so this is no repetition
        {"q": "How\nmany?", "a": "7"},
    )
    reading = TASKS["plain"].reading("train")
    assert [row.id for row in reading.examples] == ["plain/train/0", "plain/train/3"]
    assert reading.examples[0].prompt == "How many?"
    assert [(row.where, row.reason) for row in reading.refused] == [
        (f"{path} line 2", "has no answer"),
        (f"{path} line 3", "repeats plain/train/0"),
        (f"{path} line 5", "repeats plain/train/0"),
    ]
    assert (reading.read, reading.used, reading.elsewhere, reading.missing) == (5, 2, 0, ())


def test_held_out_rows_are_those_whose_prompt_is_not_in_train(tasks, data_dir):
    write_plain(data_dir, "train", {"q": "How many?", "a": "7"}, {"q": "Who?", "a": "?"})
    write_plain(
        data_dir,
        "test",
        {"q": "how  many?", "a": "7"},
        {"q": "Where?", "a": "here"},
        {"q": "Who?", "a": "Ida"},  # not used for training
    )
    assert [row.id for row in load_task("plain", "test")] == [f"plain/test/{index}" for index in range(3)]
    assert [row.id for row in load_task("plain", "heldout")] == ["plain/test/1", "plain/test/2"]
    assert {row.id for row in load_task("plain", "heldout", limit=2, seed=3)} == {"plain/test/1", "plain/test/2"}
    with pytest.raises(InputError, match="limit 3 is more than the 2 rows of plain heldout"):
        load_task("plain", "heldout", limit=3)


def test_a_folder_with_some_subsets_is_read_and_the_others_are_told(tasks, data_dir, caplog):
    _tell_missing.cache_clear()
    for split in ("train", "test"):
        write_part(data_dir, split, "bee", f"How many bees, to {split}?", "How many bees?")
    (data_dir / "parts" / "test" / "cow.json").mkdir()  # a folder is not a file
    with caplog.at_level(logging.WARNING, logger="tslib"):
        rows = load_task("parts", "test")
        load_task("parts", "test")
    assert [row.id for row in rows] == ["parts/bee/0", "parts/bee/1"]
    # once, however often it is loaded
    assert [record.getMessage() for record in caplog.records] == [
        "parts: 2 of its 3 subsets are not in the folder of rows and are left out (ant, cow)"
    ]
    assert TASKS["parts"].reading("test").missing == ("ant", "cow")
    assert [row.id for row in load_task("parts", "heldout")] == ["parts/bee/0"]


def test_a_whole_folder_is_read_in_the_order_of_the_subsets(tasks, data_dir, caplog):
    for subset in ("cow", "ant", "bee"):
        write_part(data_dir, "train", subset, f"How many {subset}s?", "How many?")
    reading = TASKS["parts"].reading("train")
    assert [row.id for row in reading.examples] == ["parts/ant/0", "parts/ant/1", "parts/bee/0", "parts/cow/0"]
    assert [row.reason for row in reading.refused] == ["repeats parts/ant/1"] * 2  # across subsets too
    assert reading.missing == ()
    load_task("parts")
    assert not caplog.records


def test_a_folder_without_any_subset_is_an_error_that_names_the_first(tasks, data_dir):
    with pytest.raises(ResourceError, match=re.escape(str(data_dir / "parts" / "train" / "ant.json"))):
        load_task("parts")


# One split, divided


@pytest.mark.parametrize(
    ("prompt", "key"),
    [
        ("How many?", "how many?"),
        ("  HOW\n\tmany? ", "how many?"),
        ("How\u00a0many?", "how many?"),
        ("STRASSE", "strasse"),
        ("Straße", "strasse"),
        ("How many", "how many"),
        ("Howmany?", "howmany?"),
        ("", ""),
    ],
)
def test_what_makes_two_prompts_the_same(prompt, key):
    assert prompt_key(prompt) == key


def test_a_prompt_in_three_is_for_training_by_its_hash():
    for key in (f"how many {index}?" for index in range(300)):
        assert is_training_prompt(key) == (int(hashlib.sha256(key.encode()).hexdigest()[:16], 16) % 3 == 0)
    # Published results rest on this division.
    assert [index for index in range(20) if is_training_prompt(f"how many {index}?")] == [0, 1, 3, 4, 9, 14, 16, 17, 18]
    assert 900 < sum(is_training_prompt(f"how many {index}?") for index in range(3000)) < 1100


def test_a_divided_task_counts_what_lies_on_the_other_side():
    prompts = [f"How many {index}?" for index in range(30)]
    rows = [
        *rows_of(*prompts, *(prompt.upper() for prompt in prompts)),
        Row(60, "made row 60", {"q": "Who?", "a": "?"}),
    ]
    training = 12
    task = Divided(rows)
    train, test, everything = (task.reading(split) for split in ("train", "test", "all"))
    assert (train.used, test.used, everything.used) == (training, 30 - training, 30)
    assert (train.elsewhere, test.elsewhere, everything.elsewhere) == (60 - 2 * training, 2 * training, 0)
    assert [len(reading.refused) for reading in (train, test, everything)] == [training + 1, 30 - training + 1, 31]
    for reading in (train, test, everything):
        assert reading.read == 61
        assert reading.read == reading.used + len(reading.refused) + reading.elsewhere
    assert all(row.id.startswith("divided/dev/") for row in everything.examples)


def test_held_out_rows_of_a_divided_task_are_its_test_rows(monkeypatch):
    monkeypatch.setitem(TASKS, "divided", Divided(rows_of(*(f"How many {index}?" for index in range(30)))))
    assert load_task("divided", "heldout") == load_task("divided", "test")
    with pytest.raises(InputError, match="unknown split 'dev' of task divided: choose one of train, test, all"):
        load_task("divided", "dev")


PROMPTS = st.lists(
    st.sampled_from(["a", "A", " a ", "b", "b c", "B  C", "d", "ß", "ss", "SS", "e1", "e2", "e3"])
    | st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=5).filter(str.strip),
    max_size=30,
)


def check_arithmetic(reading: Reading) -> None:
    assert reading.read == reading.used + len(reading.refused) + reading.elsewhere
    keys = [prompt_key(row.prompt) for row in reading.examples]
    assert len(set(keys)) == len(keys)


@given(PROMPTS, st.data())
def test_the_division_depends_on_nothing_but_a_row_s_own_text(prompts, data):
    chosen = data.draw(st.permutations(prompts).map(lambda order: order[: len(order) // 2 + 1]))
    sides: list[dict[str, str]] = []
    for some in (prompts, chosen):
        task = Divided(rows_of(*some))
        train, test, everything = (task.reading(split) for split in ("train", "test", "all"))
        for reading in (train, test, everything):
            assert reading.read == len(some)
            check_arithmetic(reading)
        both = train.examples + test.examples
        assert sorted(row.id for row in both) == sorted(row.id for row in everything.examples)
        assert len({prompt_key(row.prompt) for row in both}) == len(both), "no prompt on both sides"
        sides.append({prompt_key(row.prompt): "train" for row in train.examples})
        sides[-1].update({prompt_key(row.prompt): "test" for row in test.examples})
    whole, part = sides
    assert part == {prompt_key(prompt): whole[prompt_key(prompt)] for prompt in chosen}
