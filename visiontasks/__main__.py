"""``python -m visiontasks`` is the command line."""

import sys

from visiontasks.cli import main

if __name__ == "__main__":
    sys.exit(main())
