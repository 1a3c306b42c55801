"""The contract of data modules."""

from collections.abc import Callable
from typing import Any

import torch
from torch.utils.data import DataLoader

from visiontasks.data.lightning_modules import VisionDataModule
from visiontasks.data.loading.samplers import EvaluationSampler
from visiontasks.testing.comparison import require

_Batch = Any  # each task has its own


def check_datamodule(datamodule: VisionDataModule) -> None:
    """Check that a data module keeps the contract of :class:`~visiontasks.VisionDataModule`.

    It describes the data before ``setup``; its batches are NamedTuples of uint8 images in channels-last memory; the
    training order changes from epoch to epoch and repeats itself for the same seed; every validation image comes
    exactly once on 1, 2 and 3 processes; the statistics have the shapes of the images.

    Args:
        datamodule: The data module, before ``setup``. It is read several times: some dozen images do.

    Raises:
        AssertionError: If it does not keep the contract.

    Example:
        >>> from visiontasks import ShapesDataModule
        >>> check_datamodule(ShapesDataModule(train_size=40, val_size=7, test_size=3, batch_size=4))
    """
    names, channels, size = datamodule.class_names, datamodule.in_channels, datamodule.image_size
    require(
        type(names) is tuple and len(names) == datamodule.num_classes,
        f"class_names is {names} for num_classes {datamodule.num_classes}; expected a tuple of one name per class",
    )
    datamodule.prepare_data()
    for stage in ("fit", "test"):
        datamodule.setup(stage)
    for loader in (datamodule.train_dataloader(), datamodule.val_dataloader(), datamodule.test_dataloader()):
        _check_images(next(iter(loader)), channels, size)
    _check_order(datamodule.train_dataloader)
    _check_split(datamodule)
    statistics = datamodule.statistics()
    for name in ("mean", "std"):
        value = getattr(statistics, name)
        within = value.shape == (channels,) and bool(((value >= 0) & (value <= 1)).all())
        require(within, f"statistics().{name} is {value}; expected {channels} values in 0 to 1, one per channel")
    mean_image = statistics.mean_image
    shape = None if mean_image is None else tuple(mean_image.shape)
    expected = None if size is None else (channels, *size)
    require(shape == expected, f"statistics().mean_image has shape {shape}; expected {expected}, as the images")


def _check_images(batch: _Batch, channels: int, size: tuple[int, int] | None) -> None:
    require(hasattr(batch, "_fields"), f"a batch is a {type(batch).__name__}; expected a NamedTuple")
    images = batch.images
    require(images.dtype == torch.uint8, f"images have dtype {images.dtype}; expected uint8, a quarter to transfer")
    fits = images.ndim == 4 and images.shape[1] == channels and (size is None or tuple(images.shape[2:]) == size)
    require(fits, f"images have shape {list(images.shape)}; expected [batch, {channels}, {size or 'any size'}]")
    _check_annotations(batch)
    strides = f"images of shape {list(images.shape)} have strides {images.stride()}; expected channels-last memory"
    require(images.is_contiguous(memory_format=torch.channels_last), strides)


def _check_annotations(batch: _Batch) -> None:
    if hasattr(batch, "sizes"):
        inside = bool(((batch.sizes > 0) & (batch.sizes <= torch.tensor(batch.images.shape[-2:]))).all())
        require(inside, f"sizes is {batch.sizes.tolist()} in images of shape {list(batch.images.shape)}")
    if hasattr(batch, "boxes"):
        boxes = batch.boxes.reshape(len(batch.images), -1, 4)
        inside = bool(((boxes >= 0) & (boxes <= batch.sizes[:, None].flip(-1).repeat(1, 1, 2))).all())
        require(inside, f"boxes {boxes.tolist()} reach out of images of {batch.sizes.tolist()}")


def _check_order(make_loader: Callable[[], DataLoader[Any]]) -> None:
    def order(loader: DataLoader[Any], epoch: int) -> list[int]:
        loader.sampler.set_epoch(epoch)  # type: ignore[attr-defined]  # the samplers of VisionDataModule have it
        return [index for batch in loader for index in batch.ids.tolist()]

    loader = make_loader()
    first = order(loader, 0)
    require(first != order(loader, 1), "two epochs have the same training order")
    require(first == order(loader, 0) == order(make_loader(), 0), "the order of an epoch does not repeat itself")
    require(len(first) == len(set(first)), "an epoch trains on an image more than once")


def _check_split(datamodule: VisionDataModule) -> None:
    ids = sorted(index for batch in datamodule.val_dataloader() for index in batch.ids.tolist())
    once = len(ids) == len(set(ids)) == len(datamodule.val_set)
    require(once, f"validation sees the images {ids}; expected each of {len(datamodule.val_set)} once")
    for loader in (datamodule.val_dataloader(), datamodule.test_dataloader()):
        message = f"evaluation samples with {type(loader.sampler).__name__}; expected an EvaluationSampler"
        require(isinstance(loader.sampler, EvaluationSampler), message)
    for replicas in (1, 2, 3):
        seen = []
        for rank in range(replicas):
            sampler = EvaluationSampler(datamodule.val_set, datamodule.eval_batch_size, replicas, rank)
            seen += [index for request in sampler for index in datamodule.val_set[request].ids.tolist()]
        require(sorted(seen) == ids, f"{replicas} processes see the validation images {sorted(seen)}; expected {ids}")
