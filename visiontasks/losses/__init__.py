"""Loss functions of the tasks."""

from typing import TYPE_CHECKING

from visiontasks.lazy import lazy_names

if TYPE_CHECKING:
    from visiontasks.losses.box import box_loss
    from visiontasks.losses.classification import balanced_weights, classification_loss
    from visiontasks.losses.dice import binary_dice_loss, dice_loss
    from visiontasks.losses.focal import binary_focal_loss, focal_loss
    from visiontasks.losses.lovasz import binary_lovasz, lovasz_softmax
    from visiontasks.losses.reconstruction import ReconstructionLoss
    from visiontasks.losses.segmentation import SegmentationLoss
    from visiontasks.losses.ssim import structural_similarity

_HOME = {
    "box_loss": "visiontasks.losses.box",
    "balanced_weights": "visiontasks.losses.classification",
    "classification_loss": "visiontasks.losses.classification",
    "binary_dice_loss": "visiontasks.losses.dice",
    "dice_loss": "visiontasks.losses.dice",
    "binary_focal_loss": "visiontasks.losses.focal",
    "focal_loss": "visiontasks.losses.focal",
    "binary_lovasz": "visiontasks.losses.lovasz",
    "lovasz_softmax": "visiontasks.losses.lovasz",
    "ReconstructionLoss": "visiontasks.losses.reconstruction",
    "SegmentationLoss": "visiontasks.losses.segmentation",
    "structural_similarity": "visiontasks.losses.ssim",
}

__all__ = [
    "ReconstructionLoss",
    "SegmentationLoss",
    "balanced_weights",
    "binary_dice_loss",
    "binary_focal_loss",
    "binary_lovasz",
    "box_loss",
    "classification_loss",
    "dice_loss",
    "focal_loss",
    "lovasz_softmax",
    "structural_similarity",
]

__getattr__, __dir__ = lazy_names(__name__, _HOME)
