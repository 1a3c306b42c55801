"""Figures of a detector do not depend on how many processes saw the images."""

import json
import multiprocessing
import os
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import distributed

from tests.metrics.detection_sets import as_batches, random_setting
from tests.metrics.instance_sets import as_batch, random_images
from visiontasks.metrics.coco_average_precision import CocoAveragePrecision
from visiontasks.metrics.empty_states import fill_empty_states
from visiontasks.metrics.mask_average_precision import MaskAveragePrecision


def figures(kind: str, seed: int, rank: int, ranks: int, folder: Path) -> None:
    """Score the batches of one process, and leave the figures in a folder; the first process saw one image twice."""
    torch.set_num_threads(1)
    if ranks > 1:
        os.environ["GLOO_SOCKET_IFNAME"] = "lo"
        store = f"file://{folder / f'store-{seed}'}"
        distributed.init_process_group("gloo", init_method=store, rank=rank, world_size=ranks)
    metric: CocoAveragePrecision
    batches: list[Any]
    if kind == "boxes":
        setting = random_setting(seed)
        metric = CocoAveragePrecision(setting.classes)
        batches = as_batches(setting, [3 * image for image in range(setting.images)], size=1)
    else:
        images, classes = random_images(seed)
        metric = MaskAveragePrecision(classes)
        batches = [as_batch([image], [3 * number]) for number, image in enumerate(images)]
    own = batches[rank::ranks]
    for predictions, batch in [*own, *own[:1]]:
        metric.update(predictions, batch)
    fill_empty_states([metric])
    found = {name: value.tolist() for name, value in metric.compute().items()}
    (folder / f"{seed}-{ranks}-{rank}.json").write_text(json.dumps(found))
    if ranks > 1:
        distributed.destroy_process_group()


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["boxes", "masks"])
@pytest.mark.parametrize("seed", [0, 3, 8])
def test_two_processes_have_the_figures_of_one(kind: str, seed: int, tmp_path: Path) -> None:
    context = multiprocessing.get_context("spawn")
    for ranks in (1, 2):
        processes = [context.Process(target=figures, args=(kind, seed, rank, ranks, tmp_path)) for rank in range(ranks)]
        for process in processes:
            process.start()
        for process in processes:
            process.join(120)
            assert process.exitcode == 0
    alone = (tmp_path / f"{seed}-1-0.json").read_text()
    assert alone == (tmp_path / f"{seed}-2-0.json").read_text() == (tmp_path / f"{seed}-2-1.json").read_text()
