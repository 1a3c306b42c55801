"""Contract testers: hold a backbone, a task or a data module of your own to what the library expects of it.

They need no test framework; each raises an :class:`AssertionError` that says what was found and what was expected.
"""

from visiontasks.testing.backbones import check_backbone
from visiontasks.testing.datamodules import check_datamodule
from visiontasks.testing.tasks import check_task

__all__ = ["check_backbone", "check_datamodule", "check_task"]
