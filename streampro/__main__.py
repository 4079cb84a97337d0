"""`python -m streampro`."""

from streampro.cli import main

if __name__ == "__main__":
    main()
