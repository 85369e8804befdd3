"""Every SQL statement of the engine on a tenant's table names its workspace, or stands on a list with the reason."""

import ast
import importlib
import re
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

from domain.tables.constraints import TENANT_KEYS, TENANTS

ROOT = Path(__file__).parents[2]
TABLES = sorted({table for table, _, _ in TENANT_KEYS} | set(TENANTS))
TOUCHES = re.compile(rf"\b(FROM|JOIN|UPDATE|INTO)\s+({'|'.join(TABLES)})\b")
STATEMENT = re.compile(r"\b(SELECT|UPDATE|INSERT|DELETE)\b")  # a lone "FROM contacts c" is only a piece

# The engine's own work goes over all workspaces. Module, a piece of the text, and why it may.
ENGINE_WIDE = {
    ("domain.sending", "WITH freed AS (\n                UPDATE messages x"): "gives back claims by id and token",
    ("domain.sending", "WITH kept AS"): "renews leases by id and token",
    ("domain.sending", "lease_until < now() - interval"): "frees what dead workers held, in every workspace",
    ("domain.sending", "UPDATE mailboxes m SET next_send_at = now()"): "mailboxes named by the messages given back",
    ("domain.feed", "UPDATE feeds SET epoch"): "a restored database gives every feed a new epoch",
}


def _texts(path: Path, module: ModuleType) -> Iterator[tuple[int, str]]:
    """Every string of a module, f-strings with their constants filled in."""
    tree = ast.parse(path.read_text())
    inside = {id(part) for node in ast.walk(tree) if isinstance(node, ast.JoinedStr) for part in node.values}
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


def test_sql_on_a_tenants_table_names_the_workspace() -> None:
    missing, used = [], set()
    for path in sorted((ROOT / "domain").rglob("*.py")):
        if {"rules", "tables"} & set(path.parts):
            continue
        name = ".".join(path.relative_to(ROOT).with_suffix("").parts)
        module = importlib.import_module(name.removesuffix(".__init__"))
        for line, text in _texts(path, module):
            if not (STATEMENT.search(text) and TOUCHES.search(text)) or "workspace_id" in text:
                continue
            reason = next((key for key in ENGINE_WIDE if key[0] == name and key[1] in text), None)
            if reason is None:
                missing.append(f"{path.relative_to(ROOT)}:{line}: {' '.join(text.split())[:90]}")
            else:
                used.add(reason)
    assert not missing, "\n".join(missing)
    assert used == set(ENGINE_WIDE), "reasons for statements that are gone"
