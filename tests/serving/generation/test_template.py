"""Chat templates in their sandbox."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from serving.errors import InvalidArgument
from serving.generation.template import BREAK, break_special, render_chat
from serving.wire.openai_errors import BadRequest

MESSAGES = ({"role": "user", "content": "hé <b>"}, {"role": "assistant", "content": "no"})
MARKS = {"bos_token": "<s>", "eos_token": "</s>"}


def _render(template, messages=MESSAGES, most=1000, seconds=5.0):
    return render_chat(template, messages, MARKS, most, seconds)


def test_it_renders_as_hugging_face_does():
    template = """{{ bos_token }}
{% for message in messages %}
    {% if message.role == 'user' %}
[U] {{ message['content'] | trim }}
    {% else %}
        {% continue %}
    {% endif %}
{% endfor %}
{% if add_generation_prompt %}[A]{% endif %}{{ messages[0] | tojson }}{{ tools is none }}"""
    assert '<s>\n[U] hé <b>\n[A]{"role": "user", "content": "hé <b>"}True' == _render(template)


def test_a_template_may_refuse():
    with pytest.raises(BadRequest, match="Roles must alternate"):
        _render("{{ raise_exception('Roles must alternate') }}")


@pytest.mark.parametrize(
    "template",
    [
        "{{ ''.__class__.__mro__[1].__subclasses__() }}",
        "{{ cycler.__init__.__globals__.os.popen('id').read() }}",
        "{{ messages.append(1) }}",
        "{{ messages[0].update(role='x') }}",
        "{{ 'x' * 10000000000 }}",
        "{{ [0] * 10000000000 }}",
        "{{ 10 ** 10000000 }}",
        "{{ range(10000000000) | list }}",
        "{{ messages[9].content.x }}",
        "{{ 1 // 0 }}",
        "{% include 'x' %}",
    ],
)
def test_what_a_template_may_not_do(template):
    with pytest.raises(BadRequest):
        _render(template, tuple(map(dict, MESSAGES)))


def test_a_template_that_is_none():
    with pytest.raises(InvalidArgument, match="no Jinja2"):
        _render("{% for %}")


def test_a_template_that_never_ends():
    """Neither with an output nor without one; the thread goes on to work."""
    forever = "{% for a in range(99999) %}{% for b in range(99999) %}BODY{% endfor %}{% endfor %}"
    with pytest.raises(BadRequest, match="more than 1000 characters"):
        _render(forever)
    with pytest.raises(BadRequest, match=r"longer than 0\.2 seconds"):
        _render(forever.replace("BODY", ""), seconds=0.2)
    assert "<s>" == _render("{{ bos_token }}")


def test_the_end_of_the_last_message_may_be_the_end():
    template = "{{ messages[0].content }}{% if add_generation_prompt %}[A]{% endif %}"
    assert "hé <b>" == render_chat(template, MESSAGES, MARKS, 1000, add_generation_prompt=False)


@given(st.lists(st.sampled_from(["<s>", "</s>", "<s>x", "x", "é", "<", "s", ">", BREAK]), max_size=12).map("".join))
def test_no_special_token_is_left_in_a_text_and_no_other_character_is_changed(text):
    broken = break_special(text, ("<s>", "</s>", "<s>x"))
    assert not any(token in broken for token in ("<s>", "</s>", "<s>x"))
    assert text.replace(BREAK, "") == broken.replace(BREAK, "")
    assert text.replace(BREAK, "") == break_special(text, ())
