"""One module a format: each tells everything that is wrong with a file."""
