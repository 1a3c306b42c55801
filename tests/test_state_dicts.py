import torch

from visiontasks.state_dicts import mismatches


def test_every_mismatch_is_listed() -> None:
    own = {"same": torch.zeros(2), "shape": torch.zeros(2, 3), "missing": torch.zeros(1)}
    loaded = {"same": torch.ones(2), "shape": torch.zeros(3, 2), "more": torch.zeros(1)}
    assert mismatches(own, loaded, "file", "model") == [
        "missing: not in the file",
        "more: not in the model",
        "shape: [3, 2] in the file, [2, 3] in the model",
    ]
    assert mismatches(own, own, "file", "model") == []
