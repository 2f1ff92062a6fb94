# SPDX-License-Identifier: Apache-2.0
"""The checks of the documentation notice what they are for: each gets a planted mistake and must name it."""
import pathlib
import tempfile
import unittest
from unittest import mock

import check_commands
import check_links
import check_ops
import check_tutorial
import docstring
import header
import highlight
import literate
import ops
import reference
import repository

HEADER = '''
#pragma once
/// What the file is for.
namespace fovea {
namespace hidden_detail {
inline int secret() { return 1; }
}  // namespace hidden_detail
/// Adds two numbers.
///
/// a, b     f32
/// returns  their sum,
///          rounded once
inline float add(float a, float b) { return a + b; }
inline double add(double a, double b) { return a + b; }

/// A box.
class Box final : public Base {
 public:
  explicit Box(int size) : size_(size), data_{size} {}
  int size() const { return size_; }
  std::vector<int> content{1, 2};  ///< what it holds

 private:
  int size_;
};
enum class Kind { round, square };
FOVEA_KERNEL(fill, std::int64_t count, float* y);
}  // namespace fovea
'''

LESSON = '''// SPDX-License-Identifier: Apache-2.0
//
// # Title
//
// ```gdb
// $ gdb -q program
// (gdb) print x
// $1 = {1, …}
// ```
int x;
#ifdef FOVEA_ANSWERS
int y = 2;
#else
int y = 0;  // yours
#endif
'''


def with_files(files):
    """The repository as these files and no others."""
    return mock.patch.multiple(repository, read=files.__getitem__, files=lambda: sorted(files))


class Links(unittest.TestCase):
    def wrong(self, text):
        files = {"README.md": text, "docs/A.md": "# One thing\n\n## One thing\n", "nn/linear.h": ""}
        with with_files(files):
            return [*check_links.wrong_links(sorted(files)), *check_links.wrong_paths(sorted(files))]

    def test_right_links_pass(self):
        self.assertEqual(self.wrong("# R\n[a](docs/A.md) [b](docs/A.md#one-thing-1) [c](docs/) [d](https://x.y)\n"
                                    "[e](#r) `nn/linear.h` and kernels/ops/X.h\n```\n[no](link.md)\n```\n"), [])

    def test_a_quotation_that_is_not_in_its_file_is_named(self):
        files = {"a.cu": "one();\ntwo();\n", "A.md": "```cpp\n// a.cu\none();\n…\ntwo();\n```\nother();\n"}
        with with_files(files):
            self.assertEqual([*check_links.wrong_quotes(sorted(files))], [])
        files["A.md"] = "```cpp\n// a.cu\ntwo();\none();\n```\n"
        with with_files(files):
            self.assertEqual([*check_links.wrong_quotes(sorted(files))], ["A.md:4: not, or not here, in a.cu: one();"])

    def test_a_missing_file_is_named(self):
        self.assertIn("README.md:1: link to B.md", self.wrong("[a](B.md)")[0])

    def test_a_missing_heading_is_named(self):
        self.assertIn("no such heading", self.wrong("[a](docs/A.md#two-things)")[0])

    def test_a_stale_path_is_named(self):
        self.assertIn("names nn/conv.h", self.wrong("see `nn/conv.h`")[0])


class Commands(unittest.TestCase):
    def wrong(self, text):
        programs = check_commands.Programs.__new__(check_commands.Programs)
        programs.run_commands, programs.help = {"fovea", "test"}, {"train": {"--seed"}, "trian": None}
        return [why for _, command in check_commands.commands(text) for why in programs.wrong(command)]

    def test_known_ones_pass(self):
        self.assertEqual(self.wrong("```sh\n./run test --all  # x\n./run fovea train ln --seed 3\n```\n"
                                    "`fovea train --seed 1`"), [])

    def test_unknown_ones_are_named(self):
        self.assertEqual(self.wrong("`./run tset`"), ["./run has no command 'tset'"])
        self.assertEqual(self.wrong("`./run fovea trian ln`"), ["fovea has no subcommand 'trian'"])
        self.assertEqual(self.wrong("```sh\n./run test && fovea train ln --sede 1\n```"),
                         ["fovea train has no option --sede"])


class Tutorial(unittest.TestCase):
    def wrong(self, text):
        with tempfile.TemporaryDirectory() as folder:
            reader = check_tutorial.Reader("/bin/echo", pathlib.Path(folder))
            for block in check_tutorial.blocks(text):
                reader.follow(*block)
            return reader.wrong

    def test_a_true_page_passes(self):
        self.assertEqual(self.wrong("```toml\n# a.toml\nx = 1\n```\n```sh\ntest \"$(cat a.toml)\" = 'x = 1'\n```\n"
                                    "```console\n$ ./run fovea data\ndata\n$ echo 'fovea data: F: 12 cells'; false\n"
                                    "fovea data: F: … cells\n```\n```text\n$ false\n```\n"), [])

    def test_what_differs_is_named(self):
        for text, why in (("```sh\ntrue\nfalse\ntrue\n```\n", "1: exit code 1"),
                          ("x\n```console\n$ echo abc\nab\n```\n", "2: `echo abc` does not print 'ab'"),
                          ("```console\n$ false\n```\n", "1: `false`: exit code 1"),
                          ("```console\n$ echo 'fovea data: no'\nfovea data: no\n```\n", "exit code 0"),
                          ("```py\n# docs/tutorial/lab_files.py\nx = 1\n```\n", "1: is not what docs/tutorial/lab_files.py")):
            (found,) = self.wrong(text)
            self.assertIn(why, found)


class Lessons(unittest.TestCase):
    def test_parts(self):
        found = [(p.kind, p.line) for p in literate.parts(LESSON)]
        self.assertEqual(found, [("prose", 3), ("code", 10), ("answer", 12), ("code", 14)])

    def test_sessions(self):
        (step,), = literate.gdb_sessions(literate.prose(LESSON))
        self.assertEqual((step.command, step.expected), ("print x", ["$1 = {1, …}"]))
        self.assertTrue(literate.matches(step.expected[0], "$1 = {1, 2}"))
        self.assertFalse(literate.matches(step.expected[0], "$1 = {2, 1}"))
        self.assertFalse(literate.matches("$1 = 10", "$1 = 100"))


class Headers(unittest.TestCase):
    def test_declarations(self):
        about, found = header.read("x.h", HEADER)
        self.assertEqual(about, "What the file is for.")
        self.assertEqual([d.name for d in found], ["add", "Box", "Kind", "fill"])
        add, box, kind, fill = found
        self.assertEqual([d.signature for d in (add, *add.also)],
                         ["inline float add(float a, float b)", "inline double add(double a, double b)"])
        self.assertEqual([(m.name, m.doc) for m in box.members],
                         [("Box", ""), ("size", ""), ("content", "what it holds")])
        self.assertEqual(box.members[0].signature, "explicit Box(int size)")
        self.assertEqual([m.name for m in kind.members], ["round", "square"])
        self.assertEqual(fill.signature, "void fill(Queue& queue, std::int64_t count, float* y)")

    def test_what_is_not_understood_is_an_error(self):
        with self.assertRaises(header.HeaderError):
            header.read("x.h", "namespace a {\nint f() {\n")

    def test_a_parameter_that_does_not_exist_is_named(self):
        (declaration,) = header.read("x.h", "namespace a {\n/// F.\n///\n/// y  f32\nint f(int x);\n}\n")[1]
        wrong = []
        reference.check("x.h", declaration, wrong.append)
        self.assertIn("explains y", wrong[0])

    def test_docstring(self):
        parsed = docstring.parse(header.read("x.h", HEADER)[1][0].doc)
        self.assertEqual(parsed.summary(), "Adds two numbers.")
        self.assertEqual(parsed.fields, [("a, b", "f32"), ("returns", "their sum, rounded once")])


class Ops(unittest.TestCase):
    WHOLE = ("Twice.\n\nformula  y = 2·x\nx        [...] f32\nreturns  [...]\nkeeps    nothing: dx = 2·dy\n"
             "throws   DTypeError\nsource   arithmetic\n")
    FACTS = {"signature": "x[n...] -> y[n...]", "flops": "n", "bytes": "E·2·n", "dtypes": ["f32"], "devices": ["cpu"]}

    def missing(self, doc, facts=None):
        op = ops.Op("twice", self.FACTS if facts is None else facts, "autograd/ops/twice.h", 1,
                    ["inline Var twice(const Var& x)"], [docstring.parse(doc)])
        op.places = [(what, "there.h", 1) for what in ("contract", "CPU", "CUDA", "page", "test row")]
        return [line.split(": ", 2)[-1] for line in ops.incomplete(op, [], {"there.h"})]

    def test_a_whole_page_passes(self):
        self.assertEqual(self.missing(self.WHOLE), [])

    def test_each_part_is_missed(self):
        for part in ("formula", "returns", "keeps", "throws", "source"):
            without = "\n".join(line for line in self.WHOLE.split("\n") if not line.startswith(part))
            self.assertEqual(self.missing(without), [f"the docstring has no line `{part}`"])
        without_x = self.WHOLE.replace("x        [...] f32\n", "")
        self.assertEqual(self.missing(without_x), ["the docstring does not explain `x`"])
        self.assertEqual(self.missing(self.WHOLE.replace("[...] f32", "f32")), ["the line `x` gives no shape"])
        self.assertEqual(self.missing(self.WHOLE, {**self.FACTS, "flops": ""}), ["its OpInfo has no flops"])

    def test_determinism(self):
        page = ("\n## The order in each op\n\n| ops | order |\n|---|---|\n| `add` | each by itself |\n"
                "\n## Exceptions\n\n| op | device | reason |\n|---|---|---|\n| none | | |\n")
        with with_files({"docs/DETERMINISM.md": page}):
            wrong = lambda known: list(check_ops.wrong_determinism(known))
            self.assertEqual(wrong({"add": {"deterministic": True}}), [])
            self.assertIn('missing under "Exceptions"', wrong({"add": {"deterministic": False}})[0])
            both = {"add": {"deterministic": True}, "conv": {"deterministic": True}}
            self.assertIn("conv is missing", wrong(both)[0])
            self.assertIn("there is no op add", wrong({})[0])

    def test_formula(self):
        self.assertEqual(highlight.formula("y = Σ_{k} x[k]·e^−x", {"x"}),
                         "<var>y</var> = Σ<sub><var>k</var></sub> <var>x</var>"
                         '<span class="ix">[<var>k</var>]</span>·<var>e</var><sup>−<var>x</var></sup>')


unittest.main()
