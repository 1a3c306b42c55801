"""Which warnings a command does not show."""

import logging
import warnings
from pathlib import Path

import pytest

import visiontasks
from visiontasks.cli.failures import run_to_exit_code
from visiontasks.cli.training import TrainingCLI

SILENT: dict[str, type[Warning]] = {
    "`isinstance(treespec, LeafSpec)` is deprecated": FutureWarning,
    "The number of training batches (2) is smaller than the logging interval": UserWarning,
    "Precision bf16-mixed is not supported by the model summary": UserWarning,
    "The dirpath has changed from 'a' to 'b'": UserWarning,
    "Be aware that when using `ckpt_path`, callbacks used": UserWarning,
    "It is recommended to use `self.log('a', ..., sync_dist=True)` when logging on epoch level in": UserWarning,
    "`ModelCheckpoint(monitor='val/map')` could not find the monitored key in the returned metrics: []": UserWarning,
    "Found 3 module(s) in eval mode at the start of training": UserWarning,
    "The 'train_dataloader' does not have many workers": UserWarning,
}


def test_what_a_user_cannot_mend_is_silent_and_the_rest_is_not(caplog: pytest.LogCaptureFixture) -> None:
    logger = logging.getLogger("lightning.pytorch.utilities.rank_zero")
    filters = list(logger.filters)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")

        def command() -> int:
            for text, category in SILENT.items():
                warnings.warn(text, category, stacklevel=1)
            return 3

        assert run_to_exit_code(command, debug=False) == 3
        assert caught == []
        warnings.warn("something else", UserWarning, stacklevel=1)
        warnings.warn("LeafSpec", UserWarning, stacklevel=1)
        assert [str(one.message) for one in caught] == ["something else", "LeafSpec"]
    with caplog.at_level("INFO"):
        for product in ("litlogger", "litmodels"):
            logger.info(
                f"💡 Tip: For something seamless, try installing [{product}](https://pypi.org/project/{product}/)"
            )
        logger.info("`Trainer.fit` stopped: `max_epochs=3` reached.")
        logger.info("`Trainer.fit` stopped: `max_steps=3` reached.")
        logger.info("TPU available: False, using: 0 TPU cores")
        logger.info("GPU available: False, used: False")
    assert caplog.messages == ["`Trainer.fit` stopped: `max_steps=3` reached.", "GPU available: False, used: False"]
    logger.filters = filters


def test_a_warning_of_this_package_is_a_sentence_in_flags(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    logger = logging.getLogger("lightning.pytorch.utilities.rank_zero")
    filters = list(logger.filters)
    monkeypatch.setattr(warnings, "formatwarning", warnings.formatwarning)
    assert TrainingCLI.__name__, "the flags of its Trainer are named"
    for _ in range(2):
        assert run_to_exit_code(lambda: 0, debug=False) == 0
    ours = str(Path(visiontasks.__file__).parent / "tasks" / "traps.py")
    message = "Take freeze='none', or max_epochs=3 or more."
    assert warnings.formatwarning(UserWarning(message), UserWarning, ours, 3) == (
        "warning: Take --model.freeze none, or --trainer.max_epochs 3 or more.\n"
    )
    other = warnings.formatwarning(UserWarning(message), UserWarning, str(tmp_path / "theirs.py"), 3)
    assert other.startswith(f"{tmp_path / 'theirs.py'}:3: UserWarning: {message}")
    logger.filters = filters
