"""What an exported file finds in a picture, without visiontasks: python onnx_predict.py model.onnx photo.jpg."""

import json
import sys

import cv2
import numpy as np
import onnxruntime


def predict(session, photo):
    known = session.get_modelmeta().custom_metadata_map
    height, width = json.loads(known["image_size"])
    image = cv2.imread(str(photo), cv2.IMREAD_GRAYSCALE if known["in_channels"] == "1" else cv2.IMREAD_COLOR_RGB)
    much_smaller = 2 * height < image.shape[0] or 2 * width < image.shape[1]
    method = cv2.INTER_AREA if much_smaller else cv2.INTER_LINEAR
    pixels = cv2.resize(image, (width, height), interpolation=method).reshape(1, height, width, -1)
    inputs = {"images": pixels.transpose(0, 3, 1, 2)}
    if "sizes" in json.loads(known["inputs"]):  # of a detector
        inputs["sizes"] = np.array([[height, width]])
    return dict(zip(json.loads(known["outputs"]), session.run(None, inputs), strict=True))


if __name__ == "__main__":
    print(predict(onnxruntime.InferenceSession(sys.argv[1]), sys.argv[2]))
