"""What commands share: the options `--data` and `--json`, and the settings that these lead to."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from cli.console import CannotGoOn
from cli.instance import running_settings, settings_of

if TYPE_CHECKING:
    from domain.settings import Settings

Data = Annotated[
    Path | None, typer.Option("--data", help="Work on the instance that runs on this directory.", show_default=False)
]
Json = Annotated[bool, typer.Option("--json", help="Print JSON for scripts.")]


def environment_of(data: Path | None) -> dict[str, str]:
    """Return the settings as an environment: this process's, or those of the instance on the directory.

    Raises:
        CannotGoOn: nothing runs on the directory.
    """
    if data is not None and not running_settings(data):
        raise CannotGoOn(f"No Relance runs on {data}. Start it with: relance up --data {data}")
    return settings_of(data)


def settings_from(data: Path | None) -> "Settings":
    """Return the settings, read and checked.

    Raises:
        CannotGoOn, SettingsInvalid
    """
    from domain.settings import read_settings

    return read_settings(environment_of(data))
