"""Find blood cells by Fast R-CNN: proposals of selective search, then one network for class and box.

Source: Girshick 2015 (Fast R-CNN), Uijlings et al. 2013 (selective search); the BCCD data set in the form of COCO.
Command: first, once: visiontasks propose --data COCODataModule --data.root FOLDER --data.task detection
    --data.images VOCdevkit/VOC2007/JPEGImages --output cells.npy
    then: python recipes/selective_search_detection.py --data.root FOLDER --data.proposals cells.npy
Hardware and time: an AMD EPYC with bf16 arithmetic; the proposals of all 364 images take 909 s of CPU time, 30 epochs
1,024 s, as on one of its cores.
Metric: test AP 0.551, AP50 0.868 (seed 0, best epoch on the validation images, scored once).
"""

from visiontasks import COCODataModule, DetectionTask
from visiontasks.cli.training import run_recipe

CHOICES = {
    "data.task": "detection",
    "data.images": "VOCdevkit/VOC2007/JPEGImages",
    "data.image_size": [240, 320],
    "data.batch_size": 8,
    "data.eval_batch_size": 8,
    "data.num_workers": 0,
    "data.cache": True,
    "data.drop_last": True,
    "data.augmentation": "default",
    "model.proposals": "precomputed",
    "model.backbone": "resnet18",
    "model.fpn_width": 128,
    "model.head_width": 512,
    "model.box_batch_size_per_image": 128,
    "model.normalization": "dataset",
    "model.optimizer": {"class_path": "torch.optim.AdamW", "init_args": {"lr": 1e-3, "weight_decay": 0.05}},
    "trainer.max_epochs": 30,
    "trainer.check_val_every_n_epoch": 5,
    "trainer.log_every_n_steps": 25,
}

if __name__ == "__main__":
    run_recipe("selective_search_detection", DetectionTask, COCODataModule, CHOICES)
