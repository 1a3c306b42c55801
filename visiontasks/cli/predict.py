"""``visiontasks predict``: predictions of a checkpoint on images."""

import argparse
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, get_args

from visiontasks.cli.model_flags import HELP, take_model_flags
from visiontasks.cli.sides import both_sides
from visiontasks.cli.split_files import files_of_split, without_data_flags
from visiontasks.errors import near_matches
from visiontasks.garbage import without_garbage_collection
from visiontasks.options import MAX_PIXELS, Flips, Format

_COLUMNS = (
    "label: number of the class, from 0; class: its name; score: how sure the network is, 0 to 1,\n"
    "which need not be how often it is right (calibration_error). To write them to a file: --output FILE."
)

_MEANT = {
    "--score": "conf conf_thres confidence threshold",
    "--image_size": "imgsz img size",
    "--output FILE": "save_txt save_json save_dir out project name",
    "--overlays FOLDER": "save show visualize",
    "CHECKPOINT, which is the first word after predict": "model weights ckpt ckpt_path",
    "names of files or folders, after the checkpoint": "source input images",
    "--batch_size": "batch",
    "--flips": "augment tta",
}
"""Options of the prediction in other libraries."""

if TYPE_CHECKING:
    from visiontasks.prediction import Prediction
    from visiontasks.prediction.image_predictor import ImagePredictor


def main(command: str, arguments: Sequence[str]) -> int:
    """Predict images and write the results, in pixels of the files.

    Args:
        command: ``"predict"``.
        arguments: The command line after it.

    Returns:
        The exit code: 0 when every image was predicted, 1 when some could not be read.

    Raises:
        ArgumentError: If an option is wrong.
        OSError: If a result cannot be written.
    """
    flags, words = take_model_flags(arguments)
    words, data_flags = without_data_flags(words)
    parser = _parser(command)
    options, unknown = parser.parse_known_args(both_sides(words, "--image_size", "--window"))
    if unknown:
        parser.error(f"there is no option {unknown[0]!r}. {_meant(unknown[0], parser)}")
    split = options.split or ("all" if data_flags else None)
    if bool(options.sources) == bool(split):
        parser.error("give either image files, folders, patterns or lists after the checkpoint, or --data or --split")
    with without_garbage_collection():
        from tqdm import tqdm

        from visiontasks.cli.checkpoint_task import load_named
        from visiontasks.prediction import create_predictor, find_files, predict_images
        from visiontasks.prediction.writing import choose_format, create_writer, write_predictions
        from visiontasks.tasks.task import Task
    predictor = create_predictor(
        load_named(options.checkpoint, Task, options.task, flags, options.config),  # type: ignore[type-abstract]  # a subclass
        device=options.device,
        image_size=None if options.image_size is None else (options.image_size[0], options.image_size[1]),
        score=options.score,
        proposals=options.proposals,
        window=None if options.window is None else (options.window[0], options.window[1]),
        overlap=options.overlap,
        flips=options.flips,
        scales=options.scales,
        windows_at_once=options.windows_at_once,
    )
    name = choose_format(predictor, options.format, options.output)
    files = files_of_split(command, data_flags, split, options.checkpoint) if split else find_files(options.sources)
    writer = create_writer(name, predictor, files, options.output, options.annotations)
    overlay = None if options.overlays is None else _overlays(options.overlays, files, predictor)
    predictions = predict_images(
        predictor, files, batch_size=options.batch_size, max_pixels=options.max_pixels, keep_images=overlay is not None
    )
    failed, start = 0, time.perf_counter()
    clear = options.score is None and predictor.lists_unsure
    with writer, tqdm(total=len(files), unit=" images", disable=None) as bar:
        for prediction in write_predictions(predictions, writer, overlay, all_boxes=not clear):
            bar.update()
            if prediction.error is not None:
                failed += 1
                bar.write(f"skipped: {prediction.error}", file=sys.stderr)
    seconds = time.perf_counter() - start
    # Beside the rows in a terminal; a file has its reader.
    if options.output is None and predictor.class_names:
        print(_COLUMNS, file=sys.stderr)
    into = "" if options.output is None else f" into {str(options.output)!r}"
    print(
        f"{len(files) - failed} of {len(files)} images predicted{into} in {seconds:.1f} s "
        f"({(len(files) - failed) / seconds:.1f} images/s).",
        file=sys.stderr,
    )
    return 1 if failed else 0


def _overlays(folder: Path, files: Sequence[Path], predictor: "ImagePredictor") -> Callable[["Prediction"], None]:
    from visiontasks.files import write_atomically
    from visiontasks.prediction.overlays import draw_prediction
    from visiontasks.prediction.sources import name_targets
    from visiontasks.visualization import encode_picture, to_pillow

    targets = name_targets(files, folder, ".jpg")

    def write(prediction: "Prediction") -> None:
        picture = to_pillow(draw_prediction(prediction, predictor.class_names))
        write_atomically(folder / targets[prediction.name], encode_picture(picture, ".jpg", quality=92), flush=False)

    return write


def _meant(flag: str, parser: argparse.ArgumentParser) -> str:
    for words, names in _MEANT.items():
        if flag.lstrip("-").partition("=")[0] in names.split():
            return f"Use {words}."
    return near_matches(flag, [option for action in parser._actions for option in action.option_strings])


def _parser(command: str) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog=f"visiontasks {command}",
        description="Predict images with a checkpoint. Boxes and masks are in pixels of the files.",
        epilog=HELP,
        allow_abbrev=False,
    )
    add = parser.add_argument
    add("checkpoint", help="a checkpoint or the folder of a run; it holds class names, normalisation and image size")
    add(
        "sources",
        nargs="*",
        metavar="source",
        help="image files, folders (in depth), glob patterns, or lists: text files with a name in a line",
    )
    add(
        "--split",
        choices=("train", "val", "test", "all"),
        help="in place of sources, a split of the data set that --data CLASS --data.root FOLDER names, or of the run",
    )
    add("-o", "--output", type=Path, help="file to write, the terminal by default; for voc and png a folder")
    add(
        "-f",
        "--format",
        choices=get_args(Format),
        help="by default that of the file's ending, else csv; of a detector jsonl, of a segmentation png",
    )
    add("--overlays", type=Path, metavar="FOLDER", help="write pictures of the images with what was found, too")
    add("--batch_size", type=int, help="images computed at once (default: 64; detection 4, segmentation 1)")
    add("--task", metavar="CLASS", help="import path of a task of your own, such as my_module.MyTask")
    add("--config", type=Path, help="configuration of the training, for instances of your own classes")
    add(
        "--image_size",
        type=int,
        nargs=2,
        metavar=("H", "W"),
        help="resize images to it (default: as in the validation of the training)",
    )
    add("--device", help="such as cpu or cuda:0; a GPU by default if there is one")
    add("--max_pixels", type=int, default=MAX_PIXELS, help="refuse images of more (default: %(default)s)")
    add("--annotations", type=Path, help="coco: a file of annotations, whose numbers of images and classes to use")
    add = parser.add_argument_group("detection").add_argument
    add(
        "--score",
        type=float,
        help="minimum score of a box (default: as the detector was trained with; 0.5 in voc, png and overlays)",
    )
    add("--proposals", type=Path, help="file of proposals, for a detector on precomputed ones")
    add = parser.add_argument_group("detection and segmentation").add_argument
    add("--flips", choices=get_args(Flips), help="average over mirror images (default: as the task was made)")
    add("--scales", type=float, nargs="+", help="average over these factors of the size, such as 0.75 1")
    add = parser.add_argument_group("segmentation").add_argument
    add("--window", type=int, nargs=2, metavar=("H", "W"), help="cut large images into windows")
    add("--overlap", type=float, help="share that windows have in common (default: 0.25)")
    add("--windows_at_once", type=int, help="windows computed at once (default: 1)")
    return parser
