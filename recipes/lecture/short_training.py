"""What the scripts of this folder share: their options, short trainings on digits, and the file that the page shows."""

import argparse
import json
import logging
import statistics
import time
import warnings
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import torch
from lightning.pytorch import Trainer, seed_everything
from torch import Tensor

from visiontasks import ClassificationTask, MNISTDataModule, ShapesDataModule
from visiontasks.cli.quiet import quiet

Table = dict[str, Any]
"""``title``, ``columns`` and ``rows``."""


class Outcome(NamedTuple):
    """What a training came to.

    Attributes:
        weights: Number of weights of the network.
        train_accuracy: Share of the training images whose class is right, in percent.
        test_accuracy: The same of the test images, which are scored once.
        train_loss: Mean cross-entropy of the training images.
        seconds: Time of the training.
    """

    weights: int
    train_accuracy: float
    test_accuracy: float
    train_loss: float
    seconds: float


def parse(description: str | None, seeds: bool = True, digits: bool = True) -> argparse.Namespace:
    """Read the options of a script; they hold the time when it began, too.

    Args:
        description: Of the script.
        seeds: Whether it trains.
        digits: Whether it trains on MNIST.
    """
    parser = argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--output",
        type=Path,
        default=Path("lecture"),
        help="folder of the results; those of the page are in docs/understand/results",
    )
    parser.add_argument("--hardware", default="2 cores", help="what the results say that they were measured on")
    parser.add_argument("--fast", action="store_true", help="a few steps on generated images; figures mean nothing")
    if seeds and digits:
        parser.add_argument("--root", type=Path, default=Path("data"), help="folder of MNIST")
    if seeds:
        parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    options = parser.parse_args()
    options.began = time.monotonic()
    # MNIST is read on the way, and a short training needs no advice.
    warnings.filterwarnings("ignore")
    logging.getLogger("lightning.pytorch").setLevel(logging.ERROR)
    quiet()
    return options


def digits(options: argparse.Namespace, images: int, seed: int) -> Any:  # noqa: ANN401 - one of two data modules
    """Take some of MNIST's training images and all 10,000 test images; with ``--fast``, generated shapes."""
    if options.fast:
        size: dict[str, Any] = {"train_size": 32, "val_size": 8, "test_size": 8, "batch_size": 16}
        return ShapesDataModule(image_size=(28, 28), num_workers=0, seed=seed, **size)
    return MNISTDataModule(options.root, val_size=60_000 - images, batch_size=50, eval_batch_size=1000, seed=seed)


def train(
    options: argparse.Namespace, make: Callable[..., ClassificationTask], images: int, steps: int, seed: int
) -> tuple[Outcome, ClassificationTask, Any]:
    """Train a classifier of digits by AdamW with the library's warm-up and cosine.

    Args:
        options: Of the script.
        make: Makes the task from the arguments of one.
        images: Number of training images.
        steps: Number of steps of 50 images.
        seed: Of the weights and the order of images.

    Returns:
        What it came to, the task, and the data.
    """
    seed_everything(seed, verbose=False)
    data = digits(options, images, seed)
    task = make(
        data.num_classes,
        in_channels=data.in_channels,
        image_size=(28, 28),
        optimizer=partial(torch.optim.AdamW, lr=2e-3, weight_decay=0.01),
    )
    silent = ("logger", "enable_checkpointing", "enable_model_summary", "enable_progress_bar")
    flags: dict[str, Any] = dict.fromkeys(silent, False)
    trainer = Trainer(
        accelerator="cpu", devices=1, max_steps=4 if options.fast else steps, limit_val_batches=0, **flags
    )
    start = time.process_time()
    trainer.fit(task, datamodule=data)
    seconds = time.process_time() - start
    (tested,) = trainer.test(task, datamodule=data, verbose=False)
    accuracy, loss = score(task, data.train_dataloader())
    weights = sum(value.numel() for value in task.parameters())
    return Outcome(weights, accuracy, 100 * tested["test/accuracy"], loss, seconds), task, data


@torch.no_grad()
def score(
    task: ClassificationTask,
    batches: Any,  # noqa: ANN401 - of a data module
    change: Callable[[Tensor], Tensor] = lambda images: images,
) -> tuple[float, float]:
    """Return the accuracy in percent and the mean cross-entropy on batches whose images are changed before."""
    task.eval()
    pairs = [(task(change(batch.images)).float(), batch.labels) for batch in batches]
    logits, labels = (torch.cat(each) for each in zip(*pairs, strict=True))
    right = (logits.argmax(1) == labels).float().mean().item()
    return 100 * right, torch.nn.functional.cross_entropy(logits, labels).item()


def spread(values: Sequence[float], digits: int = 2) -> str:
    """Write the mean of the seeds and, of several, the least and the greatest."""
    mean = f"{statistics.fmean(values):.{digits}f}"
    return mean if len(values) == 1 else f"{mean} ({min(values):.{digits}f} to {max(values):.{digits}f})"


def save(options: argparse.Namespace, script: str, tables: Sequence[Table]) -> None:
    """Write the results of a script, and print them as Markdown."""
    name = Path(script).stem
    command = f"python recipes/lecture/{name}.py"
    seeds = getattr(options, "seeds", None)
    if "root" in options:
        command += " --root FOLDER"
    if seeds:
        command += f" --seeds {' '.join(map(str, seeds))}"
    content = {
        "command": command,
        "date": time.strftime("%Y-%m-%d"),
        "seconds": round(time.monotonic() - options.began),
        "hardware": options.hardware,
        "tables": tables,
    }
    options.output.mkdir(parents=True, exist_ok=True)
    (options.output / f"{name}.json").write_text(json.dumps(content, indent=1) + "\n")
    for table in tables:
        lines = [table["columns"], ["---"] * len(table["columns"]), *table["rows"]]
        print(f"\n{table['title']}\n")
        print("\n".join(f"| {' | '.join(map(str, line))} |" for line in lines))
