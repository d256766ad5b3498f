"""Greedy decoding in batches, against transformers on each row alone."""

import pytest
import torch

from tslib.prompts.decoding import generate
from tslib.prompts.encoding import Encoded, decode, encode
from tslib.prompts.soft_prompt import SoftPrompt
from tslib.tasks import Example

QUESTIONS = ["What is the capital of France?", "Name a fruit.", "Count from one to five, please, in words."]


@pytest.fixture(scope="module")
def rows(smollm2_135m):
    return [
        Encoded(encode(smollm2_135m.tokenizer, Example(f"toy/train/{i}", text, "x", "x")).question, [])
        for i, text in enumerate(QUESTIONS)
    ]


def alone(loaded, row, longest) -> list[int]:
    """Ids that transformers decodes from token ids, without embeddings of ours and without padding."""
    ids = torch.tensor([row.question])
    out = loaded.model.generate(ids, do_sample=False, max_new_tokens=longest, eos_token_id=2, pad_token_id=2)
    return out[0, len(row.question) :].tolist()


def test_without_a_prompt_it_is_what_transformers_decodes(smollm2_135m, rows):
    together = generate(*smollm2_135m, None, rows, max_new_tokens=12)
    for ids, row in zip(together, rows, strict=True):
        expected = alone(smollm2_135m, row, 12)
        assert ids[: len(expected)] == expected
        assert set(ids[len(expected) :]) <= {2}, "padding after the end"


def test_a_prompt_of_embedded_words_is_these_words(smollm2_135m, rows):
    words = smollm2_135m.tokenizer("You answer in one word.", add_special_tokens=False)["input_ids"]
    values = smollm2_135m.model.get_input_embeddings()(torch.tensor(words))
    (ids,) = generate(*smollm2_135m, SoftPrompt(values), rows[:1], max_new_tokens=8)
    expected = alone(smollm2_135m, Encoded([*words, *rows[0].question], []), 8)
    assert ids[: len(expected)] == expected
    (ids,) = generate(*smollm2_135m, SoftPrompt(values, "suffix"), rows[:1], max_new_tokens=8)
    expected = alone(smollm2_135m, Encoded([*rows[0].question, *words], []), 8)
    assert ids[: len(expected)] == expected


def test_a_reply_ends_as_soon_as_it_is_complete(smollm2_135m, rows):
    whole = [decode(smollm2_135m.tokenizer, ids) for ids in generate(*smollm2_135m, None, rows, max_new_tokens=24)]
    assert all(" " in text for text in whole)
    asked = []

    def has_two_words(text):
        asked.append(text)
        return text.count(" ") >= 2

    short = generate(*smollm2_135m, None, rows, max_new_tokens=24, complete=has_two_words)
    texts = [decode(smollm2_135m.tokenizer, ids) for ids in short]
    for text, reply in zip(texts, whole, strict=True):
        assert reply.startswith(text)
        assert text.count(" ") <= 2
    assert max(text.count(" ") for text in asked) <= 3, "nothing is decoded once all are complete"
