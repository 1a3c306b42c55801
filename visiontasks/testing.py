"""Contract testers: hold a backbone, a task or a data module of your own to what the library expects of it.

They need no test framework; each raises an :class:`AssertionError` that says what was found and what was expected.
"""

import tempfile
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from copy import deepcopy
from pathlib import Path
from typing import Any

import torch
from lightning.pytorch import Trainer
from torch import Tensor, nn
from torch.utils.data import DataLoader

from visiontasks.backbones import Backbone
from visiontasks.data.base import VisionDataModule
from visiontasks.data.samplers import EvaluationSampler
from visiontasks.tasks.base import Task

_Batch = Any  # each task has its own
_Nested = Any  # tensors, and any nesting of them
_ANNOTATIONS = ("labels", "boxes", "masks")


def check_backbone(
    backbone: Backbone, in_channels: int = 3, sizes: Sequence[tuple[int, int]] = ((64, 64), (97, 131), (48, 33))
) -> None:
    """Check that a backbone keeps the contract of :class:`~visiontasks.backbones.Backbone`.

    Channels and strides are as stated for every size, every parameter gets a gradient, evaluation is deterministic and
    treats each image by itself, and the weights load into a copy.

    Args:
        backbone: The backbone; it is left as it was.
        in_channels: Channels of the images.
        sizes: Heights and widths in pixels to try, at least one.

    Raises:
        AssertionError: If it does not keep the contract.

    Example:
        >>> from visiontasks import create_backbone
        >>> check_backbone(create_backbone("cnn", in_channels=1, filters=(8, 16)), in_channels=1)
    """
    backbone = deepcopy(backbone)
    channels, strides = backbone.channels, backbone.strides
    _require(
        type(channels) is type(strides) is tuple and 0 < len(channels) == len(strides),
        f"channels is {channels} and strides {strides}; expected two tuples with an entry for each feature map",
    )
    _require(
        all(stride > 0 and stride & (stride - 1) == 0 for stride in strides) and list(strides) == sorted(strides),
        f"strides is {strides}; expected powers of two, fine to coarse",
    )
    for height, width in sizes:
        images = torch.rand(2, in_channels, height, width)
        features = backbone.train()(images)
        expected = [(2, c, -(-height // s), -(-width // s)) for c, s in zip(channels, strides, strict=True)]
        found = [tuple(feature.shape) for feature in features]
        _require(found == expected, f"images of {height} x {width} give features {found}; expected {expected}")
    _check_gradients(backbone, [feature.square().mean() for feature in features])
    _check_evaluation(backbone.eval(), images)


def _check_gradients(module: nn.Module, terms: list[Tensor]) -> None:
    torch.autograd.backward(torch.stack(terms).sum())
    without = [name for name, value in module.named_parameters() if value.requires_grad and value.grad is None]
    _require(not without, f"no gradient reaches {without}; unused parameters stop training on several processes")
    module.zero_grad()


def _check_evaluation(backbone: Backbone, images: Tensor) -> None:
    with torch.no_grad():
        features = backbone(images)
        _require(_equal(features, backbone(images)), "two evaluations of the same images differ")
        mixed = backbone(torch.stack([images[0], 1 - images[1]]))
        close = all(torch.allclose(a[0], b[0], rtol=1e-4, atol=1e-5) for a, b in zip(features, mixed, strict=True))
        _require(close, "the features of an image depend on the other images of its batch")
        twin = deepcopy(backbone)
        for tensor in [*twin.parameters(), *twin.buffers()]:
            # Integers are indices that belong to the architecture, such as those of relative positions.
            if tensor.is_floating_point():
                tensor.zero_()
        twin.load_state_dict(backbone.state_dict())
        _require(_equal(features, twin(images)), "state_dict does not hold all that the features depend on")


def check_task(
    task: Task,
    batch: _Batch,
    load_arguments: Mapping[str, Any] | None = None,
) -> None:
    """Check that a task keeps the contract of :class:`~visiontasks.tasks.base.Task`.

    ``forward`` sees no labels; losses are named, finite scalars; outputs, losses and predictions have the same
    structure in training and evaluation; a training step changes the weights; an empty batch evaluates and counts for
    nothing; a checkpoint predicts what the task does.

    Args:
        task: The task, ready for training without a data module; it is left as it was.
        batch: A batch of at least two images.
        load_arguments: What ``load_from_checkpoint`` needs besides the file: the instances that were passed to the
            task.

    Raises:
        AssertionError: If it does not keep the contract.

    Example:
        >>> import torch
        >>> from visiontasks import ClassificationBatch, ClassificationTask
        >>> images = torch.randint(256, (4, 3, 32, 32), dtype=torch.uint8)
        >>> batch = ClassificationBatch(images, labels=torch.arange(4) % 3, ids=torch.arange(4))
        >>> check_task(ClassificationTask(num_classes=3), batch)
    """
    task = deepcopy(task).cpu()
    batch = task.as_batch(batch)
    _check_steps(task, batch)
    empty = type(batch)(*(field if field is None else field[:0] for field in batch))
    before = deepcopy(task.state_dict())
    with tempfile.TemporaryDirectory() as folder, warnings.catch_warnings():
        # What the Trainer advises about logging and workers is of no use for one batch.
        warnings.simplefilter("ignore")
        trainer = Trainer(
            accelerator="cpu",
            devices=1,
            max_steps=1,
            log_every_n_steps=1,
            logger=False,
            enable_checkpointing=False,
            enable_progress_bar=False,
            enable_model_summary=False,
            num_sanity_val_steps=0,
            default_root_dir=folder,
        )
        trainer.fit(task, _loader(batch), _loader(batch))
        changed = any(not torch.equal(parameter, before[name]) for name, parameter in task.named_parameters())
        _require(changed, "one training step changed no weight")
        alone = trainer.validate(task, _loader(batch), verbose=False)
        padded = trainer.validate(task, _loader(batch, empty), verbose=False)
        _require(repr(alone) == repr(padded), f"an empty batch changes the metrics {alone} to {padded}")
        path = Path(folder, "task.ckpt")
        trainer.save_checkpoint(path)
        loaded = type(task).load_from_checkpoint(path, **deepcopy(dict(load_arguments or {})))
    same = _equal(_predict(task, batch), _predict(loaded, batch))
    _require(same, "the task that a checkpoint holds predicts something else than the task that was saved")


def _check_steps(task: Task, batch: _Batch) -> None:
    flipped = batch._replace(**{name: getattr(batch, name).flip(0) for name in _ANNOTATIONS if hasattr(batch, name)})
    with torch.no_grad():
        outputs = task.eval()(*task.inputs(batch))
        same = _equal(outputs, task(*task.inputs(flipped)))
        _require(same, "what forward returns depends on the labels of the batch")
    structures = []
    for training in (True, False):
        outputs = task.train(training)(*task.inputs(batch))
        terms: Any = task.losses(outputs, batch)
        _require(
            isinstance(terms, dict) and len(terms) > 0 and all(isinstance(name, str) for name in terms),
            f"losses returned {terms}; expected a dict of named terms",
        )
        for name, term in terms.items():
            scalar = isinstance(term, Tensor) and term.ndim == 0 and bool(torch.isfinite(term))
            _require(scalar, f"the loss term {name!r} is {term}; expected a finite scalar tensor")
        structures.append((_structure(outputs), sorted(terms), _structure(task.predict(outputs))))
    _require(
        structures[0] == structures[1],
        f"outputs, losses and predictions are {structures[0]} in training, but {structures[1]} in evaluation",
    )
    _check_gradients(task, list(task.losses(task.train()(*task.inputs(batch)), batch).values()))


def check_datamodule(datamodule: VisionDataModule) -> None:
    """Check that a data module keeps the contract of :class:`~visiontasks.data.base.VisionDataModule`.

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
    _require(
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
        _require(within, f"statistics().{name} is {value}; expected {channels} values in 0 to 1, one per channel")
    mean_image = statistics.mean_image
    found = None if mean_image is None else tuple(mean_image.shape)
    expected = None if size is None else (channels, *size)
    _require(found == expected, f"statistics().mean_image has shape {found}; expected {expected}, as the images")


def _check_images(batch: _Batch, channels: int, size: tuple[int, int] | None) -> None:
    _require(hasattr(batch, "_fields"), f"a batch is a {type(batch).__name__}; expected a NamedTuple")
    images = batch.images
    _require(images.dtype == torch.uint8, f"images have dtype {images.dtype}; expected uint8, a quarter to transfer")
    fits = images.ndim == 4 and images.shape[1] == channels and (size is None or tuple(images.shape[2:]) == size)
    _require(fits, f"images have shape {list(images.shape)}; expected [batch, {channels}, {size or 'any size'}]")
    _check_annotations(batch)
    strides = f"images of shape {list(images.shape)} have strides {images.stride()}; expected channels-last memory"
    _require(images.is_contiguous(memory_format=torch.channels_last), strides)


def _check_annotations(batch: _Batch) -> None:
    if hasattr(batch, "sizes"):
        inside = bool(((batch.sizes > 0) & (batch.sizes <= torch.tensor(batch.images.shape[-2:]))).all())
        _require(inside, f"sizes is {batch.sizes.tolist()} in images of shape {list(batch.images.shape)}")
    if hasattr(batch, "boxes"):
        boxes = batch.boxes.reshape(len(batch.images), -1, 4)
        inside = bool(((boxes >= 0) & (boxes <= batch.sizes[:, None].flip(-1).repeat(1, 1, 2))).all())
        _require(inside, f"boxes {boxes.tolist()} reach out of images of {batch.sizes.tolist()}")


def _check_order(make_loader: Callable[[], DataLoader[Any]]) -> None:
    def order(loader: DataLoader[Any], epoch: int) -> list[int]:
        loader.sampler.set_epoch(epoch)  # type: ignore[attr-defined]  # the samplers of VisionDataModule have it
        return [index for batch in loader for index in batch.ids.tolist()]

    loader = make_loader()
    first = order(loader, 0)
    _require(first != order(loader, 1), "two epochs have the same training order")
    _require(first == order(loader, 0) == order(make_loader(), 0), "the order of an epoch does not repeat itself")
    _require(len(first) == len(set(first)), "an epoch trains on an image more than once")


def _check_split(datamodule: VisionDataModule) -> None:
    ids = sorted(index for batch in datamodule.val_dataloader() for index in batch.ids.tolist())
    once = len(ids) == len(set(ids)) == len(datamodule.val_set)
    _require(once, f"validation sees the images {ids}; expected each of {len(datamodule.val_set)} once")
    for loader in (datamodule.val_dataloader(), datamodule.test_dataloader()):
        message = f"evaluation samples with {type(loader.sampler).__name__}; expected an EvaluationSampler"
        _require(isinstance(loader.sampler, EvaluationSampler), message)
    for replicas in (1, 2, 3):
        seen = []
        for rank in range(replicas):
            sampler = EvaluationSampler(datamodule.val_set, datamodule.eval_batch_size, replicas, rank)
            seen += [index for request in sampler for index in datamodule.val_set[request].ids.tolist()]
        _require(sorted(seen) == ids, f"{replicas} processes see the validation images {sorted(seen)}; expected {ids}")


def _require(condition: bool, message: str) -> None:
    if not condition:
        raise AssertionError(message)


def _equal(one: _Nested, other: _Nested) -> bool:
    """Compare nestings of tensors bit for bit."""
    ours, theirs = list(_tensors(one)), list(_tensors(other))
    return len(ours) == len(theirs) and all(torch.equal(a, b) for a, b in zip(ours, theirs, strict=True))


def _tensors(value: _Nested) -> Iterator[Tensor]:
    if isinstance(value, Tensor):
        yield value
    elif isinstance(value, Mapping | Sequence) and not isinstance(value, str):
        for item in value.values() if isinstance(value, Mapping) else value:
            yield from _tensors(item)


def _structure(value: _Nested) -> object:
    """Describe the types in a nesting of tensors; how many items a list has does not matter."""
    if isinstance(value, Tensor):
        return f"{value.dtype} of {value.ndim} dimensions"
    if isinstance(value, Mapping):
        return {name: _structure(item) for name, item in value.items()}
    if isinstance(value, tuple):
        return type(value).__name__, [_structure(item) for item in value]
    if isinstance(value, list):
        return sorted({repr(_structure(item)) for item in value})
    return type(value).__name__


def _predict(task: Task, batch: _Batch) -> _Nested:
    with torch.no_grad():
        return task.eval().predict(task(*task.inputs(batch)))


def _loader(*batches: _Batch) -> DataLoader[Any]:
    return DataLoader(batches, batch_size=None)  # type: ignore[arg-type]  # a tuple is read like a Dataset
