# SPDX-License-Identifier: Apache-2.0
"""Pages of the headers: each declaration with its docstring."""
import html
import re

import docstring
import header
import highlight
import repository

TYPE_SECTIONS = ("x", "buffers")  # a module's docstring names the argument of its forward()


def headers(names):
    """Headers that other rooms may use."""
    found = []
    for name in names:
        if re.match(r"kernels/(?:[^/]+|ops/[^/]+|cpu/pool|simt/grid)\.h$", name):
            found.append(name)
        elif name.endswith(".h") and name.split("/")[0] in ("tensor", "autograd", "nn", "models"):
            found.append(name)
    return found


def inline(text, types=None, here=""):
    """Running text of a docstring: `code`, and names of our types as links."""
    out = []
    for piece in re.split(r"(`[^`]+`)", text):
        if piece.startswith("`") and piece.endswith("`") and len(piece) > 2:
            out.append(f"<code>{html.escape(piece[1:-1], quote=False)}</code>")
            continue
        piece = html.escape(piece, quote=False)
        if types:
            piece = re.sub(r"\b(?:[A-Z][a-z]*){2,}\b(?!::)|\b(?:Var|Tensor|Tape)\b",
                           lambda m: types(m[0]) if m[0] != here else m[0], piece)
        out.append(piece)
    return "".join(out)


def render(doc, types=None, here="", skip=()):
    """A docstring as HTML."""
    parsed, out = docstring.parse(doc), []
    for kind, text in parsed.blocks:
        out.append(f"<p>{inline(text, types, here)}</p>" if kind == "text" else
                   f'<pre class="code"><code>{highlight.code(text, "cpp")}</code></pre>')
    rows = [(n, t) for n, t in parsed.fields if n not in skip]
    if rows:
        out.append('<dl class="fields">' + "".join(
            f'<dt{" class=section" if n in docstring.SECTIONS else ""}>{html.escape(n)}</dt>'
            f"<dd>{inline(t, types, here)}</dd>" for n, t in rows) + "</dl>")
    return "\n".join(out)


def check(path, declaration, warn):
    """A docstring's lines name parameters that exist."""
    if declaration.doc:
        parsed, where = docstring.parse(declaration.doc), f"{path}:{declaration.line}: the docstring of {declaration.name}"
        for line in parsed.broken:
            warn(f"{where} goes on without an indent: {line}")
        for word, instead in (("float32", "f32"), ("float64", "f64"), ("[..]", "[...]")):
            if word in declaration.doc:
                warn(f"{where} says {word} where we write {instead}")
        known = set(docstring.SECTIONS)
        if declaration.kind == "function":
            for signature in (declaration, *declaration.also):
                known |= set(docstring.parameters(signature.signature))
        else:
            known |= {n for m in declaration.members for n in re.findall(r"\w+", m.signature)}
            known |= {f"{m.name}()" for m in declaration.members} | {"what()", *TYPE_SECTIONS}
            for member in declaration.members:
                if member.kind == "function":
                    known |= set(docstring.parameters(member.signature))
        for names, _ in parsed.fields:
            for name in names.split(", "):
                if name not in known:
                    warn(f"{where} explains {name}, which it does not have")
    for member in declaration.members:
        check(path, member, warn)


class Reference:
    def __init__(self, site):
        self.site = site
        self.contents = {}
        for path in headers(site.files):
            try:
                self.contents[path] = header.read(path, repository.read(path))
            except header.HeaderError as error:
                site.warn(str(error))
        site.headers = set(self.contents)
        for path, (_, declarations) in self.contents.items():
            for d in declarations:
                check(path, d, site.warn)
                if d.kind in ("type", "enum"):
                    site.types[d.name] = f"api/{path}.html#{d.name}"

    def types(self, page):
        def link(name):
            there = self.site.types.get(name)
            return f'<a href="{self.site.href(page, there)}">{name}</a>' if there else name
        return link

    def declaration(self, d, path, page, level, outer=""):
        anchor = f"{outer}{d.name}" if d.kind != "function" else f"{outer}{d.name}-{d.line}"
        anchor = re.sub(r"[^\w.:-]", "_", anchor)
        signatures = [s.signature for s in (d, *d.also)]
        code = "".join(f"<span class=sig>{highlight.code(self.shown(s), 'cpp')}</span>" for s in signatures)
        source = self.site.href(page, f"source/{path}.html#L{d.line}")
        out = [f'<div class="declaration" id="{anchor}"><a class="kind" href="{source}">line {d.line}</a>'
               f'<pre class="code"><code>{code}</code></pre>']
        if d.doc:
            out.append(render(d.doc, self.types(page), d.name))
        if d.members:
            out.append('<div class="members">')
            out += [self.declaration(m, path, page, level + 1, f"{anchor}.") for m in d.members]
            out.append("</div>")
        if level == 0 and not d.name.startswith("operator"):
            self.site.index.append((d.name, path, f"{page}#{anchor}"))
        elif d.kind == "function" and d.doc and not d.name.startswith("operator"):
            self.site.index.append((f"{outer.rstrip('.').split('-')[0]}::{d.name}", path, f"{page}#{anchor}"))
        return "\n".join(out) + "</div>"

    @staticmethod
    def shown(signature):
        signature = re.sub(r"^(?:inline constexpr|static constexpr|inline|FOVEA_HOST_DEVICE) ", "", signature)
        signature = signature.replace("FOVEA_HOST_DEVICE ", "")
        if "{{" in signature or len(signature) > 300:
            signature = re.sub(r"(?:\{\{|\{ ?[.\w]).*$", "{…}", signature)
        return signature

    def write(self):
        rooms = {}
        for path, (about, declarations) in self.contents.items():
            page = f"api/{path}.html"
            shown = [d for d in declarations if not d.name.endswith("_info")]
            body = [f"<h1><code>{path}</code></h1>"]
            if about:
                body.append(render(about, self.types(page)))
            body += [self.declaration(d, path, page, 0) for d in shown]
            where = f'<a href="{self.site.href(page, "source/" + path + ".html")}">source</a>'
            self.site.write(page, path, "\n".join(body), where=where)
            first = docstring.parse(about or next((d.doc for d in shown if d.doc), "")).summary()
            rooms.setdefault("/".join(path.split("/")[:-1]), []).append((path, first.split(". ")[0].rstrip(".:")))
            self.site.index.append((path, "header", page))
        notation = self.site.href("api/index.html", "docs/NOTATION.html")
        body = ["<h1>Headers</h1><p>What a room offers to the rooms above it, from the comments in its headers. "
                f'How these comments are written: <a href="{notation}">Notation</a>.</p>']
        order = ["tensor", "autograd", "autograd/ops", "nn", "nn/optim", "nn/data", "nn/metrics"]
        for room in order + sorted(r for r in rooms if r not in order):
            if room in rooms:
                body.append(f'<h2 id="{room}"><code>{room}/</code></h2><div class="table"><table>')
                for p, text in rooms[room]:
                    there = self.site.href("api/index.html", f"api/{p}.html")
                    body.append(f'<tr><td><a href="{there}"><code>{p.split("/")[-1]}</code></a></td>'
                                f"<td>{inline(text)}</td></tr>")
                body.append("</table></div>")
        self.site.write("api/index.html", "Headers", "\n".join(body))
