"""What a step would say to one person, and every reason why it would not: with the person's real values, from the
stored step or from words that an editor holds, before anything is saved or sent.

Source: product.md section 3 "Templates".
"""

from dataclasses import dataclass
from typing import Any, Final
from uuid import UUID

import asyncpg
import orjson

from domain.database import fetch
from domain.refusals import Invalid
from domain.rules.content import Variables, contact_variables
from domain.rules.filling_in import Filled, Problem, ProblemCode, Words, filled_in, values_used
from domain.rules.plan import StepKind
from domain.suppression import IN_FORCE

NO_LINK: Final = "/u/preview"
"""Where `unsubscribe_url` leads in a preview: to the page of a link that nobody was sent."""

OF_THE_MAILBOX: Final = {
    "DISCONNECTED": ProblemCode.MAILBOX_DISCONNECTED,
    "HELD": ProblemCode.GUARDRAIL_HOLD,
}
_OTHER_CHANNEL: Final = {
    "EMAIL": "This is a number for text messages. Name a mailbox for email.",
    "SMS": "This is a mailbox for email. Name a number for text messages.",
}
_CONTACT: Final = ("first_name", "last_name", "email", "phone", "company", "time_zone")


@dataclass(frozen=True, slots=True, kw_only=True)
class Sample:
    """Whom a preview is for, and from where. A recipient brings its own texts, thread and mailbox."""

    step_id: UUID | None = None
    recipient_id: UUID | None = None
    contact_id: UUID | None = None  # where there is no recipient
    mailbox_id: UUID | None = None  # None: the recipient's, else the first of the step's sequence
    content: Words | None = None  # instead of what is stored


@dataclass(frozen=True, slots=True, kw_only=True)
class Preview:
    words: Words
    filled: Filled
    variables: dict[str, str | None]
    contact: asyncpg.Record
    mailbox: asyncpg.Record | None
    step_id: UUID | None

    @property
    def problems(self) -> list[Problem]:
        return [*self.filled.problems, *problems_of_person(self.words.kind, self.contact, self.mailbox)]


_PERSON: Final = f"""
    SELECT c.*, {IN_FORCE} AS suppressed FROM contacts c WHERE c.workspace_id = $1 AND c.id = $2 AND c.erased_at IS NULL
"""
_MAILBOX: Final = """
    SELECT m.id, m.address, m.display_name, m.state, m.channel FROM mailboxes m
    WHERE m.workspace_id = $1 AND m.id = coalesce($2::uuid, (
        SELECT s.mailbox_id FROM sequence_mailboxes s JOIN mailboxes b ON b.workspace_id = $1 AND b.id = s.mailbox_id
        WHERE s.workspace_id = $1 AND s.sequence_id = $3 AND b.channel = $4
        ORDER BY s.position LIMIT 1))
"""
_EARLIER: Final = """
    SELECT kind, subject, send_as_reply FROM steps
    WHERE workspace_id = $1 AND sequence_id = $2 AND removed_at IS NULL AND position < $3
        AND kind IN ('AUTOMATED_EMAIL', 'MANUAL_EMAIL') ORDER BY position LIMIT 1
"""


async def preview(workspace_id: UUID, sample: Sample, links_url: str) -> Preview | None:
    """Return the preview; None when the step, the recipient, the contact or the mailbox is not there, or no words.

    Raises:
        Invalid: the mailbox is one of the other channel.
    """
    step = await _one("SELECT * FROM steps WHERE workspace_id = $1 AND id = $2", workspace_id, sample.step_id)
    recipient = await _one(
        "SELECT * FROM recipients WHERE workspace_id = $1 AND id = $2 AND deleted_at IS NULL",
        workspace_id,
        sample.recipient_id,
    )
    contact = await _one(_PERSON, workspace_id, recipient["contact_id"] if recipient else sample.contact_id)
    if contact is None or (sample.step_id and step is None) or (sample.recipient_id and recipient is None):
        return None
    words = sample.content or (await _stored(workspace_id, step, recipient) if step else None)
    if words is None:
        return None
    sequence_id = step["sequence_id"] if step else recipient["sequence_id"] if recipient else None
    column, channel = ("sms_mailbox_id", "SMS") if words.kind is StepKind.SMS else ("mailbox_id", "EMAIL")
    wanted = sample.mailbox_id or (recipient[column] if recipient else None)
    rows = await fetch(_MAILBOX, workspace_id, wanted, sequence_id, channel)
    if sample.mailbox_id is not None and not rows:
        return None
    mailbox = rows[0] if rows else None
    if mailbox is not None and mailbox["channel"] != channel:
        raise Invalid(_OTHER_CHANNEL[channel], field=["mailboxId"])
    variables = variables_of_person(contact, mailbox, words.kind, links_url)
    thread_subject = await _thread_subject(workspace_id, step, recipient, variables) if words.send_as_reply else None
    return Preview(
        words=words,
        filled=filled_in(words, variables, thread_subject=thread_subject),
        variables=values_used(words, variables),
        contact=contact,
        mailbox=mailbox,
        step_id=sample.step_id,
    )


def variables_of_person(
    contact: asyncpg.Record, mailbox: asyncpg.Record | None, kind: StepKind, links_url: str
) -> Variables:
    """Return what a template of a step of this kind can name for a contact."""
    return contact_variables(
        **{name: contact[name] for name in _CONTACT},
        fields=orjson.loads(contact["custom_fields"]),
        sender_name=mailbox["display_name"] if mailbox else None,
        sender_address=mailbox["address"] if mailbox else None,
        unsubscribe_url=f"{links_url}{NO_LINK}" if kind is StepKind.AUTOMATED_EMAIL else None,
    )


def problems_of_person(kind: StepKind, contact: Any, mailbox: Any) -> list[Problem]:
    """Return what keeps a step of this kind from a person, whatever it says. `contact` says whether it is
    `suppressed`."""
    found = [Problem(ProblemCode.SUPPRESSED)] if contact["suppressed"] else []
    if kind is StepKind.TASK:
        return found
    if kind is StepKind.SMS and not contact["phone"]:
        found.append(Problem(ProblemCode.PHONE_MISSING))
    elif kind is StepKind.SMS and contact["phone_invalid_at"] is not None:
        found.append(Problem(ProblemCode.PHONE_INVALID, detail=contact["phone"]))
    elif kind is StepKind.SMS:
        pass
    elif not contact["email"]:
        found.append(Problem(ProblemCode.EMAIL_MISSING))
    elif contact["email_bounced_at"] is not None:
        found.append(Problem(ProblemCode.EMAIL_BOUNCED_BEFORE, detail=contact["email"]))
    if mailbox is None:
        found.append(Problem(ProblemCode.NO_MAILBOX))
    elif mailbox["state"] in OF_THE_MAILBOX:
        found.append(Problem(OF_THE_MAILBOX[mailbox["state"]], mailbox_address=mailbox["address"]))
    return found


def to_words(row: asyncpg.Record) -> Words:
    """Return the words of a row of `steps`."""
    names = ("subject", "body", "task_title", "task_notes", "send_as_reply")
    return Words(kind=StepKind(row["kind"]), **{name: row[name] for name in names})


def with_own(words: Words, own: asyncpg.Record | None) -> Words:
    """Return the words with those that a recipient has of its own."""
    if own is None:
        return words
    return Words(
        kind=words.kind,
        send_as_reply=words.send_as_reply,
        **{
            name: own[name] if own[name] is not None else getattr(words, name)
            for name in ("subject", "body", "task_title", "task_notes")
        },
    )


async def _stored(workspace_id: UUID, step: asyncpg.Record, recipient: asyncpg.Record | None) -> Words:
    own = await fetch(
        "SELECT * FROM recipient_steps WHERE workspace_id = $1 AND recipient_id = $2 AND step_id = $3",
        workspace_id,
        recipient["id"] if recipient else None,
        step["id"],
    )
    return with_own(to_words(step), own[0] if own else None)


async def _thread_subject(
    workspace_id: UUID, step: asyncpg.Record | None, recipient: asyncpg.Record | None, variables: Variables
) -> str | None:
    """Return the subject of the thread: as it began, or as the first email of the sequence will begin it."""
    if recipient is not None:
        sent = await fetch(
            "SELECT coalesce(subject, '') AS subject FROM messages WHERE workspace_id = $1 AND recipient_id = $2 "
            "AND direction = 'OUTGOING' AND state = 'SENT' ORDER BY at, id LIMIT 1",
            workspace_id,
            recipient["id"],
        )
        if sent:
            return str(sent[0]["subject"])
    if step is None:
        return None
    earlier = await fetch(_EARLIER, workspace_id, step["sequence_id"], step["position"])
    if not earlier or not earlier[0]["subject"]:
        return None
    first = Words(kind=StepKind(earlier[0]["kind"]), subject=earlier[0]["subject"])
    return filled_in(first, variables, thread_subject=None).subject


async def _one(sql: str, workspace_id: UUID, key: UUID | None) -> asyncpg.Record | None:
    rows = await fetch(sql, workspace_id, key) if key is not None else []
    return rows[0] if rows else None
