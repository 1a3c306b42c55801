from pathlib import Path

import torch

from visiontasks.prediction import Prediction
from visiontasks.prediction.overlays import draw_prediction


def test_a_reconstruction_is_as_large_as_its_image_and_beside_it() -> None:
    image = torch.randint(256, (1, 4, 6), dtype=torch.uint8)
    small = torch.tensor([[[10, 201], [10, 201]]], dtype=torch.uint8)
    picture = draw_prediction(Prediction(Path("a.png"), (4, 6), reconstruction=small, image=image), [])
    assert picture.shape == (3, 4, 12)
    assert torch.equal(picture[:, :, :6], image.expand(3, -1, -1))
    assert picture[:, :, 6].eq(10).all()
    assert picture[:, :, 11].eq(201).all()


def test_the_most_probable_box_is_on_top() -> None:
    box = (10.0, 10.0, 90.0, 90.0)
    both = Prediction(
        0, (100, 100), (1, 2), ("cat", "dog"), (0.9, 0.8), (box, box), image=torch.zeros(3, 100, 100, dtype=torch.uint8)
    )
    picture = draw_prediction(both, [])
    alone = draw_prediction(both.at_least(0.85), [])
    assert torch.equal(picture[:, 50], alone[:, 50])
    assert picture[:, 50].any()
