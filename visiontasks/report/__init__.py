"""The report of a run: a self-contained HTML page made from plain data."""

from visiontasks.report.content import Confusion, Gallery, Report, Sample, Thresholds
from visiontasks.report.environment import Environment, read_environment
from visiontasks.report.history import History, read_history
from visiontasks.report.html import page

__all__ = [
    "Confusion",
    "Environment",
    "Gallery",
    "History",
    "Report",
    "Sample",
    "Thresholds",
    "page",
    "read_environment",
    "read_history",
]
