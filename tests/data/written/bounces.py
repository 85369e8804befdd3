"""Delivery reports in the forms of many mail systems, each with what a careful reader would say of the address."""

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

WHO = "peter@people.example"
_TAIL = (
    "From: jobs@sender.example\nTo: peter@people.example\nSubject: Hello\nMessage-ID: <x@sender.example>\n\nHi Peter\n"
)


class Bounce(NamedTuple):
    name: str
    hard: bool
    raw: bytes


def _plain(sender: str, subject: str, body: str, headers: str = "") -> bytes:
    return (
        f"Return-Path: <>\nFrom: {sender}\nTo: jobs@sender.example\nSubject: {subject}\n{headers}"
        f"Message-ID: <b@mx.example>\nMIME-Version: 1.0\nContent-Type: text/plain; charset=utf-8\n\n{body}"
    ).encode()


def _report(
    sender: str, subject: str, text: str, status: str, diagnostic: str, *, action: str = "failed", more: str = ""
) -> bytes:
    said = f"Diagnostic-Code: {diagnostic}\n" if diagnostic else ""
    return (
        f"Return-Path: <>\nFrom: {sender}\nTo: jobs@sender.example\nSubject: {subject}\n"
        "Message-ID: <b@mx.example>\nMIME-Version: 1.0\n"
        'Content-Type: multipart/report; report-type=delivery-status; boundary="B"\n\n'
        f"--B\nContent-Type: text/plain; charset=utf-8\n\n{text}\n"
        "--B\nContent-Type: message/delivery-status\n\nReporting-MTA: dns; mx.example\n\n"
        f"Final-Recipient: rfc822; {WHO}\nAction: {action}\nStatus: {status}\n{said}{more}\n"
        f"--B\nContent-Type: message/rfc822\n\n{_TAIL}\n--B--\n"
    ).encode()


def _postfix(said: str, status: str) -> bytes:
    line = f"host mx.people.example[192.0.2.1] said: {said} (in reply to RCPT TO command)"
    return _report(
        "MAILER-DAEMON@mx.example (Mail Delivery System)",
        "Undelivered Mail Returned to Sender",
        f"This is the mail system at host mx.example.\n\n<{WHO}>: {line}",
        status,
        f"smtp; {said}",
    )


def _postfix_local(said: str, status: str) -> bytes:
    return _report(
        "MAILER-DAEMON@mx.example (Mail Delivery System)",
        "Undelivered Mail Returned to Sender",
        f"<{WHO}>: {said}",
        status,
        f"X-Postfix; {said}",
    )


def _sendmail(said: str, status: str, last: str) -> bytes:
    return _report(
        "Mail Delivery Subsystem <MAILER-DAEMON@mx.example>",
        "Returned mail: see transcript for details",
        "The original message was received at Thu, 1 Oct 2026 10:00:00 GMT\n\n"
        f"   ----- The following addresses had permanent fatal errors -----\n<{WHO}>\n    (reason: {said})\n\n"
        f"   ----- Transcript of session follows -----\n... while talking to mx.people.example.:\n"
        f">>> RCPT To:<{WHO}>\n<<< {said}\n{last}\n",
        status,
        f"SMTP; {said}",
    )


def _qmail(said: str) -> bytes:
    return _plain(
        "MAILER-DAEMON@mx.example",
        "failure notice",
        "Hi. This is the qmail-send program at mx.example.\nI'm afraid I wasn't able to deliver your message to the "
        "following addresses.\nThis is a permanent error; I've given up. Sorry it didn't work out.\n\n"
        f"<{WHO}>:\n{said}\n\n--- Below this line is a copy of the message.\n\nReturn-Path: <jobs@sender.example>\n{_TAIL}",
    )


def _exim(said: str) -> bytes:
    return _plain(
        "Mail Delivery System <Mailer-Daemon@mx.example>",
        "Mail delivery failed: returning message to sender",
        "This message was created automatically by mail delivery software.\n\nA message that you sent could not be "
        "delivered to one or more of its\nrecipients. This is a permanent error. The following address(es) failed:\n\n"
        f"  {WHO}\n    {said}\n\n------ This is a copy of the message, including all the headers. ------\n\n{_TAIL}",
        f"X-Failed-Recipients: {WHO}\nAuto-Submitted: auto-replied\n",
    )


def _courier(said: str, status: str) -> bytes:
    return _report(
        '"Courier mail server at mx.example" <@>',
        "NOTICE: mail delivery status.",
        "This is a delivery status notification from mx.example, running the Courier mail server.\n\n"
        f"           UNDELIVERABLE MAIL\n\nYour message to the following recipients cannot be delivered:\n\n<{WHO}>:\n"
        f"    mx.people.example [192.0.2.1]:\n    >>> RCPT TO:<{WHO}>\n    <<< {said}",
        status,
        f"smtp; {said}",
    )


def _exchange2003(code: str, words: str) -> bytes:
    return _plain(
        "System Administrator <postmaster@people.example>",
        "Undeliverable: Hello",
        "Your message\n\n  To:      Peter\n  Subject: Hello\n  Sent:    Thu, 1 Oct 2026 10:00:00 +0000\n\n"
        f"did not reach the following recipient(s):\n\n{WHO} on Thu, 1 Oct 2026 10:00:05 +0000\n    {words}\n"
        f"    <mx.people.example {code}>\n",
        "X-Mailer: Internet Mail Service (5.5.2653.19)\n",
    )


def _exchange(text: str, status: str, diagnostic: str) -> bytes:
    return _report(
        "Microsoft Outlook <postmaster@people.example>",
        "Undeliverable: Hello",
        f"{text}\n\nDiagnostic information for administrators:\n\nGenerating server: EX01.people.example\n\n{WHO}\n"
        f"{diagnostic}\n\nOriginal message headers:\n",
        status,
        f"smtp;{diagnostic}",
    )


def _gmail(text: str, status: str, said: str) -> bytes:
    return _report(
        "Mail Delivery Subsystem <mailer-daemon@googlemail.example>",
        "Delivery Status Notification (Failure)",
        f"\n** {text} **\n\nThe response from the remote server was:\n{said}",
        status,
        f"smtp; {said}" if said else "",
    )


def _gmail_old(said: str) -> bytes:
    return _plain(
        "Mail Delivery Subsystem <mailer-daemon@googlemail.example>",
        "Delivery Status Notification (Failure)",
        f"Delivery to the following recipient failed permanently:\n\n     {WHO}\n\nTechnical details of permanent "
        f"failure:\n{said}\n\n----- Original message -----\n\n{_TAIL}",
        f"X-Failed-Recipients: {WHO}\n",
    )


def _yahoo(said: str) -> bytes:
    return _plain(
        "MAILER-DAEMON@yahoo.example",
        "Failure Notice",
        f"Sorry, we were unable to deliver your message to the following address.\n\n<{WHO}>:\n{said}\n\n"
        f"--- Below this line is a copy of the message.\n\n{_TAIL}",
    )


def _notes(said: str) -> bytes:
    return _plain(
        "Mail Router <postmaster@people.example>",
        "DELIVERY FAILURE: " + said,
        f"Your message\n\n  Subject: Hello\n\nwas not delivered to:\n\n  {WHO}\n\nbecause:\n\n  {said}\n\n",
        "X-Mailer: Lotus Domino Release 8.5\n",
    )


def _groupwise(said: str) -> bytes:
    return _plain(
        "Mail Delivery <postmaster@people.example>",
        "Message status - undeliverable",
        f"The message that you sent was undeliverable to the following:\n\tpeter ({said})\n\nPossibly truncated original "
        f"message follows:\n\n{_TAIL}",
    )


def _imail(said: str) -> bytes:
    return _plain(
        "Postmaster <postmaster@people.example>",
        "Undeliverable Mail",
        f"{said}\n\nOriginal message follows.\n\n{_TAIL}",
        "X-Mailer: <SMTP32 v8.22>\n",
    )


def _mailenable(said: str) -> bytes:
    return _plain(
        "Postmaster <postmaster@people.example>",
        "Message Delivery Failure",
        "MailEnable: Message Delivery Failure.\n\nThe following recipients were not delivered:\n\n"
        f"[SMTP:{WHO}]\n\nReason: {said}\n\nMessage headers follow:\n\n{_TAIL}",
    )


def _james(said: str) -> bytes:
    return _plain(
        "postmaster@people.example",
        "[BOUNCE] Hello",
        "Hi. This is the James mail server at people.example.\nI'm afraid I wasn't able to deliver your message to the "
        "following addresses.\nThis is a permanent error; I've given up. Sorry it didn't work out. Below\nI include the "
        f"list of recipients and the reason why I was unable to deliver\nyour message.\n\nFailed recipient(s):\n{WHO}\n\n"
        f"Error message:\n{said}\n",
    )


def _opensmtpd(said: str) -> bytes:
    return _plain(
        "Mailer Daemon <MAILER-DAEMON@mx.example>",
        "Delivery status notification: error",
        "    Hi!\n\n    This is the MAILER-DAEMON, please DO NOT REPLY to this email.\n\n    An error has occurred while "
        "attempting to deliver a message for\n    the following list of recipients:\n\n"
        f"{WHO}: {said}\n\n    Below is a copy of the original message:\n\n{_TAIL}",
    )


def _dragonfly(said: str) -> bytes:
    return _plain(
        "MAILER-DAEMON <>",
        "Mail delivery failed",
        "This is the DragonFly Mail Agent v0.13 at mx.example.\n\nThere was an error delivering your mail to "
        f"<{WHO}>.\n\n{said}\n\nMessage headers follow.\n\n{_TAIL}",
    )


def _communigate(said: str, status: str) -> bytes:
    return _report(
        "MAILER-DAEMON@people.example",
        "Undeliverable mail: Hello",
        f"Failed to deliver to '{WHO}'\n{said}",
        status,
        f"smtp;{said}",
    )


def _ses(kind: str, status: str) -> bytes:
    return _report(
        "MAILER-DAEMON@eu-west-1.amazonses.example",
        "Delivery Status Notification (Failure)",
        f"An error occurred while trying to deliver the mail to the following recipients:\n{WHO}",
        status,
        f"smtp; {kind}",
    )


def _gateway(sender: str, subject: str, opening: str, said: str) -> bytes:
    return _plain(sender, subject, f"{opening}\n\n{WHO}\n\n{said}\n\n{_TAIL}")


_FORMS: dict[str, Callable[..., bytes]] = {
    "report": _report,
    "postfix": _postfix,
    "postfix_local": _postfix_local,
    "sendmail": _sendmail,
    "qmail": _qmail,
    "exim": _exim,
    "courier": _courier,
    "exchange2003": _exchange2003,
    "exchange": _exchange,
    "gmail": _gmail,
    "gmail_old": _gmail_old,
    "yahoo": _yahoo,
    "notes": _notes,
    "groupwise": _groupwise,
    "imail": _imail,
    "mailenable": _mailenable,
    "james": _james,
    "opensmtpd": _opensmtpd,
    "dragonfly": _dragonfly,
    "communigate": _communigate,
    "ses": _ses,
    "gateway": _gateway,
}


def _bounces() -> Iterator[Bounce]:
    for line in (Path(__file__).parent / "bounces.jsonl").read_text().splitlines():
        one = json.loads(line)
        yield Bounce(one["name"], one["hard"], _FORMS[one["form"]](*one["words"]))


BOUNCES = list(_bounces())
