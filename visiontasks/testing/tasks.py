"""The contract of tasks."""

import tempfile
import warnings
from collections.abc import Mapping
from copy import deepcopy
from pathlib import Path
from typing import Any

import torch
from lightning.pytorch import Trainer
from torch import Tensor
from torch.utils.data import DataLoader

from visiontasks.tasks.task import Task
from visiontasks.testing.comparison import Nested, check_gradients, equal, require, structure

_Batch = Any  # each task has its own
_ANNOTATIONS = ("labels", "boxes", "masks")


def check_task(
    task: Task,
    batch: _Batch,
    load_arguments: Mapping[str, Any] | None = None,
) -> None:
    """Check that a task keeps the contract of :class:`~visiontasks.tasks.task.Task`.

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
        require(changed, "one training step changed no weight")
        alone = trainer.validate(task, _loader(batch), verbose=False)
        padded = trainer.validate(task, _loader(batch, empty), verbose=False)
        require(repr(alone) == repr(padded), f"an empty batch changes the metrics {alone} to {padded}")
        path = Path(folder, "task.ckpt")
        trainer.save_checkpoint(path)
        loaded = type(task).load_from_checkpoint(path, **deepcopy(dict(load_arguments or {})))
    same = equal(_predict(task, batch), _predict(loaded, batch))
    require(same, "the task that a checkpoint holds predicts something else than the task that was saved")


def _check_steps(task: Task, batch: _Batch) -> None:
    flipped = batch._replace(**{name: getattr(batch, name).flip(0) for name in _ANNOTATIONS if hasattr(batch, name)})
    with torch.no_grad():
        outputs = task.eval()(*task.inputs(batch))
        same = equal(outputs, task(*task.inputs(flipped)))
        require(same, "what forward returns depends on the labels of the batch")
    structures = []
    for training in (True, False):
        outputs = task.train(training)(*task.inputs(batch))
        terms: Any = task.losses(outputs, batch)
        require(
            isinstance(terms, dict) and len(terms) > 0 and all(isinstance(name, str) for name in terms),
            f"losses returned {terms}; expected a dict of named terms",
        )
        for name, term in terms.items():
            scalar = isinstance(term, Tensor) and term.ndim == 0 and bool(torch.isfinite(term))
            require(scalar, f"the loss term {name!r} is {term}; expected a finite scalar tensor")
        structures.append((structure(outputs), sorted(terms), structure(task.predict(outputs))))
    require(
        structures[0] == structures[1],
        f"outputs, losses and predictions are {structures[0]} in training, but {structures[1]} in evaluation",
    )
    check_gradients(task, list(task.losses(task.train()(*task.inputs(batch)), batch).values()))


def _predict(task: Task, batch: _Batch) -> Nested:
    with torch.no_grad():
        return task.eval().predict(task(*task.inputs(batch)))


def _loader(*batches: _Batch) -> DataLoader[Any]:
    return DataLoader(batches, batch_size=None)  # type: ignore[arg-type]  # a tuple is read like a Dataset
