"""How far a picture is from the content of one and from the style of another, and the slow way to make both small.

Section 3.2 of J. Johnson, A. Alahi, L. Fei-Fei, Perceptual losses for real-time style transfer and super-resolution,
ECCV 2016. Two things differ: each loss is a share of the sum of squares of what it is compared with, so that no layer
and no bright picture outweighs the others; and the fourth layer is conv4_1, as in L. Gatys et al., which costs less.
"""

from __future__ import annotations

import functools
from typing import Any

import keras
import tensorflow as tf

from models import _vgg16
from models._brush_strokes import draw_style

STYLE, CONTENT = ("conv1_2", "conv2_2", "conv3_3", "conv4_1"), "conv3_3"
LAST = STYLE[-1]
RATE = 8.0  # of the optimisation, in steps of a pixel


def gram(features: Any) -> Any:
    """Returns which channels of (batch, h, w, c) are large together, (batch, c, c): equation 3."""
    shape = tf.shape(features)
    flat = tf.reshape(features, (shape[0], shape[1] * shape[2], features.shape[-1]))
    return tf.matmul(flat, flat, transpose_a=True) / tf.cast(tf.reduce_prod(shape[1:]), tf.float32)


def look(pictures: Any) -> dict[str, Any]:
    """Returns what the layers of VGG-16 see in pictures (batch, h, w, 3) of pixels from 0 to 255."""
    return _vgg16.pretrained(LAST)(pictures)


@functools.cache
def style_grams() -> dict[str, Any]:
    """Returns the Gram matrices of the style, by layer; made once, outside of any graph."""
    with tf.init_scope():
        seen = look(tf.constant(draw_style(), tf.float32)[None])
        return {layer: gram(seen[layer]) for layer in STYLE}


def compare_style(seen: dict[str, Any]) -> Any:
    """Returns the style loss of what VGG-16 sees in pictures, (batch,), the mean of the layers: equation 4."""
    wanted = style_grams()
    distances = [
        tf.reduce_sum((gram(seen[layer]) - wanted[layer]) ** 2, (1, 2)) / tf.reduce_sum(wanted[layer] ** 2)
        for layer in STYLE
    ]
    return tf.add_n(distances) / len(STYLE)


def compare(painted: Any, kept: Any) -> tuple[Any, Any, Any]:
    """Compares pictures (batch, h, w, 3), pixels from 0 to 255, with those whose content is to stay.

    Returns:
        Content loss (equation 2), style loss, and total variation in squares of a pixel from 0 to 1; (batch,) each.
    """
    seen, wanted = look(painted), look(kept)[CONTENT]
    content = tf.reduce_mean((seen[CONTENT] - wanted) ** 2, (1, 2, 3)) / tf.reduce_mean(wanted**2, (1, 2, 3))
    down, right = painted[:, 1:] - painted[:, :-1], painted[:, :, 1:] - painted[:, :, :-1]
    variation = sum(tf.reduce_mean((step / 255) ** 2, (1, 2, 3)) for step in (down, right))
    return content, compare_style(seen), variation


def optimise(pictures: Any, weights: tuple[float, float, float], steps: int) -> Any:
    """Changes the pixels of pictures until the weighted sum of the three losses is small: Gatys et al., 2016.

    Args:
        pictures: Pixels (batch, h, w, 3) from 0 to 255, where it begins.
        weights: Of content, style and total variation.
        steps: Of the optimizer.

    Returns:
        Pixels of the same shape.
    """
    pixels, kept = tf.Variable(pictures, dtype=tf.float32), tf.constant(pictures, dtype=tf.float32)
    rule = keras.optimizers.Adam(keras.optimizers.schedules.CosineDecay(RATE, steps))
    rule.build([pixels])
    style_grams()

    @tf.function
    def find_slope() -> Any:
        with tf.GradientTape() as tape:
            losses = compare(pixels, kept)
            total = tf.add_n([weight * tf.reduce_sum(loss) for weight, loss in zip(weights, losses, strict=True)])
        return tape.gradient(total, pixels)

    for _ in range(steps):
        rule.apply([find_slope()], [pixels])
        pixels.assign(tf.clip_by_value(pixels, 0.0, 255.0))
    return pixels.numpy()
