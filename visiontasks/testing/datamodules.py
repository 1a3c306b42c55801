"""The contract of data modules."""

from typing import Any

import torch
from torch import Tensor
from torch.utils.data import DataLoader

from visiontasks.data.lightning_modules import VisionDataModule
from visiontasks.data.loading.samplers import EvaluationSampler
from visiontasks.errors import ArgumentError
from visiontasks.testing.comparison import require

_Batch = Any  # each task has its own
_EPOCHS = 12
"""Epochs after which the orders of two or three images are almost surely not all the same."""


def check_datamodule(datamodule: VisionDataModule) -> None:
    """Check that a data module keeps the contract of :class:`~visiontasks.VisionDataModule`.

    It asks for what a fit needs: the module describes the data before ``setup``; batches hold images of the stated
    channels and size, uint8 or floats in 0 to 1, and boxes inside them. What is there besides has to be right: where
    the training sampler takes epochs, the order changes from epoch to epoch and repeats itself for the same seed; where
    validation has an ``EvaluationSampler``, every image comes exactly once on 1, 2 and 3 processes; a test split is
    checked like validation; statistics have the shapes of the images.

    Args:
        datamodule: The data module, before ``setup``. It is read several times: some dozen images do.

    Raises:
        AssertionError: If it does not keep the contract.

    Example:
        >>> from visiontasks import ShapesDataModule
        >>> check_datamodule(ShapesDataModule(train_size=40, val_size=7, test_size=3, batch_size=4))
    """
    names: Any = datamodule.class_names
    channels, size = datamodule.in_channels, datamodule.image_size
    require(
        not isinstance(names, str) and len(names) == datamodule.num_classes,
        f"class_names is {names!r} for num_classes {datamodule.num_classes}; expected one name per class",
    )
    datamodule.prepare_data()
    for stage in ("fit", "test"):
        datamodule.setup(stage)
    for loader in _loaders(datamodule.train_dataloader()):
        _check_images(next(iter(loader)), channels, size)
    _check_order(datamodule)
    has_test = hasattr(datamodule, "test_set") or type(datamodule).test_dataloader != VisionDataModule.test_dataloader
    for name in ("val", "test") if has_test else ("val",):
        for loader in _loaders(getattr(datamodule, f"{name}_dataloader")()):
            _check_images(next(iter(loader)), channels, size)
            _check_split(loader, {"val": "validation"}.get(name, name))
    _check_statistics(datamodule, channels, size)


def _loaders(given: Any) -> list[DataLoader[Any]]:  # noqa: ANN401 (what a hook of Lightning may return)
    return list(given) if isinstance(given, list | tuple) else [given]


def _check_images(batch: _Batch, channels: int, size: tuple[int, int] | None) -> None:
    if not hasattr(batch, "images"):
        plain = isinstance(batch, Tensor) or (isinstance(batch, list | tuple) and isinstance(batch[0], Tensor))
        form = f"a batch is a {type(batch).__name__}; expected a NamedTuple with images, a pair of tensors or images"
        require(plain, form)
    images = batch if isinstance(batch, Tensor) else getattr(batch, "images", batch[0])
    fits = images.ndim == 4 and images.shape[1] == channels and (size is None or tuple(images.shape[2:]) == size)
    require(fits, f"images have shape {list(images.shape)}; expected [batch, {channels}, {size or 'any size'}]")
    unit = images.is_floating_point() and bool(((images >= 0) & (images <= 1)).all())
    within = f"{images.dtype} in {images.min().item():g} to {images.max().item():g}"
    require(images.dtype == torch.uint8 or unit, f"images are {within}; expected uint8, or floats in 0 to 1")
    _check_annotations(batch)


def _check_annotations(batch: _Batch) -> None:
    if hasattr(batch, "sizes"):
        inside = bool(((batch.sizes > 0) & (batch.sizes <= torch.tensor(batch.images.shape[-2:]))).all())
        require(inside, f"sizes is {batch.sizes.tolist()} in images of shape {list(batch.images.shape)}")
    if hasattr(batch, "boxes"):
        boxes = batch.boxes.reshape(len(batch.images), -1, 4)
        inside = bool(((boxes >= 0) & (boxes <= batch.sizes[:, None].flip(-1).repeat(1, 1, 2))).all())
        require(inside, f"boxes {boxes.tolist()} reach out of images of {batch.sizes.tolist()}")
    if hasattr(batch, "mask_windows"):
        windows, limits = batch.mask_windows, batch.mask_sizes[:, None].flip(-1).repeat(1, 1, 2)
        inside = bool(((windows >= 0) & (windows <= limits)).all())
        require(inside, f"mask_windows {windows.tolist()} reach out of images of {batch.mask_sizes.tolist()}")
        needed = (-(-(windows[..., 2:] - windows[..., :2]).prod(-1) // 8)).sum(1)
        enough = bool((needed <= batch.mask_bits.shape[1]).all())
        require(enough, f"mask_bits has {batch.mask_bits.shape[1]} bytes for windows of {needed.tolist()}")


def _check_order(datamodule: VisionDataModule) -> None:
    def order(loader: Any, epoch: int) -> list[int]:  # noqa: ANN401 (whose sampler has set_epoch)
        loader.sampler.set_epoch(epoch)
        return [index for batch in loader for index in batch.ids.tolist()]

    for number, loader in enumerate(_loaders(datamodule.train_dataloader())):
        if not hasattr(getattr(loader, "sampler", None), "set_epoch") or not hasattr(next(iter(loader)), "ids"):
            continue
        first = order(loader, 0)
        changes = len(first) < 2 or any(order(loader, epoch) != first for epoch in range(1, _EPOCHS))
        require(changes, "two epochs have the same training order")
        again = order(_loaders(datamodule.train_dataloader())[number], 0)
        require(first == order(loader, 0) == again, "the order of an epoch does not repeat itself")
        drawn = getattr(loader.sampler, "weights", None) is not None  # with replacement
        require(drawn or len(first) == len(set(first)), "an epoch trains on an image more than once")


def _check_split(loader: DataLoader[Any], name: str) -> None:
    dataset: Any = loader.dataset
    if not isinstance(loader.sampler, EvaluationSampler) or not hasattr(next(iter(loader)), "ids"):
        return
    ids = sorted(index for batch in loader for index in batch.ids.tolist())
    once = len(ids) == len(set(ids)) == len(dataset)
    require(once, f"{name} sees the images {ids}; expected each of {len(dataset)} once")
    for replicas in (1, 2, 3):
        seen = []
        for rank in range(replicas):
            sampler = EvaluationSampler(dataset, loader.sampler.batch_size, replicas, rank)
            seen += [index for request in sampler for index in dataset[request].ids.tolist()]
        require(sorted(seen) == ids, f"{replicas} processes see the {name} images {sorted(seen)}; expected {ids}")


def _check_statistics(datamodule: VisionDataModule, channels: int, size: tuple[int, int] | None) -> None:
    try:
        statistics = datamodule.statistics()
    except ArgumentError:  # it measures none, as the modes of normalisation that need them will say
        return
    for name in ("mean", "std"):
        value = getattr(statistics, name)
        within = value.shape == (channels,) and bool(((value >= 0) & (value <= 1)).all())
        require(within, f"statistics().{name} is {value}; expected {channels} values in 0 to 1, one per channel")
    shape = None if statistics.mean_image is None else (*statistics.mean_image.shape,)
    expected = (None,) if size is None else (None, (channels, *size))
    require(shape in expected, f"statistics().mean_image has shape {shape}; expected {expected[-1]}, as the images")
