"""``visiontasks predict`` with a segmentation: a mask for every image."""

import argparse
import sys
from pathlib import Path

from visiontasks.data.images import MAX_PIXELS
from visiontasks.errors import ArgumentError
from visiontasks.mask_prediction import MaskPredictor, target_names
from visiontasks.prediction import find_files
from visiontasks.tasks.segmentation import SegmentationTask


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add the flags of segmentation."""
    group = parser.add_argument_group("segmentation", "masks are written as PNG into the folder --output")
    group.add_argument(
        "--overlays", action="store_true", help="write pictures of the images with classes in colour, too"
    )
    group.add_argument("--window", type=int, nargs=2, metavar=("H", "W"), help="cut large images into windows")
    group.add_argument("--overlap", type=float, default=0.25, help="share that windows have in common (default: 0.25)")
    group.add_argument("--flip", action="store_true", default=None, help="average with the mirrored image")
    group.add_argument("--scales", type=float, nargs="+", help="average over these factors of the size, such as 0.75 1")
    group.add_argument(
        "--max_pixels", type=int, default=MAX_PIXELS, help="refuse images of more (default: %(default)s)"
    )


def predict_masks(task: SegmentationTask, options: argparse.Namespace) -> int:
    """Write the mask of every image file.

    Args:
        task: The task, with its weights.
        options: What was parsed.

    Returns:
        The exit code: 0 when every file was predicted, 1 when some could not be read.

    Raises:
        ArgumentError: If no folder is given, or an option is out of range.
    """
    if options.output is None or options.output.is_file():
        message = "A segmentation writes one mask per image: give a folder to write into, --output FOLDER."
        raise ArgumentError(message)
    predictor = MaskPredictor(
        task,
        window=None if options.window is None else (options.window[0], options.window[1]),
        overlap=options.overlap,
        flip=options.flip,
        scales=options.scales,
        device=options.device,
    )
    files = find_files(options.sources)
    folder: Path = options.output
    failed = 0
    predictions = predictor.predict(files, options.max_pixels)
    for prediction, name in zip(predictions, target_names(files), strict=True):
        if prediction.error is not None:
            failed += 1
            print(f"skipped: {prediction.error}", file=sys.stderr)
        else:
            predictor.save(prediction, folder / name, folder / "overlays" / name if options.overlays else None)
    print(f"{len(files) - failed} of {len(files)} files predicted into {str(folder)!r}.", file=sys.stderr)
    return 1 if failed else 0
