"""What the demo data consists of: fictional people, and sequences that show every status. Nothing here is real."""

from dataclasses import dataclass
from typing import Final

from domain.contacts import ContactFields
from domain.rules.plan import StepKind
from domain.rules.timing import Wait, WaitUnit
from domain.steps import NewStep

# fmt: off
_FIRST: Final = (
    "Mara", "Jonas", "Aylin", "Tomasz", "Ines", "Kofi", "Linnea", "Ravi", "Celia", "Bruno",
    "Noor", "Elias", "Yuki", "Sanne", "Milo", "Amara", "Luca", "Freya", "Diego", "Hana",
)
_LAST: Final = (
    "Keller", "Osei", "Lindqvist", "Baran", "Moreau", "Silva", "Novak", "Haddad", "Brandt", "Iyer",
    "Vermeer", "Rossi", "Tanaka", "Aalto", "Dvorak", "Mensah", "Petit", "Wolff", "Castillo", "Okafor",
)
# fmt: on
_COMPANIES: Final = ("Larkspur", "Tidewater", "Hollowbrook", "Copperfern", "Saltmarsh", "Quillwork", "Ferndale")
_ZONES: Final = ("Europe/Berlin", "Europe/Paris", "America/New_York", "Asia/Tokyo", "Africa/Accra", None)

HIRING, INVITATION, CALLS, OUTREACH = "demo-hiring", "demo-invitation", "demo-calls", "demo-outreach"
BY_HAND: Final = "demo-by-hand"
STEADY_MAILBOX: Final = "nora@talent.example.com"
MOVING_MAILBOX: Final = "sam@creators.example.com"


def person(number: int, *, answers: str = "") -> ContactFields:
    """Return a person of this number, always the same. `answers` begins the address, for the catcher's behaviours."""
    first = _FIRST[number % len(_FIRST)]
    last = _LAST[(number * 7 + number // len(_FIRST)) % len(_LAST)]
    company = _COMPANIES[number % len(_COMPANIES)]
    again = f"{number // (len(_FIRST) * len(_LAST)) or ''}"
    values: dict[str, str | None] = {
        "external_id": f"demo-person-{answers}{number}",
        "email": f"{answers}{first}.{last}{again}@{company}.test".lower(),
        "first_name": first,
        "last_name": last,
        "company": company,
        "time_zone": _ZONES[number % len(_ZONES)],
    }
    return ContactFields(values=values, custom={"source": "demo"})


@dataclass(frozen=True, slots=True)
class DemoSequence:
    external_id: str
    name: str
    mailbox: str
    steps: tuple[NewStep, ...]


def _email(amount: int, unit: WaitUnit, subject: str | None, body: str) -> NewStep:
    return NewStep(
        kind=StepKind.AUTOMATED_EMAIL,
        wait=Wait(amount, unit),
        subject=subject,
        body=body,
        send_as_reply=subject is None,
    )


def _call(amount: int, unit: WaitUnit, title: str, notes: str) -> NewStep:
    return NewStep(kind=StepKind.TASK, wait=Wait(amount, unit), task_kind="CALL", task_title=title, task_notes=notes)


SEQUENCES: Final = (
    DemoSequence(
        HIRING,
        "Backend engineers, autumn",
        STEADY_MAILBOX,
        (
            _email(
                0,
                WaitUnit.MINUTES,
                "A backend role close to what you do at {{ company }}",
                "<p>Hello {{ first_name }},</p><p>we are looking for a backend engineer who cares for systems that "
                "keep their promises. Would a short call suit you next week?</p><p>{{ sender.name }}</p>",
            ),
            _email(
                30,
                WaitUnit.DAYS,
                None,
                "<p>Hello {{ first_name }},</p><p>the role is still open, and I still think of you.</p>"
                "<p>{{ sender.name }}</p>",
            ),
            _call(3, WaitUnit.BUSINESS_DAYS, "Call once more", "Ask what would have to be different."),
        ),
    ),
    DemoSequence(
        INVITATION,
        "Invitation to the open evening",
        STEADY_MAILBOX,
        (
            _email(
                0,
                WaitUnit.MINUTES,
                "An evening about databases",
                "<p>Hello {{ first_name }},</p><p>on the last Thursday of the month our doors are open. "
                "Bring a colleague from {{ company }}.</p><p>{{ sender.name }}</p>",
            ),
        ),
    ),
    DemoSequence(
        CALLS,
        "Creators: call before writing",
        STEADY_MAILBOX,
        (
            _call(0, WaitUnit.MINUTES, "Call before the first mail", "Find out who decides about cooperations."),
            _email(
                2,
                WaitUnit.DAYS,
                "What we talked about",
                "<p>Hello {{ first_name }},</p><p>thank you for the talk. Here is what we agreed on.</p>"
                "<p>{{ sender.name }}</p>",
            ),
        ),
    ),
    DemoSequence(
        BY_HAND,
        "Lead architects, one by one",
        STEADY_MAILBOX,
        (
            NewStep(
                kind=StepKind.MANUAL_EMAIL,
                wait=Wait(0, WaitUnit.MINUTES),
                subject="{{ first_name }}, a question about {{ company }}",
                body="<p>Dear {{ first_name }},</p><p>before I send you a description that you did not ask for: what "
                "would your next team have to be like?</p><p>{{ sender.name }}</p>",
            ),
            _call(5, WaitUnit.BUSINESS_DAYS, "Call {{ first_name }}", "Only if the email was not answered."),
        ),
    ),
    DemoSequence(
        OUTREACH,
        "Creator outreach, spring campaign",
        MOVING_MAILBOX,
        (
            _email(
                0,
                WaitUnit.MINUTES,
                "{{ first_name }}, an idea for spring",
                "<p>Hello {{ first_name }},</p><p>your last videos made us think of a campaign with {{ company }}. "
                "May I send you the outline?</p><p>{{ sender.name }}</p>",
            ),
            _email(
                1,
                WaitUnit.MINUTES,
                None,
                "<p>Hello {{ first_name }},</p><p>the outline is one page. It fits with a cup of coffee.</p>"
                "<p>{{ sender.name }}</p>",
            ),
            _email(
                3,
                WaitUnit.MINUTES,
                None,
                "<p>Hello {{ first_name }},</p><p>this is my last note. Reply at any time, and we go on from there.</p>"
                "<p>{{ sender.name }}</p>",
            ),
        ),
    ),
)
