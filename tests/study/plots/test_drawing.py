"""The diagram that the command line draws into a file."""

import numpy as np
import pytest

from tslib.errors import InputError
from tslib.study.plots.drawing import draw

SQUARE = np.array([[0.0, 0.0], [1.0, 0.0], [0.0, 1.0], [1.0, 1.0]], np.float32)


@pytest.mark.parametrize("name", ["x.txt", "x", ".png", "x.png.gz"])
def test_an_ending_that_is_no_images(tmp_path, name):
    with pytest.raises(InputError, match=r"does not end as an image does: give it one of the endings \..*\.png.*\.svg"):
        draw(SQUARE, tmp_path / name)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(("name", "begins"), [("x.png", b"\x89PNG"), ("y.PDF", b"%PDF")])
def test_an_image_is_of_the_kind_that_its_ending_says(tmp_path, name, begins):
    draw(SQUARE, tmp_path / name)
    assert (tmp_path / name).read_bytes().startswith(begins)
