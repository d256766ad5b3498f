"""Interventions on a gate, and measures of what it chooses, in cases made by hand."""

import math

import pytest
import torch
from made_sights import MadeSight
from torch.testing import assert_close

from tslib.config import TuneConfig
from tslib.errors import InputError
from tslib.prompts.soft_prompt import SoftPrompt
from tslib.vision.gates import chosen, gradient_of_scores, intervene, spread
from tslib.vision.grasp import GraspPrompt
from tslib.vision.sight import Pair

LEFT = "Is there water in the lower left quarter of the picture?"
RIGHT = "Is there water in the upper right quarter of the picture?"
ANY = "Is there water in the picture?"
ASKED = {LEFT: torch.tensor([0.0, 0, 1, 0]), RIGHT: torch.tensor([0.0, 1, 0, 0]), ANY: torch.zeros(4)}
BLOCKS = torch.eye(4)


def picture(*order: int) -> torch.Tensor:
    """Tokens whose four quarters are unit vectors, in some order."""
    quarters = BLOCKS[list(order)].view(2, 2, 4)
    return quarters.repeat_interleave(4, 0).repeat_interleave(4, 1).flatten(0, 1)  # (64, 4)


def prompt_of(gate="sparsemax", *, blocks=4, sharp=8.0, **fields):
    """A prompt whose score of a block is what the block's token and the question have in common."""
    sight = MadeSight({"one": picture(0, 1, 2, 3), "other": picture(3, 2, 1, 0)}, dict(ASKED))
    fields |= {"method": "grasp", "n_tokens": 1, "gate_width": 4, "gate_keys": "content", "device": "cpu"}
    config = TuneConfig(gate=gate, blocks=blocks, **fields)
    prompt = GraspPrompt(10.0 * torch.eye(blocks, 4), config, sight)
    with torch.no_grad():
        for matrix in (prompt.keys, prompt.queries) if gate not in ("known", "uniform") else ():
            matrix.copy_(4 * sharp**0.5 * torch.eye(4))
    return prompt


PAIRS = [Pair(name, words) for name in ("one", "other") for words in (LEFT, RIGHT, ANY)]


def test_measures_by_hand():
    found = chosen(prompt_of(), PAIRS)
    # of the first picture the gate finds the quarter that is named; of the other one the vector lies elsewhere
    assert found["right"].tolist()[:2] == [1, 1]
    assert found["right"].tolist()[3:5] == [0, 0]
    assert found["right"][2] == 1, "it names none, so all are right"
    assert found["support"].tolist() == [1, 1, 4, 1, 1, 4]
    assert found["entropy"].tolist() == pytest.approx([0, 0, 1, 0, 0, 1])
    known = chosen(prompt_of("known", blocks=16), PAIRS[:1])
    assert known.iloc[0].tolist() == pytest.approx([1, 4, math.log(4) / math.log(16)])
    assert chosen(prompt_of("uniform", blocks=1), PAIRS[:1]).iloc[0].tolist() == [1, 1, 0]


def weights(prompt, *pairs):
    return prompt.weights([Pair(*pair) for pair in pairs]).detach()


def test_another_question_for_the_gate_alone():
    prompt = prompt_of()
    own = {words: weights(prompt, ("one", words))[0] for words in ASKED}
    intervene(prompt, "question", seed=3)
    swapped = {words: weights(prompt, ("one", words))[0] for words in ASKED}
    for words, found in swapped.items():
        assert not torch.equal(found, own[words])
        assert any(torch.equal(found, one) for one in own.values())
    # what is fused is of those weights, while the pair is the one that was asked for
    assert_close(prompt.fuse([0])[0, 0], 10 * swapped[LEFT])


def test_another_picture_for_the_gate_alone():
    prompt = prompt_of()
    one, other = weights(prompt, ("one", LEFT), ("other", LEFT))
    intervene(prompt, "picture")
    assert torch.equal(weights(prompt, ("one", LEFT), ("other", LEFT)), torch.stack([other, one]))


def test_weights_on_other_blocks():
    prompt = prompt_of()
    before = weights(prompt, ("one", LEFT), ("one", RIGHT), ("one", ANY))
    intervene(prompt, "blocks", seed=1)
    after = weights(prompt, ("one", LEFT), ("one", RIGHT), ("one", ANY))
    assert_close(after.sort().values, before.sort().values)
    assert not (after[:2].argmax(-1) == before[:2].argmax(-1)).any()
    assert torch.equal(after[2], before[2]), "of equal weights the order does not matter"


def test_nothing_changes_without_an_intervention():
    prompt = prompt_of()
    before = weights(prompt, ("one", LEFT))
    intervene(prompt, "none")
    assert torch.equal(weights(prompt, ("one", LEFT)), before)


def test_what_cannot_be_changed_is_told():
    with pytest.raises(InputError, match="intervention=question is on the gate of a run with method=grasp: give one"):
        intervene(SoftPrompt(torch.zeros(2, 4)), "question")
    prompt = prompt_of("uniform", blocks=1)
    with pytest.raises(InputError, match="intervention=blocks needs another block to put in its place"):
        intervene(prompt, "blocks")


def test_spread_by_hand():
    # two prompts at a right angle, of length 5: √50 apart
    bank = torch.tensor([[[3.0, 0], [4, 0]], [[0, 3], [0, 4]]])
    assert spread(bank) == pytest.approx(50**0.5 / 5)
    assert spread(bank[:1].repeat(4, 1, 1)) == 0
    assert spread(bank[:1]) == 0


def test_the_gradient_of_scores_by_hand():
    prompt = prompt_of("softmax")
    pair, upstream = [Pair("one", LEFT)], torch.tensor([[[1.0, 2, 3, 4]]])
    (found,) = gradient_of_scores(prompt, pair, upstream)
    (own,) = weights(prompt, ("one", LEFT))
    along = 10 * torch.tensor([1.0, 2, 3, 4])  # g · P_i
    assert_close(found, own * (along - (own * along).sum()))
    with torch.no_grad():
        prompt.weight.copy_(torch.ones(4, 4))
    assert_close(gradient_of_scores(prompt, pair, upstream), torch.zeros(1, 4), atol=1e-5, rtol=0)
