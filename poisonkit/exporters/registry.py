"""The formats that a file can be exported to, by name: one file each in `formats/`. `run.export_file` writes one."""

from poisonkit.core.registry import Registry
from poisonkit.exporters.base import ExportSpec

FORMATS: Registry[ExportSpec] = Registry("--format: unknown format", ExportSpec, "poisonkit.exporters.formats")
