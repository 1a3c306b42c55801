from typing import Any

import numpy as np
import pytest
import torch

from visiontasks import AutoencodingTask, ClassificationTask, FolderDataModule, ShapesDataModule
from visiontasks.backbones.summary import summarize
from visiontasks.errors import ArgumentError
from visiontasks.sizes import height_and_width
from visiontasks.tasks.normalization import Normalize


@pytest.mark.parametrize("size", [28, (28, 28), [28, 28], np.int64(28), torch.Size([28, 28])])
def test_one_number_is_the_side_of_a_square(size: Any) -> None:  # noqa: ANN401 - of any form
    assert height_and_width("image_size", size) == (28, 28)
    assert height_and_width("image_size", (24, 32)) == (24, 32)


@pytest.mark.parametrize("size", [0, (28,), (28, 28, 3), (28, -1), 28.5, (28.0, 28.0), True, "28", (0, 28)])
def test_what_is_no_size_is_refused_and_named(size: Any) -> None:  # noqa: ANN401 - of any form
    with pytest.raises(ArgumentError, match=r"image_size is .*expected pixels, at least 1: one number"):
        height_and_width("image_size", size)


def test_tasks_and_data_take_one_number() -> None:
    assert ClassificationTask(2, image_size=28).image_size == (28, 28)
    assert ClassificationTask(2, image_size=28).hparams["image_size"] == (28, 28)
    autoencoder = AutoencodingTask(4, image_size=16, variational=True, kl_weight=1.0)
    assert autoencoder.fixed_size == (16, 16)
    assert autoencoder.decode(torch.zeros(1, 4), 16).shape == (1, 3, 16, 16)
    assert ShapesDataModule(image_size=28).image_size == (28, 28)
    assert FolderDataModule("data", image_size=28).image_size == (28, 28)
    assert Normalize("image_mean", 1, 8).mean.shape == (1, 8, 8)
    assert summarize("cnn", size=64).maps == summarize("cnn", size=(64, 64)).maps
