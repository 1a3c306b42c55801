"""Pictures as files."""

from pathlib import Path

from PIL import Image

from visiontasks.errors import ArgumentError
from visiontasks.visualization.pictures import Picture, to_pillow


def check_picture_file(file: Path) -> None:
    """Check that the suffix of a file name is that of a picture format, before a picture is made.

    Raises:
        ArgumentError: If it does not.
    """
    if file.suffix.lower() not in Image.registered_extensions():
        message = f"{str(file)!r} is no name of a picture; expected one that ends in .png, .jpg or another such format."
        raise ArgumentError(message)


def save_picture(picture: Picture, file: Path) -> None:
    """Write a picture in the format given by the suffix of the file name; its folder is created.

    Raises:
        ArgumentError: If the suffix is not that of a picture format.
    """
    check_picture_file(file)
    file.parent.mkdir(parents=True, exist_ok=True)
    to_pillow(picture).save(file)
