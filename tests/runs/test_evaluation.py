"""Evaluations on the embedded model: each number is worked out a second way."""

import dataclasses
import json
import math
import re
from pathlib import Path

import pandas as pd
import pytest
import torch
from conftest import Toy

from tslib.config import EvalConfig, TuneConfig
from tslib.errors import InputError, ResourceError
from tslib.models import loading as models
from tslib.prompts.encoding import encode
from tslib.records.durable import DamagedError, sealed
from tslib.runs.evaluation import Evaluation, EvaluationStore, _Judge, evaluate, of_run
from tslib.runs.store import RunStore
from tslib.tasks import TASKS, Example, load_task, shuffled
from tslib.tasks.base import made
from tslib.tuning.loop import tune

ROWS = [
    ("What is the capital of France?", "The capital of France is Paris."),  # what the model says by itself
    ("Name a fruit.", "A very long reply that no model would give."),
    ("How many legs has a spider?", "Nine and a half."),
]


class Quiz(Toy):
    """Rows to test on, and others to train on."""

    splits = ("train", "test")

    def read(self, split):
        train = (Example(f"toy/train/{i}", f"Question {i}?", f"Answer {i}.", f"Answer {i}.") for i in range(4))
        return made(train) if split == "train" else super().read(split)


@pytest.fixture
def quiz(monkeypatch):
    """The task "toy" with these rows."""
    monkeypatch.setitem(TASKS, "toy", Quiz(tuple(ROWS)))
    return TASKS["toy"]


def config(**fields) -> EvalConfig:
    return EvalConfig(**{"task": "toy", "device": "cpu", "max_new_tokens": 12} | fields)


def test_scores_and_losses(quiz, smollm2_135m):
    evaluation = evaluate(config(limit=3), progress=False)
    rows = evaluation.rows.set_index("id")
    assert sorted(rows.index) == ["toy/test/0", "toy/test/1", "toy/test/2"]
    assert rows.loc[["toy/test/0", "toy/test/1", "toy/test/2"], "score"].tolist() == [1, 0, 0]
    model, tokenizer = smollm2_135m
    for i, (prompt, target) in enumerate(ROWS):
        row = encode(tokenizer, Example("", prompt, target, target))
        ids = torch.tensor([row.question + row.target])
        labels = torch.tensor([[-100] * len(row.question) + row.target])
        with torch.no_grad():
            expected = float(model(input_ids=ids, labels=labels).loss)
        assert rows.loc[f"toy/test/{i}", "answer_loss"] == pytest.approx(expected, rel=1e-3)
    results = evaluation.results
    assert results["score"] == pytest.approx(1 / 3)
    # Wilson's interval by its formula, for 1 of 3
    z, n, p = 1.959964, 3, 1 / 3
    middle, half = p + z**2 / (2 * n), z * math.sqrt(p * (1 - p) / n + z**2 / (4 * n**2))
    assert results["low"] == pytest.approx((middle - half) / (1 + z**2 / n), abs=1e-6)
    assert results["high"] == pytest.approx((middle + half) / (1 + z**2 / n), abs=1e-6)
    assert results["answer_loss"] == pytest.approx(rows["answer_loss"].mean())
    assert (results["rows"], results["cut"]) == (3, 0)
    assert results["unfinished"] == int((rows["tokens"] == 12).sum())
    for i, (prompt, _) in enumerate(ROWS):  # what transformers decodes alone, without the padding of a batch
        ids = torch.tensor([encode(tokenizer, Example("", prompt, "x", "x")).question])
        alone = model.generate(ids, do_sample=False, max_new_tokens=12, eos_token_id=2, pad_token_id=2)[
            0, ids.shape[1] :
        ]
        assert rows.loc[f"toy/test/{i}", "tokens"] == int((alone != 2).sum())


def test_batches_do_not_change_the_outcome(quiz, smollm2_135m):
    together, alone = (evaluate(config(batch_size=size), progress=False) for size in (16, 1))
    assert together.rows["id"].tolist() == alone.rows["id"].tolist()
    assert together.rows["score"].tolist() == alone.rows["score"].tolist()
    assert together.rows["answer_loss"].tolist() == pytest.approx(alone.rows["answer_loss"].tolist(), rel=1e-4)


@pytest.mark.parametrize("room", [3, 40])
def test_replies_that_the_context_ends_are_cut_off(quiz, tiny_model, room):
    """Each row has its own room, that which it has alone, as long as no reply of this model ends by itself."""
    loaded = models.shared_model(tiny_model, "cpu", "float32")
    encoded = [encode(loaded.tokenizer, Example("", prompt, target, target)) for prompt, target in ROWS]
    context = max(len(row.question) + len(row.target) for row in encoded) + room
    asked = config(model=tiny_model, max_new_tokens=30, max_context=context)
    together, alone = (evaluate(dataclasses.replace(asked, batch_size=size), progress=False) for size in (16, 1))
    rooms = {f"toy/test/{i}": min(30, context - len(row.question)) for i, row in enumerate(encoded)}
    assert dict(zip(together.rows["id"], together.rows["tokens"], strict=True)) == rooms
    assert alone.rows["tokens"].tolist() == together.rows["tokens"].tolist()
    assert together.results["unfinished"] == alone.results["unfinished"] == 3
    assert (set(rooms.values()) == {30}) == (room == 40)


def test_a_right_reply_is_right_whatever_ends_it(quiz, smollm2_135m, named_end):
    """An end of turn that the tokenizer does not leave out of a text has no part in what is scored."""
    model = smollm2_135m.model
    examples = [Example(f"toy/test/{i}", prompt, target, target) for i, (prompt, target) in enumerate(ROWS)]
    outcomes = []
    for tokenizer in (smollm2_135m.tokenizer, named_end):
        judge = _Judge(config(), model, tokenizer, None, 12, lambda _example: [])
        outcomes.append(list(judge.judge(examples, [encode(tokenizer, example) for example in examples])))
    assert outcomes[0] == outcomes[1]
    assert [outcome["score"] for outcome in outcomes[0]] == [1, 0, 0]
    assert outcomes[0][0]["tokens"] == 7


def test_a_record_says_what_day_its_templates_were_told(quiz, tiny_model, monkeypatch):
    loaded = models.shared_model(tiny_model, "cpu", "float32")
    without = evaluate(config(model=tiny_model, limit=1), progress=False)
    assert "template_date" not in without.environment
    dated = "{{ strftime_now('%d %b %Y') }}" + loaded.tokenizer.chat_template
    monkeypatch.setattr(loaded.tokenizer, "chat_template", dated)
    told = evaluate(config(model=tiny_model, limit=1), progress=False)
    assert told.environment["template_date"] == "2024-07-26"
    assert told.results["answer_loss"] != without.results["answer_loss"]
    record = tune(TuneConfig(model=tiny_model, task="toy", samples=1, max_steps=1, n_tokens=2, device="cpu"))
    assert record.environment["template_date"] == "2024-07-26"


def test_rows_are_batched_by_length_and_kept_in_the_drawn_order(tiny_model, monkeypatch):
    lengths, judge = [], _Judge.judge

    def note(self, examples, rows):
        lengths.append([len(row.question) for row in rows])
        return judge(self, examples, rows)

    monkeypatch.setattr(_Judge, "judge", note)
    asked = config(model=tiny_model, task="gsm-symbolic", limit=3, max_new_tokens=2)
    together, alone = (evaluate(dataclasses.replace(asked, batch_size=size), progress=False) for size in (2, 1))
    drawn = shuffled(load_task(asked.task, asked.split), asked.seed)[:3]
    tokenizer = models.shared_model(tiny_model, "cpu", "float32").tokenizer
    in_order = [len(encode(tokenizer, example).question) for example in drawn]
    short, middle, long = sorted(in_order)
    assert short < middle < long
    assert in_order != [short, middle, long]
    assert lengths == [[short, middle], [long], [short], [middle], [long]]
    assert together.rows["id"].tolist() == alone.rows["id"].tolist() == [example.id for example in drawn]
    for column in ("score", "tokens"):
        assert together.rows[column].tolist() == alone.rows[column].tolist()
    assert together.rows["answer_loss"].tolist() == pytest.approx(alone.rows["answer_loss"].tolist(), rel=1e-4)


def test_prompts_without_their_middle_are_counted(quiz, smollm2_135m, monkeypatch):
    monkeypatch.setattr(type(quiz), "cuts_middle", True)
    questions = [len(encode(smollm2_135m[1], Example("", prompt, "x", "x")).question) for prompt, _ in ROWS]
    evaluation = evaluate(config(max_context=max(questions) - 1 + 12), progress=False)
    assert evaluation.results["cut"] == questions.count(max(questions)) < 3


def test_a_limit_is_a_part_of_the_whole(quiz, smollm2_135m):
    whole, part = (evaluate(config(limit=limit), progress=False).rows["id"].tolist() for limit in (100, 2))
    assert len(whole) == 3, "a limit above what there is takes all"
    assert part == whole[:2]


@pytest.fixture
def closed(toy_task, monkeypatch):
    """Closed questions: which of the words follows. The second has a target that is none of its choices."""
    toy_task(("x", "x"))
    rows = [
        Example("toy/test/0", "The capital of France is", "Paris", "Paris", ("London", "Paris", "Rome")),
        Example("toy/test/1", "The opposite of hot is", "cold", "cold", ("(A) cold", "(B) warm")),
        Example("toy/test/2", "The opposite of cold is", "(B) warm", "(B) warm", ("(A) cold", "(B) warm")),
    ]
    monkeypatch.setattr(type(TASKS["toy"]), "splits", ("train", "test"))
    monkeypatch.setattr(type(TASKS["toy"]), "read", lambda self, split: made(rows if split == "test" else []))
    return rows


def test_the_likeliest_choice(closed, smollm2_135m):
    evaluation = evaluate(config(scoring="likelihood"), progress=False)
    model, tokenizer = smollm2_135m
    expected = {}
    for example in closed:
        logs = []
        for choice in example.choices:  # the log-likelihood up to the first token that tells the choices apart
            row = encode(tokenizer, dataclasses.replace(example, target=choice))
            shared = 1 if choice.startswith("(") else 0
            with torch.no_grad():
                logits = model(input_ids=torch.tensor([row.question + row.target])).logits[0]
            place = len(row.question) - 1 + shared
            logs.append(float(logits[place].log_softmax(-1)[row.target[shared]]))
        best = example.choices[logs.index(max(logs))]
        expected[example.id] = TASKS["toy"].score(best, example)
    assert dict(zip(evaluation.rows["id"], evaluation.rows["score"], strict=True)) == expected
    assert expected["toy/test/0"] == 1
    assert evaluation.rows["tokens"].tolist() == [0, 0, 0]


def test_likelihood_of_open_questions(quiz, smollm2_135m):
    with pytest.raises(InputError, match="toy has open ones: use generate"):
        evaluate(config(scoring="likelihood"), progress=False)


def test_choices_that_begin_alike(closed, smollm2_135m):
    closed[0] = dataclasses.replace(closed[0], choices=("Paris", "Paris, France", "Rome"))
    with pytest.raises(InputError, match=r"toy/test/0: two of its choices begin with the same tokens"):
        evaluate(config(scoring="likelihood"), progress=False)


def test_shots_are_shown_and_not_asked(quiz, smollm2_135m, monkeypatch):
    seen = []

    def note(tokenizer, example, shots=()):
        if example.id.startswith("toy"):  # not that which finds the end of a turn
            seen.append(tuple(shot.id for shot in shots))
        return encode(tokenizer, example, shots)

    monkeypatch.setattr("tslib.prompts.encoding.encode", note)
    few = evaluate(config(shots=2), progress=False)
    assert set(seen) == {tuple(shot.id for shot in load_task("toy", "train", limit=2))}
    assert few.results["answer_loss"] != pytest.approx(evaluate(config(), progress=False).results["answer_loss"])
    with pytest.raises(InputError, match="4 shots are more than the 3 training rows of toy: take fewer"):
        evaluate(config(shots=4, split="train"), progress=False)  # a row is not shown with its own answer


@pytest.fixture(scope="module")
def tuned(smollm2_135m):
    """The record of a run on "toy" whose prompt is not the initial one."""
    fields = {"task": "toy", "samples": 2, "n_tokens": 4, "device": "cpu", "max_steps": 4, "answer_every": 0}
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(TASKS, "toy", Quiz(tuple(ROWS)))
        return tune(TuneConfig(**fields, lr=0.5, shots=1, placement="suffix", stop_when_correct=False), progress=False)


@pytest.fixture
def run(tuned, quiz, own_cache):
    """That record, where its task and a cache of the test's own are."""
    return tuned


def test_a_tuned_prompt(run, smollm2_135m):
    chosen = of_run(config(limit=2), run)
    assert (chosen.run, chosen.shots, chosen.model) == (run.config.hash, 1, "smollm2-135m")
    evaluation = evaluate(chosen, run, progress=False)
    model, tokenizer = smollm2_135m
    example = next(row for row in load_task("toy", "test") if row.id == evaluation.rows["id"][0])
    shots = load_task("toy", "train", limit=3)[2:]
    row = encode(tokenizer, example, shots)
    embed = model.get_input_embeddings()
    parts = [embed(torch.tensor(row.question)), run.prompts[4], embed(torch.tensor(row.target))]
    labels = torch.tensor([[-100] * (len(row.question) + 4) + row.target])
    with torch.no_grad():
        expected = float(model(inputs_embeds=torch.cat(parts)[None], labels=labels).loss)
    assert evaluation.rows["answer_loss"][0] == pytest.approx(expected, rel=1e-4)


def test_the_prompt_is_not_here(run):
    with pytest.raises(ResourceError, match=f"the prompts of run {run.config.hash} are not in this machine's cache"):
        evaluate(of_run(config(), run), dataclasses.replace(run, prompts={}), progress=False)


def test_a_config_that_contradicts_its_run(run):
    with pytest.raises(InputError, match=f"run {run.config.hash} has shots 1, not 3: leave shots out"):
        of_run(config(shots=3), run)
    with pytest.raises(InputError, match=f"the record is run {run.config.hash}, the config names 0123"):
        of_run(config(run="0123"), run)
    for wrong, record in ((config(run="0123"), None), (config(), run)):
        with pytest.raises(InputError, match="is not the record given: use of_run"):
            evaluate(wrong, record, progress=False)


def test_a_store(quiz, smollm2_135m, tmp_path, monkeypatch):
    store = EvaluationStore(tmp_path / "evaluations")
    made_now = store.get_or_run(config(), progress=False)
    path = store.path(config())
    assert path.name == f"toy_smollm2-135m_untuned_{config().hash}.json"
    assert [file.name for file in path.parent.iterdir()] == [path.name]
    text = path.read_text()
    assert "Paris" not in text
    assert "fruit" not in text, "no text of any row"
    monkeypatch.setattr("tslib.runs.evaluation.evaluate", None)  # what is there is not made again
    again = store.get_or_run(config(), progress=False)
    assert again.config == made_now.config
    assert again.results == made_now.results
    pd.testing.assert_frame_equal(again.rows, made_now.rows, atol=1e-5, check_dtype=False)
    table = store.table()
    assert table[["task", "score", "rows"]].to_numpy().tolist() == [["toy", pytest.approx(1 / 3), 3]]
    assert store.table([config(seed=7)]).empty
    path.write_text(text[:-20])
    with pytest.raises(ResourceError, match=r"is not a readable evaluation .*: delete it and make it again"):
        store.table()
    content = json.loads(text)
    content["config"]["nonesuch"] = 1
    path.write_text(json.dumps(sealed(content)))
    with pytest.raises(ResourceError, match="nonesuch"):
        store.load(path)


def kept(store: EvaluationStore) -> Path:
    """The file of an evaluation that no model was asked for."""
    rows = pd.DataFrame([{"id": "toy/test/0", "score": 1.0, "answer_loss": 0.5, "tokens": 3}])
    return store.save(Evaluation(config(), {"score": 1.0, "rows": 1}, {"machine": "m"}, rows))


@pytest.mark.usefixtures("quiz")
def test_an_evaluation_under_the_name_of_another_is_not_taken_for_it(tmp_path):
    store = EvaluationStore(tmp_path)
    other = store.path(config(seed=7))
    kept(store).rename(other)
    with pytest.raises(DamagedError, match=rf"it is the evaluation {config().hash}, under another name"):
        store.load(other)


@pytest.mark.usefixtures("quiz")
def test_seals_of_evaluations(tmp_path):
    store = EvaluationStore(tmp_path)
    path = kept(store)
    whole = path.read_bytes()
    content = {name: said for name, said in json.loads(whole).items() if name != "checksum"}
    path.write_text(json.dumps(content))
    store.seal()
    assert path.read_bytes() == whole
    for bad in ("{", "[]", json.dumps({"config": {}})):
        path.write_text(bad)
        with pytest.raises(DamagedError, match=rf"^{re.escape(str(path))} is not a readable evaluation"):
            store.seal()


def test_a_loss_that_is_not_a_number_is_named(quiz, smollm2_135m, monkeypatch):
    monkeypatch.setattr(
        "tslib.runs.evaluation._Judge._read", lambda self, examples, rows: [(float("nan"), "")] * len(rows)
    )
    with pytest.raises(InputError, match=r"smollm2-135m in float32 gives losses that are not finite: .* bfloat16"):
        evaluate(config(limit=1, max_new_tokens=1), progress=False)


def test_find_a_run(run, tmp_path):
    store = RunStore(tmp_path / "runs")
    path = store.save(run)
    for name in (str(path), path.name, run.config.hash):
        assert store.find(name).config == run.config
    with pytest.raises(InputError, match=r"0 records in .* have a name that ends in 'nonesuch'"):
        store.find("nonesuch")
    store.save(dataclasses.replace(run, config=dataclasses.replace(run.config, seed=1)))
    with pytest.raises(InputError, match=r"2 records in .* have a name that ends in ''"):
        store.find("")
