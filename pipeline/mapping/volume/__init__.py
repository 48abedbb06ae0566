"""Volumes: SEG-Y in, a mask and probabilities on the same traces out."""
