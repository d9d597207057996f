"""All files below a folder, those of linked folders too."""

from __future__ import annotations

import os
from pathlib import Path


def files_below(folder: Path) -> list[Path]:
    """Return all files below a folder, sorted; links to folders are followed, but for those to one above.

    ``Path.rglob`` leaves linked folders out, and corpora are often put together of links.
    """
    files: list[Path] = []
    for name, sub_folders, file_names in os.walk(folder, followlinks=True):
        parent = Path(name)
        files += [path for path in map(parent.joinpath, file_names) if path.is_file()]
        here = parent.resolve()
        sub_folders[:] = [each for each in sub_folders if not here.is_relative_to((parent / each).resolve())]
    return sorted(files)
