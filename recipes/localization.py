"""Say which playing card lies where: one class and one box per photograph.

Source: the single-card photographs of Edje Electronics' TensorFlow object detection tutorial (Apache-2.0) in the form
of PASCAL VOC, 147 training, 33 validation and 30 test images of six ranks; without them generated shapes.
Command: python recipes/localization.py --data.root FOLDER   (or without --data.root, for shapes)
Hardware and time: 2 cores of an AMD EPYC with bf16 arithmetic, 300 epochs in 537 s.
Metric: test mean IoU 0.784, 0.794 and 0.812, localization accuracy 0.700, 0.633 and 0.733 (seeds 0, 1 and 2, best epoch
on the validation images, each scored once); with ImageNet's weights of EfficientNet-Lite0 (--model.backbone_weights),
in 523 s of CPU time: 0.790, 0.766 and 0.816, accuracy 0.800, 0.767 and 0.833.
"""

import sys

from visiontasks import LocalizationTask, ShapesDataModule, VOCDataModule
from visiontasks.cli.parser import flag_value
from visiontasks.cli.training import run_recipe

# Cards lie on the table at any angle, so a quarter turn is as good a photograph; the box stays exact. A card that is
# already turned within its box gets a loose one from other angles, hence only small ones.
CARDS = {
    "data.task": "localization",
    "data.image_size": [160, 160],
    "data.batch_size": 16,
    "data.eval_batch_size": 33,
    "data.drop_last": True,
    "data.num_workers": 0,
    "data.cache": True,
    "data.augmentation": {
        "RandomRotate90": {"p": 0.5},
        "Affine": {
            "rotate": [-12, 12],
            "scale": {"x": [0.7, 1.5], "y": [0.7, 1.5]},
            "keep_ratio": True,
            "translate_percent": {"x": [-0.2, 0.2], "y": [-0.2, 0.2]},
            "shear": {"x": [-6, 6], "y": [-6, 6]},
            "p": 0.9,
        },
        "ColorMatrix": {"brightness": 0.4, "contrast": 0.4, "saturation": 0.4, "hue": 0.03, "p": 0.8},
        "GaussianBlur": {"sigma_limit": [0.3, 1.5], "p": 0.1},
        "CoarseDropout": {
            "num_holes_range": [1, 2],
            "hole_height_range": [0.05, 0.2],
            "hole_width_range": [0.05, 0.2],
            "fill": "random_uniform",
            "p": 0.3,
        },
    },
    "model.backbone": "resnet18",
    "model.box_weight": 2.0,
    "model.label_smoothing": 0.1,
    "model.optimizer": {"class_path": "torch.optim.AdamW", "init_args": {"lr": 2e-3, "weight_decay": 0.05}},
    "trainer.max_epochs": 300,
    "trainer.check_val_every_n_epoch": 20,
    "trainer.log_every_n_steps": 9,
}
# With --model.backbone_weights FILE, or imagenet for those that timm publishes.
FROM_WEIGHTS = {
    "model.backbone": "timm/tf_efficientnet_lite0",
    "model.box_weight": 4.0,
    "trainer.max_epochs": 90,
    "trainer.check_val_every_n_epoch": 15,
}
SHAPES = {
    "data.task": "localization",
    "data.batch_size": 64,
    "model.backbone": "cnn",
    "model.backbone_options": {"filters": [16, 32, 64, 64], "depth": 1},
    "model.box_weight": 2.0,
    "model.normalization": "dataset",
    "model.optimizer": {"class_path": "torch.optim.AdamW", "init_args": {"lr": 5e-3, "weight_decay": 0.05}},
    "trainer.max_epochs": 12,
    "trainer.log_every_n_steps": 10,
}

if __name__ == "__main__":
    arguments = sys.argv[1:]
    if flag_value("--data.root", arguments) or "--fast" in arguments:
        weights = FROM_WEIGHTS if flag_value("--model.backbone_weights", arguments) else {}
        run_recipe("localization", LocalizationTask, VOCDataModule, CARDS | weights)
    else:
        run_recipe("localization", LocalizationTask, ShapesDataModule, SHAPES)
