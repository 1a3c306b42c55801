"""What a task knows reaches the data, from a fit in the same process or from a checkpoint."""

from pathlib import Path
from typing import Any

import pytest
from lightning.pytorch import Trainer

from tests.data.datamodules.image_sets import write_folders
from visiontasks import ClassificationTask, FolderDataModule
from visiontasks.prediction import load_task, match_data


def test_a_checkpoint_is_scored_on_a_subset_of_its_classes(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    root = write_folders(tmp_path / "half", count=20, splits=("all",)) / "all"
    new = write_folders(tmp_path / "new", count=8, splits=("all",)) / "all"
    for path in (new / "square").iterdir():
        path.unlink()
    (new / "square").rmdir()
    options: dict[str, Any] = {"backbone_options": {"filters": [4], "depth": 1}}
    task = ClassificationTask(4, **options)
    quiet: dict[str, Any] = {
        "accelerator": "cpu",
        "enable_progress_bar": False,
        "enable_model_summary": False,
        "logger": False,
    }
    trainer = Trainer(max_epochs=1, default_root_dir=tmp_path, **quiet)
    trainer.fit(task, FolderDataModule(root, image_size=(16, 16), num_workers=0))
    file = tmp_path / "a.ckpt"
    trainer.save_checkpoint(file)
    loaded = load_task(file)
    for known in (task, loaded):
        same = match_data(FolderDataModule(root, num_workers=0), known)
        assert same.splits.origin("test") == "dealt"  # not what it was trained on
    data = match_data(FolderDataModule(new, num_workers=0), loaded)
    with caplog.at_level("INFO"):
        (scores,) = Trainer(**quiet).test(loaded, data, verbose=False)
    assert f"Scored: 6 images of FolderDataModule {str(new)!r}, all of them, which have no splits." in caplog.messages
    assert data.image_size == (16, 16)
    assert scores["test/class_accuracy/square"] != scores["test/class_accuracy/square"]  # NaN: none was scored
    batch = next(iter(data.test_dataloader()))
    truth = [data.class_names[label] for label in batch.labels.tolist()]
    test_set: Any = data.test_set
    assert truth == [test_set.index.files[image].split("/")[0] for image in batch.ids.tolist()]
    right = loaded.eval()(batch.images).argmax(1) == batch.labels
    assert scores["test/accuracy"] == pytest.approx(right.float().mean().item())
