"""A part of one's own of every kind."""

import torch
from lightning.pytorch import Callback
from torch import nn
from torchmetrics.classification import MulticlassAccuracy
from torchvision.transforms import v2

from visiontasks import Backbone, ClassificationTask, VisionDataModule
from visiontasks.data.datasets.memory import MemoryDataset
from visiontasks.decoders import Decoder


def central(predicted, target):
    middles = (predicted[:, :2] + predicted[:, 2:] - target[:, :2] - target[:, 2:]) / 2
    sides = target[:, 2:] - target[:, :2]
    return (middles / sides).square().sum(1) + (predicted - target).abs().mean(1) / sides.mean(1)


def wide(logits, masks):
    hard = nn.functional.cross_entropy(logits, masks.long(), ignore_index=255, reduction="none")
    return hard.flatten(1).topk(hard[0].numel() // 4).values.mean()  # the hardest quarter of the pixels


class TopThree(ClassificationTask):
    def __init__(self, num_classes, **kwargs):
        super().__init__(num_classes, **kwargs)
        self.add_metrics({"accuracy_top3": MulticlassAccuracy(num_classes, top_k=3, average="micro")})


class TwoLayers(ClassificationTask):
    def __init__(self, num_classes, width=64, **kwargs):
        super().__init__(num_classes, **kwargs)
        self.head.linear = nn.Sequential(
            nn.Linear(self.backbone.channels[-1], width), nn.ReLU(), nn.Linear(width, num_classes)
        )


class Nearest(Decoder):
    def __init__(self, channels, strides, num_outputs):
        super().__init__(channels, strides)
        self.scores = nn.ModuleList(nn.Conv2d(width, num_outputs, 1) for width in channels)

    def forward(self, features, size):
        maps = [score(feature) for score, feature in zip(self.scores, features, strict=True)]
        return sum(nn.functional.interpolate(one, size) for one in maps)


class Strided(Backbone):
    channels, strides = (8, 16), (2, 4)

    def __init__(self, in_channels=3):
        super().__init__()
        self.first = nn.Conv2d(in_channels, 8, 3, stride=2, padding=1)
        self.second = nn.Conv2d(8, 16, 3, stride=2, padding=1)

    def forward(self, images):
        fine = self.first(images).relu()
        return [fine, self.second(fine).relu()]


class Stripes(MemoryDataset):
    def __init__(self, count, seed):
        draw = torch.Generator().manual_seed(seed)
        labels = torch.randint(2, (count,), generator=draw)
        ramp = torch.arange(24) // 3 % 2 * 255
        images = torch.stack([ramp.expand(1, 24, 24).mT if label else ramp.expand(1, 24, 24) for label in labels])
        super().__init__(images.to(torch.uint8), labels)


class StripesModule(VisionDataModule):
    class_names = ("upright", "level")
    in_channels, image_size = 1, (24, 24)

    def setup(self, stage):
        self.train_set, self.val_set, self.test_set = Stripes(256, 0), Stripes(64, 1), Stripes(64, 2)


def pipeline():
    return v2.Compose([v2.RandomHorizontalFlip(), v2.RandomPerspective(0.1)])


class Freezing(Callback):
    def on_train_epoch_start(self, trainer, pl_module):
        for parameter in pl_module.backbone.parameters():
            parameter.requires_grad = trainer.current_epoch > 0
