"""Any objects by their ids: one statement for each kind among them."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any, Final
from uuid import UUID

from api.context import Info
from api.selections import wanted
from domain.reading import (
    bulk,
    contacts,
    error_groups,
    events,
    mailboxes,
    messages,
    pending_actions,
    recipients,
    sequences,
    step_errors,
    suppressions,
    trial_mails,
    users,
    webhooks,
)
from domain.refusals import Invalid
from domain.rules.ids import IdMalformed, Prefix, from_public

_VERBS: Final[Mapping[Prefix, Callable[..., Awaitable[dict[UUID, Any]]]]] = {
    Prefix.CONTACT: contacts.by_ids,
    Prefix.MAILBOX: mailboxes.by_ids,
    Prefix.SEQUENCE: sequences.by_ids,
    Prefix.STEP: sequences.steps_by_ids,
    Prefix.MESSAGE: messages.by_ids,
    Prefix.STEP_ERROR: step_errors.by_ids,
    Prefix.ERROR_GROUP: error_groups.by_ids,
    Prefix.PENDING_ACTION: pending_actions.by_ids,
    Prefix.USER: users.by_ids,
    Prefix.WEBHOOK_ENDPOINT: webhooks.endpoints_by_ids,
    Prefix.WEBHOOK_DELIVERY: webhooks.deliveries_by_ids,
    Prefix.SUPPRESSION: suppressions.by_ids,
    Prefix.TEST_EMAIL: trial_mails.by_ids,
    Prefix.BULK_OPERATION: bulk.by_ids,
}


async def by_public_ids(info: Info, ids: Sequence[str]) -> Any:
    """Return what the ids name in the caller's workspace, in the order given; None for what is not there.

    Raises:
        Invalid: one of them is not an id of this API.
    """
    workspace_id = info.context.caller.workspace_id
    found: dict[str, Any] = {}
    keys: dict[Prefix, dict[UUID, str]] = {}
    for text in dict.fromkeys(ids):
        try:
            if text.startswith(f"{Prefix.EVENT}_"):
                found[text] = await events.by_id(workspace_id, *events.from_public_event(text))
                continue
            prefix, key = from_public(text)
        except IdMalformed as problem:
            raise Invalid(str(problem), field=["id"]) from None
        keys.setdefault(prefix, {})[key] = text
    for prefix, texts in keys.items():
        rows: dict[UUID, Any] = {}
        if prefix is Prefix.RECIPIENT:
            rows = dict(await recipients.by_ids(workspace_id, list(texts), wants=wanted(info, "")))
        elif prefix in _VERBS:
            rows = await _VERBS[prefix](workspace_id, list(texts))
        found |= {text: rows.get(key) for key, text in texts.items()}
    return [found.get(text) for text in ids]
