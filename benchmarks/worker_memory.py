"""Memory of worker processes over five epochs: the packed index against records as pycocotools keeps them.

500,000 generated objects of 10,000 images of 640 x 480, whose files are links to photographs of COCO or textures;
detection with its default augmentation, batches of 8, two workers. Measured is what a worker shares with no other
process (/proc/PID/smaps_rollup): private pages that it has written, and those that it has only read.

Command: [VISIONTASKS_DATA=FOLDER] python benchmarks/worker_memory.py
"""

import json
import multiprocessing
import subprocess
import sys
import tempfile
from contextlib import redirect_stdout
from pathlib import Path

import numpy as np
from coco_index import verdict, write_instances
from common import setting
from image_pipeline import HEIGHT, WIDTH, Objects, make_images
from pycocotools.coco import COCO

from visiontasks.data.augmentation.resizing import Within
from visiontasks.data.augmentation.transforms import Augmentation
from visiontasks.data.datasets.file_dataset import ImageFiles
from visiontasks.data.datasets.tasks import DetectionDataset
from visiontasks.data.index.cache import load_index
from visiontasks.data.index.coco import CocoFile
from visiontasks.data.loading.loader import BatchLoader
from visiontasks.data.loading.samplers import TrainingSampler

IMAGES, OBJECTS, EPOCHS, WORKERS, BATCH = 10_000, 500_000, 5, 2, 8
SIDES = ("visiontasks", "pycocotools")


class Records:
    """The dictionaries of pycocotools, read as an index is."""

    masks = None

    def __init__(self, file: Path, root: Path) -> None:
        with redirect_stdout(sys.stderr):
            self.coco = COCO(str(file))
        self.root = root
        self.images = self.coco.dataset["images"]
        self.sizes = np.tile(np.array([HEIGHT, WIDTH]), (len(self.images), 1))
        self.label_of = {number: label for label, number in enumerate(sorted(self.coco.getCatIds()))}
        self.class_names = tuple(entry["name"] for entry in self.coco.dataset["categories"])

    def __len__(self) -> int:
        return len(self.images)

    def file(self, image: int) -> Path:
        """Return the file of an image."""
        return self.root / str(self.images[image]["file_name"])

    def objects(self, image: int) -> Objects:
        """Return the objects of an image."""
        entries = self.coco.imgToAnns[self.images[image]["id"]]
        boxes = np.array([entry["bbox"] for entry in entries]).reshape(-1, 4)
        boxes[:, 2:] += boxes[:, :2]
        labels = np.array([self.label_of[entry["category_id"]] for entry in entries], np.int32)
        return Objects(boxes, labels, np.array([bool(entry["iscrowd"]) for entry in entries], np.bool_))

    def areas_of(self, image: int) -> np.ndarray:
        """Return the areas of the objects."""
        return np.array([entry["area"] for entry in self.coco.imgToAnns[self.images[image]["id"]]], np.float64)

    def class_map(self, image: int, size: tuple[int, int]) -> np.ndarray:
        """Not used."""
        raise NotImplementedError


def private(pid: int) -> tuple[int, int]:
    """Return the private memory of a process in bytes: pages that it has written, and pages that it has only read."""
    lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    values = {line.split()[0]: 1024 * int(line.split()[1]) for line in lines[1:]}
    return values["Private_Dirty:"], values["Private_Clean:"]


def measure(side: str, folder: Path) -> list[list[tuple[int, int]]]:
    """Load all batches of five epochs; return the private memory of each worker after each."""
    setting()  # as the command line does before it starts workers
    file, images = folder / "instances.json", folder / "images"
    index: ImageFiles = load_index(CocoFile(file, images)).index if side == SIDES[0] else Records(file, images)
    augmentation = Augmentation.create("detection")
    dataset = DetectionDataset(index, resizing=Within(480, 640), augmentation=augmentation, multiple=32)
    loader = BatchLoader(dataset, TrainingSampler(dataset, BATCH), WORKERS)
    found = []
    for epoch in range(EPOCHS):
        loader.sampler.set_epoch(epoch)
        seen = sum(len(batch.images) for batch in loader)
        assert seen == len(dataset), seen
        workers = sorted(process.pid or 0 for process in multiprocessing.active_children())
        assert len(workers) == WORKERS, workers
        found.append([private(pid) for pid in workers])
        print(f"{side}, epoch {epoch + 1}: {found[-1]}", file=sys.stderr, flush=True)
    return found


def main() -> int:
    """Generate the data, measure each side in a fresh process, print the verdict."""
    setting()
    growths = {}
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        write_instances(folder, IMAGES, OBJECTS)
        pictures = make_images(folder)
        for number, file in enumerate(sorted((folder / "images").iterdir())):
            file.unlink()
            file.symlink_to(pictures[number % len(pictures)])
        for side in SIDES:
            command = [sys.executable, __file__, side, temporary]
            done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
            written = np.array(json.loads(done.stdout.splitlines()[-1])) / 2**20
            print(f"\n{side}: private memory of each worker in MiB, written (and only read)")
            for epoch, workers in enumerate(written, 1):
                shown = "  ".join(f"{dirty:7.1f} ({clean:5.1f})" for dirty, clean in workers)
                print(f"  after epoch {epoch}: {shown}")
            growths[side] = float((written[-1, :, 0] / written[0, :, 0]).max() - 1)
    print(f"  growth of written memory with pycocotools: {growths['pycocotools']:.3f}")
    return 0 if verdict("growth of written memory from epoch 1 to 5, worst worker", growths[SIDES[0]], 0.05) else 1


if __name__ == "__main__":
    if sys.argv[1:]:
        print(json.dumps(measure(sys.argv[1], Path(sys.argv[2]))))
        sys.exit(0)
    sys.exit(main())
