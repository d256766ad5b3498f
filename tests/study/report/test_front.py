"""What the front pages say, in each case."""

from pathlib import Path

import made_runs
import pandas as pd
import pytest
import torch
from made_runs import record
from peft import PromptTuningConfig, PromptTuningInit

from tslib.config import TuneConfig
from tslib.models.registry import MODELS
from tslib.prompts.initial import INITIALIZERS
from tslib.runs.store import RunStore
from tslib.stats import Interval
from tslib.study import plots
from tslib.study.claims.sceptic import EXPERIMENTS, SCEPTIC, judged
from tslib.study.evidence import Evidence
from tslib.study.paper import GSM8K_RATIO
from tslib.study.report import front

ROOT = Path(__file__).resolve().parents[3]


def at_the_papers_rate(folder, alone, ours):
    """The grid at the paper's rate, with the iterations of its three pairs."""
    steps = {"none": alone, "tsloss": ours}
    return made_runs.evidence(folder, [front.PAPERS_RATE], lambda c: record(c, steps[c.regularizer][c.seed]))


@pytest.mark.parametrize(
    ("alone", "ours", "said"),
    [
        (
            (None, None, None),
            (None, None, None),
            "The paper's baseline could not be reproduced where prompts enter the model unscaled. "
            "At the paper's learning rate, 5e-05, none of 3 runs "
            "is correct within 300 steps without TSLoss, and none of 3 with it (SmolLM2-135M, GSM8K); the paper has "
            "154 steps and 88.",
        ),
        (
            (None, 60, None),
            (30, 60, 90),
            "At the paper's learning rate, 5e-05, 1 of 3 runs is correct within 300 steps without TSLoss, and 3 of 3 "
            "with it (SmolLM2-135M, GSM8K). Without it they take 220 steps on average; the paper has 154 and 88.",
        ),
        (
            (100, 60, 110),
            (None, None, None),
            "At the paper's learning rate, 5e-05, all 3 runs are correct within 300 steps without TSLoss, and none of "
            "3 with it (SmolLM2-135M, GSM8K). Without it they take 90 steps on average; the paper has 154 and 88.",
        ),
    ],
)
def test_the_papers_rate(tmp_path, alone, ours, said):
    assert front.papers_rate(at_the_papers_rate(tmp_path, alone, ours)) == said


def helped(value, high):
    """A setting that takes seven tenths of the steps."""
    setting = "n_tokens" if isinstance(value, int) else "init"
    return {"setting": setting, "value": value, "ratio": 0.7, "low": 0.6, "high": high, "pairs": 5}


def scaled(second):
    return front.papers_scale(second, judged(second, second, front.PAPERS_SETTING))


def test_the_papers_rate_where_prompts_are_scaled(tmp_path):
    """Three pairs of each model, each as fast with TSLoss; of the one model the last run without is censored."""

    def make(config):
        never = config.model == "gemma3-270m" and config.seed == 202
        return record(config, None if never else 150, 300 if never else 160, deaths=lambda step: [1.0, 2.0])

    grids = EXPERIMENTS["the paper's setting"].grids
    (tmp_path / "one").mkdir()
    both = made_runs.evidence(tmp_path, grids, make, of=SCEPTIC)
    assert scaled(both) == (
        "Gemma multiplied prompts by √d under transformers 4. So did we, at the same rate. With SmolLM2-135M all 3 "
        "runs are correct without TSLoss, after 150 steps on average, and the ratio with it is 1.00 [1.00, 1.00]. With "
        "Gemma-3-270M 2 of 3 runs are correct without TSLoss, after 150 steps on average, and the ratio with it is "
        "1.00 [1.00, 1.00]. Intervals are of 97.5%, on 3 pairs. TSLoss's gradient is at most 10.0% of "
        "cross-entropy's there, and tokens are spaced no more evenly."
    )
    one = made_runs.evidence(
        tmp_path / "one", grids, lambda c: make(c) if c.model != "gemma3-270m" else None, of=SCEPTIC
    )
    assert "Gemma-3-270M" not in scaled(one)
    (tmp_path / "even").mkdir()
    even = made_runs.evidence(
        tmp_path / "even",
        grids,
        lambda c: record(c, 150, 160, deaths=lambda step: [1.0, (2.0 if c.regularizer == "none" else 1.1)]),
        of=SCEPTIC,
    )
    assert scaled(even).endswith("on 3 pairs."), "TSLoss does even them out"
    (tmp_path / "never").mkdir()
    never = made_runs.evidence(tmp_path / "never", grids, lambda c: record(c, None, 300), of=SCEPTIC)
    assert "With SmolLM2-135M none of 3 runs is correct without TSLoss, and none with it." in scaled(never)


def test_of_missing_runs_nothing_is_said(tmp_path):
    nothing = made_runs.evidence(tmp_path, EXPERIMENTS["the paper's setting"].grids, lambda config: None, of=SCEPTIC)
    assert scaled(nothing) == ""
    assert front.papers_rate(made_runs.evidence(tmp_path, [front.PAPERS_RATE], lambda config: None)) == ""


def test_the_rates_at_which_speed_is_compared(tmp_path):
    """Those of the sweep's grids, which the committed runs have."""
    assert front.own_rates(Evidence(store=RunStore(tmp_path))) == ""
    assert front.own_rates(Evidence()) == (
        "Speed is compared at learning rates that suit tuning without TSLoss: "
        "0.03 with SmolLM2-135M and 0.01 with Gemma-3-270M."
    )


def test_the_front_page_says_how_many_bits_weights_have():
    bits = {MODELS[name].quantisation[1] for name in ("smollm2-135m", "gemma3-270m")}
    assert bits == {"4"}
    assert "models with weights of four bits, SmolLM2-135M and Gemma-3-270M." in " ".join(
        (ROOT / "book" / "introduction.md").read_text(encoding="utf-8").split()
    )


def test_weights_are_said_to_be_of_the_kind_that_their_file_is_named_by():
    assert front.weights(["smollm2-135m", "gemma3-270m", "gemma-2b-it", "a/b"]) == (
        "Our models' weights were rounded to four bits before any run: they come from GGUF files, Q4_1 for "
        "SmolLM2-135M and Q4_K_M for Gemma-3-270M, in which some numbers, the embeddings among them, keep more bits."
    )
    assert "GGUF files, Q4_1 for SmolLM2-135M, in" in front.weights(["smollm2-135m"])
    assert front.weights(["gemma-2b-it"]) == ""
    assert MODELS["gemma-2b-it"].quantisation is None


def test_the_embedded_weights_are_rounded_as_is_said(smollm2_135m):
    """Q4_1 keeps 32 neighbours in sixteen levels; in the embeddings there are more."""
    model = smollm2_135m.model

    def levels(weight):
        return max(len(block.unique()) for block in weight.reshape(-1, 32)[:200])

    assert (
        levels(model.model.layers[3].mlp.up_proj.weight) == levels(model.model.layers[9].self_attn.q_proj.weight) == 16
    )
    assert levels(model.get_input_embeddings().weight) > 16


def test_readme_holds_what_the_committed_records_say():
    """Renewed by ``python -m tslib readme``."""
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    assert front.readme(text, Evidence()) == text
    assert "could not be reproduced where prompts enter the model unscaled" in text
    assert "GGUF files, Q4_1 for SmolLM2-135M" in text


@pytest.mark.usefixtures("without_type_checks")
@pytest.mark.parametrize(
    ("speed", "rows", "said"),
    [
        (Interval(1.0, 0.9, 1.1), [], "Do not add TSLoss to save steps. "),
        (Interval(0.8, 0.7, 0.9), [], "Try TSLoss, with λ = 1. "),
        (
            Interval(1.0, 0.9, 1.1),
            [helped("vocabulary", 0.8)],
            "Do not add TSLoss to save steps. Try prompts that start from words: `--init vocabulary` here, "
            '`prompt_tuning_init="SAMPLE_VOCAB"` in PEFT, whose default is noise fifty times as large as the '
            "paper's. ",
        ),
        (Interval(1.0, 0.9, 1.1), [helped("vocabulary", 1.1)], "Do not add TSLoss to save steps. "),
        (Interval(1.0, 0.9, 1.1), [helped(50, 0.8)], "Do not add TSLoss to save steps. "),
    ],
)
def test_what_to_do_and_the_figure_follow_the_records(monkeypatch, speed, rows, said):
    monkeypatch.setattr(front.claims, "geometric", lambda evidence: (speed, 60, 7))
    monkeypatch.setattr(front.settings, "by_itself", lambda evidence: pd.DataFrame(rows))
    assert front.to_do(None) == f"{said}That is what small models say: on yours, [compare for yourself](running.md)."
    shown = front.rows(None)
    assert len(shown) == 2 + len(rows)
    assert shown.iloc[:2]["value"].tolist() == [GSM8K_RATIO, speed.value]
    faster = (shown["high"] < 1).any()
    assert front.caption(shown).startswith("Shorter bars are faster" if faster else "Bars at the dashed line")
    bars = plots.steps_needed(shown).axes[0].patches
    assert [bar.get_width() for bar in bars] == [100 * value for value in shown["value"][::-1]]


def test_noise_of_peft_is_as_large_as_is_said():
    """PEFT's default start is that of an embedding of torch."""
    embed = torch.nn.Embedding(1000, 1000)
    ours = INITIALIZERS["gaussian"](TuneConfig(n_tokens=1000), embed, None, 1.0)
    assert (embed.weight.std() / ours.std()).item() == pytest.approx(50, rel=0.01)
    assert PromptTuningConfig().prompt_tuning_init == PromptTuningInit.RANDOM
    assert set(front.IN_PEFT.values()) <= set(PromptTuningInit.__members__)
