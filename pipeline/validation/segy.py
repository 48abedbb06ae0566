"""Is a SEG-Y file whole, and does it hold what Overtile writes into volumes?"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from pipeline.outputs.rasters.segy import IEEE_FLOAT, NO_DATA
from pipeline.validation.complaints import Findings


def check_segy(path: Path) -> list[str]:
    """Return what is wrong with a mask or a probability; every trace is read."""
    import segyio

    complaints = Findings()
    try:
        with segyio.open(path) as file:
            if int(file.format) != IEEE_FLOAT:
                complaints.add(f"samples are of format {int(file.format)}, not IEEE floats")
            for number, samples in enumerate(file.trace):
                if not np.isfinite(samples).all():
                    complaints.add("values that are not finite", number)
                elif ((samples < 0) & (samples != NO_DATA)).any():
                    complaints.add(f"negative values that are not {NO_DATA:g}", number)
    except (RuntimeError, ValueError, OSError) as error:
        complaints.add(f"not readable as SEG-Y: {error}")
    return complaints.lines()
