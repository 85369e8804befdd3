"""`relance keys` and `relance users`: their options. Each command imports what it needs when it runs."""

from typing import Annotated

import typer

from cli.options import Data, Json, settings_from
from domain.rules.access import EVERYTHING, SCOPE_MEANING, Role, Scope

keys_app = typer.Typer(help="API keys: create, list, rotate, revoke.", no_args_is_help=True)
users_app = typer.Typer(help="The people of a workspace: create, list, deactivate.", no_args_is_help=True)

_SCOPES = "What the key may do; may be given several times. Without it: admin, which is everything. " + "; ".join(
    f"{scope}: {meaning}" for scope, meaning in SCOPE_MEANING.items()
)
_Workspace = Annotated[str | None, typer.Option("--workspace", help="Name or id; not needed where there is only one.")]


@keys_app.command("create")
def keys_create(
    name: Annotated[str, typer.Option("--name", help="What the key is for, so that you know it again.")],
    workspace: Annotated[
        str | None, typer.Option("--workspace", help="Name or id; made when there is none of this name.")
    ] = None,
    scope: Annotated[list[Scope] | None, typer.Option("--scope", help=f"{_SCOPES}.")] = None,
    expires_in_days: Annotated[
        int | None, typer.Option(min=1, max=3650, help="Without it the key stays valid.")
    ] = None,
    test: Annotated[
        bool, typer.Option("--test", help="Of a test workspace, of which nothing ever leaves; made when there is none.")
    ] = False,
    data: Data = None,
    as_json: Json = False,
) -> None:
    """Make an API key and print it: it is shown this once."""
    from cli.key_commands import create_key

    create_key(settings_from(data), name, workspace, scope or EVERYTHING, expires_in_days, as_json, test=test)


@keys_app.command("list")
def keys_list(data: Data = None, as_json: Json = False) -> None:
    """List all keys, without their secret part."""
    from cli.key_commands import list_keys

    list_keys(settings_from(data), as_json)


@keys_app.command("rotate")
def keys_rotate(
    key: Annotated[str, typer.Argument(help="The shown part of the key, such as rel_a1B2c3D4_…")],
    overlap_hours: Annotated[int, typer.Option(min=0, max=720, help="How long the old key works on.")] = 24,
    data: Data = None,
    as_json: Json = False,
) -> None:
    """Make a key that replaces one, with the same scopes, and print it. The old one works on for a while."""
    from cli.key_commands import rotate_key

    rotate_key(settings_from(data), key, overlap_hours, as_json)


@keys_app.command("revoke")
def keys_revoke(
    key: Annotated[str, typer.Argument(help="The shown part of the key, such as rel_a1B2c3D4_…")],
    data: Data = None,
    as_json: Json = False,
) -> None:
    """Revoke a key; it opens nothing any more."""
    from cli.key_commands import revoke_key

    revoke_key(settings_from(data), key, as_json)


@users_app.command("create")
def users_create(
    name: Annotated[str, typer.Option("--name", help="The person's name.")],
    email: Annotated[str | None, typer.Option("--email", help="The person's address.")] = None,
    subject: Annotated[
        str | None, typer.Option("--subject", help="What your identity provider calls the person: `sub` of a JWT.")
    ] = None,
    role: Annotated[Role, typer.Option("--role", help="What the person may do.")] = Role.MEMBER,
    workspace: _Workspace = None,
    data: Data = None,
    as_json: Json = False,
) -> None:
    """Add a person to a workspace."""
    from cli.user_commands import create_user

    create_user(settings_from(data), workspace, name, email, subject, role, as_json)


@users_app.command("list")
def users_list(workspace: _Workspace = None, data: Data = None, as_json: Json = False) -> None:
    """List the people, deactivated ones too; without --workspace, those of all workspaces."""
    from cli.user_commands import list_users

    list_users(settings_from(data), workspace, as_json)


@users_app.command("deactivate")
def users_deactivate(
    user: Annotated[str, typer.Argument(help="The person's id, such as usr_01j9…")],
    workspace: _Workspace = None,
    data: Data = None,
    as_json: Json = False,
) -> None:
    """Deactivate a person, who may do nothing any more. The name stays in history."""
    from cli.user_commands import deactivate_user

    deactivate_user(settings_from(data), workspace, user, as_json)
