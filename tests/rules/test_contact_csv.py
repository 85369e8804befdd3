import csv
import io
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.rules.contact_csv import BadRow, ContactRow, CsvUnusable, read_contacts
from domain.rules.csv_records import read_records


def rows(text: str | bytes, encoding: str = "utf-8") -> list[ContactRow | BadRow]:
    return list(read_contacts(io.BytesIO(text.encode(encoding) if isinstance(text, str) else text)))


def only(text: str | bytes, encoding: str = "utf-8") -> ContactRow | BadRow:
    (row,) = rows(text, encoding)
    return row


def bad(text: str) -> BadRow:
    (row,) = [row for row in rows(text) if isinstance(row, BadRow)]
    return row


def test_a_row_becomes_a_contact_and_unknown_columns_custom_fields() -> None:
    text = (
        "email,first_name,last_name,company,phone,time_zone,external_id,Favourite colour\n"
        "Ann@Example.com, Ann ,Lee,ACME,+33 1 23,Europe/Paris,a-1,blue\n"
    )
    assert only(text) == ContactRow(
        2, "Ann@example.com", "Ann", "Lee", "ACME", "+33 1 23", "Europe/Paris", "a-1", {"Favourite colour": "blue"}
    )


@pytest.mark.parametrize("header", ["email", "E-Mail", "EMAIL", " Mail ", "Email Address", "e_mail", '"E-Mail"'])
def test_the_address_column_goes_by_many_names(header: str) -> None:
    assert only(f"{header},First Name,Nachname\nann@example.com,Ann,Lee") == ContactRow(
        2, "ann@example.com", "Ann", "Lee"
    )


@pytest.mark.parametrize("delimiter", [",", ";", "\t"])
@pytest.mark.parametrize("line_end", ["\n", "\r\n", "\r"])
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-be-bom", "latin-1", "cp1252"])
def test_delimiters_line_ends_and_encodings_are_recognised(delimiter: str, line_end: str, encoding: str) -> None:
    table = [["email", "first_name", "Größe"], ["ann@example.com", "Zoë", "1,5 m; groß"], ["bo@example.com", "Bø", ""]]
    text = line_end.join(delimiter.join(f'"{cell}"' if cell else "" for cell in row) for row in table) + line_end
    content = b"\xfe\xff" + text.encode("utf-16-be") if encoding == "utf-16-be-bom" else text.encode(encoding)
    assert rows(content) == [
        ContactRow(2, "ann@example.com", "Zoë", fields={"Größe": "1,5 m; groß"}),
        ContactRow(3, "bo@example.com", "Bø"),
    ]


def test_a_spreadsheets_own_separator_line_is_believed() -> None:
    assert only("sep=;\nemail;name,full\nann@example.com;Ann") == ContactRow(
        3, "ann@example.com", fields={"name,full": "Ann"}
    )


def test_a_quoted_line_break_stays_in_its_cell_and_lines_are_counted_as_in_the_file() -> None:
    text = 'email,note\nann@example.com,"one\r\ntwo ""quoted"", three\n"\nbo@example.com,x\nbroken,"y\nz"\n'
    assert rows(text) == [
        ContactRow(2, "ann@example.com", fields={"note": 'one\ntwo "quoted", three'}),
        ContactRow(5, "bo@example.com", fields={"note": "x"}),
        BadRow(6, bad(text).reason, ("broken", "y\nz")),
    ]


def test_a_quotation_mark_inside_a_cell_is_text() -> None:
    assert only('email,size\nann@example.com,5" pipe') == ContactRow(2, "ann@example.com", fields={"size": '5" pipe'})


def test_a_quotation_mark_that_never_closes_costs_one_row_and_not_the_rest() -> None:
    text = 'email,note\nann@example.com,"open\n' + "".join(f"p{n}@example.com,x\n" for n in range(300))
    found = rows(text)
    assert isinstance(found[0], BadRow)
    assert found[0].line == 2
    assert "never closed" in found[0].reason
    assert found[1:] == [ContactRow(n + 3, f"p{n}@example.com", fields={"note": "x"}) for n in range(300)]


def test_empty_rows_are_skipped_and_counted() -> None:
    reader = read_contacts(io.BytesIO(b"email,first_name\n\n,\n  ;\nann@example.com,Ann\n\n"))
    assert [row.line for row in reader] == [4, 5]
    assert reader.empty_rows == 3


def test_a_short_row_leaves_the_rest_empty_and_a_long_one_is_reported() -> None:
    assert only("email,first_name,role\nann@example.com") == ContactRow(2, "ann@example.com")
    assert only("email,first_name\nann@example.com,Ann,,") == ContactRow(2, "ann@example.com", "Ann")
    row = bad("email,first_name\nann@example.com,Ann,Lee")
    assert "3 cells" in row.reason
    assert row.cells == ("ann@example.com", "Ann", "Lee")


@pytest.mark.parametrize(
    ("cells", "why"),
    [
        ("ann.example.com,", "no @-sign"),
        ("ann@example.com; bo@example.com,", "email address"),
        ("ann@example.com,Europe/Pari", "Europe/Paris"),
        (",Europe/Paris", "neither"),
        ("ann@exam\x00ple.com,", "NUL"),
    ],
)
def test_a_row_that_is_no_contact_is_reported_with_its_reason(cells: str, why: str) -> None:
    row = bad(f"email,time zone\nbo@example.com,\n{cells}\n")
    assert row.line == 3
    assert why in row.reason
    assert row.cells == tuple(cells.split(","))


def test_a_second_row_for_one_person_names_the_line_of_the_first() -> None:
    text = "email,external_id\nann@example.com,1\nANN@example.com,2\nbo@example.com,1\n,3\n,3\nann@example.org,2\n"
    found = rows(text)
    assert [(row.line, isinstance(row, BadRow)) for row in found] == [
        (2, False), (3, True), (4, True), (5, False), (6, True), (7, False)
    ]  # fmt: skip
    assert [row.reason for row in found if isinstance(row, BadRow)] == [
        "The same address is on line 2 already.",
        "The same external id is on line 2 already.",
        "The same external id is on line 5 already.",
    ]


def test_columns_without_a_name_or_with_the_same_name_lose_nothing() -> None:
    assert only("email,,x,x,\nann@example.com,a,b,c,d") == ContactRow(
        2, "ann@example.com", fields={"column 2": "a", "x": "b", "x (2)": "c", "column 5": "d"}
    )


@pytest.mark.parametrize(
    ("content", "why"),
    [
        (b"", "empty"),
        (b"\n\n  \n", "empty"),
        (b"\xef\xbb\xbf", "empty"),
        (b"name,city\nAnn,Paris", "email or external_id"),
        (
            b"Email,name,E-Mail\nann@example.com,Ann,ann@home.example",
            "Two columns name the address: 'Email' and 'E-Mail'",
        ),
        (b"ann@example.com,Ann\n", "names the columns"),
        (b"PK\x03\x04workbook", "workbook"),
        (b"e\x00m\x00a\x00i\x00l\x00", "text file"),
        (b'"email,first_name\nann@example.com,Ann', "never closed"),
        (b"email" + b",x" * 600, "columns"),
    ],
)
def test_a_file_that_holds_no_contacts_is_refused_at_once_with_a_way_out(content: bytes, why: str) -> None:
    with pytest.raises(CsvUnusable, match=why):
        read_contacts(io.BytesIO(content))


def test_a_cell_that_is_too_large_is_one_bad_row() -> None:
    for large in ("x" * 100_001, '"' + "x" * 140_000 + '"', "x" * 3_000_000):
        first, second = rows(f"email,note\nann@example.com,{large}\nbo@example.com,y\n")
        assert isinstance(first, BadRow)
        assert "longer than" in first.reason
        assert second == ContactRow(3, "bo@example.com", fields={"note": "y"})


def test_the_limit_of_the_csv_module_is_left_alone() -> None:
    before = csv.field_size_limit()
    test_a_cell_that_is_too_large_is_one_bad_row()
    assert csv.field_size_limit() == before


def test_a_file_is_read_as_it_is_asked_for() -> None:
    class Endless(io.RawIOBase):
        def __init__(self) -> None:
            self.numbers: Iterator[int] = iter(range(10**9))
            self.taken = 0

        def read(self, size: int = -1) -> bytes:
            self.taken += 1
            header = b"email\n" if self.taken == 1 else b""
            return header + b"".join(f"p{next(self.numbers)}@example.com\n".encode() for _ in range(1_000))

    stream = Endless()
    reader = read_contacts(stream)  # type: ignore[arg-type]
    first = [next(reader) for _ in range(2_500)]
    assert [row.line for row in first] == list(range(2, 2_502))
    assert stream.taken <= 4


plain_cells = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\x00\r"), max_size=20)


@given(st.lists(st.lists(plain_cells, min_size=3, max_size=3), max_size=8), st.sampled_from([",", ";", "\t"]))
def test_what_a_spreadsheet_writes_is_what_is_read(table: list[list[str]], delimiter: str) -> None:
    written = io.StringIO()
    out = csv.writer(written, delimiter=delimiter, quoting=csv.QUOTE_ALL)
    out.writerows([["email", "a", "b"], *table])
    records = list(read_records(io.BytesIO(written.getvalue().encode())))
    assert [record.cells for record in records[1:]] == table
    assert all(record.problem is None for record in records)


@given(st.binary(max_size=300))
def test_any_bytes_give_rows_or_one_refusal(noise: bytes) -> None:
    for content in (noise, b"email,x\n" + noise):
        try:
            found = rows(content)
        except CsvUnusable as refusal:
            assert str(refusal)  # noqa: PT017 - a file that can be read is as good
            continue
        numbers = [row.line for row in found]
        assert numbers == sorted(set(numbers))
