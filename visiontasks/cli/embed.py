"""``visiontasks embed``: codes of images by any trained network, and nearest neighbours of an image."""

import re
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from torch import Tensor
from torch.nn.functional import interpolate

from visiontasks.cli.checkpoint_task import load_named
from visiontasks.cli.data import parse_data
from visiontasks.cli.model_flags import HELP, take_model_flags
from visiontasks.cli.parser import Parser, flag_value
from visiontasks.embedding.embedder import Embedder, Embeddings, check_output, nearest, save_embeddings
from visiontasks.embedding.split_images import SPLITS, split_images
from visiontasks.errors import ArgumentError
from visiontasks.prediction import find_files
from visiontasks.prediction.images import ImageSource
from visiontasks.tasks.task import Task
from visiontasks.visualization import check_picture_file, draw_neighbours, save_picture


def main(command: str, arguments: Sequence[str]) -> int:
    """Encode image files or a split of a data set, write the codes, and draw the nearest neighbours of one image.

    Args:
        command: ``"embed"``.
        arguments: The command line after it.

    Returns:
        The exit code: 0 when every file was encoded, 1 when some could not be read.
    """
    flags, arguments = take_model_flags(arguments)
    description = (
        "Encode image files, or a data set (--data and its flags), with a checkpoint of any task or a backbone with "
        f"weights (--backbone and --weights). {HELP}"
    )
    data, options = parse_data(command, description, arguments, _add_options)
    if (options.backbone is None) != (options.weights is None):
        message = "Give a backbone with its weights: --backbone resnet50 --weights imagenet (or a file)."
        raise ArgumentError(message)
    sources = [*([options.checkpoint] if options.backbone and options.checkpoint else []), *options.sources]
    named = any(re.match(r"--data\b", word) for word in arguments)
    configured = not sources and (named or bool(flag_value("--config", arguments)))
    if not (sources or configured) or (sources and named):  # beside sources, a configuration says what the task is
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
    embedder = _embedder(options, flags)
    if configured:
        images = split_images(data, options.split)
        embeddings, errors = embedder.embed_split(images, options.batch_size)
        shown = dict(zip(images.names, images.sources, strict=True))
    else:
        embeddings, errors = embedder.embed(find_files(sources), options.batch_size)
        shown = {name: Path(name) for name in embeddings.names}
    for error in errors:
        print(f"skipped: {error}", file=sys.stderr)
    if options.output is not None and embeddings.names:
        save_embeddings(embeddings, options.output, data.class_names if configured else ())
        print(f"written: {options.output} ({len(embeddings.names)} codes of {embeddings.codes.shape[1]} numbers)")
    if options.neighbours is not None and embeddings.names:
        _neighbours(embedder, embeddings, shown, options)
    return 1 if errors else 0


def _embedder(options: Any, flags: Sequence[str]) -> Embedder:  # noqa: ANN401 (of jsonargparse)
    size = None if options.image_size is None else (options.image_size[0], options.image_size[1])
    if options.backbone is not None:
        return Embedder.from_backbone(options.backbone, options.weights, options.device, size or (224, 224))
    if options.checkpoint is None:
        message = (
            "Give a checkpoint or a run folder, or a backbone: --backbone resnet50 --weights imagenet (or a file)."
        )
        raise ArgumentError(message)
    task = load_named(options.checkpoint, Task, options.task, flags, options.config)  # type: ignore[type-abstract]  # a subclass
    return Embedder(task, options.device, size)


def _neighbours(
    embedder: Embedder,
    embeddings: Embeddings,
    shown: Mapping[str, ImageSource],
    options: Any,  # noqa: ANN401 (as above)
) -> None:
    image = embedder.read(options.neighbours)
    cosines, indices = nearest(embeddings.codes, embedder.encode(image[None])[0], options.n)
    rows = list(zip(indices.tolist(), cosines.tolist(), strict=True))
    for index, cosine in rows:
        print(f"{cosine:.4f}  {embeddings.names[index]}")
    pictures = [embedder.read(shown[embeddings.names[index]]) for index, _ in rows]
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
    parser.add_argument(
        "checkpoint", nargs="?", type=str | None, default=None, help="a checkpoint, or the folder of a run"
    )
    parser.add_argument("sources", nargs="*", type=str, help="image files, folders (in depth) or glob patterns")
    parser.add_argument(
        "--backbone", type=str | None, default=None, help="in place of a checkpoint: a name of 'visiontasks backbones'"
    )
    parser.add_argument(
        "--weights", type=str | None, default=None, help="of --backbone: imagenet, or a file, such as a state dict"
    )
    parser.add_argument(
        "--task", type=str | None, default=None, help="import path of a task of your own, such as my_module.MyTask"
    )
    parser.add_argument(
        "--image_size",
        type=int,
        nargs=2,
        metavar=("H", "W"),
        help="resize images to it (default: as in the validation of the training; of --backbone 224 x 224)",
    )
    parser.add_argument("-o", "--output", type=Path | None, default=None, help="file to write: .npz or .parquet")
    parser.add_argument("--split", choices=SPLITS, default="train", help="of a data set (default: train)")
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
