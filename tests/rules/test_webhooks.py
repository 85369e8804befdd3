"""What an endpoint may look like, its signature, and when it is tried again."""

import json
from datetime import UTC, datetime, timedelta

import pytest
from standardwebhooks import Webhook

from domain.rules.webhooks import (
    RETRIES,
    SECRET_PREFIX,
    Target,
    UrlInvalid,
    new_secret,
    retry_after,
    signature,
    target_of,
    unknown_types,
)


def test_a_url_is_taken_apart_into_where_it_leads() -> None:
    assert target_of("https://hooks.example/a?b=c") == Target("https", "hooks.example", 443, "/a?b=c")
    assert target_of("https://bücher.example") == Target("https", "xn--bcher-kva.example", 443, "/")
    assert target_of("https://[2606:4700::1]:8443/x").host_header == "[2606:4700::1]:8443"
    assert target_of("https://hooks.example:443/").host_header == "hooks.example"


@pytest.mark.parametrize(
    "url",
    [
        *("", "hooks.example", "ftp://hooks.example", "https://", "https:///x", "javascript:alert(1)"),
        *("https://user@hooks.example", "https://user:word@hooks.example", "https://hooks.example#part"),
        *("https://hooks.example:99999", "https://hooks example", "https://hooks.example/\r\nx: y", "https://[::1"),
        "https://" + "a" * 2_000,
    ],
)
def test_what_cannot_be_an_endpoint_is_refused(url: str) -> None:
    with pytest.raises(UrlInvalid):
        target_of(url)


def test_each_secret_in_force_signs_as_the_standard_says() -> None:
    old, new = new_secret(), new_secret()
    assert old.startswith(SECRET_PREFIX)
    assert old != new
    body = json.dumps({"type": "x"}).encode()
    now = int(datetime.now(UTC).timestamp())
    headers = {
        "webhook-id": "evt_1",
        "webhook-timestamp": str(now),
        "webhook-signature": signature([new, old], "evt_1", now, body),
    }
    for secret in (old, new):
        assert Webhook(secret).verify(body.decode(), headers) == {"type": "x"}


def test_retries_take_a_little_over_a_day_and_honour_what_the_receiver_asked_for() -> None:
    total = sum((retry_after(n, None, 0.0) or timedelta() for n in range(1, len(RETRIES) + 1)), timedelta())
    assert timedelta(days=1) < total < timedelta(days=1.2)
    assert retry_after(len(RETRIES) + 1, None, 0.0) is None
    assert retry_after(1, timedelta(minutes=7), 0.5) == timedelta(minutes=7)
    assert retry_after(1, timedelta(days=30), 0.5) == timedelta(hours=12)
    assert retry_after(1, timedelta(seconds=1), 1.0) == timedelta(seconds=5.5)


def test_an_event_type_that_does_not_exist_is_named() -> None:
    assert unknown_types(["recipient.enrolled", "recipient.vanished"]) == ["recipient.vanished"]
