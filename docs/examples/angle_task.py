"""The angle of a bar in an image: a task with its own batches, predictions, pictures, table and data."""

from typing import NamedTuple

import torch
from PIL import Image, ImageDraw
from torch import Tensor, nn
from torchmetrics import MeanMetric

from visiontasks import Kind, Task
from visiontasks.visualization import from_pillow, grid, to_pillow


class AngleBatch(NamedTuple):
    images: Tensor  # [B, C, H, W]
    angles: Tensor  # [B], degrees from 0 to 180, counterclockwise from horizontal
    ids: Tensor  # [B], numbers of the images


class AnglePredictions(NamedTuple):
    angles: Tensor  # [B], degrees


def errors(batch, predictions):
    return 90 - ((predictions.angles - batch.angles) % 180 - 90).abs()


def draw_bar(picture, angle, color, width):
    turn = torch.deg2rad(angle)
    x, y = (0.4 * picture.width * turn.cos()).item(), (0.4 * picture.width * turn.sin()).item()
    middle = picture.width / 2
    ImageDraw.Draw(picture).line((middle - x, middle + y, middle + x, middle - y), fill=color, width=width)


def draw(batch, predictions, class_names):
    pictures = [to_pillow(image).resize((96, 96)) for image in batch.images]
    for picture, true, predicted in zip(pictures, batch.angles, predictions.angles, strict=True):
        if true.isfinite():  # it is unknown of files that are predicted
            draw_bar(picture, true, "lime", 3)
        draw_bar(picture, predicted, "red", 3)
    titles = [f"{angle:.1f}°" for angle in predictions.angles.tolist()]
    return grid([from_pillow(picture) for picture in pictures], titles)


class AngleTask(Task):
    batch_type = AngleBatch
    monitor = "val/error"
    kind = Kind(
        draw=draw,
        quality=lambda batch, predictions: ("minus the error in degrees", -errors(batch, predictions)),
        row=lambda predictions, class_names: {"angle": round(predictions.angles.item(), 1)},
    )

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.head = nn.Linear(self.backbone.channels[-1], 2)
        self.add_metrics({"error": MeanMetric()})

    def forward(self, images):
        return self.head(self.backbone(self.normalize(images))[-1].mean((2, 3)))

    def losses(self, outputs, batch):
        double = torch.deg2rad(2 * batch.angles)  # half a turn leaves a bar as it is
        return {"direction": nn.functional.mse_loss(outputs, torch.stack([double.cos(), double.sin()], 1))}

    def predict(self, outputs):
        return AnglePredictions(torch.rad2deg(torch.atan2(outputs[:, 1], outputs[:, 0])) / 2 % 180)

    def update_metrics(self, predictions, batch):
        self.metrics.update(errors(batch, predictions))


def bars(count, seed):
    angles = 180 * torch.rand(count, generator=torch.Generator().manual_seed(seed))
    pictures = [Image.new("RGB", (32, 32)) for _ in angles]
    for picture, angle in zip(pictures, angles, strict=True):
        draw_bar(picture, angle, "white", 5)
    return [AngleBatch(from_pillow(picture), angles[index], index) for index, picture in enumerate(pictures)]
