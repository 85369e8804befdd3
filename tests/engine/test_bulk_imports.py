"""Importing a file as an operation: row by row in batches, tried dry, cancelled, gone on with, each row once."""

import io
from uuid import UUID

import pytest

from domain import bulk, bulk_imports, contacts, import_files, suppressing
from domain.contacts import ContactFields
from domain.database import fetch
from domain.enrolment import Into
from domain.erasing import erase
from domain.reading import bulk as reading
from domain.reading.bulk import ImportCounts
from domain.refusals import Invalid, NotFound
from domain.rules.actor import Actor
from domain.rules.bulk import BulkStatus
from domain.rules.contact_csv import Column, Meaning
from domain.rules.ids import new_id
from domain.secrets import Vault
from domain.suppressing import Wanted
from tests.engine.test_bulk import LATER, refusals, shown
from tests.world import make_world, statuses


async def uploaded(workspace_id: UUID, actor: Actor, text: str | bytes) -> UUID:
    content = text.encode() if isinstance(text, str) else text
    stream = io.BytesIO(content)
    return await import_files.keep(workspace_id, actor, "people.csv", stream, import_files.columns_in(stream))


async def carried_out() -> None:
    for _ in range(50):
        if not await bulk.go_on():
            return
    raise AssertionError("it goes on for ever")


async def addresses(workspace_id: UUID) -> list[str]:
    rows = await fetch("SELECT email FROM contacts WHERE workspace_id = $1 ORDER BY email", workspace_id)
    return [row["email"] for row in rows]


FILE = (
    "E-Mail;Vorname;Mobile;Telefon;Motto\n"
    "new@a.test;Zoë;;+33612345678;x\n"
    "\n"
    "p0@people.example;Changed;;;\n"
    "p1@people.example;Person 1;;;\n"
    "NEW@A.test;Twin;;;\n"
    "no-address;Bad;;;\n"
    "gone@a.test;Gone;;;\n"
    "short@a.test;Short;12;;\n"
    "long@a.test;a;b;c;d;e\n"
)


async def test_a_dry_run_says_of_each_row_what_the_import_then_does(
    workspace_id: UUID, actor: Actor, vault: Vault
) -> None:
    world = await make_world(workspace_id, actor, vault, steps=LATER, people=2)
    gone = await contacts.upsert(workspace_id, ContactFields(values={"email": "gone@a.test"}))
    await suppressing.create(workspace_id, actor, Wanted(address="gone@a.test"))
    await erase(workspace_id, actor, gone)
    before = await addresses(workspace_id)
    file_id = await uploaded(workspace_id, actor, b"\xef\xbb\xbf" + FILE.encode())
    into = Into(sequence_id=world.sequence_id)
    tried = await bulk_imports.order(workspace_id, actor, file_id, into=into, dry_run=True)
    await carried_out()
    told = await shown(workspace_id, tried)
    assert await addresses(workspace_id) == before
    assert (told.status, told.matched, told.done) == (BulkStatus.COMPLETED, 8, 8)
    assert (told.changed, told.unchanged, told.refused) == (2, 1, 5)
    assert told.import_counts == ImportCounts(created=1, updated=1, enrolled=1, already_enrolled=2, not_enrolled=0)
    assert await reading.summaries(workspace_id, [told]) == [
        "Would import 2, leave 1 as they are, refuse 5: 3 have a mistake, 1 stands there before, 1 is suppressed."
    ]
    listed = await refusals(workspace_id, tried)
    assert [(one.line, one.code) for one in listed] == [
        (6, "DUPLICATE_IN_BATCH"),
        (7, "INVALID"),
        (8, "SUPPRESSED"),
        (9, "INVALID"),
        (10, "INVALID"),
    ]
    assert "line 2" in listed[0].message

    real = await bulk_imports.order(workspace_id, actor, file_id, into=into)
    await carried_out()
    done = await shown(workspace_id, real)
    assert done.import_counts == told.import_counts
    assert (done.changed, done.unchanged, done.refused) == (told.changed, told.unchanged, told.refused)
    assert [(one.line, one.message) for one in await refusals(workspace_id, real)] == [
        (one.line, one.message) for one in listed
    ]
    assert "new@a.test" in await addresses(workspace_id)
    assert await statuses(workspace_id) == {"SCHEDULED": 3}
    with pytest.raises(NotFound):  # it is kept until it is imported
        await bulk_imports.order(workspace_id, actor, file_id)


async def test_a_cut_batch_is_taken_once_and_cancelling_leaves_the_rest(
    workspace_id: UUID, actor: Actor, vault: Vault
) -> None:
    world = await make_world(workspace_id, actor, vault, steps=LATER, people=1)
    rows = "email\n" + "".join(f"i{number}@a.test\n" for number in range(2_700))
    file_id = await uploaded(workspace_id, actor, rows)
    operation_id = await bulk_imports.order(workspace_id, actor, file_id, into=Into(sequence_id=world.sequence_id))
    assert (await shown(workspace_id, operation_id)).status is BulkStatus.PENDING
    assert await bulk.go_on()
    read = await shown(workspace_id, operation_id)
    assert (read.status, read.matched) == (BulkStatus.RUNNING, 2_700)
    assert await bulk.go_on()
    half = await shown(workspace_id, operation_id)  # a batch or two, as the second lane found the file read or not
    await fetch("CREATE FUNCTION cut() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE EXCEPTION 'cut'; END $$")
    await fetch("CREATE TRIGGER cut BEFORE UPDATE OF done ON bulk_operations FOR EACH ROW EXECUTE FUNCTION cut()")
    assert await bulk.go_on() is False
    await fetch("DROP TRIGGER cut ON bulk_operations")
    assert await shown(workspace_id, operation_id) == half
    assert half.done in (1_000, 1_500)
    assert len(await addresses(workspace_id)) == half.done + 1
    await fetch("WITH u AS (UPDATE bulk_operations SET turned_at = now() RETURNING 1) SELECT 1")
    assert await bulk.go_on()
    await bulk.cancel(workspace_id, operation_id)
    assert await bulk.go_on() is False
    ended = await shown(workspace_id, operation_id)
    assert (ended.status, ended.done, ended.changed) == (BulkStatus.CANCELLED, half.done + 1_000, half.done + 1_000)
    assert await statuses(workspace_id) == {"SCHEDULED": ended.done + 1}
    again = await bulk_imports.order(
        workspace_id, actor, await uploaded(workspace_id, actor, rows), into=Into(sequence_id=world.sequence_id)
    )
    await carried_out()
    rest = await shown(workspace_id, again)
    assert (rest.changed, rest.unchanged, rest.refused) == (2_700 - ended.done, ended.done, 0)
    kept = await fetch("SELECT count(*) AS n FROM import_chunks WHERE workspace_id = $1", workspace_id)
    held = await fetch("SELECT count(file_rows) AS n FROM bulk_batches WHERE operation_id = $1", again)
    assert (kept[0]["n"], held[0]["n"]) == (0, 0)


async def test_columns_are_what_the_caller_says_and_what_leaves_open_who_is_meant_is_refused(
    workspace_id: UUID, actor: Actor
) -> None:
    file_id = await uploaded(workspace_id, actor, "email,Email,Score,Secret,Company\nold@a.test,new@a.test,7,x,Bär\n")
    with pytest.raises(Invalid, match="Two columns name the address"):
        await bulk_imports.order(workspace_id, actor, file_id)
    with pytest.raises(Invalid, match="no column “E-mail”"):
        await bulk_imports.order(workspace_id, actor, file_id, columns=[Column("E-mail", Meaning.EMAIL)])
    gone = [Column("email", Meaning.IGNORED), Column("Email", Meaning.IGNORED)]
    with pytest.raises(Invalid, match="No column is called email"):
        await bulk_imports.order(workspace_id, actor, file_id, columns=gone)
    meant = [
        Column("email", Meaning.CUSTOM_FIELD, "old address"),
        Column("Secret", Meaning.IGNORED),
        Column("Score", Meaning.EXTERNAL_ID),
    ]
    await bulk_imports.order(workspace_id, actor, file_id, columns=meant)
    await carried_out()
    (row,) = await fetch("SELECT * FROM contacts WHERE workspace_id = $1", workspace_id)
    assert (row["email"], row["external_id"], row["company"]) == ("new@a.test", "7", "Bär")
    assert row["custom_fields"] == '{"old address": "old@a.test"}'
    with pytest.raises(NotFound):
        await bulk_imports.order(workspace_id, actor, new_id())
    with pytest.raises(Invalid, match="workbook"):
        await uploaded(workspace_id, actor, b"PK\x03\x04 a workbook")
    empty = await bulk_imports.order(workspace_id, actor, await uploaded(workspace_id, actor, "email\n\n"))
    await carried_out()
    assert (await shown(workspace_id, empty)).status is BulkStatus.COMPLETED


async def test_erasing_a_person_clears_the_refused_rows_about_them_and_old_files_are_forgotten(
    workspace_id: UUID, actor: Actor
) -> None:
    known = await contacts.upsert(workspace_id, ContactFields(values={"email": "ann@a.test", "external_id": "1"}))
    text = "email,external_id,note\nANN@a.test,2,her secret\nbo@a.test,3,x\nbo@a.test,4,his secret\n"
    operation_id = await bulk_imports.order(
        workspace_id, actor, await uploaded(workspace_id, actor, text), dry_run=True
    )
    await carried_out()
    assert [one.code for one in await refusals(workspace_id, operation_id)] == [
        "CONTACT_AMBIGUOUS",
        "DUPLICATE_IN_BATCH",
    ]
    await erase(workspace_id, actor, known)
    rows = await fetch("SELECT cells FROM bulk_refusals WHERE operation_id = $1 ORDER BY line", operation_id)
    assert [row["cells"] for row in rows] == [None, '["bo@a.test", "4", "his secret"]']
    await fetch("WITH u AS (UPDATE import_files SET uploaded_at = now() - interval '25 hours' RETURNING 1) SELECT 1")
    assert await import_files.forget_old() is False
    (row,) = await fetch("SELECT count(*) AS n FROM import_chunks WHERE workspace_id = $1", workspace_id)
    assert row["n"] == 0
