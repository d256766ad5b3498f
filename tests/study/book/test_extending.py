"""The page "Add a regulariser, a prompt method, a task or a model": its code, run as it stands, in a sweep."""

import re
from pathlib import Path

import pytest
import torch
import yaml

from tslib.losses.registry import REGULARIZERS
from tslib.prompts.methods import METHODS
from tslib.runs.store import RunStore
from tslib.runs.sweeps import Sweep, work

PAGE = (Path(__file__).resolve().parents[3] / "book" / "extending.md").read_text(encoding="utf-8")


def blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)


def test_the_page_does_what_it_says(tiny_model, own_cache, tmp_path, monkeypatch):
    for registry in (REGULARIZERS, METHODS):  # whatever the page adds goes again
        for name in ("target-norm", "decomposed"):
            monkeypatch.setitem(registry, name, None)
            monkeypatch.delitem(registry, name)
    code = blocks("python")
    assert len(code) == 2
    names = {}
    for block in code:
        exec(compile(block, "book/extending.md", "exec"), names)
    content = yaml.safe_load(blocks("yaml")[0])
    content["grids"][0]["fields"] |= {"model": tiny_model, "n_tokens": 6, "max_steps": 4, "answer_every": 0}
    content["grids"][0]["fields"] |= {"device": "cpu", "topology_every": 2, "task": "multiple-choice"}
    path = tmp_path / "sweep.yaml"
    path.write_text(yaml.safe_dump(content))
    sweep = Sweep.load(path)
    assert {(run.method, run.regularizer) for run in sweep.configs} == {
        (method, regularizer) for method in ("prompt-tuning", "decomposed") for regularizer in ("none", "target-norm")
    }
    store = RunStore(tmp_path / "runs")
    assert work(sweep, store, [run.hash for run in sweep.configs], progress=False) == []
    for config in sweep.configs:
        record = store.get(config)
        rank = int(torch.linalg.matrix_rank(record.prompts[4]))
        assert rank == (4 if config.method == "decomposed" else 6)
        if config.regularizer == "target-norm":
            norms = record.prompts[0].norm(dim=-1)
            error = float((norms - 1).square().mean())
            assert record.steps["norm_error"].iloc[0] == pytest.approx(error, rel=1e-5)
            assert record.steps["norm_error"].is_monotonic_decreasing
        else:
            assert record.results["final_cross_entropy"] < record.steps["cross_entropy"].iloc[0]
