"""Annotations of a COCO file, taken one by one: what is needed of each."""

from __future__ import annotations

from contextlib import suppress
from typing import Any

import numpy as np

from pipeline.labels.json_text import Json
from pipeline.labels.limits import Count

_KEPT = ("id", "uid", "image_id", "category_id", "iscrowd", "score", "segmentation")


class AnnotationCollector:
    """Annotations, taken one by one."""

    def __init__(self, count: Count) -> None:
        self._count = count
        self.found: list[Any] = []

    def add(self, annotation: Json) -> None:
        """Take an annotation.

        Raises:
            ConfigError: There are more than the limit.
        """
        if isinstance(annotation, dict):
            annotation = {name: annotation[name] for name in _KEPT if name in annotation}
            rings = annotation.get("segmentation")
            if isinstance(rings, list):
                # An eighth of the memory; what is no ring is reported when it is drawn.
                with suppress(TypeError, ValueError, OverflowError):
                    annotation["segmentation"] = [np.asarray(one, np.float64) for one in rings]
        self.found.append(annotation)
        self._count.check_features(len(self.found))
