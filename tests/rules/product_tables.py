"""The tables of product.md section 2, pasted word for word, and readers for them.

The tests compare the rules with these, never with the rules' own tables: a cell changes here only when the product
changes.
"""

import re
from dataclasses import dataclass

ACTIONS = """
| status | PAUSE | RESUME | SKIP_STEP | EDIT_CONTENT | STOP | DELETE |
|---|---|---|---|---|---|---|
| SCHEDULED | yes | – | yes | yes (steps not yet carried out) | yes | yes |
| IN_PROGRESS | yes | – | yes | yes (steps not yet carried out) | yes | yes |
| PENDING_ACTION | yes | – | yes | yes (steps not yet carried out) | yes | yes |
| PAUSED | – | yes | – | – | yes | yes |
| ERROR | yes | – | yes (the failed step) | yes (fixes the failed step) | yes | yes |
| COMPLETED, BOUNCED, REPLIED, STOPPED, UNSUBSCRIBED | – | – | – | – | – | yes |
"""

WHILE_THE_SEQUENCE_IS_PAUSED = "its open recipients are PAUSED, and of their actions only STOP and DELETE are on"

STATUSES = """
| status | meaning | ends? |
|---|---|---|
| SCHEDULED | enrolled; no step has been carried out, skipped or put before a human; also while the first message is being handed over | |
| IN_PROGRESS | at least one step has been; waiting for the next, or a message is being handed over right now | |
| PENDING_ACTION | a manual email or a task has come due; nothing happens until a human acts | |
| PAUSED | held, by a person for this recipient or by the pause of the whole sequence; no step runs until resumed | |
| ERROR | a step could not be carried out; the error says what and how to fix it | |
| BOUNCED | an email hard-bounced: the address is permanently undeliverable | ends |
| COMPLETED | every step was carried out or skipped | ends |
| REPLIED | the person answered, so the sequence stopped | ends |
| STOPPED | a person stopped it for good; it stays in reports | ends |
| UNSUBSCRIBED | opted out, complained, or put on the suppression list | ends |
"""  # noqa: E501

STAGES = """
| stage | when |
|---|---|
| SCHEDULED | not ended, not in error, no email or SMS sent yet |
| IN_PROGRESS | not ended, not in error, at least one sent |
| FINISHED | COMPLETED, REPLIED, STOPPED, UNSUBSCRIBED |
| ERROR | ERROR or BOUNCED |
"""

END_REASONS = "COMPLETED, REPLIED, COMPANY_REPLIED, STOPPED, UNSUBSCRIBED, SUPPRESSED, COMPLAINED, BOUNCED"

OPEN = "SCHEDULED, IN_PROGRESS, PENDING_ACTION, PAUSED, ERROR"

# The signals of the rules, in the order of the rows.
SIGNAL_NAMES = [
    "HUMAN_REPLY",
    "HARD_BOUNCE",
    "OPT_OUT",
    "COMPLAINT",
    "SUPPRESSION_ELSEWHERE",
    "AUTOMATIC_ANSWER",
    "TEMPORARY_REFUSAL",
    "DELIVERY_DELAYED",
    "DELIVERY_FAILED",
    "SENT_LATE",
    "FAILED_LATE",
]

SIGNALS = """
| signal | open | COMPLETED | other ended statuses |
|---|---|---|---|
| human reply (email or SMS), in or outside the thread | REPLIED, in every sequence of that contact that stops on reply (the default); otherwise recorded | stays; `repliedAt` set | stays; recorded |
| hard bounce | BOUNCED | BOUNCED (a single-email sequence has completed before its bounce arrives) | stays; recorded |
| opt-out through this sequence's message (link, "remove me" text, SMS STOP) | UNSUBSCRIBED | UNSUBSCRIBED | REPLIED becomes UNSUBSCRIBED; others stay |
| spam complaint about this sequence's message | UNSUBSCRIBED, reason COMPLAINED | UNSUBSCRIBED, reason COMPLAINED | stay |
| suppression from elsewhere (another sequence, the list, a domain) | UNSUBSCRIBED, reason SUPPRESSED | stays | stays |
| automatic answer | recorded; no status changes, never a reply, never an opt-out; an absence holds the contact (below) | recorded | recorded |
| temporary refusal (4xx) at the hand-over | stays, waits with RETRY_BACKOFF; when paused, tried again only after resume; patience out → ERROR | recorded | recorded |
| delivery report "delayed" | recorded, nothing is sent again | recorded | recorded |
| delivery report "failed", not about the address (mailbox full, policy), on the latest message | ERROR (paused: it shows after resume); nothing is sent again by itself | ERROR | recorded |
| "sent", arriving late | the step counts as carried out; an error about it closes; a pause stays | – | recorded |
| "failed", arriving late | ERROR (paused: it shows after resume) | – | recorded |
"""  # noqa: E501


def rows(table: str) -> list[list[str]]:
    """Return the cells of a Markdown table, without its head."""
    lines = [line for line in table.strip().splitlines() if line.startswith("|")]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines[2:]]


def head(table: str) -> list[str]:
    return [cell.strip() for cell in table.strip().splitlines()[0].strip("|").split("|")]


def names(text: str) -> list[str]:
    """Return the words in capitals, such as PENDING_ACTION, in order."""
    return re.findall(r"\b[A-Z][A-Z_]{2,}\b", text)


def allowed_actions() -> dict[tuple[str, str], bool]:
    """Return for each (status, action) whether the table says yes."""
    actions = head(ACTIONS)[1:]
    allowed = {}
    for cells in rows(ACTIONS):
        for status in names(cells[0]):
            for action, cell in zip(actions, cells[1:], strict=True):
                assert cell == "–" or cell.startswith("yes"), cell
                allowed[status, action] = cell != "–"
    return allowed


@dataclass(frozen=True)
class Told:
    """What one cell of the signal table says: a status and a reason it leads to, or that the status stays."""

    status: str | None = None
    reason: str | None = None
    reply_noted: bool = False
    tried_later: bool = False
    carried_out: bool = False


def told(cell: str) -> Told:
    found = re.match(r"([A-Z_]{3,})(?:, reason ([A-Z_]+))?", cell)
    if found:
        status, reason = found.groups()
        return Told(status, None if status == "ERROR" else reason or status)
    assert re.match(r"–|stays?\b|recorded|the step counts as carried out", cell), cell
    return Told(
        reply_noted="`repliedAt`" in cell, tried_later="RETRY_BACKOFF" in cell, carried_out="carried out" in cell
    )


def signal_effects() -> dict[tuple[str, str], Told]:
    """Return for each (signal, status) what its cell says."""
    ended = [cells[0] for cells in rows(STATUSES) if cells[2] == "ends"]
    effects = {}
    for signal, (_, on_open, on_completed, on_others) in zip(SIGNAL_NAMES, rows(SIGNALS), strict=True):
        for status in names(OPEN):
            effects[signal, status] = told(on_open)
        for status in ended:
            effects[signal, status] = told(on_completed if status == "COMPLETED" else _for(status, on_others))
    return effects


def _for(status: str, cell: str) -> str:
    """Return the part of “REPLIED becomes UNSUBSCRIBED; others stay” that speaks of this status."""
    becomes = re.match(r"([A-Z]+) becomes ([A-Z]+); others (stay)", cell)
    if becomes is None:
        return cell
    exception, target, otherwise = becomes.groups()
    return target if status == exception else otherwise
