"""Queries that try without doing: what a step would say to one person, what would fail in a sequence.

Source: product.md section 3 "Templates".
"""

from dataclasses import replace
from typing import Annotated, Any, TypeVar
from uuid import UUID

import strawberry

from api.connections import connection, to_key, to_slice
from api.context import Info
from api.declaring import query
from api.server_parts import parts_of
from api.types import enums as enums
from api.types.node import After, First
from api.types.previews import (
    ContentPreview,
    PreflightCause,
    PreflightRecipient,
    PreflightRecipientConnection,
    Problem,
    SequencePreflight,
    VariableValue,
)
from api.types.step_errors import SuggestedFix
from domain import preflight, previewing
from domain.foreseeing import Concerned, Found, Preflight
from domain.previewing import Sample
from domain.refusals import Invalid
from domain.rules import filling_in
from domain.rules.access import Scope
from domain.rules.filling_in import ProblemCode, Words
from domain.rules.ids import Prefix, to_public
from domain.rules.plan import StepKind
from domain.rules.step_errors import FixCode

P = TypeVar("P", bound=Problem)

_TEXT_AT_MOST = 200_000


@strawberry.input(description="A step's texts as an editor holds them, saved or not.")
class ContentInput:
    kind: StepKind = strawberry.field(description="What the step does.")
    subject: str | None = strawberry.field(default=None, description="Liquid template of an email's subject.")
    body: str | None = strawberry.field(default=None, description="Liquid template of the text, in HTML.")
    task_title: str | None = strawberry.field(default=None, description="Liquid template of a task's title.")
    task_notes: str | None = strawberry.field(default=None, description="Liquid template of a task's notes.")
    send_as_reply: bool = strawberry.field(
        default=False, description="Whether an email goes out in the thread of the one before it."
    )


_StepId = Annotated[
    strawberry.ID | None,
    strawberry.argument(
        description="Which step: its texts, and the thread it would answer in. Left out: give content."
    ),
]
_RecipientId = Annotated[
    strawberry.ID | None, strawberry.argument(description="For which recipient, with texts and mailbox of its own.")
]
_ContactId = Annotated[
    strawberry.ID | None, strawberry.argument(description="For which contact, enrolled or not. Not beside recipientId.")
]
_MailboxId = Annotated[
    strawberry.ID | None,
    strawberry.argument(description="From which mailbox. Left out: the recipient's, or the sequence's first."),
]
_Content = Annotated[
    ContentInput | None, strawberry.argument(description="Texts to show instead of those that are stored.")
]
_SequenceId = Annotated[strawberry.ID, strawberry.argument(description="Which sequence.")]


def words_of(given: ContentInput | None) -> Words | None:
    """Return the texts that were given.

    Raises:
        Invalid: one is longer than a template may be.
    """
    if given is None:
        return None
    texts = {name: getattr(given, name) for name in ("subject", "body", "task_title", "task_notes")}
    if any(text is not None and len(text) > _TEXT_AT_MOST for text in texts.values()):
        raise Invalid(f"A text of a step has at most {_TEXT_AT_MOST:,} characters.", field=["content"])
    return Words(kind=StepKind(given.kind), send_as_reply=given.send_as_reply, **texts)


@strawberry.type
class PreviewQueries:
    @query(
        "What a step would say to one person, with that person's values, and everything that would keep it from going "
        "out: nothing is sent, and nothing refused. Of a stored step, or of texts that are not saved. Null when one of "
        "the ids names nothing here.",
        scope=Scope.READ,
    )
    async def content_preview(
        self,
        info: Info,
        step_id: _StepId = None,
        recipient_id: _RecipientId = None,
        contact_id: _ContactId = None,
        mailbox_id: _MailboxId = None,
        content: _Content = None,
    ) -> ContentPreview | None:
        if (recipient_id is None) == (contact_id is None):
            raise Invalid("Give `recipientId` or `contactId`, one of the two.", field=["recipientId"])
        if step_id is None and content is None:
            raise Invalid("Give `stepId`, `content`, or both.", field=["stepId"])
        sample = Sample(
            step_id=_key(step_id, Prefix.STEP, "stepId"),
            recipient_id=_key(recipient_id, Prefix.RECIPIENT, "recipientId"),
            contact_id=_key(contact_id, Prefix.CONTACT, "contactId"),
            mailbox_id=_key(mailbox_id, Prefix.MAILBOX, "mailboxId"),
            content=words_of(content),
        )
        links_url = parts_of(info.context).settings.links_url
        found = await previewing.preview(info.context.caller.workspace_id, sample, links_url)
        if found is None:
            return None
        filled = found.filled
        places = _Places(found.step_id, found.contact["id"], None, found.mailbox["id"] if found.mailbox else None)
        return ContentPreview(
            kind=found.words.kind,
            subject=filled.subject,
            html=filled.html,
            text=filled.text,
            task_title=filled.task_title,
            task_notes=filled.task_notes,
            variables=[VariableValue(name=name, value=value) for name, value in found.variables.items()],
            errors=[_told(Problem, problem, places) for problem in found.problems],
            contact_key=found.contact["id"],
        )

    @query(
        "What would fail in a sequence if it ran now, over all its open recipients and the steps still before them: "
        "causes with counts, and who is concerned. Nothing is changed. Null when there is no such sequence.",
        scope=Scope.READ,
    )
    async def sequence_preflight(
        self, info: Info, sequence_id: _SequenceId, first: First = 50, after: After = None
    ) -> SequencePreflight | None:
        key = to_key(sequence_id, Prefix.SEQUENCE, "sequenceId")
        links_url = parts_of(info.context).settings.links_url
        found = await preflight.preflight(info.context.caller.workspace_id, key, to_slice(first, after), links_url)
        if found is None:
            return None
        causes = sorted(found.causes.items(), key=lambda one: (-one[1], one[0].problem.code, one[0].problem.part or ""))
        return SequencePreflight(
            can_activate=found.can_activate,
            open_recipients=found.open_recipients,
            checked_recipients=found.checked_recipients,
            partial=found.partial,
            causes=[_cause(cause, count, key) for cause, count in causes],
            recipients=_concerned(found, key),
        )


class _Places:
    """The objects on which a fix could be made."""

    def __init__(self, step: UUID | None, contact: UUID | None, sequence: UUID | None, mailbox: UUID | None) -> None:
        self.step = step
        self._of = {
            FixCode.RECONNECT_MAILBOX: (Prefix.MAILBOX, mailbox),
            FixCode.RELEASE_GUARDRAIL: (Prefix.MAILBOX, mailbox) if mailbox else (Prefix.SEQUENCE, sequence),
            FixCode.CHOOSE_MAILBOX: (Prefix.SEQUENCE, sequence),
            FixCode.CHANGE_WINDOW: (Prefix.SEQUENCE, sequence),
            FixCode.EDIT_CONTENT: (Prefix.STEP, step),
            FixCode.REDUCE_SIZE: (Prefix.STEP, step),
            FixCode.FILL_VARIABLE: (Prefix.CONTACT, contact) if contact else (Prefix.STEP, step),
        } | dict.fromkeys(
            (
                FixCode.ADD_EMAIL,
                FixCode.CORRECT_EMAIL,
                FixCode.ADD_PHONE,
                FixCode.CORRECT_PHONE,
            ),
            (Prefix.CONTACT, contact),
        )

    def target(self, code: FixCode) -> strawberry.ID | None:
        prefix, key = self._of.get(code, (Prefix.STEP, None))
        return None if key is None else strawberry.ID(to_public(prefix, key))


def _told(type_: type[P], problem: filling_in.Problem, places: _Places, **more: Any) -> P:
    fix = None
    if problem.fix is not None:
        code, message = problem.fix
        fix = SuggestedFix(code=code, message=message, target_id=places.target(code))
    named = problem.code in (ProblemCode.VARIABLE_MISSING, ProblemCode.FIELD_UNKNOWN)
    return type_(
        code=problem.code,
        message=problem.sentence,
        field=problem.part,
        variable=problem.detail if named else None,
        suggested_fix=fix,
        step_key=places.step,
        **more,
    )


def _cause(cause: Found, count: int, sequence: UUID) -> PreflightCause:
    return _told(PreflightCause, cause.problem, _Places(cause.step_key, None, sequence, cause.mailbox_key), count=count)


def _concerned(found: Preflight, sequence: UUID) -> PreflightRecipientConnection:
    assert found.page is not None
    page: Any = found.page

    def shown(one: Concerned) -> PreflightRecipient:
        problems = [
            _told(Problem, each.problem, _Places(each.step_key, None, sequence, each.mailbox_key)) for each in one.found
        ]
        return PreflightRecipient(problems=problems, recipient_key=one.recipient_key)

    return connection(PreflightRecipientConnection, replace(page, rows=[shown(one) for one in page.rows]))


def _key(id: str | None, prefix: Prefix, field: str) -> UUID | None:
    return None if id is None else to_key(id, prefix, field)
