"""``python -m timesad`` is the command ``timesad``."""

import sys

from .cli import main

if __name__ == "__main__":
    sys.exit(main())
