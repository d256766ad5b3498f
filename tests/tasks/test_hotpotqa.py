import json
import re
import string
from collections import Counter
from pathlib import Path

import pyarrow
import pyarrow.parquet
import pytest
from hypothesis import given
from hypothesis import strategies as st
from transformers import AutoTokenizer

from tslib.errors import InputError
from tslib.prompts.encoding import encode
from tslib.tasks import TASKS, Example, Hub, load_task
from tslib.tasks.base import Row
from tslib.tasks.hotpotqa import HotpotQA

# Invented rows in HotpotQA's format.
ROWS = [
    {
        "_id": "a1",
        "question": "In which town was the founder of Brill Works born?",
        "answer": "Elmford",
        "context": [
            ["Brill Works", ["Brill Works makes lamps.", " It was founded by Ida Brill."]],
            ["Ida Brill", ["Ida Brill was born in Elmford."]],
        ],
        "supporting_facts": [["Brill Works", 1], ["Ida Brill", 0]],
        "type": "bridge",
        "level": "hard",
    },
    {
        "_id": "a2",
        "question": " Do Lake Osk and Lake Arl lie in the same country? ",
        "answer": "no",
        "context": [
            ["Lake Osk", ["Lake Osk lies in Brevia.", "It is deep.", " "]],
            ["Lake Arl", [" Lake Arl lies in Karst."]],
            ["Lake", []],
        ],
        "supporting_facts": [["Lake Osk", 0], ["Lake Arl", 0]],
        "type": "comparison",
        "level": "hard",
    },
]
FIRST_PROMPT = """\
Answer the question with the help of the passages. Reply with the answer alone.

Brill Works
Brill Works makes lamps. It was founded by Ida Brill.

Ida Brill
Ida Brill was born in Elmford.

Question: In which town was the founder of Brill Works born?"""


def by_column(row: dict) -> dict:
    """A row as the hub has it."""
    hub = {key: value for key, value in row.items() if key not in ("_id", "context", "supporting_facts")}
    titles, sentences = zip(*row["context"], strict=True)
    facts = {"title": [title for title, _ in row["supporting_facts"]], "sent_id": [0, 0]}
    context = {"title": list(titles), "sentences": list(sentences)}
    return hub | {"id": row["_id"], "supporting_facts": facts, "context": context}


def write_rows(folder: Path, rows: list[dict]) -> Path:
    path = folder / "hotpotqa" / "dev_distractor.json"
    path.parent.mkdir(exist_ok=True)
    path.write_text("[" + ",\n".join(map(json.dumps, rows)) + "]")  # row k on line k
    return path


@pytest.fixture
def real_rows(real_file) -> list[dict]:
    return json.loads(real_file("hotpotqa/dev_distractor.json").read_text(encoding="utf-8"))


def test_rows_from_a_file(data_dir):
    write_rows(data_dir, ROWS)
    first, second = load_task("hotpotqa", "all")
    assert first == Example("hotpotqa/dev/0", FIRST_PROMPT, "Elmford", "Elmford")
    assert second.id == "hotpotqa/dev/1"
    assert second.choices == ()
    assert (
        "\n\nLake Osk\nLake Osk lies in Brevia. It is deep.\n\nLake Arl\nLake Arl lies in Karst.\n\n" in second.prompt
    )
    assert second.prompt.endswith("\n\nQuestion: Do Lake Osk and Lake Arl lie in the same country?")


HUB_README = """\
---
dataset_info:
- config_name: distractor
  features:
  - {name: id, dtype: string}
  - {name: question, dtype: string}
  - {name: answer, dtype: string}
  - {name: type, dtype: string}
  - {name: level, dtype: string}
  - name: supporting_facts
    sequence:
    - {name: title, dtype: string}
    - {name: sent_id, dtype: int32}
  - name: context
    sequence:
    - {name: title, dtype: string}
    - {name: sentences, sequence: string}
configs:
- config_name: distractor
  data_files:
  - {split: validation, path: distractor/validation-*}
---
"""


def test_rows_from_the_hub_are_those_of_the_file(tmp_path, monkeypatch):
    folder = tmp_path / "repository"
    (folder / "distractor").mkdir(parents=True)
    table = pyarrow.Table.from_pylist([by_column(row) for row in ROWS])
    pyarrow.parquet.write_table(table, folder / "distractor" / "validation-00000-of-00001.parquet")
    (folder / "README.md").write_text(HUB_README)
    monkeypatch.setattr("datasets.config.HF_DATASETS_CACHE", tmp_path / "cache")
    monkeypatch.setattr(HotpotQA, "hub", Hub(str(folder), "distractor", "0" * 40))
    monkeypatch.delenv("TSLIB_DATA_DIR", raising=False)
    from_hub = load_task("hotpotqa", "all")

    write_rows(tmp_path, ROWS)
    monkeypatch.setenv("TSLIB_DATA_DIR", str(tmp_path))
    assert from_hub == load_task("hotpotqa", "all")
    assert len(from_hub) == 2


def test_the_hub_is_asked_for_the_pinned_validation_split(monkeypatch):
    asked = []

    def rows(*names, **options):
        asked.append((*names, options))
        return [by_column(ROWS[0])]

    monkeypatch.delenv("TSLIB_DATA_DIR", raising=False)
    monkeypatch.setattr("datasets.load_dataset", rows)
    assert load_task("hotpotqa", "all")[0].prompt == FIRST_PROMPT
    options = {"split": "validation", "revision": "1908d6afbbead072334abe2965f91bd2709910ab"}
    assert asked == [("hotpotqa/hotpot_qa", "distractor", options)]


MALFORMED = [
    (None, "expected at least one passage in the field 'context', found NoneType"),
    ([], "expected at least one passage in the field 'context', found none"),
    ("Lake", "expected at least one passage in the field 'context', found str"),
    ([["Lake", ["Deep."]], "Lake"], "expected a title and a list of sentences as passage 2 in the field 'context'"),
    ([["Lake", "It is deep."]], "as passage 1 in the field 'context', found ['Lake', 'It is deep.']"),
    ([["Lake"]], "as passage 1 in the field 'context', found ['Lake']"),
    ([["Lake", ["Deep."], 0]], "as passage 1 in the field 'context', found ['Lake', ['Deep.'], 0]"),
    ([["Lake", ["Deep.", 7]]], "as passage 1 in the field 'context', found ['Lake', ['Deep.', 7]]"),
    ([[None, ["Deep."]]], "as passage 1 in the field 'context', found [None, ['Deep.']]"),
    ({}, "expected lists under 'title' and 'sentences' in the field 'context', found the keys none"),
    ({"title": ["Lake"]}, "in the field 'context', found the keys title"),
    ({"title": "Lake", "sentences": [["Deep."]]}, "in the field 'context', found the keys title, sentences"),
    (
        {"title": ["Lake", "Sea"], "sentences": [["Deep."]]},
        "expected as many titles as lists of sentences in the field 'context', found 2 and 1",
    ),
    ({"title": [], "sentences": []}, "expected at least one passage in the field 'context', found none"),
    ({"title": ["Lake"], "sentences": ["Deep."]}, "as passage 1 in the field 'context', found ('Lake', 'Deep.')"),
]


@pytest.mark.parametrize(("context", "message"), MALFORMED)
def test_malformed_passages(data_dir, context, message):
    path = write_rows(data_dir, [*ROWS, ROWS[0] | {"context": context}])
    with pytest.raises(InputError, match=f"^{re.escape(f'{path} line 3: ')}.*{re.escape(message)}"):
        load_task("hotpotqa", "train")


def test_malformed_passages_of_the_hub_name_the_row(monkeypatch):
    row = by_column(ROWS[0])
    row["context"]["title"].append("Lake")
    monkeypatch.delenv("TSLIB_DATA_DIR", raising=False)
    monkeypatch.setattr("datasets.load_dataset", lambda *_, **__: [by_column(ROWS[1]), row])
    message = "hotpotqa/hotpot_qa (distractor, revision 1908d6afbbea) validation row 1: expected as many titles as"
    with pytest.raises(InputError, match=f"^{re.escape(message)}"):
        load_task("hotpotqa", "train")


@pytest.mark.parametrize("field", ["question", "answer", "context"])
def test_missing_fields(data_dir, field):
    path = write_rows(data_dir, [ROWS[0], {key: value for key, value in ROWS[1].items() if key != field}])
    with pytest.raises(InputError, match=f"^{re.escape(f'{path} line 2: expected a field {field!r}')}"):
        load_task("hotpotqa", "all")


def test_one_split_is_divided(data_dir):
    rows = [ROWS[0] | {"question": f"In which town was founder number {index} born?"} for index in range(60)]
    write_rows(data_dir, rows)
    train, test, everything = (load_task("hotpotqa", split) for split in ("train", "test", "all"))
    assert sorted(row.id for row in train + test) == sorted(row.id for row in everything)
    assert len(everything) == 60
    assert 10 <= len(train) <= 30
    assert load_task("hotpotqa", "heldout") == test


@pytest.mark.parametrize("name", ["hotpotqa", "two-hop"])
@pytest.mark.parametrize(
    ("text", "answer", "complete"),
    [
        ("Elmford", "Elmford", False),
        ("Elmford\n", "Elmford", True),
        ("  Elmford.  \nIda Brill was born there.", "Elmford.", True),
        ("\n\n Elmford", "Elmford", False),
        ("Answer: Elmford", "Elmford", False),
        ("ANSWER:Elmford\r\n", "Elmford", True),
        ("Answer:\nElmford", "Elmford", False),
        ("Answer:\nElmford\n", "Elmford", True),
        ("Answer: Answer: b", "Answer: b", False),
        ("The answer: b", "The answer: b", False),  # only a leading label is dropped
        ("Answer:", None, False),
        ("Answer: \n", None, False),
        ("", None, False),
        (" \n\t\n", None, False),
    ],
)
def test_the_answer_of_a_reply(name, text, answer, complete):
    assert TASKS[name].extract(text) == answer
    assert TASKS[name].complete(text) is complete


@pytest.mark.parametrize("name", ["hotpotqa", "two-hop"])
@pytest.mark.parametrize(
    ("text", "gold", "f1", "exact"),
    [
        ("Elmford", "Elmford", 1.0, 1.0),
        ("elmford.", "Elmford", 1.0, 1.0),
        ("The Duchy of Arl", "Duchy of Arl", 1.0, 1.0),  # articles do not count
        ("Duchy", "Duchy of Arl", 0.5, 0.0),  # precision 1, recall 1/3
        ("Arl, the old Duchy", "Duchy of Arl", 2 / 3, 0.0),  # two of three each way
        ("Arl Arl Arl", "Duchy of Arl", 1 / 3, 0.0),  # a word counts as often as the gold has it
        ("Answer: Elmford\nbecause Ida Brill was born there", "Elmford", 1.0, 1.0),
        ("I think it is\nElmford", "Elmford", 0.0, 0.0),  # the first line counts
        ("Karst", "Elmford", 0.0, 0.0),
        ("", "Elmford", 0.0, 0.0),
        ("The", "Elmford", 0.0, 0.0),
        ("Yes.", "yes", 1.0, 1.0),
        ("yes, they do", "yes", 0.0, 0.0),
        ("no", "yes", 0.0, 0.0),
        ("no", "No Name", 0.0, 0.0),  # shares a word, and earns nothing
        ("noanswer", "yes", 0.0, 0.0),
        ("noanswer, I fear", "noanswer", 0.0, 0.0),
        ("1,234", "1234", 1.0, 1.0),
        ("$1,234.50", "1234", 0.0, 0.0),
        ("-3", "3", 1.0, 1.0),  # as officially: punctuation goes, a minus too
        ("(B)", "B", 1.0, 1.0),
        ("Elmford " * 10_000, "Elmford", 2 / 10_001, 0.0),
    ],
)
def test_scores(name, text, gold, f1, exact):
    example = Example("x/test/0", "Where?", gold, gold)
    assert TASKS[name].score(text, example) == pytest.approx(f1, abs=1e-12)
    assert TASKS[name].exact_match(text, example) == exact


def test_the_best_of_several_gold_answers_counts():
    example = Example("x/test/0", "Where?", "Elmford", ("Elmford", "Elmford in Karst"))
    assert TASKS["hotpotqa"].score("Elmford in Karst", example) == 1.0
    assert TASKS["hotpotqa"].exact_match("Elmford in Karst", example) == 1.0
    assert TASKS["hotpotqa"].score("Karst", example) == 0.5


def official_scores(prediction: str, gold: str) -> tuple[float, float]:
    """F1 and exact match by the definitions of the paper's script: precision and recall over words."""

    def words(text: str) -> list[str]:
        kept = "".join(letter for letter in text.lower() if letter not in string.punctuation)
        return [word for word in re.split(r"\s+", re.sub(r"\b(?:a|an|the)\b", " ", kept)) if word]

    left, right = words(prediction), words(gold)
    exact = float(left == right)
    for one, other in ((left, right), (right, left)):
        if len(one) == 1 and one[0] in ("yes", "no", "noanswer") and one != other:
            return 0.0, exact
    shared = 0
    rest = list(right)
    for word in left:
        if word in rest:
            rest.remove(word)
            shared += 1
    if shared == 0:
        return 0.0, exact
    precision, recall = shared / len(left), shared / len(right)
    return 2 * precision * recall / (precision + recall), exact


WORDS = st.sampled_from(
    ["yes", "No", "noanswer", "the", "an", "Red", "red", "fox", "fox,", "New-York", "YES.", "étang"]
)
PHRASES = st.lists(WORDS, max_size=6).map(" ".join)


@given(PHRASES | st.text(max_size=60), PHRASES | st.text(max_size=20))
def test_scores_are_the_official_ones_of_the_answer_found(text, gold):
    task = TASKS["hotpotqa"]
    example = Example("x/test/0", "Where?", gold, gold)
    f1, exact = official_scores(task.extract(text) or "", gold)
    assert task.score(text, example) == pytest.approx(f1, abs=1e-12)
    assert task.exact_match(text, example) == exact
    assert 0 <= task.score(text, example) <= 1


@given(PHRASES)
def test_one_line_without_a_label_is_taken_as_it_is(text):
    assert (TASKS["hotpotqa"].extract(text) or "") == text


def test_every_real_row(real_rows):
    task = TASKS["hotpotqa"]
    reading = task.reading("all")
    assert reading.read == reading.used == len(real_rows)
    assert not reading.refused
    yes_no = 0
    for row, example in zip(real_rows, reading.examples, strict=True):
        assert example.answer == row["answer"].strip(), example.id
        assert task.score(example.target, example) == 1.0, example.id
        assert task.exact_match(f"Answer: {example.target}\nIt is so.", example) == 1.0, example.id
        assert task.score("qqq zzz", example) == 0.0, example.id
        assert example.prompt.endswith(f"Question: {row['question'].strip()}"), example.id
        assert all(f"\n\n{title.strip()}\n" in example.prompt for title, _ in row["context"]), example.id
        sentences = [sentence.strip() for _, passage in row["context"] for sentence in passage]
        assert all(sentence in example.prompt for sentence in sentences), example.id
        if row["answer"] in ("yes", "no"):
            yes_no += 1
            assert task.score("no" if row["answer"] == "yes" else "yes", example) == 0.0, example.id
    assert yes_no >= len(real_rows) // 20


def test_the_division_of_the_real_rows(real_rows):
    train, test = (TASKS["hotpotqa"].reading(split) for split in ("train", "test"))
    assert train.used + test.used == len(real_rows)
    assert train.used == test.elsewhere
    assert not {row.id for row in train.examples} & {row.id for row in test.examples}
    assert len(test.examples) >= len(real_rows) // 2


# Two-hop: the facts are read back from the passages, and each question is answered anew.

PERSON = re.compile(
    r"(?P<name>.+) is a (?P<job>\w+) who was born in (?P<town>\w+) in (?P<born>\d+) and plays the (\w+)\."
)
TOWN = re.compile(r"(?P<name>\w+) is a town on the river (\w+) in the province of (\w+)\. Its mayor is (.+)\.")
COMPANY = re.compile(
    r"(?P<name>.+) is a company that makes \w+\. It was founded by (.+) in (\d+) and has its seat in (\w+)\."
)


def facts_of(prompt: str) -> tuple[list[str], dict[tuple[str, str], str], str]:
    """Titles in order, the facts as (name, what) with their value, and the question."""
    _, *passages, question = prompt.split("\n\n")
    titles: list[str] = []
    facts: dict[tuple[str, str], str] = {}
    for passage in passages:
        title, text = passage.split("\n")
        kinds = {
            PERSON: ("job", "birthplace", "born", "instrument"),
            TOWN: ("river", "province", "mayor"),
            COMPANY: ("founder", "founded", "seat"),
        }
        ((pattern, found),) = ((pattern, match) for pattern in kinds if (match := pattern.fullmatch(text)))
        assert found["name"] == title
        for what, value in zip(kinds[pattern], found.groups()[1:], strict=True):
            assert (title, what) not in facts, "told twice"
            facts[title, what] = value
        titles.append(title)
    assert len(set(titles)) == len(titles)
    return titles, facts, question.removeprefix("Question: ")


BRIDGES = [
    (r"In which town was the founder of (.+) born\?", "founder", "birthplace"),
    (r"In which year was the founder of (.+) born\?", "founder", "born"),
    (r"What is the profession of the mayor of (.+)\?", "mayor", "job"),
    (r"Which instrument does the mayor of (.+) play\?", "mayor", "instrument"),
    (r"On which river does the town lie where (.+) was born\?", "birthplace", "river"),
    (r"In which province does (.+) have its seat\?", "seat", "province"),
]
CHOICES = [
    (r"Who is (older|younger), (.+) or (.+)\?", "born"),
    (r"Which company was founded (earlier|later), (.+) or (.+)\?", "founded"),
]
SAME = [
    (r"Were (.+) and (.+) born in the same town\?", "birthplace"),
    (r"Do (.+) and (.+) have the same profession\?", "job"),
]


def solve(prompt: str) -> tuple[str, set[str], str, str | None]:
    """Answer, titles of the passages that are needed, the question's pattern, the name that a choice rejects."""
    _, facts, question = facts_of(prompt)
    for pattern, first, second in BRIDGES:
        if match := re.fullmatch(pattern, question):
            between = facts[match[1], first]
            return facts[between, second], {match[1], between}, pattern, None
    for pattern, what in CHOICES:
        if match := re.fullmatch(pattern, question):
            years = {name: int(facts[name, what]) for name in match.groups()[1:]}
            assert len(set(years.values())) == 2, "a tie"
            low, high = sorted(years, key=years.__getitem__)
            answer, other = (low, high) if match[1] in ("older", "earlier") else (high, low)
            return answer, {low, high}, pattern, other
    ((pattern, what, match),) = ((p, w, match) for p, w in SAME if (match := re.fullmatch(p, question)))
    one, two = match.groups()
    return "yes" if facts[one, what] == facts[two, what] else "no", {one, two}, pattern, None


@pytest.fixture(scope="module")
def two_hop() -> list[Example]:
    return load_task("two-hop", "train") + load_task("two-hop", "test")


def test_two_hop_rows_are_new_and_answered_by_two_passages(two_hop):
    assert [row.id for row in two_hop] == [
        *(f"two-hop/train/{index}" for index in range(600)),
        *(f"two-hop/test/{index}" for index in range(200)),
    ]
    assert len({row.prompt for row in two_hop}) == 800, "no prompt twice, within or across splits"
    patterns: Counter[str] = Counter()
    for row in two_hop:
        answer, needed, pattern, _ = solve(row.prompt)
        assert row.answer == row.target == answer, row.id
        titles, _, _ = facts_of(row.prompt)
        assert len(titles) == 10, row.id
        assert len(needed) == 2, row.id
        assert needed <= set(titles), row.id
        patterns[pattern] += 1
    assert len(patterns) == 10
    assert min(patterns.values()) >= 50, "ten kinds of question, drawn evenly from 800 rows"


def test_two_hop_replies_are_right_or_wrong(two_hop):
    task = TASKS["two-hop"]
    for row in two_hop:
        assert task.score(row.target, row) == task.exact_match(row.target, row) == 1.0, row.id
        assert task.score(f"Answer: {row.target}.\nThat is all.", row) == 1.0, row.id
        other = solve(row.prompt)[3] or ("no" if row.answer == "yes" else "yes")
        assert task.score(other, row) == 0.0, row.id


def test_two_hop_answers_do_not_follow_from_positions(two_hop):
    solved = [(row, facts_of(row.prompt)[0], *solve(row.prompt)) for row in two_hop]
    places = Counter(titles.index(title) for _, titles, _, needed, *_ in solved for title in needed)
    assert sorted(places) == list(range(10))
    assert all(110 <= count <= 210 for count in places.values()), "160 of 1600 are expected at each place"
    first = [row.prompt.rindex(answer) < row.prompt.rindex(other) for row, _, answer, _, _, other in solved if other]
    assert 0.4 < sum(first) / len(first) < 0.6, "of two names the first is right as often as the second"
    closed = [answer for _, _, answer, *_ in solved if answer in ("yes", "no")]
    assert 0.4 < closed.count("yes") / len(closed) < 0.6


SHORT = {
    "_id": "s1",
    "question": "Who founded Brill Works?",
    "answer": "Ida Brill",
    "context": [
        ["Osk", ["Osk is a lake of some size in Brevia."]],
        ["Brill Works", ["Brill Works was founded by Ida Brill."]],
        ["Arl", ["Arl is a lake."]],
        ["Karst", ["Karst is a country with many lakes and caves."]],
        ["Ida Brill", ["Ida Brill was born in Elmford."]],
        ["Elm", ["An elm is a tree."]],
    ],
    "supporting_facts": [["Ida Brill", 0], ["Brill Works", 0]],
}


@pytest.mark.parametrize("form", [dict, by_column])
def test_short_has_the_supporting_passages_and_the_two_shortest_others(form):
    row = Row(0, "a row", form(SHORT))
    titles = [title for title, _ in TASKS["hotpotqa-short"].passages(row)]
    assert titles == ["Brill Works", "Arl", "Ida Brill", "Elm"]
    example = TASKS["hotpotqa-short"].example(row, "dev")
    assert example.id == "hotpotqa-short/dev/0"
    assert example.prompt.endswith("Elm\nAn elm is a tree.\n\nQuestion: Who founded Brill Works?")


def test_short_leaves_out_what_is_long():
    long = SHORT | {"question": "Who? " * 400}
    assert TASKS["hotpotqa-short"].example(Row(0, "a row", long), "dev") == "its prompt has more than 1650 characters"


@pytest.mark.parametrize("facts", [None, [], [["Nowhere", 0]], {"title": []}])
def test_short_needs_to_know_what_supports(facts):
    with pytest.raises(InputError, match="a row: expected titles of passages in the field 'supporting_facts'"):
        TASKS["hotpotqa-short"].passages(Row(0, "a row", SHORT | {"supporting_facts": facts}))


def test_short_prompts_have_at_most_512_tokens(real_file, smollm2_135m, gemma3_270m):
    """Of both embedded models, template and answer among them; and there are rows for ten samples and as many seeds."""
    real_file("hotpotqa/dev_distractor.json")
    rows = load_task("hotpotqa-short", "all")
    for tokenizer in (smollm2_135m.tokenizer, AutoTokenizer.from_pretrained(gemma3_270m)):
        encoded = [encode(tokenizer, row) for row in rows]
        assert max(len(row.question) + len(row.target) for row in encoded) <= 512
    assert len(load_task("hotpotqa-short", "train")) >= 20
