"""Run the benches named on the command line, or all."""

import sys
from collections.abc import Callable

from bench import bombs, claims, commit_to_client, imports, page, reconnects, reports, sequence_wide, steps

BENCHES: dict[str, Callable[[], None]] = {
    "steps": steps.main,
    "claims": claims.main,
    "commit_to_client": commit_to_client.main,
    "reconnects": reconnects.main,
    "page": page.main,
    "reports": reports.main,
    "sequence_wide": sequence_wide.main,
    "bombs": bombs.main,
    "imports": imports.main,
}


def main() -> int:
    unknown = [name for name in sys.argv[1:] if name not in BENCHES]
    if unknown:
        print(f"There is no bench “{unknown[0]}”; there is: {', '.join(BENCHES)}.", file=sys.stderr)
        return 2
    for name in sys.argv[1:] or BENCHES:
        BENCHES[name]()
    return 0


if __name__ == "__main__":
    sys.exit(main())
