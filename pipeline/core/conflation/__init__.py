"""Footprints of many scenes as one layer: what shows the same building, and who stands for it."""
