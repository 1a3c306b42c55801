"""Windows of images, against plain loops."""

import numpy as np

from visiontasks.data.augmentation.windows import Window, clip_boxes, show_image, show_mask


def test_what_lies_beyond_the_image_is_black_and_ignored() -> None:
    window = Window(-2, -3, 10, 12, (20, 24))
    image, mask = np.full((5, 6, 3), 9, np.uint8), np.full((5, 6), 4, np.uint8)
    inside = np.zeros((20, 24), bool)
    inside[4:14, 6:18] = True
    assert np.array_equal(show_image(image, window), np.where(inside[:, :, None], 9, 0).repeat(3, 2))
    assert np.array_equal(show_mask(mask, window), np.where(inside, 4, 255))


def test_windows_beside_the_image_are_empty() -> None:
    assert not show_image(np.ones((4, 4, 1), np.uint8), Window(0, 0, 4, 4000, (4, 4)))[:, 1:].any()


def test_clipping() -> None:
    boxes = np.array([[-5, -5, 5, 5], [20, 0, 30, 5], [3, 3, 3, 9], [0, 0, 10, 8.0]])
    clipped, inside = clip_boxes(boxes, (8, 10))
    assert clipped.tolist() == [[0, 0, 5, 5], [10, 0, 10, 5], [3, 3, 3, 8], [0, 0, 10, 8]]
    assert inside.tolist() == [True, False, False, True]
    assert clip_boxes(boxes, (8, 10), visible=0.3)[1].tolist() == [False, False, False, True]
    assert clip_boxes(np.empty((0, 4)), (8, 10))[0].shape == (0, 4)
