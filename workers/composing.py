"""From a claim to the bytes of a mail, or the words of a text message: templates filled in, the thread kept, headers
and parts composed.

Source: product.md section 3 "Threads", "Templates".
"""

from dataclasses import dataclass

from domain.claims import Claim
from domain.marking import Mark
from domain.opting_out import OptOutLinks
from domain.rules.content import (
    ContentProblem,
    RenderedBody,
    Variables,
    contact_variables,
    finished_body,
    finished_subject,
    render_body,
    render_thread_subject,
)
from domain.rules.mime import HeaderForbidden, OutgoingEmail, compose
from domain.rules.outcomes import NotSendable
from domain.rules.phones import PhoneInvalid, normalise_phone
from domain.rules.text_messages import render_text_message

_REFERENCES_AT_MOST = 20


@dataclass(frozen=True, slots=True)
class Letter:
    """A composed mail and what the second mark keeps of it."""

    mark: Mark
    mime: bytes


def composed(claim: Claim, links: OptOutLinks | None = None) -> Letter | NotSendable:
    """Return the mail of a claim, or why it cannot be made. Pure: the same claim gives the same bytes.

    Without `links` it has no way to opt out, as nothing that is sent may be.
    """
    contact = claim.contact
    if not contact["email"]:
        return NotSendable("EMAIL_MISSING")
    if claim.address_bounced:
        return NotSendable("EMAIL_BOUNCED_BEFORE", contact["email"])
    url = None
    if links is not None:
        person = (claim.workspace_id, claim.recipient_id, claim.message_id)
        url = links.url(*person, contact["email"], contact["fields"])
    variables = _variables(claim, url)
    parents = [sent["id"] for sent in claim.thread if sent["id"]]
    try:
        subject, body = _words(claim, variables)
        mime = compose(
            OutgoingEmail(
                message_id=claim.rfc_message_id,
                sent_at=claim.now,
                from_name=claim.account.display_name or "",
                from_address=claim.account.address,
                to_name=str(variables.get("full_name", "")),
                to_address=contact["email"],
                subject=subject,
                text=body.text,
                html=body.html,
                in_reply_to=parents[-1] if parents else None,
                references=tuple(parents[-_REFERENCES_AT_MOST:]),
                extra_headers=_opt_out_headers(url),
            )
        )
    except ContentProblem as problem:
        return NotSendable(problem.code, problem.detail)
    except HeaderForbidden as problem:
        if problem.name == "To" and "address" in problem.reason:
            return NotSendable("EMAIL_INVALID", contact["email"])
        return NotSendable("TEMPLATE_INVALID", str(problem))
    mark = Mark(
        claim=claim,
        to_address=contact["email"],
        subject=subject,
        text=body.text,
        html=body.html,
        in_reply_to=parents[-1] if parents else None,
        references=parents[-_REFERENCES_AT_MOST:],
    )
    return Letter(mark, mime)


def texted(claim: Claim) -> Mark | NotSendable:
    """Return the text message of a claim, or why it cannot be made. Whoever wants no more of them answers STOP."""
    number = claim.contact["phone"]
    if not number:
        return NotSendable("PHONE_MISSING")
    try:
        reachable = normalise_phone(number)
    except PhoneInvalid as problem:
        return NotSendable("PHONE_INVALID", problem.reason)
    if reachable != number:
        return NotSendable("PHONE_INVALID", number)
    if claim.number_dead:
        return NotSendable("PHONE_INVALID", f"the provider said that {number} cannot be reached by text message")
    try:
        text = render_text_message(claim.body or "", _variables(claim, None))
    except ContentProblem as problem:
        return NotSendable(problem.code, problem.detail)
    return Mark(claim=claim, to_address=number, text=text)


def _variables(claim: Claim, unsubscribe_url: str | None) -> Variables:
    contact = claim.contact
    return contact_variables(
        **{name: contact[name] for name in ("first_name", "last_name", "email", "phone", "company", "time_zone")},
        fields=contact["fields"],
        sender_name=claim.account.display_name,
        sender_address=claim.account.address,
        unsubscribe_url=unsubscribe_url,
    )


def _opt_out_headers(url: str | None) -> tuple[tuple[str, str], ...]:
    """Return the pair of RFC 8058. No mailto: beside it: nothing would read what is sent there."""
    if url is None:
        return ()
    return ("List-Unsubscribe", f"<{url}>"), ("List-Unsubscribe-Post", "List-Unsubscribe=One-Click")


def _words(claim: Claim, variables: Variables) -> tuple[str, RenderedBody]:
    """Return subject and body: filled in, or as a person has read and released them."""
    if claim.released:
        return finished_subject(claim.subject or ""), finished_body(claim.body or "")
    thread_subject = claim.thread[0]["subject"] or "" if claim.thread else None
    subject = render_thread_subject(
        claim.subject, variables, is_reply=claim.send_as_reply, thread_subject=thread_subject
    )
    return subject, render_body(claim.body or "", variables)
