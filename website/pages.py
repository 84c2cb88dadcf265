"""`python -m website.pages FOLDER`: write what the site is built from: docs/, pages of the root, and linked files.

A link is written for a reader of the repository, such as `docs/install.md` in the README or
`../deploy/samples/spot.yaml` in a page. In the site it leads to the place of its target there. A file of the repository
that a page links to becomes part of the site.
"""

from __future__ import annotations

import posixpath
import re
import shutil
import sys
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).parents[1]
DOCS = "docs/"
PAGES_OF_ROOT = {
    "README.md": "index.md",
    "CHANGELOG.md": "changelog.md",
    "CONTRIBUTING.md": "contributing.md",
    "RELEASE.md": "release.md",
    "SECURITY.md": "vulnerabilities.md",
}
"""Places in the site by path in the repository."""
LINK = re.compile(r"(?<=\]\()([^)\s#]+)")
SAMPLE = re.compile(r"^.*\[`(?P<path>deploy/samples/[\w/-]+\.yaml)`\]\([^)]*\)\.?$", re.MULTILINE)


def site_path(path: str) -> str:
    """Return the place in the site of a file of the repository."""
    return PAGES_OF_ROOT.get(path) or path.removeprefix(DOCS)


def find_links(text: str, path: str) -> Iterator[tuple[re.Match[str], str]]:
    """Yield the links of a page to files of the repository, and the paths of these files."""
    for match in LINK.finditer(text):
        if "://" not in match[0] and not match[0].startswith("mailto:"):
            yield match, posixpath.normpath(posixpath.join(posixpath.dirname(path), match[0]))


def move_links(text: str, path: str) -> str:
    """Return the text of a page of the repository with links to places in the site."""
    folder = posixpath.dirname(site_path(path)) or "."
    for match, target in reversed(list(find_links(text, path))):
        text = text[: match.start()] + posixpath.relpath(site_path(target), folder) + text[match.end() :]
    return text


def show_samples(text: str) -> str:
    """Put the text of each sample, folded, below a line that ends with a link to it."""

    def unfold(match: re.Match[str]) -> str:
        block = f"```yaml\n{(ROOT / match['path']).read_text()}```"
        lines = "".join(f"    {line}\n" if line else "\n" for line in block.splitlines())
        return f'{match[0]}\n\n??? example "{match["path"]}"\n\n{lines}'

    return SAMPLE.sub(unfold, text)


def main() -> None:
    folder = Path(sys.argv[1])
    shutil.rmtree(folder, ignore_errors=True)
    shutil.copytree(ROOT / DOCS, folder)
    linked = {"website/site.css", "build/website/mermaid.min.js"}
    for page in [*(ROOT / path for path in PAGES_OF_ROOT), *(ROOT / DOCS).rglob("*.md")]:
        text, path = page.read_text(), page.relative_to(ROOT).as_posix()
        linked.update(target for _, target in find_links(text, path) if (ROOT / target).is_file())
        (folder / site_path(path)).write_text(move_links(show_samples(text), path))
    for path in linked:
        place = folder / site_path(path)
        if not place.exists():
            place.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(ROOT / path, place)


if __name__ == "__main__":
    main()
