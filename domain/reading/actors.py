"""Who made a change, by the name it has now. Events and recipients keep only kind and id."""

from collections.abc import Collection
from uuid import UUID

from domain.database import fetch
from domain.reading.rows import ActorRow
from domain.rules.actor import ActorKind
from domain.rules.ids import Prefix, to_public

_PREFIX = {ActorKind.USER: Prefix.USER, ActorKind.API_KEY: Prefix.API_KEY, ActorKind.CONTACT: Prefix.CONTACT}
_WORDS = {
    ActorKind.USER: "A user",
    ActorKind.API_KEY: "An API key",
    ActorKind.ENGINE: "Relance",
    ActorKind.CONTACT: "A contact",
}


async def named(
    workspace_id: UUID, actors: Collection[tuple[str, UUID | None]]
) -> dict[tuple[str, UUID | None], ActorRow]:
    """Return each actor, given as kind and key; one whose name is gone gets a plain word."""
    keys = [key for kind, key in actors if key is not None and ActorKind(kind) in _PREFIX]
    names: dict[UUID, str] = {}
    if keys:
        rows = await fetch(
            """
            SELECT k.id, k.name FROM api_keys k WHERE k.workspace_id = $1 AND k.id = ANY($2::uuid[])
            UNION ALL
            SELECT u.id, u.name FROM users u WHERE u.workspace_id = $1 AND u.id = ANY($2::uuid[])
            UNION ALL
            SELECT c.id, coalesce(nullif(concat_ws(' ', c.first_name, c.last_name), ''), c.email) FROM contacts c
            WHERE c.workspace_id = $1 AND c.id = ANY($2::uuid[])
            """,
            workspace_id,
            keys,
        )
        names = {row["id"]: row["name"] for row in rows if row["name"]}
    found = {}
    for kind, key in actors:
        public = to_public(_PREFIX[ActorKind(kind)], key) if key is not None and ActorKind(kind) in _PREFIX else None
        name = names.get(key) if key is not None else None
        found[kind, key] = ActorRow(kind, public, name or _WORDS[ActorKind(kind)])
    return found
