"""Memory of a tuning step: exact parameter counts, arithmetic a person can redo, agreement with what a step took."""

import subprocess
import sys
from pathlib import Path

import pytest
from made_models import shorten

from tslib.errors import InputError, ResourceError
from tslib.kernels.target_loss import CHUNK
from tslib.models import loading as models
from tslib.models.loading import MODELS
from tslib.tuning import memory, memory_steps
from tslib.tuning.memory import GIB, estimate, fits, measured_peak, table

PARAMETERS = {
    "smollm2-135m": 134_515_008,
    "gemma3-270m": 268_098_176,
    "gemma-2b-it": 2_506_172_416,
    "open-llama-7b": 6_738_415_616,
    "deepseek-7b-chat": 6_910_365_696,
    "qwen1.5-14b-chat": 14_167_290_880,
}
LONG = 4200
"""Tokens of a question that is longer than a pass: its activations are computed again, layer by layer."""


@pytest.mark.parametrize("name", MODELS)
def test_parameters_are_exact(name: str) -> None:
    assert memory.parameters(name) == PARAMETERS[name]


@pytest.mark.parametrize("name", ["smollm2-135m", "gemma3-270m"])
def test_the_config_of_an_embedded_model_is_that_of_its_folder(name: str, request: pytest.FixtureRequest) -> None:
    folder = str(request.getfixturevalue(name.replace("-", "_")) if name.startswith("gemma") else models.fetch(name))
    sizes = {"question": 600, "batch": 2}
    assert memory.parameters(folder) == PARAMETERS[name]
    assert estimate(folder, **sizes) == estimate(name, **sizes)
    ours, theirs = memory.config_of(name), memory.config_of(folder)
    assert getattr(ours, "layer_types", None) == getattr(theirs, "layer_types", None)
    assert ours.max_position_embeddings == theirs.max_position_embeddings


def test_a_row_longer_than_a_pass_keeps_the_activations_of_one_layer() -> None:
    """Each of the 30 layers keeps what enters it, 576 float32 numbers a position; besides, one layer's activations."""
    short, long = (estimate("smollm2-135m", question=size, target=16) for size in (3000, 6000))
    assert long.activations < short.activations / 4
    assert long.activations == pytest.approx(31 * 6036 * 576 * 4, rel=0.1)


def test_weights_and_prompt() -> None:
    need = estimate("smollm2-135m", n_tokens=7, question=20, target=5)
    assert need.weights == 134_515_008 * 4
    assert need.prompt == 4 * 7 * 576 * 4  # P, gradient, two moments; float32
    assert need.total == need.weights + need.activations + need.logits + need.prompt
    half = estimate("smollm2-135m", n_tokens=7, question=20, target=5, dtype="bfloat16")
    assert half.weights == 134_515_008 * 2
    assert half.prompt == need.prompt


def test_logits_of_few_positions_at_a_time() -> None:
    few, many = (estimate("gemma3-270m", question=30, target=size) for size in (50, 500))
    assert few.logits == pytest.approx(50 * 262_144 * 4, rel=0.02)
    assert many.logits == pytest.approx(CHUNK * 4, rel=0.05)


def test_without_a_mask_activations_are_linear_in_the_context() -> None:
    one, two, three = (
        estimate("open-llama-7b", question=size, target=20, n_tokens=20).activations for size in (460, 960, 1460)
    )
    assert three - two == two - one > 0


def test_several_rows_keep_no_mask() -> None:
    two, three, four = (
        estimate("open-llama-7b", question=460, target=20, n_tokens=20, batch=batch).activations for batch in (2, 3, 4)
    )
    assert four - three == pytest.approx(three - two, rel=0.01)
    masks = 32 * 500 * 500 * 4  # of one more row, if each layer kept its own
    alone = estimate("open-llama-7b", question=460, target=20, n_tokens=20).activations
    assert three - two < 1.25 * alone < 2 * alone + masks


@pytest.mark.parametrize(
    ("name", "dtype", "question", "batch"),
    [
        ("smollm2-135m", "float32", 600, 2),
        ("gemma3-270m", "bfloat16", 600, 2),
        ("smollm2-135m", "float32", LONG, 1),
    ],
)
def test_few_layers_say_what_all_layers_take(name: str, dtype: str, question: int, batch: int) -> None:
    config = memory.config_of(name)
    shorten(config, 12)
    shape, sizes = config.to_json_string(use_diff=False), (20, question, 10, batch, dtype, "cpu")
    assert memory_steps.fake_step(shape, *sizes) == memory_steps.fake_pass(shape, *sizes)


def six_layers(name: str, folder: Path) -> str:
    """A model's shape with six of its layers and 32,768 words: where rows are long, or bfloat16 is imitated, all take
    minutes."""
    config = memory.config_of(name)
    shorten(config)
    config.vocab_size = 2**15
    config.save_pretrained(folder)
    (folder / "model.safetensors").touch()
    return str(folder)


@pytest.mark.parametrize(
    ("name", "few", "dtype", "question", "target", "batch"),
    [
        ("smollm2-135m", False, "float32", 200, 60, 1),
        ("smollm2-135m", True, "float32", LONG, 20, 1),
        ("gemma3-270m", True, "bfloat16", 300, 20, 2),
    ],
)
def test_prediction_agrees_with_a_real_step(
    name: str, few: bool, dtype: str, question: int, target: int, batch: int, tmp_path: Path
) -> None:
    if few:
        name = six_layers(name, tmp_path)
    sizes = {"question": question, "target": target, "batch": batch, "dtype": dtype}
    measured = measured_peak(name, device="cpu", **sizes)
    assert estimate(name, device="cpu", **sizes).total == pytest.approx(measured, rel=0.15)


def test_table() -> None:
    frame = table(["smollm2-135m", "open-llama-7b"], n_tokens=[20, 100], context=[256, 4096], dtypes=["bfloat16"])
    assert len(frame) == 2 * 2 * 2
    assert list(frame["model"]) == ["smollm2-135m"] * 4 + ["open-llama-7b"] * 4
    assert list(frame["too_long"]) == [False] * 6 + [True] * 2  # open_llama_7b has 2048 positions
    row = frame.iloc[4]
    need = estimate("open-llama-7b", n_tokens=20, question=256 - 20 - 60, target=60, dtype="bfloat16")
    assert row["total"] == pytest.approx(need.total / GIB)
    assert row["weights"] == pytest.approx(6_738_415_616 * 2 / GIB)
    assert row["machine"] == "16 GiB"


@pytest.mark.parametrize(
    ("gib", "machine"),
    [
        (0, "8 GiB"),
        (7.19, "8 GiB"),
        (7.21, "16 GiB"),
        (21.5, "24 GiB"),
        (71, "80 GiB"),
        (73, "2 × 80 GiB"),
        (145, "more"),
    ],
)
def test_fits_leaves_a_tenth(gib: float, machine: str) -> None:
    assert fits(int(gib * GIB)) == machine


@pytest.mark.parametrize("function", [estimate, measured_peak])
@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ({"question": 0}, "question is 0: give at least 1"),
        ({"target": -1}, "target is -1"),
        ({"batch": 0}, "batch is 0"),
        ({"n_tokens": 0}, "n_tokens is 0"),
        ({"dtype": "int8"}, "dtype 'int8' is unknown: give one of float32"),
    ],
)
def test_bad_arguments(function, arguments: dict, says: str) -> None:
    with pytest.raises(InputError, match=says):
        function("smollm2-135m", **arguments)


def test_unknown_devices(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(InputError, match="device 'tpu' is unknown"):
        measured_peak("smollm2-135m", device="tpu")
    monkeypatch.setattr(memory.models, "resolve_device", lambda device: device)
    with pytest.raises(InputError, match="device 'mps' keeps no account of its peak: give cpu or cuda"):
        measured_peak("smollm2-135m", device="mps")


def test_a_step_that_fails_says_why(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(memory.models, "resolve_device", lambda device: device)
    with pytest.raises(ResourceError, match=r"the step of smollm2-135m with 1 × 280 tokens failed: .*(?i:cuda|nvidia)"):
        measured_peak("smollm2-135m", device="cuda:99")


def test_unknown_names() -> None:
    with pytest.raises(InputError, match=r"unknown model 'gpt-9': give one of smollm2-135m"):
        estimate("gpt-9")
    with pytest.raises(InputError, match="question is -24"):
        table(["smollm2-135m"], n_tokens=[100], context=[136])


def test_import_is_quick() -> None:
    code = "import sys, tslib.tuning.memory; print('torch' in sys.modules, 'transformers' in sys.modules)"
    assert subprocess.check_output([sys.executable, "-c", code], text=True).split() == ["False", "False"]
