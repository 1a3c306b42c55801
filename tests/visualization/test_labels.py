import torch

from visiontasks.visualization import label_names


def test_one_class_several_and_none_are_named() -> None:
    names = ["cat", "dog", "cow"]
    assert label_names(torch.tensor(1), names) == "dog"
    assert label_names(torch.tensor(-1), names) == "no object"
    assert label_names(torch.tensor([1, 0, 1]), names) == "cat, cow"
    assert label_names(torch.zeros(3, dtype=torch.int64), names) == "none"
