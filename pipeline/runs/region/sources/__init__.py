"""Where a region's scenes come from: files, STAC catalogues, STAC APIs, URLs."""

from pipeline.runs.region.sources.candidate import Candidate, Listing
from pipeline.runs.region.sources.listings import listings

__all__ = ["Candidate", "Listing", "listings"]
