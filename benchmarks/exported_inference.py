"""An exported file in onnxruntime against the task in eager PyTorch, on the CPU, for each task.

Both take uint8 images and give named results; that they are equal is checked at the export, whose largest differences
are printed.

Command: python benchmarks/exported_inference.py [--tasks classification detection] [--rounds 5]
"""

import argparse
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import onnxruntime
import torch
from common import THREADS, alternate, report, setting

from visiontasks import ClassificationTask, DetectionTask, LocalizationTask, SegmentationTask, Task
from visiontasks.export import export_task
from visiontasks.prediction.predictors import make_program

BACKBONE = "resnet18"
CASES: dict[str, tuple[Callable[[], Task], tuple[int, int], int]] = {
    "classification": (lambda: ClassificationTask(10, backbone=BACKBONE), (224, 224), 8),
    "localization": (lambda: LocalizationTask(6, backbone=BACKBONE), (160, 160), 8),
    "segmentation": (lambda: SegmentationTask(11, backbone=BACKBONE), (256, 320), 4),
    "detection": (lambda: DetectionTask(3, backbone=BACKBONE, box_score_thresh=0.3), (240, 320), 2),
}


def compare(name: str, rounds: int) -> bool:
    """Export the task of a case, and time both sides."""
    torch.manual_seed(0)
    make, size, count = CASES[name]
    task = make()
    with tempfile.TemporaryDirectory() as folder:
        done = export_task(task, Path(folder, "task.onnx"), size)
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = THREADS
        session = onnxruntime.InferenceSession(done.file, options)
    program = make_program(task.to(memory_format=torch.channels_last), size)
    images = torch.randint(256, (count, 3, *size), dtype=torch.uint8)
    inputs = (images, *program.example(count)[1:])
    given = {key: value.numpy() for key, value in zip(program.inputs, inputs, strict=True)}

    def timed(run: Callable[[], object]) -> Callable[[], float]:
        def side() -> float:
            start = time.perf_counter()
            steps = 0
            while time.perf_counter() - start < 1:
                run()
                steps += 1
            return count * steps / (time.perf_counter() - start)

        return side

    with torch.inference_mode():
        sides = {
            "onnxruntime": timed(lambda: session.run(None, given)),
            "eager": timed(lambda: program.reference(*inputs)),
        }
        figures = alternate(sides, rounds)
    print(f"\n{name}: largest differences {done.differences}")
    return report(f"{name}, {BACKBONE}, {count} images of {size}", figures, "onnxruntime", "eager", 1.0)


def main() -> int:
    """Compare the cases asked for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tasks", nargs="+", choices=CASES, default=list(CASES))
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    setting()
    return 0 if all([compare(name, options.rounds) for name in options.tasks]) else 1


if __name__ == "__main__":
    sys.exit(main())
