"""Codes of images by a trained network, their names, and the nearest neighbours of a code."""

from collections.abc import Iterable, Sequence
from dataclasses import replace
from importlib import import_module
from pathlib import Path
from typing import NamedTuple, Self

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Float, Int64, UInt8
from torch import Tensor

from visiontasks.backbones import Backbone
from visiontasks.embedding.embedding_predictor import EmbeddingPredictor, encode
from visiontasks.embedding.split_images import SplitImages
from visiontasks.errors import ArgumentError
from visiontasks.files import replacing
from visiontasks.prediction import load_task, on_device, predict_images, view_of
from visiontasks.prediction.images import ImageSource, read_source
from visiontasks.serialization import Source
from visiontasks.tasks.classification import ClassificationTask
from visiontasks.tasks.task import Task

Image = UInt8[Tensor, "channels height width"]


class Embeddings(NamedTuple):
    """Codes of images.

    Attributes:
        names: File of each image, its split and position in a data set, or its position among those given.
        codes: Code of each image; a code that is a map is averaged over its positions.
        labels: Class of each image; -1 if unknown.
    """

    names: list[str]
    codes: Float[Tensor, "images code"]
    labels: Int64[Tensor, " images"]


class Embedder:
    """A trained network that encodes images: an autoencoder, or the backbone of any other task.

    Images are resized as in the evaluation of the task.

    Args:
        task: The trained task. It is moved to the device and set to evaluation mode.
        device: Device to run on; by default a GPU if there is one.
        image_size: Height and width in pixels that images are resized to, in place of those of the task.

    Raises:
        ArgumentError: If the device does not exist, or it is not known how images are brought to the task.

    Example:
        >>> embedder = Embedder(ClassificationTask(2, backbone_options={"filters": [4, 8]}, image_size=(32, 32)))
        >>> embeddings, errors = embedder.embed([np.zeros((40, 50, 3), np.uint8), torch.zeros(3, 30, 30)])
        >>> embeddings.codes.shape
        torch.Size([2, 8])
    """

    def __init__(
        self, task: Task, device: str | torch.device | None = None, image_size: tuple[int, int] | None = None
    ) -> None:
        self.task = on_device(task, device).to(memory_format=torch.channels_last).eval()
        self.device = self.task.device
        self.predictor = EmbeddingPredictor(self.task, view_of(task, image_size))

    @classmethod
    def from_checkpoint(
        cls,
        source: Source,
        device: str | torch.device | None = None,
        image_size: tuple[int, int] | None = None,
        task_class: type[Task] | None = None,
    ) -> Self:
        """Load a checkpoint.

        Args:
            source: The checkpoint, see :func:`~visiontasks.prediction.load_task`.
            device: See the class.
            image_size: See the class.
            task_class: Class of the checkpoint's task; needed for tasks of your own.

        Raises:
            CheckpointError: If the file is missing, damaged, unsafe, or holds an unknown task.
        """
        return cls(load_task(source, task_class), device, image_size)

    @classmethod
    def from_backbone(
        cls,
        backbone: str | Backbone,
        weights: str | Path,
        device: str | torch.device | None = None,
        image_size: tuple[int, int] = (224, 224),
        in_channels: int = 3,
    ) -> Self:
        """Take a backbone with weights, and the normalisation that they expect.

        Args:
            backbone: The backbone or its name, see :class:`~visiontasks.tasks.task.Task`.
            weights: ``"imagenet"``, or a file, as ``backbone_weights`` of a task.
            device: See the class.
            image_size: See the class.
            in_channels: Channels of the images.

        Raises:
            ArgumentError: If there is no such backbone, or there are no such weights.
            CheckpointError: If the weights are damaged, unsafe, or those of another network.
            DownloadError: If published weights are not in the cache and cannot be downloaded.
        """
        # Of a task that is not trained, only the backbone is used.
        task = ClassificationTask(2, backbone=backbone, backbone_weights=weights, in_channels=in_channels)
        return cls(task, device, image_size)

    def read(self, image: ImageSource) -> Image:
        """Read an image as the network sees it.

        Raises:
            UnreadableFileError: If it cannot be read.
        """
        return self.predictor.view.show(read_source(image, self.predictor.reading())).image

    def embed(
        self, images: ImageSource | Iterable[ImageSource], batch_size: int | None = None
    ) -> tuple[Embeddings, list[str]]:
        """Encode images.

        Args:
            images: Images in any form, see :func:`~visiontasks.prediction.predict_images`.
            batch_size: Maximum number of images per batch; by default 64, or 1 if images keep their own sizes. Only
                images of the same size are encoded together.

        Returns:
            The codes of the images that can be read, and the errors of the others.

        Raises:
            ArgumentError: If something is not an image.
        """
        embeddings, errors, _ = self._embed(self.predictor, images, batch_size)
        return embeddings, errors

    def embed_split(self, images: SplitImages, batch_size: int | None = None) -> tuple[Embeddings, list[str]]:
        """Encode the images of a split of a data set, with their names and labels.

        Args:
            images: What :func:`~visiontasks.embedding.split_images.split_images` returns.
            batch_size: As of :meth:`embed`.
        """
        predictor = self.predictor
        if images.reading is not None:
            view = replace(predictor.view, value_range=images.reading.value_range, exif=images.reading.exif)
            predictor = EmbeddingPredictor(self.task, view)
        embeddings, errors, places = self._embed(predictor, images.sources, batch_size)
        return Embeddings([images.names[place] for place in places], embeddings.codes, images.labels[places]), errors

    def encode(self, images: Tensor) -> Float[Tensor, "images code"]:
        """Encode images of one size, shape [B, C, H, W], as the network sees them."""
        with torch.inference_mode():
            return encode(self.task, images.to(self.device)).cpu()

    @staticmethod
    def _embed(
        predictor: EmbeddingPredictor, images: ImageSource | Iterable[ImageSource], batch_size: int | None
    ) -> tuple[Embeddings, list[str], list[int]]:
        """Return codes, errors, and the positions of the images with codes."""
        names: list[str] = []
        codes: list[Tensor] = []
        errors: list[str] = []
        places: list[int] = []
        for place, prediction in enumerate(predict_images(predictor, images, batch_size=batch_size)):
            if prediction.error is None:
                names.append(str(prediction.name))
                codes.append(torch.tensor(prediction.code))
                places.append(place)
            else:
                errors.append(prediction.error)
        values = torch.stack(codes) if codes else torch.zeros(0, 0)
        return Embeddings(names, values, torch.full((len(names),), -1)), errors, places


def nearest(
    codes: Float[Tensor, "images code"], code: Float[Tensor, " code"], count: int
) -> tuple[Float[Tensor, " count"], Int64[Tensor, " count"]]:
    """Find the codes that are nearest to a query code by cosine similarity.

    Args:
        codes: The codes to search.
        code: The query code.
        count: Maximum number of codes to find.

    Returns:
        Cosine similarities in descending order, and the positions of these codes.

    Example:
        >>> nearest(torch.tensor([[1.0, 0.0], [0.0, 2.0]]), torch.tensor([0.0, 1.0]), 1)
        (tensor([1.]), tensor([1]))
    """
    cosines = (F.normalize(codes) @ F.normalize(code, dim=0)).topk(min(count, len(codes)))
    return cosines.values, cosines.indices


def save_embeddings(embeddings: Embeddings, path: Path, class_names: Sequence[str] = ()) -> None:
    """Write codes with their names, and with labels if there are any.

    Args:
        embeddings: The codes.
        path: ``.npz``: arrays ``files``, ``codes`` and, with labels, ``labels`` and ``class_names``. ``.parquet``:
            columns ``file``, ``code`` (a list of floats) and, with labels, ``label``; needs pyarrow.
        class_names: Names of the labels.

    Raises:
        ArgumentError: If the file has another suffix, or pyarrow is needed but missing.
    """
    check_output(path)
    labelled = bool((embeddings.labels >= 0).any())
    codes = embeddings.codes.float().numpy()
    if path.suffix == ".npz":
        arrays = {"files": np.array(embeddings.names, np.str_), "codes": codes}
        if labelled:
            arrays |= {"labels": embeddings.labels.numpy(), "class_names": np.array(class_names, np.str_)}
        with replacing(path) as part, part.open("wb") as stream:
            np.savez_compressed(stream, **arrays)  # type: ignore[arg-type]  # names of arrays, not its own options
        return
    arrow = import_module("pyarrow")
    size = codes.shape[1]
    columns = {
        "file": arrow.array(embeddings.names, arrow.string()),
        "code": arrow.FixedSizeListArray.from_arrays(arrow.array(codes.reshape(-1)), size),
    }
    if labelled:
        columns["label"] = arrow.array(embeddings.labels.numpy())
    with replacing(path) as part:
        import_module("pyarrow.parquet").write_table(arrow.table(columns), part)


def check_output(path: Path) -> None:
    """Check that codes can be written to a file of this name, before hours are spent computing them.

    Raises:
        ArgumentError: If they cannot be written.
    """
    if path.suffix not in (".npz", ".parquet"):
        message = f"Codes are written to a file of the suffix .npz or .parquet; found {str(path)!r}."
        raise ArgumentError(message)
    if path.suffix == ".parquet":
        try:
            import_module("pyarrow.parquet")
        except ImportError as error:
            message = (
                f"{str(path)!r} needs pyarrow, which is not installed: pip install 'visiontasks[parquet]', or write "
                ".npz, which needs nothing."
            )
            raise ArgumentError(message) from error
