# SPDX-License-Identifier: Apache-2.0
"""check_ops.py PROGRAM: every op's page can be written whole (docstring, OpInfo, five places), and docs/DETERMINISM.md
says of each op what fixes its order, or why nothing does. Prints what is missing; exit code 1 if there is anything."""
import re
import sys

import header
import ops
import reference
import repository


def table_below(markdown, heading):
    """Rows of the first table below a heading, as lists of cells."""
    section = markdown.split(f"\n## {heading}\n", 1)[1].split("\n## ", 1)[0]
    lines = [line for line in section.splitlines() if line.startswith("|")]
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]
    return rows[2:]


def wrong_determinism(known):
    page = "docs/DETERMINISM.md"
    text = repository.read(page)
    listed = {}
    for heading in ("The order in each op", "Exceptions"):
        for cells in table_below(text, heading):
            for name in re.findall(r"`(\w+)`", cells[0]):
                if name in listed:
                    yield f"{page}: {name} is listed twice"
                if not cells[-1]:
                    yield f"{page}: {name} has no reason"
                listed[name] = heading
    for name, op in known.items():
        wanted = "The order in each op" if op["deterministic"] else "Exceptions"
        if listed.get(name) != wanted:
            yield f'{page}: {name} is missing under "{wanted}"; its OpInfo says deterministic = {op["deterministic"]}'
    for name in listed:
        if name not in known:
            yield f"{page}: there is no op {name}"


def wrong_docstrings():
    """What docstrings of all headers explain must exist."""
    wrong = []
    for path in reference.headers(repository.files()):
        try:
            for declaration in header.read(path, repository.read(path))[1]:
                reference.check(path, declaration, wrong.append)
        except header.HeaderError as error:
            wrong.append(str(error))
    return wrong


def wrong_cheat_sheet():
    """Each line of the cheat sheet is a line of the test that runs it."""
    page, test = "docs/NOTATION.md", "tests/docs/cheat_sheet.cpp"
    tested = re.sub(r"\s+", "", repository.read(test))
    section = repository.read(page).split("\n## Coming from NumPy or PyTorch\n", 1)[1]
    for line in section.splitlines():
        if line.startswith("| ") and not line.startswith("| NumPy"):
            for expression in re.findall(r"`([^`]+)`", line.rstrip("|").rsplit("|", 1)[1]):
                if re.sub(r"\s+", "", expression) not in tested:
                    yield f"{page}: `{expression}` is not in {test}"


def main():
    known, wrong = ops.load(sys.argv[1])
    wrong += [*wrong_determinism(ops.facts(sys.argv[1])), *wrong_docstrings(), *wrong_cheat_sheet()]
    print("\n".join(wrong) if wrong else f"{len(known)} ops, each with a whole page")
    sys.exit(1 if wrong or not known else 0)


if __name__ == "__main__":
    main()
