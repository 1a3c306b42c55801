"""After the training: a checkpoint is scored on other data, predicts, answers, is exported, and encodes images."""

import os
from importlib.util import find_spec
from pathlib import Path

from visiontasks import cli, predict_images
from visiontasks.prediction import create_predictor


def visiontasks(*words):
    if code := cli.main([str(word) for word in words]):
        raise SystemExit(code)


def second_hour(name, task, half, new, photos, train=(), size=()):
    """Train on data (``--data`` and its flags), then use the checkpoint on others, of which it knows all it needs."""
    visiontasks("fit", "--run", name, "--model", task, *half, *train)
    run, out = Path("runs", name), Path("used", name)
    visiontasks("test", "--ckpt_path", run, *new)
    visiontasks("predict", run, *new, "--output", out / "predictions.jsonl")
    answers = serve(run, photos)
    visiontasks("export", run, "--output", out / "model.onnx", *size)
    visiontasks("embed", run, *photos, "--output", out / "codes.npz")
    return answers


def serve(run, photos):
    """Answer as the service does: bytes of an image in, values for JSON out."""
    if find_spec("fastapi") is None:  # the same without the web
        predictor = create_predictor(run)
        return [next(iter(predict_images(predictor, photo.read_bytes()))).as_dict() for photo in photos]
    os.environ["MODEL"] = str(run)
    from fastapi.testclient import TestClient
    from service import app

    kind = {"Content-Type": "application/octet-stream"}
    with TestClient(app) as client:
        return [client.post("/predict", content=photo.read_bytes(), headers=kind).json() for photo in photos]


if __name__ == "__main__":
    photos = sorted(Path("new", "cat").iterdir())
    data = ("--data", "FolderDataModule", "--data.root")
    second_hour("cats", "ClassificationTask", (*data, "half"), (*data, "new"), photos)
