"""``--fast`` of recipes: from data to report in under a minute, on generated data in the form that they read."""

import gzip
import json
import struct
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from filelock import FileLock
from lightning.pytorch.utilities.rank_zero import rank_zero_only
from PIL import Image
from pycocotools import mask as run_lengths

from visiontasks.cli.parser import flag_value
from visiontasks.data.converting.convert import convert
from visiontasks.data.datamodules.coco import COCOData
from visiontasks.data.datasets.shapes import CLASS_NAMES, ShapesDataset, ShapesSample
from visiontasks.data.lightning_modules import COCODataModule, MaskFolderDataModule, VisionDataModule, VOCDataModule
from visiontasks.errors import ArgumentError
from visiontasks.files import replacing_folder

FLAG = "--fast"
HELP = (
    "Run in under a minute, to see the whole way: on generated data and with a small network. The figures mean nothing."
)
FOLDER = Path("generated")
"""Where the data are written, in the present folder."""

_SIDE = 96
_SIZES = {"train": 48, "val": 8, "test": 8}
_ALWAYS = {
    "data.batch_size": 8,
    "data.eval_batch_size": 8,
    "trainer.max_epochs": 2,
    "trainer.max_steps": -1,
    "trainer.check_val_every_n_epoch": 1,
    "trainer.log_every_n_steps": 1,
}
_SMALL = {"model.backbone": "cnn", "model.backbone_options": {"filters": [16, 32, 64, 64], "depth": 1}}
_SMALL_DETECTOR = {"model.fpn_width": 64, "model.head_width": 256, "model.box_batch_size_per_image": 64}
_UNTRAINED = {"model.backbone_weights": None, "model.freeze": "none"}
"""In place of what a recipe asks for of published weights, of which nothing is downloaded."""


def shortened(data: type[VisionDataModule], choices: Mapping[str, Any], arguments: Sequence[str]) -> dict[str, Any]:
    """Write generated data in the form that a recipe reads, and change its choices for a short training on them.

    Args:
        data: The data module of the recipe.
        choices: The recipe's choices by dotted name.
        arguments: Its command line.

    Returns:
        The choices.

    Raises:
        ArgumentError: If the command line names data.
    """
    if root := flag_value("--data.root", arguments):
        message = f"{FLAG} generates its data, and --data.root is {root!r}; leave out one of them."
        raise ArgumentError(message)
    short = {**choices, **_ALWAYS, **{name: value for name, value in _UNTRAINED.items() if name in choices}}
    if choices.get("model.backbone", "cnn") != "cnn":
        short |= _SMALL
    if choices.get("data.task") in ("detection", "instances"):
        short |= _SMALL_DETECTOR
    if choices.get("data.task") == "instances":
        short["model.mask_widths"] = [64, 64]
    short |= _data_of(data, choices)
    _say(f"{FLAG}: data that are generated, a small network and {short['trainer.max_epochs']} epochs.")
    return short


def remind() -> None:
    """Say what the figures of such a run are worth."""
    _say(f"The figures mean nothing: they are of {FLAG}, and not of the recipe's data and training.")


def write_digits(folder: Path = FOLDER / "digits") -> Path:
    """Write generated digits in the form of MNIST, unless they are there; return the folder."""
    return _written(folder, _write_digits)


@rank_zero_only
def _say(text: str) -> None:
    print(text, flush=True)


def _data_of(data: type[VisionDataModule], choices: Mapping[str, Any]) -> dict[str, Any]:
    """Write the data; return what a data module is told of them."""
    name = data.__name__
    if name == "ShapesDataModule":
        return {f"data.{split}_size": size for split, size in _SIZES.items()}
    if name == "MNISTDataModule":
        return {"data.root": str(write_digits()), "data.val_size": _SIZES["val"]}
    task = choices.get("data.task", "segmentation")
    given: dict[str, Any] = {"data.num_workers": 0}
    if task == "segmentation":
        given["data.image_size"] = _SIDE // 2  # of crops
    elif "data.image_size" in choices:
        given["data.image_size"] = _SIDE
    else:
        given |= {"data.shorter": _SIDE, "data.longer": 2 * _SIDE}
    if issubclass(data, MaskFolderDataModule):
        return {**given, "data.root": str(_written(FOLDER / "masks", _write_masks))}
    coco = _written(FOLDER / "coco", _write_coco)
    if issubclass(data, VOCDataModule):
        return {**given, "data.root": str(_written(FOLDER / "voc", lambda folder: _write_voc(coco, folder)))}
    if not issubclass(data, COCODataModule):
        message = f"{FLAG} generates no data for {name}."
        raise ArgumentError(message)
    given |= {"data.root": str(coco), "data.images": "images"}
    if choices.get("model.proposals") == "precomputed":
        given["data.proposals"] = str(_written(FOLDER / "proposals", lambda folder: _propose(coco, folder)) / "all.npy")
    return given


def _written(folder: Path, write: Callable[[Path], None]) -> Path:
    """Let a folder be written by one process, unless it is there."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(folder.with_name(f".{folder.name}.lock")):
        if not folder.is_dir():
            with replacing_folder(folder) as part:
                write(part)
    return folder


def _shapes(split: str) -> list[ShapesSample]:
    shapes = ShapesDataset(_SIZES[split], image_size=_SIDE, max_objects=3, seed=list(_SIZES).index(split))
    return [shapes[index] for index in range(len(shapes))]


def _save(pixels: np.ndarray, file: Path) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).save(file)


def _write_masks(folder: Path) -> None:
    for split in _SIZES:
        for number, sample in enumerate(_shapes(split)):
            _save(sample.image.permute(1, 2, 0).numpy(), folder / "images" / split / f"{number}.png")
            _save(sample.mask.numpy(), folder / "masks" / split / f"{number}.png")


def _write_coco(folder: Path) -> None:
    (folder / "annotations").mkdir()
    categories = [{"id": label + 1, "name": name} for label, name in enumerate(CLASS_NAMES)]
    for split in _SIZES:
        images: list[dict[str, Any]] = []
        annotations: list[dict[str, Any]] = []
        for number, sample in enumerate(_shapes(split)):
            file = f"{split}_{number}.png"
            _save(sample.image.permute(1, 2, 0).numpy(), folder / "images" / file)
            images.append({"id": number + 1, "file_name": file, "height": _SIDE, "width": _SIDE})
            for thing, (box, label) in enumerate(zip(sample.boxes.tolist(), sample.box_labels.tolist(), strict=True)):
                visible = np.asfortranarray(sample.owners.numpy() == thing + 1, dtype=np.uint8)
                counts = run_lengths.encode(visible)["counts"].decode()
                shown = {"area": int(visible.sum()), "segmentation": {"size": [_SIDE, _SIDE], "counts": counts}}
                place = {"image_id": number + 1, "category_id": label + 1, "iscrowd": 0, "id": len(annotations) + 1}
                corners = [box[0], box[1], box[2] - box[0], box[3] - box[1]]
                annotations.append({**place, **shown, "bbox": corners})
        content = {"images": images, "annotations": annotations, "categories": categories}
        (folder / "annotations" / f"instances_{split}.json").write_text(json.dumps(content))


def _write_voc(coco: Path, folder: Path) -> None:
    """Convert the boxes of the same images, and add masks of classes, which are numbered in alphabetical order."""
    convert(COCOData(coco, images="images"), "voc", folder)
    numbers = np.array([0, *(1 + sorted(CLASS_NAMES).index(name) for name in CLASS_NAMES)], np.uint8)
    for split in _SIZES:
        for number, sample in enumerate(_shapes(split)):
            _save(numbers[sample.mask.numpy()], folder / "SegmentationClass" / f"{split}_{number}.png")
        lists = folder / "ImageSets"
        (lists / "Segmentation").mkdir(exist_ok=True)
        (lists / "Segmentation" / f"{split}.txt").write_text((lists / "Main" / f"{split}.txt").read_text())


def _propose(coco: Path, folder: Path) -> None:
    from visiontasks.cli.propose import main  # which needs an extra

    words = [
        "--data",
        "COCODataModule",
        "--data.root",
        str(coco),
        "--data.images",
        "images",
        "--data.task",
        "detection",
    ]
    main("propose", [*words, "--mode", "single", "--workers", "1", "--output", str(folder / "all.npy")])


def _write_digits(folder: Path) -> None:
    generator = np.random.default_rng(0)
    for prefix, count in (("train", 10 * _SIZES["train"]), ("t10k", 10 * _SIZES["test"])):
        labels = (np.arange(count) % 10).astype(np.uint8)
        images = np.stack([_digit(int(label), generator) for label in labels])
        for kind, array in (("images-idx3", images), ("labels-idx1", labels)):
            header = struct.pack(f">BBBB{array.ndim}I", 0, 0, 8, array.ndim, *array.shape)
            (folder / f"{prefix}-{kind}-ubyte.gz").write_bytes(gzip.compress(header + array.tobytes()))


def _digit(label: int, generator: np.random.Generator) -> np.ndarray:
    image = np.zeros((28, 28), np.uint8)
    cv2.putText(image, str(label), (6, 22), cv2.FONT_HERSHEY_SIMPLEX, 0.8, 255, 2, cv2.LINE_AA)
    turn = cv2.getRotationMatrix2D((14, 14), float(generator.uniform(-15, 15)), float(generator.uniform(0.8, 1.1)))
    turn[:, 2] += np.asarray(generator.uniform(-2, 2, 2))
    return cv2.warpAffine(image, turn, (28, 28))
