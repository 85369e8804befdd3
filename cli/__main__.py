"""`python -m cli` is `relance`."""

from cli.main import main

if __name__ == "__main__":
    main()
