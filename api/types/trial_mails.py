"""Test mails."""

from datetime import datetime

import strawberry

from api.types import enums as enums
from api.types.node import Node
from domain.reading.trial_mails import TestEmailState


@strawberry.type(description="A test mail: a step as one person would get it, sent to an address of the caller's.")
class TestEmail(Node):
    to: str = strawberry.field(description="Where it goes.")
    state: TestEmailState = strawberry.field(description="What has become of it.")
    reply: str | None = strawberry.field(description="The last words of the mail server; null while there are none.")
    created_at: datetime = strawberry.field(description="When it was ordered.")
