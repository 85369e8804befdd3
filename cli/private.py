"""Files that only their owner may read: mails and logs hold names, addresses and links that act."""

import os
from pathlib import Path
from typing import BinaryIO


def owner_only(path: str, flags: int) -> int:
    """Open a file, with the mode 0600 where it is made now: `open(path, "wb", opener=owner_only)`."""
    return os.open(path, flags, 0o600)


def private_log(path: Path) -> BinaryIO:
    """Return a log to write at the end of; the caller closes it."""
    return open(path, "ab", opener=owner_only)
