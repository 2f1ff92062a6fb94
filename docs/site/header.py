# SPDX-License-Identifier: Apache-2.0
"""Reads a header of ours: declarations with the `///` comment above them or the `///<` behind them.

This is no C++ parser. It leans on how our headers are written (clang-format, no macros but FOVEA_KERNEL) and fails
with a message on what it does not understand, so that the site is never quietly incomplete.
"""
import re
from dataclasses import dataclass, field


@dataclass
class Declaration:
    kind: str        # function, type, enum, value, macro, namespace
    name: str
    signature: str   # C++ without the body
    line: int
    doc: str = ""    # text of the comment, one docstring line a line
    members: list = field(default_factory=list)
    also: list = field(default_factory=list)  # overloads that follow at once and share the comment


TOKEN = re.compile(r'//[^\n]*|/\*.*?\*/|R"(\w*)\(.*?\)\1"|"(?:\\.|[^"\\\n])*"|\'(?:\\.|[^\'\\\n])\'', re.S)
SCOPE = re.compile(r"\s*(?:template\s*<.*>\s*)?(?:inline\s+)?(namespace|class|struct|enum|union)\b", re.S)
NAME = re.compile(r".*?(\w+)(?:<[^>]*>)?\s*(?:\[[^\]]*\])*\s*(?:[={].*)?$")


class HeaderError(Exception):
    pass


class Reader:
    def __init__(self, path, text):
        self.path, self.text, self.at = path, text, 0

    def line(self):
        return self.text.count("\n", 0, self.at) + 1

    def fail(self, why):
        raise HeaderError(f"{self.path}:{self.line()}: {why}")

    def rest_of_line(self):
        end = self.text.find("\n", self.at)
        end = len(self.text) if end < 0 else end
        line, self.at = self.text[self.at:end], end + 1
        return line

    def doc_lines(self, marker):
        lines = []
        while match := re.compile(rf"[ \t]*{marker} ?(.*)\n").match(self.text, self.at):
            lines.append(match[1].rstrip())
            self.at = match.end()
        return "\n".join(lines)

    def skip_token(self):
        """Past one character, string or comment; returns what counts as code."""
        match = TOKEN.match(self.text, self.at)
        token = match[0] if match else self.text[self.at]
        self.at += len(token)
        if token.startswith(("//", "/*")):
            unused = re.fullmatch(r"/\*(\w+)\*/", token)  # the name of a parameter that a body does not use
            return f" {unused[1]}" if unused else ""
        return token

    def skip_block(self):
        """Past a block; the opening brace is the next character."""
        depth = 0
        while self.at < len(self.text):
            token = self.skip_token()
            depth += (token == "{") - (token == "}")
            if depth == 0:
                return
        self.fail("a block has no end")

    def head(self):
        """Text of a declaration up to its `;` or the `{` of its body, and which of the two it was."""
        text, depth = "", 0
        while self.at < len(self.text):
            char = self.text[self.at]
            if depth == 0 and char == ";":
                self.at += 1
                return text, ";"
            if char == "{" and depth == 0:
                scope = SCOPE.match(text)
                in_initialisers = re.search(r"\)\s*(?:noexcept\s*)?:\s", text) and re.search(r"\w$", text)
                initialises = not scope and (re.search(r"=\s*(?:[\w:<>]+)?$", text) or (
                    re.search(r"[\w>\]]$", text) and "(" not in text) or in_initialisers)
                if not initialises:
                    return text, "{"
                start = self.at
                self.skip_block()
                text += self.text[start:self.at]
                continue
            if char == "}" and depth == 0:
                self.fail(f"a declaration ends with a brace: {text.strip()}")
            token = self.skip_token()
            depth += (token in ("(", "[")) - (token in (")", "]"))
            text += token
        self.fail(f"a declaration has no end: {text.strip()[:60]}")

    def scope(self, visible=True, in_class="", in_type=False):
        """Declarations up to the brace that closes this scope, or the end of the file."""
        found, doc, last_line, group, notable = [], "", -1, None, False
        hidden = not visible
        while True:
            blank = re.compile(r"\s*").match(self.text, self.at)
            lines_skipped = blank[0].count("\n")
            self.at = blank.end()
            if self.at >= len(self.text):
                if in_class:
                    self.fail("a scope has no end")
                return found
            if self.text.startswith("///<", self.at) or (
                    self.text.startswith("//", self.at) and not self.text.startswith("///", self.at)
                    and lines_skipped == 0 and notable):
                note = self.doc_lines("///<") or self.rest_of_line()[2:].strip()
                if notable and not found[-1].doc and not note.startswith("NOLINT"):
                    found[-1].doc, group = note, None
                continue
            if self.text.startswith("///", self.at):
                self.at -= len(re.search(r"[ \t]*$", self.text[:self.at])[0])
                doc = self.doc_lines("///(?!<)")
                continue
            if self.text.startswith("//", self.at):
                self.rest_of_line()
                continue
            if self.text[self.at] == "#":
                line, line_number = self.rest_of_line(), self.line()
                whole = line
                while whole.endswith("\\"):
                    whole = whole[:-1] + self.rest_of_line()
                macro = re.match(r"#define (\w+(?:\([^)]*\))?)", line)
                if macro and doc:
                    name = macro[1].split("(")[0]
                    found.append(Declaration("macro", name, f"#define {macro[1]}", line_number, doc))
                    doc = ""
                continue
            if self.text[self.at] == "}":
                self.at += 1
                return found
            access = re.compile(r"(public|protected|private):").match(self.text, self.at)
            if access:
                hidden, self.at = access[1] == "private", access.end()
                continue
            number = self.line()
            text, end = self.head()
            declaration = self.declared(text, end, number, doc, hidden, in_class)
            kept = declaration is not None and not hidden
            notable = kept and declaration.kind != "namespace"  # a comment behind it may be about it
            directly_below = number == last_line + 1 and not doc and group is not None
            doc, last_line = "", self.line()
            if not kept:
                continue
            alike = group is not None and (not in_type or declaration.name == group.name)
            if directly_below and alike and declaration.kind == "function" and group.kind == "function":
                group.also.append(declaration)
                continue
            found.append(declaration)
            group = declaration if declaration.doc else None

    def declared(self, text, end, number, doc, hidden, in_class):
        flat = re.sub(r"\s+", " ", text).strip()
        flat = re.sub(r"([(<]) ", r"\1", flat)
        bare = re.sub(r"^template ?<.*?> (?=class|struct|requires|\w)", "", flat)
        if flat.startswith("namespace") or flat.startswith("inline namespace"):
            name = flat.split()[-1] if len(flat.split()) > 1 else ""
            self.at += 1
            members = self.scope(in_class=name)
            if not name or name.endswith("_detail") or name == "namespace":
                return None
            return Declaration("namespace", name, flat, number, doc, members)
        kind = re.match(r"(class|struct|enum class|enum|union)\s+(?:\[\[\w+\]\] |alignas\(\d+\) )?(\w+(?:<[^>]*>)?)(.*)", bare)
        if kind and end == "{" and "(" not in re.sub(r"alignas\([^)]*\)", "", kind[3]):
            if kind[1].startswith("enum"):
                members = self.enumerators()
            else:
                members = self.class_scope(kind[1], kind[2])
            self.skip_to_semicolon()
            sort = "enum" if kind[1].startswith("enum") else "type"
            return Declaration(sort, kind[2], flat, number, doc, members)
        if end == "{":
            self.at -= 0
            self.skip_block()
            flat = self.without_initialisers(flat)
        if re.match(r"(friend|using namespace|static_assert|extern template)\b", flat) or "= delete" in flat:
            return None
        if kind and end == ";":
            return None
        if flat.startswith("using") and "=" not in flat:
            return None
        if flat.startswith("using"):
            return Declaration("value", flat.split()[1], flat, number, doc)
        kernel = re.match(r"FOVEA_KERNEL\((\w+), ?(.*)\)$", flat)
        if kernel:
            return Declaration("function", kernel[1], f"void {kernel[1]}(Queue& queue, {kernel[2]})", number, doc)
        concept = re.search(r"\bconcept (\w+)", flat)
        if concept:
            return Declaration("value", concept[1], flat, number, doc)
        pointer = re.match(r".*\(\*(\w+)\)\(", bare)
        if pointer and not re.search(r"\w\([^*]", bare[:pointer.start(1)]):
            return Declaration("value", pointer[1], flat, number, doc)
        plain = re.sub(r"alignas\([^)]*\)|<[^<>]*\([^<>]*\)>", "", bare)
        call = re.search(r"(operator ?(?:\(\)|[^\s(\w]+|[\w ]+)|~?\w+)\(", plain)
        assigned = re.search(r"(?<![=!<>])=(?!=)", bare)
        if call and not (assigned and assigned.start() < call.start() and "operator" not in call[1]):
            flat = re.sub(r" = default$", "", flat)
            if call[1].startswith("~"):
                return None
            return Declaration("function", call[1], flat, number, doc)
        name = NAME.match(re.sub(r"[={].*", "", flat, flags=re.S))
        if not name:
            self.fail(f"not understood: {flat[:80]}")
        return Declaration("value", name[1], flat, number, doc)

    @staticmethod
    def without_initialisers(flat):
        depth = 0
        for i, char in enumerate(flat):
            depth += (char in "(<[") - (char in ")>]")
            if char == ":" and depth == 0 and flat[i - 1] != ":" and flat[i + 1:i + 2] != ":" and ")" in flat[:i]:
                return flat[:i].strip()
        return flat

    def class_scope(self, kind, name):
        self.at += 1  # the brace
        return self.scope(visible=kind != "class", in_class=name, in_type=True)

    def skip_to_semicolon(self):
        while self.text[self.at] != ";":
            self.at += 1
        self.at += 1

    def enumerators(self):
        self.at += 1
        members, doc = [], ""
        while True:
            blank = re.compile(r"[\s,]*").match(self.text, self.at)
            same_line = "\n" not in blank[0]
            self.at = blank.end()
            if self.text[self.at] == "}":
                self.at += 1
                return members
            if self.text.startswith("//", self.at):
                note = re.sub(r"^///?<? ?", "", self.rest_of_line())
                if members and same_line:
                    members[-1].doc = (members[-1].doc + " " + note).strip()
                else:
                    doc = (doc + " " + note).strip()
                continue
            match = re.compile(r"(\w+)(?:\s*=\s*([^,}/]+))?").match(self.text, self.at)
            if not match:
                self.fail("an enumerator is not understood")
            members.append(Declaration("value", match[1], match[0].strip(), self.line(), doc))
            self.at, doc = match.end(), ""


def read(path, text):
    """(comment of the file, declarations of its namespaces)."""
    reader = Reader(path, text)
    top = reader.scope()
    about, found = "", []

    def collect(declarations, outer=""):
        nonlocal about
        for d in declarations:
            if d.kind == "namespace":
                about = about or d.doc
                collect(d.members, d.name)
            elif outer not in ("fmt", "std"):
                found.append(d)

    collect(top)
    return about, found
