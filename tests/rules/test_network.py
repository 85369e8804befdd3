"""Which addresses may be called: public ones, and what the operator names."""

import pytest

from domain.rules.network import PUBLIC_ONLY, AddressNotAllowed, NetworksInvalid, PortNotAllowed, Reach

INSIDE = [
    *("127.0.0.1", "127.255.255.254", "10.1.2.3", "172.16.0.1", "172.31.255.255", "192.168.1.1", "169.254.169.254"),
    *("0.0.0.0", "0.1.2.3", "100.64.0.1", "100.127.255.255", "192.0.0.1", "192.0.2.1", "198.18.0.1", "198.51.100.7"),
    *("203.0.113.9", "192.88.99.1", "224.0.0.1", "239.255.255.255", "240.0.0.1", "255.255.255.255"),
    *("::", "::1", "::127.0.0.1", "::ffff:127.0.0.1", "::ffff:10.0.0.1", "64:ff9b::7f00:1", "64:ff9b:1::1"),
    *(
        "2002:7f00:1::1",
        "2001::1",
        "2001:db8::1",
        "3fff::1",
        "5f00::1",
        "fc00::1",
        "fd12::1",
        "fe80::1",
        "fe80::1%eth0",
    ),
    *("ff02::1", "fec0::1", "100::1"),
]


@pytest.mark.parametrize("address", INSIDE)
def test_an_address_that_is_not_public_is_never_called(address: str) -> None:
    assert not PUBLIC_ONLY.includes(address)
    with pytest.raises(AddressNotAllowed):
        PUBLIC_ONLY.chosen(["8.8.8.8", address])


@pytest.mark.parametrize("address", ["8.8.8.8", "1.1.1.1", "2606:4700:4700::1111", "::ffff:8.8.8.8", "172.32.0.1"])
def test_a_public_address_is_called(address: str) -> None:
    assert PUBLIC_ONLY.chosen([address]) == [address]


def test_the_operators_networks_are_called_and_nothing_beside_them() -> None:
    reach = Reach.of("10.20.0.0/16, 127.0.0.1, fd00:1::/32")
    assert all(
        reach.includes(address) for address in ("10.20.1.1", "127.0.0.1", "::ffff:127.0.0.1", "fd00:1::5", "8.8.8.8")
    )
    assert not any(reach.includes(address) for address in ("10.21.0.1", "127.0.0.2", "fd00:2::5", "::1"))
    assert reach.names("10.20.1.1")
    assert not reach.names("8.8.8.8")


def test_a_name_without_addresses_and_text_that_is_none_are_refused() -> None:
    for found in ([], ["nonsense"], ["8.8.8.8", ""]):
        with pytest.raises(AddressNotAllowed):
            PUBLIC_ONLY.chosen(found)
    with pytest.raises(NetworksInvalid):
        Reach.of("10.0.0.0/8, here")


@pytest.mark.parametrize(
    "host",
    [
        *("127.0.0.1", "127.1", "0x7f.1", "2130706433", "017700000001", "localhost", "LOCALHOST.", "mail.localhost"),
        *("10.1.2.3", "169.254.169.254", "::1", "::ffff:10.0.0.1", "0"),
    ],
)
def test_a_mail_server_inside_is_refused_however_its_address_is_written(host: str) -> None:
    with pytest.raises(AddressNotAllowed):
        PUBLIC_ONLY.check_mail_server(host, 587)


def test_mail_servers_of_the_public_are_called_at_the_ports_of_mail_alone() -> None:
    for port in (25, 465, 587, 2525, 143, 993):
        PUBLIC_ONLY.check_mail_server("mail.example.com", port)
        assert PUBLIC_ONLY.chosen_for_mail(["8.8.8.8"], port) == ["8.8.8.8"]
    for port in (22, 80, 5432, 6379):
        for host in ("mail.example.com", "8.8.8.8"):
            with pytest.raises(PortNotAllowed):
                PUBLIC_ONLY.check_mail_server(host, port)
        with pytest.raises(PortNotAllowed):
            Reach.of("10.0.0.0/8").chosen_for_mail(["8.8.8.8"], port)


def test_a_mail_server_in_the_operators_network_is_called_at_any_port() -> None:
    reach = Reach.of("10.20.0.0/16")
    reach.check_mail_server("10.20.0.9", 1025)
    reach.check_mail_server("mail.internal", 1025)  # its addresses decide, when it is called
    assert reach.chosen_for_mail(["10.20.0.9"], 1025) == ["10.20.0.9"]
    with pytest.raises(AddressNotAllowed):
        reach.chosen_for_mail(["10.20.0.9", "10.30.0.9"], 25)
