"""The digits of the laboratory: MNIST by LeCun, Cortes and Burges, CC BY-SA 3.0, see `bn_core/data/README.md`.

Binary as in [BN] section 4.1 (claim R10): a pixel is on where its grey value exceeds half of 255. Of the 10,000
digits that are shipped, the first 8,000 train and the other 2,000 are held out; nothing is chosen on the latter.

Of the 784 pixels, many are off in every training digit: they add nothing to a network's sums, and the gradient on
their weights is exactly 0. So the columns are put in an order in which those pixels come last, and rows end
where only zeros would follow. `bn_core.network` takes such short rows; the lowest layer costs a fifth
less, and nothing is left out.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

FILE = Path(__file__).with_name("data") / "mnist_10k.npz"

PIXELS = 784
CLASSES = 10
TRAINING = 8000
HELD_OUT = 2000


@dataclass(frozen=True, eq=False)
class Digits:
    """Binary digits as rows of pixels, in the column order `pixels`; the arrays are read-only.

    Attributes:
        pixels: (784,), which pixel of the 28 x 28 (row-major) each column holds: first those that are on in some
            training digit, then those that are on in some held-out digit only, then the rest.
        training_images: uint8 (8000, 632), 0 or 1; the other pixels are off.
        training_labels: int64 (8000,).
        test_images: float32 (2000, 638), 0 or 1; the other pixels are off.
        test_labels: int64 (2000,).

    """

    pixels: NDArray[np.int64]
    training_images: NDArray[np.uint8]
    training_labels: NDArray[np.int64]
    test_images: NDArray[np.float32]
    test_labels: NDArray[np.int64]


@cache
def digits() -> Digits:
    """Read the shipped digits, once a process."""
    with np.load(FILE) as file:
        images = (file["images"].reshape(-1, PIXELS) > 255 * 0.5).astype(np.uint8)
        labels = file["labels"].astype(np.int64)
    in_training = images[:TRAINING].any(axis=0)
    in_any = images.any(axis=0)
    pixels = np.argsort(np.where(in_training, 0, np.where(in_any, 1, 2)), kind="stable")
    images = images[:, pixels]
    result = Digits(
        pixels=pixels,
        training_images=np.ascontiguousarray(images[:TRAINING, : in_training.sum()]),
        training_labels=labels[:TRAINING],
        test_images=np.ascontiguousarray(images[TRAINING:, : in_any.sum()], np.float32),
        test_labels=labels[TRAINING:],
    )
    for array in vars(result).values():
        array.setflags(write=False)
    return result
