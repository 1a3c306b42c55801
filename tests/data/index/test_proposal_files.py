import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.data.datasets.image_files import Files
from visiontasks import ShapesDataModule
from visiontasks.data.augmentation.resizing import Stretch
from visiontasks.data.augmentation.transforms import Augmentation
from visiontasks.data.datasets.proposals import ProposalDataset
from visiontasks.data.index.proposal_files import ProposalFile, image_names
from visiontasks.data.loading.samplers import BatchRequest
from visiontasks.errors import DataError
from visiontasks.types import ProposalBatch

METHOD = {"name": "by hand"}
BOXES = np.array([[2.0, 3, 20, 30], [10, 10, 40, 40]])


def write(path: Path, images: list[str], count: int = 3) -> ProposalFile:
    file = ProposalFile.create(path, images, count, METHOD)
    for row in file.missing():
        file.write(row, BOXES + row)
    return file


def test_what_is_written_is_read_by_name(tmp_path: Path) -> None:
    write(tmp_path / "boxes.npy", ["a/1.png", "a/2.png"])
    file = ProposalFile(tmp_path / "boxes")
    (row,) = file.rows(["a/2.png"]).tolist()
    np.testing.assert_allclose(file.boxes(row), BOXES + 1)
    copy = pickle.loads(pickle.dumps(file))
    np.testing.assert_allclose(copy.boxes(0), BOXES)
    assert isinstance(copy.array, np.memmap)


def test_an_interrupted_file_goes_on(tmp_path: Path) -> None:
    file = ProposalFile.create(tmp_path / "boxes.npy", ["a", "b", "c"], 1, METHOD)
    file.write(1, BOXES)
    file.write(2, np.zeros((0, 4)))
    with pytest.raises(DataError, match=r"1 of 2 images are not done in .*, such as a\. Run visiontasks propose"):
        file.rows(["a", "b"])
    again = ProposalFile.create(tmp_path / "boxes.npy", ["a", "b", "c"], 1, METHOD)
    assert again.missing() == [0]
    # Room for one of two.
    np.testing.assert_allclose(again.boxes(1), BOXES[:1])
    assert len(again.boxes(2)) == 0


def test_files_that_do_not_belong_together_are_an_error(tmp_path: Path) -> None:
    write(tmp_path / "boxes.npy", ["a", "b"])
    with pytest.raises(DataError, match="holds proposals of other images, or made in another way"):
        ProposalFile.create(tmp_path / "boxes.npy", ["a"], 3, METHOD)
    with pytest.raises(DataError, match=r"1 of 2 images are not in .*, such as c"):
        ProposalFile(tmp_path / "boxes.npy").rows(["a", "c"])
    (tmp_path / "boxes.json").write_text('{"images": ["a"], "method": {}}')
    with pytest.raises(DataError, match=r"has shape \(2, 3, 4\) for 1 images"):
        ProposalFile(tmp_path / "boxes.npy")
    with pytest.raises(DataError, match="are not a file of proposals"):
        ProposalFile(tmp_path / "missing.npy")


def test_proposals_are_flipped_and_resized_with_their_image(tmp_path: Path) -> None:
    files = Files(tmp_path)
    file = write(tmp_path / "boxes.npy", [*image_names([files.file(image) for image in range(len(files))])])
    flip = Augmentation.create("detection", {"HorizontalFlip": {"p": 1.0}})
    plain, changed = (
        ProposalDataset(files, proposals=file, resizing=Stretch((96, 96)), augmentation=augmentation)
        for augmentation in (None, flip)
    )
    batch, flipped = plain[BatchRequest([0, 2], 0)], changed[BatchRequest([0, 2], 0)]
    assert type(batch) is ProposalBatch
    assert batch.proposals.shape == (2, 2, 4)
    height, width = files.sizes[0].tolist()
    expected = BOXES * np.array([96 / width, 96 / height] * 2)
    np.testing.assert_allclose(batch.proposals[0].numpy(), expected, rtol=1e-5)
    mirrored = expected[:, [2, 1, 0, 3]] * np.array([-1, 1, -1, 1]) + np.array([96, 0, 96, 0])
    np.testing.assert_allclose(flipped.proposals[0].numpy(), mirrored, rtol=1e-4, atol=1e-3)
    assert batch.labels.shape == flipped.labels.shape
    boxes, labels, ignore = files.objects(0)
    count = len(labels)
    resized = boxes * np.array([96 / width, 96 / height] * 2)
    np.testing.assert_allclose(batch.boxes[0, :count].numpy(), resized, rtol=1e-5)
    assert batch.ignore[0, :count].tolist() == ignore.tolist()


def test_shapes_have_proposals_by_what_they_are(tmp_path: Path) -> None:
    sizes: dict[str, Any] = {"train_size": 4, "val_size": 4, "batch_size": 2}
    plain = ShapesDataModule("detection", **sizes)
    plain.setup("fit")
    sets: list[Any] = [plain.train_set, plain.val_set]
    names = [name for dataset in sets for name in dataset.names()]
    write(tmp_path / "boxes.npy", names)
    data = ShapesDataModule("detection", **sizes, proposals=str(tmp_path / "boxes.npy"))
    data.setup("fit")
    batch = next(iter(data.val_dataloader()))
    assert type(batch) is ProposalBatch
    np.testing.assert_allclose(batch.proposals[0].numpy(), BOXES + 4)
    others = ShapesDataModule("detection", **sizes, data_seed=1, proposals=str(tmp_path / "boxes.npy"))
    with pytest.raises(DataError, match="4 of 4 images are not in"):
        others.setup("fit")


def test_images_of_the_same_name_have_proposals_each(tmp_path: Path) -> None:
    places = [tmp_path / folder / "images" / "1.png" for folder in ("train", "val")]
    names = image_names(places)
    assert names == ["train/images/1.png", "val/images/1.png"]
    file = write(tmp_path / "boxes.npy", names)
    assert file.rows([Path("moved", *place.parts[-3:]) for place in reversed(places)]).tolist() == [1, 0]


def test_what_was_interrupted_while_it_was_made_is_made_again(tmp_path: Path) -> None:
    (tmp_path / "boxes.npy.part").write_bytes(b"half")
    (tmp_path / "boxes.json").write_text("{")
    assert ProposalFile.create(tmp_path / "boxes.npy", ["a"], 3, METHOD).missing() == [0]
    assert not (tmp_path / "boxes.npy.part").exists()
