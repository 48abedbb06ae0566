"""Where a region's scenes come from: files, STAC catalogues, STAC APIs, URLs."""

from pipeline.regions.sources.candidate import Candidate, Listing
from pipeline.regions.sources.listings import listings

__all__ = ["Candidate", "Listing", "listings"]
