"""What leaves: rasters, polygons, catalogue entries and pictures, and what checks them."""
