# SPDX-License-Identifier: Apache-2.0
"""The form of our docstrings: a summary, then lines that begin with a name and spaces (docs/NOTATION.md).

    Mean squared error: mean of (x - target)².

    x        any shape, float32, at least one element
    returns  scalar, in units of x²
"""
import re
from dataclasses import dataclass, field

SECTIONS = ("formula", "returns", "parameters", "keeps", "throws", "order", "source")
_NAME = r"[A-Za-z_][\w.]*(?:\(\))?"
_FIELD = re.compile(rf"({_NAME}(?:, {_NAME})*)( {{2,}})(\S.*)$")
_SECTION = re.compile(rf"({'|'.join(SECTIONS)})( +)(\S.*)$")


@dataclass
class Docstring:
    blocks: list = field(default_factory=list)   # ("text" or "pre", lines joined)
    fields: list = field(default_factory=list)   # (name, text)
    broken: list = field(default_factory=list)   # lines that follow a field at the margin, as if it went on there

    def get(self, name):
        return next((text for n, text in self.fields if n == name), None)

    def summary(self):
        return next((text for kind, text in self.blocks if kind == "text"), "")


def parse(doc):
    """Lines of a comment to blocks and fields."""
    result = Docstring()
    lines = doc.splitlines()
    at = 0
    paragraph, pre = [], []

    def flush():
        if paragraph:
            result.blocks.append(("text", " ".join(line.strip() for line in paragraph)))
            paragraph.clear()
        if pre:
            indent = min(len(line) - len(line.lstrip()) for line in pre if line.strip())
            result.blocks.append(("pre", "\n".join(line[indent:] for line in pre).rstrip()))
            pre.clear()

    while at < len(lines):
        line = lines[at]
        match = _FIELD.match(line) or _SECTION.match(line)
        if match and not (paragraph and match[1] not in SECTIONS and len(match[2]) < 2):
            flush()
            text, sentence = [match[3]], len(match[2]) == 1  # "throws ShapeError if …", running on at the margin
            while at + 1 < len(lines) and (more := lines[at + 1]):
                is_field = _FIELD.match(more) or _SECTION.match(more)
                if not more.startswith(" ") and (is_field or not sentence):
                    if not is_field:
                        result.broken.append(more)
                    break
                text.append(more.strip())
                at += 1
            result.fields.append((match[1], " ".join(text)))
        elif not line.strip():
            if pre and at + 1 < len(lines) and lines[at + 1].startswith("  "):
                pre.append("")
            else:
                flush()
        elif line.startswith("  ") and not paragraph:
            pre.append(line)
        else:
            if pre:
                flush()
            paragraph.append(line)
        at += 1
    flush()
    return result


def parameters(signature):
    """Names of a function's parameters."""
    inner = signature[signature.index("(") + 1:signature.rindex(")")]
    names, depth, start = [], 0, 0
    for i, char in enumerate(inner + ","):
        depth += char in "(<[{"
        depth -= char in ")>]}"
        if char == "," and depth == 0:
            piece = inner[start:i].split(" = ")[0].strip()
            word = re.search(r"(\w+)(?:\[[^\]]*\])?$", re.sub(r"\(\*(\w+)\)\(.*", r"\1", piece))
            if word:
                names.append(word[1])
            start = i + 1
    return names
