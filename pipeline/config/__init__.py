"""Sections of configuration files, parsed once into frozen values."""

from pipeline.config.region import Region, load_region
from pipeline.config.section import Section, explain_errors, read_section
from pipeline.config.task import (
    Guide,
    Refine,
    Separate,
    Shape,
    Task,
    ValueRange,
    builtin_tasks,
    load_task,
)
from pipeline.config.yaml import LARGEST, read_yaml

__all__ = [
    "LARGEST",
    "Guide",
    "Refine",
    "Region",
    "Section",
    "Separate",
    "Shape",
    "Task",
    "ValueRange",
    "builtin_tasks",
    "explain_errors",
    "load_region",
    "load_task",
    "read_section",
    "read_yaml",
]
