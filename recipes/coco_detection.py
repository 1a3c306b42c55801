"""Detect the 80 classes of COCO by Faster R-CNN with ResNet-50 and a pyramid: the 1x schedule, for a cluster.

Source: Lin et al. 2014; train2017 and val2017. The schedule is Detectron2's faster_rcnn_R_50_FPN_1x: 90,000 steps of 16
images, learning rate 0.02 after a linear warm-up of 1,000 steps, a tenth of it from step 60,000 and a hundredth from
80,000; the batch norms and the two finest stages of the backbone keep the weights that they start from.
Command: torchrun --nproc_per_node 8 recipes/coco_detection.py --data.root FOLDER --trainer.devices 8
    --trainer.strategy ddp --model.backbone_weights imagenet; one process with --data.batch_size 16 trains alike.
Cluster: sbatch recipes/cluster/train.slurm recipes/coco_detection.py
Hardware and time: not yet measured.
Metric: not yet measured (published: box AP 0.379 with Detectron2, 0.370 with torchvision's schedule).
"""

from visiontasks import COCODataModule, DetectionTask
from visiontasks.cli.training import run_recipe

CHOICES = {
    "data.task": "detection",
    "data.augmentation": "multiscale",
    # Per process, for 8 processes.
    "data.batch_size": 2,
    "data.drop_last": True,
    "model.backbone": "resnet50",
    "model.freeze": 2,
    "model.freeze_norms": True,
    "model.optimizer": {
        "class_path": "torch.optim.SGD",
        "init_args": {"lr": 0.02, "momentum": 0.9, "weight_decay": 1e-4},
    },
    "model.lr_scheduler": {
        "class_path": "torch.optim.lr_scheduler.MultiStepLR",
        "init_args": {"milestones": [60000, 80000], "gamma": 0.1},
    },
    "model.lr_interval": "step",
    "model.warmup": 1000 / 90000,
    "trainer.max_epochs": -1,
    "trainer.max_steps": 90000,
}

if __name__ == "__main__":
    run_recipe("coco_detection", DetectionTask, COCODataModule, CHOICES)
