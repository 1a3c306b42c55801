"""Numbers and weights are those of one process when two work together."""

import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
import torch

from tests.data.datamodules.image_sets import write_coco, write_folders

ROOT = Path(__file__).parents[2]
SCRIPT = Path(__file__).with_name("training_script.py")

# Warnings of the stack that a user can do nothing about, see pyproject.toml, and those of a metric of few images.
KNOWN = (
    "LeafSpec",
    "does not have many workers",
    "smaller than the logging interval",
    "samples in targets",
    "next to nothing",
)


def launch(devices: int, folder: Path, *flags: str, timeout: float = 270) -> subprocess.CompletedProcess[str]:
    """Run the script; a hang ends it with all its processes, each of which says first where it is."""
    folder.mkdir()
    env = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT), "GLOO_SOCKET_IFNAME": "lo"}
    command = [sys.executable, str(SCRIPT), str(devices), str(folder), *flags]
    with subprocess.Popen(
        command, env=env, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, start_new_session=True
    ) as process:
        try:
            output, _ = process.communicate(timeout=timeout)
        except subprocess.TimeoutExpired:
            # The script answers with the stacks of its threads.
            os.killpg(process.pid, signal.SIGUSR2)
            time.sleep(2)
            os.killpg(process.pid, signal.SIGKILL)
            pytest.fail(f"hangs after {timeout} s: {process.communicate()[0]}")
        finally:
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)
    return subprocess.CompletedProcess(command, process.returncode, output)


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> dict[int, list[dict[str, Any]]]:
    """What each process of a run by one and of a run by two found."""
    found = {}
    write_folders(tmp_path_factory.getbasetemp() / "pictures", 5, splits=("train", "val"))
    write_coco(tmp_path_factory.getbasetemp() / "scenes", 3)
    for devices in (1, 2):
        folder = tmp_path_factory.getbasetemp() / f"devices_{devices}"
        run = launch(devices, folder)
        assert run.returncode == 0, run.stdout
        ranks = range(devices)
        found[devices] = [
            json.loads((folder / f"results-{rank}.json").read_text())
            | {name: torch.load(folder / f"{name}-{rank}.pt") for name in ("weights", "finetuned")}
            | {"detections": json.loads((folder / "results" / "detections.json").read_text())}
            for rank in ranks
        ]
    return found


def test_evaluation_is_equal_for_any_number_of_images(runs: dict[int, list[dict[str, Any]]]) -> None:
    expected = runs[1][0]["evaluation"]
    assert len(expected) == 9
    # Sums of floats depend on their order; what is counted or sorted does not.
    summed = {"val/loss"}
    for result in runs[2]:
        assert result["evaluation"].keys() == expected.keys()
        for case, metrics in expected.items():
            found = result["evaluation"][case]
            exact = {"val/accuracy", "val/f1", "val/class_accuracy/star", "val/calibration_error", "val/auroc"}
            assert exact | summed <= found.keys()
            assert found.keys() == metrics.keys()
            for name, value in metrics.items():
                tolerance = 1e-6 if name in summed else 0
                # A class without images has no accuracy.
                assert found[name] == pytest.approx(value, rel=0, abs=tolerance, nan_ok=True), (case, name)


def test_temperature_and_thresholds_are_fitted_to_the_images_of_all(runs: dict[int, list[dict[str, Any]]]) -> None:
    expected = runs[1][0]["calibration"]
    assert {"val/temperature", "val/threshold/star", "val/map", "val/ap/star", "val/f1"} <= expected.keys()
    assert expected["val/temperature"] != 1
    for result in runs[2]:
        assert result["calibration"] == pytest.approx(expected, rel=1e-5, nan_ok=True)


def test_each_image_is_evaluated_exactly_once(runs: dict[int, list[dict[str, Any]]]) -> None:
    for results in runs.values():
        for case in results[0]["seen"]:
            count = int(case.split()[0])
            ids = [image for result in results for image in result["seen"][case]]
            assert sorted(ids) == list(range(count)), case
    first, second = (result["seen"]["5 files by 3, read by workers"] for result in runs[2])
    assert (first, second) == ([0, 1, 2], [3, 4])


def test_several_loaders_are_scored_as_by_one_process(runs: dict[int, list[dict[str, Any]]]) -> None:
    expected = runs[1][0]["several"]["scores"]
    assert {"val/accuracy", "val/accuracy/dataloader_idx_0"} <= expected[0].keys()
    assert "val/accuracy/dataloader_idx_1" in expected[1]
    for result in runs[2]:
        for alone, together in zip(expected, result["several"]["scores"], strict=True):
            assert together.keys() == alone.keys()
            for name, value in alone.items():
                tolerance = 1e-6 if "loss" in name else 0
                assert together[name] == pytest.approx(value, rel=0, abs=tolerance, nan_ok=True), name


def test_writers_of_predictions_get_the_indices_of_their_process(runs: dict[int, list[dict[str, Any]]]) -> None:
    ours = {
        1: [[[0, [0, 1]], [0, [2, 3]], [0, [4]], [1, [0, 1, 2]]]],
        2: [[[0, [0, 1]], [0, [4]], [1, [0, 1, 2]]], [[0, [2, 3]], [0, []], [1, []]]],
    }
    # Lightning's own sampler gives process r the images r, r + R, ...
    own = {1: [[[0, 1], [2, 3], [4]]], 2: [[[0, 2], [4]], [[1, 3]]]}
    for devices, results in runs.items():
        for result, expected, pairs in zip(results, ours[devices], own[devices], strict=True):
            found = result["several"]
            assert [[loader, indices] for loader, indices, _, _ in found["written"]] == expected
            assert all(len(indices) == count and indices == ids for _, indices, count, ids in found["written"])
            assert found["epoch"] == [[indices for at, indices in expected if at == loader] for loader in (0, 1)]
            assert [indices for _, indices, _, _ in found["own"]] == pairs


def test_localization_is_equal_for_any_number_of_images(runs: dict[int, list[dict[str, Any]]]) -> None:
    expected = runs[1][0]["localization"]
    assert len(expected) == 8
    assert len({case["val/mean_iou"] for case in expected.values()}) > 2, "boxes differ from image to image"
    summed = {"val/loss", "val/loss_box", "val/loss_classification", "val/mean_iou"}
    for result in runs[2]:
        for case, metrics in expected.items():
            found = result["localization"][case]
            assert found.keys() == metrics.keys() >= summed | {"val/localization_error", "val/iou_50", "val/accuracy"}
            for name, value in metrics.items():
                tolerance = 1e-6 if name in summed else 0
                assert found[name] == pytest.approx(value, rel=0, abs=tolerance), (case, name)


def test_autoencoding_is_equal_for_any_number_of_images(runs: dict[int, list[dict[str, Any]]]) -> None:
    expected = runs[1][0]["autoencoding"]
    assert len(expected) == 8
    assert len({case["val/knn_accuracy"] for case in expected.values()}) > 2, "codes differ from image to image"
    exact = {"val/knn_accuracy", "val/linear_accuracy"}
    for result in runs[2]:
        for case, metrics in expected.items():
            found = result["autoencoding"][case]
            assert found.keys() == metrics.keys() == exact | {"val/loss", "val/mse", "val/psnr", "val/ssim"}
            for name, value in metrics.items():
                tolerance = 0 if name in exact else 1e-4 if name == "val/psnr" else 1e-6
                assert found[name] == pytest.approx(value, rel=0, abs=tolerance), (case, name)


def test_one_process_writes_the_detections_of_all(runs: dict[int, list[dict[str, Any]]]) -> None:
    (alone,), (first, _) = runs[1], runs[2]
    assert {row["image_id"] for row in alone["detections"]} == {5, 6, 7}
    assert first["detections"] == alone["detections"]


def test_two_small_batches_train_like_one_large_batch(runs: dict[int, list[dict[str, Any]]]) -> None:
    (alone,), both = runs[1], runs[2]
    assert alone["training"]["steps"] == 8
    for result in both:
        for name, value in alone["training"].items():
            assert result["training"][name] == pytest.approx(value, abs=1e-5), name
        for name, value in alone["weights"].items():
            torch.testing.assert_close(result["weights"][name], value, rtol=0, atol=1e-5)
    first, second = both
    assert all(torch.equal(value, second["weights"][name]) for name, value in first["weights"].items())


def test_a_backbone_that_is_unfrozen_later_stays_the_same_on_all(runs: dict[int, list[dict[str, Any]]]) -> None:
    (alone,), (first, second) = runs[1], runs[2]
    for name, value in alone["finetuned"].items():
        assert torch.equal(first["finetuned"][name], second["finetuned"][name]), name
        torch.testing.assert_close(first["finetuned"][name], value, rtol=0, atol=1e-5)


def test_nothing_new_is_warned_of(runs: dict[int, list[dict[str, Any]]]) -> None:
    for results in runs.values():
        for result in results:
            assert [text for text in result["warnings"] if not any(known in text for known in KNOWN)] == []


@pytest.mark.slow
def test_a_loss_that_is_not_finite_on_one_process_stops_both(tmp_path: Path) -> None:
    run = launch(2, tmp_path / "broken", "--break", timeout=120)
    assert run.returncode != 0
    for what in (r"loss is not finite at step 1 \(cross_entropy inf\)", "gradient is not finite at step 1"):
        message = rf"NonFiniteLossError: The {what} .* ids \[\d+, \d+\] of this process, or for those of another"
        assert re.search(message, run.stdout), run.stdout
    assert not list((tmp_path / "broken").glob("*.pt"))


@pytest.mark.slow
def test_a_loss_that_is_not_finite_on_one_process_is_skipped_by_both(tmp_path: Path) -> None:
    run = launch(2, tmp_path / "skipped", "--skip", timeout=120)
    assert run.returncode == 0, run.stdout
    first, second = (torch.load(tmp_path / "skipped" / f"skipped-{rank}.pt") for rank in range(2))
    assert first["skipped"] == second["skipped"] == 1
    for name, value in first["weights"].items():
        assert value.isfinite().all()
        assert torch.equal(value, second["weights"][name]), name
