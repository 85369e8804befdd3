"""The two holds of a recipient, by a person for it alone and by the pause of its sequence, and how they are lifted.

While one of them is up no wait runs; when both are down the wait goes on with what was left of it.

Source: product.md section 2 "Pause", "Resume" and "Sequences".
"""

from collections.abc import Iterable
from dataclasses import replace
from datetime import datetime, timedelta

from domain.rules.moves import try_again
from domain.rules.plan import Plan
from domain.rules.recipient import Recipient
from domain.rules.timers import settle


def pause(recipient: Recipient, plan: Plan, now: datetime) -> Recipient:
    return settle(replace(recipient, paused_at=now), plan, now)


def resume(recipient: Recipient, plan: Plan, now: datetime, *, retry: bool = False) -> Recipient:
    """Lift this recipient's own pause. `retry` says that an open error can be tried again now, and is."""
    resumed = _lifted(recipient, replace(recipient, paused_at=None), now)
    return try_again(resumed, plan, now) if retry else settle(resumed, plan, now)


def hold_with_sequence(recipient: Recipient, plan: Plan, paused_at: datetime) -> Recipient:
    return settle(replace(recipient, sequence_paused_at=paused_at), plan, paused_at)


def release_with_sequence(recipient: Recipient, plan: Plan, now: datetime) -> Recipient:
    """Lift only the sequence's hold. A wait that has not begun begins then."""
    return settle(_lifted(recipient, replace(recipient, sequence_paused_at=None), now), plan, now)


def follow_pauses(
    recipient: Recipient, plan: Plan, pauses: Iterable[tuple[datetime, datetime | None]], written_at: datetime
) -> Recipient:
    """Follow the pauses of the sequence, oldest first, that this recipient has not followed yet: each from when it was
    answered until when it was lifted (None: it stands), however late the row is rewritten.

    `written_at` is when it was last written: a pause that was over by then is behind it.
    """
    for paused_at, resumed_at in pauses:
        if recipient.sequence_paused_at is None:
            if resumed_at is not None and resumed_at <= written_at:
                continue
            recipient = hold_with_sequence(recipient, plan, paused_at)
        held_at = recipient.sequence_paused_at
        if resumed_at is not None and held_at is not None and held_at <= resumed_at:
            recipient = release_with_sequence(recipient, plan, resumed_at)
    return recipient


def _lifted(held: Recipient, recipient: Recipient, now: datetime) -> Recipient:
    """A time chosen for a pending email that has passed when the hold is lifted is void: never a late send. The wait's
    beginning moves by the length of the hold, so that the wait can be counted anew from it.

    One whose email failed stays: the error was there before, and its retry sends what a person had released.
    """
    if recipient.held:
        return recipient
    if held.held_since is not None and recipient.anchor_at is not None and recipient.wait_left is not None:
        recipient = replace(recipient, anchor_at=recipient.anchor_at + max(now - held.held_since, timedelta(0)))
    if recipient.scheduled_for is None or recipient.scheduled_for > now:
        return recipient
    return recipient if recipient.error_id is not None else replace(recipient, scheduled_for=None, retry_at=None)
