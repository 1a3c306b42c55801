"""Whatever happens to an image on its way into a batch, the box stays on the object.

The object's pixels go the same way as a mask; where they end up says where the box has to be.
"""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from visiontasks import CSVDataModule
from visiontasks.data.datasets.shapes import CLASS_NAMES, ShapesDataset
from visiontasks.data.loading.samplers import BatchRequest

SIZE = (48, 64)
COUNT = 12
STEPS: dict[str, dict[str, Any]] = {
    "flip": {"HorizontalFlip": {"p": 1.0}},
    "upside down": {"VerticalFlip": {"p": 1.0}},
    "quarter turn": {"RandomRotate90": {"p": 1.0}},
    "crop around the object": {"BBoxSafeRandomCrop": {"erosion_rate": 0.0, "p": 1.0}},
    "crop anywhere": {"RandomCrop": {"height": 36, "width": 44, "p": 1.0}},
    "shift and scale": {
        "Affine": {
            "scale": {"x": [0.8, 1.3], "y": [0.8, 1.3]},
            "translate_percent": {"x": [-0.1, 0.1], "y": [-0.1, 0.1]},
            "p": 1.0,
        }
    },
}


@pytest.fixture(scope="module")
def table(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Write pictures that are white where the object is and black elsewhere, and a table of their boxes."""
    folder = tmp_path_factory.mktemp("objects")
    rows = ["split,filename,class,xmin,ymin,xmax,ymax"]
    for split, seed in (("train", 0), ("val", 1)):
        shapes = ShapesDataset(COUNT, image_size=SIZE, seed=seed)
        for index in range(COUNT):
            sample = shapes[index]
            name = f"{split}_{index}.png"
            Image.fromarray(255 * (sample.mask.numpy() > 0).astype(np.uint8)).convert("RGB").save(folder / name)
            corners = ",".join(f"{value:g}" for value in sample.box.tolist())
            rows.append(f"{split},{name},{CLASS_NAMES[sample.label]},{corners}")
    (folder / "objects.csv").write_text("\n".join(rows))
    return folder


def make(table: Path, augmentation: Any, size: tuple[int, int]) -> CSVDataModule:  # noqa: ANN401 - see the argument
    data = CSVDataModule(table, "localization", image_size=size, augmentation=augmentation, num_workers=0)
    data.setup("fit")
    return data


def extent(image: np.ndarray) -> list[float] | None:
    """Find the box of the bright pixels of an image [3, H, W]."""
    bright = image[0] > 63  # the tip of a star is thin, and averaged with what is beside it
    if not bright.any():
        return None
    rows, columns = np.flatnonzero(bright.any(1)), np.flatnonzero(bright.any(0))
    return [columns[0], rows[0], columns[-1] + 1, rows[-1] + 1]


@pytest.mark.parametrize("size", [(48, 64), (96, 96), (40, 30)])
@pytest.mark.parametrize("name", STEPS)
def test_boxes_of_augmented_and_resized_images_stay_on_objects(name: str, size: tuple[int, int], table: Path) -> None:
    dataset: Any = make(table, STEPS[name], size).train_set
    seen = 0
    for epoch in range(3):
        batch = dataset[BatchRequest(list(range(COUNT)), epoch)]
        assert batch.images.shape == (COUNT, 3, *size)
        for image, label, box in zip(batch.images.numpy(), batch.labels.tolist(), batch.boxes.numpy(), strict=True):
            found = extent(image)
            if label < 0:
                assert found is None or name in ("crop anywhere", "shift and scale"), "only what is cut off may be lost"
                continue
            assert found is not None
            # Half a pixel of rounding on either side, as large as it is drawn; a clipped corner of a shape may be cut.
            tolerance = 2 + 2 * max(size[0] / SIZE[0], size[1] / SIZE[1])
            if name == "crop anywhere":
                assert (np.array(found[:2]) >= box[:2] - tolerance).all()
                assert (np.array(found[2:]) <= box[2:] + tolerance).all()
            else:
                np.testing.assert_allclose(box, found, atol=tolerance)
            seen += 1
    assert seen >= COUNT


def test_scale_brings_a_box_back_to_the_file(table: Path) -> None:
    dataset: Any = make(table, "none", (96, 32)).val_set
    batch = dataset[BatchRequest(list(range(COUNT)), 0)]
    assert batch.scale.tolist() == [[0.5, 2.0]] * COUNT
    shapes = ShapesDataset(COUNT, image_size=SIZE, seed=1)
    for index in range(COUNT):
        original = batch.boxes[index] * batch.scale[index].flip(0).repeat(2)
        np.testing.assert_allclose(original, shapes[index].box, atol=1e-3)
