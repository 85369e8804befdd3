"""Where the API listens, and who can call there."""

import pytest

from cli.listening import Place


@pytest.mark.parametrize("host", ["127.0.0.1", "127.0.0.5", "::1", "localhost", "LOCALHOST"])
def test_loopback_is_for_this_machine_alone(host: str) -> None:
    assert Place(host, 8000).is_loopback


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "", "192.168.1.7", "relance.example.com"])
def test_any_other_address_can_be_called_by_others(host: str) -> None:
    assert not Place(host, 8000).is_loopback
