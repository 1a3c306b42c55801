"""Headers of JPEG and PNG files: the size of the image, and whether OpenCV decodes it as required here."""

import struct
from typing import NamedTuple

_PNG = b"\x89PNG\r\n\x1a\n"
_FRAMES = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}  # the other three are tables


class Header(NamedTuple):
    """Header of an image file.

    Attributes:
        height: In pixels, as stored.
        width: In pixels, as stored.
        channels: Channels, as stored.
        bits: Bits per channel, as stored.
        plain: Whether the file is complete, has 8 bits per channel, and is one grey or RGB image without palette. An
            orientation, if any, is where OpenCV looks for it.
    """

    height: int
    width: int
    channels: int
    bits: int
    plain: bool


def read_header(content: bytes) -> Header | None:
    """Read the header of a JPEG or PNG file.

    Args:
        content: The file.

    Returns:
        The header; None for other formats and for damaged files.

    Example:
        >>> read_header(b"GIF89a") is None
        True
    """
    try:
        if content.startswith(b"\xff\xd8"):
            return _jpeg(content)
        if content.startswith(_PNG):
            return _png(content)
    except (struct.error, IndexError):
        pass
    return None


def check_content(content: bytes) -> None:
    """Reject a file that holds no image at all, for a reason that can be named.

    Raises:
        ValueError: If it is empty, or a pointer of Git LFS.
    """
    if not content:
        message = "the file is empty"
        raise ValueError(message)
    if content.startswith(b"version https://git-lfs.github.com/spec/"):
        message = "it is a pointer to a file that Git LFS holds; git lfs pull gets the file"
        raise ValueError(message)


def check_size(height: int, width: int, max_pixels: int) -> None:
    """Reject an image that is too large before it is decoded.

    Raises:
        ValueError: If it has more than ``max_pixels``.
    """
    if height * width > max_pixels:
        message = (
            f"it has {height} x {width} = {height * width:,} pixels, more than max_pixels={max_pixels:,}; cut or "
            "shrink it"
        )
        raise ValueError(message)


def _jpeg(content: bytes) -> Header | None:
    position, frame = 2, None
    while content[position] == 0xFF:
        marker = content[position + 1]
        if marker == 0xFF:  # a fill byte
            position += 1
            continue
        if marker in _FRAMES:
            frame = struct.unpack_from(">BHHB", content, position + 4)
        elif marker == 0xDA and frame is not None:
            bits, height, width, channels = frame
            # The end marker cannot occur among the pixels, and the one of a thumbnail comes before them.
            complete = content.endswith(b"\xff\xd9") or content.find(b"\xff\xd9", position) > 0
            usual = bits == 8 and channels in (1, 3) and content.find(b"tiff:Orientation", 0, position) < 0
            return Header(height, width, channels, bits, usual and complete)
        (length,) = struct.unpack_from(">H", content, position + 2)
        position += 2 + length
    return None


def _png(content: bytes) -> Header:
    width, height, bits, colour = struct.unpack_from(">IIBB", content, 16)
    channels = {0: 1, 2: 3, 4: 2, 6: 4}.get(colour, 0)  # 0 for a palette
    # Of an animation, OpenCV 5 decodes the first frame, which may be another picture than the one that is no frame.
    other = b"eXIf" in content or content.find(b"acTL", 0, content.find(b"IDAT")) > 0
    return Header(height, width, channels, bits, bits == 8 and channels in (1, 3) and not other)


def without_text(content: bytes) -> bytes:
    """Drop text and colour profile of a PNG file, which Pillow refuses to read from a megabyte on.

    Args:
        content: The file, which is returned as it is if it is not a PNG file or damaged.
    """
    if not content.startswith(_PNG):
        return content
    kept, position = [_PNG], len(_PNG)
    while position + 8 <= len(content):
        length, kind = struct.unpack_from(">I4s", content, position)
        end = position + length + 12
        if kind not in (b"tEXt", b"zTXt", b"iTXt", b"iCCP"):
            kept.append(content[position:end])
        position = end
    return b"".join(kept)
