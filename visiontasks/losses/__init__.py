"""Loss functions of the tasks."""

from typing import TYPE_CHECKING

from visiontasks.lazy import lazy_names

if TYPE_CHECKING:
    from visiontasks.losses.box import box_loss as box_loss
    from visiontasks.losses.classification import balanced_weights as balanced_weights
    from visiontasks.losses.classification import classification_loss as classification_loss
    from visiontasks.losses.dice import binary_dice_loss as binary_dice_loss
    from visiontasks.losses.dice import dice_loss as dice_loss
    from visiontasks.losses.focal import binary_focal_loss as binary_focal_loss
    from visiontasks.losses.focal import focal_loss as focal_loss
    from visiontasks.losses.lovasz import binary_lovasz as binary_lovasz
    from visiontasks.losses.lovasz import lovasz_softmax as lovasz_softmax
    from visiontasks.losses.reconstruction import ReconstructionLoss as ReconstructionLoss
    from visiontasks.losses.segmentation import SegmentationLoss as SegmentationLoss
    from visiontasks.losses.ssim import structural_similarity as structural_similarity
else:
    __all__, __getattr__, __dir__ = lazy_names(__name__)
