"""What unlabelled images are good for: pretrain on all of MNIST, then classify with 10, 100, 1,000 and all labels.

For each pretraining of an autoencoder and each number of labels, with the same network, augmentation and steps:
``scratch`` (not pretrained), ``fine-tuned`` from the encoder, ``linear`` and ``k-NN`` on the codes of a frozen encoder,
``propagated`` (each unlabelled image gets the class that comes to it through the neighbourhoods of the codes, see
``visiontasks.embedding.label_propagation``; the classifier then learns from these pseudo-labels, each weighted by how
sure it is).

Command: python recipes/label_efficiency.py --root FOLDER   (--split val for every choice, test once at the end)
Data: MNIST; labels are drawn with the same number of each class, other ones for each seed.
Output: label_efficiency/test.csv, test-plain.png (means, bars of one standard deviation) and so on, and checkpoints; a
study that was stopped goes on from them.
Hardware and time: one core of an AMD EPYC with bf16 arithmetic, 8 min a pretraining, 5 to 10 s a classifier.
Metric: test accuracy with 100 labels, mean of 5 seeds: 94.7 % from scratch, 97.1 % with propagated labels.
"""

import argparse
import csv
import logging
import statistics
import warnings
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from lightning.pytorch import Trainer, seed_everything
from torch import Tensor

from visiontasks import AutoencodingTask, ClassificationTask, MNISTDataModule
from visiontasks.cli import fast
from visiontasks.cli.hardware import default_precision, keep_freed_memory
from visiontasks.cli.quiet import quiet
from visiontasks.data.augmentation.affine import BatchAffine
from visiontasks.data.datasets.memory import MemoryDataset
from visiontasks.embedding.label_propagation import neighbourhoods, propagate
from visiontasks.metrics.code import fit_linear, nearest_classes
from visiontasks.visualization import line_chart, save_picture

BACKBONE: dict[str, Any] = dict(
    filters=[32, 64, 128], depth=1, kernel_size=[5, 3, 3], stride=2, pool="none", activation="silu"
)
HEAD: dict[str, Any] = {"pool_size": 4, "dropout": 0.5}
AUGMENTATION: dict[str, float] = {"degrees": 20, "translate": 0.1, "scale": 0.2, "shear": 20}
PRETRAININGS: dict[str, dict[str, Any]] = {
    "plain": {},
    "gaussian": {"denoising": "gaussian", "noise": 0.4},
    "erased": {"denoising": "erased_patches", "noise": 0.4},
}
FAST: dict[str, Any] = {
    **{"labels": [10, 20, 464], "seeds": 2, "pretrainings": ["plain"], "pretrain_epochs": 1, "steps": 3},
    **{"batch_size": 8, "val_size": 16, "output": Path("label_efficiency/fast")},
}


class LabelledMNIST(MNISTDataModule):
    """MNIST with given labels of its training images: true labels of a few, or pseudo-labels of all.

    Args:
        images: Positions of the images to train on, in the training split.
        targets: Class probabilities of each of these images.
        **kwargs: Arguments of MNISTDataModule.
    """

    def __init__(self, images: Tensor, targets: Tensor, **kwargs: Any) -> None:  # noqa: ANN401 (of MNISTDataModule)
        super().__init__(**kwargs)
        self.images = images
        self.targets = targets

    def setup(self, stage: str) -> None:
        """Read the splits, and keep the images that were chosen."""
        super().setup(stage)
        if stage == "fit":
            pixels = self.train_set.pixels[self.images].permute(0, 3, 1, 2)
            augmentation = BatchAffine(**AUGMENTATION, seed=self.seed)
            self.train_set = MemoryDataset(pixels, self.targets, augmentation=augmentation)


def make_trainer(options: argparse.Namespace, **limits: int) -> Trainer:
    """Make a Trainer that shows and keeps nothing, and does not validate while it trains."""
    accelerator = "cpu" if options.cpu else "auto"
    precision: Any = default_precision(accelerator)
    silent = ("logger", "enable_checkpointing", "enable_model_summary", "enable_progress_bar")
    flags: dict[str, Any] = {**dict.fromkeys(silent, False), **limits}
    return Trainer(
        accelerator=accelerator,
        devices=1,
        precision=precision,
        num_sanity_val_steps=0,
        check_val_every_n_epoch=1_000_000,
        **flags,
    )


def pretrain(name: str, options: argparse.Namespace) -> Path:
    """Train an autoencoder on all training images without their labels, or reuse an existing one."""
    file: Path = options.output / f"{name}-{options.pretrain_epochs}-epochs.ckpt"
    if not file.is_file():
        seed_everything(0, verbose=False)
        task = AutoencodingTask(
            code_size=32,
            backbone_options=BACKBONE,
            decoder_options={"widths": [128, 64, 16], "activation": "silu"},
            in_channels=1,
            image_size=(28, 28),
            normalization="dataset",
            bank_size=0,
            optimizer=lambda parameters: torch.optim.Adam(parameters, lr=8e-3, betas=(0.9, 0.99)),
            **PRETRAININGS[name],
        ).to(memory_format=torch.channels_last)
        run = make_trainer(options, max_epochs=options.pretrain_epochs)
        run.fit(task, datamodule=MNISTDataModule(options.root, val_size=options.val_size, batch_size=64))
        run.save_checkpoint(file)
    return file


def encode(file: Path, images: Tensor) -> Tensor:
    """Compute the codes of images, shape [N, 1, 28, 28]."""
    task = AutoencodingTask.load_from_checkpoint(file, map_location="cpu").eval()
    with torch.inference_mode():
        return F.normalize(torch.cat([task.encode(some) for some in images.split(1000)]))


def classify(options: argparse.Namespace, seed: int, images: Tensor, targets: Tensor, weights: Path | None) -> float:
    """Train a classifier for the given steps and return its accuracy."""
    seed_everything(seed, verbose=False)
    size = min(options.batch_size, len(images))
    data = LabelledMNIST(
        images, targets, root=options.root, val_size=options.val_size, batch_size=size, eval_batch_size=500, seed=seed
    )
    task = ClassificationTask(
        num_classes=10,
        backbone_options=BACKBONE,
        backbone_weights=weights,
        in_channels=1,
        normalization="dataset",
        optimizer=lambda parameters: torch.optim.AdamW(parameters, lr=options.lr, weight_decay=0.05),
        **HEAD,
    ).to(memory_format=torch.channels_last)
    run = make_trainer(options, max_steps=options.steps, max_epochs=-1)
    run.fit(task, datamodule=data)
    evaluate = run.test if options.split == "test" else run.validate
    (found,) = evaluate(task, datamodule=data, verbose=False)
    return float(found[f"{options.split}/accuracy"])


def choose(labels: Tensor, count: int, seed: int) -> Tensor:
    """Draw positions of the same number of images of each class; all positions if the count is that of all images."""
    if count >= len(labels):
        return torch.arange(len(labels))
    order = torch.randperm(len(labels), generator=torch.Generator().manual_seed(1000 + seed))
    rows = [order[labels[order] == digit][: count // 10] for digit in range(10)]
    return torch.cat(rows)


class Measured:
    """Accuracies by way, number of labels and seed, in a file from which a study with the same settings resumes.

    Args:
        file: CSV file.
        settings: Description of everything else that they depend on.
        seeds: Number of seeds requested.
    """

    def __init__(self, file: Path, settings: str, seeds: int) -> None:
        self.seeds = seeds
        self.file = file
        self.settings = settings
        self.found: dict[tuple[str, int, int], float] = {}
        if file.is_file():
            with file.open(newline="") as stream:
                for way, count, seed, accuracy, others in list(csv.reader(stream))[1:]:
                    if others == settings:
                        self.found[way, int(count), int(seed)] = float(accuracy)
        else:
            file.write_text("way,labels,seed,accuracy,settings\n")

    def add(self, way: str, count: int, seed: int, measure: Callable[[], float]) -> None:
        """Measure an accuracy unless it is there already."""
        if self.lacks(way, count, seed):
            self.found[way, count, seed] = accuracy = measure()
            print(f"{way}, {count} labels, seed {seed}: {accuracy:.4f}", flush=True)
            with self.file.open("a", newline="") as stream:
                csv.writer(stream).writerow([way, count, seed, f"{accuracy:.4f}", self.settings])

    def lacks(self, way: str, count: int, seed: int) -> bool:
        """Return whether an accuracy is missing."""
        return (way, count, seed) not in self.found

    def of(self, way: str, count: int) -> list[float]:
        """List the accuracies of the requested seeds."""
        return [self.found[way, count, seed] for seed in range(self.seeds) if not self.lacks(way, count, seed)]


def ways(name: str, all_labels: bool = False) -> list[str]:
    """List the ways measured for a pretraining; if every image has its label, there is nothing to propagate."""
    kinds = ["linear", "k-NN", "fine-tuned", "propagated", "propagated and fine-tuned"]
    return [f"{name}, {kind}" for kind in (kinds[:3] if all_labels else kinds)]


def study(options: argparse.Namespace, measured: Measured) -> list[int]:
    """Measure every way with every number of labels and every seed; return the numbers."""
    data = MNISTDataModule(options.root, val_size=options.val_size)
    for stage in ("fit", "test"):
        data.setup(stage)
    sets: dict[str, Any] = {"test": data.test_set, "val": data.val_set}
    judged: MemoryDataset = sets[options.split]
    train: MemoryDataset = data.train_set
    truth, wanted = train.labels, judged.labels
    counts = sorted({min(count, len(truth)) for count in options.labels})
    draws = [(count, seed) for count in counts for seed in range(options.seeds)]
    for count, seed in draws:
        chosen = choose(truth, count, seed)
        measured.add("scratch", count, seed, partial(classify, options, seed, chosen, truth[chosen], None))
    for name in options.pretrainings:
        missing = [
            draw for draw in draws if any(measured.lacks(way, *draw) for way in ways(name, draw[0] == len(truth)))
        ]
        if not missing:
            continue
        file = pretrain(name, options)
        codes = encode(file, train.pixels.permute(0, 3, 1, 2))
        others = encode(file, judged.pixels.permute(0, 3, 1, 2))
        graph = neighbourhoods(codes)
        for count, seed in missing:
            chosen = choose(truth, count, seed)
            known, labels = codes[chosen], truth[chosen]
            linear = fit_linear(known, labels)(others).argmax(1)
            nearest = nearest_classes(others, known, labels, min(5, max(1, count // 20)))
            for way, classes in (("linear", linear), ("k-NN", nearest)):
                measured.add(f"{name}, {way}", count, seed, (classes == wanted).float().mean().item)
            start = partial(classify, options, seed)
            measured.add(f"{name}, fine-tuned", count, seed, partial(start, chosen, labels, file))
            if count < len(truth):
                targets = propagate(graph, chosen, labels, num_classes=10)
                everything = torch.arange(len(truth))
                measured.add(f"{name}, propagated", count, seed, partial(start, everything, targets, None))
                way = f"{name}, propagated and fine-tuned"
                measured.add(way, count, seed, partial(start, everything, targets, file))
    return counts


def show(options: argparse.Namespace, measured: Measured, counts: Sequence[int]) -> None:
    """Print means and deviations, and draw them."""
    series: dict[str, list[tuple[float, float]]] = {}
    for way in ["scratch", *(way for name in options.pretrainings for way in ways(name))]:
        # If every image has its label, there is nothing to propagate.
        plain = way.replace("propagated and ", "") if "and" in way else "scratch"
        rows = [measured.of(way, count) or measured.of(plain, count) for count in counts]
        series[way] = [(100 * statistics.mean(row), 100 * statistics.pstdev(row)) for row in rows]
    title = f"MNIST, accuracy on the {options.split} images by the number of labels, {options.seeds} seeds"
    for name in options.pretrainings:
        drawn = {way: row for way, row in series.items() if way == "scratch" or way.startswith(f"{name}, ")}
        picture = line_chart(title, [f"{count:,}" for count in counts], drawn, " %")
        save_picture(picture, options.output / f"{options.split}-{name}.png")
    for way, row in series.items():
        print(f"{way:<36}", *(f"{mean:6.2f} +- {std:4.2f}" for mean, std in row))


def parse(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description="Accuracy by the number of labels, and what embeddings add.")
    parser.add_argument("--root", type=Path, default=Path("data"), help="folder that holds MNIST/raw")
    parser.add_argument("--labels", type=int, nargs="+", default=[10, 100, 1000, 60000], help="at most all")
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--pretrainings", nargs="+", choices=PRETRAININGS, default=list(PRETRAININGS))
    parser.add_argument("--pretrain_epochs", type=int, default=8)
    parser.add_argument("--steps", type=int, default=300, help="of each classifier, whatever it starts from")
    parser.add_argument("--batch_size", type=int, default=100)
    parser.add_argument("--lr", type=float, default=2e-3)
    parser.add_argument("--split", choices=("val", "test"), default="val", help="images that accuracies are of")
    parser.add_argument("--val_size", type=int, default=5000)
    parser.add_argument("--output", type=Path, default=Path("label_efficiency"))
    parser.add_argument("--cpu", action="store_true", help="also where there is a GPU")
    parser.add_argument(fast.FLAG, action="store_true", help=fast.HELP)
    if parser.parse_known_args(arguments)[0].fast:
        parser.set_defaults(**FAST, root=fast.write_digits())
    return parser.parse_args(arguments)


def main() -> None:
    """Run the study."""
    quiet()
    keep_freed_memory()
    logging.getLogger("lightning.pytorch").setLevel(logging.ERROR)
    warnings.filterwarnings("ignore", "The '\\w+_dataloader' does not have many workers")
    options = parse()
    options.output.mkdir(parents=True, exist_ok=True)
    names = ("pretrain_epochs", "steps", "batch_size", "lr", "val_size")
    settings = " ".join(f"{name} {getattr(options, name)}" for name in names)
    measured = Measured(options.output / f"{options.split}.csv", settings, options.seeds)
    show(options, measured, study(options, measured))
    if options.fast:
        fast.remind()


if __name__ == "__main__":
    main()
