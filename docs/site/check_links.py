# SPDX-License-Identifier: Apache-2.0
"""Every link of every Markdown page and lesson leads to a file and heading of the repository, and every path that a
page or a comment of a source names is there. C++ in a page that begins with `// FILE` is quoted from that file, line
by line. Prints what does not; exit code 1 if there is anything."""
import sys

import literate
import repository


def pages(names):
    """{path: Markdown} of all pages, lessons among them."""
    found = {n: repository.read(n) for n in names if n.endswith(".md")}
    for name in names:
        if name.startswith("docs/lessons/") and name.endswith(".cpp") and name[13:14].isdigit():
            found[name] = literate.numbered_prose(repository.read(name))
    return found


def wrong_links(names):
    known, folders, texts = set(names), repository.folders(names), pages(names)
    headings = {page: repository.anchors(text) for page, text in texts.items()}
    for page, text in texts.items():
        for number, target in repository.links(text):
            if ":" in target.split("/")[0]:
                continue  # of another site, and not ours to check
            path, _, anchor = target.partition("#")
            where = repository.resolve(page, path) if path else page
            if where is None or (where not in known and where.rstrip("/") not in folders):
                yield f"{page}:{number}: link to {target}: there is no such file"
            elif anchor and anchor not in headings.get(where, ()):
                yield f"{page}:{number}: link to {target}: {where} has no such heading"


def wrong_paths(names):
    known = set(names)
    for name in names:
        if not name.endswith((".md", ".h", ".cpp", ".cu", ".cuh", ".txt", ".cmake")) or name == "CHANGELOG.md":
            continue
        for number, path in repository.named_paths(repository.read(name)):
            if path not in known and repository.resolve(name, path) not in known:
                yield f"{name}:{number}: names {path}, which is not there"


def wrong_quotes(names):
    for page in (name for name in names if name.endswith(".md")):
        rest, before = None, ""  # what is left of the quoted file below the last line that was found there
        for number, line in enumerate(repository.read(page).splitlines(), 1):
            if line.startswith("// ") and before == "```cpp" and line[3:] in names:
                rest, quoted = repository.read(line[3:]).splitlines(), line[3:]
            elif line.startswith("```"):
                rest = None
            elif rest is not None and line not in ("", "…"):
                if line not in rest:
                    yield f"{page}:{number}: not, or not here, in {quoted}: {line.strip()}"
                    rest = None
                else:
                    rest = rest[rest.index(line) + 1:]
            before = line


def main():
    names = repository.files()
    wrong = [*wrong_links(names), *wrong_paths(names), *wrong_quotes(names)]
    print("\n".join(wrong) if wrong else f"{sum(n.endswith('.md') for n in names)} pages, every link leads somewhere")
    sys.exit(1 if wrong else 0)


if __name__ == "__main__":
    main()
