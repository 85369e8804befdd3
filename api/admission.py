"""From what a client asked to its answer, alike for every transport: the limits, the caller's budget, a place among
what is carried out at once, and an end when it takes too long.

Source: api.md "Limits"; reliability.md 2.26, 2.28.
"""

import asyncio
import time
from dataclasses import dataclass
from typing import Final

from graphql import DocumentNode, OperationDefinitionNode, OperationType
from strawberry.types import ExecutionResult

from api.asking import Asked, operation_of
from api.budget import INTROSPECTION_COST, MUTATION_COST, OPERATION_COST, REFUSED_COST
from api.charges import Charge, account_of
from api.context import Caller
from api.declaring import refuse_without_scope
from api.documents import prepare
from api.errors import RequestRefused
from api.limits import refused
from api.rows import Shape
from api.server_parts import ServerParts
from api.telling import NotExecuted
from domain.log_context import bind
from domain.metrics import OPERATION_SECONDS

MUTATION_SECONDS: Final = 60
DEADLINE_EXCEEDED: Final = "DEADLINE_EXCEEDED"


@dataclass(frozen=True, slots=True)
class Admitted:
    """An operation that may be carried out and is paid for."""

    caller: Caller
    asked: Asked
    document: DocumentNode
    operation: OperationDefinitionNode
    shape: Shape
    charge: Charge

    @property
    def kind(self) -> OperationType:
        return self.operation.operation

    @property
    def base_cost(self) -> int:
        """What it costs whatever it finds."""
        return _base_cost(self.operation, self.shape)


def admitted(process: ServerParts, caller: Caller, asked: Asked) -> Admitted:
    """Return the operation, measured, allowed and charged.

    Raises:
        NotExecuted: the document is wrong or exceeds a limit.
        RequestRefused: it has no such operation, the caller lacks a scope, or the budget is spent.
    """
    bind(workspace_id=caller.workspace_id)
    who, schema = account_of(caller), process.schema._schema
    process.budgets.take(who, REFUSED_COST)  # before it is read; given back when nothing is wrong with it
    prepared = prepare(schema, asked.query, asked.variables)
    if prepared.document is None:
        raise NotExecuted(prepared.errors, document=True)
    operation = operation_of(prepared.document, asked.operation_name)
    refuse_without_scope(schema, prepared.document, operation, caller)
    process.budgets.give_back(who, REFUSED_COST)
    shape = prepared.shapes[operation.name.value if operation.name else None]
    cost = _base_cost(operation, shape) + shape.rows(asked.variables or {})
    process.budgets.take(who, cost)
    charge = Charge(process.budgets, who, cost)
    return Admitted(caller, asked, prepared.document, operation, shape, charge)


def _base_cost(operation: OperationDefinitionNode, shape: Shape) -> int:
    mutations = shape.root_fields if operation.operation is OperationType.MUTATION else 0
    return OPERATION_COST + MUTATION_COST * mutations + INTROSPECTION_COST * shape.introspects


async def carried_out(process: ServerParts, one: Admitted, request_id: str) -> ExecutionResult:
    """Carry out a query or mutation, and give back what it did not use of its budget.

    Raises:
        RequestRefused: RATE_LIMITED, too many are carried out; or it took too long and was stopped.
    """
    began, outcome = time.monotonic(), "refused"
    writes = one.kind is OperationType.MUTATION
    seconds = MUTATION_SECONDS if writes else process.settings.query_seconds
    try:
        with process.operations.taken(one.caller):
            async with asyncio.timeout(seconds):
                result = await process.schema.execute(
                    one.asked.query,
                    variable_values=one.asked.variables,
                    operation_name=one.asked.operation_name,
                    context_value=process.context(one.caller, request_id, one.charge),
                )
        outcome = "errors" if result.errors else "ok"
    except TimeoutError:
        outcome = "stopped"
        what_of_it = (
            "What it changed may be there: repeat it with the same `idempotencyKey`."
            if writes
            else "Ask for less at once."
        )
        message = f"This took longer than {seconds} seconds and was stopped. {what_of_it}"
        raise refused(503, DEADLINE_EXCEEDED, "seconds", message, found=seconds, allowed=seconds) from None
    except RequestRefused:
        one.charge.settle(one.base_cost)
        raise
    finally:
        OPERATION_SECONDS.labels(one.kind.value, outcome).observe(time.monotonic() - began)
    assert isinstance(result, ExecutionResult)
    one.charge.settle(one.base_cost + one.shape.found(result.data))
    return result
