"""The soft prompt and its layout, and what of it reaches the first decoder layer of both families."""

import math

import pytest
import torch
from transformers import Gemma3ForCausalLM, Gemma3TextConfig

from tslib.config import TuneConfig
from tslib.models import loading as models
from tslib.prompts.encoding import Encoded
from tslib.prompts.initial import moments, rate_unit, superposition
from tslib.prompts.packing import pack
from tslib.prompts.soft_prompt import IGNORE, SoftPrompt, collate
from tslib.tuning.loop import _Run


def start(loaded, **fields):
    return SoftPrompt.from_config(TuneConfig(**fields), *loaded)


# how it starts


def test_gaussian_start(smollm2_135m):
    values = start(smollm2_135m, n_tokens=400).weight.detach()
    assert values.shape == (400, 576)
    assert values.dtype == torch.float32
    count = values.numel()
    assert abs(float(values.mean())) < 4 * 0.02 / math.sqrt(count)
    assert float(values.std()) == pytest.approx(0.02, rel=4 / math.sqrt(2 * count))
    within = (values.abs() < 0.02).float().mean()
    assert float(within) == pytest.approx(0.6827, abs=0.004), "as much within one deviation as a Gaussian has"


@pytest.mark.parametrize("init", ["gaussian", "vocabulary"])
def test_the_seed_decides_the_start(smollm2_135m, init):
    first, again, other = (start(smollm2_135m, init=init, seed=seed).weight for seed in (3, 3, 4))
    assert torch.equal(first, again)
    assert not torch.equal(first, other)
    assert not (first.unsqueeze(1) == other).all(-1).any(), "not one token in common"


def test_vocabulary_start_is_made_of_embeddings(smollm2_135m):
    values = start(smollm2_135m, init="vocabulary", n_tokens=12).weight.detach()
    table = smollm2_135m.model.get_input_embeddings().weight
    ids = [int((table == row).all(-1).nonzero()[0]) for row in values]
    assert len(set(ids)) == 12, "drawn without replacement"


def test_text_start_repeats_and_cuts(smollm2_135m):
    tokenizer, text = smollm2_135m.tokenizer, "Think step by step."
    ids = tokenizer(text)["input_ids"]
    assert [tokenizer.decode(i) for i in ids] == ["Think", " step", " by", " step", "."]
    embedded = smollm2_135m.model.get_input_embeddings()(torch.tensor(ids))
    for n_tokens, expected in ((2, [0, 1]), (5, [0, 1, 2, 3, 4]), (12, [0, 1, 2, 3, 4, 0, 1, 2, 3, 4, 0, 1])):
        values = start(smollm2_135m, init="text", init_text=text, n_tokens=n_tokens).weight
        assert torch.equal(values, embedded[expected])


@pytest.mark.parametrize("name", ["smollm2-135m", "gemma3-270m"])
def test_embedding_gaussian_has_the_vocabularys_mean_and_spread(request, name):
    """Held against torch's own mean and deviation over all that the model embeds, Gemma's factor √d included."""
    request.getfixturevalue(name.replace("-", "_"))
    model, tokenizer = models.shared_model(name, "cpu", "float32")
    embedded = model.get_input_embeddings()(torch.arange(len(tokenizer))).double()
    mean, spread = moments(model.get_input_embeddings(), tokenizer)
    torch.testing.assert_close(mean.double(), embedded.mean(0), rtol=1e-4, atol=1e-6)
    torch.testing.assert_close(spread.double(), embedded.std(0, correction=0), rtol=1e-4, atol=1e-6)
    values = start((model, tokenizer), init="embedding-gaussian", n_tokens=2000).weight.detach().double()
    off = (values.mean(0) - mean) / spread * math.sqrt(2000)
    assert float(off.square().mean()) == pytest.approx(1, rel=0.3), "as far off as means of 2,000 draws are"
    assert float((values.std(0) / spread).mean()) == pytest.approx(1, rel=0.01)
    if name == "smollm2-135m":  # of the larger vocabulary once is enough
        scaled = start((model, tokenizer), init="embedding-gaussian", n_tokens=2000, prompt_scale="sqrt_d")
        torch.testing.assert_close(scaled().double(), values, msg="what enters the model is the same")


@pytest.mark.parametrize("scale", ["none", "sqrt_d"])
def test_the_unit_of_the_rate_is_the_embeddings(smollm2_135m, scale):
    """A prompt of the vocabulary, all of it, has this root mean square before its scale."""
    model, tokenizer = smollm2_135m
    unit = rate_unit(TuneConfig(lr_unit="embedding", prompt_scale=scale), model, tokenizer)
    embedded = model.get_input_embeddings().weight[: len(tokenizer)].double()
    assert unit * (24 if scale == "sqrt_d" else 1) == pytest.approx(float(embedded.square().mean().sqrt()), rel=1e-6)
    assert rate_unit(TuneConfig(prompt_scale=scale), model, tokenizer) == 1


def test_superposition_is_a_sum_of_embeddings(smollm2_135m):
    """Of as many as was said, the same for all virtual tokens; of the length of an embedding, on the average."""
    model, tokenizer = smollm2_135m
    config = TuneConfig(init="superposition", superposed=50, n_tokens=200)
    weights, tokens = superposition(config, model.get_input_embeddings(), tokenizer)
    assert (weights.shape, tokens.shape) == ((200, 50), (50, 576))
    table = model.get_input_embeddings().weight
    assert all((table == row).all(-1).any() for row in tokens)
    values = start(smollm2_135m, init="superposition", superposed=50, n_tokens=200).weight.detach()
    torch.testing.assert_close(values, weights @ tokens)
    assert float(values.square().mean() / tokens.square().mean()) == pytest.approx(1, rel=0.1)


def test_training_does_not_write_into_the_given_values():
    values = torch.ones(2, 3)
    prompt = SoftPrompt(values)
    with torch.no_grad():
        prompt.weight += 1
    assert values.tolist() == [[1.0] * 3] * 2


def test_the_prompt_is_trained_in_float32():
    prompt = SoftPrompt(torch.ones(2, 3, dtype=torch.bfloat16))
    assert prompt.weight.dtype == torch.float32
    inserted = prompt.insert(torch.zeros(1, 2, 3, dtype=torch.bfloat16), torch.ones(1, 2, dtype=torch.bool))
    assert inserted.dtype == torch.bfloat16, "in the model's precision"


# how it is laid out

LONG, SHORT = Encoded([5, 6, 7], [8, 9]), Encoded([4], [9])


def test_collate_prefix_by_hand():
    batch = collate([LONG, SHORT], 2)
    assert batch.ids.tolist() == [[0, 0, 5, 6, 7, 8, 9], [0, 0, 0, 0, 0, 4, 9]]
    assert batch.slots.int().tolist() == [[1, 1, 0, 0, 0, 0, 0], [0, 0, 0, 1, 1, 0, 0]]
    assert batch.attention.tolist() == [[1, 1, 1, 1, 1, 1, 1], [0, 0, 0, 1, 1, 1, 1]]
    assert batch.positions.tolist() == [[0, 1, 2, 3, 4, 5, 6], [0, 0, 0, 0, 1, 2, 3]]
    assert batch.targets.tolist() == [[8, 9], [-100, 9]]


def test_collate_suffix_by_hand():
    batch = collate([LONG, SHORT], 2, "suffix")
    assert batch.ids.tolist() == [[5, 6, 7, 0, 0, 8, 9], [0, 0, 0, 4, 0, 0, 9]]
    assert batch.slots.int().tolist() == [[0, 0, 0, 1, 1, 0, 0], [0, 0, 0, 0, 1, 1, 0]]
    assert batch.attention.tolist() == [[1, 1, 1, 1, 1, 1, 1], [0, 0, 0, 1, 1, 1, 1]]
    assert batch.positions.tolist() == [[0, 1, 2, 3, 4, 5, 6], [0, 0, 0, 0, 1, 2, 3]]
    assert batch.targets.tolist() == [[8, 9], [-100, 9]]


@pytest.mark.parametrize("placement", ["prefix", "suffix"])
def test_collate_a_longer_target_in_the_shorter_row(placement):
    batch = collate([Encoded([5, 6, 7, 8], [2]), Encoded([4], [8, 9, 2])], 1, placement)
    assert batch.targets.tolist() == [[IGNORE, IGNORE, 2], [8, 9, 2]]
    assert batch.ids[:, -1].tolist() == [2, 2], "targets end together"
    assert batch.attention.sum(-1).tolist() == [6, 5]


def test_collate_without_targets():
    batch = collate([Encoded([5, 6], []), Encoded([4], [])], 1)
    assert batch.ids.tolist() == [[0, 5, 6], [0, 0, 4]]
    assert batch.targets.shape == (2, 0)


@pytest.mark.parametrize("placement", ["prefix", "suffix"])
def test_insert_puts_the_prompt_into_the_slots_and_nowhere_else(placement):
    prompt = SoftPrompt(torch.randn(2, 3), placement, scale=2.0)
    batch = collate([LONG, SHORT], 2, placement)
    tokens = torch.randn(2, 7, 3)
    inserted = prompt.insert(tokens, batch.slots)
    for row in (0, 1):
        assert torch.equal(inserted[row, batch.slots[row]], 2 * prompt.weight)
    assert torch.equal(inserted[~batch.slots], tokens[~batch.slots])


def test_gradient_adds_up_over_the_rows():
    prompt = SoftPrompt(torch.randn(2, 3), scale=5.0)
    batch = collate([LONG, SHORT], 2)
    factor = torch.arange(2 * 7 * 3.0).reshape(2, 7, 3)
    (prompt.insert(torch.zeros(2, 7, 3), batch.slots) * factor).sum().backward()
    assert torch.equal(prompt.weight.grad, 5 * (factor[0, 0:2] + factor[1, 3:5]))


# what reaches the first decoder layer


@pytest.fixture(scope="module")
def tiny_gemma():
    """A Gemma 3 of two layers with random weights, which scales embeddings by √24 as its family does."""
    config = Gemma3TextConfig(
        vocab_size=64,
        hidden_size=24,
        intermediate_size=32,
        num_hidden_layers=2,
        num_attention_heads=2,
        num_key_value_heads=1,
        head_dim=12,
        max_position_embeddings=64,
        sliding_window=16,
    )
    torch.manual_seed(0)
    return Gemma3ForCausalLM(config).eval().requires_grad_(False)


@pytest.fixture(scope="module", params=["smollm2-135m", "tiny Gemma 3", "gemma3-270m"])
def family(request):
    """A model of each family: Llama's passes embeddings on as they are, Gemma's scales them by √d."""
    if request.param == "smollm2-135m":
        return request.getfixturevalue("smollm2_135m").model
    if request.param == "tiny Gemma 3":
        return request.getfixturevalue("tiny_gemma")
    request.getfixturevalue("gemma3_270m")
    return models.load_model("gemma3-270m", device="cpu").model


@pytest.mark.parametrize("prompt_scale", ["none", "sqrt_d"])
@pytest.mark.parametrize("placement", ["prefix", "suffix"])
def test_what_reaches_the_first_decoder_layer(family, prompt_scale, placement):
    rows = [Encoded([5, 6, 7, 8], [9, 10]), Encoded([11, 12], [13, 2])]
    config = TuneConfig(n_tokens=3, prompt_scale=prompt_scale, placement=placement, question_cache=0)
    run = _Run(config, family, None, [], rows)
    entered = []

    def note(_layer, args, kwargs):
        entered.append((args[0] if args else kwargs["hidden_states"]).detach())

    hook = family.model.layers[0].register_forward_pre_hook(note, with_kwargs=True)
    try:
        run._pass(rows, grad=False)
        family(input_ids=torch.tensor([rows[0].question + rows[0].target]))  # as the model reads text without us
    finally:
        hook.remove()
    *_, ours, plain = entered
    virtual = pack(rows, 3, placement).order < 3
    d = family.get_input_embeddings().weight.shape[1]
    prompt = run.prompt.weight.detach() * (math.sqrt(d) if prompt_scale == "sqrt_d" else 1)
    copies = 1 if placement == "prefix" else 2  # before the questions they have it in common
    torch.testing.assert_close(ours[0, virtual], prompt.repeat(copies, 1), rtol=1e-6, atol=0)
    assert torch.equal(ours[0, ~virtual][:5], plain[0, :5]), "question and target of the first row, but its last token"


def test_both_families_differ_in_what_their_embedding_gives(smollm2_135m, tiny_gemma):
    """The ground on which the test above stands."""
    ids = torch.tensor([5])
    for model, factor in ((smollm2_135m.model, 1.0), (tiny_gemma, math.sqrt(24))):
        embed = model.get_input_embeddings()
        torch.testing.assert_close(embed(ids), factor * embed.weight[ids])


@pytest.mark.parametrize("prompt_scale", ["none", "sqrt_d"])
def test_a_start_from_the_vocabulary_enters_as_the_tokens_would(tiny_gemma, prompt_scale):
    config = TuneConfig(n_tokens=4, init="vocabulary", prompt_scale=prompt_scale)
    prompt = SoftPrompt.from_config(config, tiny_gemma, range(64))
    embedded = tiny_gemma.get_input_embeddings()(torch.arange(64))
    distances = torch.cdist(prompt().detach(), embedded)
    assert float(distances.min(1).values.max()) < 1e-5
    scale = math.sqrt(24) if prompt_scale == "sqrt_d" else 1.0
    torch.testing.assert_close(prompt.weight * scale, prompt())
