"""Every module is tested by a file of its name, or by one that is named here."""

from fnmatch import fnmatch
from pathlib import Path

import pytest

TESTS = Path(__file__).parent
PACKAGE = TESTS.parent / "visiontasks"
MODULES = [path.relative_to(PACKAGE).as_posix() for path in sorted(PACKAGE.rglob("*.py")) if path.stem != "__init__"]

# Modules without a file of their name, the file that tests them, and why that one; the first row that fits counts.
TESTED_BY = [
    ("cli/model_flags.py", "cli/test_checkpoint_task.py", "flags of instances are taken from a command line"),
    ("cli/run_data.py", "cli/test_scoring.py", "the data of a run, named by its checkpoint"),
    ("cli/split_files.py", "cli/test_scoring.py", "predict takes a split"),
    ("__main__.py", "cli/test_main.py", "is one call of the command line"),
    ("arguments.py", "tasks/test_arguments.py", "arguments of tasks are saved in their checkpoints"),
    ("backbones/padding.py", "backbones/test_wrapped.py", "its contract is that of the networks that it wraps"),
    ("cli/annotations.py", "cli/test_data.py", "fit refuses what the check finds"),
    ("cli/compilation.py", "tasks/test_compilation.py", "the flag compiles"),
    ("cli/checkpoint_model.py", "cli/test_checkpoints.py", "the model of a checkpoint"),
    ("cli/from_data.py", "cli/test_training.py", "fit refuses what differs from the data"),
    ("data/augmentation/*.py", "data/augmentation/test_transforms.py", "presets and colour are applied by transforms"),
    ("description.py", "data/test_vision_data.py", "what a data module says of itself"),
    ("kinds.py", "callbacks/test_kinds.py", "kinds are what the callbacks show"),
    ("data/datasets/pasting.py", "data/augmentation/test_copy_paste.py", "which images objects are pasted from"),
    ("data/datasets/proposals.py", "data/index/test_proposal_files.py", "reads the files that are written there"),
    ("data/index/source.py", "data/index/test_csv_table.py", "builds the index of every format, of which this is one"),
    ("data/lightning_modules.py", "data/test_vision_data.py", "the data, as Lightning takes them"),
    ("data/messages.py", "data/datamodules/test_folder.py", "what is left out of a folder"),
    ("data/loading/sharing.py", "data/loading/test_collate.py", "the memory that batches are collated in"),
    ("decoders/decoder.py", "decoders/test_contract.py", "what all decoders share"),
    ("decoders/weights.py", "tasks/test_segmentation_weights.py", "weights of a whole network"),
    ("detection/choices.py", "tasks/test_detection.py", "arguments of a detector that cannot work"),
    ("detection/operators.py", "export/test_program_files.py", "operators that only an export keeps"),
    ("detection/outputs.py", "tasks/test_detection.py", "what a detector returns"),
    ("detection/region_sample.py", "detection/test_roi_head.py", "what the head samples"),
    ("detection/regions_alone.py", "tasks/test_detection.py", "a region is what the backbone sees of it"),
    ("detection/weight_checks.py", "detection/test_foreign.py", "weights of other detectors are refused"),
    ("embedding/*.py", "cli/test_embed.py", "embeddings by the command"),
    ("losses/*.py", "losses/test_segmentation.py", "losses of pixels are held against loops together"),
    ("metrics/coco_average_precision.py", "metrics/test_detection_records.py", "scores of the records of detections"),
    ("metrics/overlaps.py", "metrics/test_coco_scoring.py", "what the scores are computed from"),
    ("options.py", "cli/test_predict.py", "the options of the command"),
    ("prediction/*.py", "prediction/test_predicting.py", "from files to results in one go"),
    ("report/*.py", "report/test_html.py", "what the page shows"),
    ("tasks/detector_weights.py", "tasks/test_detection.py", "weights that a detector starts from"),
    ("tasks/parts.py", "tasks/test_detection.py", "the parts of a detector"),
    ("testing/backbones.py", "backbones/test_backbone.py", "the contract, held and broken"),
    ("testing/comparison.py", "tasks/test_task.py", "comparisons of the contracts"),
    ("testing/datamodules.py", "data/test_vision_data.py", "the contract, held and broken"),
    ("testing/tasks.py", "tasks/test_task.py", "the contract, held and broken"),
]


def namesake(module: str) -> Path:
    """Return the test file of a module's name: ``tests/tasks/test_task.py`` of ``tasks/task.py``."""
    path = Path(module)
    return TESTS / path.parent / f"test_{path.name}"


@pytest.mark.parametrize("module", MODULES)
def test_every_module_has_its_test(module: str) -> None:
    if namesake(module).is_file():
        return
    files = [file for pattern, file, _ in TESTED_BY if fnmatch(module, pattern)]
    assert files, f"no {namesake(module).relative_to(TESTS.parent)}, and no row of TESTED_BY says what tests {module}"
    assert "def test_" in (TESTS / files[0]).read_text()


def test_every_row_is_needed() -> None:
    without = [module for module in MODULES if not namesake(module).is_file()]
    first = {next((row for row in TESTED_BY if fnmatch(module, row[0])), None) for module in without}
    unneeded = [pattern for pattern, file, reason in TESTED_BY if (pattern, file, reason) not in first]
    assert not unneeded, f"every module that these rows fit has a file of its name: {unneeded}"
