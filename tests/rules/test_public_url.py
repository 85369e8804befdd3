"""Where links in mails lead is refused when it is set, never discovered by someone who wants to opt out."""

import pytest

from domain.secrets import new_key
from domain.settings import Settings, SettingsInvalid, read_settings

NEEDED = {"DATABASE_URL": "postgresql://x@y/z", "REDIS_URL": "redis://x", "RELANCE_SECRET_KEY": new_key()}


def reading(url: str) -> Settings:
    return read_settings(NEEDED | {"RELANCE_PUBLIC_URL": url})


@pytest.mark.parametrize(
    "url", ["https://relance.example.com", "https://a.example:8443/relance/", "http://localhost:8000", "http://[::1]:1"]
)
def test_https_or_this_machine_is_taken(url: str) -> None:
    assert reading(url).links_url == url.rstrip("/")


@pytest.mark.parametrize(
    "url",
    [
        "http://relance.example.com",
        "relance.example.com",
        "ftp://relance.example.com",
        "https://",
        "https://a b.example",
        "https://user:secret@a.example",
        "https://a.example/?x=1",
        "https://a.example/#x",
        "https://a.example>,<mailto:x@y.example",
        "https://bücher.example",
        "https://a.example:port",
        "https://[::1",
    ],
)
def test_what_a_mail_program_would_not_follow_is_refused(url: str) -> None:
    with pytest.raises(SettingsInvalid, match="RELANCE_PUBLIC_URL"):
        reading(url)


def test_keys_of_before_are_read_in_their_order_and_a_wrong_one_is_named() -> None:
    first, second = new_key(), new_key()
    settings = read_settings(NEEDED | {"RELANCE_PREVIOUS_SECRET_KEYS": f"{first}, {second}"})
    assert len(settings.previous_keys) == 2
    with pytest.raises(SettingsInvalid, match="RELANCE_PREVIOUS_SECRET_KEYS"):
        read_settings(NEEDED | {"RELANCE_PREVIOUS_SECRET_KEYS": f"{first},short"})
