"""Greedy decoding in batches, against transformers on each row alone, and against an argmax of whole rows."""

import itertools
import json
import shutil

import pytest
import torch
from made_models import keep_first_layers
from torch.nn import functional
from transformers import (
    Gemma3ForCausalLM,
    Gemma3TextConfig,
    GPT2Config,
    GPT2LMHeadModel,
    LlamaConfig,
    LlamaForCausalLM,
)

from tslib.models import loading as models
from tslib.prompts import probe
from tslib.prompts.decoding import generate, room_of
from tslib.prompts.encoding import Encoded, decode, encode, until
from tslib.prompts.soft_prompt import SoftPrompt, StatePrompt
from tslib.tasks import Example

QUESTIONS = ["What is the capital of France?", "Name a fruit.", "Count from one to five, please, in words."]


def rows_of(loaded, questions):
    return [
        Encoded(encode(loaded.tokenizer, Example(f"toy/train/{i}", text, "x", "x")).question, [])
        for i, text in enumerate(questions)
    ]


@pytest.fixture(scope="module")
def rows(smollm2_135m):
    return rows_of(smollm2_135m, QUESTIONS)


def alone(loaded, row, longest) -> list[int]:
    """Ids that transformers decodes from token ids, without embeddings of ours and without padding."""
    ids = torch.tensor([row.question])
    out = loaded.model.generate(ids, do_sample=False, max_new_tokens=longest, eos_token_id=2, pad_token_id=2)
    return out[0, len(row.question) :].tolist()


def test_without_a_prompt_it_is_what_transformers_decodes(smollm2_135m, rows):
    together = generate(*smollm2_135m, None, rows, max_new_tokens=12)
    for ids, row in zip(together, rows, strict=True):
        assert ids == [token for token in alone(smollm2_135m, row, 12) if token != 2]


def test_a_prompt_of_embedded_words_is_these_words(smollm2_135m, rows):
    words = smollm2_135m.tokenizer("You answer in one word.", add_special_tokens=False)["input_ids"]
    values = smollm2_135m.model.get_input_embeddings()(torch.tensor(words))
    (ids,) = generate(*smollm2_135m, SoftPrompt(values), rows[:1], max_new_tokens=8)
    assert [*ids, 2][:8] == alone(smollm2_135m, Encoded([*words, *rows[0].question], []), 8)
    (ids,) = generate(*smollm2_135m, SoftPrompt(values, "suffix"), rows[:1], max_new_tokens=8)
    assert [*ids, 2][:8] == alone(smollm2_135m, Encoded([*rows[0].question, *words], []), 8)


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


@torch.no_grad()
def by_hand(model, row, longest, stop=()) -> list[int]:
    """Decode the most probable token again and again, each from the whole row, without a cache."""
    reply: list[int] = []
    while len(reply) < longest:
        token = int(model(torch.tensor([row.question + row.target + reply])).logits[0, -1].argmax())
        if token in stop:
            break
        reply.append(token)
    return reply


# what a model says of its own replies


@pytest.fixture(scope="module")
def parrot_folder(smollm2_135m, tmp_path_factory):
    """A model that gives back the last token: its output is its input, with little between the two."""
    folder = tmp_path_factory.mktemp("parrot")
    torch.manual_seed(0)
    config = LlamaConfig(
        vocab_size=len(smollm2_135m.tokenizer),
        tie_word_embeddings=True,
        hidden_size=16,
        intermediate_size=16,
        num_hidden_layers=1,
        num_attention_heads=1,
        max_position_embeddings=512,
        eos_token_id=2,
    )
    model = LlamaForCausalLM(config)
    table = model.get_input_embeddings().weight
    table.data = functional.normalize(table.data)  # each token is nearest to itself
    model.save_pretrained(folder)
    smollm2_135m.tokenizer.save_pretrained(folder)
    return folder


@pytest.fixture
def with_settings(parrot_folder, tmp_path):
    """Loads that model from a folder whose generation_config.json has some settings."""

    def load(settings):
        folder = tmp_path / "model"
        shutil.copytree(parrot_folder, folder)
        said = json.loads((folder / "generation_config.json").read_text())
        (folder / "generation_config.json").write_text(json.dumps(said | settings))
        return models.load_model(str(folder), device="cpu")

    return load


PARROTED = [Encoded([20, 30, 40], []), Encoded([50, 60, 70, 80, 500], [])]
CHANGING = [
    {"repetition_penalty": 1.5},
    {"no_repeat_ngram_size": 1},
    {"suppress_tokens": [40, 500]},
    {"begin_suppress_tokens": [40, 500]},
    {"bad_words_ids": [[40], [500]]},
    {"sequence_bias": [[[40], -99.0], [[500], -99.0]]},
    {"forced_eos_token_id": 2},
    {"exponential_decay_length_penalty": [1, 99.0]},
    {"max_time": 1e-9},
    {"repetition_penalty": 1.5, "suppress_tokens": [40], "forced_eos_token_id": 2, "renormalize_logits": True},
]
OTHERS = [
    {"min_new_tokens": 6, "min_length": 40},
    {"max_length": 4},
    {"guidance_scale": 2.0},
    {"watermarking_config": {"greenlist_ratio": 0.5, "bias": 9.0}},
    {"cache_implementation": "static", "prefill_chunk_size": 2},
    {"cache_implementation": "quantized"},
    {"use_cache": False, "num_beams": 3, "length_penalty": 0.1},
    {"do_sample": True, "temperature": 9.0, "top_k": 3, "top_p": 0.5},
    {"return_dict_in_generate": True, "output_scores": True, "output_hidden_states": True},
    {"prompt_lookup_num_tokens": 2},
    {"penalty_alpha": 0.6, "top_k": 4},
    {"dola_layers": "low", "stop_strings": ["a"], "token_healing": True},
    {"pad_token_id": -1, "bos_token_id": None, "of_its_own": 1},
]


@pytest.mark.parametrize("settings", CHANGING + OTHERS, ids=lambda settings: "-".join(settings))
def test_settings_of_a_model_do_not_change_what_is_greedy(with_settings, settings):
    loaded = with_settings(settings)
    before = loaded.model.generation_config.to_dict()
    replies = generate(*loaded, None, PARROTED, max_new_tokens=6)
    assert replies == [by_hand(loaded.model, row, 6) for row in PARROTED]
    assert replies == [[40] * 6, [500] * 6]
    assert loaded.model.generation_config.to_dict() == before
    if settings in CHANGING:
        ids = torch.tensor([PARROTED[0].question])
        assert loaded.model.generate(ids, max_new_tokens=6)[0, 3:].tolist() != replies[0], "for transformers they do"


@pytest.mark.parametrize("ends", [40, [7, 40], [-1, 40]])
def test_tokens_that_end_a_reply_are_taken_from_the_settings(with_settings, ends):
    loaded = with_settings({"eos_token_id": ends, "min_new_tokens": 3})
    replies = generate(*loaded, None, PARROTED, max_new_tokens=6)
    assert replies == [by_hand(loaded.model, row, 6, {40}) for row in PARROTED] == [[], [500] * 6]


# the room that a reply has


@pytest.mark.parametrize(
    ("context", "room"), [(None, 9), (100, 9), (19, 9), (18, 8), (11, 1), (10, 0), (5, 0)], ids=str
)
def test_the_room_of_a_row(context, room):
    assert room_of(Encoded([5] * 4, [6] * 3), 3, context, 9) == room


@pytest.fixture(scope="module")
def table():
    """A model whose positions are a table, of 24, so that there is none for a 25th."""
    torch.manual_seed(0)
    shape = {"vocab_size": 60, "n_positions": 24, "n_embd": 8, "n_layer": 1, "n_head": 1}
    return GPT2LMHeadModel(GPT2Config(**shape, eos_token_id=2, initializer_range=0.5)).eval().requires_grad_(False)


@pytest.fixture(scope="module")
def few_positions():
    """A model with rotary positions that says it has 24."""
    torch.manual_seed(0)
    sizes = {"hidden_size": 8, "intermediate_size": 16, "num_hidden_layers": 1, "num_attention_heads": 1}
    config = LlamaConfig(vocab_size=60, max_position_embeddings=24, eos_token_id=2, initializer_range=0.5, **sizes)
    return LlamaForCausalLM(config).eval().requires_grad_(False)


@pytest.mark.parametrize("kind", ["table", "few_positions"])
@pytest.mark.parametrize("limit", [None, 22, 40])
def test_a_row_has_the_room_that_it_has_alone(request, smollm2_135m, kind, limit):
    model, tokenizer = request.getfixturevalue(kind), smollm2_135m.tokenizer
    rows = [Encoded(torch.arange(10, 10 + length).tolist(), [9] * (length % 3)) for length in range(9, 21)]
    settings = {"max_new_tokens": 8, "max_context": limit}
    together = generate(model, tokenizer, None, rows, **settings)
    assert together == [generate(model, tokenizer, None, [row], **settings)[0] for row in rows]
    positions = min(limit or 24, 24)
    rooms = [max(0, min(8, positions - len(row.question) - len(row.target))) for row in rows]
    assert together == [by_hand(model, row, room, {2}) for row, room in zip(rows, rooms, strict=True)]
    assert rooms[0] == 8
    assert {len(reply) for reply in together} > {8, rooms[-1]}


# an end of turn that no tokenizer leaves out of a text


def test_a_token_that_ends_a_turn_and_is_not_special(smollm2_135m, rows, named_end):
    assert decode(named_end, [28, 2]).endswith("<|im_end|>")
    expected = generate(*smollm2_135m, None, rows, max_new_tokens=12)
    assert generate(smollm2_135m.model, named_end, None, rows, max_new_tokens=12) == expected
    asked = []

    def has_words(text):
        asked.append(text)
        return False

    generate(smollm2_135m.model, named_end, None, rows, max_new_tokens=12, complete=has_words)
    assert max(map(len, asked)) > 10
    assert not any("<|im_end|>" in text for text in asked)


# states of our own, where a model takes packed rows

SIZES = {"vocab_size": 60, "hidden_size": 16, "intermediate_size": 24, "num_attention_heads": 4}


def llama():
    config = LlamaConfig(**SIZES, num_hidden_layers=2, num_key_value_heads=2, initializer_range=0.5, eos_token_id=2)
    return LlamaForCausalLM(config)


def gemma3():
    """With a window of 5 positions in one of its two layers."""
    kinds = ["sliding_attention", "full_attention"]
    shape = {"num_hidden_layers": 2, "num_key_value_heads": 1, "head_dim": 4, "sliding_window": 5, "layer_types": kinds}
    return Gemma3ForCausalLM(Gemma3TextConfig(**SIZES, **shape, initializer_range=0.5, eos_token_id=2))


@pytest.fixture(scope="module", params=[llama, gemma3], ids=lambda family: family.__name__)
def small(request):
    torch.manual_seed(0)
    return request.param().eval().requires_grad_(False)


@pytest.fixture
def passes(small, monkeypatch):
    """Positions of each pass through the model; transformers' own decoding is not to be asked."""
    assert generate(small, Words(), None, [Encoded([5, 6], [])], max_new_tokens=30)
    assert probe.answers(small)["decoding packed rows"]
    monkeypatch.setattr(small, "generate", None)
    lengths = []
    hook = small.base_model.register_forward_pre_hook(
        lambda _module, _args, given: lengths.append(given["inputs_embeds"].shape[1] if "packing" in given else 0),
        with_kwargs=True,
    )
    with hook:
        yield lengths


class Words:
    """A tokenizer whose tokens are numbers, of which 2 ends a reply."""

    eos_token_id = 2
    chat_template = None

    def __call__(self, text, **_):
        return {"input_ids": [4]}

    def decode(self, ids, **_):
        return " ".join(map(str, ids))


VIRTUAL = [41, 42, 43]


def asked(row, placement):
    """A row with real tokens where the prompt stands."""
    if placement == "suffix":
        return Encoded([*row.question, *VIRTUAL], row.target)
    return Encoded([*(VIRTUAL if placement else []), *row.question], row.target)


def prompt_of(model, placement):
    if placement == "every layer":
        return StatePrompt.of_tokens(model, VIRTUAL)
    return SoftPrompt.of_tokens(model, VIRTUAL, placement) if placement else None


PLACEMENTS = [None, "prefix", "suffix", "every layer"]


@pytest.mark.parametrize(("count", "placement"), [*itertools.product([1, 16], PLACEMENTS), (100, "prefix")])
def test_ragged_rows_are_each_row_alone(small, passes, count, placement):
    """All begin with the same six tokens; some have a part of their reply, and each fourth hardly any room."""
    generator = torch.Generator().manual_seed(3)

    def some(most):
        length = int(torch.randint(1, most + 1, (1,), generator=generator))
        return torch.randint(5, 60, (length,), generator=generator).tolist()

    rows = [Encoded([7, 8, 9, 10, 11, 12, *some(12)], some(3) if index % 3 else []) for index in range(count)]
    if count > 1:
        rows[::4] = [Encoded([7, 8, 9, 10, 11, 12, *[13] * 16], []) for _ in rows[::4]]
    virtual = len(VIRTUAL) if placement else 0
    limit = 22 + virtual + 2
    prompt = prompt_of(small, placement)
    generate(small, Words(), prompt, rows[:1], max_new_tokens=20)  # it is found out what the model does with them
    passes.clear()
    replies = generate(small, Words(), prompt, rows, max_new_tokens=6, max_context=limit)
    seen = list(passes)
    rooms = [room_of(row, virtual, limit, 6) for row in rows]
    whole = [asked(row, placement) for row in rows]
    assert replies == [by_hand(small, row, room, {2}) for row, room in zip(whole, rooms, strict=True)]
    inside = 0 if placement == "every layer" else virtual
    own = [len(row.question) + len(row.target) for row in rows]
    if count > 1:
        assert min(rooms) == 2
        head = 6 + (inside if placement != "suffix" else 0)
        rest = inside if placement == "suffix" else 0
        assert seen[0] == head + sum(length - 6 + rest for length in own), "what is alike goes through once"
    lengths = [(len(reply), room) for reply, room in zip(replies, rooms, strict=True)]
    left = [sum(length >= step and room > step for length, room in lengths) for step in range(1, 6)]
    assert seen[1:] == [rows for rows in left if rows], "rows that have ended are left out"


def test_a_complete_reply_leaves(small, passes):
    rows = [Encoded([7, 8, 9], []), Encoded([7, 20, 21, 22], [])]
    whole = generate(small, Words(), None, rows, max_new_tokens=9)
    assert min(map(len, whole)) == 9
    passes.clear()
    first = " ".join(map(str, whole[0][:3]))
    replies = generate(small, Words(), None, rows, max_new_tokens=9, complete=lambda text: text == first)
    assert replies == [whole[0][:3], whole[1]]
    assert passes[1:] == [2, 2] + [1] * 6


def test_a_batch_of_the_embedded_model_is_each_row_alone(smollm2_135m, monkeypatch):
    """Sixteen questions with the same beginning, of which some end early."""
    start = rows_of(smollm2_135m, QUESTIONS[2:])[0].question
    rows = [Encoded([*start, *range(900 + index, 900 + 2 * index)], []) for index in range(1, 16)]
    rows += rows_of(smollm2_135m, QUESTIONS[:1])
    expected = [[token for token in alone(smollm2_135m, row, 8) if token != 2] for row in rows]
    ours = generate(*smollm2_135m, None, rows, max_new_tokens=8)
    assert probe.answers(smollm2_135m.model)["decoding packed rows"]
    assert ours == expected


def test_rows_beyond_the_window_of_a_real_model(gemma3_270m):
    """Two rows behind 530 tokens that both share; of the first layers of Gemma 3 all but one see a window of 512."""
    loaded = models.load_model(str(gemma3_270m), device="cpu")
    keep_first_layers(loaded.model)
    shared = probe.tokens(loaded.model, 530, 7)
    rows = [Encoded([*shared, *probe.tokens(loaded.model, length, length)], []) for length in (2, 5)]
    ours = generate(*loaded, None, rows, max_new_tokens=3)
    said = probe.answers(loaded.model)
    assert said["decoding packed rows"]
    assert said["decoding packed rows, beyond 512"]
    for row, reply in zip(rows, ours, strict=True):
        ids = torch.tensor([row.question])
        out = loaded.model.generate(ids, attention_mask=torch.ones_like(ids), do_sample=False, max_new_tokens=3)
        assert reply == until(out[0, len(row.question) :].tolist(), {1, 106})
