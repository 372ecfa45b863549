"""`python -m emu` is `emu`."""

from emu.cli import main

if __name__ == "__main__":
    main()
