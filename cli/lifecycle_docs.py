"""Write docs/lifecycle.md from the rules, or check that it is what they say.

python -m cli.lifecycle_docs            write it
python -m cli.lifecycle_docs --check    exit with 1 when it is not up to date
"""

import argparse
from collections.abc import Sequence
from pathlib import Path

from domain.rules.lifecycle_page import lifecycle_page

PAGE = Path(__file__).resolve().parent.parent / "docs" / "lifecycle.md"
HOW_TO_MAKE_IT = "Run `python -m cli.lifecycle_docs` and commit docs/lifecycle.md with the change."


def is_current(page: Path = PAGE) -> bool:
    """Return whether the file says what the rules say."""
    return page.is_file() and page.read_text(encoding="utf-8") == lifecycle_page()


def main(arguments: Sequence[str] | None = None, page: Path = PAGE) -> int:
    """Return the exit code: 0, or 1 when `--check` finds the page out of date."""
    parser = argparse.ArgumentParser(prog="python -m cli.lifecycle_docs", description="Make docs/lifecycle.md anew.")
    parser.add_argument("--check", action="store_true", help="write nothing; exit with 1 when the page is out of date")
    if parser.parse_args(arguments).check:
        if is_current(page):
            return 0
        print(f"{page.name} is not what the rules say any more. {HOW_TO_MAKE_IT}")
        return 1
    page.parent.mkdir(parents=True, exist_ok=True)
    page.write_text(lifecycle_page(), encoding="utf-8")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
