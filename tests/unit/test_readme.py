"""The README's promises that can be checked without running them."""

from __future__ import annotations

import re
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[2]


def test_ci_runs_exactly_the_readmes_test_line() -> None:
    readme = (REPOSITORY / "README.md").read_text()
    lines = re.findall(r"```sh\n(pip install '\.\[test\]'.*)\n```", readme)
    assert len(lines) == 1
    ci = (REPOSITORY / ".ci" / "run").read_text().splitlines()
    assert any(line.endswith(lines[0].removeprefix("pip install ")) and "pip install" in line for line in ci)


def test_links_inside_the_repository_exist() -> None:
    for page in [*REPOSITORY.glob("*.md"), *REPOSITORY.glob("docs/*.md"), *REPOSITORY.glob("recipes/*/*.md")]:
        for target in re.findall(r"\]\(([^)#]+)\)", page.read_text()):
            if "://" not in target:
                assert (page.parent / target).exists(), f"{page.name}: {target}"
