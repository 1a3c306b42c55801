"""What a training starts from, in a line for somebody who knows neither the library nor its networks."""

import math
from typing import Any

from lightning.pytorch import Trainer

from visiontasks.backbones.published import PUBLISHED
from visiontasks.backbones.timm_backbone import TIMM
from visiontasks.tasks.autoencoding import AutoencodingTask
from visiontasks.tasks.task import Task

_SMALL = 64
"""Side of images in pixels, below which weights that were learnt on photographs are of little use."""


def describe_start(task: Task, image_size: tuple[int, int] | None) -> str | None:
    """Say that a network starts from random weights, and how it would start from published ones.

    Args:
        task: The task.
        image_size: Height and width in pixels of the images; None if it varies.

    Returns:
        The line; None if the weights are not those that the backbone was created with.
    """
    name = task.hparams.get("backbone")
    if not isinstance(name, str) or not task.backbone.is_untrained():
        return None
    text = f"The backbone {name}, the part of the network that looks at the images, starts from random weights"
    if isinstance(task, AutoencodingTask):
        return f"{text}, as is usual for autoencoders."
    if image_size is not None and max(image_size) < _SMALL:
        return f"{text}, as is usual for images as small as {image_size[0]} x {image_size[1]} pixels."
    flags = "--model.backbone_weights imagenet"
    if not _has_published(name):
        # SegNet's decoder takes the maps before each pooling.
        other = "vgg11-bn" if task.hparams.get("decoder") == "segnet" else "resnet18"
        flags = f"--model.backbone {other} {flags}"
    return (
        f"{text}. Weights learnt on the photographs of ImageNet usually need fewer images and fewer steps: {flags} "
        "(downloaded once)."
    )


def describe_figures(task: Task, *, validated: bool = True) -> str:
    """Say what the figures of each epoch are, and by which the best one is chosen.

    Args:
        task: The task.
        validated: Whether there will be a validation.
    """
    if not validated:
        return (
            "An epoch has a line: train/ are figures of the training images, and training lowers the loss. No "
            "validation will be run, so no epoch is called the best; last.ckpt keeps the last weights."
        )
    most = "highest" if task.monitor_mode == "max" else "lowest"
    return (
        "An epoch has a line: train/ are figures of the training images, val/ of the validation images, and training "
        f"lowers the loss. The epoch of the {most} {task.monitor} is the best, of equals the first; its weights are "
        "kept, and in last.ckpt those of the last epoch."
    )


def will_validate(trainer: Trainer) -> bool:
    """Return whether a training has a validation before it ends, as far as is known when it starts.

    Args:
        trainer: The Trainer, in ``on_train_start``.
    """
    every, epochs, steps = trainer.check_val_every_n_epoch, trainer.max_epochs, trainer.max_steps
    if not trainer.enable_validation:
        return False
    if every is not None and 0 <= (-1 if epochs is None else epochs) < every:
        return False
    batches, after = float(trainer.num_training_batches), trainer.val_check_batch
    if after is None or math.isinf(batches):  # by the time, or in a stream
        return True
    first = after if every is None else (every - 1) * batches + min(after, batches)
    return steps < 0 or steps * trainer.accumulate_grad_batches >= first


def _has_published(name: str) -> bool:
    if not name.startswith(TIMM):
        return name in PUBLISHED
    import timm  # which has created the backbone

    published: Any = timm.is_model_pretrained(name.removeprefix(TIMM))
    return bool(published)
