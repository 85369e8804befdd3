"""docs/lifecycle.md as text, made from the tables that decide. `python -m cli.lifecycle_docs` writes the file."""

from collections.abc import Iterable, Mapping, Sequence
from enum import StrEnum

from domain.rules import meanings
from domain.rules.lifecycle import (
    ACTIONS_WHILE_SEQUENCE_PAUSED,
    ENDED,
    ENDS,
    MEANING,
    SIGNALS,
    Action,
    Effect,
    Signal,
    Status,
    available_actions,
    stage_of,
)
from domain.rules.lifecycle_diagram import mermaid
from domain.rules.step_errors import CATALOGUE, Definition, FixTarget, StepErrorCode, fix_sentence, sentence

_HEAD = """\
# The life of a recipient

<!-- Made by `python -m cli.lifecycle_docs` from domain/rules. Do not edit: change the tables there, make it anew. -->

A recipient is one contact's run through one sequence. This page is made from the tables that the engine itself reads:
what stands here is what the API does.
"""

_STATUS = """\
The status is one function of facts, and the first that holds decides: ended → its end; a pause flag up → PAUSED; an
open step error → ERROR; an open, unscheduled pending action → PENDING_ACTION; otherwise SCHEDULED or IN_PROGRESS.
Nothing remembers where it came from.
"""

_SIGNALS = """\
Signals are what the world does to a recipient. They are never refused: every status says what each does to it.
"""

_DIAGRAM = """\
Capitals on an arrow are actions of a person, the rest are signals and the turns of the engine. An arrow that leaves
*Open* leaves every status in it. DELETE removes a recipient from every status and is not drawn. A signal to a paused
recipient shows when it is resumed.
"""

_ERRORS = """\
Each error stays open until its step is carried out, skipped or tried again. A retry closes it and tries the step again
as a new message. DELIVERY_UNCONFIRMED is never sent again by itself: only proof, or a person who says what happened,
moves it.
"""


def lifecycle_page() -> str:
    """Return the whole page as Markdown, with a line break at its end."""
    parts = [
        _HEAD,
        "## Statuses\n",
        _STATUS,
        _table(["status", "meaning", "ends?"], ([s, MEANING[s], "ends" if s in ENDED else ""] for s in Status)),
        "## Actions\n",
        _table(["action", "what it does"], meanings.ACTION.items()),
        _table(["status", *Action], (_actions_of(status) for status in Status)),
        f"While the **sequence** is paused, an open recipient has only {_and(ACTIONS_WHILE_SEQUENCE_PAUSED)}, "
        "whatever its row still says.\n",
        "## Signals\n",
        _SIGNALS,
        _signal_table(),
        "## Stages\n",
        "The stage is a coarser word, derived from the status and never stored with the recipient.\n",
        _table(["stage", "when", "statuses"], ([s, text, _statuses_in(s)] for s, text in meanings.STAGE.items())),
        "## End reasons\n",
        _table(["reason", "status", "meaning"], ([r, ENDS[r], text] for r, text in meanings.END_REASON.items())),
        "## Diagram\n",
        _DIAGRAM,
        f"```mermaid\n{mermaid()}\n```\n",
        "## Step errors\n",
        _ERRORS,
        _error_table(),
    ]
    return "\n".join(parts)


def _table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "".join(f"| {' | '.join(str(cell) or ' ' for cell in line)} |\n" for line in lines)


def _and(members: Iterable[Action]) -> str:
    return " and ".join(action for action in Action if action in members)


def _actions_of(status: Status) -> list[str]:
    available = available_actions(status, sequence_paused=False)
    return [status, *("yes" if action in available else "–" for action in Action)]


def _signal_table() -> str:
    """Return the signal matrix; statuses to which every signal does the same share a column."""
    columns: dict[tuple[Effect, ...], list[Status]] = {}
    for status in Status:
        columns.setdefault(tuple(SIGNALS[signal][status] for signal in Signal), []).append(status)
    head = ["signal", *(", ".join(statuses) for statuses in columns.values())]
    rows = (
        [f"**{signal}** {meanings.SIGNAL[signal]}", *(_effect(SIGNALS[signal][each[0]]) for each in columns.values())]
        for signal in Signal
    )
    return _table(head, rows)


def _effect(effect: Effect) -> str:
    reason = effect.end_reason
    if reason is None:
        return str(effect.value)
    status = ENDS[reason]
    return f"→ {status}" if status.value == reason.value else f"→ {status}, reason {reason}"


def _statuses_in(stage: StrEnum) -> str:
    return ", ".join(s for s in Status if stage in (stage_of(s, contacted=False), stage_of(s, contacted=True)))


_WHERE: Mapping[FixTarget, str] = {FixTarget.NONE: "outside Relance"}


def _retried_when(definition: Definition) -> str:
    if not definition.retryable:
        return "never"
    return "at any time" if definition.retry_finds_out else "once the cause is gone"


def _error_table() -> str:
    rows = (
        [
            code,
            sentence(code),
            f"{fix_sentence(code)} ({definition.fix}, {_WHERE.get(definition.target, definition.target)})",
            _retried_when(definition),
            f"{definition.cleared_by.value[0].upper()}{definition.cleared_by.value[1:]}.",
        ]
        for code, definition in ((code, CATALOGUE[code]) for code in StepErrorCode)
    )
    return _table(
        ["code", "what the recruiter reads", "fix (code, on what)", "can be retried", "cause gone when"], rows
    )
