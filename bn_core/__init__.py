"""What batch normalization is and does, in NumPy alone.

`batch_norm` and its gradient, the layer with its running statistics, and the published
numbers the explainer quotes. `bn_core.figures` computes what each figure shows.
"""

from bn_core import published
from bn_core.batch_norm import (
    BatchNormCache,
    batch_norm,
    batch_norm_backward,
    batch_norm_backward_by_steps,
)
from bn_core.layer import BatchNorm, fold_into_linear

__all__ = [
    "BatchNorm",
    "BatchNormCache",
    "batch_norm",
    "batch_norm_backward",
    "batch_norm_backward_by_steps",
    "fold_into_linear",
    "published",
]
