# SPDX-License-Identifier: Apache-2.0
"""What is known of each op: the facts that the program prints (`fovea ops --json`), the docstring and the signatures of
its page in autograd/ops, its five places, and the errors that its test row expects word for word."""
import json
import re
import subprocess
from dataclasses import dataclass, field
from pathlib import Path

import docstring
import header
import repository


@dataclass
class Op:
    name: str
    facts: dict
    page: str = ""                                  # autograd/ops/X.h
    line: int = 0
    signatures: list = field(default_factory=list)
    docs: list = field(default_factory=list)        # Docstring of each overload
    inherited: list = field(default_factory=list)   # of the op that its summary says to see
    places: list = field(default_factory=list)      # (what, path, line)
    messages: list = field(default_factory=list)

    def get(self, name):
        """A line of the docstring, or of the docstring that it refers to."""
        return next((text for doc in (*self.docs, *self.inherited) if (text := doc.get(name))), None)

    def parameters(self):
        """(names, text) of the lines on parameters, own ones first."""
        signatures = {p for s in self.signatures for p in docstring.parameters(s)}
        found, seen = [], set()
        for doc in (*self.docs, *self.inherited):
            for names, text in doc.fields:
                own = [n for n in names.split(", ") if n in signatures and n not in seen]
                if own:
                    found.append((", ".join(own), text))
                    seen |= set(own)
        return found

    def summary(self):
        return self.docs[0].summary() if self.docs else ""


def facts(program):
    printed = subprocess.run([program, "ops", "--json"], capture_output=True, encoding="utf-8", check=True).stdout
    return {op["name"]: op for op in json.loads(printed)["ops"]}


def line_of(path, pattern):
    match = re.search(pattern, repository.read(path), re.M)
    return repository.read(path).count("\n", 0, match.start()) + 1 if match else 1


def places_of(op, names):
    """Contract, CPU, CUDA (the file named as the contract, then its parts), page, row. A view has no kernel of its own;
    where it must copy, it is `copy`."""
    includes = re.findall(r'#include "(kernels/ops/\w+\.h)"', repository.read(op.page))
    stem = Path(op.page).stem
    own = f"kernels/ops/{stem}.h"
    contract = own if own in names else (includes or ["kernels/ops/copy.h"])[0]
    kernel = Path(contract).stem
    found = [("contract", contract, 1)]
    for what, folder, suffix in (("CPU", "cpu", "cpp"), ("CUDA", "cuda", "cu")):
        first = f"kernels/{folder}/{kernel}.{suffix}"
        parts = [n for n in sorted(names) if re.match(rf"kernels/{folder}/{kernel}_\w+\.\w+$", n)]
        found += [(what, path, 1) for path in (first, *parts)]
    found.append(("page", op.page, op.line))
    for row in sorted(n for n in names if n.startswith("tests/ops/") and n.endswith(".cpp")):
        if re.search(rf'TEST_CASE\("{op.name}"|\b{op.name}_info\b', repository.read(row)):
            found.append(("test row", row, line_of(row, rf'TEST_CASE\("{op.name}"|\b{op.name}_info\b')))
            break
    return found


def messages_of(op, row):
    """String literals of the row that begin as the op's errors do."""
    text = re.sub(r'"\s*\n\s*"', "", repository.read(row))
    found = re.findall(rf'"({op.name}: (?:\\.|[^"\\\n])+)"', text)
    return list(dict.fromkeys(m.replace('\\"', '"') for m in found))


def load(program):
    """[Op] sorted by name, and what is wrong with their documentation."""
    names = set(repository.files())
    declared = {}
    for path in sorted(n for n in names if re.match(r"autograd/ops/\w+\.h$", n)):
        for d in header.read(path, repository.read(path))[1]:
            if d.kind == "function":
                for one in (d, *d.also):
                    declared.setdefault(one.name, []).append((path, one, d.doc))
    ops, wrong = [], []
    for name, known in sorted(facts(program).items()):
        op = Op(name, known)
        overloads = declared.get(name, [])
        if not overloads:
            wrong.append(f"op {name}: no function of this name is declared in autograd/ops")
            continue
        op.page, first, _ = overloads[0]
        op.line = first.line
        op.signatures = [d.signature for _, d, _ in overloads]
        op.docs = [docstring.parse(doc) for doc in dict.fromkeys(doc for _, _, doc in overloads if doc)]
        for other in re.findall(r"\b[Ss]ee (\w+)", op.docs[0].summary() if op.docs else ""):
            op.inherited += [docstring.parse(doc) for _, _, doc in declared.get(other, []) if doc]
        op.places = places_of(op, names)
        wrong += incomplete(op, overloads, names)
        row = next((path for what, path, _ in op.places if what == "test row"), None)
        op.messages = messages_of(op, row) if row else []
        ops.append(op)
    return ops, wrong


def incomplete(op, overloads, names):
    """Parts that an op's page lacks."""
    where = f"{op.page}:{op.line}: {op.name}"
    if not op.docs:
        yield f"{where}: has no docstring"
        return
    if not op.summary():
        yield f"{where}: the docstring has no summary"
    for part in ("formula", "returns", "keeps", "throws", "source"):
        if op.get(part) is None:
            yield f"{where}: the docstring has no line `{part}`"
    explained = {n for names_, _ in op.parameters() for n in names_.split(", ")}
    for signature in op.signatures:
        for parameter in docstring.parameters(signature):
            if parameter not in explained:
                yield f"{where}: the docstring does not explain `{parameter}`"
    for names_, text in [*op.parameters(), ("returns", op.get("returns") or "[]")]:
        for name in names_.split(", "):
            is_tensor = any(re.search(rf"(?:Var|Tensor)& {name}\b", s) for s in op.signatures) or name == "returns"
            if is_tensor and not re.search(r"\[|scalar|shape", text):
                yield f"{where}: the line `{name}` gives no shape"
    for key in ("signature", "flops", "bytes", "dtypes", "devices"):
        if op.facts.get(key) in (None, "", []):
            yield f"{where}: its OpInfo has no {key}"
    for what, path, _ in op.places:
        if path not in names:
            yield f"{where}: its {what}, {path}, is not there"
    if "test row" not in [what for what, _, _ in op.places]:
        yield f"{where}: has no row in tests/ops"
