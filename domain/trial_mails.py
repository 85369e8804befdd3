"""Test mails: a step as one person would get it, sent to an address of the caller's own choosing.

One is no message to anybody: it stands in a table of its own, marked as a test in its subject, counts for the limits of
its mailbox, and takes the mailbox's turn. It is handed over at most once: the claim is its mark, committed before
anything is said to the mail server, and nothing takes it up again. Whoever wants it again asks again.

Source: product.md section 3 "Templates" ("send a test mail"); architecture.md "The flow of one step".
"""

from dataclasses import dataclass
from typing import Final
from uuid import UUID

from domain import mailbox_answers
from domain.claims import Account, email_account
from domain.database import Tx, fetch, tx
from domain.previewing import Preview
from domain.refusals import (
    AddressNotToBeWrittenTo,
    ContentNotReady,
    Invalid,
    MailboxCannotSend,
    MailboxHeld,
    MailboxLimitReached,
)
from domain.rules.addresses import EmailInvalid, address_key, normalise_email
from domain.rules.filling_in import ProblemCode
from domain.rules.ids import new_id
from domain.rules.mime import HeaderForbidden, OutgoingEmail, compose, message_token
from domain.rules.outcomes import Outcome, Sent, Unknown
from domain.rules.plan import EMAIL_KINDS
from domain.secrets import Vault
from domain.turns import HANDED_OVER, LIMIT_NOW

SUBJECT_PREFIX: Final = "[Test] "
HEADER: Final = ("X-Relance-Test", "yes")
_WAITING_AT_MOST: Final = 20  # of one mailbox
_KEPT_DAYS: Final = 30

# About a person's address or their absence of one: a test goes elsewhere.
_OF_THE_PERSON: Final = frozenset({ProblemCode.SUPPRESSED, ProblemCode.EMAIL_MISSING, ProblemCode.EMAIL_BOUNCED_BEFORE})


@dataclass(frozen=True, slots=True)
class Trial:
    """One test mail that may be handed over now, by whoever holds this and nobody else."""

    id: UUID
    workspace_id: UUID
    to_address: str
    mime: bytes
    account: Account


_SUPPRESSED: Final = """
    SELECT EXISTS (
        SELECT FROM suppressions s WHERE s.workspace_id = $1 AND s.lifted_at IS NULL AND (
            (s.kind = 'ADDRESS' AND s.value = $2) OR (s.kind = 'ERASED' AND s.value = $3)
            OR (s.kind = 'DOMAIN' AND ($4 = s.value OR $4 LIKE '%.' || s.value))
            OR (s.kind = 'CONTACT' AND s.value IN (
                SELECT c.id::text FROM contacts c WHERE c.workspace_id = $1 AND c.email_key = $2)))
    ) AS suppressed, EXISTS (
        SELECT FROM contacts c WHERE c.workspace_id = $1 AND c.email_key = $2 AND c.email_bounced_at IS NOT NULL
    ) AS bounced
"""
_ROOM: Final = f"""
    SELECT m.state, {LIMIT_NOW} > (SELECT count(*) FROM ({HANDED_OVER}) x) AS has_room,
        (SELECT count(*) FROM test_emails e WHERE e.workspace_id = $1 AND e.mailbox_id = m.id
            AND e.state = 'QUEUED') AS waiting
    FROM mailboxes m WHERE m.workspace_id = $1 AND m.id = $2
"""


async def order(workspace_id: UUID, vault: Vault, preview: Preview, to: str | None, links_url: str) -> UUID:
    """Order a test mail of a preview and return its id. `to` left out: the mailbox's own address.

    Raises:
        Invalid: it is no email, or the address is none.
        ContentNotReady: the words have an error; the sentence names the first.
        MailboxCannotSend, MailboxHeld, MailboxLimitReached, AddressNotToBeWrittenTo
    """
    if preview.words.kind not in EMAIL_KINDS:
        raise Invalid("Only an email can be sent as a test.", field=["stepId"])
    if preview.mailbox is None:
        raise MailboxCannotSend("NO_MAILBOX")
    _refuse_unless_connected(preview.mailbox["state"])
    for problem in preview.problems:
        if problem.code not in _OF_THE_PERSON:
            raise ContentNotReady(problem.sentence, field=["stepId"])
    try:
        address = normalise_email(to or preview.mailbox["address"])
    except EmailInvalid as problem:
        raise Invalid(str(problem), field=["to"]) from None
    test_email_id, mailbox = new_id(), preview.mailbox

    async def work(t: Tx) -> UUID:
        await _refuse_if_not_to_be_written_to(t, address)
        (room,) = await t.fetch(_ROOM, t.workspace_id, mailbox["id"])
        _refuse_unless_connected(room["state"])
        if not room["has_room"] or room["waiting"] >= _WAITING_AT_MOST:
            raise MailboxLimitReached
        filled = preview.filled
        try:
            mime = compose(
                OutgoingEmail(
                    message_id=f"<{message_token(vault.message_id_key, test_email_id)}@"
                    f"{mailbox['address'].rpartition('@')[2]}>",
                    sent_at=t.now,
                    from_name=mailbox["display_name"] or "",
                    from_address=mailbox["address"],
                    to_name="",
                    to_address=address,
                    subject=f"{SUBJECT_PREFIX}{filled.subject}",
                    text=filled.text or "",
                    html=filled.html,
                    extra_headers=(HEADER, ("List-Unsubscribe", f"<{links_url}/u/preview>")),
                )
            )
        except HeaderForbidden as problem:
            raise ContentNotReady(str(problem), field=["stepId"]) from None
        await t.execute(
            "INSERT INTO test_emails (id, workspace_id, mailbox_id, to_address, mime, state, created_at) "
            "VALUES ($1, $2, $3, $4, $5, 'QUEUED', now()) ON CONFLICT (id) DO NOTHING",
            test_email_id,
            t.workspace_id,
            mailbox["id"],
            address,
            mime,
        )
        return test_email_id

    return await tx(workspace_id, work)


def _refuse_unless_connected(state: str) -> None:
    if state == "HELD":
        raise MailboxHeld
    if state != "CONNECTED":
        raise MailboxCannotSend(state)


async def _refuse_if_not_to_be_written_to(t: Tx, address: str) -> None:
    key = address_key(address)
    (found,) = await t.fetch(_SUPPRESSED, t.workspace_id, key, t.hashed(key), key.rpartition("@")[2])
    if found["suppressed"] or found["bounced"]:
        raise AddressNotToBeWrittenTo(bounced=not found["suppressed"])


_LOCK: Final = """
    SELECT m.id, e.id AS test_email_id FROM mailboxes m
    JOIN test_emails e ON e.workspace_id = m.workspace_id AND e.mailbox_id = m.id AND e.state = 'QUEUED'
    WHERE m.state = 'CONNECTED' AND m.next_send_at <= now()
    ORDER BY e.created_at, e.id LIMIT 1 FOR NO KEY UPDATE SKIP LOCKED
"""
# In a statement of its own: what is counted is newer than the lock.
_MARK: Final = f"""
    WITH place AS (
        SELECT m.id, m.minimum_gap_seconds, {LIMIT_NOW} - count(x.marked_at) - (
                SELECT count(*) FROM messages k WHERE k.workspace_id = m.workspace_id AND k.mailbox_id = m.id
                    AND k.state = 'CLAIMED' AND k.lease_until > now()) AS left_today,
            min(x.marked_at) + interval '24 hours' AS free_at
        FROM mailboxes m LEFT JOIN LATERAL ({HANDED_OVER}) x ON true
        WHERE m.id = $1 GROUP BY m.id
    ), moved AS (
        UPDATE mailboxes m SET
            next_send_at = CASE WHEN p.left_today <= 1
                THEN greatest(now() + make_interval(secs => p.minimum_gap_seconds),
                    coalesce(p.free_at, now() + interval '24 hours'))
                ELSE now() + make_interval(secs => p.minimum_gap_seconds * (1 + 0.25 * random())) END,
            held_back_by = CASE WHEN p.left_today <= 1 THEN 'DAILY_LIMIT'
                WHEN p.minimum_gap_seconds > 0 THEN 'MINIMUM_GAP' END
        FROM place p WHERE m.id = p.id
    )
    UPDATE test_emails e SET state = CASE WHEN p.left_today > 0 THEN 'HANDING_OVER' ELSE e.state END,
        marked_at = CASE WHEN p.left_today > 0 THEN now() END
    FROM place p WHERE e.id = $2
    RETURNING e.id, e.workspace_id, e.to_address, e.mime, e.state
"""
_ACCOUNT: Final = """
    SELECT m.id AS mailbox_id, m.address, m.display_name, m.smtp_host, m.smtp_port, m.smtp_security, m.smtp_username,
        m.smtp_password, m.dkim_domain, m.dkim_selector, m.dkim_key, w.test_mode
    FROM mailboxes m JOIN workspaces w ON w.id = m.workspace_id WHERE m.workspace_id = $1 AND m.id = $2
"""


async def claim() -> Trial | None:
    """Return the test mail that has waited longest for a mailbox whose turn has come; None when there is none. It is
    marked as handed over: whoever gets it hands it over, or it never is."""

    async def work(t: Tx) -> Trial | None:
        found = await t.fetchrow(_LOCK)
        row = await t.fetchrow(_MARK, found["id"], found["test_email_id"]) if found else None
        if found is None or row is None or row["state"] != "HANDING_OVER":
            return None
        (m,) = await t.fetch(_ACCOUNT, row["workspace_id"], found["id"])
        return Trial(row["id"], row["workspace_id"], row["to_address"], row["mime"], email_account(m))

    return await tx(None, work, rings=False)


async def record(trial: Trial, outcome: Outcome) -> None:
    """Note what became of a test mail, and on its mailbox what that means for it, as for a step's mail. What it said is
    not kept."""
    state = "SENT" if isinstance(outcome, Sent) else "UNCONFIRMED" if isinstance(outcome, Unknown) else "FAILED"
    reply: str | None = getattr(outcome, "reply", None)

    async def work(t: Tx) -> None:
        await mailbox_answers.note(t, trial.account.mailbox_id, outcome)
        await t.execute(
            "UPDATE test_emails SET state = $3, reply = $4, mime = NULL WHERE workspace_id = $1 AND id = $2",
            t.workspace_id,
            trial.id,
            state,
            reply,
        )

    await tx(trial.workspace_id, work, rings=False)


async def give_up_lost() -> int:
    """Note as unconfirmed what a worker died with, as failed what got no turn within an hour, and forget what is older
    than 30 days; return how many."""
    rows = await fetch(
        f"""
        WITH lost AS (
            UPDATE test_emails SET state = CASE state WHEN 'QUEUED' THEN 'FAILED' ELSE 'UNCONFIRMED' END, mime = NULL,
                reply = CASE state WHEN 'QUEUED' THEN 'Its mailbox had no turn for it within an hour.' END
            WHERE (state = 'HANDING_OVER' AND marked_at < now() - interval '15 minutes')
                OR (state = 'QUEUED' AND created_at < now() - interval '1 hour')
            RETURNING 1
        ), old AS (
            DELETE FROM test_emails WHERE created_at < now() - interval '{_KEPT_DAYS} days' RETURNING 1
        ) SELECT (SELECT count(*) FROM lost) + (SELECT count(*) FROM old) AS n
        """
    )
    done: int = rows[0]["n"]
    return done
