"""Values that options may have, for parsers that list them without loading what they are for."""

from typing import Literal

Flips = Literal["none", "horizontal", "vertical", "both"]
"""Mirror images that are predicted besides an image."""

Format = Literal["csv", "jsonl", "coco", "voc", "png", "npz"]
"""Forms in which predictions are written."""

MAX_PIXELS = 178_956_970
"""Number of pixels above which Pillow, too, considers a file an attack: 512 MiB of RGB."""
