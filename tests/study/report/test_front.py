"""What the front pages say, in each case."""

from pathlib import Path

import made_runs
import pytest
from made_runs import record

from tslib.models.registry import MODELS
from tslib.study.claims.sceptic import EXPERIMENTS, SCEPTIC, judged
from tslib.study.evidence import Evidence
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
            "The paper's baseline could not be reproduced either: at its learning rate, 5e-05, with prompts as they "
            "are, none of 3 runs is correct within 300 steps without TSLoss, and none of 3 with it (SmolLM2-135M, "
            "GSM8K); the paper has 154 iterations and 88.",
        ),
        (
            (None, 60, None),
            (30, 60, 90),
            "At the paper's learning rate, 5e-05, with prompts as they are, 1 of 3 runs is correct within 300 steps "
            "without TSLoss, and 3 of 3 with it (SmolLM2-135M, GSM8K). Without it they take 220 on average; the paper "
            "has 154 iterations and 88.",
        ),
        (
            (100, 60, 110),
            (None, None, None),
            "At the paper's learning rate, 5e-05, with prompts as they are, all 3 runs are correct within 300 steps "
            "without TSLoss, and none of 3 with it (SmolLM2-135M, GSM8K). Without it they take 90 on average; the "
            "paper has 154 iterations and 88.",
        ),
    ],
)
def test_the_papers_rate(tmp_path, alone, ours, said):
    assert front.papers_rate(at_the_papers_rate(tmp_path, alone, ours)) == said


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
        "Where prompts are multiplied by √d, as Gemma did under transformers 4, the same rate takes 150.0 iterations "
        "on SmolLM2-135M without TSLoss (ratio with it: 1.00 [1.00, 1.00]) and 200.0 (1 censored) iterations on "
        "Gemma-3-270M without TSLoss (ratio with it: 1.00 [1.00, 1.00]); 3 pairs, intervals of 97.5%."
    )
    one = made_runs.evidence(
        tmp_path / "one", grids, lambda c: make(c) if c.model != "gemma3-270m" else None, of=SCEPTIC
    )
    assert "Gemma-3-270M" not in scaled(one)


def test_of_missing_runs_nothing_is_said(tmp_path):
    nothing = made_runs.evidence(tmp_path, EXPERIMENTS["the paper's setting"].grids, lambda config: None, of=SCEPTIC)
    assert scaled(nothing) == ""
    assert front.papers_rate(made_runs.evidence(tmp_path, [front.PAPERS_RATE], lambda config: None)) == ""


def test_weights_are_said_to_be_of_the_kind_that_their_file_is_named_by():
    assert front.weights(["smollm2-135m", "gemma3-270m", "gemma-2b-it", "a/b"]) == (
        "Our models' weights were rounded before any run: they come from GGUF files of four-bit kinds, Q4_1 "
        "(SmolLM2-135M) and Q4_K_M (Gemma-3-270M), in which some numbers, the embeddings among them, keep more bits."
    )
    assert "four-bit kinds, Q4_1 (SmolLM2-135M), in" in front.weights(["smollm2-135m"])
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
    assert "95 % interval" in text
    assert "could not be reproduced either" in text
    assert "GGUF files of four-bit kinds, Q4_1 (SmolLM2-135M), in which" in text
