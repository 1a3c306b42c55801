"""The data of a run, by what its folder says."""

from pathlib import Path
from typing import Any

import yaml

from visiontasks.errors import ArgumentError
from visiontasks.report import Environment, read_environment


def read_config(folder: Path) -> dict[str, Any]:
    """Read the configuration of a run.

    Args:
        folder: The run folder.

    Raises:
        ArgumentError: If there is none, or it does not say what the data are.
    """
    file = folder / "config.yaml"
    if not file.is_file():
        runs = ", ".join(sorted(str(path.parent) for path in folder.glob("**/config.yaml"))[:5])
        hint = f" Below it are: {runs}." if runs else ""
        message = f"{str(folder)!r} is not a run folder: it has no config.yaml, which fit and recipes write.{hint}"
        raise ArgumentError(message)
    try:
        config = yaml.safe_load(file.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        message = f"{str(file)!r} cannot be read as YAML: {error}"
        raise ArgumentError(message) from error
    if not isinstance(config, dict) or not isinstance(config.get("data"), dict):
        message = f"{str(file)!r} has no section 'data'; expected one, as fit writes it."
        raise ArgumentError(message)
    return config


def data_of_run(folder: Path, config: dict[str, Any], classes: Environment | None) -> dict[str, Any]:
    """Describe the data module of a run; a recipe saves only its arguments in the configuration.

    Args:
        folder: The run folder.
        config: Its configuration.
        classes: What :func:`~visiontasks.report.read_environment` returns.

    Returns:
        ``class_path`` and ``init_args``.

    Raises:
        ArgumentError: If the class is not known.
    """
    data: dict[str, Any] = config["data"]
    if "class_path" in data:
        return data
    if classes is None or not classes.data:
        message = (
            f"The config.yaml of {str(folder)!r} does not say which data module its data are for, and there is no "
            "environment.json that does. Name it: visiontasks test --ckpt_path FILE --data CLASS --data.root FOLDER "
            "writes a report as well."
        )
        raise ArgumentError(message)
    return {"class_path": classes.data, "init_args": data}


def data_of_checkpoint(checkpoint: Path | str) -> dict[str, Any]:
    """Describe the data module of the run that a checkpoint lies in.

    Args:
        checkpoint: A file or an address.

    Returns:
        ``class_path`` and ``init_args``.

    Raises:
        ArgumentError: If it does not lie in a run folder.
    """
    place = Path(checkpoint).parent
    folder = place.parent if place.name == "checkpoints" else place
    if not (folder / "config.yaml").is_file():
        message = (
            f"{str(checkpoint)!r} lies in no run folder, whose config.yaml would say which data it was trained on. "
            "Name the data: --data FolderDataModule --data.root FOLDER, or whichever data module reads them."
        )
        raise ArgumentError(message)
    return data_of_run(folder, read_config(folder), read_environment(folder))
