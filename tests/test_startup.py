"""What each command loads: nothing that it does not need, because importing it is what its user waits for."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

HEAVY = {
    *("albumentations", "cv2", "lightning", "numpy", "onnx", "onnxruntime", "pandas", "PIL", "pycocotools", "scipy"),
    *("skimage", "sympy", "tifffile", "timm", "torch", "torchmetrics", "torchvision", "wandb"),
}
IMAGES = {"cv2", "numpy", "PIL", "pycocotools", "tifffile"}
# Lightning imports torchmetrics, which imports SciPy and torchvision, which imports torch's compiler with SymPy.
LIGHTNING = {"lightning", "numpy", "PIL", "scipy", "sympy", "torch", "torchmetrics", "torchvision"}

CODE = f"""
import sys
from visiontasks.cli import main
try:
    code = main(sys.argv[1:])
except SystemExit as exit:
    code = exit.code
print("loaded:", *sorted({{name.partition(".")[0] for name in sys.modules}} & {HEAVY!r}))
sys.exit(code)
"""


def loaded_by(words: list[str], folder: Path) -> set[str]:
    """Return the heavy packages that a command loads in a process of its own."""
    line = [sys.executable, "-c", CODE, *words]
    run = subprocess.run(line, capture_output=True, text=True, check=False, timeout=120, cwd=folder)
    assert run.returncode == 0, run.stderr
    return set(run.stdout.splitlines()[-1].split()[1:])


@pytest.mark.parametrize(
    ("words", "allowed"),
    [
        (["--help"], set()),
        (["predict", "--help"], set()),
        (["export", "--help"], set()),
        (["check", "--quick", "--data", "FolderDataModule", "--data.root", "images"], {"torch", *IMAGES}),
        (["fit", "--help"], LIGHTNING | IMAGES),
    ],
    ids=lambda words: " ".join(words[:2]) if isinstance(words, list) else "",
)
def test_a_command_loads_only_what_it_needs(words: list[str], allowed: set[str], tmp_path: Path) -> None:
    for name in ("cat/1.png", "cat/2.png", "cat/3.png", "dog/1.png", "dog/2.png", "dog/3.png"):
        file = tmp_path / "images" / name
        file.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(np.full((8, 8, 3), 7, np.uint8)).save(file)
    assert loaded_by(words, tmp_path) - allowed == set()


def test_a_check_of_a_run_loads_as_little(tmp_path: Path) -> None:
    data = {"class_path": "visiontasks.CSVDataModule", "init_args": {"root": ".", "batch_size": 2, "num_workers": 0}}
    (tmp_path / "config.yaml").write_text(f"data: {data}\n")
    rows = [(f"{number}.png", "ab"[number % 2]) for number in range(12)]
    (tmp_path / "labels.csv").write_text("\n".join(["file,class", *map(",".join, rows), ""]))
    for name, _ in rows:
        Image.fromarray(np.full((8, 8, 3), 7, np.uint8)).save(tmp_path / name)
    words = ["check", "--quick", "--config", "config.yaml", "--data.fractions", "[0.5,0.25,0.25]"]
    assert loaded_by(words, tmp_path) <= {"torch", *IMAGES}
