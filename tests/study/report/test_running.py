"""What an experiment costs: operations by hand, memory and machines as tslib.tuning.memory has them."""

import re

import pytest

from tslib.study.report import running
from tslib.tuning import memory


@pytest.mark.parametrize(
    ("name", "layers", "table"),
    [
        # 30 layers: queries and outputs 576², keys and values 576 · 192, three of 576 · 1536, two norms; a last norm
        ("smollm2-135m", 30 * (2 * 576**2 + 2 * 576 * 192 + 3 * 576 * 1536 + 2 * 576) + 576, 49_152 * 576),
        ("open-llama-7b", 32 * (4 * 4096**2 + 3 * 4096 * 11_008 + 2 * 4096) + 4096, 32_000 * 4096),
    ],
    ids=["tied", "with a head of its own"],
)
def test_operations_by_hand(name, layers, table):
    assert running.operations(name, positions=280, targets=60) == 4 * (280 * layers + 60 * table)


def test_the_table_of_costs():
    head, _, row, _, said = running.costs(["smollm2-135m"]).splitlines()
    total = memory.estimate("smollm2-135m").total
    cells = re.split(r" *\| *", row.strip("| "))
    assert len(cells) == len(re.split(r" *\| *", head.strip("| ")))
    assert cells[:4] == ["`smollm2-135m`", "0.1·10⁹", f"{total / 2**30:.1f}", memory.fits(total)]
    assert "300 steps on one row of 280 positions" in said
    assert running.PAPERS == ("gemma-2b-it", "open-llama-7b", "deepseek-7b-chat", "qwen1.5-14b-chat")
