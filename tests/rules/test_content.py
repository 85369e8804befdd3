from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.rules.content import (
    ContentEmpty,
    ContentTooLarge,
    TemplateInvalid,
    VariableMissing,
    check_template,
    check_variables,
    contact_variables,
    render_body,
    render_subject,
    render_text,
)
from domain.rules.html_text import sanitised, text_of
from domain.rules.plan import StepKind

ANN = contact_variables(
    first_name="Ann",
    last_name=" Lee ",
    email="ann@example.com",
    company="  ",
    fields={"role": "Engineer", "Favourite city": "Lyon", "vacant": "", "none": None, "years": 7},
    sender_name="Bo",
    sender_address="bo@example.com",
)


def test_empty_values_are_left_out_of_the_variables() -> None:
    assert ANN == {
        "first_name": "Ann",
        "last_name": "Lee",
        "full_name": "Ann Lee",
        "email": "ann@example.com",
        "fields": {"role": "Engineer", "Favourite city": "Lyon", "years": "7"},
        "sender": {"name": "Bo", "address": "bo@example.com"},
    }
    assert contact_variables(last_name="Lee")["full_name"] == "Lee"


@pytest.mark.parametrize(
    ("template", "text"),
    [
        ("Hi {{ first_name }}", "Hi Ann"),
        ("{{ full_name | upcase }}", "ANN LEE"),
        ("{{ fields.role }} in {{ fields['Favourite city'] }}", "Engineer in Lyon"),
        ("{{ sender.name }} <{{ sender.address }}>", "Bo <bo@example.com>"),
        ("{{ company | default: 'your company' }}", "your company"),
        ("{{ fields.team | default: fields.role }}", "Engineer"),
        ("{% if company %}at {{ company }}{% else %}alone{% endif %}", "alone"),
        ("{% unless phone %}no phone{% endunless %}", "no phone"),
        ("{% if company == 'ACME' or company contains 'x' or company > 'a' %}a{% else %}b{% endif %}", "b"),
        ("{% if company == nil %}none{% endif %}{% if company != nil %}x{% endif %}", "none"),
        ("{% case company %}{% when 'A' %}a{% else %}none{% endcase %}", "none"),
        ("{% assign n = first_name | downcase %}{{ n }}", "ann"),
        ("{% for part in (1..3) %}{{ part }}{% endfor %}", "123"),
        ("{% comment %}{{ nothing }}{% endcomment %}x", "x"),
    ],
)
def test_a_template_is_filled_in(template: str, text: str) -> None:
    check_template(template)
    assert render_text(template, ANN) == text


@pytest.mark.parametrize(
    ("template", "name"),
    [
        ("Hi {{ nickname }}", "nickname"),
        ("Hi {{ company }}", "company"),
        ("Hi {{ company | upcase }}", "company"),
        ("Hi {{ company | size }}", "company"),
        ("Hi {{ company | first }}", "company"),
        ("Hi {{ company | upcase | default: 'x' }}", "company"),
        ("Hi {{ fields.team }}", "fields.team"),
        ("Hi {{ fields['my team'] }}", "fields['my team']"),
        ("Hi {{ fields.vacant }}", "fields.vacant"),
        ("Hi {{ team.lead }}", "team"),
        ("Hi {{ 'Dr ' | append: company }}", "company"),
        ("{{ phone | default: company }}", "company"),
        ("{% assign x = company %}{{ x }}", "company"),
        ("{% for x in company %}{{ x }}{% endfor %}", "company"),
        ("{{ first_name.first_letter }}", "first_name.first_letter"),
        ("{{ now }}", "now"),
        ("{{ today }}", "today"),
    ],
)
def test_a_variable_without_a_value_is_named_and_never_an_empty_gap(template: str, name: str) -> None:
    for render in (render_text, render_subject, render_body):
        with pytest.raises(VariableMissing) as refusal:
            render(template, ANN)
        assert refusal.value.name == name


@pytest.mark.parametrize("empty", [{"first_name": ""}, {}])
def test_an_empty_value_counts_as_missing(empty: dict[str, Any]) -> None:
    with pytest.raises(VariableMissing):
        render_text("{{ first_name }}", empty)


@pytest.mark.parametrize(
    ("template", "line"),
    [
        ("Hi {{ first_name", 1),
        ("Hi\n\n{% if %}", 3),
        ("one\n{% if first_name %}two", None),
        ("one\n{{ first_name | nonsense }}", 2),
        ("one\n{% nonsense %}", 2),
        ("{% include 'secrets' %}", 1),
        ("{% render 'secrets' %}", 1),
        ("\n\n{% raw %}{{ x }}{% endraw %}", 3),
        ("{{ 'now' | date: '%Y' }}", 1),
        ("{{ first_name | safe }}", 1),
        ("{{ 1 + 2 }}", 1),
        ("x" * 200_001, 1),
    ],
)
def test_a_template_that_cannot_be_compiled_is_refused_with_its_line(template: str, line: int | None) -> None:
    with pytest.raises(TemplateInvalid) as refusal:
        check_template(template)
    if line is not None:
        assert refusal.value.line == line
    assert len(str(refusal.value)) < 400


@pytest.mark.parametrize("template", ["{{ fields }}", "{{ sender | size }}", "{{ 1 | divided_by: 0 }}", "{% break %}"])
def test_what_only_fails_when_filled_in_is_refused_then(template: str) -> None:
    with pytest.raises(TemplateInvalid):
        render_text(template, ANN)


def test_values_are_escaped_in_html_and_plain_in_the_subject() -> None:
    hostile = contact_variables(first_name="<img src=x onerror=alert(1)> & Söhne", email="a@example.com")
    mail = render_body("<p>Hi {{ first_name }}</p>", hostile)
    assert render_subject("Hi {{ first_name }}", hostile) == "Hi <img src=x onerror=alert(1)> & Söhne"
    assert mail.html == "<p>Hi &lt;img src=x onerror=alert(1)&gt; &amp; Söhne</p>"
    assert mail.text == "Hi <img src=x onerror=alert(1)> & Söhne"


def test_a_value_in_a_link_cannot_become_a_script() -> None:
    hostile = contact_variables(fields={"url": "javascript:alert(1)", "quoted": '" onclick="alert(1)'})
    body = render_body("<a href='{{ fields.url }}'>a</a> <a href=\"https://e.test/{{ fields.quoted }}\">b</a>", hostile)
    assert "javascript" not in body.html
    assert "onclick=" not in body.html.replace("%22%20onclick=", "").replace("&quot; onclick=", "")


def test_a_subject_is_one_line() -> None:
    lines = contact_variables(first_name="Ann\r\nBcc: bob@example.com")
    assert render_subject("Hi\n {{ first_name }}\t!", lines) == "Hi Ann Bcc: bob@example.com !"


def test_a_body_without_tags_is_plain_text() -> None:
    body = render_body("Hi {{ first_name }},\nR&D, 1 < 2 {% if phone<email %}{% endif %}\r\n\r\n\n<{{ email }}>", ANN)
    assert body.text == "Hi Ann,\nR&D, 1 < 2 \n\n\n<ann@example.com>"
    assert body.html == "<p>Hi Ann,<br>\nR&amp;D, 1 &lt; 2 </p>\n<p>&lt;ann@example.com&gt;</p>"


@pytest.mark.parametrize(
    "body", ["", "  \n ", "<p> &nbsp; </p>", "<script>alert(1)</script>", "{% if phone %}x{% endif %}"]
)
def test_an_empty_body_is_refused(body: str) -> None:
    with pytest.raises(ContentEmpty) as refusal:
        render_body(body, ANN)
    assert refusal.value.part == "body"


def test_an_empty_subject_is_refused() -> None:
    with pytest.raises(ContentEmpty) as refusal:
        render_subject(" {% if phone %}x{% endif %} ", ANN)
    assert refusal.value.part == "subject"


def test_an_image_alone_is_a_body() -> None:
    assert "https://example.com/a.png" in render_body('<img src="https://example.com/a.png">', ANN).html


def test_content_that_is_too_large_is_refused() -> None:
    with pytest.raises(ContentTooLarge):
        render_subject("x" * 501, ANN)
    with pytest.raises(ContentTooLarge):
        render_body("{% assign s = fields.long %}" + "{{ s }}" * 100, {"fields": {"long": "x" * 15_000}})


@pytest.mark.parametrize(
    ("written", "kept"),
    [
        (
            '<a href="https://example.com?a=1&amp;b=2" onclick="x()">a</a>',
            '<a href="https://example.com?a=1&amp;b=2">a</a>',
        ),
        ('<a href="mailto:a@example.com">a</a>', '<a href="mailto:a@example.com">a</a>'),
        ('<a href="javascript:alert(1)">a</a>', "<a>a</a>"),
        ('<a href="/relative">a</a>', "<a>a</a>"),
        ('<img src="http://example.com/a.png" alt="a">', '<img alt="a">'),
        ('<img src="https://example.com/a.png">', '<img src="https://example.com/a.png">'),
        ('<img src="data:image/png;base64,AAAA">', "<img>"),
        ('<p style="color:red;position:fixed">a</p>', '<p style="color:red">a</p>'),
        ("<script>alert(1)</script><style>p{}</style>a", "a"),
        ("<iframe src='https://example.com'></iframe><form><input></form>a", "a"),
        ("<html><head><title>t</title></head><body><p>a</p></body></html>", "<p>a</p>"),
        ("a<!-- secret -->b", "ab"),
    ],
)
def test_html_is_sanitised(written: str, kept: str) -> None:
    assert sanitised(written) == kept


@pytest.mark.parametrize(
    ("html", "text"),
    [
        ("<p>one</p><p>two<br>three</p>", "one\n\ntwo\nthree"),
        ("<div>one</div><div>two</div>", "one\ntwo"),
        ("<p>a <b>bold</b> <i>word</i>, here</p>", "a bold word, here"),
        ("<h1>Title</h1>\n  <p>text   with\n spaces</p>", "Title\n\ntext with spaces"),
        ('<p>see <a href="https://e.test/?a=1&amp;b=2">our jobs</a>.</p>', "see our jobs (https://e.test/?a=1&b=2)."),
        ('<a href="https://e.test">https://e.test</a>', "https://e.test"),
        ('<a href="https://e.test">e.test</a>', "e.test"),
        ('<a href="mailto:a@e.test">a@e.test</a>', "a@e.test"),
        ('<a href="https://e.test"><img src="https://e.test/a.png"></a>', "https://e.test"),
        ('<a href="https://e.test"><img src="https://e.test/a.png" alt="logo"></a>', "logo (https://e.test)"),
        ("<p>x</p><ul><li>one</li><li>two</li></ul><p>y</p>", "x\n\n- one\n- two\n\ny"),
        ("<ol><li>one</li><li>two</li></ol>", "1. one\n2. two"),
        ('<ol start="5"><li>one</li></ol>', "5. one"),
        ("<ul><li>one<ul><li>in</li></ul></li><li>two</li></ul>", "- one\n  - in\n- two"),
        ("<ul><li><p>one</p></li><li><p>two</p></li></ul>", "- one\n\n- two"),
        ("<p>a</p><blockquote>b<br>c</blockquote><p>d</p>", "a\n\n> b\n> c\n\nd"),
        ("<table><tr><td>a</td><td>b</td></tr><tr><td>c</td><td>d</td></tr></table>", "a b\nc d"),
        ("<pre>a\n  b</pre>", "a\n  b"),
        ("a<hr>b", "a\n---\nb"),
        ("1 &lt; 2 &amp; 3&nbsp;&gt; 2", "1 < 2 & 3 > 2"),
        ("", ""),
    ],
)
def test_the_text_part_reads_like_the_html(html: str, text: str) -> None:
    assert text_of(sanitised(html)) == text


@given(st.text(alphabet="<>/apbrulimgh=\"' \n&;{}1", max_size=120))
def test_any_html_becomes_text_without_markup(html: str) -> None:
    clean = sanitised(html)
    assert sanitised(clean) == clean
    assert "\r" not in text_of(clean)


@given(st.text(st.characters(exclude_categories=["Cs", "Cc"]), min_size=1).filter(str.strip))
def test_any_value_comes_out_as_it_is(name: str) -> None:
    shown = name.strip()
    assert render_text("{{ first_name }}", {"first_name": shown}) == shown
    assert " ".join(render_body("<p>{{ first_name }}</p>", {"first_name": shown}).text.split()) == " ".join(
        shown.split()
    )


@pytest.mark.parametrize(
    ("source", "kind", "why"),
    [
        (
            "Hello {{ frist_name }}",
            StepKind.AUTOMATED_EMAIL,
            "(line 1): there is no variable “frist_name”. Did you mean {{ first_name }}?",
        ),
        (
            "a\n{{ nickname }}",
            StepKind.TASK,
            "(line 2): there is no variable “nickname”. A custom field is written {{ fields.nickname }}.",
        ),
        ("{{ contact.firstName }}", StepKind.MANUAL_EMAIL, "Did you mean {{ first_name }}?"),
        ("{{ sender.nam }}", StepKind.AUTOMATED_EMAIL, "Did you mean {{ sender.name }}?"),
        ("{% if lastname %}x{% endif %}", StepKind.AUTOMATED_EMAIL, "Did you mean {{ last_name }}?"),
        ("{{ unsubscribe_url }}", StepKind.MANUAL_EMAIL, "is there in automated emails only"),
    ],
)
def test_a_variable_that_nobody_has_is_refused_when_it_is_written(source: str, kind: StepKind, why: str) -> None:
    with pytest.raises(TemplateInvalid) as refused:
        check_variables(source, kind)
    assert why in str(refused.value)


def test_what_a_template_names_itself_and_any_custom_field_may_be_used() -> None:
    check_variables(
        "{% assign who = first_name | default: company %}{% for n in (1..2) %}{{ n }}{{ forloop.index }}{% endfor %}"
        "{{ who }} {{ fields.anything }} {{ fields['a b'] }} {{ sender.address }} {{ unsubscribe_url }}"
        "{{ email.size }}",
        StepKind.AUTOMATED_EMAIL,
    )
