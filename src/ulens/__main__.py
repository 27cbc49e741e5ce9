"""`python -m ulens`."""

from ulens.cli import main

if __name__ == "__main__":
    main()
