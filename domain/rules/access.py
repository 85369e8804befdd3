"""Who may do what: the roles of people.

Source: api.md "Auth".
"""

from collections.abc import Mapping
from enum import StrEnum
from typing import Final


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
