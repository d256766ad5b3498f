"""Tables and sentences of the chapter on one's own training."""

from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
import torch

from tslib.config import TuneConfig
from tslib.study.report import topology as report_topology
from tslib.study.report import training as report_training
from tslib.tuning.loop import tune


def test_sentences():
    table = pd.DataFrame({"step": [1, 2, 3], "loss": [4.0, 3.5, 0.25]})
    assert report_training.read_loss(table, "loss") == "The loss goes from 4.000 at step 1 to 0.250 at step 3."
    ours = torch.tensor([[[9.0, 9.0], [1.0, -8.0]]])
    theirs = torch.tensor([[[9.0, 9.0], [1.25, -8.0]]])
    said = report_training.read_difference(ours, theirs)
    assert said == "The largest difference of a logit is 2.5e-01; the largest logit is 9.0."
    assert report_training.read_difference(ours, ours) == "All logits are the same, to the last bit."
    ratios = pd.DataFrame({"regularizer": ["none", "a", "b", "c"], "gradient ratio": [0.0, 0.05, 0.2, 0.01]})
    assert "2 of 3 are shorter than a tenth" in report_training.read_regularizers(ratios)


def test_a_trainer_s_log_has_its_steps_only():
    lines = [{"step": 1, "loss": 2.0, "ts/h0": 1.0}, {"step": 2, "loss": 1.0}, {"train_runtime": 3.0}]
    table = report_training.history(SimpleNamespace(state=SimpleNamespace(log_history=lines)))
    assert table["loss"].tolist() == [2.0, 1.0]
    assert np.isnan(table["ts/h0"].iloc[1])


def test_tables_are_made_of_records(tiny_model):
    settings = {"model": tiny_model, "n_tokens": 4, "max_steps": 2, "answer_every": 0, "device": "cpu"}
    records = [
        tune(TuneConfig(**settings, method=name), progress=False) for name in ("prompt-tuning", "p-tuning-v2", "lora")
    ]
    table = report_training.methods(records).set_index("method")
    assert table["trained numbers"].tolist()[:2] == [4 * 16, 2 * 4 * 16]  # 2 layers, a key and a value of 8 numbers
    assert table.loc["LoRA", "trained numbers"] == 2 * (8 * (16 + 16) + 8 * (16 + 8))  # queries and values of 2 layers
    assert table["cloud"].tolist() == ["4 × 16", "2 × 4 × 16", "none"]
    assert table["cross-entropy, first"].tolist() == [record.steps["cross_entropy"].iloc[0] for record in records]
    record = tune(TuneConfig(**settings, regularizer="tsloss"), progress=False)
    (row,) = report_training.regularizers([record]).to_dict("records")
    first = record.steps.iloc[0]
    assert (row["regularizer"], row[""]) == ("tsloss", "TSLoss")
    assert row["gradient ratio"] == pytest.approx(first["grad_norm_reg"] / first["grad_norm_ce"])


def test_a_cloud_described_by_hand():
    """Three points on a line at 0, 1 and 3: components die at 1 and 2, and there is no loop."""
    said = report_topology.describe(np.array([[0.0], [1.0], [3.0]]))
    assert said.startswith("3 virtual tokens in 1 dimensions, euclidean distance\nh0_count             3\n")
    assert "h0_mean_lifespan     1.5\n" in said
    assert said.endswith("H0: [0, inf), [0, 2), [0, 1)\nH1: no bars")
    many = report_topology.describe(np.arange(20.0)[:, None] ** 2)
    assert many.splitlines()[-2].endswith(" and 8 shorter")
