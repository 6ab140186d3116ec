"""Pictures with annotations: masks, and boxes in the formats of COCO, Pascal VOC and YOLO."""
