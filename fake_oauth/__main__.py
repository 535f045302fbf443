"""`python -m fake_oauth`, and the start of the script `fake-oauth`: see `fake_oauth.commands`."""

from __future__ import annotations

import sys

from fake_oauth.commands.program import main

__all__ = ["main"]

if __name__ == "__main__":
    sys.exit(main())
