"""Templates written to hurt: each ends within two seconds and 64 MB, whatever it ends with.

Source: reliability.md M21 and R21, in short form.
"""

import resource
import sys
import time

import pytest

from domain.rules.content import (
    ContentEmpty,
    ContentTooLarge,
    TemplateInvalid,
    VariableMissing,
    check_template,
    render_body,
)

LONG = "x" * 9_000
VALUES: dict[str, str | dict[str, str]] = {"first_name": "Ann", "long": LONG, "fields": {"a": "b"}}

HOSTILE = {
    "a large range": "{% for i in (1..1000000000) %}x{% endfor %}",
    "a large range joined": "{{ (1..1000000000) | join: 'x' }}",
    "a large range counted": "{{ (1..1000000000) | size }}",
    "nested loops": "{% for a in (1..1000) %}" * 3 + "x" + "{% endfor %}" * 3,
    "loops one after another": "{% for a in (1..9999) %}{% endfor %}" * 5_000,
    "a long loop with a long body": "{% for a in (1..9999) %}" + "{% assign x = 1 %}" * 5_000 + "{% endfor %}",
    "doubling by append": "{% assign s = long %}" + "{% assign s = s | append: s %}" * 60 + "{{ s }}",
    "doubling in one chain": "{{ long " + "| append: long " * 60 + "}}",
    "doubling by capture": "{% assign s = long %}" + "{% capture s %}{{ s }}{{ s }}{% endcapture %}" * 60 + "{{ s }}",
    "replacing nothing": "{{ long | replace: '', long }}",
    "replacing each letter": "{{ long | replace: 'x', long | replace: 'x', long }}",
    "splitting and joining": "{{ long | split: '' | join: long }}",
    "squaring": "{% assign n = 99999999 %}" + "{% assign n = n | times: n %}" * 60 + "{{ n }}",
    "squaring in a chain": "{{ 99999999 " + "| times: 99999999 " * 50 + "}}",
    "a number of many digits": "{{ " + "9" * 900 + " | times: 2 }}",
    "rounding far": "{{ 1.5 | round: 999999999 }}",
    "rounding back": "{{ 1.5 | round: -999999999 }}",
    "cutting nothing off": "{{ long | truncate: 999999999999 }}",
    "many names": "".join(f"{{% assign n{i} = 1 %}}" for i in range(10_000)),
    "deep blocks": "{% if true %}" * 5_000 + "{% endif %}" * 5_000,
    "a long condition": "{% if true " + "and true " * 100 + "%}x{% endif %}",
    "deep brackets": "{{ fields" + "[fields" * 120 + "]" * 120 + " }}",
    "open parentheses": "{{ " + "(" * 900 + " }}",
    "open quotes": "{{ " + "'\"" * 450 + " }}",
    "open braces": "{{" * 50_000,
    "open tags": "{%" * 50_000,
    "a brace full of blanks": "{{" + " " * 50_000,
    "a closed brace full of blanks": "{{" + " " * 50_000 + "}}",
    "many braces full of blanks": ("{{" + " " * 900 + "}}") * 200,
    "many braces half full of blanks": ("{{" + (" " * 39 + "x") * 24 + "}}") * 200,
    "raw without an end": "{% raw %}" * 20_000,
    "doc without an end": "{%   doc   %}" * 15_000,
    "comments within comments": "{% comment %}" * 10_000,
    "large output": "{{ long }}" * 15_000,
    "attributes of objects": "{{ first_name.__class__.__mro__ }}{{ fields.__class__ }}",
    "deep html": "<b>" * 60_000,
    "deep quotes": "<blockquote>" * 15_000 + "x",
    "misnested html": "<a><b><i>" * 6_000 + "</a></b></i>" * 6_000 + "x",
    "tables in tables": "<table><tr><td>" * 8_000 + "x",
    "open tag of html": "<a " * 60_000,
    "many attributes": "<p " + " ".join(f"a{i}=1" for i in range(20_000)) + ">x",
    "open comments of html": "<!--" * 40_000,
    "many ampersands": "<p>" + "&" * 190_000,
    "many lists by a loop": "{% for i in (1..9999) %}<ul><li>{% endfor %}",
    "many lists": "<ul><li>" * 20_000 + "x",
    "blank lines": "x" + "\n \n" * 60_000 + "x",
    "blanks": "x" + " " * 190_000 + "x",
}


@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_template_ends_soon_and_small(name: str) -> None:
    source = HOSTILE[name]
    memory_before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    begun = time.process_time()
    for attempt in (lambda: check_template(source), lambda: render_body(source, VALUES)):
        try:
            attempt()
        except (TemplateInvalid, VariableMissing, ContentEmpty, ContentTooLarge) as refusal:
            assert len(str(refusal)) < 500  # noqa: PT017 - a render that succeeds is as good
    unit = 1 if sys.platform == "darwin" else 1_024
    grown = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - memory_before) * unit
    assert grown <= 64 * 2**20
    # A bound, not a speed: without the limits these run for minutes.
    assert time.process_time() - begun <= 2 * 2
