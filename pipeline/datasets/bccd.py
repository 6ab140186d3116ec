"""BCCD: 364 pictures of blood smears of 640x480 pixels with 4,888 boxes of red and white cells and platelets.

Source: S. Cheng, https://github.com/Shenggan/BCCD_Dataset; the split is that of its `ImageSets/Main`. Licence: MIT.
"""

from __future__ import annotations

from pipeline.formats.structured.voc import VocBoxes

BCCD = VocBoxes(
    "bccd/bccd.tar.gz",
    names=("RBC", "WBC", "Platelets"),
    most=64,
    source="https://github.com/Shenggan/BCCD_Dataset/archive/refs/heads/master.tar.gz",
)
