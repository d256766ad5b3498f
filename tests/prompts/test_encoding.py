import dataclasses
from types import SimpleNamespace

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, processors
from transformers import AutoTokenizer, PretrainedConfig, PreTrainedTokenizerFast

from tslib.errors import InputError
from tslib.models.loading import fetch
from tslib.prompts.encoding import Encoded, check_fits, context_of, decode, encode, encode_all, stop_ids, until
from tslib.tasks import Example, load_task

EXAMPLE = Example("toy/train/0", "What is 1 + 1?", "It is 2.\n#### 2", "2")
CHAT = (
    "{{ bos_token }}{% for m in messages %}[{{ m.role }}]\n{{ m.content }}<end>\n{% endfor %}"
    "{% if add_generation_prompt %}[assistant]\n{% endif %}"
)


@pytest.fixture
def byte_tokenizer():
    """A tokenizer with a token for each byte, which puts <s> before its text; <s>, </s> and <end> have ids 0, 1, 2."""
    specials = {"<s>": 0, "</s>": 1, "<end>": 2}
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    tokenizer = Tokenizer(models.BPE(vocab=specials | {a: i for i, a in enumerate(alphabet, start=3)}, merges=[]))
    tokenizer.add_special_tokens(list(specials))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.post_processor = processors.TemplateProcessing(single="<s> $A", special_tokens=[("<s>", 0)])
    return PreTrainedTokenizerFast(tokenizer_object=tokenizer, bos_token="<s>", eos_token="</s>")


@pytest.fixture(scope="module")
def smollm2_folder():
    return fetch("smollm2-135m")


@pytest.fixture
def smollm2(smollm2_folder):
    return AutoTokenizer.from_pretrained(smollm2_folder)


def test_a_chat_template(byte_tokenizer):
    byte_tokenizer.chat_template = CHAT
    encoded = encode(byte_tokenizer, EXAMPLE)
    assert byte_tokenizer.decode(encoded.question) == "<s>[user]\nWhat is 1 + 1?<end>\n[assistant]\n"
    assert byte_tokenizer.decode(encoded.target) == "It is 2.\n#### 2<end>"
    assert encoded.question.count(0) == 1, "one bos: the template writes it, the tokenizer must not add another"
    assert encoded.target[-1] == 2
    assert decode(byte_tokenizer, encoded.target) == EXAMPLE.target
    assert stop_ids(byte_tokenizer) == {1, 2}


def test_no_chat_template(byte_tokenizer):
    encoded = encode(byte_tokenizer, EXAMPLE)
    assert byte_tokenizer.decode(encoded.question) == "<s>Question: What is 1 + 1?\nAnswer:"
    assert byte_tokenizer.decode(encoded.target) == " It is 2.\n#### 2</s>"
    assert encoded.question.count(0) == 1
    assert encoded.target[-1] == 1
    assert decode(byte_tokenizer, encoded.target) == EXAMPLE.target
    assert stop_ids(byte_tokenizer) == {1}


def test_no_chat_template_and_a_tokenizer_that_adds_no_bos(byte_tokenizer):
    byte_tokenizer.backend_tokenizer.post_processor = processors.ByteLevel()
    question = encode(byte_tokenizer, EXAMPLE).question
    assert byte_tokenizer.decode(question) == "Question: What is 1 + 1?\nAnswer:"


def test_what_else_a_tokenizer_puts_before_its_text(byte_tokenizer):
    """As GLM's does, whose text begins with two tokens, neither of them a bos token; and one that puts eos behind."""
    single = "<end> <s> $A </s>"
    byte_tokenizer.backend_tokenizer.post_processor = processors.TemplateProcessing(
        single=single, special_tokens=[("<s>", 0), ("</s>", 1), ("<end>", 2)]
    )
    byte_tokenizer.bos_token = None
    encoded = encode(byte_tokenizer, EXAMPLE)
    assert byte_tokenizer.decode(encoded.question) == "<end><s>Question: What is 1 + 1?\nAnswer:"
    assert byte_tokenizer.decode(encoded.target) == " It is 2.\n#### 2</s>"


PLAIN_TURNS = (
    "{% for m in messages %}{{ m.role }}: {{ m.content }}END{% endfor %}"
    "{% if add_generation_prompt %}assistant:{% endif %}"
)


@pytest.mark.parametrize(
    ("template", "question", "target"),
    [
        # strips the messages
        (CHAT.replace("m.content", "m.content | trim"), "<s>[user]\nWhy?<end>\n[assistant]\n", "So.<end>"),
        # writes a blank before the reply
        (PLAIN_TURNS.replace("END", "</s>"), "user:  Why?\n</s>assistant:", "  So. </s>"),
        # writes a line feed before the end of turn
        (PLAIN_TURNS.replace("END", "\n<end>"), "user:  Why?\n\n<end>assistant:", "  So. \n<end>"),
        # ends a turn with a word, not with a token
        (PLAIN_TURNS.replace("END", " over "), "user:  Why?\n over assistant:", "  So.</s>"),
        # ends a turn with nothing
        (PLAIN_TURNS.replace("END", ""), "user:  Why?\nassistant:", "  So.</s>"),
        # rewrites the reply
        (CHAT.replace("m.content", "m.content | upper"), "<s>[user]\n WHY?\n<end>\n[assistant]\n", " So. </s>"),
        # refuses the reply
        (
            "{% if messages | length > 1 %}{{ raise_exception('no') }}{% endif %}" + CHAT,
            "<s>[user]\n Why?\n<end>\n[assistant]\n",
            " So. </s>",
        ),
        # writes the question in another way once there is a reply
        ("{{ messages | length }}" + CHAT, "1<s>[user]\n Why?\n<end>\n[assistant]\n", " So. </s>"),
    ],
    ids=["strips", "blank before", "line feed after", "word", "nothing", "rewrites", "refuses", "other question"],
)
def test_what_templates_do(byte_tokenizer, template, question, target):
    byte_tokenizer.chat_template = template
    encoded = encode(byte_tokenizer, Example("toy/train/0", " Why?\n", " So. ", "So"))
    assert byte_tokenizer.decode(encoded.question) == question
    assert byte_tokenizer.decode(encoded.target) == target


def test_an_empty_target_is_the_end_of_turn(byte_tokenizer):
    byte_tokenizer.chat_template = CHAT
    assert encode(byte_tokenizer, Example("toy/train/0", "Why?", "", "")).target == [1]


def test_a_tokenizer_that_begins_every_text_with_a_blank():
    """As in the first Llama: the reply alone would begin with a blank too many."""
    words = ["<unk>", "</s>", "▁", "▁Question:", "▁Why?\nAnswer:", "▁So."]
    tokenizer = Tokenizer(models.WordLevel({word: i for i, word in enumerate(words)}, unk_token="<unk>"))
    tokenizer.add_special_tokens(["</s>"])
    tokenizer.normalizer = normalizers.Sequence([normalizers.Prepend("▁"), normalizers.Replace(" ", "▁")])
    tokenizer.pre_tokenizer = pre_tokenizers.Split("▁", "merged_with_next")
    fast = PreTrainedTokenizerFast(tokenizer_object=tokenizer, eos_token="</s>", unk_token="<unk>")
    assert fast(" So.", add_special_tokens=False)["input_ids"] == [2, 5], "a blank of its own, then the word"
    assert encode(fast, Example("toy/train/0", "Why?", "So.", "So")) == Encoded([3, 4], [5, 1])


def test_a_tokenizer_without_an_end(byte_tokenizer):
    byte_tokenizer.eos_token = None
    with pytest.raises(InputError, match="no eos token"):
        encode(byte_tokenizer, EXAMPLE)


@pytest.mark.parametrize("template", [None, CHAT])
@pytest.mark.parametrize(
    ("text", "unknown", "word"),
    [("What is so?", None, "question"), ("What is so?", "<unk>", "question"), ("known", "<unk>", "target")],
)
def test_a_text_that_the_tokenizer_does_not_know(template, text, unknown, word):
    vocabulary = {"<unk>": 0, "</s>": 1, "known": 2, "user": 3, "assistant": 4}
    words = Tokenizer(models.WordLevel(vocabulary, unk_token=unknown) if unknown else models.BPE(vocabulary, []))
    words.pre_tokenizer = pre_tokenizers.Whitespace()
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=words, eos_token="</s>", unk_token=unknown)
    tokenizer.chat_template = template and template.replace("<end>", "</s>")
    with pytest.raises(InputError) as caught:
        encode_all(tokenizer, [Example("toy/train/6", text, "never", "never")], n_tokens=8, context=None)
    assert str(caught.value) == (
        f"the tokenizer knows nothing of the {word} of example toy/train/6: give a model whose vocabulary has its "
        "letters or words"
    )
    if unknown:
        (row,) = encode_all(tokenizer, [Example("toy/train/6", "known", "so known", "")], n_tokens=8, context=None)
        assert row.target[-3:] == [0, 2, 1], "one word that is not known among others"


def test_a_tokenizer_of_another_model(byte_tokenizer):
    highest = max(encode(byte_tokenizer, EXAMPLE).question)
    settings = {"n_tokens": 8, "context": None}
    assert encode_all(byte_tokenizer, [EXAMPLE], **settings, vocabulary=highest + 1)
    message = f"example toy/train/0 has token {highest}, the model embeds {highest} tokens: its tokenizer is that of"
    with pytest.raises(InputError, match=message):
        encode_all(byte_tokenizer, [EXAMPLE], **settings, vocabulary=highest)


@pytest.mark.parametrize(("eos", "ids"), [(7, {1, 7}), ([7, 8], {1, 7, 8}), (None, {1}), (-1, {1}), ([7, -1], {1, 7})])
def test_stop_ids_of_a_generation_config(byte_tokenizer, eos, ids):
    assert stop_ids(byte_tokenizer, SimpleNamespace(eos_token_id=eos)) == ids


def test_a_reply_goes_until_the_first_token_that_ends_it():
    assert until([5, 6, 2, 7, 1], {1, 2}) == [5, 6]
    assert until([5, 6], {1, 2}) == [5, 6]
    assert until([2, 5], {2}) == until([], {2}) == []


def test_check_fits():
    encoded = Encoded(question=[5] * 30, target=[6] * 50)
    check_fits(20, encoded, 100, "toy/train/0")
    check_fits(20, encoded, None, "toy/train/0")
    with pytest.raises(InputError) as caught:
        check_fits(21, encoded, 100, "toy/train/0")
    assert str(caught.value) == (
        "example toy/train/0 needs 101 positions (21 virtual tokens, 30 of the question, 50 of the target), "
        "the context has 100: leave it out, or lower n_tokens"
    )


def test_smollm2(smollm2):
    end = smollm2.convert_tokens_to_ids("<|im_end|>")
    assert stop_ids(smollm2) == {end}
    for example in load_task("gsm-symbolic", "test", limit=20):
        encoded = encode(smollm2, example)
        text = smollm2.decode(encoded.question)
        assert text.endswith(f"<|im_start|>user\n{example.prompt}<|im_end|>\n<|im_start|>assistant\n")
        assert smollm2.decode(encoded.target) == f"{example.target}<|im_end|>"
        assert encoded.target[-1] == end
        assert end not in encoded.target[:-1]
        assert decode(smollm2, encoded.target) == example.target


def test_smollm2_without_its_template(smollm2):
    smollm2.chat_template = None
    example = load_task("gsm-symbolic", "test", limit=1)[0]
    encoded = encode(smollm2, example)
    text = smollm2.decode(encoded.question + encoded.target)
    assert text == f"Question: {example.prompt}\nAnswer: {example.target}<|im_end|>"
    assert decode(smollm2, encoded.target) == example.target


def test_gemma_has_one_bos(gemma3_270m):
    gemma = AutoTokenizer.from_pretrained(gemma3_270m)
    gemma.chat_template = (
        "{{ bos_token }}{% for m in messages %}<start_of_turn>{{ 'model' if m.role == 'assistant' else m.role }}\n"
        "{{ m.content | trim }}<end_of_turn>\n{% endfor %}"
        "{% if add_generation_prompt %}<start_of_turn>model\n{% endif %}"
    )  # that of the instruction-tuned Gemma; the model fetched here is the pretrained one
    encoded = encode(gemma, EXAMPLE)
    assert gemma.decode(encoded.question) == (
        "<bos><start_of_turn>user\nWhat is 1 + 1?<end_of_turn>\n<start_of_turn>model\n"
    )
    assert gemma.decode(encoded.target) == "It is 2.\n#### 2<end_of_turn>"
    assert stop_ids(gemma) == {gemma.eos_token_id, gemma.convert_tokens_to_ids("<end_of_turn>")}
    gemma.chat_template = None
    encoded = encode(gemma, EXAMPLE)
    assert gemma.decode(encoded.question) == "<bos>Question: What is 1 + 1?\nAnswer:"
    assert gemma.decode(encoded.target) == " It is 2.\n#### 2<eos>"


# solved examples before the question

SHOTS = [
    Example("toy/train/1", "What is 2 + 2?", "#### 4", "4"),
    Example("toy/train/2", "What is 3 + 3?", "#### 6", "6"),
]


def test_shots_of_a_chat_template_are_turns(byte_tokenizer):
    byte_tokenizer.chat_template = CHAT
    encoded = encode(byte_tokenizer, EXAMPLE, SHOTS)
    assert byte_tokenizer.decode(encoded.question) == (
        "<s>[user]\nWhat is 2 + 2?<end>\n[assistant]\n#### 4<end>\n"
        "[user]\nWhat is 3 + 3?<end>\n[assistant]\n#### 6<end>\n[user]\nWhat is 1 + 1?<end>\n[assistant]\n"
    )
    assert encoded.target == encode(byte_tokenizer, EXAMPLE).target


def test_shots_without_a_chat_template_are_blocks(byte_tokenizer):
    encoded = encode(byte_tokenizer, EXAMPLE, SHOTS)
    assert byte_tokenizer.decode(encoded.question) == (
        "<s>Question: What is 2 + 2?\nAnswer: #### 4\n\nQuestion: What is 3 + 3?\nAnswer: #### 6\n\n"
        "Question: What is 1 + 1?\nAnswer:"
    )
    assert encoded.question.count(0) == 1


# prompts that are too long


@pytest.mark.parametrize("template", [None, CHAT])
@pytest.mark.parametrize("excess", [0, 1, 2, 3, 50])
def test_the_middle_of_a_long_prompt_is_left_out(byte_tokenizer, template, excess):
    byte_tokenizer.chat_template = template
    text = "".join(f"{i:03d}," for i in range(40))  # one token a character
    example = Example("toy/train/3", text, "ok", "ok")
    whole = encode(byte_tokenizer, example)
    context = 8 + len(whole.question) - excess + 10
    (row,) = encode_all(byte_tokenizer, [example], n_tokens=8, context=context, reply=10, cut_middle=True)
    kept = len(text) - excess - (excess % 2)  # as many tokens at both ends
    expected = dataclasses.replace(
        example, prompt=text[: kept // 2] + text[len(text) - kept // 2 :] if excess else text
    )
    assert row == encode(byte_tokenizer, expected)
    assert row.cut == bool(excess)
    assert 8 + len(row.question) + max(len(row.target), 10) <= context


@pytest.mark.parametrize(("cut_middle", "prompt"), [(False, "x" * 100), (True, "x")])
def test_what_does_not_fit_even_so(byte_tokenizer, cut_middle, prompt):
    example = Example("toy/train/4", prompt, "y" * 60, "y")
    with pytest.raises(InputError, match=r"example toy/train/4 needs \d+ positions .* the context has 70: leave"):
        encode_all(byte_tokenizer, [example], n_tokens=8, context=70, cut_middle=cut_middle)


@settings(max_examples=50, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(prompt=st.text(min_size=200, max_size=400), context=st.integers(80, 150))
def test_a_cut_prompt_fits(smollm2, prompt, context):
    example = Example("toy/train/5", prompt, "ok", "ok")
    (row,) = encode_all(smollm2, [example], n_tokens=8, context=context, cut_middle=True)
    assert 8 + len(row.question) + len(row.target) <= context


@pytest.mark.parametrize(
    ("positions", "limit", "context"),
    [(100, None, 100), (100, 60, 60), (100, 200, 100), (None, 7, 7), (None, None, None)],
)
def test_the_context_of_a_model(positions, limit, context):
    text_config = SimpleNamespace(max_position_embeddings=positions)
    model = SimpleNamespace(config=SimpleNamespace(get_text_config=lambda: text_config))
    assert context_of(model, limit) == context


@pytest.mark.parametrize(
    ("fields", "positions"),
    [
        ({"max_position_embeddings": 512, "max_seq_len": 7}, 512),
        ({"max_seq_len": 2048}, 2048),
        ({"max_position_embeddings": -1}, None),
        ({"max_position_embeddings": None, "n_positions": 64}, 64),
        ({}, None),
    ],
)
@pytest.mark.parametrize("limit", [None, 100])
def test_the_context_under_any_of_its_names(fields, positions, limit):
    config = PretrainedConfig(**fields)
    least = min((given for given in (positions, limit) if given), default=None)
    assert context_of(SimpleNamespace(config=config), limit) == least
