"""Reads an SQL statement as far as its tenancy goes: which of its tables are held to a workspace, and which are not.

A table of the statement is held when its own WHERE or ON compares its workspace_id with a parameter (and no OR stands
beside that), when the INSERT names workspace_id, or when it is joined to one that is held: by workspace_id, or by ids
that a composite foreign key holds to one workspace. A piece of a statement may lean on an alias of the rest.
"""

import re
from dataclasses import dataclass, field

from domain.tables.constraints import PARENTS, TENANT_KEYS, TENANTS

TABLES = sorted({table for table, _, _ in TENANT_KEYS} | set(TENANTS))
# What an id of this column is the key of: a column with a composite foreign key, or the parent's own id.
_KEY_OF = {(table, column): parent for table, column, parent in TENANT_KEYS} | {(name, "id"): name for name in PARENTS}

_NO_ALIAS = r"(?:AS|ON|USING|WHERE|SET|JOIN|LEFT|CROSS|INNER|ORDER|GROUP|LIMIT|UNION|FOR|SELECT|VALUES|RETURNING)\b"
_REFERENCE = re.compile(
    rf"(?:\b(FROM|JOIN|UPDATE|INTO|USING)\s+|(,)\s*)({'|'.join(TABLES)})\b(?:\s+(?:AS\s+)?(?!{_NO_ALIAS})(\w+))?"
)
_COLUMNS = r"(?!\s*SELECT\b)[\s\w,\"…]*"
_STATEMENT = re.compile(r"\s*(?:SELECT|WITH|UPDATE|INSERT|DELETE)\b")
_CONDITION = re.compile(r"\b(?:WHERE|ON|AND)\s+(?:(\w+)\.)?workspace_id\s*=\s*(?:\$\d|ANY\s*\()")
_CASE_OF_ONE = re.compile(
    r"\b(WHERE|ON|AND) CASE WHEN ((?:(?!\b(?:CASE|WHEN|THEN|OR|END)\b).)*) THEN (?:(?!\b(?:CASE|WHEN|ELSE|END)\b).)*"
    r" ELSE false END\b"
)
_EQUAL = re.compile(r"\b(?:(\w+)\.)?(\w+)\s*=\s*(\w+)\.(\w+)\b")
_NARROWS = re.compile(r"(?:(?:LEFT|CROSS|INNER) )?JOIN\b|WHERE\b")
_CLAUSE = re.compile(
    r"\b(?=(?:LEFT|CROSS|INNER) JOIN\b|(?<!LEFT )(?<!CROSS )(?<!INNER )JOIN\b"
    r"|WHERE\b|GROUP BY\b|ORDER BY\b|RETURNING\b)"
)


@dataclass(eq=False)
class _Table:
    name: str
    alias: str
    held: bool = False


@dataclass(eq=False)
class _Select:
    """One SELECT, UPDATE, INSERT or DELETE, without what stands in its parentheses."""

    text: str
    outer: "_Parentheses | None"
    tables: list[_Table] = field(default_factory=list)


@dataclass(eq=False)
class _Parentheses:
    """What stands between two parentheses, without what stands in further ones: SELECTs between UNIONs."""

    outer: "_Parentheses | None"
    text: str = ""
    selects: list[_Select] = field(default_factory=list)

    def find(self, alias: str) -> _Table | None:
        for table in (table for select in self.selects for table in select.tables):
            if table.alias == alias:
                return table
        return self.outer.find(alias) if self.outer else None


def touches(sql: str) -> bool:
    """Return whether the text names a tenant's table where a statement does."""
    return _REFERENCE.search(sql) is not None


def not_held(sql: str, free: frozenset[str] = frozenset()) -> list[str]:
    """Return "table alias" of each tenant's table of the statement that nothing holds to a workspace.

    `free` names aliases that may stand for every workspace; what hangs on them is held like them.
    """
    text = re.sub(r"--[^\n]*", " ", sql)
    text = " ".join(re.sub(r"'(?:[^']|'')*'", "''", text).split())
    levels = _levels(text)
    for level in levels:
        level.selects = [_Select(part, level.outer) for part in re.split(r"\bUNION(?: ALL)?\b", level.text)]
        for select in level.selects:
            _read_tables(select)
    links: list[tuple[_Table, _Table]] = []  # when the first is held, so is the second
    for select in (select for level in levels for select in level.selects):
        _read_conditions(select, links, leans=_STATEMENT.match(text) is None)
    tables = [table for level in levels for select in level.selects for table in select.tables]
    for table in tables:
        table.held |= table.alias in free
    while moved := [to for of, to in links if of.held and not to.held]:
        for table in moved:
            table.held = True
    return [f"{table.name} {table.alias}" for table in tables if not table.held]


def _levels(text: str) -> list[_Parentheses]:
    levels = [_Parentheses(None)]
    still_open = [levels[0]]
    place = 0
    for found in re.finditer(r"[()]", text):
        still_open[-1].text += text[place : found.start()]
        place = found.end()
        if found[0] == "(":
            still_open.append(_Parentheses(still_open[-1]))
            levels.append(still_open[-1])
        elif len(still_open) > 1:
            closed = still_open.pop()
            # The columns of an INSERT or a USING are read where they stand.
            still_open[-1].text += f" ({closed.text if re.fullmatch(_COLUMNS, closed.text) else ''}) "
    still_open[0].text += text[place:]
    return levels


def _read_tables(select: _Select) -> None:
    for found in _REFERENCE.finditer(select.text):
        before = select.text[: found.start()].rstrip()
        if found[1] == "UPDATE" and before.endswith(("FOR", "NO KEY", "DO")):
            continue
        table = _Table(found[3], found[4] or found[3])
        if found[1] == "INTO":
            columns = re.match(r"[^(]*\(([^)]*)\)", select.text[found.end(3) :])
            table.held = columns is not None and re.search(r"\bworkspace_id\b", columns[1]) is not None
            table.alias = f"INTO {table.alias}"
        select.tables.append(table)


def _read_conditions(select: _Select, links: list[tuple[_Table, _Table]], *, leans: bool) -> None:
    text = re.sub(_CASE_OF_ONE, r"\1 \2", select.text)  # it holds only where its condition does
    text = re.sub(r"\bCASE\b.*?\bEND\b", " ", text, flags=re.DOTALL)
    read = [table for table in select.tables if not table.alias.startswith("INTO ")]
    only = read[0].alias if len(read) == 1 else None
    for clause in _CLAUSE.split(text):
        if re.search(r"\bOR\b", clause):
            continue
        mine = read
        if clause.startswith("LEFT"):  # it narrows what it joins, and nothing that stands before it
            mine = [table for table in read if re.match(rf"LEFT\s+JOIN\s+\w+\s+(?:AS\s+)?{table.alias}\b", clause)]
        for found in _CONDITION.finditer(clause):
            for table in mine:
                table.held |= table.alias == (found[1] or only)
        if re.search(r"\bUSING\s*\(\s*workspace_id\s*\)", clause):
            links += [(a, b) for a in read for b in mine]
        for found in _EQUAL.finditer(clause) if _NARROWS.match(clause) else ():
            sides = [
                (_find(select, alias), column) for alias, column in ((found[1] or only, found[2]), found.groups()[2:])
            ]
            for (of, of_column), (to, to_column) in (sides, sides[::-1]):
                if to not in mine or to is None:
                    continue
                if of is None:
                    to.held |= leans and of_column == to_column == "workspace_id"  # the rest holds the other side
                elif of_column == to_column == "workspace_id" or _same_key(of, of_column, to, to_column):
                    links.append((of, to))


def _find(select: _Select, alias: str | None) -> _Table | None:
    own = next((table for table in select.tables if table.alias == alias), None)
    return own or (select.outer.find(alias) if select.outer and alias else None)


def _same_key(left: _Table, left_column: str, right: _Table, right_column: str) -> bool:
    key = _KEY_OF.get((left.name, left_column))
    return key is not None and key == _KEY_OF.get((right.name, right_column))
