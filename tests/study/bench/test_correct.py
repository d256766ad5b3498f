"""Time to a correct prompt: the criterion by hand, and each way on a problem that takes a few steps."""

import pytest
import torch

from tslib.errors import InputError
from tslib.study.bench.correct import _right, to_correct

pytestmark = pytest.mark.filterwarnings("ignore:`is_gradient_checkpointing` is deprecated:FutureWarning")  # PEFT's


@pytest.mark.parametrize(("said", "right"), [((4, 2), True), ((4, 3), False), ((1, 2), False)])
def test_right_by_hand(said, right):
    """Two virtual tokens before three; logits of a position predict the next one, and only targets count."""
    logits = torch.zeros(1, 5, 6)
    logits[0, 2, said[0]] = logits[0, 3, said[1]] = 1
    logits[0, 4, 5] = logits[0, 0, 5] = 9
    assert _right(logits, torch.tensor([[-100, 4, 2]])) == right


def test_each_way_until_it_is_right(toy_task):
    """PEFT's start is too far for its default rate; with the recipe it gets there, as our loop does."""
    toy_task(("What is the capital of France?", "Paris"))
    limits = {"peft": 3, "peft, recipe": 25, "fast": 25, "fast, suffix": 25}
    found = {way: to_correct("toy", 0, limit, [way])[way] for way, limit in limits.items()}
    assert found.pop("peft").iterations is None
    assert {way for way, one in found.items() if one.iterations not in range(1, 25)} == set()
    assert all(one.seconds > 0 for one in found.values())
    with pytest.raises(InputError, match="unknown ways"):
        to_correct("toy", 0, 5, ["slow"])
