"""Chat templates as models bring them: what they refuse, leave out, or take from outside."""

from datetime import datetime

import pytest
from tokenizers import Tokenizer, models, pre_tokenizers
from transformers import PreTrainedTokenizerFast
from transformers.utils import chat_template_utils

from tslib.errors import InputError
from tslib.models.chat import dated, write

MESSAGES = [("user", 'What is "1 < 2"?\n  (A) true'), ("assistant", "(A)")]
TURNS = (
    "{% for m in messages %}[{{ m.role }}] CONTENT</s>{% endfor %}{% if add_generation_prompt %}[assistant] {% endif %}"
)
PARTS = "{% for p in m.content %}{% if p.type == 'text' %}{{ p.text }}{% endif %}{% endfor %}"


def chatting(template) -> PreTrainedTokenizerFast:
    """A tokenizer with this template."""
    tokenizer = Tokenizer(models.WordLevel({"<unk>": 0, "</s>": 1}, unk_token="<unk>"))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    fast = PreTrainedTokenizerFast(tokenizer_object=tokenizer, eos_token="</s>", unk_token="<unk>")
    fast.chat_template = template
    return fast


def turns(content) -> str:
    return TURNS.replace("CONTENT", content)


@pytest.mark.parametrize(
    ("content", "question"),
    [
        ("{{ m.content }}", 'What is "1 < 2"?\n  (A) true'),
        ("{{ m.content | trim | replace('\n', '') | replace(' ', '') }}", 'Whatis"1<2"?(A)true'),
        ("{{ m.content | indent(4) }}", 'What is "1 < 2"?\n      (A) true'),
        ("{{ m.content | tojson }}", r'"What is \"1 < 2\"?\n  (A) true"'),
        ("{{ m.content | e }}", "What is &#34;1 &lt; 2&#34;?\n  (A) true"),
        ("{{ m.content | upper }}", 'WHAT IS "1 < 2"?\n  (A) TRUE'),
        ("{% if m.content is string %}{{ m.content }}{% endif %}", 'What is "1 < 2"?\n  (A) true'),
        # those that ask for a list of parts, and with a text write nothing, or fail
        (PARTS, 'What is "1 < 2"?\n  (A) true'),
        ("{{ m.content[0]['text'] }}", 'What is "1 < 2"?\n  (A) true'),
        ("{{ m.content | selectattr('type', 'equalto', 'text') | map(attribute='text') | join }}", MESSAGES[0][1]),
        ("{% if m.content is string %}{{ raise_exception('parts!') }}{% endif %}" + PARTS, MESSAGES[0][1]),
    ],
)
def test_a_question_is_written_whatever_form_the_template_wants(content, question):
    written, whole = write(chatting(turns(content)), MESSAGES)
    assert written == f"[user] {question}</s>[assistant] "
    assert whole.startswith(f"[user] {question}</s>[assistant] ")
    assert "a" in whole.removeprefix(written).lower()


@pytest.mark.parametrize(
    ("template", "reason"),
    [
        # what it refuses
        (
            "{{ raise_exception('Conversations must\nbegin with a system message') }}",
            "(TemplateError: Conversations must begin with a system message)",
        ),
        ("{{ messages[0].content + 1 }}", 'TypeError: can only concatenate str (not "int") to str'),
        ("{{ nothing.here }}", "UndefinedError: 'nothing' is undefined"),
        ("{% if %}", "TemplateSyntaxError: Expected an expression, got 'end of statement block'"),
        (
            {"tool_use": "{{ messages }}"},
            "ValueError: This model has multiple chat templates",
        ),
        # what it leaves out
        (
            turns("{% if m.content is string %}{{ 1 + 'a' }}{% endif %}{{ m.content }}"),
            "TypeError: unsupported operand",
        ),
        ("", "it leaves out what a message says"),
        ("[user]{{ messages[0].body }}[assistant]", "it leaves out what a message says"),
        (turns("{{ m.content[:12] }}"), "it leaves out what a message says"),
        # what it draws
        (turns("{{ ['Hello', 'Good day'] | random }} {{ m.content }}"), "| random is another one each time"),
        (turns("{{ lipsum(1) }}{{ m.content }}"), "lipsum is another one each time"),
    ],
)
def test_a_template_that_cannot_be_used_is_refused_in_one_line(template, reason):
    with pytest.raises(InputError) as caught:
        write(chatting(template), MESSAGES)
    said = str(caught.value)
    assert said.startswith("the model's chat template does not write a question of user and assistant in turn (")
    assert reason in said
    assert said.endswith("take it out of the model's folder, and questions are written without one")
    assert "\n" not in said


def test_a_shot_that_is_left_out_is_noticed():
    """A template that shows the last message alone: the question is there, what went before is not."""
    shots = [("user", "What is 3 + 3?"), ("assistant", "6"), *MESSAGES]
    last = chatting("[user] {{ messages[-1].content }}[assistant]")
    assert write(last, MESSAGES)[0] == f"[user] {MESSAGES[0][1]}[assistant]"
    with pytest.raises(InputError, match="leaves out what a message says"):
        write(last, shots)
    assert write(chatting(turns("{{ m.content }}")), shots)[0].startswith("[user] What is 3 + 3?</s>[assistant] 6</s>")


def test_a_template_for_questions_only():
    refuses = "{% if messages[-1].role != 'user' %}{{ raise_exception('no question') }}{% endif %}"
    assert write(chatting(refuses + turns("{{ m.content }}")), MESSAGES) == (
        f"[user] {MESSAGES[0][1]}</s>[assistant] ",
        "",
    )


@pytest.mark.parametrize(
    ("asks", "told"),
    [
        ("{{ strftime_now('%d %b %Y') }}", "26 Jul 2024"),
        ("{% set now = strftime_now('%Y-%m-%dT%H:%M:%S') %}{{ now }}", "2024-07-26T00:00:00"),
        ("{% if strftime_now is defined %}{{ strftime_now('%A') }}{% endif %}", "Friday"),
        ("{{ (strftime_now('%Y') | int) - 1 }}", "2023"),
    ],
)
def test_it_is_the_same_day_on_every_day(asks, told):
    tokenizer = chatting(asks + turns("{{ m.content }}"))
    question, whole = write(tokenizer, MESSAGES)
    assert question.startswith(f"{told}[user]")
    assert whole.startswith(question)
    assert dated(tokenizer) == {"template_date": "2024-07-26"}
    assert chat_template_utils.datetime is datetime, "others who use transformers have their clock"


def test_the_clock_goes_on_after_a_template_that_fails():
    with pytest.raises(InputError, match="TemplateError: not today"):
        write(
            chatting("{{ raise_exception('not ' + ('today' if strftime_now('%Y') == '2024' else 'then')) }}"), MESSAGES
        )
    assert chat_template_utils.datetime is datetime


@pytest.mark.parametrize("template", [None, turns("{{ m.content }}"), {"default": turns("{{ m.content }}")}])
def test_a_record_says_nothing_of_a_date_that_was_not_asked_for(template):
    assert dated(chatting(template)) == {}
