"""All files below a folder, those of linked folders too."""

from __future__ import annotations

import os
from pathlib import Path


def files_below(folder: Path) -> list[Path]:
    """Return all files below a folder, sorted; links to folders are followed, but for those that lead back.

    ``Path.rglob`` leaves linked folders out, and corpora are often put together of links.
    """
    files: list[Path] = []
    ways: dict[Path, tuple[Path, ...]] = {folder: (folder.resolve(),)}  # real folders that led to each
    for name, sub_folders, file_names in os.walk(folder, followlinks=True):
        parent = Path(name)
        files += [path for path in map(parent.joinpath, file_names) if path.is_file()]
        way = ways.pop(parent)
        targets = {each: (parent / each).resolve() for each in sub_folders}
        sub_folders[:] = [each for each in sub_folders if not _leads_back(targets[each], way)]
        ways |= {parent / each: (*way, targets[each]) for each in sub_folders}
    return sorted(files)


def _leads_back(target: Path, way: tuple[Path, ...]) -> bool:
    return any(place.is_relative_to(target) for place in way)
