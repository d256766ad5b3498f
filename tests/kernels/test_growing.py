"""States of rows that are being decoded: attention of one token a row against torch's over all that is before it."""

import pytest
import torch
from torch.nn import functional
from torch.testing import assert_close

from tslib.kernels import growing as kernel
from tslib.kernels.attention import _Attention
from tslib.kernels.growing import Growing
from tslib.kernels.layout import Packing

HEADS, KEY_HEADS, SIZE = 4, 2, 3
BEFORE, HEAD, LENGTHS, ROOMS = 2, 3, [4, 1, 6], [5, 5, 2]


def random(heads, length):
    return torch.randn(1, heads, length, SIZE, dtype=torch.float64)


@pytest.mark.parametrize("window", [None, 1, 4])
@pytest.mark.parametrize("behind_states", [False, True])
@pytest.mark.parametrize("few", [0, 64])
def test_each_row_attends_to_all_of_its_own(window, behind_states, few, monkeypatch):
    """Three steps; after the first the first row leaves, so that the last one takes its place."""
    monkeypatch.setattr(kernel, "FEW", few)  # a head that rows share, or of which each has a copy
    torch.manual_seed(0)
    before = ((random(KEY_HEADS, BEFORE), random(KEY_HEADS, BEFORE)),) if behind_states else ()
    growing = Growing(Packing.of(HEAD, LENGTHS, before=before), ROOMS)
    key, value = random(KEY_HEADS, HEAD + sum(LENGTHS)), random(KEY_HEADS, HEAD + sum(LENGTHS))
    growing.begin(0, key, value)

    def whole(states, index):
        """Of each row: what is before, the head, its rest."""
        head, *rests = states.split([HEAD, *LENGTHS], 2)
        return [torch.cat([*(pair[index] for pair in before), head, rest], 2) for rest in rests]

    keys, values = whole(key, 0), whole(value, 1)
    first = HEAD + (BEFORE if behind_states else 0)
    for step in range(3):
        assert growing.positions.tolist() == [part.shape[2] for part in keys]
        query, key, value = (random(heads, len(keys)) for heads in (HEADS, KEY_HEADS, KEY_HEADS))
        out = growing.attend(0, query, key, value, 0.7, window)
        for row in range(len(keys)):
            keys[row], values[row] = (
                torch.cat([part[row], new[:, :, row : row + 1]], 2) for part, new in ((keys, key), (values, value))
            )
            last = slice(0 if window is None else -window, None)
            given = (part.repeat_interleave(HEADS // KEY_HEADS, 1)[:, :, last] for part in (keys[row], values[row]))
            expected = functional.scaled_dot_product_attention(query[:, :, row : row + 1], *given, scale=0.7)
            assert_close(out[0, row], expected[0, :, 0])
        growing.grow()
        if step == 0:
            growing.leave(0)
            keys, values = [keys[2], keys[1]], [values[2], values[1]]
    copied = 0 if few == 0 else first
    assert growing.lengths == [copied + length + 3 for length in (LENGTHS[2], LENGTHS[1])]
    assert growing.head == first


@pytest.mark.parametrize("few", [HEAD - 1, HEAD])
def test_the_buffer_has_the_right_size_and_a_long_head_is_there_once(few, monkeypatch):
    monkeypatch.setattr(kernel, "FEW", few)
    growing = Growing(Packing.of(HEAD, LENGTHS), ROOMS)
    growing.begin(0, *(random(KEY_HEADS, HEAD + sum(LENGTHS)) for _ in range(2)))
    shared, copied = (HEAD, 0) if few < HEAD else (0, HEAD)
    for head, own in growing.layers[0]:
        assert head.shape == (KEY_HEADS, shared, SIZE)
        assert own.shape == (3, KEY_HEADS, copied + 4 + 5, SIZE), "the longest with its room: 4 + 5, 1 + 5, 6 + 2"


def test_a_row_alone_is_all_head():
    growing = Growing(Packing.of(5, []), [7])
    growing.begin(0, random(KEY_HEADS, 5), random(KEY_HEADS, 5))
    assert growing.layers[0][0][1].shape == (1, KEY_HEADS, 5 + 7, SIZE)
    assert growing.positions.tolist() == [5]


def test_steps_are_those_of_the_pass_over_all_at_once():
    torch.manual_seed(0)
    query, key, value = random(HEADS, 9), random(KEY_HEADS, 9), random(KEY_HEADS, 9)
    growing = Growing(Packing.of(6, []), [3])
    growing.begin(0, key[:, :, :6], value[:, :, :6])
    steps = []
    for at in range(6, 9):
        steps.append(growing.attend(0, *(states[:, :, at : at + 1] for states in (query, key, value)), 1.0, None))
        growing.grow()
    assert_close(torch.cat(steps, 1), _Attention(1.0, None).causal(query, key, value)[:, 6:])


def test_what_lies_in_memory_behind_a_row_does_not_count(monkeypatch):
    """A weight of zero times no number is no number."""
    once = torch.Tensor.new_empty
    monkeypatch.setattr(torch.Tensor, "new_empty", lambda *args, **given: once(*args, **given).fill_(torch.nan))
    growing = Growing(Packing.of(1, [1, 3]), [2, 2])
    growing.begin(0, random(KEY_HEADS, 5), random(KEY_HEADS, 5))
    assert growing.attend(0, random(HEADS, 2), random(KEY_HEADS, 2), random(KEY_HEADS, 2), 1.0, None).isfinite().all()
