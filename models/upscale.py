"""Pictures of three times the height and width, with more detail than interpolation gives.

    image_bytes ─ decode ─ luma (h, w, 1) ─ convolutions ─ (h, w, 64) … (h, w, 32) ─ (h, w, 9) ─ every 9 numbers become
        3x3 pixels ─ detail (3h, 3w, 1) ─ added to the bicubic interpolation of the picture ─ (3h, 3w, 3) ─ PNG

The network sees the luma only: the eye sees little detail in colours, which stay those of the interpolation. It learns
from patches, and is asked whole pictures at their own size. A picture may have 2**20 pixels, since the answer has nine
times as many; alpha is dropped. Served in addition: `detail`, how much the pixels differ from the interpolation.

Paper: W. Shi et al., Real-time single image and video super-resolution using an efficient sub-pixel convolutional
neural network, CVPR 2016 (arXiv:1609.05158), sections 3.1 and 3.2 (ESPCN); deeper than there, and the detail only, as
in J. Kim et al., Accurate image super-resolution using very deep convolutional networks, CVPR 2016, section 3.1.
Data: T91, 91 photographs in 4,606 patches (a tenth of the photographs for early stopping); Set5 and Set14 are the test.
Task: super-resolution
Command: keraspipe run upscale
Reaches: psnr_set5 32.94, 6.0 minutes on 2 cores, 96,585 weights, recipe 3cf0ca67b18a.
The paper has 32.55 dB on Set5 from the same photographs. Tried: relu, pixels from 0 to 1 and 25 epochs, with 33.00 dB
on Set5 and 29.48 on Set14 (interpolation 27.63); its val_loss after two epochs is 0.00130, that of leaky units and of
centred pixels 0.00116. Without one of the convolutions of 64 it is 0.4 dB less after six epochs.
"""

from dataclasses import dataclass
from typing import Annotated

import keras
import tensorflow as tf
from keras import layers, ops

from pipeline.datasets.super_resolution import SUPER_RESOLUTION
from pipeline.features import image_header
from pipeline.features.image import decode, decode_upright, open_image
from pipeline.recipe import Choice, Gate, Metric, Official, Quick, Range, Recipe
from pipeline.training.layers import Turn
from pipeline.training.optimizers import optimizer

SCALE, SIDE = SUPER_RESOLUTION.scale, SUPER_RESOLUTION.side
MOST_PIXELS = 2**20  # of a picture: the answer has nine times as many, each of them 64 numbers on the way
LUMA, BLACK, WHITE = (65.481, 128.553, 24.966), 16.0, 235.0  # ITU-R BT.601, of R'G'B' from 0 to 1


@dataclass(frozen=True)
class Params:
    """Hyperparameters, each settable with `--set KEY=VALUE`."""

    # training
    epochs: Annotated[int, Range(5, 200)] = 15  # at most; early stopping ends sooner
    batch_size: Annotated[int, Range(8, 64, log=True)] = 16
    patience: int = 5  # epochs without a lower val_loss before training stops
    optimizer: Annotated[str, Choice("adam", "adamw", "rmsprop")] = "adam"
    learning_rate: Annotated[float, Range(1e-4, 1e-2, log=True)] = 1e-3
    schedule: Annotated[str, Choice("constant", "cosine", "exponential")] = "cosine"
    loss: Annotated[str, Choice("mse", "mae")] = "mse"
    # network
    filters: tuple[int, ...] = (64, 64, 64, 32)  # of each convolution but the last; the first is 5x5, others 3x3


def luma(pixels):
    """Maps pixels from 0 to 255, (…, 3), to luma from 16/255 to 235/255, (…, 1)."""
    weights = tf.constant(LUMA)[:, None] / 255
    return (tf.tensordot(tf.cast(pixels, tf.float32), weights, 1) + BLACK) / 255


def interpolate(pixels):
    """Enlarges pictures (batch, h, w, channels) by bicubic interpolation."""
    size = tf.shape(pixels)[1:3]
    return tf.image.resize(pixels, SCALE * size, "bicubic")


def preprocess(inputs, p):
    """Decodes patches (batch,): `small` (batch, 24, 24, 1), and `smooth`, enlarged by interpolation.

    `image_bytes` is the picture as it is, which is answered at its own size.
    """
    small = luma(decode(inputs["image_bytes"], (SIDE, SIDE, 3), resize=True))
    smooth = tf.ensure_shape(interpolate(small), (None, SCALE * SIDE, SCALE * SIDE, 1))
    return {"small": small, "smooth": smooth, "image_bytes": inputs["image_bytes"]}


def preprocess_targets(targets, p):
    """Decodes the true large patches (batch,), which ingest has made, to luma, (batch, 72, 72, 1)."""

    def read_patch(content):
        return tf.ensure_shape(tf.io.decode_image(content, 3, expand_animations=False), shape)

    shape = (SCALE * SIDE, SCALE * SIDE, 3)
    pixels = tf.map_fn(read_patch, targets["target_bytes"], fn_output_signature=tf.TensorSpec(shape, tf.uint8))
    return {"large": luma(pixels)}


def augment(p):
    """Mirrors and turns patches: an edge has no upright."""
    return [Turn(("small", "smooth"))]


def build(p, spec):
    """Builds the convolutions, for pictures of any size."""
    small = keras.Input((None, None, 1), name="small")
    smooth = keras.Input((None, None, 1), name="smooth")
    # From -2 to 2: it learns several times as fast as from 0 to 1, and the zeros around a picture are grey.
    x = layers.Rescaling(4.0, offset=-2.0, name="centred")(small)
    for place, filters in enumerate(p.filters):
        x = layers.Conv2D(filters, 3 if place else 5, padding="same", activation="leaky_relu")(x)
    x = layers.Conv2D(SCALE**2, 3, padding="same", dtype="float32", name="detail")(x)
    large = layers.Add(dtype="float32")([smooth, ops.depth_to_space(x, SCALE)])  # equation 4
    model = keras.Model({"small": small, "smooth": smooth}, large)
    rule = optimizer(p.optimizer, p.learning_rate, p.schedule, spec.steps)
    model.compile(rule, loss=p.loss, jit_compile=False)
    return model


def outputs(model, features):
    """Returns `image_bytes` (PNG, RGB) and `detail` (mean difference from the interpolation, of 255); (batch,) each.

    Pictures are enlarged one by one: they have different sizes, and the last digits depend on the size of the batch.
    """

    def enlarge(content):
        pixels = decode_upright(content, 3)[None]  # (1, h, w, 3)
        small = luma(pixels)
        smooth = interpolate(small)
        detail = 255 * (model({"small": small, "smooth": smooth}, training=False) - smooth)
        # With equal Cb and Cr all three colours change by the same number.
        large = interpolate(tf.cast(pixels, tf.float32)) + detail * (255 / (WHITE - BLACK))
        return tf.io.encode_png(tf.saturate_cast(tf.round(large), tf.uint8)[0]), tf.reduce_mean(tf.abs(detail))

    contents = image_header.check(features["image_bytes"], MOST_PIXELS)
    specs = (tf.TensorSpec([], tf.string), tf.TensorSpec([], tf.float32))
    image, detail = tf.map_fn(enlarge, contents, fn_output_signature=specs, parallel_iterations=1)
    return {"image_bytes": image, "detail": detail}


def score(served, examples, others):
    """Returns PSNR (dB) and SSIM of the luma without a border of three pixels, and the gain over interpolation."""
    import numpy as np

    from pipeline.evaluation.bootstrap import mean_of
    from pipeline.evaluation.metrics.restoration import luma, psnr, ssim

    rows = examples.test
    contents = rows["image_bytes"]
    answer = [served.predict("serving_default", {"image_bytes": contents[i : i + 1]}) for i in range(len(contents))]
    enlarged = [luma(read(each["image_bytes"][0])) for each in answer]
    truth = [luma(read(content)) for content in rows["target_bytes"]]
    plain = [luma(enlarge_plainly(content)) for content in contents]
    values = {}
    for name in ("set5", "set14"):
        places = [place for place, picture in enumerate(rows["picture"]) if picture.startswith(name.encode() + b"/")]
        own, right, bicubic = ([pictures[place] for place in places] for pictures in (enlarged, truth, plain))
        values[f"psnr_{name}"], values[f"ssim_{name}"] = psnr(right, own, SCALE), ssim(right, own, SCALE)
        differences = [
            psnr([large], [ours], SCALE).value - psnr([large], [theirs], SCALE).value
            for large, ours, theirs in zip(right, own, bicubic, strict=True)
        ]
        values[f"psnr_gain_{name}"] = mean_of(np.array(differences))
    return values


def read(content):
    """Reads an encoded picture, (height, width, 3)."""
    import numpy as np

    return np.asarray(open_image(content).convert("RGB"))


def enlarge_plainly(content):
    """Enlarges an encoded picture by Pillow's bicubic interpolation, (3 height, 3 width, 3)."""
    import numpy as np
    from PIL import Image

    small = open_image(content).convert("RGB")
    return np.asarray(small.resize((SCALE * small.width, SCALE * small.height), Image.Resampling.BICUBIC))


RECIPE = Recipe(
    data=SUPER_RESOLUTION,
    split=Official(eval=0.1, group="picture"),
    params=Params(),
    preprocess=preprocess,
    preprocess_targets=preprocess_targets,
    augment=augment,
    augmented="",
    build=build,
    outputs=outputs,
    predicted="detail",
    metrics=tuple(
        Metric(f"{name}_{pictures}") for pictures in ("set5", "set14") for name in ("psnr", "ssim", "psnr_gain")
    ),
    score=score,
    gate=Gate(
        at_least={"psnr_set5": 32.3, "psnr_gain_set5": 1.5},
        no_worse={"psnr_set5": 0.1},
        quick={"psnr_gain_set5": -10.0},
    ),
    quick=Quick(train_rows=400, other_rows=40, epochs=3),
)
