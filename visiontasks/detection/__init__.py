"""Detection by region proposals: anchors, matching, sampling, the two stages.

Axes in the shape annotations: ``batch`` images, ``objects`` annotated in an image (padded), ``anchors`` of all levels
of an image, ``proposals`` of an image (padded), ``regions`` of all images together, ``classes`` without background.

Boxes are x1, y1, x2, y2 in pixels of the network's input, in float32 for any precision of the network. A box of zeros
is padding. All shapes depend only on the shapes of the batch, so that training never has to wait for the GPU to
determine a size.
"""
