"""Validators of output files, one module a format."""
