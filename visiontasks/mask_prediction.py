"""A segmentation checkpoint on image files: one mask per image, at its size."""

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple, Self

import numpy as np
import torch
from jaxtyping import UInt8
from PIL import Image
from torch import Tensor

from visiontasks.data.images import MAX_PIXELS, read_pixels
from visiontasks.errors import ArgumentError, DataError
from visiontasks.tasks.averaging import check_averaging
from visiontasks.tasks.segmentation import SegmentationTask
from visiontasks.tasks.sliding_window import slide
from visiontasks.visualization import index_image, overlay


class MaskPrediction(NamedTuple):
    """What a segmentation says of a file.

    Attributes:
        file: The file.
        image: Its pixels; None when it could not be read.
        labels: Class of each pixel; multilabel: for each class whether a pixel belongs to it.
        error: Why the file could not be read; None when it could.
    """

    file: Path
    image: UInt8[Tensor, "channels height width"] | None
    labels: UInt8[Tensor, "height width"] | UInt8[Tensor, "classes height width"] | None
    error: str | None = None


class MaskPredictor:
    """A trained segmentation for images of any size.

    Args:
        task: The task, with its weights.
        window: Height and width in pixels of the windows that an image is cut into, such as (512, 512), so that any
            image fits into memory; None for the whole image at once.
        overlap: Share of a window that the next one covers again, 0 to 0.9; there one fades into the other.
        flip: Whether to average the probabilities with those of the mirrored image; by default as the task has it.
        scales: Factors of the size whose probabilities are averaged; by default as the task has it.
        batch_size: Windows that are computed at once.
        device: Where it runs; by default a GPU if there is one.

    Raises:
        ArgumentError: If an argument is out of range.

    Example:
        >>> task = SegmentationTask(num_classes=5, backbone_options={"filters": [4, 8]})
        >>> predictor = MaskPredictor(task, window=(64, 64), device="cpu")
        >>> predictor.segment(torch.zeros(3, 150, 100, dtype=torch.uint8)).shape
        torch.Size([150, 100])
    """

    def __init__(
        self,
        task: SegmentationTask,
        *,
        window: tuple[int, int] | None = None,
        overlap: float = 0.25,
        flip: bool | None = None,
        scales: Sequence[float] | None = None,
        batch_size: int = 1,
        device: str | torch.device | None = None,
    ) -> None:
        self.device = torch.device(device or ("cuda" if torch.cuda.is_available() else "cpu"))
        self.task = task.to(self.device, memory_format=torch.channels_last).eval()
        self.window = window
        self.overlap = overlap
        self.batch_size = batch_size
        if batch_size < 1:
            message = f"batch_size is {batch_size}; expected at least 1."
            raise ArgumentError(message)
        if flip is not None:
            self.task.test_flip = flip
        if scales is not None:
            check_averaging(scales)
            self.task.test_scales = tuple(scales)
        self.class_names = task.class_names or [str(index) for index in range(task.num_classes)]

    @classmethod
    def from_checkpoint(cls, path: str | Path, task: type[SegmentationTask] = SegmentationTask) -> Self:
        """Load a checkpoint, to predict whole images with.

        Args:
            path: The checkpoint.
            task: Its class; needed for tasks of your own.

        Raises:
            CheckpointError: If the file is missing, damaged or unsafe.
        """
        return cls(task.load_from_checkpoint(path))

    @torch.inference_mode()
    def segment(
        self, image: UInt8[Tensor, "channels height width"]
    ) -> UInt8[Tensor, "height width"] | UInt8[Tensor, "classes height width"]:
        """Find the class of each pixel.

        With a window, memory beyond image and result does not grow with the height of the image.

        Args:
            image: The image.

        Returns:
            Class of each pixel; multilabel: for each class whether the pixel belongs to it, 1 or 0.
        """
        layers = (self.task.num_classes,) if self.task.mode == "multilabel" else ()
        labels = torch.empty(*layers, *image.shape[1:], dtype=torch.uint8)
        row = 0
        rows = slide(
            lambda windows: self.task.probabilities(windows.to(self.device)),
            image,
            window=self.window,
            overlap=self.overlap,
            multiple=max(self.task.backbone.strides),
            batch_size=self.batch_size,
        )
        for probabilities in rows:
            end = row + probabilities.shape[1]
            labels[..., row:end, :] = self._decide(probabilities)
            row = end
        return labels

    def predict(self, files: Iterable[Path], max_pixels: int = MAX_PIXELS) -> Iterator[MaskPrediction]:
        """Segment image files; a file that cannot be read gives a prediction with an error.

        Args:
            files: The files.
            max_pixels: Most pixels that an image may have.

        Yields:
            One prediction per file, in order.
        """
        for file in files:
            try:
                pixels = read_pixels(file, self.task.in_channels, max_pixels)
            except DataError as error:
                yield MaskPrediction(file, None, None, str(error))
                continue
            image = torch.from_numpy(np.ascontiguousarray(pixels)).permute(2, 0, 1)
            yield MaskPrediction(file, image, self.segment(image))

    def save(self, prediction: MaskPrediction, target: Path, overlays: Path | None = None) -> list[Path]:
        """Write the mask of an image as PNG, whose pixels are classes and whose palette is that of PASCAL VOC.

        Args:
            prediction: What :meth:`predict` yields, of a file that could be read.
            target: The mask's file; for multilabel one per class is written, ``NAME_CLASS.png``.
            overlays: File of a picture of the image with its classes in colour, if any.

        Returns:
            The files.
        """
        assert prediction.labels is not None
        assert prediction.image is not None
        layers = {target: prediction.labels}
        if prediction.labels.ndim == 3:
            names = zip(self.class_names, prediction.labels, strict=True)
            layers = {target.with_name(f"{target.stem}_{name}.png"): layer for name, layer in names}
        target.parent.mkdir(parents=True, exist_ok=True)
        for file, layer in layers.items():
            index_image(layer).save(file)
        if overlays is None:
            return list(layers)
        overlays.parent.mkdir(parents=True, exist_ok=True)
        picture = overlay(prediction.image, prediction.labels, self.class_names)
        Image.fromarray(picture.permute(1, 2, 0).contiguous().numpy()).save(overlays)
        return [*layers, overlays]

    def _decide(self, probabilities: Tensor) -> Tensor:
        if self.task.mode == "multiclass":
            return probabilities.max(0).indices.to(torch.uint8)
        decisions = (probabilities >= self.task.threshold).to(torch.uint8)
        return decisions if self.task.mode == "multilabel" else decisions[0]


def target_names(files: Sequence[Path]) -> list[Path]:
    """Name the results of files: by their own names, with as much of their folders as tells them apart.

    Example:
        >>> [str(name) for name in target_names([Path("a/x.jpg"), Path("b/x.jpg")])]
        ['a/x.png', 'b/x.png']
        >>> [str(name) for name in target_names([Path("a/x.jpg"), Path("a/x.png")])]
        ['x.jpg.png', 'x.png.png']
    """
    absolute = [file.absolute() for file in files]
    if not absolute:
        return []
    shared = absolute[0].parent
    while not all(file.is_relative_to(shared) for file in absolute):
        shared = shared.parent
    named = [file.relative_to(shared) for file in absolute]
    targets = [name.with_suffix(".png") for name in named]
    if len(set(targets)) == len(targets):
        return targets
    return [name.with_name(f"{name.name}.png") for name in named]
