"""Under which account PostgreSQL runs: it refuses root, so root has to become somebody else without touching a mode.

An ordinary user runs it as himself (in a user namespace where he has no name, as in some containers, since PostgreSQL
wants one). Root tries, in this order, and takes the first that reaches both the programs and
the data directory:

1. `nobody`;
2. a user namespace in which root is called nobody (Linux): reaches what root reaches, such as below /root;
3. `nobody` with the one capability to pass closed directories (Linux), where containers forbid namespaces;
4. `nobody` with a copy of the programs beside the data.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import pwd
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from cli.embedded.refusals import NoAccountForPostgres

_CLONE_NEWUSER = 0x10000000
_PR_SET_PDEATHSIG, _PR_SET_KEEPCAPS, _PR_CAP_AMBIENT, _PR_CAP_AMBIENT_RAISE = 1, 8, 47, 2
_CAP_DAC_OVERRIDE = 1
_CAPABILITY_VERSION = 0x20080522
_NOBODY_ID = 65534

_libc = ctypes.CDLL(None, use_errno=True)


@dataclass(frozen=True)
class Account:
    """Somebody as whom a program can be run.

    `uid` and `gid` own the files it writes, as seen from outside; `become` runs in the child just before exec.
    """

    name: str
    uid: int
    gid: int
    become: Callable[[], None]

    def own(self, path: Path) -> None:
        """Give `path` and all below it to this account; the top last, so an interrupted change is made again."""
        if path.stat().st_uid == self.uid:
            return
        for folder, folders, files in os.walk(path):
            for name in (*folders, *files):
                os.chown(os.path.join(folder, name), self.uid, self.gid, follow_symlinks=False)
        os.chown(path, self.uid, self.gid)


def myself() -> Account:
    """Return the account of this process, unchanged."""
    return Account("myself", os.geteuid(), os.getegid(), lambda: None)


def end_with_parent(stop_signal: signal.Signals) -> None:
    """Ask Linux to send `stop_signal` to this process when its parent ends; a second net, macOS has only the guard."""
    if sys.platform == "linux":
        _libc.prctl(_PR_SET_PDEATHSIG, int(stop_signal), 0, 0, 0)


def choose(installation: Path, directory: Path) -> tuple[Account, Path]:
    """Return the account for PostgreSQL and the installation (a directory with bin, lib, share) it can run.

    `directory` is the data directory, which exists.

    Raises:
        NoAccountForPostgres: this is root, and no way leads to both the programs and the data.
    """
    if os.geteuid() != 0:
        return _ordinary_user(installation, directory), installation
    reasons = []
    for account in ways_of_root(directory / "postgres"):
        reason = obstacle(account, installation, directory)
        if not reason:
            return account, installation
        reasons.append(f"{account.name}: {reason}")
    account = _nobody(directory / "postgres")
    if obstacle(account, Path("/"), directory, program="bin/sh") == "":
        return account, copy_installation(installation, directory)
    raise NoAccountForPostgres(directory=str(directory), reason="; ".join(reasons))


def ways_of_root(cluster: Path) -> Iterator[Account]:
    """Yield the accounts root can take for the PostgreSQL data in `cluster`, the best first."""
    nobody = _nobody(cluster)
    yield nobody
    if sys.platform == "linux":
        yield Account("root in a user namespace", 0, 0, _enter_user_namespace)
        yield Account(
            f"{nobody.name} with CAP_DAC_OVERRIDE", nobody.uid, nobody.gid, lambda: _switch_keeping_reach(nobody)
        )


def copy_installation(installation: Path, directory: Path) -> Path:
    """Copy the programs to `directory`/postgres-programs, once, and return the copy's installation directory."""
    copied = directory / "postgres-programs" / installation.parent.name / installation.name
    if not copied.is_dir():
        unfinished = directory / "postgres-programs.new"
        shutil.rmtree(unfinished, ignore_errors=True)
        shutil.copytree(installation, unfinished / installation.parent.name / installation.name, symlinks=True)
        # The wheel's shared libraries lie beside the package, found relative to the programs.
        libraries = installation.parent.with_name(installation.parent.name + ".libs")
        if libraries.is_dir():
            shutil.copytree(libraries, unfinished / libraries.name, symlinks=True)
        shutil.rmtree(directory / "postgres-programs", ignore_errors=True)
        unfinished.rename(directory / "postgres-programs")
    return copied


def obstacle(account: Account, installation: Path, directory: Path, program: str = "bin/postgres") -> str:
    """Return why `account` cannot enter the directory and run the program; empty when it can."""
    trial = 'cd "$1" && test -r "$2" && test -x "$2" && if test "$3"; then exec "$2" --version; fi'
    arguments = [str(directory), str(installation / program), "run" if program == "bin/postgres" else ""]
    try:
        answer = subprocess.run(
            ["/bin/sh", "-c", trial, "sh", *arguments],
            preexec_fn=account.become,
            cwd="/",
            capture_output=True,
            text=True,
            check=False,
            timeout=10,
        )
    except (OSError, subprocess.SubprocessError):
        return "not allowed here"
    return "" if answer.returncode == 0 else "permission denied"


def _ordinary_user(installation: Path, directory: Path) -> Account:
    with contextlib.suppress(KeyError):
        pwd.getpwuid(os.geteuid())
        return myself()
    namespaced = Account("this user in a user namespace", os.geteuid(), os.getegid(), _enter_user_namespace)
    return myself() if obstacle(namespaced, installation, directory) else namespaced


def _nobody(cluster: Path) -> Account:
    """Return nobody; or who already owns the data, so that root never takes an ordinary user's data from him."""
    try:
        entry = pwd.getpwnam("nobody")
        uid, gid = entry.pw_uid, entry.pw_gid
    except KeyError:
        uid = gid = _NOBODY_ID
    name = "nobody"
    if cluster.exists() and cluster.stat().st_uid not in (0, uid):
        uid, gid = cluster.stat().st_uid, cluster.stat().st_gid
        name = f"user {uid}"
    return Account(name, uid, gid, lambda: _switch(uid, gid))


def _switch(uid: int, gid: int) -> None:
    os.setgroups([])
    os.setgid(gid)
    os.setuid(uid)


def _enter_user_namespace() -> None:
    uid, gid = os.geteuid(), os.getegid()
    _checked(_libc.unshare(_CLONE_NEWUSER))
    Path("/proc/self/setgroups").write_text("deny")
    Path("/proc/self/uid_map").write_text(f"{_NOBODY_ID} {uid} 1")
    Path("/proc/self/gid_map").write_text(f"{_NOBODY_ID} {gid} 1")


def _switch_keeping_reach(account: Account) -> None:
    _checked(_libc.prctl(_PR_SET_KEEPCAPS, 1, 0, 0, 0))
    _switch(account.uid, account.gid)
    header = (ctypes.c_uint32 * 2)(_CAPABILITY_VERSION, 0)
    only_this = 1 << _CAP_DAC_OVERRIDE
    sets = (ctypes.c_uint32 * 6)(only_this, only_this, only_this, 0, 0, 0)
    _checked(_libc.capset(header, sets))
    _checked(_libc.prctl(_PR_CAP_AMBIENT, _PR_CAP_AMBIENT_RAISE, _CAP_DAC_OVERRIDE, 0, 0))


def _checked(result: int) -> None:
    if result != 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))
