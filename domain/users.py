"""The people of a workspace. A person signs in elsewhere: `external_subject` is the name that the identity provider
gives them. A deactivated user keeps its name in history, and may do nothing any more.

Source: api.md "Auth"; product.md section 2 "Pending actions" (an assignee is a user).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final
from uuid import UUID

from domain.database import Tx, fetch, tx
from domain.refusals import Invalid, NotFound
from domain.rules.access import Role
from domain.rules.addresses import EmailInvalid, normalise_email
from domain.rules.ids import new_id

_SUBJECT_LENGTH: Final = 255  # OpenID Connect Core 2: "must not exceed 255"


@dataclass(frozen=True, slots=True)
class User:
    """One person of one workspace."""

    id: UUID
    workspace_id: UUID
    name: str
    email: str | None
    external_subject: str | None
    role: Role
    created_at: datetime
    deactivated_at: datetime | None


async def create(
    workspace_id: UUID,
    name: str,
    *,
    email: str | None = None,
    external_subject: str | None = None,
    role: Role = Role.MEMBER,
) -> User:
    """Create a user and return it.

    Raises:
        Invalid: the name, the address or the subject is not acceptable, or another user has the subject.
        WorkspaceUnknown
    """
    name, email = _checked_name(name), _checked_email(email)
    _check_subject(external_subject)
    user_id = new_id()

    async def work(t: Tx) -> User | None:
        return await _insert(t, user_id, name, email, external_subject, role)

    made = await tx(workspace_id, work, rings=False)
    if made is None:
        raise Invalid("Another user of this workspace has this subject already.", field=["externalSubject"])
    return made


async def find(workspace_id: UUID, user_id: UUID) -> User:
    """Return a user, a deactivated one too.

    Raises:
        NotFound: the workspace has no such user.
    """
    rows = await fetch("SELECT * FROM users WHERE workspace_id = $1 AND id = $2", workspace_id, user_id)
    if not rows:
        raise NotFound("user", field=["id"])
    return _user(rows[0])


async def of_subject(
    workspace_id: UUID, external_subject: str, name: str, email: str | None, role: Role | None
) -> User:
    """Return the user whom an identity provider names so; one who is seen for the first time is created, as a VIEWER
    unless it says what role the person has.

    A role that is said counts from then on. Name and address are kept: a later sign-in does not rename anybody.

    Raises:
        Invalid, WorkspaceUnknown
    """
    known = "SELECT * FROM users WHERE workspace_id = $1 AND external_subject = $2"
    rows = await fetch(known, workspace_id, external_subject)
    if rows and role in (None, rows[0]["role"]):
        return _user(rows[0])
    _check_subject(external_subject)
    user_id = new_id()

    async def work(t: Tx) -> User:
        first = role or Role.VIEWER
        made = await _insert(t, user_id, _checked_name(name), _checked_email(email), external_subject, first)
        if made is None and role is not None:
            await t.execute(
                "UPDATE users SET role = $3 WHERE workspace_id = $1 AND external_subject = $2",
                t.workspace_id,
                external_subject,
                role,
            )
        return made or _user(await t.fetchrow(known, t.workspace_id, external_subject))

    return await tx(workspace_id, work, rings=False)


async def list_users(workspace_id: UUID | None = None) -> Sequence[User]:
    """Return the users of one workspace or, for the operator, of all; oldest first, deactivated ones included."""
    rows = await fetch(
        "SELECT * FROM users WHERE $1::uuid IS NULL OR workspace_id = $1 ORDER BY created_at, id", workspace_id
    )
    return [_user(row) for row in rows]


async def deactivate(workspace_id: UUID, user_id: UUID) -> User:
    """Deactivate a user. Doing it twice changes nothing more.

    Raises:
        NotFound
    """

    async def work(t: Tx) -> None:
        await t.execute(
            "UPDATE users SET deactivated_at = now() WHERE workspace_id = $1 AND id = $2 AND deactivated_at IS NULL",
            t.workspace_id,
            user_id,
        )

    await tx(workspace_id, work, rings=False)
    return await find(workspace_id, user_id)


async def _insert(
    t: Tx, user_id: UUID, name: str, email: str | None, external_subject: str | None, role: Role
) -> User | None:
    row = await t.fetchrow(
        "INSERT INTO users (id, workspace_id, name, email, external_subject, role, created_at) "
        "VALUES ($1, $2, $3, $4, $5, $6, now()) ON CONFLICT DO NOTHING RETURNING *",
        user_id,
        t.workspace_id,
        name,
        email,
        external_subject,
        role,
    )
    return _user(row) if row else None


def _user(row: Any) -> User:
    return User(**{name: row[name] for name in User.__dataclass_fields__ if name != "role"}, role=Role(row["role"]))


def _checked_name(name: str) -> str:
    name = name.strip()
    if not name or len(name) > 200 or any(ord(letter) < 32 for letter in name):
        raise Invalid("A user needs a name: one line of 1 to 200 characters.", field=["name"])
    return name


def _checked_email(email: str | None) -> str | None:
    if not email:
        return None
    try:
        return normalise_email(email)
    except EmailInvalid as problem:
        raise Invalid(str(problem), field=["email"]) from None


def _check_subject(subject: str | None) -> None:
    if subject is not None and (not 1 <= len(subject) <= _SUBJECT_LENGTH or "\0" in subject):
        raise Invalid(f"A subject has 1 to {_SUBJECT_LENGTH} characters.", field=["externalSubject"])
