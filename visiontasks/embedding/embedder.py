"""Codes of images from an autoencoder's checkpoint, their file names, and the nearest neighbours of a code."""

from collections.abc import Callable, Iterable, Sequence
from importlib import import_module
from pathlib import Path
from typing import Any, NamedTuple, Self

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Float, Int64, UInt8
from torch import Tensor

from visiontasks.errors import ArgumentError
from visiontasks.files import replacing
from visiontasks.heads.code import embedding
from visiontasks.prediction import create_predictor, load_task, on_device, predict_images
from visiontasks.serialization import Source
from visiontasks.tasks.autoencoding import AutoencodingTask
from visiontasks.types import labels_of

Image = UInt8[Tensor, "channels height width"]


class Embeddings(NamedTuple):
    """Codes of images.

    Attributes:
        names: File of each image, or its split and position in a data set.
        codes: Code of each image; a code that is a map is averaged over its positions.
        labels: Class of each image; -1 if unknown.
    """

    names: list[str]
    codes: Float[Tensor, "images code"]
    labels: Int64[Tensor, " images"]


class Embedder:
    """A trained autoencoder that encodes images.

    Files are resized as in the evaluation of the task.

    Args:
        task: The trained task.
        device: Device to run on; by default a GPU if there is one.

    Raises:
        ArgumentError: If the task is not an autoencoding task, or the device does not exist.
    """

    def __init__(self, task: Any, device: str | torch.device | None = None) -> None:  # noqa: ANN401 (checked below)
        if not isinstance(task, AutoencodingTask):
            message = f"Codes are those of an AutoencodingTask; the checkpoint holds {type(task).__name__}."
            raise ArgumentError(message)
        self.task = on_device(task, device).eval()
        self.device = self.task.device
        self.predictor = create_predictor(self.task, device=self.device)

    @classmethod
    def from_checkpoint(cls, source: Source, device: str | torch.device | None = None) -> Self:
        """Load a checkpoint.

        Args:
            source: The checkpoint, see :func:`~visiontasks.prediction.load_task`.
            device: Device to run on; by default a GPU if there is one.

        Raises:
            CheckpointError: If the file is missing, damaged, unsafe, or holds an unknown task.
            ArgumentError: If it holds a task other than autoencoding.
        """
        return cls(load_task(source), device)

    def read(self, file: Path) -> Image:
        """Read an image file as the task sees it.

        Raises:
            UnreadableFileError: If it cannot be read.
        """
        return self.predictor.view.read(file, self.task.in_channels).image

    def embed_files(self, files: Sequence[Path], batch_size: int | None = None) -> tuple[Embeddings, list[str]]:
        """Encode image files; see :func:`~visiontasks.prediction.predict_images`.

        Args:
            files: The files.
            batch_size: Number of images per batch; by default 64, or 1 if files keep their own sizes. Of those only
                files of the same size are encoded together.

        Returns:
            The codes of the files that can be read, and the errors of the others.
        """
        names: list[str] = []
        codes: list[tuple[float, ...] | None] = []
        errors: list[str] = []
        for prediction in predict_images(self.predictor, files, batch_size=batch_size):
            if prediction.error is None:
                names.append(str(prediction.name))
                codes.append(prediction.code)
            else:
                errors.append(prediction.error)
        values = torch.tensor(codes).reshape(-1, self.task.code_size)
        return Embeddings(names, values, torch.full((len(names),), -1)), errors

    def embed_batches(self, batches: Iterable[Any], name: Callable[[int], str]) -> Embeddings:
        """Encode the batches of a data set.

        Args:
            batches: Batches of any task.
            name: Function that returns the name of an image from its id.
        """
        names: list[str] = []
        codes: list[Tensor] = []
        labels: list[Tensor] = []
        for batch in batches:
            codes.append(self.encode(batch.images))
            labels.append(labels_of(batch))
            names += [name(index) for index in batch.ids.tolist()]
        return Embeddings(names, torch.cat(codes), torch.cat(labels))

    def encode(self, images: Tensor) -> Float[Tensor, "images code"]:
        """Encode images of one size, shape [B, C, H, W]."""
        with torch.inference_mode():
            return embedding(self.task.encode(images.to(self.device))).cpu()


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
