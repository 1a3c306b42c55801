"""Detect the 20 classes of PASCAL VOC by Faster R-CNN with ResNet-50 and a pyramid.

Source: Everingham et al. 2010; the training images to train on, the validation images to choose by, and the test images
(of 2007) to score. Ren et al. 2015 train on both years: --data.year '[2007, 2012]' --data.train trainval
--data.val test, which chooses by the test images.
Command: python recipes/voc_detection.py --data.root FOLDER --model.backbone_weights imagenet
    (--data.download true fetches them; VOC's own files are written by
    --trainer.callbacks+=visiontasks.callbacks.DetectionResults --trainer.callbacks.form voc)
Cluster: sbatch recipes/cluster/train.slurm recipes/voc_detection.py
Hardware and time: not yet measured.
Metric: not yet measured (published: mAP 0.699 with VGG-16 on 2007 trainval; Ren et al. 2015).
"""

from visiontasks import DetectionTask, VOCDataModule
from visiontasks.cli.training import run_recipe

CHOICES = {
    "data.task": "detection",
    "data.shorter": 600,
    "data.longer": 1000,
    "data.batch_size": 4,
    "model.backbone": "resnet50",
    "model.freeze": 2,
    "model.optimizer": {
        "class_path": "torch.optim.SGD",
        "init_args": {"lr": 5e-3, "momentum": 0.9, "weight_decay": 1e-4},
    },
    "trainer.max_epochs": 12,
}

if __name__ == "__main__":
    run_recipe("voc_detection", DetectionTask, VOCDataModule, CHOICES)
