"""GraphiQL: Strawberry's page, whose programs come from unpkg.com, with words for a browser that cannot go there."""

import json
import re
from typing import Final

from strawberry.http.ides import get_graphql_ide_html

_PLACE: Final = '<div id="graphiql" class="graphiql-container">Loading...</div>'
_OUTSIDE: Final = re.compile(r"\s*<(?:script|link)\s+crossorigin\b[^>]*>(?:</script>)?")
# What stands outside comes after these words: until it has come, or never comes, they are what is seen.
_WAITING: Final = """<div id="graphiql" class="graphiql-container">
      <p style="margin: 4rem auto; max-width: 40rem; padding: 0 1rem; font: 16px/1.5 system-ui, sans-serif">
        <span id="waiting">Loading GraphiQL from unpkg.com, which takes a moment; if this stays,</span> this browser
        cannot reach unpkg.com. The API works without it: give any GraphQL client this address, or ask with curl as
        <code>relance up</code> shows. The schema is at <a href="/schema.graphql">/schema.graphql</a>.
      </p>
    </div>
    <script>
      window.addEventListener("error", () => {
        const words = document.getElementById("waiting");
        if (words) words.textContent = "GraphiQL could not be loaded:";
      }, true);
    </script>"""


def graphiql_page(demo_key: str | None) -> str:
    """Return GraphiQL; with a demo key its headers and its subscriptions carry that key from the start."""
    page = get_graphql_ide_html("graphiql").replace("Strawberry GraphiQL", "Relance GraphiQL")
    head, end_of_head, body = page.partition("</head>")
    outside = "".join(_OUTSIDE.findall(head))
    changes = [(_PLACE, _WAITING + outside)]
    if demo_key is not None:
        headers = json.dumps({"Authorization": f"Bearer {demo_key}"})
        # "<" is written so that no key, whatever it holds, can end the script element.
        as_object = headers.replace("<", "\\u003c")
        as_text = json.dumps(json.dumps(json.loads(headers), indent=2)).replace("<", "\\u003c")
        changes += [
            ("const defaultHeaders = {};", f"const defaultHeaders = {as_object};"),
            ("React.useState(parameters.headers)", f"React.useState(parameters.headers || {as_text})"),
            ("subscriptionUrl,\n", f"subscriptionUrl,\n        wsConnectionParams: {as_object},\n"),
        ]
    for before, after in changes:
        if before not in body or not outside:
            raise AssertionError(f"the GraphiQL page has changed: {before!r} is gone")
        body = body.replace(before, after)
    return _OUTSIDE.sub("", head) + end_of_head + body
