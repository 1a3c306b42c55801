import multiprocessing
import os
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from torch import distributed

from tests.data.datamodules.image_sets import shapes, write_folders
from visiontasks import FolderDataModule
from visiontasks.data.augmentation.resizing import Stretch, Whole
from visiontasks.data.images.reading import Reading, read_pixels
from visiontasks.data.measuring import statistics
from visiontasks.description import Statistics


@pytest.fixture(autouse=True)
def cache(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path_factory.mktemp("cache")
    monkeypatch.setenv("VISIONTASKS_CACHE", str(folder))
    return folder


def test_they_equal_those_of_all_pixels_at_once(tmp_path: Path) -> None:
    index = FolderDataModule(write_folders(tmp_path)).splits["train"].index
    pixels = np.concatenate([shape.pixels.reshape(-1, 3) for shape in shapes(12)]) / 255
    varying = statistics.measure(index, Reading(), Whole())
    assert varying.mean_image is None
    torch.testing.assert_close(varying.mean.double(), torch.from_numpy(pixels.mean(0)), atol=1e-6, rtol=0)
    torch.testing.assert_close(varying.std.double(), torch.from_numpy(pixels.std(0)), atol=1e-6, rtol=0)


def test_the_mean_image_is_that_of_images_of_one_size(tmp_path: Path) -> None:
    index = FolderDataModule(write_folders(tmp_path)).splits["train"].index
    files = [read_pixels(index.file(image)) for image in range(len(index))]
    chosen = [image for image, pixels in enumerate(files) if pixels.shape == (48, 48, 3)]
    found = statistics.measure(index.subset(chosen), Reading(), Stretch((48, 48))).mean_image
    images = np.stack([files[image] for image in chosen])
    assert found is not None
    torch.testing.assert_close(
        found.double(), torch.from_numpy(images.mean(0) / 255).permute(2, 0, 1), atol=1e-6, rtol=0
    )


def test_they_are_measured_once_and_anew_when_an_image_changes(
    tmp_path: Path, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = write_folders(tmp_path)
    passes = []
    measure = statistics.measure

    def counted(*args: Any, **options: Any) -> Statistics:  # noqa: ANN401 - as measure has them
        passes.append(args)
        return measure(*args, **options)

    monkeypatch.setattr(statistics, "measure", counted)

    def ask(size: tuple[int, int] = (16, 16)) -> torch.Tensor:
        return FolderDataModule(root, image_size=size, num_workers=0, augmentation="strong").statistics().mean

    first = ask()
    assert torch.equal(first, ask())
    assert len(passes) == 1
    ask((8, 8))
    assert len(passes) == 2
    Image.fromarray(np.full((40, 56, 3), 255, np.uint8)).save(root / "train" / "circle" / "0.png")
    assert (ask() > first).all()
    (stored, *_) = cache.glob("statistics-*.npz")
    stored.write_bytes(b"damaged")
    assert torch.isfinite(ask()).all()


def ask_on_rank(rank: int, root: str, results: str) -> None:
    """Measure in one of two processes that share no cache."""
    os.environ["VISIONTASKS_CACHE"] = f"{results}/cache{rank}"
    distributed.init_process_group("gloo", init_method=f"file://{results}/store", rank=rank, world_size=2)
    found = FolderDataModule(root, image_size=(16, 16), num_workers=0).statistics()
    torch.save(tuple(found), f"{results}/{rank}.pt")
    distributed.destroy_process_group()


@pytest.mark.slow
def test_the_first_process_measures_for_all(tmp_path: Path) -> None:
    root = write_folders(tmp_path / "data")
    context = multiprocessing.get_context("spawn")
    processes = [context.Process(target=ask_on_rank, args=(rank, str(root), str(tmp_path))) for rank in range(2)]
    for process in processes:
        process.start()
    for process in processes:
        process.join(120)
        assert process.exitcode == 0
    first, second = (torch.load(tmp_path / f"{rank}.pt", weights_only=True) for rank in range(2))
    assert all(torch.equal(one, other) for one, other in zip(first, second, strict=True))
    assert [len(list((tmp_path / f"cache{rank}").glob("statistics-*"))) for rank in range(2)] == [1, 0]


def test_classes_are_those_of_the_first_object_or_of_all(tmp_path: Path) -> None:
    index = FolderDataModule(write_folders(tmp_path, count=4)).splits["train"].index
    # Four images with 2, 1, 3 and 1 objects.
    several = replace(
        index,
        offsets=np.array([0, 2, 3, 6, 7]),
        labels=np.array([1, 3, 1, 0, 0, 3, 3], np.int32),
        ignore=np.zeros(7, np.bool_),
    )
    first, all_of_them = (statistics.count_classes(several, of_first=choice) for choice in (True, False))
    assert first.images == all_of_them.images == 4
    assert first.with_class.tolist() == [1, 2, 0, 1]
    assert all_of_them.with_class.tolist() == [1, 2, 0, 3]
