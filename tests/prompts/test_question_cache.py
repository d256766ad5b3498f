"""Questions computed once against the whole sequence run in every step: the same loss, gradient and matches."""

import dataclasses

import pytest
import torch
from torch.testing import assert_close
from transformers import Gemma3ForCausalLM, Gemma3TextConfig, GPT2Config, GPT2LMHeadModel, LlamaConfig, LlamaForCausalLM

from tslib.config import TuneConfig
from tslib.prompts.encoding import Encoded, encode, longest
from tslib.prompts.forward import way_of
from tslib.prompts.question_cache import QuestionCache
from tslib.tasks import load_task
from tslib.tuning.loop import _Run, tune

SIZES = {"vocab_size": 60, "hidden_size": 16, "intermediate_size": 24, "num_attention_heads": 4, "head_dim": 4}


def gpt2():
    sizes = {"vocab_size": 60, "n_positions": 64, "n_embd": 16, "n_layer": 2, "n_head": 4}
    return GPT2LMHeadModel(GPT2Config(**sizes, initializer_range=0.5, bos_token_id=0, eos_token_id=0))


def llama():
    return LlamaForCausalLM(LlamaConfig(**SIZES, num_hidden_layers=2, num_key_value_heads=2, initializer_range=0.5))


def gemma3():
    """With a window of 5 positions in three of its four layers."""
    kinds = ["sliding_attention", "full_attention", "sliding_attention", "sliding_attention"]
    shape = {"num_hidden_layers": 4, "num_key_value_heads": 1, "sliding_window": 5, "layer_types": kinds}
    return Gemma3ForCausalLM(Gemma3TextConfig(**SIZES, **shape, initializer_range=0.5))


ROWS = [
    Encoded([7, 8, 9], [11, 12]),
    Encoded([*range(20, 41)], [13, 14, 15, 16, 17, 18, 19]),
    Encoded([5] * 4, [21]),
    Encoded([*range(30, 36)], [11, 11, 12]),
]


def run(model, rows, **fields):
    config = TuneConfig(**{"placement": "suffix", "n_tokens": 3, "device": "cpu"} | fields)
    return _Run(config, model, None, [], rows)


@pytest.fixture(params=[gpt2, llama, gemma3], ids=lambda family: family.__name__)
def model(request):
    torch.manual_seed(0)
    return request.param().eval().requires_grad_(False)


@pytest.mark.parametrize("indices", [[0], [1], [0, 1], [1, 2, 3], [0, 1, 2, 3]])
def test_it_is_what_the_whole_sequence_gives(model, indices):
    rows = [ROWS[index] for index in indices]
    cached, whole = (run(model, rows, question_cache=size) for size in (4.0, 0.0))
    assert cached.questions is not None
    assert whole.questions is None
    for _ in range(2):  # the second time from the cache
        ours, theirs = (one._losses(rows, grad=True) for one in (cached, whole))
        assert_close(ours.loss, theirs.loss, rtol=1e-5, atol=1e-6)
        assert ours.matches.tolist() == theirs.matches.tolist()
        gradients = [torch.autograd.grad(o.loss, one.prompt.weight)[0] for o, one in ((ours, cached), (theirs, whole))]
        assert (gradients[0] - gradients[1]).norm() < 1e-4 * gradients[1].norm()


def test_the_model_reads_each_question_once(model):
    cached = run(model, ROWS)
    assert way_of(model, cached.prompt, longest(ROWS, cached.prompt.n_tokens)) == "packed"
    lengths = []

    def note(_module, arguments, given):
        given = [*arguments, given.get("input_ids"), given.get("inputs_embeds")]
        lengths.append(next(one.shape[1] for one in given if one is not None))

    hook = model.base_model.register_forward_pre_hook(note, with_kwargs=True)
    try:
        for _ in range(3):
            cached._losses(ROWS, grad=False)
    finally:
        hook.remove()
    steps = [4 * 3 + 13 - 4] * 3
    assert lengths == [3, 21, 4, 6, *steps], "four questions, then prompts and targets, three times"


def test_a_bound_on_memory(model):
    whole = QuestionCache(model, float("inf"))
    questions = [row.question for row in ROWS]
    for question in questions:
        whole.states(question)
    sizes = [sum(k.nbytes + v.nbytes for k, v in states) for states in whole.kept.values()]
    assert whole.bytes == sum(sizes)
    some = QuestionCache(model, sizes[1] + sizes[2])
    expected = [[tuple(map(torch.clone, layer)) for layer in states] for states in whole.kept.values()]
    for _ in range(2):
        for index in (0, 1, 2, 3):
            for (keys, values), (k, v) in zip(some.states(questions[index]), expected[index], strict=True):
                assert_close(keys, k)
                assert_close(values, v)
            assert some.bytes <= some.limit
            assert some.bytes == sum(k.nbytes + v.nbytes for states in some.kept.values() for k, v in states)
    assert 0 < len(some.kept) < 4
    none = QuestionCache(model, 0)
    none.states(questions[0])
    assert (len(none.kept), none.bytes) == (0, 0)


def test_a_sliding_window_keeps_its_last_positions_only():
    torch.manual_seed(0)
    states = QuestionCache(gemma3(), float("inf")).states(range(20))
    assert [keys.shape[-2] for keys, _ in states] == [4, 20, 4, 4]


def test_a_run_of_the_embedded_model(smollm2_135m):
    """The steps of a real run, with and without the cache; one batch holds both samples."""
    fields = {"task": "multiple-choice", "samples": 2, "placement": "suffix", "n_tokens": 4, "device": "cpu"}
    config = TuneConfig(**fields, max_steps=3, answer_every=0, stop_when_correct=False)
    cached, whole = (tune(dataclasses.replace(config, question_cache=size), progress=False) for size in (4.0, 0.0))
    for column in ("cross_entropy", "grad_norm_ce"):
        assert cached.steps[column].tolist() == pytest.approx(whole.steps[column].tolist(), rel=2e-3)
    question = encode(smollm2_135m.tokenizer, load_task("multiple-choice", limit=1)[0]).question
    one = QuestionCache(smollm2_135m.model, float("inf"))
    one.states(question)
    assert one.bytes == len(question) * 2 * 30 * 3 * 64 * 4, "keys and values of 30 layers, 3 heads of 64, float32"
