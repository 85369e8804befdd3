"""Many recipients like one: enrolling them takes minutes that most benches do not measure."""

from collections.abc import Mapping
from uuid import UUID

from domain.database import fetch

_AT_ONCE = 5_000


async def multiply(sequence_id: UUID, count: int, facts: Mapping[str, str]) -> None:
    """Make so many of the one recipient of a sequence, each a person of their own; `facts` are columns with the SQL
    that makes their value, for each anew."""
    (model,) = await fetch("SELECT * FROM recipients WHERE sequence_id = $1", sequence_id)
    (person,) = await fetch("SELECT * FROM contacts WHERE id = $1", model["contact_id"])
    told = [name for name in dict(person) if name not in ("id", "email", "email_key")]
    same = [name for name in dict(model) if name not in ("id", "contact_id", *facts)]
    for start in range(0, count, _AT_ONCE):
        await fetch(
            f"""
            WITH people AS (
                INSERT INTO contacts (id, email, email_key, {", ".join(told)})
                SELECT uuidv7(), a, a, {", ".join(told)}
                FROM contacts, generate_series($3::int, $4) n,
                    LATERAL (SELECT n || '@' || $5::text || '.example' AS a) x
                WHERE id = $1 RETURNING id
            )
            INSERT INTO recipients (id, contact_id, {", ".join([*facts, *same])})
            SELECT uuidv7(), p.id, {", ".join([*facts.values(), *(f"r.{name}" for name in same)])}
            FROM people p, recipients r WHERE r.id = $2
            """,
            person["id"],
            model["id"],
            start,
            min(start + _AT_ONCE, count) - 1,
            sequence_id.hex[-12:],
        )
