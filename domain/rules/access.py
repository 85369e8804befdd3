"""Who may do what: a small closed list of scopes for keys, and the roles of people, which are sets of scopes.

Rights are asked once, at the root field of an operation: an object that a root field leads to can be walked from. So
there is one scope for reading, and one for each kind of change. The answer of a change may be read without `read`.

Source: api.md "Auth"; architecture.md "The flow of one read"; docs/adr/0010.
"""

from collections.abc import Collection, Mapping
from enum import StrEnum
from typing import Final


class Scope(StrEnum):
    """One kind of right."""

    READ = "read"
    RECIPIENTS_WRITE = "recipients:write"
    CONTACTS_WRITE = "contacts:write"
    SEQUENCES_WRITE = "sequences:write"
    MAILBOXES_WRITE = "mailboxes:write"
    SIGNALS_WRITE = "signals:write"
    SUPPRESSIONS_WRITE = "suppressions:write"
    WEBHOOKS_WRITE = "webhooks:write"
    ADMIN = "admin"


SCOPE_MEANING: Final[Mapping[Scope, str]] = {
    Scope.READ: "read everything of the workspace, and be told of its changes",
    Scope.RECIPIENTS_WRITE: "enrol people and act on recipients, their tasks and their errors",
    Scope.CONTACTS_WRITE: "create, change and erase contacts",
    Scope.SEQUENCES_WRITE: "write sequences, start and stop them",
    Scope.MAILBOXES_WRITE: "add, change and connect mailboxes",
    Scope.SIGNALS_WRITE: "report replies, bounces and opt-outs, and hand in mail",
    Scope.SUPPRESSIONS_WRITE: "put addresses on the suppression list, and lift them",
    Scope.WEBHOOKS_WRITE: "add, change and test webhook endpoints, and send events again",
    Scope.ADMIN: "everything, and read the audit trail",
}


class Role(StrEnum):
    """What a person is in a workspace."""

    VIEWER = "VIEWER"
    MEMBER = "MEMBER"
    ADMIN = "ADMIN"


ROLE_MEANING: Final[Mapping[Role, str]] = {
    Role.VIEWER: "Reads everything of the workspace, and changes nothing.",
    Role.MEMBER: "Works with people and sequences: everything but what only administrators may.",
    Role.ADMIN: "May do everything.",
}

EVERYTHING: Final = frozenset({Scope.ADMIN})

ROLE_SCOPES: Final[Mapping[Role, frozenset[Scope]]] = {
    Role.VIEWER: frozenset({Scope.READ}),
    Role.MEMBER: frozenset(Scope) - EVERYTHING,
    Role.ADMIN: EVERYTHING,
}


def allows(scopes: Collection[Scope], needed: Scope) -> bool:
    """Return whether someone with these scopes may do what needs this one. `admin` may do everything."""
    return needed in scopes or Scope.ADMIN in scopes


def in_order(scopes: Collection[Scope]) -> list[Scope]:
    """Return scopes without repetition, in the order of the list."""
    return [scope for scope in Scope if scope in scopes]
