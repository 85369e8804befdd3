"""What the mutations of recipients take."""

from typing import Final

import strawberry

from api.mutations.carrying_out import repeatable
from api.types import enums as enums
from domain.rules.bulk import BulkAction

IDS_AT_MOST: Final = 100

_ID = "Which recipient."
_VERSION = "The version you acted on; when the recipient has moved since, nothing is done. Left out: any."


@strawberry.input(description="Holds a recipient.")
class RecipientPauseInput:
    id: strawberry.ID = strawberry.field(description=_ID)
    expected_version: int | None = strawberry.field(default=None, description=_VERSION)
    idempotency_key: str | None = repeatable()


@strawberry.input(description="Lets a paused recipient go on.")
class RecipientResumeInput:
    id: strawberry.ID = strawberry.field(description=_ID)
    expected_version: int | None = strawberry.field(default=None, description=_VERSION)
    idempotency_key: str | None = repeatable()


@strawberry.input(description="Skips the current step of a recipient.")
class RecipientSkipStepInput:
    id: strawberry.ID = strawberry.field(description=_ID)
    step_id: strawberry.ID = strawberry.field(
        description="The step you mean: it must be the current one, so that a double click does not skip two."
    )
    expected_version: int | None = strawberry.field(default=None, description=_VERSION)
    idempotency_key: str | None = repeatable()


@strawberry.input(description="Gives one recipient a text of its own for a step it has not carried out.")
class RecipientEditContentInput:
    id: strawberry.ID = strawberry.field(description=_ID)
    step_id: strawberry.ID = strawberry.field(description="Which step.")
    subject: str | None = strawberry.field(default=None, description="A Liquid template. Left out or null: unchanged.")
    body: str | None = strawberry.field(
        default=None, description="A Liquid template, in HTML. Left out or null: unchanged."
    )
    task_title: str | None = strawberry.field(default=None, description="Of a task. Left out or null: unchanged.")
    task_notes: str | None = strawberry.field(default=None, description="Of a task. Left out or null: unchanged.")
    reset: bool | None = strawberry.field(
        default=None, description="True takes its own text back: the sequence's counts again. Give no text then."
    )
    expected_version: int | None = strawberry.field(default=None, description=_VERSION)
    idempotency_key: str | None = repeatable()


@strawberry.input(description="Ends a recipient for good.")
class RecipientStopInput:
    id: strawberry.ID = strawberry.field(description=_ID)
    expected_version: int | None = strawberry.field(default=None, description=_VERSION)
    idempotency_key: str | None = repeatable()


@strawberry.input(description="Removes a recipient from its sequence.")
class RecipientDeleteInput:
    id: strawberry.ID = strawberry.field(description=_ID)
    expected_version: int | None = strawberry.field(default=None, description=_VERSION)
    idempotency_key: str | None = repeatable()


@strawberry.input(description="Tries the failed step of a recipient again.")
class RecipientRetryInput:
    id: strawberry.ID = strawberry.field(description=_ID)
    expected_version: int | None = strawberry.field(default=None, description=_VERSION)
    idempotency_key: str | None = repeatable()


@strawberry.input(description="Does the same to many recipients.")
class RecipientsApplyInput:
    ids: list[strawberry.ID] = strawberry.field(description=f"Which recipients: 1 to {IDS_AT_MOST}.")
    action: BulkAction = strawberry.field(description="What to do to each.")
    step_id: strawberry.ID | None = strawberry.field(default=None, description="With SKIP_STEP: the step you mean.")
    idempotency_key: str | None = repeatable()
