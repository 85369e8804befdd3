"""The command line. Each command imports what it needs when it runs, so that `--help` answers at once."""

import sys
from datetime import datetime
from importlib.metadata import version as version_of
from pathlib import Path
from typing import Annotated, Final

import typer

from cli.access_commands import keys_app, users_app
from cli.console import CannotGoOn, run, say, say_json, tell
from cli.instance import DEFAULT_DIRECTORY
from cli.options import Data, Json, environment_of, settings_from

_EXAMPLES: Final = """
\b
Examples:
  relance up                                   everything on this machine, with demo data
  relance up --data /srv/relance --port 9000   another directory, another port
  relance import contacts people.csv --dry-run
  relance keys create --name "our ATS" --workspace Acme
  relance doctor                               what is broken, and how to mend it

\b
Settings come from the environment (.env.example explains each). Without DATABASE_URL, commands use the instance
that `relance up` runs on .relance, or on the directory given with --data.
"""

app = typer.Typer(
    name="relance",
    help="Relance: an engine for outreach sequences.",
    epilog=_EXAMPLES,
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
)
import_app = typer.Typer(help="Bring in what other systems hold.", no_args_is_help=True)
feed_app = typer.Typer(help="The numbered feed of changes.", no_args_is_help=True)
schema_app = typer.Typer(help="The GraphQL schema, and the tables below it.", no_args_is_help=True)
docs_app = typer.Typer(help="Pages that are made from the code.", no_args_is_help=True)
_TIMES: Final = ["%Y-%m-%dT%H:%M:%S.%f%z", "%Y-%m-%dT%H:%M:%S%z", "%Y-%m-%dT%H:%M:%S", "%Y-%m-%d %H:%M:%S"]
_GROUPS: Final = {
    "keys": keys_app,
    "users": users_app,
    "import": import_app,
    "feed": feed_app,
    "schema": schema_app,
    "docs": docs_app,
}
for name, group in _GROUPS.items():
    app.add_typer(group, name=name)


def main() -> None:
    """Run one command. A refusal is one clear sentence; the exit code is 0, 1, or 2 for a wrong command line."""
    try:
        app()
    except KeyboardInterrupt:
        sys.exit(130)
    except Exception as problem:
        sys.exit(tell(problem))


def _print_version(wanted: bool) -> None:
    if wanted:
        say(f"relance {version_of('relance')}")
        raise typer.Exit


@app.callback()
def relance(
    _version: Annotated[
        bool, typer.Option("--version", help="Print the version.", callback=_print_version, is_eager=True)
    ] = False,
) -> None:
    """Relance: an engine for outreach sequences."""


@app.command()
def up(
    data: Annotated[Path, typer.Option("--data", help="Where everything is kept.")] = DEFAULT_DIRECTORY,
    port: Annotated[int, typer.Option("--port", help="The port of the API.", min=1, max=65535)] = 8000,
    host: Annotated[str, typer.Option("--host", help="The address to listen on.")] = "127.0.0.1",
    demo: Annotated[bool, typer.Option("--demo/--no-demo", help="Make demo data.")] = True,
) -> None:
    """Start everything on this machine: servers, API, worker, mail catcher, demo data. Ctrl-C stops it.

    DIR/connection.json then holds graphql, websocket, apiKey, smtp and mail for scripts.
    With DATABASE_URL or REDIS_URL set, those servers are used instead of embedded ones.
    """
    from cli.up import Wanted
    from cli.up import up as run_up

    raise typer.Exit(run_up(Wanted(data, host, port, demo)))


@app.command()
def api(data: Data = None) -> None:
    """Serve the API until told to stop."""
    from cli.programs import adopt, load_api

    adopt(environment_of(data))
    load_api()()


@app.command()
def worker(data: Data = None) -> None:
    """Carry out steps until told to stop. Any number of workers may run."""
    from cli.programs import adopt, load_worker

    adopt(environment_of(data))
    load_worker()()


@app.command()
def migrate(data: Data = None, as_json: Json = False) -> None:
    """Bring the tables up to date. Safe to repeat, also from several machines at once."""
    from cli.reaching import reaching_database
    from domain.migrating import migrate as bring_up_to_date

    url = settings_from(data).database_url

    async def work() -> list[str]:
        async with reaching_database(url):
            return await bring_up_to_date(url)

    applied = run(work())
    if as_json:
        say_json({"applied": applied})
    else:
        say(f"Applied: {', '.join(applied)}." if applied else "The tables are up to date.")


@app.command()
def reconcile(
    until: Annotated[
        datetime | None,
        typer.Option(
            "--until",
            formats=_TIMES,
            help="When the last worker of the lost database ended; local time, or with an offset.  [default: now]",
        ),
    ] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what would happen; change nothing.")] = False,
    data: Data = None,
    as_json: Json = False,
) -> None:
    """Run this after restoring a backup, before API and workers start: nothing is then sent a second time.

    Whoever was due since the backup may have been written to and is shown as DELIVERY_UNCONFIRMED; every client is told
    to read its lists afresh (what `relance feed new-epoch` does alone). Safe to repeat.
    """
    from cli.reconcile_command import run_reconcile

    run_reconcile(settings_from(data), until, dry_run, as_json)


@app.command()
def doctor(data: Data = None, as_json: Json = False) -> None:
    """Look at every part, name what is broken, and say how to mend it. Exits with 1 when something is."""
    from cli.doctor import examine

    raise typer.Exit(examine(environment_of(data), as_json))


@app.command()
def catcher(
    smtp_port: Annotated[int, typer.Option(help="The port for mails.", min=0, max=65535)] = 1025,
    http_port: Annotated[int, typer.Option(help="The port of the page.", min=0, max=65535)] = 8025,
    host: Annotated[str, typer.Option(help="The address to listen on.")] = "127.0.0.1",
    keep: Annotated[Path | None, typer.Option(help="Keep the mails as files in this folder.")] = None,
    allow_host: Annotated[
        list[str] | None, typer.Option(help="Another name the page may be called by; * allows any.")
    ] = None,
) -> None:
    """Run a mail server that delivers nothing and shows what it was handed."""
    from cli.catcher import run_catcher
    from cli.catcher.pages import LOCAL_HOSTS

    run_catcher(smtp_port, http_port, host, keep, allowed_hosts=(*LOCAL_HOSTS, *(allow_host or ())))


@import_app.command("contacts")
def import_contacts(
    file: Annotated[Path, typer.Argument(help="A CSV file whose first line names the columns.")],
    sequence: Annotated[str | None, typer.Option("--sequence", help="Enrol them in the sequence of this id.")] = None,
    workspace: Annotated[str | None, typer.Option("--workspace", help="Name or id; not needed with a key.")] = None,
    key: Annotated[
        str | None, typer.Option("--key", envvar="RELANCE_API_KEY", help="An API key; names the workspace.")
    ] = None,
    bad_rows: Annotated[
        Path | None, typer.Option("--bad-rows", help="Where bad rows go.  [default: FILE with .bad.csv]")
    ] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what would happen; change nothing.")] = False,
    data: Data = None,
    as_json: Json = False,
) -> None:
    """Import contacts; with --sequence, enrol them too. Safe to repeat: what is there already stays as it is.

    Columns: email, external_id, first_name, last_name, company, phone, time_zone; email or external_id is needed.
    Every other column becomes a custom field, which templates name as fields.COLUMN. Separated by comma, semicolon
    or tab; in UTF-8 or Latin-1.

    Every row is accounted for: rows that cannot be taken go to a file, with their line and the reason.

    Example: relance import contacts people.csv --data .relance --sequence seq_…
    """
    from cli.import_command import Order, run_import

    order = Order(
        file=file,
        sequence=sequence,
        workspace=workspace,
        key=key,
        bad_rows=bad_rows,
        dry_run=dry_run,
        as_json=as_json,
    )
    raise typer.Exit(run_import(order, settings_from(data)))


@import_app.command("suppressions")
def import_suppressions(
    file: Annotated[Path, typer.Argument(help="A CSV file whose first line names the columns.")],
    workspace: Annotated[str | None, typer.Option("--workspace", help="Name or id; not needed with a key.")] = None,
    key: Annotated[
        str | None, typer.Option("--key", envvar="RELANCE_API_KEY", help="An API key; names the workspace.")
    ] = None,
    bad_rows: Annotated[
        Path | None, typer.Option("--bad-rows", help="Where bad rows go.  [default: FILE with .bad.csv]")
    ] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what would happen; change nothing.")] = False,
    data: Data = None,
    as_json: Json = False,
) -> None:
    """Import a suppression list: who must not be written to. Safe to repeat: what is on the list stays as it is.

    Columns: email, domain, phone, and note, which is kept in the ledger. Each row fills exactly one of the first
    three; other columns are left aside. Separated by comma, semicolon or tab; in UTF-8 or Latin-1.

    Open recipients concerned end with the reason SUPPRESSED. Rows that cannot be taken go to a file, with their line
    and the reason.

    Example: relance import suppressions do-not-contact.csv --data .relance
    """
    from cli.import_command import Order, run_suppression_import

    order = Order(file=file, workspace=workspace, key=key, bad_rows=bad_rows, dry_run=dry_run, as_json=as_json)
    raise typer.Exit(run_suppression_import(order, settings_from(data)))


@feed_app.command("new-epoch")
def feed_new_epoch(data: Data = None, as_json: Json = False) -> None:
    """Run this after restoring a backup, before the API starts. Clients then read their lists afresh.

    A restored database gives the numbers of lost changes to other changes; old cursors must not be gone on with.
    """
    from cli.feed_commands import start_new_epoch

    start_new_epoch(settings_from(data), as_json)


@feed_app.command("recount")
def feed_recount(data: Data = None, as_json: Json = False) -> None:
    """Make the numbers that reports show anew, from the rows. Events are told again when it is done."""
    from cli.feed_commands import recount

    recount(settings_from(data), as_json)


@schema_app.command("print")
def schema_print() -> None:
    """Print the schema in GraphQL's own language."""
    from api.schema import sdl

    say(sdl().rstrip("\n"))


@schema_app.command("check")
def schema_check(
    file: Annotated[Path, typer.Argument(help="The committed schema.")] = Path("schema.graphql"),
) -> None:
    """Exit with 1 when the file is not what the code says."""
    from api.schema import sdl

    if not file.is_file() or file.read_text(encoding="utf-8").strip() != sdl().strip():
        raise CannotGoOn(f"{file} is not what the code says any more. Run: relance schema print > {file}")
    say(f"{file} is up to date.")


@schema_app.command("tables")
def schema_tables(
    check: Annotated[bool, typer.Option("--check", help="Write nothing; exit with 1 when out of date.")] = False,
) -> None:
    """Make domain/tables/snapshot.sql anew from the migrations: what an empty database is given at once."""
    from cli.table_snapshot import main as make_snapshot

    make_snapshot(check=check)


@docs_app.command("lifecycle")
def docs_lifecycle(
    check: Annotated[bool, typer.Option("--check", help="Write nothing; exit with 1 when out of date.")] = False,
) -> None:
    """Make docs/lifecycle.md anew from the tables that decide."""
    from cli.lifecycle_docs import main as make_page

    raise typer.Exit(make_page(["--check"] if check else []))
