"""Recipes over annotated pictures: boxes as COCO, Pascal VOC and YOLO write them, and folders of pictures and masks."""
