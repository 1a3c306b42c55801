import torch
from torchvision.models.googlenet import InceptionAux

from visiontasks.heads.auxiliary import AuxiliaryHead


def test_it_is_torchvisions_for_the_same_weights() -> None:
    ours, theirs = AuxiliaryHead(512, 7).eval(), InceptionAux(512, 7).eval()
    assert ours.dropout.p == theirs.dropout.p
    ours.load_state_dict(theirs.state_dict())
    for size in (14, 9):
        x = torch.randn(2, 512, size, size)
        torch.testing.assert_close(ours(x), theirs(x))
