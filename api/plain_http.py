"""Requests beside GraphQL that carry files: who calls, and errors in the shape that `/graphql` gives them.

Source: api.md "Top-level errors".
"""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass

import orjson
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response

from api.auth import secret_of_header
from api.budget import MUTATION_COST, OPERATION_COST
from api.charges import account_of
from api.context import Caller
from api.declaring import refuse_lacking
from api.errors import BAD_REQUEST, RequestRefused, formatted
from api.request_ids import request_id_of
from api.server_parts import ServerParts
from domain.rules.access import Scope


@dataclass(frozen=True, slots=True)
class Called:
    """A request, its id, and who sent it."""

    request: Request
    request_id: str
    caller: Caller


async def answered(
    process: ServerParts, request: Request, scope: Scope, work: Callable[[Called], Awaitable[Response]]
) -> Response:
    """Answer one request of a caller who has the scope, charged as a mutation; never raises."""
    request_id = request_id_of(request)
    try:
        caller = await process.keys.caller(secret_of_header(request.headers.get("authorization")))
        refuse_lacking(caller, scope)
        process.budgets.take(account_of(caller), OPERATION_COST + MUTATION_COST)
        response = await work(Called(request, request_id, caller))
    except RequestRefused as refused:
        response = _errors(refused.status, refused, request_id)
        if refused.status == 401:
            response.headers["www-authenticate"] = "Bearer"
        if (seconds := refused.facts.get("retryAfterSeconds")) is not None:
            response.headers["retry-after"] = str(seconds)
    except ClientDisconnect:
        response = _errors(400, RequestRefused(400, BAD_REQUEST, "The request broke off."), request_id)
    except Exception as problem:
        response = _errors(400, problem, request_id)
    response.headers["cache-control"] = "no-store"
    return response


def _errors(status: int, problem: Exception, request_id: str) -> Response:
    errors = formatted([problem], request_id)
    if any(error["extensions"]["code"] == "INTERNAL_SERVER_ERROR" for error in errors):
        status = 500
    answer = {"errors": errors, "extensions": {"requestId": request_id}}
    return Response(orjson.dumps(answer), status, media_type="application/json")
