import dataclasses
import hashlib

import pytest
from pydantic import ValidationError

from tslib.config import GUIDED, SCHEMA_VERSION, TuneConfig, explain
from tslib.losses.registry import REGULARIZERS
from tslib.presets import FAST, PRESETS, SETTINGS, SUITED
from tslib.tasks import FAMILIES

FIELDS = [field.name for field in dataclasses.fields(TuneConfig)]

# For every field a value that is allowed and is not its default.
OTHER = {
    "model": "gemma3-270m",
    "task": "gsm8k",
    "samples": 2,
    "sample_seed": 1,
    "seed": 1,
    "shots": 2,
    "method": "p-tuning",
    "n_tokens": 21,
    "projector": "aerial-resnet18",
    "blocks": 16,
    "gate": "softmax",
    "gate_width": 64,
    "gate_keys": "position",
    "gate_queries": "constant",
    "prompt_place": "after-picture",
    "regularized": "fused",
    "placement": "suffix",
    "init": "text",
    "init_text": "Think.",
    "prompt_scale": "sqrt_d",
    "position_encoding": "sinusoidal",
    "prompt_dtype": "float16",
    "superposed": 64,
    "lr_unit": "embedding",
    "optimizer": "adam",
    "warmup_steps": 5,
    "schedule": "cosine",
    "beta1": 0.8,
    "beta2": 0.95,
    "weight_decay": 0.1,
    "max_grad_norm": 1.0,
    "regularizer": "l2",
    "weight": 0.5,
    "metric": "cosine",
    "tau": 2.0,
    "alpha": 5.0,
    "beta_h0": 0.0,
    "beta_h1": 0.0,
    "lambda_repel": 0.0,
    "lambda_attract": 0.0,
    "lr": 0.125,
    "batch_size": 4,
    "pass_tokens": 1024,
    "question_cache": 0.0,
    "max_context": 512,
    "max_steps": 10,
    "check_every": 2,
    "answer_every": 0,
    "max_new_tokens": 16,
    "stop_when_correct": False,
    "topology_every": 5,
    "dtype": "bfloat16",
    "device": "cpu",
}
"""For each field a value that is not its default."""
# another method does not go with all of these
TOGETHER = {field: value for field, value in OTHER.items() if field not in GUIDED} | {"method": "prompt-tuning"}


@pytest.mark.parametrize(
    ("field", "value", "allowed"),
    [
        ("task", "gsm9k", f"unknown task 'gsm9k': choose one of {', '.join(FAMILIES)}"),
        ("regularizer", "tsloss2", f"unknown; known: {', '.join(REGULARIZERS)}"),
        ("placement", "infix", "Input should be 'prefix' or 'suffix'"),
        ("init", "zeros", "Input should be 'gaussian', 'embedding-gaussian', 'vocabulary', 'text' or 'superposition'"),
        ("schedule", "step", "Input should be 'linear', 'cosine' or 'constant'"),
        ("lr_unit", "d", "Input should be 'one' or 'embedding'"),
        ("beta2", 1.0, "Input should be less than 1"),
        ("warmup_steps", -1, "Input should be greater than or equal to 0"),
        ("max_grad_norm", -1.0, "Input should be greater than or equal to 0"),
        ("prompt_scale", "d", "Input should be 'none' or 'sqrt_d'"),
        ("optimizer", "sgd", "Input should be 'adamw' or 'adam'"),
        ("dtype", "int8", "Input should be 'float32', 'bfloat16', 'float16' or 'auto'"),
        ("preset", "best", "Input should be 'paper', 'tuned', 'fast' or 'public-code'"),
        ("model", "", "String should have at least 1 character"),
        ("init_text", "", "String should have at least 1 character"),
        ("samples", 0, "Input should be greater than or equal to 1"),
        ("n_tokens", 0, "Input should be greater than or equal to 1"),
        ("batch_size", -8, "Input should be greater than or equal to 1"),
        ("max_steps", 0, "Input should be greater than or equal to 1"),
        ("check_every", 0, "Input should be greater than or equal to 1"),
        ("topology_every", 0, "Input should be greater than or equal to 1"),
        ("max_new_tokens", 0, "Input should be greater than or equal to 1"),
        ("seed", -1, "Input should be greater than or equal to 0"),
        ("sample_seed", -1, "Input should be greater than or equal to 0"),
        ("answer_every", -1, "Input should be greater than or equal to 0"),
        ("weight", -0.5, "Input should be greater than or equal to 0"),
        ("beta_h0", -1.0, "Input should be greater than or equal to 0"),
        ("lambda_attract", -1.0, "Input should be greater than or equal to 0"),
        ("tau", 0.0, "Input should be greater than 0"),
        ("alpha", -10.0, "Input should be greater than 0"),
        ("lr", 0, "Input should be greater than 0"),
        ("lr", 1e38, f"Input should be less than or equal to {10**30}"),
        ("seed", 2**63, f"Input should be less than {2**63}"),
        ("sample_seed", 10**20, f"Input should be less than {2**63}"),
        ("max_steps", 10**400, f"Input should be less than {2**63}"),
        ("lr", float("inf"), "Input should be a finite number"),
        ("weight", float("nan"), "Input should be a finite number"),
        ("samples", 1.5, "Input should be a valid integer, got a number with a fractional part"),
        ("n_tokens", "many", "Input should be a valid integer, unable to parse string as an integer"),
        ("device", 0, "Input should be a valid string"),
        ("learning_rate", 1e-3, f"unknown; known: {', '.join(FIELDS)}, preset"),
    ],
)
def test_an_impossible_config(field, value, allowed):
    with pytest.raises(ValidationError) as caught:
        TuneConfig(**{field: value})
    assert explain(caught.value) == f"{field}={value!r}: {allowed}"


def test_a_validation_error_is_a_value_error_that_names_field_and_value():
    with pytest.raises(ValueError, match=r"(?s)n_tokens.*greater than or equal to 1.*input_value=0"):
        TuneConfig(n_tokens=0)


def test_several_errors_in_one_line():
    with pytest.raises(ValidationError) as caught:
        TuneConfig(samples=0, placement="infix")
    assert explain(caught.value) == (
        "samples=0: Input should be greater than or equal to 1; placement='infix': Input should be 'prefix' or 'suffix'"
    )


@pytest.mark.parametrize("field", FIELDS)
def test_frozen(field):
    config = TuneConfig()
    with pytest.raises(dataclasses.FrozenInstanceError, match=field):
        setattr(config, field, OTHER[field])


def test_presets():
    assert TuneConfig(preset="paper").lr == TuneConfig(preset="paper").learning_rate == 5e-5
    assert TuneConfig().lr == TuneConfig(preset="tuned").lr == PRESETS["tuned"]
    assert PRESETS["tuned"] > PRESETS["paper"]


@pytest.mark.parametrize("preset", ["paper", "tuned"])
def test_a_learning_rate_wins_over_the_preset(preset):
    assert TuneConfig(lr=0.02, preset=preset).lr == 0.02


@pytest.mark.parametrize("preset", SETTINGS)
def test_what_is_given_goes_before_a_preset(preset):
    """Also where what is given is the default of the field."""
    made, plain = TuneConfig(preset=preset), TuneConfig()
    for name, value in SETTINGS[preset].items():
        assert getattr(made, name) == value != getattr(plain, name)
        given = TuneConfig(preset=preset, **{name: getattr(plain, name)})
        assert given == dataclasses.replace(made, **{name: getattr(plain, name)})


@pytest.mark.parametrize("method", SUITED)
def test_a_method_has_settings_where_no_preset_is_given(method):
    made, plain = TuneConfig(method=method), TuneConfig(method=method, preset="tuned")
    assert made == dataclasses.replace(plain, **SUITED[method])
    for name in SUITED[method]:
        given = TuneConfig(method=method, **{name: getattr(plain, name)})
        assert given == dataclasses.replace(made, **{name: getattr(plain, name)})
    assert TuneConfig(method=method, preset="fast") == dataclasses.replace(plain, lr=PRESETS["fast"], **FAST)


def test_a_preset_is_the_same_config_as_its_learning_rate():
    assert TuneConfig(preset="paper") == TuneConfig(lr=5e-5)
    assert TuneConfig(preset="paper").hash == TuneConfig(lr=5e-5).hash


@pytest.mark.parametrize("config", [TuneConfig(), TuneConfig(preset="paper"), TuneConfig(**TOGETHER)])
def test_round_trip(config):
    assert list(config.as_dict()) == FIELDS
    assert TuneConfig(**config.as_dict()) == config
    assert TuneConfig(**config.as_dict()).hash == config.hash


def test_replace_keeps_the_learning_rate():
    config = dataclasses.replace(TuneConfig(preset="paper"), seed=3)
    assert (config.lr, config.seed) == (5e-5, 3)


def test_hash_is_stable():
    """Committed records are found by it: should this fail, none is found any more."""
    assert SCHEMA_VERSION == 1
    text = b'{"lr": 0.001, "regularizer": "tsloss", "schema": 1, "task": "gsm8k"}'
    assert hashlib.sha256(text).hexdigest()[:12] == "453d17c2e697"
    assert TuneConfig(task="gsm8k", regularizer="tsloss", lr=1e-3).hash == "453d17c2e697"


@pytest.mark.parametrize("field", FIELDS)
def test_hash_differs_with_any_field(field):
    usual = {"method": "grasp"} if field in GUIDED else {}
    assert TuneConfig(**usual, **{field: OTHER[field]}).hash != TuneConfig(**usual).hash


def test_hash_leaves_out_what_equals_the_default():
    defaults = {field.name: field.default for field in dataclasses.fields(TuneConfig)}
    assert TuneConfig(**defaults | {"lr": 1e-3}).hash == TuneConfig(lr=1e-3).hash


@pytest.mark.parametrize(
    "field", ["weight", "tau", "alpha", "beta_h0", "beta_h1", "lambda_repel", "lambda_attract", "lr"]
)
def test_an_integer_for_a_number_is_the_same_config(field):
    whole, real = TuneConfig(**{field: 2}), TuneConfig(**{field: 2.0})
    assert isinstance(getattr(whole, field), float)
    assert whole == real
    assert whole.hash == real.hash


def test_hash_changes_with_the_schema(monkeypatch):
    before = TuneConfig().hash
    monkeypatch.setattr("tslib.config.SCHEMA_VERSION", SCHEMA_VERSION + 1)
    assert TuneConfig().hash != before
