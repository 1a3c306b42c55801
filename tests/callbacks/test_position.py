from copy import deepcopy
from typing import Any

from visiontasks.callbacks.position import correct_loops


def loops(completed: int) -> dict[str, Any]:
    """Counts of the second epoch of four batches, after its second one."""
    counts = {"ready": 6, "started": 6, "processed": 6, "completed": completed + 4}
    current = {"ready": 2, "started": 2, "processed": 2, "completed": completed}
    epochs = {"ready": 2, "started": 2, "processed": completed, "completed": 1}
    return {
        "fit_loop": {
            "epoch_loop.batch_progress": {"total": counts, "current": current},
            "epoch_progress": {"total": dict(epochs), "current": dict(epochs)},
            "epoch_loop.state_dict": {"_batches_that_stepped": completed + 4},
        }
    }


def test_a_training_that_ended_within_an_epoch_is_saved_like_one_that_goes_on() -> None:
    # After the batch Lightning has counted it, and the epoch as processed; in the hook before it has not.
    ended, within = loops(completed=2), loops(completed=1)
    correct_loops(ended, "batch")
    assert ended == within
    unchanged = deepcopy(within)
    correct_loops(within, "batch")
    assert within == unchanged
