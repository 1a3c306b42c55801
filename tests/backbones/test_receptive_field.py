import pytest
import torch
from torch import Tensor, nn

from visiontasks import Backbone, create_backbone
from visiontasks.backbones.backbone import Features
from visiontasks.backbones.receptive_field import Interval, receptive_fields


def closed_formula(layers: list[tuple[int, int]]) -> int:
    """Araujo et al. 2019, equation 2: r_0 = sum over layers of (k - 1) times the strides before it, plus 1."""
    size, jump = 1, 1
    for kernel, stride in layers:
        size += (kernel - 1) * jump
        jump *= stride
    return size


RESNET18 = [(7, 2), (3, 2), *[(3, 1)] * 4, *([(3, 2), *[(3, 1)] * 3] * 3)]
VGG16 = [*([*[(3, 1)] * 2, (2, 2)] * 2), *([*[(3, 1)] * 3, (2, 2)] * 3)]


@pytest.mark.parametrize(("name", "layers", "known"), [("resnet18", RESNET18, 435), ("vgg16", VGG16, 212)])
def test_the_field_is_that_of_the_closed_formula(name: str, layers: list[tuple[int, int]], known: int) -> None:
    with torch.device("meta"):
        backbone = create_backbone(name)
    (field,) = receptive_fields(backbone, indices=[len(backbone.strides) - 1])
    assert field is not None
    assert field.size == closed_formula(layers) == known


class Shifted(Backbone):
    """An asymmetric dilated filter, a depthwise one, and a skip."""

    channels, strides = (4, 4), (2, 4)

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Conv2d(3, 4, (3, 3), stride=2, padding=(2, 2), dilation=2)
        self.second = nn.Conv2d(4, 4, 4, stride=2, groups=4)

    def forward(self, images: Tensor) -> Features:
        fine = self.first(images).relu()
        return [fine, self.second(nn.functional.pad(fine, (0, 3, 1, 2))) + fine[..., ::2, ::2]]


def test_the_field_is_where_a_gradient_reaches() -> None:
    backbone = Shifted().eval()
    with torch.no_grad():
        for parameter in backbone.parameters():
            parameter.fill_(1)
    images = torch.ones(1, 3, 32, 64, requires_grad=True)
    for feature, stride, field in zip(backbone(images), backbone.strides, receptive_fields(backbone), strict=True):
        (gradient,) = torch.autograd.grad(feature[0, :, 4, 8].sum(), images, retain_graph=True)
        columns = gradient.abs().sum((0, 1, 2)).nonzero().flatten() - 8 * stride
        assert field == Interval(int(columns.min()), int(columns.max()))


class Squeezed(Shifted):
    def forward(self, images: Tensor) -> Features:
        fine, coarse = super().forward(images)
        return [fine, coarse * coarse.mean((2, 3), keepdim=True).sigmoid()]


def test_a_map_that_depends_on_the_whole_image_has_no_limit() -> None:
    fine, coarse = receptive_fields(Squeezed())
    assert fine == Interval(-2, 2)
    assert coarse is None


def test_the_backbone_and_the_number_of_threads_are_left_as_they_were() -> None:
    backbone = create_backbone("resnet18-small").train()
    before = {name: value.clone() for name, value in backbone.state_dict().items()}
    threads = torch.get_num_threads()
    receptive_fields(backbone)
    assert torch.get_num_threads() == threads
    assert backbone.training
    assert all(torch.equal(value, before[name]) for name, value in backbone.state_dict().items())
