"""Label every pixel of PASCAL VOC 2012: 20 classes and background.

Source: Everingham et al., 1,464 training and 1,449 validation images with masks; there is no public test split, and the
validation split stands in for it. ResNet-50 with a feature pyramid decoder, from ImageNet weights.
Command: python recipes/voc_segmentation.py --data.root FOLDER   (or --data.download true)
Hardware and time: meant for one GPU; not yet measured.
Metric: not yet measured.
"""

from visiontasks import SegmentationTask, VOCDataModule
from visiontasks.cli.training import run_recipe

CHOICES = {
    "data.task": "segmentation",
    "data.image_size": [480, 480],
    "data.batch_size": 16,
    # Images differ in size; padding them to the largest of a batch costs more than batching saves.
    "data.eval_batch_size": 1,
    "model.backbone": "resnet50",
    "model.backbone_weights": "imagenet",
    "model.backbone_lr_factor": 0.1,
    "model.decoder": "fpn",
    "model.auxiliary_weight": 0.4,
    "model.optimizer": {"class_path": "torch.optim.AdamW", "init_args": {"lr": 1e-3, "weight_decay": 0.05}},
    "trainer.max_epochs": 50,
    "trainer.check_val_every_n_epoch": 5,
}

if __name__ == "__main__":
    run_recipe("voc_segmentation", SegmentationTask, VOCDataModule, CHOICES)
