# SPDX-License-Identifier: Apache-2.0
"""Code as HTML: one regular expression per language, and formulas as they would be set in a paper."""
import html
import re

_KEYWORDS = """alignas alignof auto bool break case catch char class concept const consteval constexpr constinit
continue default delete do double else enum explicit export extern false final float for friend if inline int long
mutable namespace new noexcept nullptr operator override private protected public requires return short signed sizeof
static static_assert struct switch template this throw true try typedef typename union unsigned using virtual void
volatile while __global__ __device__ __host__ __shared__ __restrict__""".split()
_STRING = r'R"(?P<d>\w*)\((?:.|\n)*?\)(?P=d)"|"(?:\\.|[^"\\\n])*"|\'(?:\\.|[^\'\\\n])*\''
_LANGUAGES = {
    "cpp": [("c", r"//[^\n]*|/\*(?:.|\n)*?\*/"), ("s", _STRING), ("p", r"(?m:^[ \t]*#[ \t]*\w+)"),
            ("k", r"\b(?:" + "|".join(_KEYWORDS) + r")\b"),
            ("t", r"\b(?:[A-Z]\w*[a-z]\w*|u?int\d+_t|size_t)\b"), ("n", r"\b\d[\w.']*\b")],
    "py": [("s", r'"""(?:.|\n)*?"""|"(?:\\.|[^"\\\n])*"|\'(?:\\.|[^\'\\\n])*\''), ("c", r"#[^\n]*"),
           ("k", r"\b(?:and|as|class|def|elif|else|except|for|from|if|import|in|is|lambda|not|or|raise|return|try|"
                 r"while|with|yield|None|True|False)\b"), ("n", r"\b\d[\w.]*\b")],
    "sh": [("c", r"(?:(?<=\s)|^)#[^\n]*"), ("s", r'"(?:\\.|[^"\\])*"|\'[^\']*\'')],
    "toml": [("c", r"#[^\n]*"), ("s", r'"(?:\\.|[^"\\\n])*"'), ("k", r"(?m:^\[.*?\])"), ("n", r"\b\d[\w.+-]*\b")],
    "console": [("c", r"(?m:^\$ .*$)")],
    "gdb": [("c", r"(?m:^\$ .*$)"), ("k", r"(?m:^\(gdb\))")],
    "text": [],
}
_BY_SUFFIX = {"h": "cpp", "cpp": "cpp", "cu": "cpp", "cuh": "cpp", "py": "py", "sh": "sh", "toml": "toml",
              "cmake": "sh", "run": "sh", "txt": "sh"}
_COMPILED = {name: re.compile("|".join(f"(?P<{group}>{pattern})" for group, pattern in rules) or r"(?!)")
             for name, rules in _LANGUAGES.items()}


def language_of(path):
    return _BY_SUFFIX.get(path.rsplit("/", 1)[-1].rsplit(".", 1)[-1], "text")


def code(text, language):
    out, at = [], 0
    for match in _COMPILED.get(language, _COMPILED["text"]).finditer(text):
        kind = next(k for k in "cspktn" if match.groupdict().get(k) is not None)
        out += [html.escape(text[at:match.start()], quote=False),
                f'<span class="{kind}">', html.escape(match[0], quote=False), "</span>"]
        at = match.end()
    return "".join(out) + html.escape(text[at:], quote=False)


def lines(text, language, first=1, ids=False):
    """Numbered lines; spans that cross lines are closed and opened again."""
    out, number, open_span = [], first, ""
    for line in code(text.rstrip("\n"), language).split("\n"):
        body = open_span + line
        tags = re.findall(r'<span class="\w">|</span>', body)
        open_span = tags[-1] if tags and tags[-1] != "</span>" else ""
        body += "</span>" if open_span else ""
        name = f' id="L{number}"' if ids else ""
        out.append(f'<span class="line"{name} data-n="{number}">{body}\n</span>')
        number += 1
    return f'<pre class="code numbered"><code>{"".join(out)}</code></pre>'


_FORMULA = re.compile(
    r"_\{(?P<subs>[^}]*)\}|_(?P<sub>\w)"
    r"|\^(?:\{(?P<sups>[^}]*)\}|\((?P<supp>[^)]*)\)|(?P<sup>[−-]?(?:\|\w+\||\w+)))"
    r"|(?<=[\w\u0302'])\[(?P<index>[^\]]*)\]"
    r"|(?P<word>[A-Za-zα-ω](?:[A-Za-z0-9]|_(?=\w\w))*\u0302?)")


def formula(text, names=()):
    """`y[n, c] = Σ_{k} x[n, k]·w[c, k]` with indices small, subscripts and powers in place, and `names` and single
    letters in italics."""
    out, at = [], 0
    for match in _FORMULA.finditer(text):
        out.append(html.escape(text[at:match.start()], quote=False))
        kind = match.lastgroup
        inner = match[kind]
        if kind in ("subs", "sub"):
            out.append(f"<sub>{formula(inner, names)}</sub>")
        elif kind in ("sups", "supp", "sup"):
            out.append(f"<sup>{formula(inner, names)}</sup>")
        elif kind == "index":
            out.append(f'<span class="ix">[{formula(inner, names)}]</span>')
        else:
            word = html.escape(inner, quote=False)
            is_name = inner in names or len(inner.rstrip("\u0302")) == 1
            out.append(f"<var>{word}</var>" if is_name else word)
        at = match.end()
    return "".join(out) + html.escape(text[at:], quote=False)
