"""A sight that a test makes up: pictures and questions as tensors, without a model, an encoder or a projector."""

import torch
from torch import Tensor

from tslib.vision.sight import Pair, Sight


class MadeSight(Sight):
    """What a model would see.

    Parameters
    ----------
    pictures
        (64, d) tokens of each picture, by its name.
    questions
        (d,) vector of each question, by its words.
    """

    def __init__(self, pictures: dict[str, Tensor], questions: dict[str, Tensor]) -> None:
        self.made, self.asked = torch.stack(list(pictures.values())), questions
        self.numbers = {name: number for number, name in enumerate(pictures)}
        asked = [Pair(picture, words) for picture in pictures for words in questions]
        self.pairs = {pair: number for number, pair in enumerate(asked)}
        self.fuse = None

    def pictures(self, numbers: Tensor) -> Tensor:
        return self.made[numbers]

    def question(self, words: str) -> Tensor:
        return self.asked[words]
