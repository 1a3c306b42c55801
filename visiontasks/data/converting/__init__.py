"""Conversion of annotated images between the forms of YOLO, COCO, VOC and tables."""
