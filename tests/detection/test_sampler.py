import torch

from visiontasks.detection.sampler import Sampler


def sampled(states: torch.Tensor, sampler: Sampler) -> list[tuple[list[int], list[int]]]:
    """Positions of the positives and of the background that are sampled in each image."""
    indices, valid = sampler(states)
    found = []
    for image in range(len(states)):
        chosen = indices[image][valid[image]]
        assert len(chosen.unique()) == len(chosen)
        kinds = states[image][chosen]
        assert (kinds >= 0).all()
        found.append((chosen[kinds == 1].tolist(), chosen[kinds == 0].tolist()))
    return found


def test_counts_are_torchvisions() -> None:
    states = torch.full((4, 50), -1)
    for image, (positives, negatives) in enumerate([(10, 30), (3, 40), (20, 2), (0, 5)]):
        states[image, :positives], states[image, positives : positives + negatives] = 1, 0
    states = states[:, torch.randperm(50)]
    counts = [(len(a), len(b)) for a, b in sampled(states, Sampler(16, 0.25))]
    # A quarter of 16 at most, and the background fills up.
    assert counts == [(4, 12), (3, 13), (4, 2), (0, 5)]


def test_every_candidate_is_as_likely_as_another() -> None:
    states = torch.tensor([[1] * 4 + [0] * 6]).expand(4000, -1)
    indices, valid = Sampler(5, 0.4)(states)
    assert valid.all()
    shares = torch.bincount(indices.flatten(), minlength=10) / 4000
    torch.testing.assert_close(shares, torch.tensor([0.5] * 10), rtol=0, atol=0.04)


def test_places_that_are_left_over_repeat_the_others() -> None:
    states = torch.tensor([[1, 0, -1, -1, -1, -1], [-1] * 6])
    indices, valid = Sampler(5, 0.5)(states)
    assert valid.sum(1).tolist() == [2, 0]
    assert set(indices[0].tolist()) == {0, 1}
    assert indices.shape == (2, 5)


def test_a_fixed_sample_is_the_same_for_an_image_wherever_it_is() -> None:
    states = torch.randint(-1, 2, (3, 80))
    sampler = Sampler(20, 0.3)
    together = sampler(states, at_random=False)
    alone = sampler(states[2:], at_random=False)
    assert torch.equal(together.indices[2:], alone.indices)
    assert not torch.equal(sampler(states).indices, sampler(states).indices)
