"""`python -m lorgnette`: the same as the command `lorgnette`."""

from lorgnette.cli import main

if __name__ == "__main__":
    main()
