"""The command line as a script, for trainings on several processes, which start it again."""

import os
import sys

from tests.faults.launch import prepare
from visiontasks.cli import main

if __name__ == "__main__":
    if os.environ.get("LOCAL_RANK", "0") == os.environ["FAULT_RANK"]:
        prepare(os.environ["FAULT"])
    sys.exit(main(sys.argv[1:]))
