"""What a person is to carry out, written out for one recipient: the words of a task, or an email ready to be sent.

Source: product.md section 2 "Pending actions", section 3 "Templates", "Threads".
"""

from dataclasses import dataclass
from typing import Final
from uuid import UUID

import asyncpg
import orjson

from domain.database import Tx
from domain.own_content import NewContent
from domain.refusals import Invalid
from domain.rules.content import (
    ContentEmpty,
    ContentProblem,
    Variables,
    contact_variables,
    render_body,
    render_text,
    render_thread_subject,
)
from domain.rules.plan import StepKind
from domain.rules.step_errors import StepErrorCode, sentence

# What `written_out` reads, of a step `t`, the recipient `r` and its own text `o`, the contact `c` and the mailbox `m`.
COLUMNS: Final = """
        t.kind, t.task_kind, t.send_as_reply,
        coalesce(o.subject, t.subject) AS subject, coalesce(o.body, t.body) AS body,
        coalesce(o.task_title, t.task_title) AS task_title, coalesce(o.task_notes, t.task_notes) AS task_notes,
        c.first_name, c.last_name, c.email, c.phone, c.company, c.time_zone, c.custom_fields, c.email_bounced_at,
        m.display_name AS sender_name, m.address AS sender_address,
        (SELECT coalesce(x.subject, '') FROM messages x
            WHERE t.send_as_reply AND x.workspace_id = t.workspace_id AND x.recipient_id = r.id
                AND x.direction = 'OUTGOING' AND x.state = 'SENT' ORDER BY x.at, x.id LIMIT 1) AS thread_subject
"""


class NotPreparable(Exception):
    """It cannot be put before a person. `code` is the step error that says why."""

    def __init__(self, code: StepErrorCode, detail: str | None = None) -> None:
        super().__init__(code)
        self.code = code
        self.detail = detail


@dataclass(frozen=True, slots=True, kw_only=True)
class Prepared:
    """Finished words; nothing in them is a template any more. `body` is sanitised HTML."""

    subject: str | None = None
    body: str | None = None
    task_title: str | None = None
    task_notes: str | None = None


def written_out(row: asyncpg.Record) -> Prepared:
    """Return the words of a step for the person of a row of `COLUMNS`.

    Raises:
        NotPreparable: a value or the address is missing, the template is broken, nothing is left of the text, or there
            is no mailbox that an email could be sent from.
    """
    variables = contact_variables(
        **{name: row[name] for name in ("first_name", "last_name", "email", "phone", "company", "time_zone")},
        fields=orjson.loads(row["custom_fields"]),
        sender_name=row["sender_name"],
        sender_address=row["sender_address"],
    )
    try:
        return _task(row, variables) if row["kind"] == StepKind.TASK else _email(row, variables)
    except ContentProblem as problem:
        raise NotPreparable(problem.code, problem.detail) from problem


def _task(row: asyncpg.Record, variables: Variables) -> Prepared:
    title = _without_nul(render_text(row["task_title"] or "", variables)).strip()
    if not title:
        raise ContentEmpty("title")
    notes = _without_nul(render_text(row["task_notes"], variables)) if row["task_notes"] else None
    return Prepared(task_title=title, task_notes=notes)


def _email(row: asyncpg.Record, variables: Variables) -> Prepared:
    if not row["email"]:
        raise NotPreparable(StepErrorCode.EMAIL_MISSING)
    if row["email_bounced_at"] is not None:
        raise NotPreparable(StepErrorCode.EMAIL_BOUNCED_BEFORE, row["email"])
    if row["sender_address"] is None:
        raise NotPreparable(StepErrorCode.NO_MAILBOX)
    subject = render_thread_subject(
        row["subject"], variables, is_reply=row["send_as_reply"], thread_subject=row["thread_subject"]
    )
    return Prepared(subject=subject, body=_without_nul(render_body(row["body"] or "", variables).html))


async def write_out_again(t: Tx, pending_id: UUID, content: NewContent | None) -> None:
    """Give what waits for a person the words that its step has now: those that were given, all when taken back (None).

    Words that a person wrote into the prepared email itself stay where the edit gives none.

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
        WHERE p.workspace_id = $1 AND p.id = $2 AND p.closed_at IS NULL
        """,
        t.workspace_id,
        pending_id,
    )
    if row is None:
        return
    try:
        words = written_out(row)
    except NotPreparable as problem:
        raise Invalid(_said(problem), field=["taskTitle" if row["kind"] == StepKind.TASK else "body"]) from None
    await t.execute(
        """
        UPDATE pending_actions SET subject = CASE WHEN $3 THEN $4 ELSE subject END,
            body = CASE WHEN $5 THEN $6 ELSE body END, task_title = $7, task_notes = $8
        WHERE workspace_id = $1 AND id = $2
        """,
        t.workspace_id,
        pending_id,
        content is None or content.subject is not None,
        words.subject,
        content is None or content.body is not None,
        words.body,
        words.task_title,
        words.task_notes,
    )


def _said(problem: NotPreparable) -> str:
    return str(problem.__cause__) if problem.__cause__ is not None else sentence(problem.code, detail=problem.detail)


def _without_nul(text: str) -> str:
    return text.replace("\0", "")
