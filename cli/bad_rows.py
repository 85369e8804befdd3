"""The file of those rows of an imported one that could not be taken."""

import csv
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any

from domain.rules.contact_csv import LINE_COLUMN, REASON_COLUMN


@dataclass(slots=True)
class Rejects:
    """The file of bad rows: the cells as they stood, the line and the reason. Made when the first one comes."""

    path: Path
    columns: Sequence[str]
    _file: IO[str] | None = field(default=None)
    _writer: Any = None

    def add(self, line: int, reason: str, cells: Sequence[str]) -> None:
        if self._file is None:
            self._file = self.path.open("w", encoding="utf-8", newline="")
            self._writer = csv.writer(self._file)
            self._writer.writerow([*self.columns, LINE_COLUMN, REASON_COLUMN])
        width = len(self.columns)
        padded = [*cells[:width], *[""] * (width - len(cells))]
        self._writer.writerow([*padded, line, reason, *cells[width:]])

    def flush(self) -> None:
        if self._file is not None:
            self._file.flush()

    def close(self) -> str | None:
        """Return the path if there is such a file."""
        if self._file is None:
            return None
        self._file.close()
        return str(self.path)
