# SPDX-License-Identifier: Apache-2.0
"""One page an op, and an index of them."""
import html
import re

import highlight
import reference

ONE_ELEMENT = {"f32": 4, "f64": 8}


def words(value):
    return value if isinstance(value, list) else re.split(r"[ ,]+", value)


def operands(signature):
    return set(re.findall(r"([a-z]\w*)\[", signature))


class OpPages:
    def __init__(self, site, ops, references):
        self.site, self.ops, self.references = site, ops, references

    def names(self, op):
        from_signature = operands(op.facts.get("signature", ""))
        named = {n for names, _ in op.parameters() for n in names.split(", ")} | from_signature
        return named | {f"d{n}" for n in named} | {"dy", "dA", "dB", "dloss", "loss", "mean", "var", "sd"}

    def formula(self, op, text, block=True):
        tag, style = ("div", "formula") if block else ("span", "inline-formula")
        lines = text.split("; ") if block else [text]
        body = "<br>".join(highlight.formula(line.strip(), self.names(op)) for line in lines)
        return f'<{tag} class="{style}">{body}</{tag}>'

    def see(self, op, page, text):
        """"see add" leads to add's page; what is no op, to the header."""
        known = {other.name for other in self.ops}
        where = lambda name: f"ops/{name}.html" if name in known else f"api/{op.page}.html"
        return re.sub(r"\b([Ss]ee) (\w+)", lambda m: f'{m[1]} <a href="{self.site.href(page, where(m[2]))}">{m[2]}</a>', text)

    def link(self, page, path, line=1):
        anchor = f"#L{line}" if line > 1 else ""
        return f'<a href="{self.site.href(page, f"source/{path}.html")}{anchor}"><code>{path}</code></a>'

    def write(self, op):
        page = f"ops/{op.name}.html"
        types = self.references.types(page)
        facts = op.facts
        out = [f"<h1><code>{op.name}</code></h1>",
               f'<p class="lead">{self.see(op, page, reference.inline(op.summary(), types))}</p>',
               self.formula(op, op.get("formula"))]
        code = "".join(f"<span class=sig>{highlight.code(self.references.shown(s), 'cpp')}</span>"
                       for s in op.signatures)
        out.append(f'<pre class="code signature"><code>{code}</code></pre>')
        for kind, text in op.docs[0].blocks[1:]:
            out.append(f"<p>{reference.inline(text, types)}</p>" if kind == "text" else
                       f'<pre class="code"><code>{html.escape(text)}</code></pre>')
        rows = [*op.parameters(), ("returns", op.get("returns"))]
        out.append('<dl class="fields">' + "".join(
            f"<dt>{html.escape(n)}</dt><dd>{reference.inline(t, types)}</dd>" for n, t in rows) + "</dl>")

        out.append('<h2 id="gradient">Gradient</h2>')
        rule = facts.get("gradient")
        if rule:
            out.append(self.formula(op, rule.replace(", d", "; d")))
        else:
            out.append("<p>None: an input that needs one is refused.</p>")
        own = next((text for doc in op.docs if (text := doc.get("keeps"))), None)
        kept = re.split(r": (?=d|same)", own)[0] if own else ", ".join(words(facts["keeps"])) or "nothing"
        out.append(f"<p>Between forward and backward the tape keeps {reference.inline(kept, types)}.</p>")

        out.append('<h2 id="facts">Facts</h2><dl class="fields facts">')
        shapes = facts["signature"].replace("->", "→").replace("] ", "], ").replace("]? ", "]?, ").replace(", →", " →")
        same_bits = "yes: same input, device and build give the same bits" if facts["deterministic"] else "no"
        plain = [("element types", ", ".join(words(facts["dtypes"]))),
                 ("devices", ", ".join(words(facts["devices"]))), ("deterministic", same_bits),
                 ("kept for backward", ", ".join(words(facts["keeps"])) if facts.get("keeps") else "nothing")]
        formulas = [("shapes", shapes), ("operations forward", facts["flops"]),
                    ("operations backward", facts.get("gradient_flops")), ("bytes moved forward", facts["bytes"])]
        for name, value in formulas:
            if value:
                out.append(f"<dt class=section>{name}</dt><dd>{self.formula(op, str(value), block=False)}</dd>")
        out += [f"<dt class=section>{name}</dt><dd>{html.escape(value, quote=False)}</dd>" for name, value in plain]
        notation = self.site.href(page, "docs/NOTATION.html")
        out.append(f'</dl><p class="note">Letters: <a href="{notation}">Notation</a>. An operation is one '
                   "multiplication or addition; an operand's own name counts 1 if it is given, its gradient's name 1 "
                   "if that is asked for. Bytes are the least that must move, each tensor once.</p>")
        if op.get("order"):
            there = self.site.href(page, "docs/DETERMINISM.html")
            out.append(f'<p><b>Order.</b> {reference.inline(op.get("order"), types)} '
                       f'(<a href="{there}">what is promised</a>).</p>')

        out.append('<h2 id="errors">Errors</h2>')
        out.append(f"<p>{reference.inline(op.get('throws'), types)}.</p>")
        if op.messages:
            out.append('<p>Word for word, as its test row expects them:</p><ul class="messages">' + "".join(
                f"<li><code>{html.escape(m, quote=False)}</code></li>" for m in op.messages) + "</ul>")

        out.append('<h2 id="places">Its five places</h2><div class="table"><table>')
        for what in dict.fromkeys(what for what, _, _ in op.places):
            links = "<br>".join(self.link(page, path, line) for w, path, line in op.places if w == what)
            out.append(f"<tr><td>{what}</td><td>{links}</td></tr>")
        out.append("</table></div>")
        out.append(f'<h2 id="source">Source</h2><p>{reference.inline(op.get("source"), types)}</p>')
        self.site.index.append((op.name, "op", page))
        where = f'<a href="{self.site.href(page, "ops/index.html")}">Ops</a>'
        self.site.write(page, op.name, "\n".join(out), where=where)

    def write_all(self):
        for op in self.ops:
            self.write(op)
        page = "ops/index.html"
        body = [f"<h1>Ops</h1><p>All {len(self.ops)} differentiable operations, from their pages in "
                "<code>autograd/ops</code> and what the program says of them (<code>fovea ops</code>).</p>"]
        groups = {}
        for op in self.ops:
            groups.setdefault(op.page, []).append(op)
        for path, members in groups.items():
            body.append(f'<h2 id="{path}">{self.link(page, path)}</h2><div class="table"><table class="ops"><tr>'
                        "<th>op</th><th>formula</th><th>element types</th><th>gradient</th><th>kept</th></tr>")
            for op in members:
                there = self.site.href(page, f"ops/{op.name}.html")
                cells = [f'<a href="{there}"><code>{op.name}</code></a>',
                         self.formula(op, op.get("formula"), block=False), ", ".join(words(op.facts["dtypes"])),
                         "yes" if op.facts.get("gradient") else "no",
                         ", ".join(words(op.facts["keeps"])) if op.facts.get("keeps") else "nothing"]
                body.append("<tr>" + "".join(f"<td>{cell}</td>" for cell in cells) + "</tr>")
            body.append("</table></div>")
        self.site.write(page, "Ops", "\n".join(body))
