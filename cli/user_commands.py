"""`relance users`: adding, listing and deactivating people, for whoever runs the installation."""

from dataclasses import asdict
from typing import Any

from cli.console import CannotGoOn, run, say, say_json
from cli.reaching import opened, workspace_named
from domain import users
from domain.rules.access import Role
from domain.rules.ids import IdMalformed, Prefix, from_public, to_public
from domain.settings import Settings
from domain.users import User


def create_user(
    settings: Settings,
    workspace: str | None,
    name: str,
    email: str | None,
    subject: str | None,
    role: Role,
    as_json: bool,
) -> None:
    """Add a person and print the id.

    Raises:
        Invalid, CannotGoOn
    """

    async def work() -> User:
        async with opened(settings):
            workspace_id = await workspace_named(workspace)
            return await users.create(workspace_id, name, email=email, external_subject=subject, role=role)

    made = run(work())
    say_json(_shown(made)) if as_json else say(f"{_public(made)}  {_line(made)}")


def list_users(settings: Settings, workspace: str | None, as_json: bool) -> None:
    """Print the people, oldest first.

    Raises:
        CannotGoOn: there is no such workspace.
    """

    async def work() -> list[User]:
        async with opened(settings):
            return list(await users.list_users(await workspace_named(workspace) if workspace else None))

    found = run(work())
    if as_json:
        say_json([_shown(user) for user in found])
        return
    if not found:
        say("There are no users yet. Add one with: relance users create --name NAME")
    for user in found:
        say(f"{_public(user)}  {_line(user)}")


def deactivate_user(settings: Settings, workspace: str | None, user: str, as_json: bool) -> None:
    """Deactivate a person.

    Raises:
        NotFound, CannotGoOn
    """
    try:
        prefix, key = from_public(user)
    except IdMalformed as problem:
        raise CannotGoOn(f"{problem} `relance users list` shows them.") from None
    if prefix is not Prefix.USER:
        raise CannotGoOn(f"“{user}” is not the id of a user. `relance users list` shows them.")

    async def work() -> User:
        async with opened(settings):
            return await users.deactivate(await workspace_named(workspace), key)

    gone = run(work())
    say_json(_shown(gone)) if as_json else say(f"{gone.name} may do nothing any more.")


def _public(user: User) -> str:
    return to_public(Prefix.USER, user.id)


def _shown(user: User) -> dict[str, Any]:
    return {**asdict(user), "id": _public(user)}


def _line(user: User) -> str:
    until = f"deactivated {user.deactivated_at.date().isoformat()}" if user.deactivated_at else "active"
    return f"{user.role:<6}  {until:<22}  {user.name}" + (f" <{user.email}>" if user.email else "")
