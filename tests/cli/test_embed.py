"""Codes of files and of data sets, and the nearest of an image."""

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from lightning.pytorch import Trainer
from PIL import Image

from tests.data.datamodules.image_sets import shapes
from visiontasks import (
    AutoencodingTask,
    ClassificationTask,
    DetectionTask,
    LocalizationTask,
    SegmentationTask,
    ShapesDataModule,
    Task,
    create_backbone,
)
from visiontasks.cli import main
from visiontasks.data.images.arrays import resize
from visiontasks.data.images.reading import read_image
from visiontasks.embedding.embedder import Embedder

SMALL = {"filters": [4, 8], "depth": 1}


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "images").mkdir()
    for number, shape in enumerate(shapes(5)):
        Image.fromarray(shape.pixels).save(tmp_path / "images" / f"{number}.png")
    return tmp_path


def save(task: Task, file: Path) -> None:
    """Make a checkpoint without training."""
    task.trainer = trainer = Trainer(
        logger=False, enable_checkpointing=False, accelerator="cpu", enable_model_summary=False
    )
    trainer.strategy.connect(task)
    trainer.save_checkpoint(file)


def arrays(file: str | Path) -> dict[str, np.ndarray]:
    with np.load(file) as content:
        return dict(content)


def make(**options: object) -> AutoencodingTask:
    return AutoencodingTask(**{"code_size": 6, "backbone_options": SMALL, "image_size": (24, 32), **options})  # type: ignore[arg-type]


def test_codes_of_files_are_those_of_the_task(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    task = make()
    save(task, folder / "task.ckpt")
    (folder / "images" / "broken.png").write_bytes(b"no picture")
    assert main(["embed", "task.ckpt", "images", "-o", "out/codes.npz", "--batch_size", "2"]) == 1
    printed = capsys.readouterr()
    assert "skipped: " in printed.err
    assert "broken.png" in printed.err
    found = arrays(folder / "out" / "codes.npz")
    assert found["files"].tolist() == [f"images/{number}.png" for number in range(5)]
    assert "labels" not in found
    with Image.open(folder / "images" / "3.png") as picture:
        image = np.array(picture.convert("RGB"))
    assert image.shape[:2] != (24, 32)
    pixels = torch.from_numpy(np.ascontiguousarray(resize(image, (24, 32)))).permute(2, 0, 1)
    with torch.no_grad():
        expected = task.eval().encode(pixels[None])[0]
    torch.testing.assert_close(torch.from_numpy(found["codes"][3]), expected, rtol=1e-4, atol=1e-5)


def test_a_run_folder_is_read_once(folder: Path, reads: list[str]) -> None:
    save(make(), folder / "task.ckpt")
    assert main(["embed", ".", "images", "-o", "codes.npz"]) == 0
    assert reads == ["task.ckpt"]


@pytest.mark.parametrize("split", ["train", "val", "test"])
def test_codes_of_a_data_set_have_labels(folder: Path, split: str) -> None:
    task = make()
    task.class_names = ["circle", "square", "triangle", "star"]
    save(task, folder / "task.ckpt")
    data = ["--data", "ShapesDataModule", "--data.image_size", "[24, 32]", "--data.train_size", "7"]
    sizes = ["--data.val_size", "5", "--data.test_size", "3", "--data.augmentation", "strong"]
    assert main(["embed", "task.ckpt", "-o", "codes.npz", *data, *sizes, "--split", split]) == 0
    found = arrays(folder / "codes.npz")
    module = ShapesDataModule(train_size=7, val_size=5, test_size=3, image_size=(24, 32))
    module.setup("test" if split == "test" else "fit")
    dataset = getattr(module, f"{split}_set")
    assert found["labels"].tolist() == dataset.labels.tolist()
    assert found["class_names"].tolist() == task.class_names
    assert found["files"][1] == f"{split}/1"
    with torch.no_grad():
        expected = task.eval().encode(dataset.pixels.permute(0, 3, 1, 2))
    torch.testing.assert_close(torch.from_numpy(found["codes"]), expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("code", ["vector", "map"])
def test_an_image_is_nearest_to_itself(folder: Path, capsys: pytest.CaptureFixture[str], code: str) -> None:
    save(make(code=code, image_size=(24, 32) if code == "vector" else None), folder / "task.ckpt")
    assert main(["embed", "task.ckpt", "images/*.png", "--neighbours", "images/2.png", "--n", "3"]) == 0
    first, *others, written = capsys.readouterr().out.splitlines()
    assert first == "1.0000  images/2.png"
    assert len(others) == 2
    assert written == "written: neighbours.png"
    with Image.open(folder / "neighbours.png") as picture:
        assert min(picture.size) > 100


def test_parquet_holds_the_same(folder: Path) -> None:
    pytest.importorskip("pyarrow")
    from pyarrow.parquet import read_table

    save(make(), folder / "task.ckpt")
    for name in ("codes.npz", "codes.parquet"):
        assert main(["embed", "task.ckpt", "images", "-o", name]) == 0
    table, held = read_table(folder / "codes.parquet"), arrays(folder / "codes.npz")
    assert table.column("file").to_pylist() == held["files"].tolist()
    assert np.array_equal(np.array(table.column("code").to_pylist(), np.float32), held["codes"])


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["images"], "nothing to do with the codes"),
        (["-o", "codes.npz"], "Give either image files"),
        (["images", "-o", "codes.npz", "--data", "ShapesDataModule"], "Give either image files"),
        (["images", "-o", "codes.csv"], "suffix .npz or .parquet; found 'codes.csv'"),
        (["images", "-o", "codes.npz", "--batch_size", "0"], "batch_size is 0"),
        (["images", "--neighbours", "images/0.png", "--picture", "near"], "'near' is not the name of a picture file"),
        (["images", "-o", "codes.npz", "--device", "gpu"], "device is 'gpu': "),
    ],
)
def test_wrong_arguments_are_named(
    folder: Path, capsys: pytest.CaptureFixture[str], arguments: list[str], message: str
) -> None:
    save(make(), folder / "task.ckpt")
    assert main(["embed", "task.ckpt", *arguments]) == 2
    assert message in capsys.readouterr().err


def test_pyarrow_is_asked_for_only_when_it_is_needed(
    folder: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    monkeypatch.setitem(sys.modules, "pyarrow.parquet", None)
    save(make(), folder / "task.ckpt")
    assert main(["embed", "task.ckpt", "images", "-o", "codes.parquet"]) == 2
    assert "pip install 'visiontasks[parquet]'" in capsys.readouterr().err


TASKS: dict[str, Callable[[], Task]] = {
    "classification": lambda: ClassificationTask(2, backbone_options=SMALL, image_size=(24, 32)),
    "localization": lambda: LocalizationTask(2, backbone_options=SMALL, image_size=(24, 32)),
    "segmentation": lambda: SegmentationTask(2, backbone_options=SMALL),
    "detection": lambda: DetectionTask(2, backbone="resnet18", fpn_width=8, head_width=8, image_size=(32, 32)),
}


@pytest.mark.parametrize("kind", TASKS)
def test_codes_of_any_task_are_pooled_features_of_its_backbone(folder: Path, kind: str) -> None:
    task = TASKS[kind]()
    save(task, folder / "task.ckpt")
    assert main(["embed", "task.ckpt", "images", "-o", "codes.npz", "--batch_size", "3"]) == 0
    found = arrays(folder / "codes.npz")
    assert found["codes"].shape == (5, task.backbone.channels[-1])
    for file, code in zip(found["files"], found["codes"], strict=True):
        image = read_image(str(file), 3, task.image_size)
        with torch.no_grad():
            expected = task.eval().backbone(task.normalize(image[None]))[-1].mean((0, 2, 3))
        torch.testing.assert_close(torch.from_numpy(code), expected, rtol=1e-4, atol=1e-5)


def test_codes_of_a_backbone_with_weights(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    backbone = create_backbone("resnet18-small").eval()
    torch.save(backbone.state_dict(), folder / "weights.pth")
    words = ["--backbone", "resnet18-small", "--weights", "weights.pth", "images", "-o", "codes.npz"]
    assert main(["embed", *words, "--image_size", "20", "28"]) == 0
    found = arrays(folder / "codes.npz")
    images = torch.stack([read_image(str(file), 3, (20, 28)) for file in found["files"]])
    mean, std = torch.tensor([0.485, 0.456, 0.406]), torch.tensor([0.229, 0.224, 0.225])
    with torch.no_grad():
        normalized = (images / 255 - mean[:, None, None]) / std[:, None, None]
        expected = backbone(normalized)[-1].mean((2, 3))
    torch.testing.assert_close(torch.from_numpy(found["codes"]), expected, rtol=1e-3, atol=1e-4)
    capsys.readouterr()
    for part in (words[:2], words[2:4], ["--data", "ShapesDataModule"]):
        assert main(["embed", *part, *["images"] * (part[0] != "--data"), "-o", "codes.npz"]) == 2
        assert "--weights imagenet" in capsys.readouterr().err


def test_files_and_the_data_set_of_them_have_the_same_codes(folder: Path) -> None:
    for name in ("cat", "dog"):
        for split in ("train", "val", "test"):
            (folder / "set" / split / name).mkdir(parents=True)
    for number, shape in enumerate(shapes(8)):
        place = folder / "set" / ("train", "test")[number % 2] / ("cat", "dog")[number // 2 % 2]
        Image.fromarray(shape.pixels).save(place / f"{number}.png")
    (folder / "set" / "test" / "cat" / "0.png").write_bytes(b"no picture")  # before all others
    save(TASKS["classification"](), folder / "task.ckpt")
    flags = ["--data", "FolderDataModule", "--data.root", "set", "--data.image_size", "[8, 8]", "--split", "test"]
    assert main(["embed", "task.ckpt", "-o", "set.npz", *flags]) == 1
    assert main(["embed", "task.ckpt", "set/test", "-o", "files.npz"]) == 1
    of_set, of_files = arrays(folder / "set.npz"), arrays(folder / "files.npz")
    names = [Path(name).resolve() for name in of_set["files"]]
    order = [names.index(Path(name).resolve()) for name in of_files["files"]]
    assert len(order) == 4
    np.testing.assert_allclose(of_set["codes"][order], of_files["codes"], rtol=1e-5, atol=1e-6)
    assert [of_set["class_names"][label] for label in of_set["labels"]] == [path.parent.name for path in names]


def test_images_in_memory_are_encoded_as_files(folder: Path) -> None:
    embedder = Embedder(TASKS["classification"](), "cpu")
    files = sorted((folder / "images").iterdir())
    (folder / "images" / "broken.png").write_bytes(b"no picture")
    expected, _ = embedder.embed(files)
    sources = [file.read_bytes() for file in [*files, folder / "images" / "broken.png"]]
    found, errors = embedder.embed(iter(sources))
    assert found.names == [str(position) for position in range(5)]
    torch.testing.assert_close(found.codes, expected.codes)
    assert len(errors) == 1
    save(embedder.task, folder / "last.ckpt")
    again, _ = Embedder.from_checkpoint(folder, "cpu").embed(torch.stack([read_image(file) for file in files[:1]]))
    torch.testing.assert_close(again.codes, expected.codes[:1])


def test_every_option_reaches_what_it_names(
    folder: Path, calls: Callable[[str, str], list[dict[str, Any]]], capsys: pytest.CaptureFixture[str]
) -> None:
    created = calls("visiontasks.embedding.embedder", "on_device")
    predicted = calls("visiontasks.embedding.embedder", "predict_images")
    save(make(), folder / "task.ckpt")
    words = [
        "--device",
        "cpu",
        "--batch_size",
        "2",
        "--neighbours",
        "images/1.png",
        "--n",
        "2",
        "--picture",
        "near.png",
    ]
    assert main(["embed", "task.ckpt", "images", *words]) == 0
    assert str(created[0]["device"]) == "cpu"
    assert predicted[0]["batch_size"] == 2
    assert len(capsys.readouterr().out.splitlines()) == 3
    assert (folder / "near.png").is_file()
    assert not (folder / "neighbours.png").exists()


def test_maps_of_files_are_encoded_at_their_own_sizes(folder: Path) -> None:
    task = make(code="map", image_size=None)
    save(task, folder / "task.ckpt")
    assert main(["embed", "task.ckpt", "images", "-o", "codes.npz", "--batch_size", "5"]) == 0
    for file, code in zip(*(arrays(folder / "codes.npz")[name] for name in ("files", "codes")), strict=True):
        with torch.no_grad():
            expected = task.eval().encode(read_image(str(file))[None]).mean((0, 2, 3))
        torch.testing.assert_close(torch.from_numpy(code), expected, rtol=1e-4, atol=1e-5)


def test_a_data_set_of_another_size_is_resized_as_in_the_evaluation(folder: Path) -> None:
    task = make()
    save(task, folder / "task.ckpt")
    flags = ["--data", "ShapesDataModule", "--data.image_size", "[16, 16]", "--data.test_size", "2"]
    assert main(["embed", "task.ckpt", "-o", "codes.npz", *flags, "--split", "test"]) == 0
    module = ShapesDataModule(test_size=2, image_size=(16, 16))
    module.setup("test")
    pixels = module.test_set.pixels.numpy()  # type: ignore[attr-defined]  # of a data set in memory
    images = torch.stack([torch.from_numpy(resize(image, (24, 32))).permute(2, 0, 1) for image in pixels])
    with torch.no_grad():
        expected = task.eval().encode(images)
    torch.testing.assert_close(torch.from_numpy(arrays("codes.npz")["codes"]), expected, rtol=1e-4, atol=1e-5)
