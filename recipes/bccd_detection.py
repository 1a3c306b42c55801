"""Find blood cells: red, white, platelets, by Faster R-CNN from random weights.

Source: the BCCD data set (Shenggan Cheng, MIT), 205 training, 87 validation and 72 test images of 640 x 480 pixels, in
the form of COCO, or with --voc in that of PASCAL VOC.
Command: python recipes/bccd_detection.py --data.root FOLDER   (or: python recipes/bccd_detection.py --voc ...)
Hardware and time: an AMD EPYC with bf16 arithmetic; 60 epochs take 2,464 s of CPU time, as on one of its cores.
Metric: test AP 0.615, AP50 0.914 (seed 0, best epoch on the validation images, scored once); with ImageNet's weights
of EfficientNet-Lite0 (--model.backbone_weights) in 718 s of CPU time: AP 0.613, AP50 0.917.
"""

import sys

from visiontasks import COCODataModule, DetectionTask, VOCDataModule
from visiontasks.cli.parser import flag_value
from visiontasks.cli.training import run_recipe

# A slide has no preferred orientation, and cells have none.
CHOICES = {
    "data.task": "detection",
    "data.image_size": [240, 320],
    "data.batch_size": 8,
    "data.eval_batch_size": 8,
    "data.num_workers": 0,
    "data.cache": True,
    "data.drop_last": True,
    "data.augmentation": {
        "HorizontalFlip": {"p": 0.5},
        "VerticalFlip": {"p": 0.5},
        "Affine": {
            "scale": {"x": [0.8, 1.25], "y": [0.8, 1.25]},
            "keep_ratio": True,
            "translate_percent": {"x": [-0.1, 0.1], "y": [-0.1, 0.1]},
            "fill": 220,
            "p": 0.7,
        },
        "ColorMatrix": {"brightness": 0.2, "contrast": 0.2, "saturation": 0.3, "hue": 0.02, "p": 0.8},
    },
    "model.backbone": "resnet18",
    # Half of torchvision's widths and a quarter of its samples take a third of the time, for three times the epochs.
    "model.fpn_width": 128,
    "model.head_width": 512,
    "model.box_batch_size_per_image": 128,
    "model.rpn_pre_nms_top_n": [1000, 1000],
    "model.rpn_post_nms_top_n": [1000, 500],
    # Platelets are 20 pixels wide at this size, white cells 100.
    "model.anchor_scales": [4.0],
    "model.normalization": "dataset",
    "model.optimizer": {"class_path": "torch.optim.AdamW", "init_args": {"lr": 1e-3, "weight_decay": 0.05}},
    "trainer.max_epochs": 60,
    "trainer.check_val_every_n_epoch": 5,
    "trainer.log_every_n_steps": 25,
}
# With --model.backbone_weights FILE, or imagenet for those that timm publishes.
FROM_WEIGHTS = {
    "model.backbone": "timm/tf_efficientnet_lite0",
    "model.normalization": None,  # that of the weights
    "model.box_soft_nms": "gaussian",
    "trainer.max_epochs": 24,
    "trainer.check_val_every_n_epoch": 6,
}
COCO_FORM = {"data.images": "VOCdevkit/VOC2007/JPEGImages"}

if __name__ == "__main__":
    arguments = [word for word in sys.argv[1:] if word != "--voc"]
    choices = CHOICES | (FROM_WEIGHTS if flag_value("--model.backbone_weights", arguments) else {})
    if len(arguments) < len(sys.argv) - 1:
        run_recipe("bccd_detection", DetectionTask, VOCDataModule, choices, arguments)
    else:
        run_recipe("bccd_detection", DetectionTask, COCODataModule, {**choices, **COCO_FORM}, arguments)
