"""The lines of the log: JSON for machines, or text for a terminal; what they say is the same.

No line says who somebody is or what was written. Our own words name ids, codes and counts. Of an exception its kind,
its place in our code and what the database says about its structure are told, never its text: that can hold a whole row
or a mail server's words. Of what libraries say only the first line is told, without what they put into it.
"""

import logging
import traceback
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final, TextIO

import orjson

from domain.log_context import bound
from domain.refusals import Refusal

_ROOT: Final = Path(__file__).parents[1]
_OURS: Final = "relance"
_PLACES_AT_MOST: Final = 12
_CAUSES_AT_MOST: Final = 4
_STRUCTURE: Final = ("sqlstate", "constraint_name", "table_name", "column_name")


def handler(stream: TextIO, form: str, program: str | None = None) -> logging.Handler:
    """Return a handler that writes `json` or `text`; `auto` is text on a terminal and JSON elsewhere."""
    made = logging.StreamHandler(stream)
    as_text = form == "text" or (form == "auto" and stream.isatty())
    made.setFormatter(TextLines() if as_text else JsonLines(program))
    return made


class JsonLines(logging.Formatter):
    """One JSON object for each record: `at`, `level`, `logger`, `message`, ids, and `error` with its causes."""

    def __init__(self, program: str | None = None) -> None:
        super().__init__()
        self._program = {"program": program} if program else {}

    def format(self, record: logging.LogRecord) -> str:
        line: dict[str, Any] = {
            "at": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            **self._program,
            "logger": record.name,
            "message": _words(record),
            **bound(),
        }
        if errors := list(_errors(record)):
            line["error"] = errors[0] | ({"causes": errors[1:]} if errors[1:] else {})
        return orjson.dumps(line).decode()


class TextLines(logging.Formatter):
    """The same for people: the time of this machine, and a line of its own for each error and its causes."""

    def format(self, record: logging.LogRecord) -> str:
        at = datetime.fromtimestamp(record.created).astimezone().strftime("%Y-%m-%d %H:%M:%S.%f")[:-3]
        ids = "".join(f" {name}={value}" for name, value in bound().items())
        lines = [f"{at} {record.levelname} {record.name}: {_words(record)}{ids}"]
        for error in _errors(record):
            structure = "".join(f" {name}={error[name]}" for name in (*_STRUCTURE, "code", "errno") if name in error)
            lines.append(f"    {error['type']}{structure}: {' < '.join(reversed(error['where'])) or 'nowhere of ours'}")
        return "\n".join(lines)


def _words(record: logging.LogRecord) -> str:
    if record.name == _OURS or record.name.startswith(f"{_OURS}."):
        return record.getMessage()
    return str(record.msg).strip().partition("\n")[0][:200]


def _errors(record: logging.LogRecord) -> Iterator[dict[str, Any]]:
    """The exception of a record, then what it came from."""
    problem = record.exc_info[1] if record.exc_info else None
    for _ in range(_CAUSES_AT_MOST):
        if problem is None:
            return
        kind = type(problem)
        told: dict[str, Any] = {"type": f"{kind.__module__}.{kind.__qualname__}".removeprefix("builtins.")}
        told |= {name: found for name in _STRUCTURE if isinstance(found := getattr(problem, name, None), str)}
        if isinstance(problem, OSError) and problem.errno is not None:
            told["errno"] = problem.errno
        if isinstance(problem, Refusal):
            told["code"] = problem.code
        frames = traceback.extract_tb(problem.__traceback__)[-_PLACES_AT_MOST:]
        told["where"] = [f"{_place(frame.filename)}:{frame.lineno} {frame.name}" for frame in frames]
        yield told
        problem = problem.__cause__ or (None if problem.__suppress_context__ else problem.__context__)


def _place(filename: str) -> str:
    path = Path(filename)
    if path.is_relative_to(_ROOT) and "site-packages" not in path.parts:
        return str(path.relative_to(_ROOT))
    return "/".join(path.parts[-2:])
