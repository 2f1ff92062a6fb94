# SPDX-License-Identifier: Apache-2.0
"""The files of the repository, and how Markdown pages name them."""
import re
import subprocess
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
ROOMS = ("kernels", "tensor", "autograd", "nn", "models", "apps")


def files():
    """Paths from the root of all files that git knows or would add; without git, of all that look like sources."""
    listed = subprocess.run(["git", "-C", ROOT, "ls-files", "--cached", "--others", "--exclude-standard", "-z"],
                            capture_output=True)
    if listed.returncode == 0:
        names = [name for name in listed.stdout.decode().split("\0") if name]
    else:
        names = [str(p.relative_to(ROOT)) for p in ROOT.rglob("*") if p.is_file()]
        names = [n for n in names if not re.match(r"(build|out|runs|\.git)(/|$)", n)]
    return sorted(n for n in names if (ROOT / n).is_file())


def read(path):
    return (ROOT / path).read_text(encoding="utf-8")


def folders(names):
    return {parent for name in names for parent in map(str, Path(name).parents) if parent != "."}


def resolve(page, target):
    """Where a link of `page` leads, from the root; None if it leaves the repository."""
    parts = []
    for part in (Path(page).parent / target).parts:
        if part == "..":
            if not parts:
                return None
            parts.pop()
        elif part != ".":
            parts.append(part)
    return "/".join(parts)


# ------------------------------------------------------------------------------------------------ Markdown

def lines_outside_fences(markdown):
    """(number, line) of all lines that are not in a fenced block."""
    fenced = False
    for number, line in enumerate(markdown.splitlines(), 1):
        if re.match(r"\s*(```|~~~)", line):
            fenced = not fenced
        elif not fenced:
            yield number, line


def slug(heading):
    """The anchor that GitHub gives a heading; ours are the same."""
    text = re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", heading)
    text = re.sub(r"[`*]", "", text).strip().lower()
    return re.sub(r"[^\w\- ]", "", text).replace(" ", "-")


def anchors(markdown):
    found, seen = set(), {}
    for _, line in lines_outside_fences(markdown):
        match = re.match(r"#{1,6} +(.*?) *#*$", line)
        if match:
            name = slug(match[1])
            seen[name] = seen.get(name, -1) + 1
            found.add(name if seen[name] == 0 else f"{name}-{seen[name]}")
    return found


def title(markdown, otherwise):
    for _, line in lines_outside_fences(markdown):
        if line.startswith("# "):
            return line[2:].strip()
    return otherwise


def links(markdown):
    """(line number, target) of the links and pictures of a page, those in code left out."""
    for number, line in lines_outside_fences(markdown):
        line = re.sub(r"`[^`]*`", "", line)
        for match in re.finditer(r"\]\(<?([^)\s>]+)>?(?: \"[^\"]*\")?\)", line):
            yield number, match[1]


def named_paths(text):
    """(line number, path) of what is written as a path of ours: `kernels/exec.h`. Patterns (`X.h`, `*.cu`) are not."""
    rooms = "|".join(ROOMS) + "|tests|bench|docs|cmake"
    pattern = rf"(?<![\w/.}}-])((?:{rooms})/[\w./-]*\.(?:h|cpp|cu|cuh|md|sh|py|cmake|txt))(?![\w{{*])"
    for number, line in enumerate(text.splitlines(), 1):
        for match in re.finditer(pattern, line):
            if not re.search(r"/X[._]", match[1]):
                yield number, match[1]
