"""How commands speak: one clear sentence when they refuse, and never a traceback unless it was asked for."""

import asyncio
import json
import logging
import os
import sys
import traceback
from collections.abc import Coroutine, Iterator
from contextlib import contextmanager
from datetime import datetime
from io import TextIOWrapper
from pathlib import Path
from typing import Any, TypeVar

from cli.private import private_log

T = TypeVar("T")


class CannotGoOn(Exception):
    """A command cannot do what it was told. The text is the sentence for people: what is wrong, and the way out."""

    def __init__(self, sentence: str, *, exit_code: int = 1) -> None:
        super().__init__(sentence)
        self.exit_code = exit_code


def say(text: str = "") -> None:
    """Print a line at once, also into a pipe."""
    print(text, flush=True)


def say_aside(text: str) -> None:
    """Print a line where it does not mix with the result of the command."""
    print(text, file=sys.stderr, flush=True)


def say_json(value: Any) -> None:
    """Print a value for scripts: names as in the API (camelCase), times and ids as text."""
    say(json.dumps(_named_as_in_the_api(value), indent=2, ensure_ascii=False, default=str))


def _named_as_in_the_api(value: Any) -> Any:
    from domain.refusals import api_name

    if isinstance(value, dict):
        return {api_name(str(name)): _named_as_in_the_api(inner) for name, inner in value.items()}
    if isinstance(value, list):
        return [_named_as_in_the_api(inner) for inner in value]
    return value.isoformat() if isinstance(value, datetime) else value


def write_log(level: str, form: str = "auto", program: str | None = None) -> None:
    """Let this process log to its standard error, one line an event (`cli/log_lines.py`).

    The level is ours. What libraries say below INFO are statements and mails with all that is in them, and addresses
    of requests can hold a person's number: nothing in a log says who somebody is, so that nobody need be erased there.
    """
    from cli.log_lines import handler

    logging.basicConfig(handlers=[handler(sys.stderr, form, program)])
    logging.getLogger().setLevel(max(logging.getLevelName(level), logging.INFO))
    logging.getLogger("relance").setLevel(level)
    for talkative in ("arq", "httpx"):  # of each tick, and of each request
        logging.getLogger(talkative).setLevel(logging.WARNING)


@contextmanager
def logging_to(file: Path) -> Iterator[None]:
    """Let what libraries say go into a file during the block: the terminal is for sentences."""
    from cli.log_lines import handler as lines_to

    file.parent.mkdir(exist_ok=True)
    with TextIOWrapper(private_log(file), write_through=True) as text:
        handler = lines_to(text, "text")
        logging.getLogger().addHandler(handler)
        try:
            yield
        finally:
            logging.getLogger().removeHandler(handler)


def run(work: Coroutine[Any, Any, T]) -> T:
    """Run one asynchronous command to its end."""
    return asyncio.run(work)


def tell(problem: Exception) -> int:
    """Print what went wrong, as a sentence where it is a refusal, and return the exit code."""
    for line in _lines(problem):
        say_aside(line)
    if _debugging():
        traceback.print_exception(problem)
    return getattr(problem, "exit_code", 1)


def _lines(problem: Exception) -> list[str]:
    # Only a process that fails pays for these imports.
    from cli.catcher import PortTaken
    from cli.embedded import EmbeddedServersCannotStart
    from domain.refusals import Refusal
    from domain.rules.csv_records import CsvUnusable
    from domain.secrets import SecretUnreadable
    from domain.settings import SettingsInvalid

    if isinstance(problem, SettingsInvalid):
        return ["These settings are missing or wrong:", *(f"  - {line}" for line in problem.problems)]
    if isinstance(problem, (CannotGoOn, Refusal, EmbeddedServersCannotStart, PortTaken, CsvUnusable, SecretUnreadable)):
        return [str(problem)]
    lines = [f"Something unexpected happened: {type(problem).__name__}: {problem}"]
    if not _debugging():
        lines.append("Set RELANCE_LOG_LEVEL=debug and try again to see where.")
    return lines


def _debugging() -> bool:
    return os.environ.get("RELANCE_LOG_LEVEL", "").lower() == "debug"
