"""What a variational code is drawn from."""

import pytest
import torch

from visiontasks import AutoencodingTask


@pytest.mark.parametrize(("bias", "bound"), [(1e4, 10.0), (-1e4, -20.0)])
def test_the_logarithm_of_a_variance_is_bounded(bias: float, bound: float) -> None:
    task = AutoencodingTask(
        code_size=3, variational=True, image_size=(8, 8), backbone_options={"filters": [4], "depth": 1}
    )
    assert task.code.into.bias is not None
    task.code.into.bias.data[3:] = bias
    outputs = task.train()(torch.rand(2, 3, 8, 8))
    assert outputs.log_variances is not None
    assert (outputs.log_variances == bound).all()
    assert outputs.logits.isfinite().all()
    assert outputs.codes.abs().max() < 100  # the means have no bound
