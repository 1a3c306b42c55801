"""How fast our networks learn beside a peer's, in one loop: same batches, optimiser, schedule and processor time.

Five tasks on two data sets each and instances on two more, from random weights but for the photographs of COCO. Both
sides see the same images in the same order, as many as time allows (processor time of loading and steps, not of
scoring), by AdamW whose rate rises in the first twentieth and falls along half a cosine, under bf16 autocast where the
processor has it. After 10, 25, 50 and 100 % of the time the validation images are scored. A row is NOT MET where ours
is behind by more than the noise: twice the standard error of the difference of the two means over the seeds, and 0.005
of scores up to 1 (before a detector has learnt anything, three seeds agree on nearly nothing).

Command: VISIONTASKS_DATA=FOLDER python benchmarks/learning_curves.py [--only camvid ...] [--seeds 0 1 2] [--share 1]
(FOLDER holds MNIST, cards, BCCD, CamVid and coco, the folder weights beside it those of EfficientNet-Lite0; needs
segmentation-models-pytorch; all takes 3 hours)
"""

import argparse
import math
import statistics
import sys
import time
from pathlib import Path
from typing import Any

import torch
from common import data_root, half_cosine, record, recorded, setting
from contests import CONTESTS, Contest, Ours
from peers import Peer

from visiontasks.cli.hardware import has_bf16

MARKS = (0.1, 0.25, 0.5, 1.0)
RATE = 1e-3
LEAST = 0.005


def train(side: Ours | Peer, contest: Contest, data: Any, seconds: float) -> list[dict[str, Any]]:
    """Train for a given time and score at the marks; return share, steps, mean loss since the mark before, scores."""
    optimizer = torch.optim.AdamW(side.parameters(), lr=RATE, weight_decay=0.05)
    side.to(memory_format=torch.channels_last)
    loader, spent, steps, epoch = data.train_dataloader(), 0.0, 0, 0
    rows: list[dict[str, Any]] = []
    losses: list[float] = []
    while True:
        loader.sampler.set_epoch(epoch)
        epoch += 1
        side.train()
        if not steps:
            side.begin()
        start = time.process_time()
        for batch in loader:
            half_cosine(optimizer, RATE, spent / seconds, warm_up=0.05)
            with torch.autocast("cpu", enabled=has_bf16("cpu")):
                loss = side.loss(batch)
            optimizer.zero_grad()
            loss.backward()
            side.complete()
            optimizer.step()
            losses.append(loss.item())
            steps += 1
            spent += time.process_time() - start
            if spent >= MARKS[len(rows)] * seconds:
                rows.append({"share": MARKS[len(rows)], "steps": steps, "loss": statistics.fmean(losses)})
                rows[-1]["scores"] = contest.score(predictions(side, data), data)
                losses.clear()
                if len(rows) == len(MARKS):
                    return rows
            start = time.process_time()


@torch.no_grad()
def predictions(side: Ours | Peer, data: Any) -> list[tuple[Any, Any]]:
    """Predict the validation images."""
    side.eval()
    with torch.autocast("cpu", enabled=has_bf16("cpu")):
        pairs = [(side.predict(batch), batch) for batch in data.val_dataloader()]
    side.train()
    return pairs


def run(name: str, side: str, seed: int, root: Path, share: float) -> list[dict[str, Any]]:
    """Train one side of a contest."""
    contest = CONTESTS[name]
    data = contest.data(root, seed)
    data.setup("fit")
    torch.manual_seed(seed)
    network = Ours(contest.ours(data)) if side == "ours" else contest.peer(data)
    return train(network, contest, data, share * contest.seconds)


def verdict(name: str, curves: dict[str, list[list[dict[str, Any]]]]) -> bool:
    """Print the rows of a contest; return whether ours is nowhere behind."""
    met = True
    measures = curves["ours"][0][0]["scores"]
    for at, share in enumerate(MARKS):
        steps, losses = (
            [f"{statistics.fmean(rows[at][key] for rows in curves[side]):.4g}" for side in ("ours", "peer")]
            for key in ("steps", "loss")
        )
        for measure in measures:
            scores = {side: [rows[at]["scores"][measure] for rows in runs] for side, runs in curves.items()}
            ours, peer = (statistics.fmean(scores[side]) for side in ("ours", "peer"))
            spread = [statistics.variance(scores[side]) if len(scores[side]) > 1 else 0.0 for side in scores]
            noise = 2 * math.sqrt(sum(spread) / len(scores["ours"]))
            row_met = ours >= peer - max(noise, LEAST)
            met &= row_met
            print(
                f"| {name}: {measure} | {share:.0%} | {' / '.join(steps)} | {' / '.join(losses)} | {ours:.4g} | "
                f"{peer:.4g} | {noise:.2g} | {'met' if row_met else 'NOT MET'} |"
            )
    return met


def main() -> int:
    """Run the contests and print a table, whose losses are comparable where both sides compute the same."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", nargs="+", default=list(CONTESTS), choices=list(CONTESTS))
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--share", type=float, default=1.0, help="of the time of each training (default: 1)")
    parser.add_argument("--records", type=Path, help="file to add each training to; those in it are not run again")
    options = parser.parse_args()
    root = data_root("CamVid")
    setting()
    known = recorded(options.records)
    met = True
    print(
        "| data | time | steps ours / peer | loss | ours | peer | noise | |\n"
        "| --- | --- | --- | --- | --- | --- | --- | --- |"
    )
    for name in options.only:
        curves: dict[str, list[list[dict[str, Any]]]] = {"ours": [], "peer": []}
        for seed in options.seeds:
            for side, runs in curves.items():
                key = (name, side, seed, options.share)
                runs.append(known.get(key) or run(name, side, seed, root, options.share))
                if key not in known:
                    record(options.records, key, runs[-1])
        met &= verdict(name, curves)
    return 0 if met else 1


if __name__ == "__main__":
    sys.exit(main())
