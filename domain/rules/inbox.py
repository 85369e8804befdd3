"""What a person may do about a pending action.

Source: product.md section 2 "Pending actions".
"""

from enum import StrEnum

from domain.rules.plan import StepKind


class PendingActionAction(StrEnum):
    SEND_NOW = "SEND_NOW"
    SCHEDULE = "SCHEDULE"
    CANCEL_SCHEDULE = "CANCEL_SCHEDULE"
    COMPLETE = "COMPLETE"
    SKIP = "SKIP"


def available_pending_actions(kind: StepKind, *, open: bool, held: bool) -> tuple[PendingActionAction, ...]:
    """Return what may be done now, in the enum's order. A closed one, and one whose recipient is held, offers nothing.

    Sending a prepared email is not built yet: such a step cannot be written, so only skipping is offered for it.
    """
    if not open or held:
        return ()
    if kind is StepKind.TASK:
        return (PendingActionAction.COMPLETE, PendingActionAction.SKIP)
    return (PendingActionAction.SKIP,)
