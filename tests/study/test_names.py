"""Names a person uses."""

import pytest

from tslib.config import TuneConfig
from tslib.study.names import feature_name, model_name, setting_name, task_name
from tslib.study.report.settings import SENSITIVITY


@pytest.mark.parametrize(
    ("name", "said"),
    [("smollm2-135m", "SmolLM2-135M"), ("gemma3-270m", "Gemma-3-270M"), ("me/of-the-hub", "me/of-the-hub")],
)
def test_models(name, said):
    assert model_name(name) == said


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("gsm8k", "GSM8K"),
        ("mmlu", "MMLU"),
        ("bbh/navigate", "BIG-Bench Hard, navigate"),
        ("hotpotqa-short", "HotpotQA (short)"),
        ("needle-haystack", "needle-haystack"),
    ],
)
def test_tasks(name, said):
    assert task_name(name) == said


@pytest.mark.parametrize(
    ("field", "value", "said"),
    [
        ("init", None, "initialisation"),
        ("init", "vocabulary", "vocabulary initialisation"),
        ("n_tokens", 5, "5 virtual tokens"),
        ("weight", 10.0, "λ = 10"),
        ("tau", 0.1, "τ = 0.1"),
        ("metric", "cosine", "cosine distance"),
        ("dtype", "bfloat16", "bfloat16"),
        ("batch_size", 8, "batch_size = 8"),
    ],
)
def test_settings(field, value, said):
    assert setting_name(field, value) == said


def test_every_setting_that_is_varied_has_a_name():
    for field in SENSITIVITY:
        assert setting_name(field) != field
        assert field in TuneConfig().as_dict()


def test_features_with_and_without_formulas():
    assert feature_name("h0_mean_lifespan") == "mean $H_0$ lifespan"
    assert feature_name("h0_mean_lifespan", formulas=False) == "mean H0 lifespan"
    assert feature_name("max_distance") == "max distance"
