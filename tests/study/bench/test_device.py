"""The check of a device: it passes on a CPU, fails where a kernel is wrong, and is told as it was found."""

import json

import pytest
import torch

from tslib.__main__ import main
from tslib.config import TuneConfig
from tslib.errors import ResourceError
from tslib.kernels import target_loss
from tslib.study.bench import device as bench_device
from tslib.study.bench.device import Check, Device
from tslib.study.report import device as report_device

on_cuda = pytest.mark.skipif(not torch.cuda.is_available(), reason="needs CUDA, which is not on this machine")

# the Trainer asks a property of the model that transformers is about to rename
TRAINER = pytest.mark.filterwarnings("ignore:`is_gradient_checkpointing` is deprecated:FutureWarning")


@TRAINER
def test_a_small_check_of_the_cpu_passes(tmp_path, capsys):
    path = tmp_path / "gpu.json"
    assert main(["check-device", "--device", "cpu", "--small", "--file", str(path)]) == 0
    content = bench_device.load(path)
    assert all(one["met"] for one in content["checks"])
    assert len(content["checks"]) == 2 * 3 * 4 + 2, "precisions, methods, what is held against the reference; a state"
    assert [part["model"] for part in content["steps"]] == list(bench_device.LARGE)
    assert all(len(way["seconds"]) == 3 for part in content["steps"] for way in part["ways"].values())
    assert {len(times) for times in content["seconds"].values()} == {3}
    out = capsys.readouterr().out
    assert "all 26 checks are met" in out
    assert "A small check: narrow models" in out


@pytest.fixture
def quick(monkeypatch):
    """The comparison of one method in float32, and nothing else."""
    monkeypatch.setattr(bench_device, "LARGE", ())
    monkeypatch.setattr(bench_device, "METHODS", {"prefix": {}})
    monkeypatch.setattr(bench_device, "BOUNDS", {"float32": bench_device.BOUNDS["float32"]})
    monkeypatch.setattr(bench_device, "_resumed", lambda _: [])
    monkeypatch.setattr(bench_device, "_seconds", lambda _: {})


def test_a_kernel_that_is_wrong_is_found(quick, tmp_path, monkeypatch, capsys):
    """Its gradient is a hundredth too long. The probes before a run find that, too, and the rows go another way."""
    right = target_loss._TargetLoss.backward

    def wrong(ctx, total, matches):
        gradient, *others = right(ctx, total, matches)
        return 1.01 * gradient, *others

    path = tmp_path / "gpu.json"
    asked = ["check-device", "--device", "cpu", "--small", "--file", str(path)]
    assert main(asked) == 0
    capsys.readouterr()
    monkeypatch.setattr(target_loss._TargetLoss, "backward", staticmethod(wrong))
    assert main(asked) == 1
    out, err = capsys.readouterr()
    assert "error: 1 of 4 checks are not met: do not trust runs on cpu" in err
    assert "1 of 4 checks are not met: prefix, float32: rows go" in out
    monkeypatch.setattr(bench_device, "way_of", lambda *_: "packed")  # what no probe looks at is found as well
    monkeypatch.setattr("tslib.prompts.forward.way_of", lambda *_: "packed")
    assert main(asked) == 1
    assert "1 of 4 checks are not met: prefix, float32: gradient" in capsys.readouterr().out


def test_bounds_and_words():
    assert Check("a", 0.1, 0.1).met
    assert not Check("a", 0.11, 0.1).met
    assert not Check("a", float("nan"), 0.1).met
    assert Check("a", "packed", "packed").met
    assert not Check("a", "alone", "packed").met


def test_a_loss_that_is_no_number_is_not_met():
    one, other = (bench_device.Trace(torch.ones(2), losses) for losses in ([1.0, float("nan"), 1.0], [1.0, 1.0, 1.0]))
    assert bench_device._apart(one, other) == {"loss": 0.0, "gradient": 0.0, "loss of a step": float("inf")}
    assert bench_device._apart(other, other)["loss of a step"] == 0


def test_what_a_device_without_native_bfloat16_is_told(monkeypatch):
    monkeypatch.setattr("tslib.models.loading.resolve_dtype", lambda *_: "float32")
    monkeypatch.setattr("tslib.models.loading.computes", lambda *_: False)
    assert Device("cuda:0").dtypes() == ["float32"]
    assert Device("cuda:0").notes() == [
        "bfloat16 is not computed natively on cuda:0: it is slow",
        "float16 is not computed natively on cuda:0: it is slow",
        "dtype auto is float32",
    ]
    monkeypatch.setattr("tslib.models.loading.computes", lambda *_: True)
    monkeypatch.setattr("tslib.models.loading.resolve_dtype", lambda *_: "bfloat16")
    assert Device("cuda:0").dtypes() == ["float32", "bfloat16"]
    assert Device("cuda:0").notes() == [
        "bfloat16 is computed natively on cuda:0",
        "float16 is computed natively on cuda:0",
        "dtype auto is bfloat16",
    ]


def test_large_models_are_left_out_of_a_whole_check_of_a_cpu():
    notes = []
    assert bench_device._steps(Device("cpu"), "gemma-2b-it", notes) == []
    assert notes == ["gemma-2b-it: steps are timed on CUDA alone"]


def test_a_device_that_is_not_here(capsys, tmp_path):
    assert main(["check-device", "--device", "cuda:99", "--file", str(tmp_path / "gpu.json")]) == 1
    assert "device 'cuda:99' is not on this machine" in capsys.readouterr().err


@pytest.fixture
def content():
    """What a GPU might have found."""
    ways = {
        "peft": {"seconds": [9.0, 0.2, 0.4], "peak": 2**31},
        "prefix": {"seconds": [9.0, 0.1, 0.1], "peak": 2**30},
    }
    setting = {"model": "gemma-2b-it", "dtype": "bfloat16", "batch": 8, "question": 60, "answer": 60, "n_tokens": 20}
    return {
        "environment": {"machine": "a GPU", "device": "cuda", "packages": {"torch": "2.13"}},
        "notes": ["open-llama-7b: 14 GiB and room for PEFT do not fit in 10 GiB"],
        "checks": [
            Check("loss", 0.25, 0.5)._asdict() | {"met": True},
            Check("way", "a", "b")._asdict() | {"met": False},
        ],
        "steps": [setting | {"ways": ways}],
        "seconds": {"tsloss/20/2048": [0.001, 0.003, 0.002]},
    }


def test_what_was_found_by_hand(content):
    checks, steps, seconds = report_device.tables(content)
    assert checks.to_numpy().tolist() == [["loss", "0.25", "≤ 0.5", "yes"], ["way", "a", "b", "no"]]
    assert steps.to_dict("records") == [
        {
            "setting": "Gemma-2B-IT, 8 × (60 + 60), bfloat16",
            **{
                "peft, s": "0.3",
                "prefix, s": "0.1",
                "peft / prefix": "3.00",
                "peft, GiB": "2.00",
                "prefix, GiB": "1.00",
            },
        }
    ]
    assert seconds.to_numpy().tolist() == [["TSLoss, with gradient", 20, 2048, 2.0]]
    assert report_device.read(content) == (
        "On a GPU, with torch 2.13, 1 of 2 checks are not met: way. Open-llama-7b: 14 GiB and room for PEFT do not fit "
        "in 10 GiB."
    )
    assert report_device.tables(None) == []
    assert report_device.read(None).startswith("Nothing on this page was run on a GPU.")


def test_files_that_are_none(tmp_path):
    path = tmp_path / "gpu.json"
    assert bench_device.load(path) is None
    path.write_text(json.dumps({"checks": []}))
    with pytest.raises(ResourceError, match=r"is no check of a device .*: make it with make gpu"):
        bench_device.load(path)


def test_the_committed_file_is_of_a_whole_check_that_is_met():
    found = bench_device.load()
    if found is None:
        pytest.skip("no check of a GPU is committed: data/results/gpu.json")
    assert not found["small"]
    assert found["environment"]["device"] == "cuda"
    assert all(one["met"] for one in found["checks"])


@TRAINER
@pytest.mark.gpu
@on_cuda
def test_a_small_check_of_a_gpu_passes(tmp_path):
    assert main(["check-device", "--device", "cuda", "--small", "--file", str(tmp_path / "gpu.json")]) == 0
    found = bench_device.load(tmp_path / "gpu.json")
    assert all(way["peak"] > 0 for part in found["steps"] for way in part["ways"].values())


@pytest.mark.gpu
@on_cuda
@pytest.mark.parametrize("fields", [{}, {"placement": "suffix"}, {"method": "p-tuning-v2"}, {"dtype": "bfloat16"}])
def test_a_run_on_a_gpu_is_that_of_the_cpu(tiny_model, fields):
    from tslib.tuning.loop import tune

    shared = {"model": tiny_model, "task": "multiple-choice", "samples": 3, "n_tokens": 4, "max_steps": 5, "lr": 0.001}
    there, here = (
        tune(TuneConfig(**shared | fields, answer_every=0, device=name), progress=False) for name in ("cuda", "cpu")
    )
    bound = 1e-4 if "dtype" not in fields else 0.02
    assert there.steps["cross_entropy"].tolist() == pytest.approx(here.steps["cross_entropy"].tolist(), rel=bound)
