"""Detection by region proposals: anchors, matching, sampling, the two stages.

Legend of the shapes: ``batch`` images, ``objects`` annotated in an image (padded), ``anchors`` of all levels of an
image, ``proposals`` of an image (padded), ``regions`` of all images together, ``classes`` without background.

Boxes are x1, y1, x2, y2 in pixels of the network's input, in float32 whatever the precision of the network. A box of
zeros is padding. All shapes depend on the shapes of the batch alone, so that training never waits for a GPU to say how
many there are.
"""
