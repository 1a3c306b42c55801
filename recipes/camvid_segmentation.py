"""Label every pixel of CamVid's road scenes: 11 classes, from random weights.

Source: Brostow et al. 2008 as SegNet prepared it, 367 training, 101 validation and 233 test images of 360 x 480; the
validation frames lie between training frames, so that their scores are higher than those on the test images.
Command: python recipes/camvid_segmentation.py --data.root FOLDER
Hardware and time: an AMD EPYC with bf16 arithmetic; 96 epochs take 2,223 s of CPU time, as on one of its cores.
Metric: test mean IoU 0.549, global accuracy 0.872 (seed 0, best epoch on the validation images, scored once); with
ImageNet's weights of EfficientNet-Lite0 (--model.backbone_weights), in 1,834 s of CPU time: 0.632, accuracy 0.898.
"""

import sys

from visiontasks import MaskFolderDataModule, SegmentationTask
from visiontasks.cli.parser import flag_value
from visiontasks.cli.training import run_recipe

CHOICES = {
    "data.class_names": [
        *("sky", "building", "pole", "road", "pavement", "tree", "sign", "fence", "car", "pedestrian", "bicyclist"),
    ],
    "data.ignore_index": 11,
    # Half the image size, in training and in the test, at which an epoch costs a quarter.
    "data.scale": 0.5,
    "data.image_size": [128, 160],
    "data.crop_scale": [0.7, 1.8],
    "data.batch_size": 16,
    "data.eval_batch_size": 4,
    # Images are decoded once, which costs the training process less than workers would on 2 cores.
    "data.cache": True,
    "data.num_workers": 0,
    "model.backbone": "resnet18",
    # The test images are from another video than most training images, with different lighting.
    "model.normalization": "local_contrast",
    # Square roots of the class-balancing weights, which themselves favour rare classes over frequent ones too much.
    "model.class_weights": [0.53, 0.45, 2.19, 0.39, 1.0, 0.65, 1.96, 1.41, 0.89, 2.53, 2.97],
    "model.loss": {"cross_entropy": 1.0, "lovasz": 1.0},
    "model.optimizer": {"class_path": "torch.optim.AdamW", "init_args": {"lr": 3e-3, "weight_decay": 0.05}},
    "model.test_time_flips": "horizontal",
    "trainer.max_epochs": 96,
    "trainer.check_val_every_n_epoch": 8,
}

# With --model.backbone_weights FILE, or imagenet for those that timm publishes; three quarters of the image size.
FROM_WEIGHTS = {
    "data.scale": 0.75,
    "data.image_size": [192, 240],
    "data.batch_size": 4,
    "model.backbone": "timm/tf_efficientnet_lite0",
    "model.normalization": None,  # that of the weights
    "model.optimizer": {"class_path": "torch.optim.AdamW", "init_args": {"lr": 1e-3, "weight_decay": 0.05}},
    "trainer.max_epochs": 40,
    "trainer.check_val_every_n_epoch": 8,
}

if __name__ == "__main__":
    weights = FROM_WEIGHTS if flag_value("--model.backbone_weights", sys.argv[1:]) else {}
    run_recipe("camvid_segmentation", SegmentationTask, MaskFolderDataModule, CHOICES | weights)
