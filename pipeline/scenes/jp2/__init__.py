"""JPEG 2000 scenes: boxes and codestream parsed and bounded before OpenJPEG decodes them."""
