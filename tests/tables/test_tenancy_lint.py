"""Each tenant's table of each SQL statement is held to a workspace; where the engine means all, a list says why."""

import ast
import importlib
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest

from domain.reading import recipient_rows, recipients
from domain.reading.lists import Listing
from tests.tables.tenancy_reading import not_held, touches

ROOT = Path(__file__).parents[2]
LISTED = "a list's source: reading/lists.py adds what always holds to each of its statements; a test below reads both"
FIGURES = "counts for those who operate all of it, not for a caller"

# Module, a piece of the text; the aliases that stand for every workspace, and why they may.
FREE: dict[tuple[str, str], tuple[set[str], str]] = {
    ("domain.delivery", "WITH freed AS (SELECT * FROM unnest"): (
        {"y", "e"},
        "of the mailboxes of the workspace's messages",
    ),
    ("domain.trial_mails", "SELECT m.id, e.id AS test_email_id"): (
        {"m", "e"},
        "looks for a test mail whose mailbox has its turn, anywhere",
    ),
    ("domain.trial_mails", "WITH place AS"): (
        {"m", "e", "d", "k"},
        "marks a test mail by its id, and takes its mailbox's turn",
    ),
    ("domain.trial_mails", "WITH lost AS"): (
        {"test_emails"},
        "gives up what was lost and forgets what is old, in every workspace",
    ),
    ("domain.error_groups", "WHERE ended_at IS NULL ORDER BY asked_at"): (
        {"error_group_retries"},
        "looks for the retries that are going on, anywhere",
    ),
    ("domain.bulk", "SELECT DISTINCT ON (workspace_id) workspace_id, id, turned_at"): (
        {"bulk_operations"},
        "looks for the operations that are going on, anywhere",
    ),
    ("domain.bulk", "WHERE ended_at < now()"): ({"bulk_operations"}, "forgets what is old, anywhere"),
    ("domain.admission", "SELECT r.id, r.contact_id, r.end_reason"): (
        {"r"},
        "looks by the contact alone, and is held to the workspace around that",
    ),
    ("domain.import_files", "SELECT f.workspace_id, f.id, EXISTS"): ({"f"}, "forgets what is old, anywhere"),
    ("domain.import_files", "DELETE FROM import_chunks x USING unnest"): ({"x"}, "those, each in its workspace"),
    ("domain.import_files", "UPDATE import_files x SET emptied_at"): ({"x"}, "the same"),
    ("domain.import_files", "DELETE FROM import_files x USING unnest"): ({"x"}, "the same"),
    ("domain.reading.bulk", "FROM bulk_operations o"): ({"o"}, LISTED),
    ("domain.reading.bulk", "FROM bulk_refusals f"): ({"f"}, LISTED),
    ("domain.figures", "AS late_seconds"): ({"m", "r", "x"}, FIGURES),
    ("domain.figures", "WHERE due_kind IN ('MANUAL_EMAIL', 'TASK')"): ({"recipients"}, FIGURES),
    ("domain.figures", "SELECT c.state, count(*)"): ({"messages"}, FIGURES),
    ("domain.figures", "AS oldest_seconds"): ({"events"}, FIGURES),
    ("domain.figures", "SELECT channel, state, count(*)"): ({"mailboxes"}, FIGURES),
    ("domain.figures", "FROM webhook_endpoints WHERE removed_at"): (
        {"webhook_endpoints", "webhook_deliveries"},
        FIGURES,
    ),
    ("domain.feed", "WITH fresh AS"): ({"events", "e", "f"}, "numbers what is new, each in its own workspace's feed"),
    ("domain.feed", "UPDATE feeds SET epoch"): ({"feeds"}, "a restored database gives every feed a new epoch"),
    ("domain.guardrails", "SELECT o.workspace_id, o.id FROM"): (
        {"x"},
        "looks for bounces anywhere; each mailbox and sequence is then judged in its own workspace",
    ),
    ("domain.reconciling", "SELECT m.workspace_id, m.id, m.channel"): (
        {"m"},
        "goes through the mailboxes of every workspace; each is then looked at in its own",
    ),
    ("domain.retention", "SELECT f.workspace_id FROM feeds f"): (
        {"f"},
        "looks for feeds with events that are too old; each is then pruned by itself",
    ),
    ("domain.recounting", "count(*) AS count\n    FROM recipients"): (
        {"recipients"},
        "compares the counters of every workspace with all rows",
    ),
    ("domain.recounting", "WITH r AS MATERIALIZED"): ({"recipients", "recipient_steps", "o"}, "the same"),
    ("domain.recounting", "(SELECT * FROM events WHERE seq IS NULL)"): ({"events"}, "the same"),
    ("domain.unsendable", "coalesce(m.state_code, 'MAILBOX_DISCONNECTED')"): (
        {"m", "r", "s"},
        "looks for what is due anywhere; each is then decided in its own workspace",
    ),
    ("domain.pending", "AND t.kind IN ('MANUAL_EMAIL', 'TASK') AND s.status"): (
        {"r"},
        "puts what is due before people, anywhere",
    ),
    ("domain.reading.contacts", "FROM contacts c"): ({"c"}, LISTED),
    ("domain.reading.mailboxes", "FROM mailboxes m"): ({"m"}, LISTED),
    ("domain.reading.messages", "FROM messages x JOIN recipients r"): ({"x"}, LISTED),
    ("domain.reading.pending_actions", "FROM pending_actions p JOIN"): ({"p"}, LISTED),
    ("domain.reading.recipient_rows", "CROSS JOIN (SELECT now()"): (
        {"r"},
        "the source of every list of recipients: reading/recipients.py adds what always holds; a test below reads both",
    ),
    ("domain.reading.sequences", "FROM sequences s"): ({"s"}, LISTED),
    ("domain.reading.sequences", "FROM steps t"): ({"t"}, LISTED),
    ("domain.reading.step_errors", "FROM step_errors e"): ({"e"}, LISTED),
    ("domain.reading.suppressions", "FROM suppressions s"): ({"s", "k"}, LISTED),
    ("domain.deeds", "DELETE FROM idempotency_keys"): (
        {"idempotency_keys", "k"},
        "finds what is too old, in every workspace",
    ),
    ("domain.waiting", "FROM messages x JOIN steps y"): (
        {"x", "y"},
        "a piece of statements: of the workspace of a row",
    ),
    ("domain.marking", "AS u (workspace_id, id) JOIN contacts c"): ({"c"}, "each with the workspace of its claim"),
    ("domain.reading.audit", "FROM audit_entries a"): ({"a"}, LISTED),
    ("domain.reading.users", "FROM users u"): ({"u"}, LISTED),
    ("domain.reading.webhooks", "FROM webhook_endpoints w"): ({"w"}, LISTED),
    ("domain.reading.webhooks", "FROM webhook_deliveries d JOIN"): ({"d", "w"}, LISTED),
    ("domain.webhook_delivery", "WHERE w.enabled AND (f.last_seq"): (
        {"w", "f"},
        "looks for endpoints to tell, anywhere",
    ),
    ("domain.webhook_delivery", "WITH due AS"): ({"w", "h", "d"}, "takes up what is due, anywhere"),
    ("domain.webhook_delivery", "d.id AS delivery_id"): ({"d", "w", "f", "e", "r"}, "reads what was taken by its ids"),
    ("domain.webhook_delivery", "WITH old AS"): ({"d", "w", "a"}, "forgets what is old, anywhere"),
    ("domain.webhook_delivery", "DELETE FROM webhook_endpoints"): ({"w", "d"}, "the same"),
    ("domain.turns", "WITH turn AS"): (
        {"m", "r", "k", "x", "s", "d", "e"},
        "claims for every mailbox whose turn has come; what it takes hangs on the mailbox",
    ),
    ("domain.claims", "x.workspace_id, x.recipient_id, r.version"): ({"x"}, "reads claims by their ids"),
    ("domain.marking", "allowed AS ("): ({"x"}, "marks claims by id and token"),
    ("domain.sending", "WITH freed AS (\n                UPDATE messages x"): (
        {"x", "m"},
        "gives back claims by id and token, and their mailboxes' turns",
    ),
    ("domain.sending", "WITH kept AS"): ({"x"}, "renews leases by id and token"),
    ("domain.sending", "lease_until < now() - interval"): (
        {"messages", "m"},
        "frees what dead workers held, in every workspace, and their mailboxes' turns",
    ),
    ("domain.turns", "SELECT d.marked_at FROM messages d"): (
        {"d", "e"},
        "a piece: what the mailbox of the statement around has handed over",
    ),
    ("domain.turns", "WITH wanted AS"): (
        {"x", "m", "INTO domain_turns"},
        "takes the turns of domains for claims by their ids",
    ),
    ("domain.turns", "DELETE FROM domain_turns"): ({"domain_turns"}, "forgets turns that are over, anywhere"),
    ("domain.turns", "(NOT s.settling OR r.plan_revision"): ({"t"}, "a piece: the step of a recipient held around it"),
    ("domain.turns", "WITH RECURSIVE q (sequence_id) AS (\n        (SELECT r.sequence_id"): (
        {"r", "s"},
        "a piece: the sequences of a mailbox of the statement around",
    ),
    ("domain.turns", "UPDATE mailboxes m SET held_back_by"): (
        {"m", "y", "e", "k"},
        "a piece: the mailboxes named by the messages given back",
    ),
    ("domain.watching", "WITH wanted AS"): ({"m", "w"}, "takes mailboxes that nobody watches, anywhere"),
    ("domain.watching", "WITH kept AS"): ({"w", "m"}, "renews watches by id and token"),
    ("domain.watching", "WITH old AS (SELECT ctid"): ({"watched_mails"}, "forgets old mails of every workspace"),
    ("domain.settling", "FROM recipients r LEFT JOIN steps t"): (
        {"r", "t"},
        "a piece of two statements, which holds the recipients to the workspace itself",
    ),
    ("domain.settling", "FROM sequences WHERE settling ORDER"): (
        {"sequences"},
        "looks for what is left to settle, anywhere",
    ),
    ("domain.public_holidays", "window,public_holidays,through"): (
        {"s"},
        "looks for days that do not reach far enough, anywhere; each is then looked up in its own workspace",
    ),
    ("domain.ending_suppressed", "WHERE settling ORDER BY id"): (
        {"suppressions"},
        "looks for what is left to end, anywhere",
    ),
    ("domain.sandbox", "CROSS JOIN LATERAL"): (
        {"x", "m"},
        "looks for what is to come back, in any test workspace; each is then taken in within its own",
    ),
    ("domain.text_mailboxes", "SELECT workspace_id, sms_token FROM mailboxes"): (
        {"mailboxes"},
        "a provider calls by the number's id; what it told is taken in only with that number's signature",
    ),
    ("domain.unconfirmed_texts", "WHERE x.state = 'UNCONFIRMED' AND x.channel = 'SMS'"): (
        {"x", "m"},
        "looks for text messages in doubt, anywhere; each is then settled in its own workspace",
    ),
    ("domain.unconfirmed", "state = 'HANDING_OVER' AND lease_until < now()"): (
        {"messages"},
        "looks for what dead workers left; each is then decided in its own workspace",
    ),
    ("domain.users", "SELECT * FROM users WHERE $1::uuid IS NULL"): ({"users"}, "the operator's list of all people"),
    ("cli.database_checks", "smtp_password IS NOT NULL ORDER BY id DESC LIMIT 1"): (
        {"mailboxes"},
        "the operator's doctor tries the secret key on any one password, and shows nothing of it",
    ),
}


def _texts(path: Path, module: ModuleType) -> Iterator[tuple[int, str]]:
    """Every string of a module but its docstrings, f-strings with their constants filled in."""
    tree = ast.parse(path.read_text())
    inside = {id(part) for node in ast.walk(tree) if isinstance(node, ast.JoinedStr) for part in node.values}
    inside |= {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}
    for node in ast.walk(tree):
        if isinstance(node, ast.JoinedStr):
            yield node.lineno, "".join(_filled(part, module) for part in node.values)
        elif isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in inside:
            yield node.lineno, node.value


def _filled(part: ast.expr, module: ModuleType) -> str:
    if isinstance(part, ast.Constant):
        return str(part.value)
    if isinstance(part, ast.FormattedValue) and isinstance(part.value, ast.Name):
        return str(getattr(module, part.value.id, "…"))
    return "…"


def _statements() -> Iterator[tuple[str, str, str]]:
    """Each text that names a tenant's table: its module, its place and itself."""
    for package in ("domain", "api", "workers", "cli"):
        for path in sorted((ROOT / package).rglob("*.py")):
            if {"rules", "tables", "embedded"} & set(path.parts) or not touches(path.read_text()):
                continue
            name = ".".join(path.relative_to(ROOT).with_suffix("").parts)
            for line, text in _texts(path, importlib.import_module(name.removesuffix(".__init__"))):
                if touches(text):
                    yield name, f"{path.relative_to(ROOT)}:{line}", text


def test_each_tenants_table_of_each_statement_is_held_to_a_workspace() -> None:
    leaks, used = [], set()
    for module, place, text in _statements():
        if not not_held(text):
            continue
        reason = next((key for key in FREE if key[0] == module and key[1] in text), None)
        aliases = FREE[reason][0] if reason else set()
        if left := not_held(text, frozenset(aliases)):
            leaks.append(f"{place}: {', '.join(left)} in {' '.join(text.split())[:90]}")
        used.add(reason)
    assert not leaks, "\n".join(leaks)
    assert used - {None} == set(FREE), f"reasons for statements that are gone: {set(FREE) - used}"


def test_what_always_holds_for_a_list_holds_its_source_to_the_workspace() -> None:
    sources = {"recipients": (recipient_rows.FROM, recipients._LIVING)}
    for file in sorted((ROOT / "domain" / "reading").glob("*.py")):
        module = importlib.import_module(f"domain.reading.{file.stem}".removesuffix(".__init__"))
        for name, listing in vars(module).items():
            if isinstance(listing, Listing):
                sources[f"{file.stem}.{name}"] = (listing.source, listing.living)
    assert len(sources) >= 8
    for name, (source, living) in sources.items():
        assert not_held(f"SELECT 1 {source} WHERE {' AND '.join(living)}") == [], name


@pytest.mark.parametrize(
    ("leak", "sql"),
    [
        (["contacts contacts"], "SELECT * FROM contacts WHERE id = $2"),
        (["contacts c"], "SELECT 1 FROM contacts c WHERE CASE WHEN c.workspace_id = $1 THEN false ELSE true END"),
        (["contacts contacts"], "SELECT workspace_id FROM contacts WHERE id = $2"),
        (["contacts c"], "SELECT * FROM recipients r JOIN contacts c ON c.email = $2 WHERE r.workspace_id = $1"),
        (
            ["step_errors e"],
            "SELECT * FROM recipients r JOIN step_errors e ON e.id = r.error_id WHERE r.workspace_id = $1",
        ),
        (["contacts contacts"], "SELECT * FROM contacts WHERE id = $2 OR workspace_id = $1"),
        (["contacts c"], "SELECT (SELECT 1 FROM mailboxes m WHERE m.workspace_id = $1) FROM contacts c"),
        (
            ["contacts c"],
            "SELECT 1 FROM contacts c LEFT JOIN recipients r ON r.workspace_id = $1 AND r.contact_id = c.id",
        ),
        (["mailboxes m"], "SELECT 1 FROM contacts c WHERE c.workspace_id = $1 AND EXISTS (SELECT FROM mailboxes m)"),
        (["contacts contacts"], "SELECT 1 FROM steps WHERE workspace_id = $1 UNION ALL SELECT 1 FROM contacts"),
        (["messages x"], "UPDATE messages x SET recipient_id = r.id FROM recipients r WHERE r.workspace_id = $1"),
        (["messages messages"], "DELETE FROM messages WHERE id = $1"),
        (["events INTO events"], "INSERT INTO events (recipient_id, version) VALUES ($1, $2)"),
        (["contacts c"], "WITH u AS (SELECT 1 FROM steps WHERE workspace_id = $1) SELECT 1 FROM contacts c, u"),
        (["mailboxes m"], "SELECT 1 FROM contacts c, mailboxes m WHERE c.workspace_id = $1"),
    ],
)
def test_a_table_that_nothing_holds_is_named_however_often_the_workspace_is_mentioned(
    leak: list[str], sql: str
) -> None:
    assert not_held(sql) == leak


@pytest.mark.parametrize(
    "sql",
    [
        "SELECT * FROM contacts WHERE workspace_id = $1 AND (id = $2 OR email_key = $3)",
        "SELECT * FROM recipients r JOIN contacts c ON c.id = r.contact_id WHERE r.workspace_id = $1 FOR UPDATE OF r",
        "SELECT 1 FROM messages x JOIN recipient_steps o ON o.recipient_id = x.recipient_id WHERE x.workspace_id = $1",
        "SELECT EXISTS (SELECT FROM recipients r WHERE r.contact_id = c.id) FROM contacts c WHERE c.workspace_id = $1",
        "SELECT 1 FROM recipients r LEFT JOIN mailboxes m ON m.id = r.mailbox_id WHERE r.workspace_id = $1",
        "SELECT 1 FROM events e JOIN feeds f USING (workspace_id) WHERE e.workspace_id = $1",
        "SELECT 1 FROM recipients r WHERE r.id = $2 AND CASE WHEN r.workspace_id = $1 THEN true ELSE false END",
        "INSERT INTO contacts (id, workspace_id) VALUES ($2, $1) ON CONFLICT (id) DO UPDATE SET email = excluded.email",
        "UPDATE contacts c SET email = u.email FROM u WHERE c.workspace_id = $1 AND c.id = u.id",
        "JOIN contacts c ON c.workspace_id = r.workspace_id AND c.id = r.contact_id",
    ],
)
def test_what_is_held_is_not_complained_of(sql: str) -> None:
    assert not_held(sql) == []
