"""The examples of docs/service.md: a web service, and a file that runs without this library."""

import json
import re
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from tests.prediction.small_tasks import TASKS, save_task, write_pictures
from visiontasks import SegmentationTask
from visiontasks.export import export_task
from visiontasks.prediction import create_predictor, load_task, predict_images

DOCS = Path(__file__).parent.parent / "docs"
EXAMPLES = DOCS / "examples"
SIZES = {
    "multiclass": (20, 24),
    "multilabel": (20, 24),
    "localization": (20, 40),
    "detection": (64, 96),
    "autoencoding": (20, 24),
    "segmentation": (20, 24),
}


def imported(name: str, patch: pytest.MonkeyPatch) -> ModuleType:
    """Import an example as a user does, from its folder."""
    patch.syspath_prepend(EXAMPLES)
    patch.delitem(sys.modules, name, raising=False)
    return __import__(name)


@pytest.fixture
def client(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """A running service of a detector-free task; skipped where FastAPI is not installed."""
    reason = "the service of docs/service.md needs fastapi and httpx: pip install -e '.[dev]'"
    pytest.importorskip("fastapi", reason=reason)
    pytest.importorskip("httpx", reason=reason)
    from fastapi.testclient import TestClient

    (tmp_path / "run").mkdir()
    monkeypatch.setenv("MODEL", str(tmp_path / "run"))
    save_task(TASKS["localization"](), tmp_path / "run" / "last.ckpt")
    service = imported("service", monkeypatch)
    with TestClient(service.app) as client:
        yield client


def post(client: Any, content: bytes) -> Any:  # noqa: ANN401 - of a package that may be missing
    return client.post("/predict", content=content, headers={"Content-Type": "application/octet-stream"})


def test_both_examples_are_in_the_docs_as_they_are() -> None:
    page = (DOCS / "service.md").read_text()
    assert re.findall(r"{literalinclude} examples/(\w+)\.py", page) == ["service", "onnx_predict"]
    assert "service" in (DOCS / "index.md").read_text().split("{toctree}", 1)[1].split()


def test_an_image_goes_in_and_json_comes_out(client: Any, tmp_path: Path) -> None:  # noqa: ANN401 - as above
    files = write_pictures(tmp_path / "pictures")
    expected = {
        file.name: prediction for file, prediction in zip(files, predict_images(tmp_path / "run", files), strict=True)
    }
    for file in files:
        answer, prediction = post(client, file.read_bytes()), expected[file.name]
        if prediction.error is not None:
            assert answer.status_code == 422
            assert "could not be read as an image" in answer.json()["detail"]
            continue
        assert answer.status_code == 200
        found, known = answer.json(), prediction.as_dict()
        assert (found["height"], found["width"]) == prediction.size
        for one, other in zip(found["objects"], known["objects"], strict=True):
            assert one["class"] == other["class"]
            assert one["box"] == pytest.approx(other["box"], abs=1e-2)


def test_requests_that_come_at_once_get_their_own_answers(client: Any, tmp_path: Path) -> None:  # noqa: ANN401 - as above
    contents = [file.read_bytes() for file in write_pictures(tmp_path / "pictures") if file.name[0] not in "ht"]
    expected = [post(client, content).json() for content in contents]
    assert len({json.dumps(answer) for answer in expected}) == len(contents)
    numbers = list(range(len(contents))) * 8
    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(lambda number: post(client, contents[number]).json(), numbers))
    for number, answer in zip(numbers, answers, strict=True):
        assert (answer["height"], answer["width"]) == (expected[number]["height"], expected[number]["width"])
        assert answer["objects"][0]["box"] == pytest.approx(expected[number]["objects"][0]["box"], abs=1e-2)


def test_the_service_computes_before_the_first_request(client: Any, monkeypatch: pytest.MonkeyPatch) -> None:  # noqa: ANN401 - as above
    predictor = client.app.state.predictor
    calls: list[int] = []
    predict = type(predictor).predict

    def count(self: Any, samples: Any) -> Any:  # noqa: ANN401 - as the method
        calls.append(len(samples))
        return predict(self, samples)

    monkeypatch.setattr(type(predictor), "predict", count)
    service = sys.modules["service"]
    from fastapi.testclient import TestClient

    with TestClient(service.app):
        assert calls == [1]


@pytest.mark.unchecked
@pytest.mark.parametrize("kind", SIZES)
def test_a_dozen_lines_compute_what_the_checkpoint_does(
    kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    onnxruntime = pytest.importorskip("onnxruntime")
    size = SIZES[kind]
    task: Any = TASKS[kind]()
    if isinstance(task, SegmentationTask):  # so that every class occurs
        *_, bias = (value for value in task.decoder.parameters() if value.shape == (3,))
        bias.data.add_(torch.tensor([0.0, 0.01, -0.01]))
    checkpoint = save_task(task, tmp_path / "task.ckpt")
    pixels = np.random.default_rng(0).integers(0, 256, (*size, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(tmp_path / "photo.png")
    # Of the size of the export, a photo is not resized, so that all agrees.
    export_task(load_task(checkpoint), tmp_path / "task.onnx", size)
    example = imported("onnx_predict", monkeypatch)
    found = example.predict(onnxruntime.InferenceSession(tmp_path / "task.onnx"), tmp_path / "photo.png")
    loaded: Any = load_task(checkpoint).eval()
    images = torch.from_numpy(pixels).permute(2, 0, 1)[None]
    inputs = (images, torch.tensor([size])) if kind == "detection" else (images,)
    with torch.no_grad():
        expected = loaded.predict(loaded.eval_forward(*inputs))._asdict()
    expected = {"reconstructions" if name == "images" else name: value for name, value in expected.items()}
    assert found.keys() == expected.keys()
    for name, value in expected.items():
        tolerance = 0.1 if "boxes" in name else 1e-3
        if name == "labels":
            assert (found[name] == value.numpy()).mean() > 0.999
        else:
            torch.testing.assert_close(torch.from_numpy(found[name]), value, atol=tolerance, rtol=1e-3)


@pytest.mark.parametrize("size", [(40, 50), (60, 70), (300, 200)])
def test_they_resize_photos_as_predict_does(
    size: tuple[int, int], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    onnxruntime = pytest.importorskip("onnxruntime")
    task: Any = TASKS["multiclass"]()
    checkpoint = save_task(task, tmp_path / "task.ckpt")
    export_task(load_task(checkpoint), tmp_path / "task.onnx")
    pixels = np.random.default_rng(0).integers(0, 256, (*size, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(tmp_path / "photo.png")
    example = imported("onnx_predict", monkeypatch)
    found = example.predict(onnxruntime.InferenceSession(tmp_path / "task.onnx"), tmp_path / "photo.png")
    (expected,) = predict_images(create_predictor(checkpoint), tmp_path / "photo.png")
    np.testing.assert_allclose(found["scores"], expected.scores, atol=1e-4)


@pytest.mark.unchecked
def test_they_are_a_dozen_and_need_no_library(tmp_path: Path) -> None:
    pytest.importorskip("onnxruntime")
    text = (EXAMPLES / "onnx_predict.py").read_text()
    body = text.split("def predict(session, photo):\n")[1].split("\n\n")[0]
    assert len(body.splitlines()) <= 12
    export_task(TASKS["multiclass"](in_channels=1), tmp_path / "task.onnx")
    Image.new("RGB", (50, 60), "red").save(tmp_path / "photo.jpg")
    code = (
        "import sys, runpy\nsys.modules['visiontasks'] = sys.modules['torch'] = None\n"
        f"sys.argv[1:] = ['task.onnx', 'photo.jpg']\n"
        f"runpy.run_path({str(EXAMPLES / 'onnx_predict.py')!r}, run_name='__main__')"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False, cwd=tmp_path)
    assert run.returncode == 0, run.stderr
    assert run.stdout.startswith("{'probabilities': array(")
