"""From the constructor of a data module to its first batch, for a data set of COCO's size, each in a fresh process.

The annotations are those of coco_index.py, the images hard links to a few generated pictures of 640 x 480. One file, so
that the split is drawn; the classes of all training objects are counted; the first batch of 16 is decoded and drawn at
800 x 1,333 at most, without workers. The first start parses the JSON, the second reads the index that it left.

Command: python benchmarks/coco_first_batch.py [FOLDER that keeps the generated files]
"""

import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

import cv2
import numpy as np
from coco_index import IMAGES, OBJECTS, verdict, write_instances
from common import setting

LIMITS = {"first start": 10.0, "second start": 3.0}
ROUNDS = 3
LINKS = 30_000
"""Hard links to one file; file systems allow 65,000."""

CODE = """
import json, sys, time

import numpy as np

from visiontasks import COCODataModule

wall, processor = time.perf_counter(), time.process_time()
data = COCODataModule(sys.argv[1], task="detection", batch_size=16, num_workers=0)
data.setup("fit")
index = data.train_set.index
objects = np.bincount(index.labels, minlength=data.num_classes)
batch = next(iter(data.train_dataloader()))
seconds = time.perf_counter() - wall, time.process_time() - processor
print(json.dumps([*seconds, len(index), int(objects.sum()), len(batch.images)]))
"""


def write_pictures(folder: Path) -> None:
    """Put pictures where the annotations expect them."""
    coarse = np.random.default_rng(0).integers(0, 256, (24, 32, 3), np.uint8)
    for number, file in enumerate(sorted((folder / "images").iterdir())):
        picture = folder / f"picture_{number // LINKS}.jpg"
        if not picture.exists():
            cv2.imwrite(str(picture), cv2.resize(coarse, (640, 480), interpolation=cv2.INTER_CUBIC))
        file.unlink()
        os.link(picture, file)


def start(folder: Path) -> tuple[float, float]:
    """Start in a fresh process; return the seconds and those of the processor."""
    done = subprocess.run([sys.executable, "-c", CODE, str(folder)], check=True, stdout=subprocess.PIPE, text=True)
    wall, processor, images, objects, batch = json.loads(done.stdout.splitlines()[-1])
    assert images > 0.7 * IMAGES
    assert objects > 0.7 * OBJECTS
    assert batch == 16
    return wall, processor


def main() -> int:
    """Generate the files, unless a folder that holds them is given; measure; print the verdicts."""
    setting()
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(sys.argv[1] if len(sys.argv) > 1 else temporary) / "coco"
        if not folder.exists():
            write_instances(folder)
            write_pictures(folder)
        figures: dict[str, list[tuple[float, float]]] = {name: [] for name in LIMITS}
        for _ in range(ROUNDS):
            shutil.rmtree(folder / ".visiontasks", ignore_errors=True)
            for seconds in figures.values():
                seconds.append(start(folder))
    met = []
    for name, seconds in figures.items():
        print(f"  {name}: {statistics.median(own for _, own in seconds):.2f} s of processor time")
        met.append(verdict(f"seconds of the {name}", statistics.median(wall for wall, _ in seconds), LIMITS[name]))
    return 0 if all(met) else 1


if __name__ == "__main__":
    sys.exit(main())
