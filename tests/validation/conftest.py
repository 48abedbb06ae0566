"""Fixtures of the tests of outputs: what is validated here is written as there."""

from tests.outputs.conftest import disk_of, footprints, georef, provenance, utm

__all__ = ["disk_of", "footprints", "georef", "provenance", "utm"]
