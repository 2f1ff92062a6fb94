# SPDX-License-Identifier: Apache-2.0
"""Builds the documentation: build.py PROGRAM OUT

PROGRAM is `fovea`, which knows the facts about its ops. A docstring that lacks a part or explains what is not there,
a link that leads nowhere, a header that cannot be read: each is an error, printed, and the exit code is 1.
"""
import html.parser
import importlib.util
import json
import os
import shutil
import sys
from pathlib import Path
from urllib.parse import unquote

import op_pages
import ops
import pages
import reference
import repository


def find_markdown():
    """The library belongs to the system's Python; another one may come first on the path."""
    system = "/usr/bin/python3"
    if importlib.util.find_spec("markdown"):
        return
    if os.path.exists(system) and not os.environ.get("FOVEA_DOCS_PYTHON"):
        os.execve(system, [system, *sys.argv], dict(os.environ, FOVEA_DOCS_PYTHON="system"))
    print("error: the Python library markdown is missing\nhint: apt-get install python3-markdown", file=sys.stderr)
    sys.exit(77)


class Addresses(html.parser.HTMLParser):
    """Links and anchors of a page."""

    def __init__(self):
        super().__init__()
        self.links, self.ids = set(), set()

    def handle_starttag(self, tag, attributes):
        for name, value in attributes:
            if name in ("href", "src"):
                self.links.add(value)
            elif name == "id":
                self.ids.add(value)


def wrong_links(out):
    """Links of the finished site to files or anchors that it does not have."""
    found = {}
    for path in sorted(out.rglob("*.html")):
        parser = Addresses()
        parser.feed(path.read_text(encoding="utf-8"))
        found[path.resolve()] = parser
    for path, parser in found.items():
        for link in sorted(parser.links):
            if link.startswith(("http://", "https://", "mailto:")):
                continue
            file, _, anchor = link.partition("#")
            target = (path.parent / unquote(file)).resolve() if file else path
            if not target.is_file():
                yield f"{path.relative_to(out.resolve())}: link to {link}: there is no such page"
            elif anchor and target in found and unquote(anchor) not in found[target].ids:
                yield f"{path.relative_to(out.resolve())}: link to {link}: the page has no such place"


def main():
    if len(sys.argv) != 3:
        print(__doc__, file=sys.stderr)
        sys.exit(2)
    find_markdown()
    program, out = sys.argv[1], Path(sys.argv[2])
    fresh = out.with_name(out.name + ".new")
    shutil.rmtree(fresh, ignore_errors=True)
    site = pages.Site(fresh)
    references = reference.Reference(site)
    known_ops, incomplete = ops.load(program)
    for line in incomplete:
        site.warn(line)
    if not incomplete:
        op_pages.OpPages(site, known_ops, references).write_all()
    references.write()
    site.pages_of_sources()
    for path in site.files:
        if path.endswith(".md"):
            site.page_of_markdown(path)
        elif pages.is_lesson(path):
            site.page_of_lesson(path)
        elif not site.addresses.get(path, "source/").startswith("source/"):
            target = fresh / site.addresses[path]
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(repository.ROOT / path, target)
    for name in ("style.css", "search.js"):
        shutil.copyfile(Path(__file__).parent / name, fresh / name)
    (fresh / "index.js").write_text("window.foveaIndex=" + json.dumps(site.index, ensure_ascii=False) + ";\n",
                                    encoding="utf-8")
    wrong = [*site.warnings, *([] if site.warnings else wrong_links(fresh))]
    for line in wrong:
        print(f"error: {line}", file=sys.stderr)
    if wrong:
        sys.exit(1)
    shutil.rmtree(out, ignore_errors=True)
    fresh.rename(out)
    print(f"{sum(1 for _ in out.rglob('*.html'))} pages: {out / 'index.html'}")


main()
