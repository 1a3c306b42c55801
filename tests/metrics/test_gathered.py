import torch

from visiontasks.metrics.gathered import Gathered


def test_everything_is_kept_until_it_is_reset() -> None:
    outputs, targets = torch.randn(7, 3), torch.randint(2, (7, 3), dtype=torch.uint8)
    gathered = Gathered()
    for part in torch.arange(7).split(3):
        gathered.update(outputs[part], targets[part])
    found = gathered.compute()
    assert torch.equal(found[0], outputs)
    assert torch.equal(found[1], targets)
    gathered.reset()
    gathered.update(outputs[:1], targets[:1])
    assert len(gathered.compute()[0]) == 1
    assert not gathered.state_dict()
