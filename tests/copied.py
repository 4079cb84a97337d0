"""Warehouses that are built once, and copied for each test that goes on with one."""

import shutil
from pathlib import Path

from streampro.config import Target


def copied(built: Target, folder: Path) -> Target:
    """Return a copy of a warehouse, with links to its raw files: copies of those would be files
    that it does not know. Nothing may be written through the links.
    """
    raw, warehouse = folder / "raw", folder / "warehouse"
    raw.mkdir(parents=True)
    for path in Path(str(built.raw)).iterdir():
        (raw / path.name).symlink_to(path)
    shutil.copytree(Path(str(built.warehouse)), warehouse)
    return built.model_copy(update={"raw": raw, "warehouse": warehouse})
