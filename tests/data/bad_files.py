"""Image and mask files that are wrong, or only unusual."""

import numpy as np
from PIL import Image

from tests.data.damages import (
    Case,
    colored,
    copy,
    cut,
    huge_png,
    image,
    make,
    mask,
    picture,
    rename,
    several,
    shows,
    turned,
    write,
)

BROKEN = "could not be read as an image"
LABELS = {0, 1, 2, 3, 4, 255}

IMAGES = {
    "CMYK": Case("coco", picture(lambda p, path: p.convert("CMYK").save(path, quality=95), "0.jpg"), 0, holds=shows()),
    "lying on its side": Case(
        "coco",
        picture(turned, "0.jpg"),
        1,
        "annotated images have an EXIF orientation (1)",
        holds=shows(),
    ),
    "annotated lying on its side": Case(
        "coco",
        several(picture(turned, "0.jpg"), image(height=56, width=40)),
        2,
        "annotate it as displayed, or read it with exif='ignore'",
        "annotate it as displayed, or read it with --data.exif ignore",
    ),
    "16 bits": Case(
        "coco",
        picture(lambda p, path: Image.fromarray(np.array(p.convert("L")).astype(np.uint16) * 257).save(path)),
        0,
        holds=shows(grey=True),
    ),
    "palette": Case("coco", picture(lambda p, path: p.convert("P").save(path)), 0, holds=shows(tolerance=25)),
    "JPEG called png": Case("coco", picture(lambda p, path: p.save(path, "JPEG", quality=95)), 0, holds=shows()),
    "text called png": Case("coco", write("train/0.png", "no image"), 2, "its format is not known", BROKEN),
    "half a JPEG": Case(
        "coco",
        several(picture(lambda p, path: p.save(path), "0.jpg"), cut("train/0.jpg", 0.5)),
        2,
        "train/0.jpg' could not be read as an image",
        "train/0.jpg' could not be read as an image",
    ),
    "nothing": Case("coco", write("train/0.png", ""), 2, "the file is empty", "the file is empty"),
    "50000 x 50000": Case("coco", write("train/0.png", huge_png()), 2, "= 2,500,000,000 pixels", "cut or shrink it"),
    "half an image, to be left out": Case(
        "coco",
        cut("train/0.png", 0.5),
        1,
        "It is left out",
        holds=lambda batch: sorted(batch.ids.tolist()) == [1, 1, 2, 3],
        flags="--data.on_error skip",
    ),
}
FOLDERS = {
    "name of any bytes": Case("folders", rename("train/circle/0.png", b"\xff\xfe.png"), 0),
    "name of any bytes, half an image": Case(
        "folders",
        several(cut("train/circle/0.png", 0.5), rename("train/circle/0.png", b"\xff.png")),
        2,
        "\\udcff.png' could not be read",
        "\\udcff.png' could not be read",
    ),
    "image twice in a split": Case(
        "folders", copy("train/circle/0.png", "train/circle/copied.png"), 1, "same image twice in a split (1)"
    ),
    "image in two classes": Case(
        "folders", copy("train/circle/0.png", "train/star/copied.png"), 1, "'star' here, 'circle' in train as"
    ),
    "image in two splits": Case(
        "folders", copy("train/circle/0.png", "test/circle/copied.png"), 1, "same image in two splits (1)"
    ),
    "empty class": Case(
        "folders",
        several(*(make(f"{split}/none") for split in ("train", "val", "test"))),
        1,
        "class without images (3)",
        counted="2 x class without images",
    ),
    "class in validation only": Case("folders", rename("val/star", "stars"), 2, "unknown class", "Did you mean 'star'"),
    "listed twice": Case(
        "folders",
        write("list.txt", "circle/0.png\ncircle/0.png\n"),
        2,
        "image is listed twice",
        "listed twice",
        flags='--data.lists {"train":"folders/list.txt","val":"folders/list.txt"}',
    ),
}
MASKS = {
    "palette": Case("masks", mask(colored), 0, holds=lambda batch: set(batch.masks.unique().tolist()) <= LABELS),
    "16 bits": Case(
        "masks",
        mask(lambda values: Image.fromarray(values.astype(np.uint16))),
        0,
        holds=lambda batch: set(batch.masks.unique().tolist()) <= LABELS,
    ),
    "another size": Case(
        "masks",
        mask(lambda values: Image.fromarray(values[:-1])),
        2,
        "0.png': the mask is 39 x 56",
        "the mask is 39 x 56",
    ),
    "label out of range": Case(
        "masks", mask(lambda values: Image.fromarray(values + 77)), 2, "0.png': the mask has", "expected 0 to 4"
    ),
    "16-bit label out of range": Case(
        "masks", mask(lambda values: Image.fromarray(values.astype(np.uint16) + 256)), 2, "of value 256", "of value 256"
    ),
    "all ignored": Case("masks", mask(lambda values: Image.fromarray(values | 255)), 1, "every pixel is ignored (1)"),
    "JPEG": Case("masks", mask(Image.fromarray, "0.jpg"), 2, "JPEG changes the values", "JPEG changes the values"),
    "equal channels": Case("masks", mask(lambda values: Image.fromarray(values).convert("RGB")), 0),
    "colours": Case(
        "masks",
        mask(lambda values: Image.fromarray(np.stack([values, values + 1, values], 2))),
        2,
        "it has 3 channels that differ",
        "it has 3 channels that differ",
    ),
    "50000 x 50000": Case(
        "masks", write("masks/train/0.png", huge_png()), 2, "= 2,500,000,000 pixels", "more than max_pixels"
    ),
    "none": Case("masks", lambda root: (root / "masks/train/0.png").unlink(), 2, "image without mask", "without mask"),
    "of no image": Case(
        "masks",
        lambda root: (root / "images/train/0.png").unlink(),
        1,
        "mask without image",
        counted="1 x mask without",
    ),
}
