"""The workspace and the API key that `relance up` makes at its first start, and finds again at each later one."""

from dataclasses import dataclass
from pathlib import Path
from uuid import UUID

from cli.instance import api_key_file, read_text, write_private
from domain import keys


@dataclass(frozen=True, slots=True)
class FirstKey:
    workspace_id: UUID
    secret: str


async def first_key(directory: Path, workspace_name: str) -> FirstKey:
    """Return the key kept in the directory while it opens a workspace; else make one for the workspace of this name."""
    if kept := read_text(api_key_file(directory)):
        known = await keys.authenticate(kept)
        if known is not None:
            return FirstKey(known.workspace_id, kept)
    workspace_id = await keys.find_workspace(workspace_name) or await keys.create_workspace(workspace_name)
    made = await keys.create(workspace_id, "relance up")
    write_private(api_key_file(directory), made.secret + "\n")
    return FirstKey(workspace_id, made.secret)
