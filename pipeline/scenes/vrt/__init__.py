"""VRT mosaics (GDAL's virtual rasters), parsed here and never opened by GDAL's driver."""
