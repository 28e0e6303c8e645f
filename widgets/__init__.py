"""The figures: each a Panel object that is alive in a notebook, in a Panel app, and in the article."""

from .figure import Figure
from .identity import Identity
from .lab import Lab
from .landscape import Landscape
from .runaway_bias import RunawayBias
from .saturation import Saturation
from .steps_to_accuracy import StepsToAccuracy

FIGURES: tuple[type[Figure], ...] = (Saturation, RunawayBias, Identity, Landscape, StepsToAccuracy)
"""In the order of the story. What they show is known in advance; the laboratory, `Lab`, has to be fed."""

__all__ = ["FIGURES", "Figure", "Identity", "Lab", "Landscape", "RunawayBias", "Saturation", "StepsToAccuracy"]
