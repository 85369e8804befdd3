"""Mails that come back, as other people's programs write them."""

from email.message import EmailMessage
from email.policy import SMTP
from uuid import uuid4


def letter(
    text: str,
    *,
    sender: str = "p0@people.example",
    to: str = "jobs@sender.example",
    subject: str = "Re: Hello",
    in_reply_to: str | None = None,
    references: str | None = None,
    **headers: str,
) -> bytes:
    """A mail in plain text; further headers with `_` for `-`."""
    mail = EmailMessage(policy=SMTP.clone(max_line_length=998))
    mail["From"] = sender
    mail["To"] = to
    mail["Subject"] = subject
    mail["Message-ID"] = f"<{uuid4()}@elsewhere.example>"
    if in_reply_to:
        mail["In-Reply-To"] = in_reply_to
    if references:
        mail["References"] = references
    for name, value in headers.items():
        mail[name.replace("_", "-")] = value
    mail.set_content(text)
    return mail.as_bytes()


def delivery_report(
    message_id: str,
    *,
    to: str = "p0@people.example",
    action: str = "failed",
    status: str = "5.1.1",
    diagnostic: str = "550 5.1.1 User unknown",
) -> bytes:
    """A report as Postfix writes it (RFC 3464), with the headers of the returned mail."""
    return f"""Return-Path: <>
From: MAILER-DAEMON@mx.sender.example (Mail Delivery System)
To: jobs@sender.example
Subject: Undelivered Mail Returned to Sender
Auto-Submitted: auto-replied
Message-ID: <{uuid4()}@mx.sender.example>
MIME-Version: 1.0
Content-Type: multipart/report; report-type=delivery-status; boundary="b1"

--b1
Content-Type: text/plain

I'm sorry to have to inform you that your message could not be delivered.

<{to}>: host mx.people.example said: {diagnostic} (in reply to RCPT TO command)

--b1
Content-Type: message/delivery-status

Reporting-MTA: dns; mx.sender.example

Final-Recipient: rfc822; {to}
Action: {action}
Status: {status}
Diagnostic-Code: smtp; {diagnostic}

--b1
Content-Type: text/rfc822-headers

From: jobs@sender.example
To: {to}
Subject: Hello
Message-ID: {message_id}

--b1--
""".replace("\n", "\r\n").encode()


def complaint(message_id: str, *, kind: str = "abuse") -> bytes:
    """A feedback report (RFC 5965) whose complainant is hidden, as most are."""
    return f"""From: fbl@provider.example
To: jobs@sender.example
Subject: FW: Hello
Message-ID: <{uuid4()}@provider.example>
MIME-Version: 1.0
Content-Type: multipart/report; report-type=feedback-report; boundary="b2"

--b2
Content-Type: text/plain

This is an email abuse report.

--b2
Content-Type: message/feedback-report

Feedback-Type: {kind}
User-Agent: Provider/1.0
Version: 1

--b2
Content-Type: message/rfc822

From: jobs@sender.example
To: redacted@provider.example
Subject: Hello
Message-ID: {message_id}

Dear Person

--b2--
""".replace("\n", "\r\n").encode()
