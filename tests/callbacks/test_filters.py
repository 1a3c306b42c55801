"""Pictures of filters and feature maps."""

from pathlib import Path

import numpy as np
import torch
from lightning.pytorch import Trainer
from lightning.pytorch.loggers import CSVLogger
from PIL import Image

from visiontasks import ClassificationTask, ShapesDataModule
from visiontasks.callbacks.filters import FilterImages
from visiontasks.visualization import draw_activations, draw_filters, first_convolution


def fit(folder: Path, callback: FilterImages) -> ClassificationTask:
    data = ShapesDataModule(train_size=16, val_size=4, test_size=4, batch_size=2, image_size=(24, 24))
    task = ClassificationTask(num_classes=4, backbone_options={"filters": [4, 8]}, normalization="unit")
    trainer = Trainer(
        max_epochs=2,
        accelerator="cpu",
        logger=CSVLogger(folder),
        callbacks=[callback],
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
    )
    trainer.fit(task, data)
    return task


def read(path: Path) -> torch.Tensor:
    return torch.from_numpy(np.array(Image.open(path))).permute(2, 0, 1)


def test_the_pictures_show_the_filters_and_the_maps_of_the_given_image(tmp_path: Path) -> None:
    image = torch.randint(0, 256, (3, 24, 24), dtype=torch.uint8)
    task = fit(tmp_path, FilterImages(image))
    files = {path.name: path for path in tmp_path.rglob("filters/*.png")}
    assert set(files) == {f"{kind}epoch_{epoch}.png" for kind in ("", "activations_") for epoch in (0, 1)}
    # The last validation is behind the last step, so these are the weights that the task has now.
    assert torch.equal(read(files["epoch_1.png"]), draw_filters(first_convolution(task.backbone).weight))
    with torch.no_grad():
        features = [feature[0] for feature in task.backbone.eval()(task.normalize(image[None]))]
    expected = draw_activations(features, image).int()
    assert (read(files["activations_epoch_1.png"]).int() - expected).abs().max() <= 1


def test_the_first_validation_image_and_as_many_channels_as_asked_are_drawn(tmp_path: Path) -> None:
    task = fit(tmp_path, FilterImages(count=3))
    data = ShapesDataModule(train_size=16, val_size=4, test_size=4, batch_size=2, image_size=(24, 24))
    data.setup("fit")
    image = next(iter(data.val_dataloader())).images[:1]
    with torch.no_grad():
        features = [feature[0] for feature in task.backbone.eval()(task.normalize(image))]
    found = read(next(tmp_path.rglob("activations_epoch_1.png"))).int()
    assert (found - draw_activations(features, image[0], 3).int()).abs().max() <= 1


def test_a_test_draws_no_filters(tmp_path: Path) -> None:
    data = ShapesDataModule(train_size=16, val_size=4, test_size=4, batch_size=2, image_size=(24, 24))
    trainer = Trainer(
        accelerator="cpu", logger=CSVLogger(tmp_path), callbacks=[FilterImages()], enable_progress_bar=False
    )
    trainer.test(ClassificationTask(num_classes=4, backbone_options={"filters": [4, 8]}), data, verbose=False)
    assert not list(tmp_path.rglob("*.png"))


def test_without_a_run_folder_nothing_is_drawn(tmp_path: Path) -> None:
    data = ShapesDataModule(train_size=16, val_size=4, test_size=4, batch_size=8, image_size=(24, 24))
    trainer = Trainer(
        fast_dev_run=True,
        accelerator="cpu",
        default_root_dir=tmp_path,
        callbacks=[FilterImages()],
        enable_progress_bar=False,
        enable_model_summary=False,
    )
    trainer.fit(ClassificationTask(num_classes=4), data)
    assert not list(tmp_path.rglob("*.png"))
