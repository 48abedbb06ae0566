"""Probabilities and masks made tidier, each step with a stated reach, so that no seam shows.

A step looks at most twice its radius far. A tile that is read with the sum of these
margins around it gives the same bytes as the whole scene at once: windows end at the
scene's edges and leave out what has no data, and all sums are of whole numbers. What
looks everywhere, such as a dense CRF, has no such margin and is not offered.
"""

from pipeline.core.refine.guide import luminance
from pipeline.core.refine.guided import Guided, guided_filter
from pipeline.core.refine.morphology import close_disk, open_and_close, open_disk
from pipeline.core.refine.refinement import Refinement

__all__ = [
    "Guided",
    "Refinement",
    "close_disk",
    "guided_filter",
    "luminance",
    "open_and_close",
    "open_disk",
]
