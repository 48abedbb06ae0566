"""Reports on how good a map is: a page to read, JSON to compute with, CSV to tabulate."""
