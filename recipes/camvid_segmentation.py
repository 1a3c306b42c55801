"""Label every pixel of CamVid."""

from visiontasks import MaskFolderDataModule, SegmentationTask
from visiontasks.cli.training import run_recipe

CLASSES = [
    *("sky", "building", "pole", "road", "pavement", "tree", "sign", "fence", "car", "pedestrian", "bicyclist"),
]
CHOICES = {
    "data.class_names": CLASSES,
    "data.ignore_index": 11,
    "data.image_size": [240, 320],
    "data.crop_scale": [0.75, 1.5],
    "data.batch_size": 8,
    "data.eval_batch_size": 4,
    "data.cache": True,
    "model.backbone": "resnet18",
    "model.decoder_options": {"widths": [256, 128, 64, 32]},
    "model.class_weights": "median_frequency",
    "trainer.max_epochs": 30,
    "trainer.check_val_every_n_epoch": 3,
}

if __name__ == "__main__":
    run_recipe("camvid_segmentation", SegmentationTask, MaskFolderDataModule, CHOICES)
