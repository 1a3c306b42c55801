"""Real published weights: the features of a task are those of timm, for the same images and the same normalisation."""

import os
from pathlib import Path

import pytest
import timm
import torch

from visiontasks import ClassificationTask

NAME = "tf_efficientnet_lite0"
FOLDER = os.environ.get("VISIONTASKS_WEIGHTS") or (
    Path(os.environ["VISIONTASKS_DATA"]).absolute().parent / "weights" if "VISIONTASKS_DATA" in os.environ else None
)
FILE = Path(FOLDER or "", f"{NAME}.pth")


@pytest.mark.skipif(
    not FILE.is_file(),
    reason=f"neither VISIONTASKS_WEIGHTS nor a folder weights beside VISIONTASKS_DATA holds {NAME}.pth",
)
def test_the_features_of_real_weights_are_those_of_timm() -> None:
    task = ClassificationTask(2, backbone=f"timm/{NAME}", backbone_weights=FILE).eval()
    network = timm.create_model(NAME).eval()
    network.load_state_dict(torch.load(FILE, weights_only=True), strict=True)
    reference = timm.create_model(NAME, features_only=True).eval()
    missing = reference.load_state_dict(network.state_dict(), strict=False).missing_keys
    assert not missing
    # In double precision, in which two ways to normalise do not differ by more than was asked.
    task, reference = task.double(), reference.double()
    images = torch.randint(256, (2, 3, 128, 160), dtype=torch.uint8)
    with torch.no_grad():
        theirs = reference((images.double() / 255 - 0.5) / 0.5)
        ours = task.backbone(task.normalize(images))
    assert len(ours) == len(theirs) == 5
    for one, other in zip(ours, theirs, strict=True):
        assert other.std() > 0.1, "real features"
        torch.testing.assert_close(one, other, atol=1e-5, rtol=0)
