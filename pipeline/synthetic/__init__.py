"""Made scenes: settlements drawn from a seed, with every roof outline known.

layout -> houses -> ground, roofs, things, trees -> light -> picture; ``files`` writes it.
"""

from pipeline.synthetic.character import Style
from pipeline.synthetic.files import write_settlement
from pipeline.synthetic.scene import SyntheticScene, settlement

__all__ = ["Style", "SyntheticScene", "settlement", "write_settlement"]
