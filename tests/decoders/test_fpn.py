import pytest
import torch

from visiontasks.decoders.fpn import FPN

CHANNELS, STRIDES = (64, 64, 128, 256, 512), (2, 4, 8, 16, 32)


@pytest.mark.parametrize(("stride", "blocks"), [(4, [1, 1, 2, 3]), (2, [1, 1, 2, 3, 4]), (16, [1, 1]), (64, [1])])
def test_each_level_is_enlarged_step_by_step_to_the_finest(stride: int, blocks: list[int]) -> None:
    decoder = FPN(CHANNELS, STRIDES, 3, width=8, head_width=8, stride=stride, norm="batch")
    assert [len(head.blocks) for head in decoder.heads] == blocks  # type: ignore[arg-type]  # ModuleLists
    features = [torch.randn(2, width, 64 // step, 96 // step) for width, step in zip(CHANNELS, STRIDES, strict=True)]
    assert decoder(features, (64, 96)).shape == (2, 3, 64, 96)


def test_what_the_coarsest_map_sees_reaches_the_finest_level() -> None:
    decoder = FPN((4, 8), (4, 8), 3, width=8, head_width=8)
    features = [torch.randn(1, 4, 8, 8), torch.randn(1, 8, 4, 4, requires_grad=True)]
    for parameter in decoder.heads[1].parameters():
        torch.nn.init.zeros_(parameter)
    decoder(features, (32, 32)).sum().backward()
    assert features[1].grad is not None
    assert features[1].grad.abs().sum() > 0
