"""The job itself: 500 contacts in a file, three mails to each, a few mailboxes."""

import csv
import io
from dataclasses import dataclass
from pathlib import Path

from tests.witness.installation import Installation

PEOPLE = 500
STEPS = 3
MAILBOXES = 4
SENDER_NAME = "Jörg Müller, Personal"

_FIRST_NAMES = ("Jürgen", "Zoë", "Łukasz", "Anne-Marie", "Øyvind", "Çiğdem", "Ólafur", "Mary", "Иван", "美咲")
_LAST_NAMES = ("Groß", "O'Neill", "Müller-Lüdenscheidt", "Smith", "Ñúñez", "van der Berg", "Šťastný")


@dataclass(frozen=True)
class Person:
    email: str
    first_name: str
    last_name: str
    note: str

    @property
    def name(self) -> str:
        return f"{self.first_name} {self.last_name}"


def people() -> list[Person]:
    return [
        Person(
            email=f"person{number}@people.example",
            first_name=_FIRST_NAMES[number % len(_FIRST_NAMES)],
            last_name=f"{_LAST_NAMES[number % len(_LAST_NAMES)]} {number}",
            # A row in seven has a quoted line break; all have what HTML and quoted-printable have to escape.
            note=f"Größe = {number} < 1000 & „gut“" + ("\nsecond line, with a comma" if number % 7 == 0 else ""),
        )
        for number in range(PEOPLE)
    ]


def write_file(path: Path) -> None:
    """Write the contacts as a spreadsheet program does: a BOM, semicolons, CRLF, German column names."""
    text = io.StringIO(newline="")
    rows = csv.writer(text, delimiter=";")
    rows.writerow(["E-Mail", "Vorname", "Nachname", "note"])
    for person in people():
        rows.writerow([person.email, person.first_name, person.last_name, person.note])
    path.write_bytes(text.getvalue().encode("utf-8-sig"))


def make_mailbox(installation: Installation, number: int, port: int) -> str:
    """Make a mailbox without a gap on a local mail server and return its id."""
    return str(
        installation.ask(
            """
            mutation ($input: MailboxCreateInput!) {
              mailboxCreate(input: $input) { mailbox { id state } errors { code message field } }
            }
            """,
            input={
                "address": f"jobs{number}@sender.example",
                "displayName": SENDER_NAME,
                "smtpHost": "127.0.0.1",
                "smtpPort": port,
                "smtpSecurity": "NONE",
                "dailyLimit": 10_000,
                "minimumGapSeconds": 0,
            },
        )["mailboxCreate"]["mailbox"]["id"]
    )


def make_sequence(installation: Installation, mailbox_ids: list[str]) -> str:
    """Make and activate a sequence of three automated emails in one thread, without waits; return its id."""
    at_once = {"amount": 0, "unit": "MINUTES"}
    body = "Dear {{ first_name }},\n\nstep %d of 3 for {{ email }}.\n\n{{ fields.note }}\n\nSee https://sender.example/jobs?a=1&b=2"
    steps = [
        {"kind": "AUTOMATED_EMAIL", "wait": at_once, "subject": "A post for {{ full_name }}", "body": body % 1},
        {"kind": "AUTOMATED_EMAIL", "wait": at_once, "body": body % 2, "sendAsReply": True},
        {"kind": "AUTOMATED_EMAIL", "wait": at_once, "body": body % 3, "sendAsReply": True},
    ]
    sequence_id: str = installation.ask(
        """
        mutation ($input: SequenceCreateInput!) {
          sequenceCreate(input: $input) { sequence { id } errors { code message field } }
        }
        """,
        input={"name": "Engineers", "mailboxIds": mailbox_ids, "steps": steps},
    )["sequenceCreate"]["sequence"]["id"]
    installation.ask(
        "mutation ($id: ID!) { sequenceActivate(input: {id: $id}) { sequence { status } errors { code message } } }",
        id=sequence_id,
    )
    return sequence_id


def events_cursor(installation: Installation) -> str:
    """Return where the feed stands: what comes after it is missed by nobody who starts here."""
    return str(installation.ask("{ recipients(first: 1) { eventsCursor } }")["recipients"]["eventsCursor"])


def status_counts(installation: Installation, sequence_id: str) -> dict[str, int]:
    """Return how many recipients have each status, those with none too, as the sequence says."""
    answer = installation.ask(
        "query ($id: ID!) { node(id: $id) { ... on Sequence { statusCounts { status count } } } }", id=sequence_id
    )
    return {row["status"]: row["count"] for row in answer["node"]["statusCounts"]}
