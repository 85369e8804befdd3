"""What meets a pending action: a pause, an end, a second person, the hand-over. One order, and everyone is told."""

import asyncio
from collections.abc import Awaitable, Callable
from datetime import timedelta
from uuid import UUID

import pytest

from domain import inbox, marking, pending, recipients, sequences, signals, unconfirmed
from domain.claims import Claim
from domain.database import fetch
from domain.delivery import Result, record
from domain.own_content import NewContent
from domain.reading import recipients as reading
from domain.refusals import ActionNotAvailable, PendingActionNotAvailable, RetryNotAvailable, StepBeingSent
from domain.rules.actor import ENGINE, Actor
from domain.rules.fact import Fact
from domain.rules.ids import Prefix, to_public
from domain.rules.lifecycle import Signal
from domain.rules.outcomes import MailboxBroken, Outcome, Refused, Sent, Unknown
from domain.secrets import Vault
from tests.engine.sending_world import advance, carry, claim_all, messages_of, open_error, set_row
from tests.engine.standing import events_of, picture_of, row_of
from tests.engine.test_manual_emails import TOMORROW, make_pending, now_in, pending_of, sent_letter
from tests.engine.test_races import all_at_once
from tests.reading.asking import Reader
from tests.world import IN_AN_HOUR, email, make_world, manual_email, task
from workers.composing import Letter, composed

AT_ONCE = 20


async def in_flight() -> Claim:
    """Bring the one due message to its second mark: nothing calls it back."""
    (claim,) = await claim_all()
    letter = composed(claim)
    assert isinstance(letter, Letter)
    assert await marking.mark([letter.mark]) == {claim.message_id}
    return claim


async def ends(claim: Claim, outcome: Outcome) -> None:
    assert await record(claim.workspace_id, [Result(claim.message_id, claim.token, outcome)])


def every_act(workspace_id: UUID, actor: Actor, pending_id: UUID) -> list[Callable[[], Awaitable[object]]]:
    who = workspace_id, actor, pending_id

    async def schedule() -> object:
        return await inbox.schedule(*who, await now_in(workspace_id) + TOMORROW)

    return [
        lambda: inbox.send(*who),
        schedule,
        lambda: inbox.unschedule(*who),
        lambda: inbox.complete_task(*who),
        lambda: inbox.skip(*who),
    ]


# ---- the pause


@pytest.mark.parametrize("whose", ["the recipient's", "the sequence's"])
async def test_a_chosen_time_outlasts_a_pause_unless_it_passes_then_the_email_waits_again(
    whose: str, workspace_id: UUID, actor: Actor, vault: Vault
) -> None:
    world, recipient_id, waiting = await make_pending(workspace_id, actor, vault)

    async def pause() -> None:
        if whose == "the recipient's":
            await recipients.pause(workspace_id, actor, recipient_id)
        else:
            await sequences.pause(workspace_id, world.sequence_id)

    async def resume() -> None:
        if whose == "the recipient's":
            await recipients.resume(workspace_id, actor, recipient_id)
        else:
            await sequences.resume(workspace_id, world.sequence_id)

    at = await now_in(workspace_id) + TOMORROW
    await inbox.schedule(workspace_id, actor, waiting["id"], at)
    await pause()
    held = await row_of(recipient_id)
    assert (held["status"], held["scheduled_for"], held["due_at"]) == ("PAUSED", at, None)
    await resume()
    back = await row_of(recipient_id)
    assert (back["status"], back["due_at"]) == ("IN_PROGRESS", at)
    await pause()
    await advance(workspace_id, 2 * TOMORROW)
    assert await claim_all() == []
    await resume()
    late = await row_of(recipient_id)
    assert (late["status"], late["scheduled_for"], late["due_at"]) == ("PENDING_ACTION", None, None)
    assert await claim_all() == []
    assert (await pending_of(recipient_id))["closed_at"] is None
    assert [(event["previous_status"], event["status"]) for event in await events_of(recipient_id)][-4:] == [
        ("IN_PROGRESS", "PAUSED"),
        ("PAUSED", "IN_PROGRESS"),
        ("IN_PROGRESS", "PAUSED"),
        ("PAUSED", "PENDING_ACTION"),
    ]
    await inbox.send(workspace_id, actor, waiting["id"])
    await sent_letter()


async def test_a_send_that_waited_for_its_mailbox_when_the_pause_came_asks_again_after_it(
    workspace_id: UUID, actor: Actor, vault: Vault
) -> None:
    world, recipient_id, waiting = await make_pending(workspace_id, actor, vault)
    await set_row("mailboxes", world.mailbox_id, next_send_at=await now_in(workspace_id) + TOMORROW)
    await inbox.send(workspace_id, actor, waiting["id"])
    assert await claim_all() == []
    await recipients.pause(workspace_id, actor, recipient_id)
    await recipients.resume(workspace_id, actor, recipient_id)
    assert (await row_of(recipient_id))["status"] == "PENDING_ACTION"


@pytest.mark.parametrize("rows_have_followed", [True, False, None])
async def test_a_paused_pending_action_can_be_read_not_acted_on(
    rows_have_followed: bool | None, workspace_id: UUID, actor: Actor, vault: Vault
) -> None:
    world, recipient_id, waiting = await make_pending(workspace_id, actor, vault)
    if rows_have_followed is None:
        await recipients.pause(workspace_id, actor, recipient_id)
    elif rows_have_followed:
        await sequences.pause(workspace_id, world.sequence_id)
    else:
        await set_row("sequences", world.sequence_id, status="PAUSED", paused_at=await now_in(workspace_id))
    before = await picture_of(recipient_id)
    first = "Resume it first." if rows_have_followed is None else "Resume the sequence first."
    for act in every_act(workspace_id, actor, waiting["id"]):
        with pytest.raises(ActionNotAvailable) as refusal:
            await act()
        assert refusal.value.status == "PAUSED"
        assert refusal.value.message.endswith(first)
    assert await picture_of(recipient_id) == before


async def test_a_pause_with_an_open_error_comes_back_to_it_and_a_persons_resume_sends_what_was_released(
    workspace_id: UUID, actor: Actor, vault: Vault
) -> None:
    world, recipient_id, waiting = await make_pending(workspace_id, actor, vault)
    await inbox.send(workspace_id, actor, waiting["id"])
    await carry(await claim_all(), Refused("RECIPIENT_REFUSED_CONTENT", "550 5.7.1 no"))
    await sequences.pause(workspace_id, world.sequence_id)
    with pytest.raises(RetryNotAvailable, match="Resume the sequence first"):
        await recipients.retry(workspace_id, actor, recipient_id)
    await advance(workspace_id, TOMORROW)
    await sequences.resume(workspace_id, world.sequence_id)
    assert (await row_of(recipient_id))["status"] == "ERROR"
    assert await claim_all() == []
    await recipients.pause(workspace_id, actor, recipient_id)
    await recipients.resume(workspace_id, actor, recipient_id)
    assert (await row_of(recipient_id))["status"] == "IN_PROGRESS"
    assert (await sent_letter()).mark.html == waiting["body"]


# ---- it ends


ENDS = {
    Signal.HUMAN_REPLY: "REPLIED",
    Signal.OPT_OUT: "OPTED_OUT",
    Signal.COMPLAINT: "OPTED_OUT",
    Signal.SUPPRESSION_ELSEWHERE: "OPTED_OUT",
    Signal.HARD_BOUNCE: "BOUNCED",
}


@pytest.mark.parametrize("scheduled", [True, False])
@pytest.mark.parametrize("signal", ENDS)
async def test_it_closes_by_itself_when_the_recipient_ends_and_says_why(
    signal: Signal, scheduled: bool, workspace_id: UUID, actor: Actor, vault: Vault
) -> None:
    _, recipient_id, waiting = await make_pending(workspace_id, actor, vault)
    if scheduled:
        await inbox.schedule(workspace_id, actor, waiting["id"], await now_in(workspace_id) + TOMORROW)
    await signals.apply(workspace_id, Fact(signal=signal, recipient_id=recipient_id, actor=ENGINE))
    closed = await pending_of(recipient_id)
    assert (closed["outcome"], closed["closed_by_kind"]) == (ENDS[signal], "ENGINE")
    for act in every_act(workspace_id, actor, waiting["id"]):
        with pytest.raises(PendingActionNotAvailable) as refusal:
            await act()
        assert (refusal.value.outcome, refusal.value.available) == (ENDS[signal], ())
        assert "so it is closed" in refusal.value.message
    await advance(workspace_id, 2 * TOMORROW)
    assert await claim_all() == []


@pytest.mark.parametrize(("verb", "outcome"), [(recipients.stop, "STOPPED"), (recipients.delete, "DELETED")])
async def test_a_stop_or_a_deletion_closes_it_by_whoever_did_that(
    verb: Callable[..., Awaitable[object]], outcome: str, workspace_id: UUID, actor: Actor, vault: Vault
) -> None:
    _, recipient_id, waiting = await make_pending(workspace_id, actor, vault)
    await inbox.schedule(workspace_id, actor, waiting["id"], await now_in(workspace_id) + TOMORROW)
    await verb(workspace_id, actor, recipient_id)
    closed = await pending_of(recipient_id)
    assert (closed["outcome"], closed["closed_by_id"]) == (outcome, actor.id)
    with pytest.raises(PendingActionNotAvailable) as refusal:
        await inbox.send(workspace_id, actor, waiting["id"])
    assert refusal.value.outcome == outcome


async def test_archiving_with_a_stop_closes_it(workspace_id: UUID, actor: Actor, vault: Vault) -> None:
    world, recipient_id, _ = await make_pending(workspace_id, actor, vault, steps=[task()])
    await sequences.archive(workspace_id, world.sequence_id, stop_open_recipients=True)
    assert (await pending_of(recipient_id))["outcome"] == "STOPPED"


async def test_skip_step_of_the_recipient_closes_it_as_skipped(workspace_id: UUID, actor: Actor, vault: Vault) -> None:
    world, recipient_id, _ = await make_pending(workspace_id, actor, vault)
    await recipients.skip_step(workspace_id, actor, recipient_id, world.step_ids[0])
    assert (await pending_of(recipient_id))["outcome"] == "SKIPPED"


# ---- two people


async def test_many_press_send_at_once_and_one_message_goes_out(workspace_id: UUID, actor: Actor, vault: Vault) -> None:
    _, recipient_id, waiting = await make_pending(workspace_id, actor, vault)

    def press() -> Awaitable[object]:
        return inbox.send(workspace_id, actor, waiting["id"])

    assert await all_at_once(*[press] * AT_ONCE) == {"done": 1, "PendingActionNotAvailable": AT_ONCE - 1}
    with pytest.raises(PendingActionNotAvailable) as refusal:
        await press()
    assert refusal.value.message == "tests released it already; it goes out at its mailbox's next turn."
    assert (refusal.value.outcome, refusal.value.by_id) == (None, actor.id)
    assert set(refusal.value.available) == {"CANCEL_SCHEDULE", "SKIP"}
    await sent_letter()
    with pytest.raises(PendingActionNotAvailable) as refusal:
        await press()
    assert refusal.value.message == "It was sent already, by tests."
    assert (refusal.value.outcome, refusal.value.by_id) == ("SENT", actor.id)
    assert [message["state"] for message in await messages_of(recipient_id)] == ["SENT"]


async def test_whoever_presses_send_with_another_text_at_the_same_time_loses_and_the_winners_words_go_out(
    workspace_id: UUID, actor: Actor, vault: Vault
) -> None:
    _, _, waiting = await make_pending(workspace_id, actor, vault)

    async def press(n: int) -> object:
        await inbox.send(workspace_id, actor, waiting["id"], inbox.EditedEmail(f"Subject {n}", f"<p>Body {n}</p>"))
        return n

    answers = await asyncio.gather(*(press(n) for n in range(AT_ONCE)), return_exceptions=True)
    (winner,) = [answer for answer in answers if isinstance(answer, int)]
    letter = await sent_letter()
    assert (letter.mark.subject, letter.mark.text) == (f"Subject {winner}", f"Body {winner}")


async def test_send_skip_and_cancel_at_once_have_one_order_that_all_answers_agree_with(
    workspace_id: UUID, actor: Actor, vault: Vault
) -> None:
    world = await make_world(workspace_id, actor, vault, steps=[manual_email(), task(wait=IN_AN_HOUR)], people=10)
    await pending.put_due_before_people()
    for recipient_id in world.recipient_ids:
        who = workspace_id, actor, (await pending_of(recipient_id))["id"]
        answers = await all_at_once(
            lambda who=who: inbox.send(*who), lambda who=who: inbox.skip(*who), lambda who=who: inbox.unschedule(*who)
        )
        assert answers["done"] >= 1
        row, waiting = await row_of(recipient_id), await pending_of(recipient_id)
        assert waiting["outcome"] == "SKIPPED"
        assert (row["current_step_id"], row["scheduled_for"]) == (world.step_ids[1], None)
        assert len(await events_of(recipient_id)) == 2 + answers["done"]


async def test_no_mark_is_committed_after_a_cancellation_has_answered(
    workspace_id: UUID, actor: Actor, vault: Vault
) -> None:
    world = await make_world(workspace_id, actor, vault, steps=[manual_email()], people=40)
    await pending.put_due_before_people()
    for recipient_id in world.recipient_ids:
        await inbox.send(workspace_id, actor, (await pending_of(recipient_id))["id"])
    claims = await claim_all()
    assert len(claims) == 40

    async def mark(claim: Claim) -> bool:
        letter = composed(claim)
        assert isinstance(letter, Letter)
        return bool(await marking.mark([letter.mark]))

    async def cancel(claim: Claim) -> bool:
        try:
            await inbox.unschedule(workspace_id, actor, (await pending_of(claim.recipient_id))["id"])
        except PendingActionNotAvailable as refusal:
            return "being sent right now: tests released it" not in refusal.message
        return True

    for claim in claims:
        marked, cancelled = await asyncio.gather(mark(claim), cancel(claim))
        assert marked != cancelled
        assert (await row_of(claim.recipient_id))["status"] == ("PENDING_ACTION" if cancelled else "IN_PROGRESS")


# ---- while it is being handed over


async def test_while_it_is_handed_over_it_cannot_be_called_back_or_edited(
    workspace_id: UUID, actor: Actor, vault: Vault
) -> None:
    world, recipient_id, waiting = await make_pending(workspace_id, actor, vault)
    await inbox.send(workspace_id, actor, waiting["id"])
    claim = await in_flight()
    with pytest.raises(PendingActionNotAvailable) as refusal:
        await inbox.unschedule(workspace_id, actor, waiting["id"])
    assert refusal.value.available == ("SKIP",)
    shown = await reading.by_ids(workspace_id, [recipient_id], wants=["steps"])
    assert [step.editable for step in shown[recipient_id].steps] == [False, True]
    with pytest.raises(StepBeingSent):
        await recipients.edit_content(workspace_id, actor, recipient_id, world.step_ids[0], NewContent(body="Late"))
    await ends(claim, Sent("250 OK"))
    assert (await pending_of(recipient_id))["outcome"] == "SENT"


@pytest.mark.parametrize(
    ("outcome", "became"), [(Sent("250 OK"), "SENT"), (Refused("RECIPIENT_REFUSED_CONTENT", "550 no"), "SKIPPED")]
)
async def test_a_skip_meanwhile_stops_further_tries_and_the_outcome_is_recorded_as_a_fact(
    outcome: Outcome, became: str, workspace_id: UUID, actor: Actor, vault: Vault
) -> None:
    world, recipient_id, waiting = await make_pending(workspace_id, actor, vault)
    await inbox.send(workspace_id, actor, waiting["id"])
    claim = await in_flight()
    await inbox.skip(workspace_id, actor, waiting["id"])
    assert (await pending_of(recipient_id))["outcome"] == "SKIPPED"
    await ends(claim, outcome)
    row = await row_of(recipient_id)
    assert (row["status"], row["current_step_id"], row["error_id"]) == ("IN_PROGRESS", world.step_ids[1], None)
    assert (row["contacted_at"] is not None) == (became == "SENT")
    done = await fetch("SELECT outcome FROM recipient_steps WHERE recipient_id = $1", recipient_id)
    assert done[0]["outcome"] == ("CARRIED_OUT" if became == "SENT" else "SKIPPED")
    assert (await pending_of(recipient_id))["outcome"] == became


async def test_a_pause_meanwhile_holds_and_what_was_sent_counts(workspace_id: UUID, actor: Actor, vault: Vault) -> None:
    world, recipient_id, waiting = await make_pending(workspace_id, actor, vault)
    await inbox.send(workspace_id, actor, waiting["id"])
    claim = await in_flight()
    assert (await recipients.pause(workspace_id, actor, recipient_id)).in_flight == 1
    await ends(claim, Sent("250 OK"))
    row = await row_of(recipient_id)
    assert (row["status"], row["current_step_id"]) == ("PAUSED", world.step_ids[1])
    assert (await pending_of(recipient_id))["outcome"] == "SENT"


async def test_paused_and_resumed_meanwhile_it_waits_for_a_person_who_cannot_send_it_twice(
    workspace_id: UUID, actor: Actor, vault: Vault
) -> None:
    world, recipient_id, waiting = await make_pending(workspace_id, actor, vault)
    await inbox.send(workspace_id, actor, waiting["id"])
    claim = await in_flight()
    await recipients.pause(workspace_id, actor, recipient_id)
    await recipients.resume(workspace_id, actor, recipient_id)
    for act in every_act(workspace_id, actor, waiting["id"])[:3]:
        with pytest.raises(PendingActionNotAvailable):
            await act()
    await ends(claim, Sent("250 OK"))
    assert (await row_of(recipient_id))["current_step_id"] == world.step_ids[1]
    assert len(await messages_of(recipient_id)) == 1


async def test_a_stop_meanwhile_holds_and_the_outcome_is_recorded(
    workspace_id: UUID, actor: Actor, vault: Vault
) -> None:
    _, recipient_id, waiting = await make_pending(workspace_id, actor, vault)
    await inbox.send(workspace_id, actor, waiting["id"])
    claim = await in_flight()
    await recipients.stop(workspace_id, actor, recipient_id)
    await ends(claim, Sent("250 OK"))
    assert (await row_of(recipient_id))["status"] == "STOPPED"
    assert (await pending_of(recipient_id))["outcome"] == "STOPPED"
    assert (await messages_of(recipient_id))[0]["state"] == "SENT"


# ---- nobody knows whether it was delivered


async def test_an_unconfirmed_email_is_sent_again_by_nobody_but_a_person_who_says_so(
    workspace_id: UUID, actor: Actor, vault: Vault
) -> None:
    world, recipient_id, waiting = await make_pending(workspace_id, actor, vault)
    await inbox.send(workspace_id, actor, waiting["id"], inbox.EditedEmail("Mine", "<p>Mine</p>"))
    await ends(await in_flight(), Unknown("silence"))
    assert (await open_error(recipient_id))["code"] == "DELIVERY_UNCONFIRMED"
    with pytest.raises(RetryNotAvailable):
        await recipients.retry(workspace_id, actor, recipient_id)
    with pytest.raises(PendingActionNotAvailable):
        await inbox.send(workspace_id, actor, waiting["id"])
    await recipients.edit_content(workspace_id, actor, recipient_id, world.step_ids[0], NewContent(subject="Other"))
    await recipients.pause(workspace_id, actor, recipient_id)
    await recipients.resume(workspace_id, actor, recipient_id)
    assert (await row_of(recipient_id))["status"] == "ERROR"
    assert await claim_all() == []
    error_id = (await open_error(recipient_id))["id"]
    await unconfirmed.resolve(workspace_id, actor, error_id, was_sent=False)
    letter = await sent_letter()
    assert (letter.mark.subject, letter.mark.text) == ("Other", "Mine")
    assert (await pending_of(recipient_id))["outcome"] == "SENT"


async def test_said_to_be_sent_it_is_closed_by_whoever_released_it(
    workspace_id: UUID, actor: Actor, vault: Vault
) -> None:
    world, recipient_id, waiting = await make_pending(workspace_id, actor, vault)
    await inbox.send(workspace_id, actor, waiting["id"])
    await ends(await in_flight(), Unknown("silence"))
    await unconfirmed.resolve(workspace_id, ENGINE, (await open_error(recipient_id))["id"], was_sent=True)
    closed = await pending_of(recipient_id)
    assert (closed["outcome"], closed["closed_by_id"]) == ("SENT", actor.id)
    assert (await row_of(recipient_id))["current_step_id"] == world.step_ids[1]


async def test_sent_again_by_a_persons_word_it_goes_out_even_after_a_pause_made_its_time_void(
    workspace_id: UUID, actor: Actor, vault: Vault
) -> None:
    _, recipient_id, waiting = await make_pending(workspace_id, actor, vault)
    await inbox.send(workspace_id, actor, waiting["id"])
    claim = await in_flight()
    await recipients.pause(workspace_id, actor, recipient_id)
    await recipients.resume(workspace_id, actor, recipient_id)
    await ends(claim, Unknown("silence"))
    await unconfirmed.resolve(workspace_id, actor, (await open_error(recipient_id))["id"], was_sent=False)
    await sent_letter()


async def test_proof_that_it_was_not_taken_lets_the_same_message_go_out(
    workspace_id: UUID, actor: Actor, vault: Vault
) -> None:
    _, recipient_id, waiting = await make_pending(workspace_id, actor, vault)
    await inbox.send(workspace_id, actor, waiting["id"])
    claim = await in_flight()
    await ends(claim, Unknown("silence"))
    await ends(claim, MailboxBroken("MAILBOX_SERVER_UNREACHABLE", "421 gone"))
    await set_row("mailboxes", claim.account.mailbox_id, state="CONNECTED")
    assert (await row_of(recipient_id))["status"] == "IN_PROGRESS"
    await sent_letter()
    assert len(await messages_of(recipient_id)) == 1


async def test_a_failed_delivery_of_the_email_before_goes_back_and_the_action_comes_again(
    workspace_id: UUID, actor: Actor, vault: Vault
) -> None:
    world = await make_world(workspace_id, actor, vault, steps=[email(), manual_email()])
    (recipient_id,) = world.recipient_ids
    await sent_letter()
    await pending.put_due_before_people()
    first = await pending_of(recipient_id)
    fact = Fact(signal=Signal.DELIVERY_FAILED, recipient_id=recipient_id, actor=ENGINE)
    await signals.apply(workspace_id, fact)
    row = await row_of(recipient_id)
    assert (row["status"], row["current_step_id"], row["pending_id"]) == ("ERROR", world.step_ids[0], None)
    await recipients.retry(workspace_id, actor, recipient_id)
    await sent_letter()
    assert await pending.put_due_before_people() == 1
    assert (await pending_of(recipient_id))["id"] != first["id"]


async def test_a_long_wait_for_the_mailbox_does_not_make_a_released_email_pending_again(
    workspace_id: UUID, actor: Actor, vault: Vault
) -> None:
    world, recipient_id, waiting = await make_pending(workspace_id, actor, vault)
    await set_row("mailboxes", world.mailbox_id, next_send_at=await now_in(workspace_id) + timedelta(days=1))
    await inbox.send(workspace_id, actor, waiting["id"])
    await advance(workspace_id, timedelta(days=5))
    assert await pending.put_due_before_people() == 0
    assert (await row_of(recipient_id))["status"] == "IN_PROGRESS"


async def test_what_the_api_offers_is_true_in_every_state(workspace_id: UUID, actor: Actor, vault: Vault) -> None:
    world, recipient_id, waiting = await make_pending(workspace_id, actor, vault)
    reader = Reader(workspace_id, actor, vault)

    async def offered() -> list[str]:
        query = "query ($id: ID!) { node(id: $id) { ... on PendingAction { availableActions } } }"
        node = (await reader.ask(query, id=to_public(Prefix.PENDING_ACTION, waiting["id"])))["node"]
        found: list[str] = node["availableActions"]
        return found

    assert await offered() == ["SEND_NOW", "SCHEDULE", "SKIP"]
    await inbox.schedule(workspace_id, actor, waiting["id"], await now_in(workspace_id) + TOMORROW)
    assert await offered() == ["SEND_NOW", "SCHEDULE", "CANCEL_SCHEDULE", "SKIP"]
    await recipients.pause(workspace_id, actor, recipient_id)
    assert await offered() == []
    await recipients.resume(workspace_id, actor, recipient_id)
    await sequences.pause(workspace_id, world.sequence_id)
    assert await offered() == []
    await sequences.resume(workspace_id, world.sequence_id)
    await inbox.send(workspace_id, actor, waiting["id"])
    assert await offered() == ["CANCEL_SCHEDULE", "SKIP"]
    claim = await in_flight()
    assert await offered() == ["SKIP"]
    await ends(claim, Refused("RECIPIENT_REFUSED_CONTENT", "550 5.7.1 no"))
    assert await offered() == ["SKIP"]
    await recipients.retry(workspace_id, actor, recipient_id)
    assert await offered() == ["CANCEL_SCHEDULE", "SKIP"]
    await sent_letter()
    assert await offered() == []
