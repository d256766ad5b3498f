"""The boxes at the heads of pages: every case of each is a sentence that a person would say, and short."""

from pathlib import Path
from types import SimpleNamespace

import nbformat
import pandas as pd
import prose
import pytest

from tslib.records.record import COMMITTED
from tslib.stats import Interval
from tslib.study import claims
from tslib.study.claims import Finding
from tslib.study.claims.criteria import criteria
from tslib.study.evidence import Evidence
from tslib.study.report import coverage, findings, headline, meaning, sceptic, settings, tasks, treatment, verdicts
from tslib.study.report import structure as report_structure

pytestmark = pytest.mark.usefixtures("without_type_checks")  # stand-ins take the place of records

ROOT = Path(__file__).resolve().parents[3]
BELOW, AROUND, ABOVE = Interval(0.9, 0.85, 0.95), Interval(1.0, 0.9, 1.1), Interval(1.2, 1.1, 1.3)
LEVEL = Interval(1.0, 0.97, 1.03)
FEWER, SAME, MORE = Interval(-5, -6, -4), Interval(0, -1, 1), Interval(5, 4, 6)


@pytest.fixture
def numbers(monkeypatch):
    """Stand-ins for the numbers of the box on speed."""

    def make(speed, acted=30):
        of_all = (Interval(1.0, 0.93, 1.07), 60, 7)
        monkeypatch.setattr(claims, "geometric", lambda _, treated=True: (speed, acted, 4) if treated else of_all)
        monkeypatch.setattr(headline.stats, "mean_iterations", lambda table: 100.0)
        return SimpleNamespace(runs=lambda grid: pd.DataFrame({"regularizer": ["none", "tsloss"]}))

    return make


@pytest.mark.parametrize(
    ("speed", "said"),
    [
        (BELOW, "TSLoss makes tuning faster in our runs"),
        (ABOVE, "TSLoss makes tuning slower in our runs"),
        (LEVEL, "TSLoss makes tuning neither faster nor slower in our runs"),
        (AROUND, "We found no gain in speed from TSLoss"),
    ],
)
def test_speed(numbers, speed, said):
    box = headline.speed(numbers(speed))
    example = "To make SmolLM2-135M write one GSM8K solution word for word takes 100 steps with TSLoss, 100 without."
    paper = "The paper has 0.57, with Gemma-2B-IT."
    assert box == (
        f"**{said}.** {example} Over 30 pairs that last until TSLoss has acted, in four settings, the ratio is "
        f"{speed}. Over all 60 it is 1.00 [0.93, 1.07]. {paper}"
    )
    assert prose.faults(box) == []
    always = headline.speed(numbers(speed, acted=60))
    assert always == f"**{said}.** {example} Over 60 pairs, in four settings, the ratio is {speed}. {paper}"


@pytest.mark.parametrize("evens", [BELOW, AROUND])
@pytest.mark.parametrize(
    ("loops", "said"),
    [
        (MORE, ", and makes loops instead of removing them.** At step 300 a prompt has 5.0 [4.0, 6.0] loops more than"),
        (FEWER, ", and removes loops.** At step 300 a prompt has 5.0 [4.0, 6.0] loops fewer than one without."),
        (SAME, ", and neither makes nor removes loops.** At step 300 a prompt has 0.0 [-1.0, 1.0] loops more than"),
    ],
)
def test_the_cloud(evens, loops, said):
    box = headline.cloud(evens, loops)
    even = "TSLoss spaces tokens evenly, as designed" if evens is BELOW else "TSLoss does not space tokens evenly"
    assert box.startswith(f"**{even}{said}")
    assert box.endswith(f"between neighbouring tokens is {evens} of what it is without.")
    assert prose.faults(box) == []


def settings_row(regularizer="tsloss", pull=0.1, low=0.9, high=1.1, observed=True):
    return {"regularizer": regularizer, "pull": pull, "ratio_low": low, "ratio_high": high, "observed": observed}


@pytest.mark.parametrize(
    ("rows", "said"),
    [
        (
            [settings_row(), settings_row(low=1.1, high=1.3)],
            " Where it pulls harder, tuning is nowhere clearly faster: of 2 settings with a gradient of at least 5% of "
            "cross-entropy's none is clearly faster and one is clearly slower.",
        ),
        (
            [settings_row(low=0.7, high=0.9)] * 2,
            " Where it pulls harder, tuning is faster in part: of 2 settings with a gradient of at least 5% of "
            "cross-entropy's two are clearly faster and none is clearly slower.",
        ),
        ([settings_row(pull=0.01)], ""),
        ([settings_row("l2")], ""),
    ],
)
def test_what_tsloss_does(rows, said):
    cloud = headline.short(BELOW, MORE)
    box = treatment.finding(cloud, pd.DataFrame(rows))
    assert box == cloud + said
    assert prose.faults(box) == []


@pytest.mark.parametrize("lead", report_structure.FATES.values())
@pytest.mark.parametrize("beside", [Interval(-0.04, -0.3, 0.22), Interval(0.4, 0.1, 0.6)])
def test_structure(lead, beside):
    loops = report_structure.Loops(lead, 9.6, Interval(0.42, 0.05, 0.8), Interval(0.05, -0.1, 0.2), 300, 19)
    box = findings.of_structure(loops, beside, 0.866)
    assert box.startswith(f"**{lead}.** Of 9.6 loops there are 0.4 left at step 300, and 0.1 in the random walk.")
    gone = "is gone" if beside.low < 0 else "stays"
    assert f"0.87 for the mean $H_0$ lifespan, {gone} once task and step are taken out: {beside}." in box
    assert prose.faults(box) == []


@pytest.mark.parametrize(
    ("intervals", "said"),
    [
        ([AROUND] * 4, "**No setting made TSLoss faster or slower.** We tried 4 changes of 2 settings."),
        ([BELOW, AROUND], "**Of 2 changes of 2 settings, one made TSLoss faster, as chance would show: τ = 0.1.**"),
        (
            [BELOW, ABOVE],
            "**Of 2 changes of 2 settings, one made TSLoss faster and one slower, more than chance would show: τ = "
            "0.1, 5 virtual tokens.**",
        ),
        ([BELOW] * 4, "**Of 4 changes of 2 settings, four made TSLoss faster, more than chance would show.**"),
        ([AROUND, ABOVE], "**Of 2 changes of 2 settings, one made TSLoss slower, as chance would show: 5 virtual tok"),
        ([AROUND], "**No setting made TSLoss faster or slower.** We tried 1 change of 1 setting."),
    ],
)
def test_settings_that_were_changed(intervals, said):
    values = [("tau", 0.1), ("n_tokens", 5), ("tau", 10.0), ("n_tokens", 50)]
    rows = [
        {"setting": setting, "value": of, "low": low, "high": high}
        for (setting, of), (_, low, high) in zip(values, intervals, strict=False)
    ]
    box = findings.changed(pd.DataFrame(rows))
    assert box.startswith(said)
    assert prose.faults(box) == []


def compared(**intervals):
    """A comparison of methods with cross-entropy alone."""
    names = {"tsloss": "tsloss", "printed": "tsloss-printed", "l2": "l2", "random": "random-direction"}
    rows = [
        {"regularizer": names[name], "ratio": ratio, "low": low, "high": high}
        for name, (ratio, low, high) in intervals.items()
    ]
    return pd.DataFrame([{"regularizer": "none"}, *rows])


NOTHING, SLOWER = compared(tsloss=AROUND, l2=AROUND), compared(tsloss=AROUND, l2=ABOVE, random=(2.44, 2, 3))
TOPOLOGY, CONTROL = compared(tsloss=BELOW, l2=AROUND), compared(tsloss=AROUND, random=BELOW)


@pytest.mark.parametrize(
    ("gsm8k", "mmlu", "said"),
    [
        (
            SLOWER,
            NOTHING,
            "**No regulariser makes tuning faster.** On GSM8K L2 and random direction slow tuning down, 1.2-fold and "
            "2.4-fold. On MMLU no method makes a clear difference.",
        ),
        (
            TOPOLOGY,
            NOTHING,
            "**Topology helps where nothing else does.** On GSM8K TSLoss saves 10% of the steps, and nothing without "
            "topology does. On MMLU no method makes a clear difference.",
        ),
        (
            TOPOLOGY,
            CONTROL,
            "**What helps needs no topology.** On GSM8K TSLoss saves 10% of the steps, and nothing without topology "
            "does. On MMLU random direction saves 10% of the steps without any topology, more than TSLoss.",
        ),
        (
            NOTHING,
            pd.DataFrame(),
            "**No regulariser makes tuning faster.** On GSM8K no method makes a clear difference. On MMLU runs are "
            "missing.",
        ),
        (pd.DataFrame(), pd.DataFrame(), findings.NOTHING),
    ],
)
def test_baselines(gsm8k, mmlu, said):
    box = findings.of_baselines({"gsm8k": gsm8k, "mmlu": mmlu})
    assert box == said
    assert prose.faults(box) == []


@pytest.mark.parametrize(
    ("gains", "missing", "diverged", "said"),
    [
        (
            {"push-h0-up": (0, -1, 1), "push-h0-down": (0, -1, 1)},
            20,
            0,
            "**Neither longer H0 bars nor shorter H0 bars moved accuracy on unseen questions detectably.** So far 25 "
            "of 45 runs are made. Intervals are not corrected for two comparisons.",
        ),
        (
            {"push-h0-up": (0, -1, 1), "push-h0-down": (0, -1, 1), "push-h1-up": (0, -1, 1)},
            0,
            1,
            "**None of three pushes moved accuracy on unseen questions detectably.** Intervals are not corrected "
            "for three comparisons. 1 run diverged.",
        ),
        (
            {"push-h0-up": (0.1, 0.05, 0.15), "push-h0-down": (-0.1, -0.15, -0.05), "push-h1-up": (0, -1, 1)},
            0,
            0,
            "**Of three pushes on a shape, two moved accuracy on unseen questions: longer H0 bars raised it by 0.10 "
            "and shorter H0 bars lowered it by 0.10.** Intervals are not corrected for three comparisons.",
        ),
        (
            {"push-h0-up": (0, -1, 1)},
            0,
            0,
            "**Longer H0 bars, the only push tried, did not move accuracy on unseen questions detectably.**",
        ),
        ({}, 45, 0, "**Nothing is decided about causes.** So far 0 of 45 runs are made."),
    ],
)
@pytest.mark.parametrize("floor", [False, True])
def test_pushes(monkeypatch, gains, missing, diverged, said, floor):
    if floor and gains and not any(low > 0 or high < 0 for _, low, high in gains.values()):
        said += " Tuning does not lift accuracy above its floor here, so that this says little."
    above = Interval(0.0, -0.1, 0.1) if floor else Interval(0.2, 0.1, 0.3)
    monkeypatch.setattr(claims, "above_floor", lambda evidence, scores: {"mmlu": above})
    monkeypatch.setattr(claims, "held_out_gain", lambda scores, of, column, name: Interval(*gains[name]))
    ends = pd.DataFrame(
        {"iterations_to_correct": [1] * 3, "status": ["diverged"] * diverged + ["finished"] * (3 - diverged)}
    )
    stub = SimpleNamespace(
        evaluations=lambda *grids: pd.DataFrame({"regularizer": ["none", *gains]}),
        missing=lambda *grids: missing if len(grids) > 1 else 0,
        asked=lambda *grids: [None] * 45,
        runs=lambda *grids: ends,
    )
    assert findings.causation(stub) == said
    assert prose.faults(said) == []


@pytest.mark.parametrize(("far", "other"), [(2.0, 3), (0.9, 0)])
def test_meaning(far, other):
    rows = [
        {"step": step, "token": token, "id": token + 100 * (step and token < other)}
        for step in (0, 60)
        for token in range(20)
    ]
    box = meaning.finding(pd.DataFrame(rows), {"nearest": far})
    count = "Three" if other else "None"
    assert f" {count} of 20 have another nearest word than at the start." in box
    assert box.startswith("**In this run tuned tokens end " + ("2.0 times as far" if far > 1 else "as near to words"))
    assert prose.faults(box) == []


@pytest.mark.parametrize(
    ("maths", "choices", "said"),
    [
        (
            0.02,
            (0.19, 0.21),
            "**Before any tuning the small model does no better than guessing.** SmolLM2-135M solves 2% of GSM8K and "
            "19% to 21% of MMLU, where guessing gives 25%. Of 1 figure that its makers report, one lies in our "
            "intervals.",
        ),
        (
            0.3,
            (0.4, 0.4),
            "**Before any tuning the small model solves some of the benchmarks.** SmolLM2-135M solves 30%",
        ),
    ],
)
def test_the_untuned_model(maths, choices, said):
    rows = [{"task": "gsm8k", "score": maths, "low": 0.0, "high": 0.1, "shots": 5}]
    rows += [{"task": "mmlu", "score": score, "low": 0.1, "high": 0.3, "shots": 5} for score in choices]
    box = tasks.untuned(pd.DataFrame(rows))
    assert box.startswith(said)
    assert prose.faults(box) == []
    assert prose.faults(tasks.untuned(pd.DataFrame(rows[:1]))) == []


@pytest.mark.parametrize("bootstrap", [(0.7, 0.9), (0.94, 0.95), (0.9, 0.95)])
def test_coverage(bootstrap):
    rows = [{"interval": "BCa bootstrap", "n": 5, "covered": share} for share in bootstrap]
    box = coverage.read(pd.DataFrame([*rows, {"interval": "Fieller", "n": 5, "covered": 0.95}]))
    assert prose.faults(box) == []
    assert ("too narrow" in box) == (max(bootstrap) < 0.93)


def judged(*found, regularizer="tsloss"):
    return pd.DataFrame([{"which": "all pairs", "regularizer": regularizer, "found": one} for one in found])


@pytest.mark.parametrize(
    ("found", "said"),
    [
        ({}, "**No reply can be judged yet: of ten experiments none is whole.**"),
        (
            {"stronger": judged("undecided", "slower", "slower"), "the answer": judged("not treated")},
            "**So far no reply changes the answer: TSLoss is faster in none of its experiments.** Four settings were "
            "looked at. In two it is slower. In one it does not space tokens more evenly, so that nothing is said of "
            "its effect. Of ten experiments eight have no whole grid yet.",
        ),
        (
            {"the paper's setting": judged("faster", "faster"), "stronger": judged("no difference that matters")},
            "**TSLoss is faster in the paper's setting.** Three settings were looked at. In one there is no difference "
            "that",
        ),
    ],
)
def test_replies(found, said):
    box = sceptic.of_summary(found, 10)
    assert box.startswith(said)
    assert prose.faults(box) == []


def test_replies_of_all_experiments():
    kinds = ["undecided", "slower", "no difference that matters", "not treated", "not observed"]
    box = sceptic.of_summary({str(number): judged(*kinds) for number in range(10)}, 10)
    assert box.startswith("**No reply changes the answer")
    assert prose.faults(box) == []


def value(setting, of, ratio, high=None):
    row = {"setting": setting, "value": of, "ratio": ratio, "low": ratio - 0.05, "high": high or ratio + 0.05}
    return row | {"pairs": 5, "iterations": 100 * ratio, "default": 100.0, "dtype": "bfloat16", "model": "smollm2-135m"}


@pytest.mark.parametrize(
    ("rows", "said"),
    [
        (
            [value("init", "vocabulary", 0.51), value("n_tokens", 50, 0.8)],
            "**Starting from words instead of noise halves the steps on GSM8K.** Without TSLoss SmolLM2-135M takes 51 "
            "steps in place of 100: a ratio of 0.51 [0.46, 0.56], the best of two settings on 5 pairs in bfloat16.",
        ),
        (
            [value("init", "text", 0.7)],
            "**Starting from a text instead of noise saves 30% of the steps on GSM8K.** Without TSLoss SmolLM2-135M "
            "takes 70 steps in place of 100: a ratio of 0.70 [0.65, 0.75], the only setting tried on 5 pairs in "
            "bfloat16.",
        ),
        (
            [value("n_tokens", 50, 0.8)],
            "**A prompt of 50 tokens instead of 20 saves 20% of the steps on GSM8K.** Without",
        ),
        (
            [value("n_tokens", 50, 0.9, high=1.1), value("init", "text", 0.95)],
            "**No other start or length clearly helps.** The best is a prompt of 50 tokens instead of 20: a ratio "
            "of 0.90 [0.85, 1.10], the best of two settings on 5 pairs in bfloat16.",
        ),
    ],
)
def test_what_helps_without_tsloss(rows, said):
    box = settings.read_by_itself(pd.DataFrame(rows))
    assert box.startswith(said)
    assert prose.faults(box) == []


def verdict(word, but=""):
    return Finding(word, "said", "change", but=but)


NAMES = list(criteria())


@pytest.mark.parametrize(
    ("held", "failed", "open_", "said"),
    [
        (
            {"C1": "by construction", "C2": "as for noise", "C4": "more than noise"},
            ("C9", "C11"),
            NAMES[4:8],
            "**Of the paper's fifteen claims three hold, two of them by construction or for noise as well.** Two fail, "
            "*faster convergence everywhere* among them. Ten are undecided. By the rules as they were registered "
            "nothing is judged otherwise.",
        ),
        ({}, ("C11",), (), "**Of the paper's fifteen claims none holds.** One fails: *the weight: best at 1, fails at"),
        ({"C9": ""}, (), (), "**Of the paper's fifteen claims one holds.** Fourteen are undecided."),
    ],
)
def test_verdicts(held, failed, open_, said):
    found = {
        name: verdict("reproduced", held[name])
        if name in held
        else verdict("contradicted" if name in failed else "undecided")
        for name in NAMES
    }
    box = verdicts.summary(found, found)
    assert box.replace("14 are", "Fourteen are").startswith(said)
    assert prose.faults(box) == []
    other = found | {"C3": verdict("reproduced")}
    assert verdicts.summary(other, found).endswith("one is judged otherwise.")
    assert verdicts.otherwise(other, found) == (
        "The rules as they were registered judge 14 of them alike, the others not: "
        "*loops vanish faster with more samples* is reproduced."
    )


def test_claims_without_a_verdict_are_counted_and_each_has_a_short_name():
    none = dict.fromkeys(NAMES, verdict(None))
    box = verdicts.summary(none, none)
    assert box.startswith("**Of the paper's fifteen claims none holds.** For 15 runs are missing.")
    assert list(verdicts.SHORT) == NAMES
    table = verdicts.named(none | {"C1": verdict("reproduced", "by construction")})
    assert "| **Holds** (1) | a constant number of components (by construction) |" in table
    assert "| **Runs are missing** (14) | loops vanish without TSLoss; " in table
    assert prose.raw_names(table) == []


@pytest.mark.parametrize("path", sorted((ROOT / "notebooks").glob("*.ipynb")), ids=lambda path: path.stem)
def test_boxes_that_are_written_by_hand(path):
    boxes = [
        cell.source
        for cell in nbformat.read(path, as_version=4).cells
        if cell.cell_type == "markdown" and "finding" in cell.metadata.get("tags", [])
    ]
    assert [prose.faults(box) for box in boxes] == [[]] * len(boxes)


def test_boxes_of_the_committed_records():
    """Those that take no second to compute."""
    evidence = Evidence()
    assert COMMITTED.is_dir()
    boxes = (headline.speed(evidence), findings.causation(evidence), coverage.read(coverage.load()))
    assert [prose.faults(box) for box in boxes] == [[]] * 3
    assert min(map(len, boxes)) > 50
