"""Any causal language model: what tslib does with its rows is what transformers does, or is refused in one line."""

import json

import pytest
from architectures import KINDS, RESULTS, small, tried

TABLE = json.loads(RESULTS.read_text(encoding="utf-8"))["found"]


@pytest.mark.filterwarnings("ignore")  # of transformers' own code for an architecture
@pytest.mark.parametrize("kind", KINDS)
def test_an_architecture(kind):
    """Losses, gradients and replies of ragged rows, short ones and beyond a window, against each row by itself."""
    assert tried(small(kind)) == TABLE[kind]


def test_the_table_is_of_these():
    assert list(TABLE) == list(KINDS)
    refused = [kind for kind, found in TABLE.items() if "refused" in found]
    assert refused == ["deepseek_v4", "xlm"]
