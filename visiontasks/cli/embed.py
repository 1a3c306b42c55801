"""``visiontasks embed``: codes of images from the checkpoint of an autoencoder, and nearest neighbours of an image."""

import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from torch import Tensor
from torch.nn.functional import interpolate

from visiontasks.cli.data import parse_data
from visiontasks.cli.parser import Parser, flag_value
from visiontasks.data.datasets.file_dataset import FileDataset
from visiontasks.data.loading.samplers import BatchRequest
from visiontasks.data.vision_data import VisionData
from visiontasks.embedding.embedder import Embedder, Embeddings, check_output, nearest, save_embeddings
from visiontasks.errors import ArgumentError
from visiontasks.prediction import find_files
from visiontasks.visualization import check_picture_file, draw_neighbours, save_picture


def main(command: str, arguments: Sequence[str]) -> int:
    """Encode image files or a split of a data set, write the codes, and draw the nearest neighbours of one image.

    Args:
        command: ``"embed"``.
        arguments: The command line after it.

    Returns:
        The exit code: 0 when every file was encoded, 1 when some could not be read.
    """
    description = "Encode image files, or a data set (--data and its flags), with the checkpoint of an autoencoder."
    data, options = parse_data(command, description, arguments, _add_options)
    configured = any(flag_value(flag, arguments) for flag in ("--data", "--config"))
    if bool(options.sources) == configured:
        message = "Give either image files, folders or patterns after the checkpoint, or a data set by --data."
        raise ArgumentError(message)
    if options.output is None and options.neighbours is None:
        message = "There is nothing to do with the codes: give --output codes.npz, or --neighbours IMAGE."
        raise ArgumentError(message)
    if options.n < 1:
        message = f"--n is {options.n}; expected at least 1."
        raise ArgumentError(message)
    if options.output is not None:
        check_output(options.output)
    if options.neighbours is not None:
        check_picture_file(options.picture)
    embedder = Embedder.from_checkpoint(options.checkpoint, options.device)
    errors: list[str] = []
    show: Callable[[int], Tensor]
    if configured:
        embeddings, show = _data_set(embedder, data, options.split)
    else:
        embeddings, errors = embedder.embed_files(find_files(options.sources), options.batch_size)

        def show(index: int) -> Tensor:
            return embedder.read(Path(embeddings.names[index]))

    for error in errors:
        print(f"skipped: {error}", file=sys.stderr)
    if options.output is not None and embeddings.names:
        save_embeddings(embeddings, options.output, embedder.task.class_names or ())
        print(f"written: {options.output} ({len(embeddings.names)} codes of {embeddings.codes.shape[1]} numbers)")
    if options.neighbours is not None and embeddings.names:
        _neighbours(embedder, embeddings, show, options)
    return 1 if errors else 0


def _data_set(embedder: Embedder, data: VisionData, split: str) -> tuple[Embeddings, Callable[[int], Tensor]]:
    embedder.task.check_data(data)
    data.prepare_data()
    data.setup("test" if split == "test" else "fit")
    dataset: Any = data.plain_train_set() if split == "train" else getattr(data, f"{split}_set")
    loaders = {"train": data.unaugmented_dataloader, "val": data.val_dataloader, "test": data.test_dataloader}

    def name(image: int) -> str:
        return str(dataset.index.file(image)) if isinstance(dataset, FileDataset) else f"{split}/{image}"

    embeddings = embedder.embed_batches(loaders[split](), name)
    return embeddings, lambda index: dataset[BatchRequest([index], epoch=0)].images[0]


def _neighbours(embedder: Embedder, embeddings: Embeddings, show: Callable[[int], Tensor], options: Any) -> None:  # noqa: ANN401 (of jsonargparse)
    image = embedder.read(options.neighbours)
    cosines, indices = nearest(embeddings.codes, embedder.encode(image[None])[0], options.n)
    rows = list(zip(indices.tolist(), cosines.tolist(), strict=True))
    for index, cosine in rows:
        print(f"{cosine:.4f}  {embeddings.names[index]}")
    pictures = [show(index) for index, _ in rows]
    titles = [f"{cosine:.3f} {Path(embeddings.names[index]).name}" for index, cosine in rows]
    if len({picture.shape for picture in [image, *pictures]}) > 1:
        side = (128, 128)
        image, *pictures = (_resized(picture, side) for picture in [image, *pictures])
    picture = draw_neighbours(image, pictures, titles)
    save_picture(picture, options.picture)
    print(f"written: {options.picture}")


def _resized(image: Tensor, size: tuple[int, int]) -> Tensor:
    """Resize pictures of different sizes to one size, for display only."""
    return interpolate(image[None].float(), size, mode="bilinear", antialias=True)[0].round().to(image.dtype)


def _add_options(parser: Parser) -> None:
    parser.add_argument("checkpoint", type=str, help="a checkpoint of AutoencodingTask, or the folder of a run")
    parser.add_argument("sources", nargs="*", type=str, help="image files, folders (in depth) or glob patterns")
    parser.add_argument("-o", "--output", type=Path | None, default=None, help="file to write: .npz or .parquet")
    parser.add_argument(
        "--split", choices=("train", "val", "test"), default="train", help="of a data set (default: train)"
    )
    parser.add_argument(
        "--neighbours", type=Path | None, default=None, help="an image whose nearest images are printed and drawn"
    )
    parser.add_argument("--n", type=int, default=15, help="how many (default: 15)")
    parser.add_argument(
        "--picture", type=Path, default=Path("neighbours.png"), help="PNG file of them (default: neighbours.png)"
    )
    parser.add_argument(
        "--batch_size",
        type=int | None,
        default=None,
        help="files encoded at once (default: 64, or 1 if they keep their own sizes)",
    )
    parser.add_argument("--device", type=str | None, default=None, help="such as cpu or cuda:0")
