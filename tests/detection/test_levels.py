from visiontasks import Backbone, create_backbone
from visiontasks.backbones.backbone import Features
from visiontasks.detection.levels import only_level, pyramid_levels
from visiontasks.types import Images


def test_a_pyramid_has_the_last_map_of_each_stride_from_the_finest_on() -> None:
    assert pyramid_levels((2, 4, 4, 8, 16, 16, 32), 4) == [2, 3, 5, 6]
    assert pyramid_levels((2, 4, 8), 8) == [2]
    assert pyramid_levels((1, 2), 4) == [1]


def test_a_single_map_is_the_coarsest_one_that_is_fine_enough_and_what_follows_is_not_trained() -> None:
    for most, level in ((0, 0), (1, 0), (2, 1), (3, 1), (4, 2), (16, 3)):
        backbone = create_backbone("cnn", filters=[4, 4, 4], depth=1)
        assert only_level(backbone, most) == level
        trained = [
            any(parameter.requires_grad for part in stage for parameter in part.parameters())
            for stage in backbone.stage_modules()
        ]
        # The last stage only pools.
        assert trained == [True, level >= 1, level >= 2, False]


class Whole(Backbone):
    """A backbone that does not list its stages."""

    channels, strides = (3, 3), (8, 64)

    def forward(self, images: Images) -> Features:
        return [images, images]


def test_without_stages_it_is_the_coarsest_one() -> None:
    assert only_level(Whole()) == 1
