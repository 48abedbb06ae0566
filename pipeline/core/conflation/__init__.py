"""Conflation of footprints from many scenes into one layer."""
