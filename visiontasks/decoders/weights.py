"""Weights of a whole segmentation, including the decoder, also for other classes or channels."""

from pathlib import Path

from torch import nn

from visiontasks.backbones.input_channels import adapt_first
from visiontasks.backbones.matching import below
from visiontasks.backbones.weight_files import WeightsSource, read_weights_file
from visiontasks.state_dicts import check_fit, widened

_BACKBONE, _AUXILIARY = "backbone.", "auxiliary_head."


def read_segmentation(weights: str | Path) -> WeightsSource:
    """Read the weights of a segmentation.

    Args:
        weights: A file: a state dict or a checkpoint of a SegmentationTask.

    Raises:
        ArgumentError: If there is no such file.
        CheckpointError: If the file is damaged, unsafe, or contains no weights.
    """
    expected = (
        "the path of a state dict or of a checkpoint of a segmentation; published weights of a backbone are given as "
        "backbone_weights"
    )
    source = read_weights_file(weights, "weights", expected)
    return source._replace(weights=below(source.weights, "decoder") or source.weights)


def load_segmentation(task: nn.Module, source: WeightsSource, outputs: int) -> str:
    """Load the weights of backbone and decoder; the first convolution is adapted to the channels of the images.

    Args:
        task: A module with ``backbone`` and ``decoder``; changed in place.
        source: The weights of another segmentation. If it has another number of classes, layers with one output per
            class stay randomly initialised; an auxiliary classifier that only one of the two has is left unchanged.
        outputs: Number of logits per pixel.

    Returns:
        A sentence that describes what was loaded.

    Raises:
        CheckpointError: If the weights do not fit this backbone and decoder; in that case nothing is loaded.
    """
    state = task.state_dict()
    both = all(any(key.startswith(_AUXILIARY) for key in keys) for keys in (state, source.weights))
    parts = (_BACKBONE, "decoder.", _AUXILIARY) if both else (_BACKBONE, "decoder.")
    expected, given = (
        {key: value for key, value in of.items() if key.startswith(parts)}
        for of in (state, widened(source.weights, state))
    )
    adapted = adapt_first(task.get_submodule("backbone"), given, _BACKBONE)
    differ = {key for key in expected.keys() & given.keys() if expected[key].shape != given[key].shape}
    per_class = {key for key in differ if not key.startswith(_BACKBONE) and len(expected[key]) == outputs}
    if len({len(given[key]) for key in per_class}) == 1:
        expected, given = (
            {key: value for key, value in of.items() if key not in per_class} for of in (expected, given)
        )
    check_fit(
        expected,
        given,
        f"The weights from {source.origin} are not those of this segmentation",
        "Create the task with the backbone and the decoder that they were made with, or start from the backbone alone "
        "with backbone_weights.",
        file="source",
        model="task",
    )
    task.load_state_dict({**state, **given})
    layers = sorted({key.rpartition(".")[0] for key in per_class})
    left_out = f"left at random for other classes: {', '.join(layers)}" if layers else None
    return f"Weights of the segmentation from {'; '.join(filter(None, (source.origin, adapted, left_out)))}."
