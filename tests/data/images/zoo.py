"""Files of every format, depth, compression and mode that Pillow, OpenCV and tifffile write without loss."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import cv2
import numpy as np
import tifffile
from PIL import Image

HEIGHT, WIDTH = 35, 45

_PILLOW: dict[str, tuple[str, ...]] = {
    "png": ("1", "L", "LA", "P", "RGB", "RGBA", "I;16"),
    "bmp": ("1", "L", "P", "RGB", "RGBA"),
    "dib": ("1", "L", "P", "RGB"),
    "gif": ("1", "L", "P"),
    "ppm": ("1", "L", "RGB", "I;16"),
    "tga": ("1", "L", "LA", "P", "RGB", "RGBA"),
    "pcx": ("1", "L", "P", "RGB"),
    "sgi": ("L", "RGB", "RGBA"),
    "webp": ("RGB", "RGBA"),
    "tiff": ("1", "L", "LA", "P", "RGB", "RGBA", "I;16", "I", "F"),
}
_PILLOW_TIFF = ("raw", "tiff_lzw", "tiff_deflate", "tiff_adobe_deflate", "packbits", "zstd", "lzma")


class Specimen(NamedTuple):
    """A file of the zoo.

    Attributes:
        path: The file; its name says how it was written.
        values: What was written, [H, W] or [H, W, C]; of palettes the indices.
        mode: Pillow's name of the mode, or that of the dtype.
    """

    path: Path
    values: np.ndarray
    mode: str


def write_zoo(folder: Path, classes: int = 4) -> Iterator[Specimen]:
    """Write all files: the class of each pixel, from 0 to ``classes - 1``, repeated in all channels.

    Args:
        folder: Where to.
        classes: Number of classes; two in files of one bit.
    """
    labels = np.random.default_rng(0).integers(0, classes, (HEIGHT, WIDTH), dtype=np.uint8)
    yield from _by_pillow(folder, labels)
    yield from _by_opencv(folder, labels)
    yield from _by_tifffile(folder, labels)
    yield from _arrays(folder, labels)


def _by_pillow(folder: Path, labels: np.ndarray) -> Iterator[Specimen]:
    for suffix, modes in _PILLOW.items():
        for mode in modes:
            values = _in_mode(labels, mode)
            image = Image.fromarray(values) if mode != "P" else Image.frombytes("P", (WIDTH, HEIGHT), values.tobytes())
            if mode == "P":
                image.putpalette([value for entry in range(256) for value in (255 - entry, entry, 7)])
            options: list[dict[str, Any]] = [{}]
            if suffix == "tiff":
                options = [{"compression": name} for name in _PILLOW_TIFF]
                options += [{"compression": name} for name in ("group3", "group4") if mode == "1"]
            if suffix == "webp":
                options = [{"lossless": True, "exact": True}]
            if suffix == "png" and mode == "P":
                options += [{"bits": bits} for bits in (2, 4) if labels.max() < 2**bits]
            for option in options:
                name = "-".join(["pillow", mode.replace(";", ""), *(str(value) for value in option.values())])
                path = folder / f"{name}.{suffix}"
                image.save(path, **option)
                yield Specimen(path, values, mode)


def _in_mode(labels: np.ndarray, mode: str) -> np.ndarray:
    values: np.ndarray
    if mode == "1":
        return labels > 0
    if mode in ("RGB", "RGBA", "LA"):
        colour = np.repeat(labels[:, :, None], 3 if mode != "LA" else 1, 2)
        alpha = np.full_like(labels, 255)[:, :, None]
        return np.concatenate([colour, alpha], 2) if mode != "RGB" else colour
    values = labels.astype({"I;16": np.uint16, "I": np.int32, "F": np.float32}.get(mode, np.uint8))
    return values


def _by_opencv(folder: Path, labels: np.ndarray) -> Iterator[Specimen]:
    compressions = {"none": 1, "lzw": 5, "deflate": 8, "packbits": 32773}
    for suffix in ("png", "tiff", "webp", "jp2", "pgm", "ppm", "pnm", "bmp"):
        for dtype in (np.uint8, np.uint16, np.float32):
            for channels in (1, 3, 4):
                if dtype == np.float32 and suffix != "tiff":
                    continue
                if dtype == np.uint16 and suffix in ("webp", "bmp"):
                    continue
                if (channels == 1) != (suffix == "pgm") and suffix in ("pgm", "ppm", "pnm"):
                    continue
                if channels == 4 and suffix in ("ppm", "pnm", "jp2"):
                    continue
                values: Any = np.repeat(labels[:, :, None], channels, 2).astype(dtype)
                if channels == 4:
                    values[:, :, 3] = 1 if dtype == np.float32 else 255 if dtype == np.uint8 else 65535
                for name, code in (compressions if suffix == "tiff" else {"": 0}).items():
                    flags = [cv2.IMWRITE_TIFF_COMPRESSION, code] if name else []
                    flags = [cv2.IMWRITE_WEBP_QUALITY, 101] if suffix == "webp" else flags
                    flags = [cv2.IMWRITE_JPEG2000_COMPRESSION_X1000, 1000] if suffix == "jp2" else flags
                    path = folder / f"opencv-{np.dtype(dtype)}-{channels}-{name}.{suffix}"
                    assert cv2.imwrite(str(path), values, flags), path
                    yield Specimen(path, values.squeeze(), str(values.dtype))


def _by_tifffile(folder: Path, labels: np.ndarray) -> Iterator[Specimen]:
    for dtype in ("bool", "uint8", "uint16", "int16", "uint32", "int64", "float16", "float32", "float64"):
        for photometric in ("minisblack", "miniswhite", "rgb", "palette"):
            if photometric == "palette" and dtype not in ("uint8", "uint16"):
                continue
            if photometric == "rgb" and dtype == "bool":
                continue
            for byteorder in "<>":
                for compression in (None, "zlib", "lzma"):
                    for tile in (None, (16, 16)):
                        values = (labels > 0 if dtype == "bool" else labels).astype(dtype)
                        if photometric == "rgb":
                            values = np.repeat(values[:, :, None], 3, 2)
                        options: dict[str, Any] = {"photometric": photometric, "byteorder": byteorder}
                        if photometric == "palette":
                            table = np.arange(2 ** (8 * values.itemsize)) * (257 if dtype == "uint8" else 1)
                            options["colormap"] = np.stack([table[::-1], table, table * 0]).astype(np.uint16)
                        kind = f"{dtype}-{photometric}-{byteorder == '>'}-{compression}-{tile is not None}"
                        path = folder / f"tifffile-{kind}.tif"
                        tifffile.imwrite(path, values, compression=compression, tile=tile, **options)
                        yield Specimen(path, values, photometric)


def _arrays(folder: Path, labels: np.ndarray) -> Iterator[Specimen]:
    for dtype in ("bool", "uint8", "uint16", "int32", "int64", "float32"):
        values = (labels > 0 if dtype == "bool" else labels).astype(dtype)
        for shape in ((HEIGHT, WIDTH), (HEIGHT, WIDTH, 1)):
            path = folder / f"numpy-{dtype}-{len(shape)}.npy"
            np.save(path, values.reshape(shape))
            yield Specimen(path, values, dtype)
