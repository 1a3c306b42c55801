import json

import numpy as np
import pytest

from visiontasks.data.augmentation.evaluation_view import EvaluationView
from visiontasks.data.augmentation.resizing import Resizing, Stretch, Whole, Within
from visiontasks.data.images.reading import resize
from visiontasks.errors import DataError

PIXELS = np.random.default_rng(0).integers(0, 256, (30, 50, 3), dtype=np.uint8)


@pytest.mark.parametrize(
    ("resizing", "size"),
    [(Whole(), (30, 50)), (Stretch((20, 24)), (20, 24)), (Within(shorter=60, longer=80), (48, 80))],
)
def test_a_view_comes_back_from_its_description(resizing: Resizing, size: tuple[int, int]) -> None:
    view = EvaluationView(resizing, multiple=32)
    description = json.loads(json.dumps(view.describe()))
    assert description == view.describe()
    assert EvaluationView.create(description) == view
    image, window = EvaluationView.create(description).show(PIXELS)
    assert window == (0, 0, 30, 50, size)
    assert np.array_equal(image.permute(1, 2, 0).numpy(), resize(PIXELS, size))


@pytest.mark.parametrize("wrong", [{}, {"policy": "Crop"}, {"policy": "Stretch"}, {"policy": "Whole", "size": [3, 4]}])
def test_what_describes_no_view_is_an_error(wrong: dict[str, object]) -> None:
    with pytest.raises(DataError, match="expected a policy"):
        EvaluationView.create(wrong)
