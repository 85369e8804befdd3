"""A real Dovecot with one account for each name, everyone's password the same, and mail put straight into its folders.

It runs as root with the accounts of its package, or as an ordinary user as that user.
"""

import grp
import os
import pwd
import secrets
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.witness.outside import IS_ROOT, free_port, open_folder, serving
from tests.witness.programs import found

PASSWORD = "watched-by-relance"  # of a server that lives for one test


@dataclass(frozen=True)
class Dovecot:
    port: int
    folder: Path
    owner: tuple[int, int]

    def deliver(self, account: str, raw: bytes, folder: str = "INBOX") -> None:
        """Put a mail into a folder, as a delivery agent does: written aside, then moved in whole."""
        self.deliver_all(account, [raw], folder)

    def deliver_all(self, account: str, raws: Iterable[bytes], folder: str = "INBOX") -> None:
        """Put many mails into a folder."""
        maildir = self._maildir(account, folder)
        for raw in raws:
            name = f"{secrets.token_hex(12)}.relance"
            aside = maildir / "tmp" / name
            aside.write_bytes(raw)
            if IS_ROOT:
                os.chown(aside, *self.owner)
            aside.rename(maildir / "new" / name)

    def number_anew(self, account: str, folder: str = "INBOX") -> None:
        """Make the server forget how it numbered the mails of a folder: UIDVALIDITY changes, and every UID."""
        for each in self._maildir(account, folder).glob("dovecot*"):
            if each.is_file():
                each.unlink()

    def unread(self, account: str, folder: str = "INBOX") -> int:
        """Return how many mails nobody has marked as read."""
        maildir = self._maildir(account, folder)
        files = [file.name for part in ("new", "cur") for file in (maildir / part).iterdir()]
        return sum("S" not in name.rpartition(":2,")[2] if ":2," in name else True for name in files)

    def _maildir(self, account: str, folder: str) -> Path:
        root = self.folder / "mail" / account
        maildir = root if folder == "INBOX" else root / f".{folder}"
        for part in ("tmp", "new", "cur"):
            (maildir / part).mkdir(parents=True, exist_ok=True)
        if IS_ROOT:
            for path in (root, maildir, *(maildir / part for part in ("tmp", "new", "cur"))):
                os.chown(path, *self.owner)
        return maildir


@contextmanager
def running_dovecot() -> Iterator[Dovecot]:
    """A Dovecot for the length of the block. Without encryption: it listens on this machine only."""
    program = found("dovecot", "Get it with: apt-get install --no-install-recommends dovecot-core dovecot-imapd")
    with open_folder("dovecot") as folder:
        port = free_port()
        if IS_ROOT:
            nobody = pwd.getpwnam("nobody")
            owner, inside, login = (nobody.pw_uid, nobody.pw_gid), "dovecot", "dovenull"
        else:
            me = pwd.getpwuid(os.geteuid())
            owner, inside, login = (me.pw_uid, me.pw_gid), me.pw_name, me.pw_name
        (folder / "mail").mkdir(mode=0o777)
        (folder / "mail").chmod(0o777)
        (folder / "dovecot.conf").write_text(_configuration(folder, port, owner, inside, login))
        with serving([program, "-F", "-c", str(folder / "dovecot.conf")], port, folder):
            yield Dovecot(port, folder, owner)


def _configuration(folder: Path, port: int, owner: tuple[int, int], inside: str, login: str) -> str:
    return f"""
base_dir = {folder}/run
state_dir = {folder}/state
log_path = {folder}/dovecot.log
protocols = imap
listen = 127.0.0.1
ssl = no
disable_plaintext_auth = no
auth_mechanisms = plain login
mail_location = maildir:{folder}/mail/%u
mail_max_userip_connections = 50
first_valid_uid = 1
first_valid_gid = 1
default_internal_user = {inside}
default_login_user = {login}
{f"default_internal_group = {_group_of(inside)}" if not IS_ROOT else ""}
passdb {{
  driver = static
  args = password={PASSWORD}
}}
userdb {{
  driver = static
  args = uid={owner[0]} gid={owner[1]} home={folder}/mail/%u
}}
service imap-login {{
  chroot =
  inet_listener imap {{
    port = {port}
  }}
  inet_listener imaps {{
    port = 0
  }}
}}
service anvil {{
  chroot =
}}
namespace inbox {{
  inbox = yes
  mailbox Junk {{
    special_use = \\Junk
    auto = subscribe
  }}
  mailbox Sent {{
    special_use = \\Sent
    auto = subscribe
  }}
}}
"""


def _group_of(user: str) -> str:
    return grp.getgrgid(pwd.getpwnam(user).pw_gid).gr_name
