"""The benchmark's file and the tables made from it: by hand, and the committed one."""

import json
from dataclasses import asdict

import prose
import pytest

from tslib.__main__ import main
from tslib.errors import InputError, ResourceError
from tslib.records.record import COMMITTED
from tslib.study.bench import bench
from tslib.study.bench.bench import LONG, SHORT
from tslib.study.bench.cost import Setting, Steps
from tslib.study.report import cost as report_cost


def steps(setting, **ways):
    """A part with a first step that does not count."""
    measured = {way: {"seconds": [99.0, *seconds], "losses": []} for way, seconds in ways.items()}
    return asdict(setting) | {"ways": measured, "flops": 1e11}


LONGEST = Setting(batch=1, question=4096, answer=8)


@pytest.fixture
def content():
    parts = {
        f"steps/{SHORT}": steps(SHORT, peft=[6.0, 6.0, 6.0], prefix=[2.0, 3.0, 3.0], suffix=[2.0, 2.0, 2.0]),
        f"steps/{LONG}": steps(LONG, peft=[10.0], prefix=[8.0], suffix=[0.4]),
        f"steps/{LONGEST}": steps(LONGEST, peft=[50.0], suffix=[1.0]),
        "rate/float32": 1e11,
        "tsloss/20/576": [0.003, 0.003],
        "tsloss/100/576": [0.06],
        "tsloss/1000/576": [0.5],
        "exact/100": [3.0],
        "topology/100": [0.008],
        f"memory/{SHORT}/prefix": 50,
        f"memory/{SHORT}/peft": 100,
        "tsloss memory/4096/2048": 700_000_000,
        "decode/1": {"rows": 1, "tokens": 96, "seconds": {"generate": [3.0, 3.0], "ours": [2.0, 3.0]}},
        "decode/16": {"rows": 16, "tokens": 96, "seconds": {"generate": [9.0], "ours": [6.0]}},
        "curves": {"ways": {"peft": {"losses": [2.0, 1.0]}, "prefix": {"losses": [2.0, 1.001]}}},
        f"profile/{SHORT}": {"products": 2.0, "attention": 0.5, "rest": 0.5},
    }
    return {"environment": {"threads": 2}, "parts": parts}


def test_what_was_asked_by_hand(content):
    table = report_cost.requirements(content).set_index("what")
    found = {what: (row["asked"], row["found"], row["10–90 %"], row["met"]) for what, row in table.iterrows()}
    assert found == {
        f"prefix step, PEFT's / ours: {report_cost.named(SHORT)}": ("≥ 1.6 ×", "2 ×", "[2, 2.8]", "yes"),
        f"prefix step, PEFT's / ours: {report_cost.named(LONG)}": ("≥ 1.5 ×", "1.25 ×", "", "no"),
        "prefix step, PEFT's / ours: the worst of all settings": ("≥ 1 ×", "1.25 ×", "", "yes"),
        f"suffix step, PEFT's prefix / ours: {report_cost.named(LONG)}": ("≥ 13 ×", "25 ×", "", "yes"),
        f"suffix step, PEFT's prefix / ours: {report_cost.named(LONGEST)}": ("≥ 50 ×", "50 ×", "", "yes"),
        "decoding, generate / ours: 1 row of 96 tokens at most": ("≥ 1 ×", "1.25 ×", "[1.05, 1.45]", "yes"),
        "decoding, generate / ours: 16 rows of 96 tokens at most": ("≥ 2 ×", "1.5 ×", "", "no"),
        "TSLoss and its gradient, n = 20, share of a prefix step": ("≤ 1 %", "0.1 %", "", "yes"),
        "TSLoss and its gradient, n = 100, share of a prefix step": ("≤ 1 %", "2 %", "", "no"),
        f"memory of a prefix step above the model, ours / PEFT's: {report_cost.named(SHORT)}": (
            "≤ 0.6 ×",
            "0.5 ×",
            "",
            "yes",
        ),
        f"operations of a plain step at the peak rate / ours: {report_cost.named(SHORT)}": (
            "≥ 75 %",
            "33.3 %",
            "[33.3, 46.7]",
            "no",
        ),
        "exact homology and its summary, n = 100": ("≤ 10 ms", "8 ms", "", "yes"),
        "memory of TSLoss and its gradient, n = 4096, d = 2048": ("≤ 1 GB", "0.7 GB", "", "yes"),
        "largest relative difference of the loss from PEFT's, 20 steps": ("≤ 0.0001 ", "0.001 ", "", "no"),
    }


def test_tables_by_hand(content):
    times = report_cost.step_times(content)
    assert times[["peft", "prefix", "suffix", "peft / prefix"]].iloc[0].tolist() == [6.0, 3.0, 2.0, 2.0]
    assert times["prefix"].isna().tolist() == [False, False, True]
    by_question = report_cost.growth(content, "question")
    assert by_question[by_question["way"] == "suffix"][["question", "seconds"]].values.tolist() == [
        [1024, 0.4],
        [4096, 1],
    ]
    assert report_cost.growth(content, "batch")["batch"].tolist() == [8, 8, 8]
    tsloss = report_cost.tsloss_times(content)
    assert tsloss[tsloss["what"] == "TSLoss, with gradient"][["n", "ms"]].values.tolist() == [
        [20, 3],
        [100, 60],
        [1000, 500],
    ]
    assert report_cost.profiles(content)["bound"].tolist() == [2.4]


def test_records_of_two_processors_side_by_side(content):
    old = {"environment": {"threads": 4, "machine": "Xeon", "started": "2026-11-02T10:00"}, "parts": {}}
    old["parts"] = {name: part for name, part in content["parts"].items() if name != "decode/1"}
    old["parts"] |= {f"steps/{SHORT}": steps(SHORT, peft=[6.0], prefix=[8.0], suffix=[2.0])}
    table = report_cost.aims([content, old]).set_index("what")
    assert list(table.columns) == [
        "asked",
        "a machine not named with 2 threads",
        "Xeon with 4 threads, 2026-11-02",
    ]
    assert table.loc[f"prefix step, PEFT's / ours: {report_cost.named(SHORT)}"].tolist() == [
        "≥\N{NO-BREAK SPACE}1.6\N{NO-BREAK SPACE}×",
        "2 × [2, 2.8]",
        "0.75 × (missed)",
    ]
    assert table.loc["decoding, generate / ours: 1 row of 96 tokens at most"].iloc[-1] == ""
    assert len(table) == len(report_cost.requirements(content))
    said = report_cost.headline([content, old])
    assert "on a machine not named with 2 threads; on an earlier machine it was 0.8 to 1.2 times." in said


@pytest.mark.parametrize("count", range(4))
def test_the_box_is_short_with_any_number_of_records(content, count):
    newest, old = bench.records()[0], {"environment": {"machine": "Intel Xeon, AVX512", "threads": 2}}
    others = [content, *(old | {"parts": content["parts"]} for _ in range(count))]
    assert prose.faults(report_cost.headline([newest, *others[:count]])) == []


def test_the_box_on_the_committed_records():
    assert prose.faults(report_cost.headline(bench.records())) == []


def test_why_an_aim_is_missed_by_hand(content):
    parts = content["parts"]
    parts |= {f"profile/{LONG}": {"products": 4.0, "attention": 1.0, "rest": 3.0}}
    parts |= {f"profile/{LONG}/suffix": {"products": 0.2, "attention": 0.1, "rest": 0.1}}
    said = report_cost.read_profiles(content)
    assert (
        f"* *{report_cost.named(LONG)}, prefix*: Asked ≥ 1.5 ×, found 1.25 ×. Here products of matrices are 50% of our "
        "step, attention 12%. Were the rest free, the ratio would be 2.0."
    ) in said
    short = f"* *{report_cost.named(SHORT)}, prefix*: Asked ≥ 75 %, found 33.3 % of the peak rate. Here products of"
    assert short in said, "its ratio is met"
    assert f"{report_cost.named(LONG)}, suffix" not in said, "this aim is met"
    assert "Memory of one long row" not in said
    assert "Decoding" not in said, "nothing says where its time goes"
    parts["profile/decode/16"] = {"products": 1.0, "attention": 0.5, "rest": 0.5}
    assert (
        "* *Decoding 16 rows*: Asked ≥ 2 ×, found 1.5 ×. Here products of matrices are 50% of our time, attention 25%. "
        "Were the rest free, the ratio would be 6.0."
    ) in report_cost.read_profiles(content)
    parts[f"steps/{LONG}"]["ways"]["suffix"]["seconds"] = [9.0, 2.0]
    assert f"{report_cost.named(LONG)}, suffix*: Asked ≥ 13 ×, found 5 ×. Here" in report_cost.read_profiles(content)


def test_sentences_by_hand(content):
    said = report_cost.headline([content])
    assert said == (
        "**A step of PEFT takes 1.2 to 2.0 times as long as ours, for the same losses.** Those are 2 settings on "
        "a machine not named with 2 threads. With the prompt behind 1024 tokens it is 25. "
        "TSLoss adds 0.10% to a step. Of 14 aims 9 are met."
    )
    assert prose.faults(said) == []
    assert "PEFT's step becomes 5 times as long, the suffix step 2.5 times" in report_cost.read_growth(content)
    assert "25 times as fast at the short end, 50 times at the long one" in report_cost.read_growth(content)
    assert "Over 2 steps the losses differ by at most 1.0e-03" in report_cost.read_curves(content)
    assert "takes 3.0 ms at n = 20 and 500 ms at n = 1000" in report_cost.read_tsloss(content)
    assert "takes 50.0 times as long as TSLoss at n = 100, 100.0% of a step" in report_cost.read_tsloss(content)
    live = {"peft": Steps([9, 4.0], []), "prefix": Steps([9, 2.0], []), "suffix": Steps([9, 1.0], [])}
    assert report_cost.read_live(SHORT, live, content).endswith(
        "takes 2.0 (prefix) and 4.0 (suffix) times as long as ours, by medians; in the committed record, "
        "with the same setting, 2.0 (prefix) and 3.0 (suffix)."
    )
    assert report_cost.read_live(SHORT, live, {"parts": {}}).endswith("as long as ours, by medians.")


@pytest.fixture
def few(monkeypatch):
    """Three parts, of which the second cannot be measured at first."""
    state = {"asked": [], "broken": True}

    def part(name):
        def measure():
            state["asked"].append(name)
            if name == "b" and state["broken"]:
                raise ResourceError("torch-topological is not installed")
            return [len(state["asked"])]

        return measure

    monkeypatch.setattr(bench, "parts", lambda: {name: part(name) for name in "abc"})
    return state


def test_parts_that_are_there_are_not_measured_again(few, tmp_path, capsys):
    path = tmp_path / "deep" / "cost.json"
    assert bench.run(path)["parts"] == {"a": [1], "c": [3]}
    assert "b: not measured: torch-topological is not installed" in capsys.readouterr().out
    few["broken"] = False
    bench.run(path)
    assert few["asked"] == ["a", "b", "c", "b"]
    assert bench.load(path)["parts"] == {"a": [1], "c": [3], "b": [4]}
    assert bench.run(path, force=True)["parts"] == {"a": [5], "b": [6], "c": [7]}
    assert [one.name for one in path.parent.iterdir()] == ["cost.json"]


def test_parts_that_later_code_measured_are_said(few, tmp_path):
    """The rest stays that of the first; products of both are there once."""
    path = tmp_path / "cost.json"
    first = bench.run(path)
    first["environment"] |= {"code": "older", "kernels": {"mkl": "1x2x3"}}
    path.write_text(json.dumps(first))
    few["broken"] = False
    again = bench.run(path)
    assert again["environment"]["code"] == "older"
    assert again["later"].keys() == {"b"}
    assert again["later"]["b"] not in ("older", "")
    assert "1x2x3" in again["environment"]["kernels"]["mkl"].split()


def of_another_machine(path, *names):
    parts = {name: [0] for name in names}
    text = json.dumps({"environment": {"machine": "Another 9000", "threads": 64}, "parts": parts})
    path.write_text(text)
    return text


def test_a_file_with_all_parts_keeps_the_machine_that_measured_them(few, tmp_path):
    text = of_another_machine(tmp_path / "cost.json", *"abc")
    assert bench.run(tmp_path / "cost.json")["environment"]["machine"] == "Another 9000"
    assert (tmp_path / "cost.json").read_text() == text
    assert few["asked"] == []


def test_parts_of_two_machines_are_not_put_together(few, tmp_path):
    text = of_another_machine(tmp_path / "cost.json", "a")
    with pytest.raises(
        InputError, match=r"cost.json was measured on Another 9000 with 64 threads, this is .* \(--file\)"
    ):
        bench.run(tmp_path / "cost.json")
    assert (tmp_path / "cost.json").read_text() == text
    few["broken"] = False
    assert bench.run(tmp_path / "cost.json", force=True)["environment"]["machine"] != "Another 9000"


@pytest.mark.parametrize("text", ["", "{", "[]", '{"parts": []}', '{"parts": {}}', '{"parts": {}, "environment": 3}'])
def test_a_file_that_is_no_benchmark(tmp_path, text):
    path = tmp_path / "cost.json"
    path.write_text(text)
    with pytest.raises(ResourceError, match=r"cost.json is not a readable benchmark .*python -m tslib bench"):
        bench.load(path)


def test_a_folder_that_cannot_be_written(few, tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(ResourceError, match=r"cannot write .* free space or name another file"):
        bench.run(tmp_path / "file" / "cost.json")
    assert few["asked"] == []  # said before anything was measured


def test_the_command_prints_the_table(content, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(bench, "run", lambda path, force: content | {"asked": (path, force)})
    assert main(["bench", "--file", str(tmp_path / "cost.json")]) == 0
    said = capsys.readouterr().out
    assert f"suffix step, PEFT's prefix / ours: {report_cost.named(LONG)}" in said
    assert "25 ×" in said


@pytest.mark.parametrize("path", sorted(COMMITTED.glob("cost*.json")), ids=lambda path: path.stem)
def test_committed_benchmarks(path, monkeypatch):
    """One of before the kernels has fewer parts, and is not measured again."""
    content = bench.load(path)
    native = "rate/bfloat16" in content["parts"]
    monkeypatch.setattr(bench, "computes", lambda dtype, _device: native or dtype == "float32")
    lacking = set(bench.parts()) - set(content["parts"])
    assert set(content["parts"]) <= set(bench.parts())
    if "kernels" in content["environment"]:
        assert not lacking
    else:
        assert {name for name in lacking if "66 + 88" not in name} == {
            *(f"{what}decode/{rows}" for rows in bench.DECODED for what in ("", "profile/")),
            f"steps/{bench.APART}",
            *("places/steps", "places/looking"),
        }
    assert content["environment"]["device"] == "cpu"
    assert path.stat().st_size < 100_000
    # that of the first processor is of before decoding and a single problem were measured
    assert len(report_cost.requirements(content)) >= (16 if path == bench.PATH else 17)


def test_precisions_that_a_processor_has_are_measured(monkeypatch):
    monkeypatch.setattr(bench, "computes", lambda dtype, _device: dtype == "float32")
    assert not [name for name in bench.parts() if "bfloat16" in name]
    monkeypatch.setattr(bench, "computes", lambda *_: True)
    assert f"steps/{bench.both(LONG)[1]}" in bench.parts()
