"""Checks of what a detector is made of."""

from visiontasks.errors import ArgumentError, check_choice


def check_choices(proposals: str, features: str, neck: str, design: str, arithmetic: str) -> None:
    """Check the parts of a detector that are given by name, see :class:`~visiontasks.tasks.detection.DetectionTask`.

    Raises:
        ArgumentError: If one is unknown, or they contradict each other.
    """
    for name, value, known in (
        ("proposals", proposals, ("rpn", "precomputed", "sliding-window")),
        ("features", features, ("shared", "per-region")),
        ("neck", neck, ("fpn", "none")),
        ("design", design, ("v1", "v2")),
        ("arithmetic", arithmetic, ("torchvision", "detectron2")),
    ):
        check_choice(name, value, known)
    if features == "per-region" and proposals == "rpn":
        message = (
            "features is 'per-region' and proposals 'rpn', which reads them off the shared maps. Use 'precomputed' "
            "proposals or a 'sliding-window'."
        )
        raise ArgumentError(message)
