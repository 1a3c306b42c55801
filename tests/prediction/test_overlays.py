from pathlib import Path

import pytest
import torch

from visiontasks.errors import ArgumentError
from visiontasks.prediction import Prediction
from visiontasks.prediction.overlays import draw_prediction
from visiontasks.prediction.results import run_lengths
from visiontasks.visualization import class_color


def test_a_reconstruction_is_as_large_as_its_image_and_beside_it() -> None:
    image = torch.randint(256, (1, 4, 6), dtype=torch.uint8)
    small = torch.tensor([[[10, 201], [10, 201]]], dtype=torch.uint8)
    picture = draw_prediction(Prediction(Path("a.png"), (4, 6), reconstruction=small, image=image), [])
    assert picture.shape == (3, 4, 12)
    assert torch.equal(picture[:, :, :6], image.expand(3, -1, -1))
    assert picture[:, :, 6].eq(10).all()
    assert picture[:, :, 11].eq(201).all()


def test_what_a_prediction_does_not_hold_is_said() -> None:
    prediction = Prediction(Path("a.png"), (4, 6), (0,), ("cat",), (0.5,))
    with pytest.raises(ArgumentError, match=r"'a\.png' has no image .*: keep it by .*keep_images=True"):
        draw_prediction(prediction, ["cat"])
    with pytest.raises(ArgumentError, match=r"has no image to be drawn onto: it is damaged\."):
        draw_prediction(Prediction(Path("a.png"), error="it is damaged"), ["cat"])
    for read, has in ((prediction.instance, "instances"), (prediction.layer, "mask")):
        with pytest.raises(ArgumentError, match=f"'a.png' has no {has}"):
            read(0)


def test_the_most_probable_box_is_on_top() -> None:
    box = (10.0, 10.0, 90.0, 90.0)
    both = Prediction(
        0, (100, 100), (1, 2), ("cat", "dog"), (0.9, 0.8), (box, box), image=torch.zeros(3, 100, 100, dtype=torch.uint8)
    )
    picture = draw_prediction(both, [])
    alone = draw_prediction(both.at_least(0.85), [])
    assert torch.equal(picture[:, 50], alone[:, 50])
    assert picture[:, 50].any()


def test_instances_have_a_colour_each_and_the_most_probable_is_on_top() -> None:
    masks = torch.zeros(2, 200, 300, dtype=torch.uint8)
    masks[0, 50:150, 50:150] = 1
    masks[1, 50:150, 100:250] = 1
    both = Prediction(
        0,
        (200, 300),
        (1, 1),
        ("dog", "dog"),
        (0.9, 0.8),
        ((50.0, 50.0, 150.0, 150.0), (100.0, 50.0, 250.0, 150.0)),
        instances=tuple(run_lengths(mask) for mask in masks),
        image=torch.zeros(3, 200, 300, dtype=torch.uint8),
    )
    picture = draw_prediction(both, [])
    first, second = (0.45 * torch.tensor(class_color(number)).double() for number in range(2))
    assert picture[:, 120, 80].tolist() == first.round().tolist()
    assert picture[:, 120, 200].tolist() == second.round().tolist()
    assert picture[:, 120, 130].tolist() == (0.55 * second.round() + first).round().tolist()
    assert not picture[:, 180].any()
    assert torch.equal(draw_prediction(both.at_least(0.85), [])[:, 120, 160:], torch.zeros(3, 140, dtype=torch.uint8))
