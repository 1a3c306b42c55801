"""Export of a trained task to a file that runs without this library."""

from visiontasks.export.program_files import export_task as export_task
