"""Which addresses may be called on behalf of a workspace: public ones, and those that the operator names.

Who may give us a URL or the name of a mail server could otherwise make us knock at doors inside our own network.
Python's `is_global` alone is not enough: it takes multicast and several ways of writing a private IPv4 address inside
an IPv6 one for public.

Source: the IANA special-purpose registries; RFC 6052, RFC 3056, RFC 4380; reliability.md 2.20.
"""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network
from typing import Final

Network = IPv4Network | IPv6Network

# Where mail servers of the public listen: SMTP (RFC 5321, 6409, 8314; the others are those of large providers), IMAP.
MAIL_PORTS: Final = (25, 465, 587, 2465, 2525, 2587, 143, 993)

_NUMBER: Final = re.compile(r"0x[0-9a-f]{1,8}|[0-9]{1,12}")
_NEVER: Final[Sequence[Network]] = tuple(
    ip_network(text)
    for text in (
        *("100.64.0.0/10", "192.88.99.0/24"),
        *("::/96", "64:ff9b::/96", "64:ff9b:1::/48", "2001::/32", "2002::/16", "3fff::/20", "5f00::/16", "fec0::/10"),
    )
)


class AddressNotAllowed(Exception):
    """A name leads to an address that may not be called. The sentence does not say which: that would be a map."""

    def __init__(self) -> None:
        super().__init__("This address is not a public one, so it is not called.")


class PortNotAllowed(AddressNotAllowed):
    """The port is none that mail servers listen at, so that only the operator's own networks may be called there."""

    def __init__(self) -> None:
        Exception.__init__(
            self, f"Mail servers are called at the ports {', '.join(map(str, MAIL_PORTS[:-1]))} and {MAIL_PORTS[-1]}."
        )


class NetworksInvalid(ValueError):
    """The text is not a list of networks."""


@dataclass(frozen=True, slots=True)
class Reach:
    """What may be called: every public address, and the networks that the operator allows besides."""

    allowed: tuple[Network, ...] = ()

    @classmethod
    def of(cls, text: str) -> "Reach":
        """Return the reach with these networks, written as in `10.0.0.0/8, 127.0.0.1`.

        Raises:
            NetworksInvalid
        """
        try:
            return cls(tuple(ip_network(part.strip()) for part in text.split(",") if part.strip()))
        except ValueError as problem:
            raise NetworksInvalid(str(problem)) from None

    def names(self, address: str) -> bool:
        """Return whether the operator has allowed this address by name, public or not."""
        found = _plain(address)
        return found is not None and any(
            found in network for network in self.allowed if network.version == found.version
        )

    def includes(self, address: str) -> bool:
        """Return whether this address, as a resolver gave it, may be called."""
        found = _plain(address)
        return found is not None and (self.names(address) or _is_public(found))

    def chosen(self, addresses: Iterable[str]) -> list[str]:
        """Return the addresses of one name, if all of them may be called: one bad one makes the whole name bad.

        Raises:
            AddressNotAllowed: also when there are none.
        """
        found = list(dict.fromkeys(addresses))
        if not found or not all(self.includes(address) for address in found):
            raise AddressNotAllowed
        return found

    def chosen_for_mail(self, addresses: Iterable[str], port: int) -> list[str]:
        """Return the addresses of a mail server's name, if all of them may be called at this port.

        Raises:
            AddressNotAllowed: PortNotAllowed for what is not inside the operator's own networks.
        """
        found = self.chosen(addresses)
        if port not in MAIL_PORTS and not all(self.names(address) for address in found):
            raise PortNotAllowed
        return found

    def check_mail_server(self, host: str, port: int) -> None:
        """Refuse what is bad whatever a resolver will say: an address, in any way of writing it, and a port.

        Raises:
            AddressNotAllowed
        """
        if (address := _written(host)) is not None:
            self.chosen_for_mail([address], port)
        elif port not in MAIL_PORTS and not self.allowed:
            raise PortNotAllowed


PUBLIC_ONLY: Final = Reach()


def _plain(address: str) -> IPv4Address | IPv6Address | None:
    """Return the address, an IPv4 one inside IPv6 unwrapped; None for what is none, or has a zone."""
    try:
        found = ip_address(address)
    except ValueError:
        return None
    if isinstance(found, IPv6Address):
        if found.scope_id is not None:
            return None
        return found.ipv4_mapped or found
    return found


def _written(host: str) -> str | None:
    """Return the address that a host is without a look-up, as `127.1`, `0x7f.1` and `localhost` are; None for names."""
    name = host.rstrip(".").lower()
    if name == "localhost" or name.endswith(".localhost"):  # RFC 6761
        return "127.0.0.1"
    try:
        return str(ip_address(name))
    except ValueError:
        pass
    return _numeric(name)


def _numeric(name: str) -> str | None:
    """Return the IPv4 address that resolvers read in one to four numbers, decimal, octal or hexadecimal, of which the
    last fills what is left (as inet_aton does); None for anything else."""
    parts = name.split(".")
    if len(parts) > 4 or not all(_NUMBER.fullmatch(part) for part in parts):
        return None
    try:
        numbers = [int(part, 16 if part.startswith("0x") else 8 if part.startswith("0") else 10) for part in parts]
    except ValueError:  # no octal number
        return None
    *first, last = numbers
    if any(number > 255 for number in first) or last >= 256 ** (4 - len(first)):
        return None
    return str(IPv4Address(sum(number << 8 * (3 - place) for place, number in enumerate(first)) + last))


def _is_public(address: IPv4Address | IPv6Address) -> bool:
    return (
        address.is_global
        and not (address.is_multicast or address.is_reserved or address.is_unspecified)
        and not any(address in network for network in _NEVER)
    )
