"""What `relance up` says when everything runs: the addresses, the key, and three things to try."""

from collections.abc import Mapping
from pathlib import Path


def welcome(connection: Mapping[str, str], *, scripts: Path, after_seconds: float, key_is_filled_in: bool) -> str:
    """Return the words; `connection` is what scripts find in the file `scripts`."""
    headers = f'set its headers to {{"Authorization": "Bearer {connection["apiKey"]}"}}'
    tip = "the key is filled in" if key_is_filled_in else headers
    query = "{ recipients(first: 5) { nodes { status statusMessage contact { email } } } }"
    return f"""
Relance is ready after {after_seconds:.1f} s.

  GraphQL   {connection["graphql"]}   (subscriptions: {connection["websocket"]})
  Mails     {connection["mail"]}   (SMTP {connection["smtp"]}; nothing leaves this machine)
  API key   {connection["apiKey"]}
  Scripts   {scripts}

Three things to try:
  1. Ask where people are:
     curl -s {connection["graphql"]} -H 'Authorization: Bearer {connection["apiKey"]}' \\
       -H 'Content-Type: application/json' -d '{{"query": "{query}"}}'
  2. Look around in GraphiQL (its page comes from the internet); {tip}:
     {connection["graphql"]}
  3. Read the mails as they go out:  {connection["mail"]}

Stop with Ctrl-C."""
