"""What an exported file finds in a picture, without visiontasks: python onnx_predict.py model.onnx photo.jpg."""

import json
import sys

import numpy as np
import onnxruntime
from PIL import Image, ImageOps


def predict(session, photo):
    known = session.get_modelmeta().custom_metadata_map
    height, width = json.loads(known["image_size"])
    image = ImageOps.exif_transpose(Image.open(photo)).convert("L" if known["in_channels"] == "1" else "RGB")
    pixels = np.asarray(image.resize((width, height), Image.Resampling.BILINEAR)).reshape(1, height, width, -1)
    inputs = {"images": pixels.transpose(0, 3, 1, 2)}
    if "sizes" in json.loads(known["inputs"]):  # of a detector
        inputs["sizes"] = np.array([[height, width]])
    return dict(zip(json.loads(known["outputs"]), session.run(None, inputs), strict=True))


if __name__ == "__main__":
    print(predict(onnxruntime.InferenceSession(sys.argv[1]), sys.argv[2]))
