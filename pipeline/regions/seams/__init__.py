"""Buildings that the borders of adjoining scenes cut, put together again."""
