"""What each augmentation and switch gains in the same processor time as a training without it.

Each data set and start (random weights, or ImageNet's) is trained with the library's defaults, and again with one thing
changed. The number of steps follows from the measured time of a step, so that what makes steps dearer makes them fewer;
the schedule is as long as the training. Scores are those of the validation images after the last step, so that nothing
is chosen; the gain is the mean of the differences of equal seeds, its noise twice the standard error of that mean.
What changes the evaluation alone is scored with the weights of the plain training.

Command: VISIONTASKS_DATA=FOLDER python benchmarks/gains.py [--only camvid ...] [--seeds 0 1 2] [--records FILE]
(FOLDER holds MNIST, cards, BCCD, CamVid, coco and coco_as_voc, the folder weights beside it those of
EfficientNet-Lite0; all takes 9 hours)
"""

import argparse
import math
import statistics
import sys
import time
from pathlib import Path
from typing import Any

import torch
from common import data_root, record, recorded, setting
from gain_cases import CASES, Case, Item
from lightning.pytorch import Trainer, seed_everything
from lightning.pytorch.callbacks import EMAWeightAveraging

from visiontasks.cli.hardware import has_bf16

PLAIN = Item()
DECAY = 0.99
LEAST_GAIN = 0.005


def trainer(steps: int, item: Item = PLAIN) -> Trainer:
    """Make what trains for a number of steps and writes nothing."""
    return Trainer(
        accelerator="cpu",
        precision="bf16-mixed" if has_bf16("cpu") else "32-true",
        max_steps=steps,
        max_epochs=-1,
        limit_val_batches=0,
        callbacks=[EMAWeightAveraging(decay=DECAY)] if item.averaged else [],
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
    )


def fit(case: Case, item: Item, seed: int, root: Path, steps: int) -> tuple[Any, Any, float]:
    """Train; return the task, the data and the processor time of the training."""
    seed_everything(seed, verbose=False)
    data = case.data(root, seed=seed, **item.data)
    data.setup("fit")
    task = case.task(data, **item.task).to(memory_format=torch.channels_last)
    start = time.process_time()
    trainer(steps, item).fit(task, data.train_dataloader())
    return task, data, time.process_time() - start


def score(case: Case, task: Any, data: Any) -> float:
    """Score on the validation images."""
    loader = data.val_dataloader()
    evaluating = Trainer(
        accelerator="cpu",
        precision="bf16-mixed" if has_bf16("cpu") else "32-true",
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
    )
    return float(evaluating.validate(task, loader, verbose=False)[0][case.metric])


def run(case: Case, item: Item, seed: int, root: Path, seconds: float) -> dict[str, Any]:
    """Train for a time; return steps, seconds, the score, and the scores of other evaluations of its weights."""
    steps = [4, 12]
    times = [fit(case, item, seed, root, count)[2] for count in steps]
    step = (times[1] - times[0]) / (steps[1] - steps[0])
    count = max(1, round(seconds / step))
    task, data, spent = fit(case, item, seed, root, count)
    row = {"steps": count, "seconds": spent, "score": score(case, task, data)}
    if item == PLAIN:
        for name, other in case.items.items():
            if other.evaluation:
                changed = case.data(root, seed=seed, **other.data)
                changed.setup("fit")
                twin = case.task(changed, **other.task).to(memory_format=torch.channels_last)
                twin.load_state_dict(task.state_dict())
                start = time.process_time()
                row[name] = score(case, twin, changed)
                row[f"{name}: seconds"] = time.process_time() - start
    return row


def gain(plain: list[float], changed: list[float], rising: bool) -> tuple[float, float, str]:
    """Compare equal seeds: mean difference for the better, noise, verdict."""
    differences = [(new - old) * (1 if rising else -1) for old, new in zip(plain, changed, strict=True)]
    mean = statistics.fmean(differences)
    noise = 2 * math.sqrt(statistics.variance(differences) / len(differences)) if len(differences) > 1 else math.inf
    if abs(mean) <= max(noise, LEAST_GAIN * (1 if rising else statistics.fmean(plain))):
        return mean, noise, "no difference"
    return mean, noise, "gains" if mean > 0 else "loses"


def main() -> int:
    """Run the cases and print a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", nargs="+", default=list(CASES), choices=list(CASES))
    parser.add_argument("--items", nargs="+", help="of what is tried, only these (default: all)")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--share", type=float, default=1.0, help="of the time of each training (default: 1)")
    parser.add_argument("--records", type=Path, help="file to add each training to; those in it are not run again")
    options = parser.parse_args()
    root = data_root("CamVid")
    setting()
    known = recorded(options.records)
    print(
        "| data | what | steps | seconds | score | gain | noise | |\n| --- | --- | --- | --- | --- | --- | --- | --- |"
    )
    for name in options.only:
        case = CASES[name]
        rows: dict[str, list[dict[str, Any]]] = {}
        for what, item in {"plain": PLAIN, **case.items}.items():
            if item.evaluation or (options.items and what not in ("plain", *options.items)):
                continue
            rows[what] = []
            for seed in options.seeds:
                key = (name, what, seed, options.share)
                if key not in known:
                    known[key] = run(case, item, seed, root, options.share * case.seconds)
                    record(options.records, key, known[key])
                rows[what].append(known[key])
        table(name, case, rows)
    return 0


def table(name: str, case: Case, rows: dict[str, list[dict[str, Any]]]) -> None:
    """Print the rows of a case."""
    plain = [row["score"] for row in rows["plain"]]
    scores = {what: [row["score"] for row in runs] for what, runs in rows.items()}
    scores |= {what: [row[what] for row in rows["plain"]] for what, item in case.items.items() if item.evaluation}
    for what, values in scores.items():
        runs = rows.get(what, rows["plain"])
        steps, seconds = (f"{statistics.fmean(row[key] for row in runs):.0f}" for key in ("steps", "seconds"))
        mean, noise, verdict = gain(plain, values, rising=case.metric != "val/mse")
        compared = "| | |" if what == "plain" else f"{mean:+.4f} | {noise:.4f} | {verdict}"
        print(f"| {name} | {what} | {steps} | {seconds} | {statistics.fmean(values):.4f} | {compared} |", flush=True)


if __name__ == "__main__":
    sys.exit(main())
