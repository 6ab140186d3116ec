"""Nuclei of cells under the fluorescence microscope: 334 grey images of 256x256 pixels with a mask of instances each.

Source: J. C. Caicedo et al., Nucleus segmentation across imaging experiments: the 2018 Data Science Bowl, Nature
Methods 16, 2019; image set BBBC038v1 of the Broad Bioimage Benchmark Collection, https://bbbc.broadinstitute.org/BBBC038.
Licence: CC0.
"""

from __future__ import annotations

from pipeline.formats.structured.masks import ImageMasks

NUCLEI = ImageMasks(
    "nuclei/nuclei256.tar",
    masks="labels",
    shape=(256, 256, 1),
    source="stage1_train of https://bbbc.broadinstitute.org/BBBC038 (the grey images of 256x256 pixels, and a PNG with "
    "all nuclei of each) as folders images and labels",
)
