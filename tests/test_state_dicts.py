import pytest
import torch
import torch.nn.functional as F

from visiontasks.errors import CheckpointError
from visiontasks.state_dicts import check_fit, mismatches, widened


def test_every_mismatch_is_listed() -> None:
    own = {"same": torch.zeros(2), "shape": torch.zeros(2, 3), "missing": torch.zeros(1)}
    loaded = {"same": torch.ones(2), "shape": torch.zeros(3, 2), "more": torch.zeros(1)}
    assert mismatches(own, loaded, "file", "model") == [
        "missing: not in the file",
        "more: not in the model",
        "shape: [3, 2] in the file, [2, 3] in the model",
    ]
    assert mismatches(own, own, "file", "model") == []


def test_of_hundreds_of_keys_the_first_ten_are_listed() -> None:
    loaded = {f"layer{index:03}": torch.ones(1) for index in range(300)}
    with pytest.raises(CheckpointError) as error:
        check_fit({}, loaded, "Other", "Remedy.", file="file", model="model")
    assert "\n  layer009: not in the model and 290 others\nRemedy." in str(error.value)
    assert "layer010" not in str(error.value)


def test_an_earlier_classifier_of_1x1_computes_the_same() -> None:
    name, x = "decoder.classifier.weight", torch.randn(2, 4, 5, 6)
    earlier = {name: torch.randn(3, 4, 1, 1), "other": torch.ones(1)}
    found = widened(earlier, {name: torch.empty(3, 4, 3, 3)})
    torch.testing.assert_close(F.conv2d(x, found[name], padding=1), F.conv2d(x, earlier[name]))
    assert found["other"] is earlier["other"]
    assert widened(earlier, {name: torch.empty(3, 4, 1, 1)}) == earlier
