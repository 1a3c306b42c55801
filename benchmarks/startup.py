"""Processor time until a command answers, beside that of ``import torch``: help, and a check of the annotations.

Imports are all that these commands wait for. Processor time, user and system, because other work changes it little;
each figure is the least of three processes, in turn with the others.

    python benchmarks/startup.py
"""

import resource
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
from PIL import Image

ROUNDS = 3


def processor_time(arguments: list[str], folder: Path) -> float:
    """Run Python and return the seconds of processor time that it took."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run([sys.executable, *arguments], check=True, cwd=folder, stdout=subprocess.DEVNULL)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def main() -> None:
    """Measure every command, and print a table in Markdown."""
    command = ["-m", "visiontasks"]
    lines = {
        'python -c "import torch"': (["-c", "import torch"], None),
        'python -c "import lightning.pytorch.cli"': (["-c", "import lightning.pytorch.cli"], None),
        "visiontasks --help": ([*command, "--help"], 0.2),
        "visiontasks predict --help": ([*command, "predict", "--help"], 2.0),
        "visiontasks export --help": ([*command, "export", "--help"], 2.0),
        "visiontasks check --quick --data FolderDataModule": (
            [*command, "check", "--quick", "--data", "FolderDataModule", "--data.root", "images"],
            2.0,
        ),
        "visiontasks fit --help": ([*command, "fit", "--help"], 4.0),
    }
    with tempfile.TemporaryDirectory() as created:
        folder = Path(created)
        for number in range(60):
            file = folder / "images" / "abc"[number % 3] / f"{number}.png"
            file.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(np.full((32, 32, 3), number, np.uint8)).save(file)
        seconds: dict[str, list[float]] = {line: [] for line in lines}
        for _ in range(ROUNDS):
            for line, (arguments, _) in lines.items():
                seconds[line].append(processor_time(arguments, folder))
    print("| command | processor time | target | |\n| --- | --- | --- | --- |")
    missed = 0
    for line, (_, target) in lines.items():
        least = min(seconds[line])
        late = target is not None and least > target
        missed += late
        verdict = "" if target is None else f"{target:g} s | {'missed' if late else 'met'}"
        print(f"| `{line}` | {least:.2f} s | {verdict or ' |'} |")
    if missed:
        sys.exit(f"{missed} of the commands take longer than their target.")


if __name__ == "__main__":
    main()
