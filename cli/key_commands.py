"""`relance keys`: making, listing, rotating and revoking API keys, for whoever runs the installation."""

from collections.abc import Collection
from dataclasses import asdict
from datetime import UTC, datetime, timedelta
from typing import Any

from cli.console import CannotGoOn, run, say, say_json
from cli.reaching import opened, workspace_named
from domain import keys, sandbox
from domain.keys import ApiKey
from domain.rules.access import Scope, in_order
from domain.settings import Settings


def create_key(
    settings: Settings,
    name: str,
    workspace: str | None,
    scopes: Collection[Scope],
    expires_in_days: int | None,
    as_json: bool,
    *,
    test: bool = False,
) -> None:
    """Make a key, and its workspace when none has that name yet, and print it: it is shown this once."""

    async def work() -> dict[str, Any]:
        keys.check_name(name, "key")  # before a workspace is made for it
        async with opened(settings):
            named = workspace or ("Test" if test else None)
            if named and not await _is_known(named):
                await keys.create_workspace(named, test_mode=test)
            workspace_id = await workspace_named(named)
            if test and not await sandbox.is_test(workspace_id):
                raise CannotGoOn(f"“{named}” is no test workspace. Name another with --workspace: one is made for it.")
            expires_at = datetime.now(UTC) + timedelta(days=expires_in_days) if expires_in_days else None
            made = await keys.create(workspace_id, name, scopes=scopes, expires_at=expires_at)
            return {"apiKey": made.secret, "id": made.id, "workspaceId": workspace_id, "expiresAt": expires_at} | {
                "scopes": in_order(scopes)
            }

    made = run(work())
    if as_json:
        say_json(made)
        return
    say(made["apiKey"])
    say("Keep it now: it cannot be shown again. Send it as `Authorization: Bearer KEY`.")


def list_keys(settings: Settings, as_json: bool) -> None:
    """Print all keys, oldest first, without their secret part."""

    async def work() -> list[ApiKey]:
        async with opened(settings):
            return list(await keys.list_keys())

    found = run(work())
    if as_json:
        say_json([_shown(key) for key in found])
        return
    if not found:
        say("There are no keys yet. Make one with: relance keys create --name NAME --workspace WORKSPACE")
    for key in found:
        used = f"last used {_day(key.last_used_at)}" if key.last_used_at else "never used"
        scopes = ", ".join(in_order(key.scopes))
        say(f"{key.hint}  {_state(key):<18}  {used:<20}  {key.workspace_name}: {key.name} ({scopes})")


def rotate_key(settings: Settings, key: str, overlap_hours: int, as_json: bool) -> None:
    """Make a key that replaces one, and print it.

    Raises:
        NotFound, Invalid
    """

    async def work() -> dict[str, Any]:
        async with opened(settings):
            made = await keys.rotate(key, overlap=timedelta(hours=overlap_hours))
            return {"apiKey": made.secret, "id": made.id, "workspaceId": made.workspace_id}

    made = run(work())
    if as_json:
        say_json(made)
        return
    say(made["apiKey"])
    say(f"Keep it now: it cannot be shown again. The old key works for {overlap_hours} more hours.")


def revoke_key(settings: Settings, key: str, as_json: bool) -> None:
    """Revoke a key by its shown part.

    Raises:
        NotFound
    """

    async def work() -> ApiKey:
        async with opened(settings):
            return await keys.revoke(key)

    revoked = run(work())
    if as_json:
        say_json(_shown(revoked))
    else:
        say(f"The key {revoked.hint} ({revoked.name}) is revoked; it opens nothing any more.")


def _shown(key: ApiKey) -> dict[str, Any]:
    return {**asdict(key), "scopes": in_order(key.scopes), "hint": key.hint}


async def _is_known(workspace: str) -> bool:
    try:
        await workspace_named(workspace)
    except CannotGoOn:
        return await keys.find_workspace(workspace) is not None
    return True


def _state(key: ApiKey) -> str:
    if key.revoked_at:
        return f"revoked {_day(key.revoked_at)}"
    if key.expires_at and key.expires_at <= datetime.now(UTC):
        return f"expired {_day(key.expires_at)}"
    return f"until {_day(key.expires_at)}" if key.expires_at else "valid"


def _day(at: datetime) -> str:
    return at.date().isoformat()
