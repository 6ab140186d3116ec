"""Data whose rows are answered with more than a label: masks, boxes as COCO, Pascal VOC and YOLO write them, texts."""
