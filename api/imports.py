"""Uploads: `POST /imports?name=people.csv` with a CSV file as the body, to be imported by `contactsImport`.

They need the scope `contacts:write`. With the header `Idempotency-Key` a repeat within 24 hours is answered with the
same file.

Source: api.md "Bulk", "Idempotency"; docs/import.md.
"""

import asyncio
import hashlib
import hmac
import tempfile
from collections.abc import Sequence
from typing import BinaryIO, Final, cast
from uuid import UUID

import orjson
from starlette.requests import Request
from starlette.responses import Response

from api.admission import DEADLINE_EXCEEDED
from api.errors import BAD_REQUEST, RequestRefused
from api.limits import refused
from api.plain_http import Called, answered
from api.server_parts import ServerParts
from domain import deeds, import_files
from domain.deeds import KEPT_HOURS, Deed, Outcome
from domain.import_files import BYTES_AT_MOST
from domain.refusals import IdempotencyInProgress, IdempotencyKeyReused
from domain.rules.access import Scope
from domain.rules.contact_csv import Column, problem_with
from domain.rules.ids import Prefix, to_public

UPLOAD_PATH: Final = "/imports"
UPLOAD_SECONDS: Final = 300
_IN_MEMORY_BYTES: Final = 1_048_576  # what is larger waits on the disk


class Imports:
    """The endpoint `/imports`."""

    def __init__(self, process: ServerParts) -> None:
        self._process = process

    async def upload(self, request: Request) -> Response:
        """Answer one request: 201 and the file's id and columns, or errors; never raises."""
        return await answered(self._process, request, Scope.CONTACTS_WRITE, self._upload)

    async def _upload(self, called: Called) -> Response:
        request = called.request
        if request.headers.get("content-type", "").startswith("multipart/"):
            message = "Send the file itself as the body, not a form: Content-Type text/csv."
            raise RequestRefused(415, BAD_REQUEST, message)
        name = request.query_params.get("name", "contacts.csv")
        with (
            self._process.uploads.taken(called.caller),
            tempfile.SpooledTemporaryFile(_IN_MEMORY_BYTES) as file,
        ):
            stream = cast(BinaryIO, file)
            try:
                async with asyncio.timeout(UPLOAD_SECONDS):
                    digest = await self._receive(request, stream)
            except TimeoutError:
                message = f"The upload took longer than {UPLOAD_SECONDS} seconds and was given up. Try again."
                raise refused(
                    503, DEADLINE_EXCEEDED, "uploadSeconds", message, found=UPLOAD_SECONDS, allowed=UPLOAD_SECONDS
                ) from None
            columns = import_files.columns_in(stream)
            file_id = await self._keep(called, name, stream, columns, digest)
        told = {
            "fileId": to_public(Prefix.IMPORT_FILE, file_id),
            "name": name,
            "columns": [{"name": one.name, "meaning": one.meaning, "fieldName": one.field_name} for one in columns],
            "problem": problem_with(columns),
            "keptHours": KEPT_HOURS,
        }
        return Response(orjson.dumps(told), 201, media_type="application/json")

    async def _receive(self, request: Request, stream: BinaryIO) -> bytes:
        """Write the body into the stream, and return a digest of it."""
        declared = request.headers.get("content-length", "")
        if declared.isdigit() and len(declared) < 20 and int(declared) > BYTES_AT_MOST:
            raise _too_large(int(declared))
        size_bytes, digest = 0, hmac.new(self._process.vault.input_key, digestmod=hashlib.sha256)
        async for chunk in request.stream():
            size_bytes += len(chunk)
            if size_bytes > BYTES_AT_MOST:
                raise _too_large(size_bytes)
            stream.write(chunk)
            digest.update(chunk)
        return digest.digest()

    async def _keep(
        self, called: Called, name: str, stream: BinaryIO, columns: Sequence[Column], digest: bytes
    ) -> UUID:
        me = called.caller
        named = hmac.new(self._process.vault.input_key, digest + name.encode(), hashlib.sha256).digest()
        deed = Deed(
            workspace_id=me.workspace_id,
            actor=me.actor,
            action="contactsUpload",
            request_id=called.request_id,
            key=called.request.headers.get("idempotency-key"),
            input_digest=named,
        )

        async def work() -> Outcome[UUID]:
            file_id = await import_files.keep(me.workspace_id, me.actor, name, stream, columns)
            return Outcome(file_id, file_id.bytes, [to_public(Prefix.IMPORT_FILE, file_id)])

        try:
            return await deeds.carry_out(deed, work, lambda kept: UUID(bytes=kept))
        except (IdempotencyInProgress, IdempotencyKeyReused) as problem:
            raise RequestRefused(409, problem.code, problem.message) from None


def _too_large(found: int) -> RequestRefused:
    message = f"The file is larger than {BYTES_AT_MOST:,} bytes. Split it, or leave out columns."
    return refused(413, BAD_REQUEST, "upload", message, found=found, allowed=BYTES_AT_MOST)
