"""Pictures as files."""

import io
from pathlib import Path

from PIL import Image

from visiontasks.errors import ArgumentError
from visiontasks.files import write_atomically
from visiontasks.visualization.pictures import Picture, to_pillow


def check_picture_file(file: Path) -> None:
    """Check that the suffix of a file name is that of a picture format, before a picture is made.

    Raises:
        ArgumentError: If it does not.
    """
    if file.suffix.lower() not in Image.registered_extensions():
        message = f"{str(file)!r} is not the name of a picture file; expected one that ends in .png, .jpg or the like."
        raise ArgumentError(message)


def save_picture(picture: Picture, file: Path) -> None:
    """Write a picture in the format given by the suffix of the file name; its folder is created.

    Raises:
        ArgumentError: If the suffix is not that of a picture format.
        OSError: If the file cannot be written.
    """
    check_picture_file(file)
    write_atomically(file, encode_picture(to_pillow(picture), file.suffix))


def encode_picture(picture: Image.Image, suffix: str, quality: int | None = None) -> bytes:
    """Encode a picture in memory, since Pillow does not tell what is wrong with a file that it writes to.

    Args:
        picture: The picture.
        suffix: Suffix of the format, such as ``".png"``.
        quality: From 1 to 100, for formats that lose something; by default that of Pillow.
    """
    options = {} if quality is None else {"quality": quality}
    stream = io.BytesIO()
    picture.save(stream, Image.registered_extensions()[suffix.lower()], **options)
    return stream.getvalue()
