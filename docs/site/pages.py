# SPDX-License-Identifier: Apache-2.0
"""What all pages share: the frame with its navigation, where a file of the repository has its page, and Markdown."""
import html
import os
import re
from pathlib import Path

import highlight
import literate
import repository

LOGO = ('<svg viewBox="0 0 24 24" fill="none" stroke="currentColor" stroke-width="1.8" aria-hidden="true">'
        '<path d="M1.5 12C5 6 19 6 22.5 12 19 18 5 18 1.5 12Z"/><circle cx="12" cy="12" r="3.6"/>'
        '<circle cx="12" cy="12" r=".9" fill="currentColor"/></svg>')
GUIDE = ["README.md", "docs/INSTALL.md", "docs/TUTORIAL-RETINA.md", "docs/RUNS.md", "docs/ENCODE.md",
         "docs/ARCHITECTURE.md", "docs/NOTATION.md", "docs/EXPLAIN.md", "docs/DETERMINISM.md", "docs/PERFORMANCE.md", "docs/GPU.md"]


def is_lesson(path):
    return re.match(r"docs/lessons/\d\d_\w+\.cpp$", path) is not None


class Site:
    """Pages by address. `warn` collects what is wrong; any of it makes the build fail."""

    def __init__(self, out):
        self.out = Path(out)
        self.files = repository.files()
        self.known = set(self.files)
        self.folders = repository.folders(self.files)
        self.warnings = []
        self.index = []   # (title, where, address) for the search
        self.types = {}   # name of a type: address of its declaration
        self.headers = set()
        self.addresses = {path: self.place(path) for path in self.files}
        self.groups = self.navigation()

    def warn(self, text):
        self.warnings.append(text)

    @staticmethod
    def place(path):
        if path == "README.md":
            return "index.html"
        if path.endswith(".md"):
            return path[:-3] + ".html"
        if is_lesson(path):
            return path[:-4] + ".html"
        if path.endswith((".png", ".svg", ".jpg")):
            return path
        return f"source/{path}.html"

    def address(self, path):
        """Where the page of a file or folder is; None if there is no such thing."""
        path = path.rstrip("/")
        if path in self.known:
            return self.addresses[path]
        if f"{path}/README.md" in self.known:
            return self.addresses[f"{path}/README.md"]
        return f"source/{path}/index.html" if path in self.folders or path == "" else None

    def href(self, page, address):
        """Address as seen from a page."""
        return os.path.relpath(address, Path(page).parent).replace(os.sep, "/")

    # ---------------------------------------------------------------------------------------------- frame

    def title_of(self, path):
        text = literate.prose(repository.read(path)) if is_lesson(path) else repository.read(path)
        return re.sub(r"[`*]", "", repository.title(text, path))

    def navigation(self):
        markdown = [f for f in self.files if f.endswith(".md")]
        guide = [f for f in GUIDE if f in self.known]
        guide += [f for f in markdown if re.match(r"docs/(?!README)[A-Z]\w*\.md$", f) and f not in guide]
        guide += [f for f in ("CONTRIBUTING.md", "CHANGELOG.md") if f in self.known]
        lessons = [f for f in self.files if is_lesson(f)]
        decisions = [f for f in markdown if f.startswith("docs/decisions/")]
        rest = [f for f in markdown if f not in guide and f not in decisions and not f.startswith((".", "docs/"))]
        entry = lambda f: (self.title_of(f), self.addresses[f])
        short = lambda title: title.split(":")[0]
        return [
            ("Guide", [("Overview" if f == "README.md" else entry(f)[0], entry(f)[1]) for f in guide], True),
            ("Lessons", [entry(f) for f in lessons], True),
            ("Reference", [("Ops", "ops/index.html"), ("Headers", "api/index.html"),
                           ("Source", "source/index.html")], True),
            ("Rooms and models", [(short(entry(f)[0]), entry(f)[1]) for f in rest], False),
            ("Decisions", [entry(f) for f in decisions], False),
        ]

    def write(self, address, title, body, wide=False, where=""):
        root = self.href(address, "x")[:-1]
        nav = []
        for name, entries, is_open in self.groups:
            items = "".join(
                f'<li><a href="{self.href(address, target)}"{" aria-current=page" if target == address else ""}>'
                f"{html.escape(text, quote=False)}</a></li>" for text, target in entries)
            is_open = is_open or any(target == address for _, target in entries)
            nav.append(f'<details{" open" if is_open else ""}><summary>{name}</summary><ul>{items}</ul></details>')
        plain = re.sub(r"<[^>]+>", "", title)
        page = f"""<!doctype html>
<html lang="en" data-root="{root}">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{plain} · Fovea</title>
<link rel="stylesheet" href="{root}style.css">
<noscript><style>.side .inner{{display:block}}.menu,.search{{display:none}}</style></noscript>
</head>
<body>
<div class="layout">
<nav class="side" aria-label="Contents">
<a class="brand" href="{root}index.html">{LOGO}Fovea</a>
<button class="menu" type="button">Contents</button>
<div class="inner">
<input class="search" type="search" placeholder="Find …" aria-label="Find a page, op or function">
<ul id="found"></ul>
{"".join(nav)}
</div>
</nav>
<main>
<article{' class="wide"' if wide else ""}>
{f'<p class="eyebrow">{where}</p>' if where else ""}
{body}
</article>
</main>
</div>
<script src="{root}index.js"></script>
<script src="{root}search.js"></script>
</body>
</html>
"""
        target = self.out / address
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(page, encoding="utf-8")

    # ------------------------------------------------------------------------------------------- Markdown

    def markdown(self, path, address, text):
        """A page's Markdown as HTML whose links lead to pages of the site."""
        import markdown as library
        converter = library.Markdown(
            extensions=["tables", "fenced_code", "toc", "sane_lists"],
            extension_configs={"toc": {"slugify": lambda heading, _: repository.slug(heading)}})
        # GitHub starts a list right below a paragraph; the library wants an empty line there.
        body = converter.convert(self.with_list_gaps(text))
        body = re.sub(r'<pre><code(?: class="language-(\w+)")?>(.*?)</code></pre>', self.fence, body, flags=re.S)
        body = re.sub(r'(<(?:a href|img alt="[^"]*" src|img src)=")([^"]*)"',
                      lambda m: f'{m[1]}{self.link(path, address, html.unescape(m[2]))}"', body)
        body = re.sub(r"(?<!<pre>)<code>([^<\s]+)</code>", lambda m: self.code_link(path, address, m), body)
        body = re.sub(r"<table>.*?</table>", lambda m: f'<div class="table">{m[0]}</div>', body, flags=re.S)
        body = re.sub(r'<(h[23]) id="([^"]+)">(.*?)</\1>', lambda m: (
            f'<{m[1]} id="{m[2]}">{m[3]}<a class="anchor" href="#{m[2]}" aria-label="Link here">#</a></{m[1]}>'),
            body)
        return body

    @staticmethod
    def with_list_gaps(text):
        out, fenced = [], False
        for line in text.split("\n"):
            fenced ^= line.startswith("```")
            starts = re.match(r"(?:[-*]|\d+\.) ", line) and not fenced
            if starts and out and out[-1].strip() and not re.match(r"\s*(?:[-*]|\d+\.) |\s+\S", out[-1]):
                out.append("")
            out.append(line)
        return "\n".join(out)

    @staticmethod
    def fence(match):
        language = {"cuda": "cpp", "output": "text", None: "text"}.get(match[1], match[1])
        return f'<pre class="code"><code>{highlight.code(html.unescape(match[2]), language)}</code></pre>'

    def link(self, path, address, target):
        if re.match(r"[a-z]+:", target):
            return html.escape(target)
        file, _, anchor = target.partition("#")
        if not file:
            return target
        to = repository.resolve(path, file)
        there = self.address(to) if to is not None else None
        if there is None:
            self.warn(f"{path}: link to {target}: there is no such file")
            return target
        return self.href(address, there) + (f"#{anchor}" if anchor else "")

    def code_link(self, path, address, match):
        """`kernels/exec.h` in running text leads to that file."""
        name = html.unescape(match[1])
        if not re.match(r"[\w./-]+\.\w+$|[\w./-]+/$", name):
            return match[0]
        for candidate in (repository.resolve(path, name), name):
            if candidate and (candidate.rstrip("/") in self.known or candidate.rstrip("/") in self.folders):
                return f'<a href="{self.href(address, self.address(candidate))}">{match[0]}</a>'
        return match[0]

    def page_of_markdown(self, path):
        address, text = self.addresses[path], repository.read(path)
        self.index_headings(path, text, address)
        where = "" if path == "README.md" else path
        self.write(address, self.title_of(path), self.markdown(path, address, text), where=where)

    def page_of_lesson(self, path):
        address, out = self.addresses[path], []
        self.index_headings(path, literate.prose(repository.read(path)), address)
        for part in literate.parts(repository.read(path)):
            if part.kind == "prose":
                out.append(self.markdown(path, address, part.text))
            else:
                numbered = highlight.lines(part.text, "cpp", part.line)
                out.append(numbered if part.kind == "code" else
                           f'<details class="answer"><summary>Answer</summary>{numbered}</details>')
        source = f'<a href="{self.href(address, "source/" + path + ".html")}">{path}</a>'
        self.write(address, self.title_of(path), "\n".join(out), where=f"a program: {source}")

    def index_headings(self, path, text, address):
        title = self.title_of(path)
        self.index.append((title, path, address))
        for _, line in repository.lines_outside_fences(text):
            if match := re.match(r"##+ (.*)$", line):
                self.index.append((re.sub(r"[`*]", "", match[1]), title, f"{address}#{repository.slug(match[1])}"))

    # --------------------------------------------------------------------------------------------- sources

    def pages_of_sources(self):
        texts = [f for f in self.files if self.addresses[f].startswith("source/") or is_lesson(f)]
        for path in texts:
            try:
                text = repository.read(path)
            except UnicodeDecodeError:
                self.addresses.pop(path, None)
                continue
            address = f"source/{path}.html"
            up = "/".join(f'<a href="{self.href(address, f"source/{folder}/index.html")}">{Path(folder).name}</a>'
                          for folder in reversed([str(p) for p in Path(path).parents if str(p) != "."]))
            where = f"{up}/{Path(path).name}" if up else path
            if path in self.headers:
                where += f' · <a href="{self.href(address, f"api/{path}.html")}">declarations</a>'
            body = highlight.lines(text, highlight.language_of(path), ids=True) if text.strip() else "<p>Empty.</p>"
            self.write(address, path, body, wide=True, where=where)
        for folder in ["", *sorted(self.folders)]:
            self.page_of_folder(folder)

    def page_of_folder(self, folder):
        address = f"source/{folder}/index.html" if folder else "source/index.html"
        prefix = f"{folder}/" if folder else ""
        entries = sorted({f[len(prefix):].split("/")[0] for f in self.files if f.startswith(prefix)})
        items = []
        for name in entries:
            path = prefix + name
            if path in self.folders:
                items.append(f'<li><a href="{self.href(address, f"source/{path}/index.html")}">{name}/</a></li>')
            elif path in self.addresses:
                items.append(f'<li><a href="{self.href(address, self.addresses[path])}">{name}</a></li>')
        title = f"{folder}/" if folder else "Source"
        self.write(address, title, f"<h1>{title}</h1><ul>{''.join(items)}</ul>")
