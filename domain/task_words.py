"""The words of a task, written out for one person.

Source: product.md section 2 "Pending actions", section 3 "Templates".
"""

from typing import Final
from uuid import UUID

import asyncpg
import orjson

from domain.database import Tx
from domain.refusals import Invalid
from domain.rules.content import ContentEmpty, ContentProblem, contact_variables, render_text

# What `for_person` reads, of a step `t`, the recipient's own text of it `o`, the contact `c` and the mailbox `m`.
COLUMNS: Final = """
        coalesce(o.task_title, t.task_title) AS task_title, coalesce(o.task_notes, t.task_notes) AS task_notes,
        c.first_name, c.last_name, c.email, c.phone, c.company, c.time_zone, c.custom_fields,
        m.display_name AS sender_name, m.address AS sender_address
"""


def for_person(row: asyncpg.Record) -> tuple[str, str | None]:
    """Return title and notes for the person of a row of `COLUMNS`.

    Raises:
        ContentProblem: a value is missing, the template is broken, or nothing is left of the title.
    """
    variables = contact_variables(
        **{name: row[name] for name in ("first_name", "last_name", "email", "phone", "company", "time_zone")},
        fields=orjson.loads(row["custom_fields"]),
        sender_name=row["sender_name"],
        sender_address=row["sender_address"],
    )
    title = _without_nul(render_text(row["task_title"] or "", variables)).strip()
    if not title:
        raise ContentEmpty("title")
    return title, _without_nul(render_text(row["task_notes"], variables)) if row["task_notes"] else None


async def write_out_again(t: Tx, pending_id: UUID) -> None:
    """Give a task that waits for a person the words that its step has now.

    Raises:
        Invalid: they cannot be written out for this person; nothing is changed.
    """
    row = await t.fetchrow(
        f"""
        SELECT {COLUMNS}
        FROM pending_actions p
        JOIN recipients r ON r.id = p.recipient_id AND r.workspace_id = p.workspace_id
        JOIN contacts c ON c.id = r.contact_id
        JOIN steps t ON t.id = p.step_id
        LEFT JOIN mailboxes m ON m.id = r.mailbox_id
        LEFT JOIN recipient_steps o ON o.recipient_id = p.recipient_id AND o.step_id = p.step_id
        WHERE p.workspace_id = $1 AND p.id = $2 AND p.closed_at IS NULL AND p.kind = 'TASK'
        """,
        t.workspace_id,
        pending_id,
    )
    if row is None:
        return
    try:
        title, notes = for_person(row)
    except ContentProblem as problem:
        raise Invalid(str(problem), field=["taskTitle"]) from None
    await t.execute(
        "UPDATE pending_actions SET task_title = $3, task_notes = $4, version = version + 1 "
        "WHERE workspace_id = $1 AND id = $2",
        t.workspace_id,
        pending_id,
        title,
        notes,
    )


def _without_nul(text: str) -> str:
    return text.replace("\0", "")
