# SPDX-License-Identifier: Apache-2.0
"""What is made of benchmark results: docs/PERFORMANCE.md, charts, and the comparison of two runs."""
import io
import json
import re
import shutil
import subprocess
import sys
import tempfile
import unittest
import xml.etree.ElementTree
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent.parent
sys.path.insert(0, str(ROOT / "bench"))
sys.dont_write_bytecode = True

import chart_page  # noqa: E402
import compare  # noqa: E402
import performance_page  # noqa: E402
import result_file as rf  # noqa: E402
import targets  # noqa: E402


def case(name, peer="onednn 3.7", ratio=0.5, threads=1, **more):
    made = {"name": name, "device": "cpu", "op": "conv2d", "pass": "forward", "shape": "x [1, 1]", "threads": threads,
            "cold": False, "noisy": False, "status": "done", "reason": None, "ours_ms": ratio * 4, "peer": peer,
            "peer_ms": 4.0, "ratio_median": ratio, "ratio_p10": ratio * 0.9, "ratio_p90": ratio * 1.1, "floor_ms": 1.0,
            "share_of_floor": 1 / (4 * ratio), "error_ratio": 0.7, "layout": "blocked",
            "ours_samples_ms": [ratio * 4 * f for f in (0.9, 1, 1.1)], "peer_samples_ms": [4.0, 4.0, 4.0]}
    made.update(more)
    return made


def alone(name, **more):
    return case(name, peer=None, peer_ms=None, ratio_median=None, ratio_p10=None, ratio_p90=None, error_ratio=None,
                layout=None, ours_ms=2.0, share_of_floor=0.5, ours_samples_ms=[1.9, 2.0, 2.1], **more)


def results(*cases):
    return {"machine": {"device": "cpu avx512, 2 threads", "processor": "a processor", "gpu": None, "copy_gb_s": 10.0,
                        "fp32_gflop_s": 100.0}, "versions": {"fovea": "0.1.0", "cuda": None}, "commit": "abc Release",
            "math_mode": "fp32", "cases": list(cases)}


def rung(name, ms, predicted=None, gain=None, threads=1):
    spread = {"gain_median": gain, "gain_p10": gain and gain * 0.9, "gain_p90": gain and gain * 1.1}
    return {"name": name, "change": "a | b", "threads": threads, "ms": ms, "gflop_s": 1 / ms, "share_of_peak": 0.25,
            "predicted_gain": predicted, "error": 1e-7, **spread}


def ladder():
    return {**{k: v for k, v in results().items() if k != "cases"}, "date": "2026-03-01",
            "families": [{"name": "gemm", "shape": "[8, 8]", "flops": 1.0,
                          "rungs": [rung("plain", 8.0), rung("better", 2.0, 5.0, 4.0), rung("both", 1.0, 1.9, 2.0, 2)]}]}


PAGE = "\n".join(f"{name}\n<!-- begin {name} -->\nold\n<!-- end {name} -->" for name in performance_page.PARTS) + "\nend\n"


class Folder(unittest.TestCase):
    def setUp(self):
        self.folder = Path(tempfile.mkdtemp())
        self.addCleanup(shutil.rmtree, self.folder)

    def write(self, name, content):
        path = self.folder / name
        path.write_text(content if isinstance(content, str) else json.dumps(content), encoding="utf-8")
        return str(path)

    def script(self, name, *arguments):
        done = subprocess.run([sys.executable, "-B", ROOT / "bench" / name, *arguments], capture_output=True,
                              encoding="utf-8", timeout=60)
        return done.returncode, done.stdout, done.stderr


class Page(Folder):
    def made(self, *cases):
        self.results = self.write("2026-02-01-cpu.json", results(*cases))
        self.ladder = self.write("ladder.json", ladder())
        self.page = self.write("page.md", PAGE)
        self.assertEqual(self.script("performance_page.py", "--page", self.page, self.results, self.ladder), (0, "", ""))
        return Path(self.page).read_text(encoding="utf-8")

    def row(self, text, name):
        return next(line for line in text.splitlines() if line.startswith(f"| `{name}`"))

    def test_the_committed_page_is_what_the_script_makes_of_the_committed_results(self):
        page = (ROOT / "docs/PERFORMANCE.md").read_text(encoding="utf-8")
        named = re.findall(r"`(bench/results/[\w.-]+\.json)`", page)
        self.assertEqual(len(named), 2, "the page names its cases and its ladder")
        done = self.script("performance_page.py", "--check", *(str(ROOT / name) for name in named))
        self.assertEqual(done, (0, "", ""))

    def test_a_row_has_the_best_peer_its_target_and_a_verdict(self):
        text = self.made(case("conv1.forward.n32", ratio=0.1), case("conv1.forward.n32", "pytorch 2.9", ratio=0.05),
                         case("conv1.grad_weight.n32", ratio=0.04), case("unknown.case"), alone("3x3.128@28.forward.n8"))
        self.assertIn("| 1 | 0.100 [0.090–0.110] | 0.12 | **met** | 0.04 | 250 % |", self.row(text, "conv1.forward.n32"))
        self.assertIn("| 4.000 ms | 1.000 ms | onednn 3.7, blocked | 0.70 | warm |", self.row(text, "conv1.forward.n32"))
        self.assertIn("| 0.03 (floor at 0.25) | no | 0.01 |", self.row(text, "conv1.grad_weight.n32"))
        self.assertIn("| – | – | – | 50 % |", self.row(text, "unknown.case"))
        self.assertIn("| none | – | warm |", self.row(text, "3x3.128@28.forward.n8"))
        self.assertIn("| 1 | 4 | 3 | 3 | 1 of 2 | 1 | 0 | 4 |", text)
        self.assertIn("measured on 2026-02-01 at `abc Release`", text)
        self.assertIn("measured on 2026-03-01", text)
        self.assertTrue(text.endswith("end\n"))
        self.assertNotIn("old", text)

    def test_cases_too_small_to_say_anything_are_left_out(self):
        self.assertNotIn("tiny", self.made(case("conv1.forward.n32"), alone("tiny.conv.forward.n2")))

    def test_where_a_peer_is_near_the_floor_the_goal_is_to_be_no_slower(self):
        text = self.made(case("3x3.64@56.forward.n8", ratio=1.04, peer_ms=1.2, floor_ms=1.0, share_of_floor=0.8))
        self.assertIn("| 1.05 (peer near the floor) | **met** | 0.5 |", self.row(text, "3x3.64@56.forward.n8"))

    def test_a_goal_that_only_another_method_could_reach_says_where_the_floor_is(self):
        text = self.made(case("maxpool.64@56.forward.n8", ratio=0.7, peer_ms=4.0, floor_ms=2.0, share_of_floor=0.7))
        self.assertIn("| 0.15 (floor at 0.50) | no | 0.06 |", self.row(text, "maxpool.64@56.forward.n8"))
        self.assertIn("| 0 of 1 | 1 |", text)

    def test_what_was_not_measured_is_named(self):
        text = self.made(case("conv1.forward.n32"), {**alone("conv2.forward.n32"), "status": "failed", "reason": "why",
                                                     "ours_ms": None, "share_of_floor": None})
        self.assertIn("Not measured: conv2.forward.n32 (failed: why).", text)

    def test_the_ladder_has_both_gains(self):
        text = self.made(case("conv1.forward.n32"))
        self.assertIn("| 2 | `better` | a \\| b | 1 | 2.000 ms | 0.5 | 25 % | 5.00 | 4.00 [3.60–4.40] | 1.0e-07 |", text)
        self.assertIn("on one core: 4 times", text)

    def test_check_notices_a_page_of_other_results(self):
        self.made(case("conv1.forward.n32"))
        again = ("--check", "--page", self.page, self.results, self.ladder)
        self.assertEqual(self.script("performance_page.py", *again)[0], 0)
        self.write("2026-02-01-cpu.json", results(case("conv1.forward.n32", ratio=0.6)))
        code, _, err = self.script("performance_page.py", *again)
        self.assertEqual(code, 1)
        self.assertIn("is not what", err)

    def test_bad_input_is_one_line(self):
        self.made(case("conv1.forward.n32"))
        good = results(case("conv1.forward.n32"))
        for content, expected in [
                ("{", "x.json:1: is no JSON: "), ([], "x.json: holds no list 'cases', so it is not what was asked for"),
                (ladder(), "x.json: holds no list 'cases'"), ({**good, "commit": 3}, "x.json: has no proper 'commit'"),
                ({**good, "versions": None}, "x.json: has no proper 'versions'"),
                (results({"name": "a"}), "x.json: case 0 has no proper 'device'"), (results(3), "x.json: case 0 is no object"),
                (results(case("a", floor_ms="1")), "x.json: case 0: 'floor_ms' is neither a number nor null"),
                (results(case("a", ratio_p10=None)), "x.json: case 0, a: has a peer but no positive 'ratio_p10'")]:
            path = self.write("x.json", content)
            for script, arguments in [("performance_page.py", ("--page", self.page, path, self.ladder)),
                                      ("chart_page.py", (path, str(self.folder / "out.html"))),
                                      ("compare.py", (path, path))]:
                code, out, err = self.script(script, *arguments)
                self.assertEqual((code, out, err.count("\n")), (2, "", 1), err)
                self.assertIn(expected, err)
                self.assertTrue(err.startswith(f"{script}: "), err)
        code, _, err = self.script("performance_page.py", "--page", self.page, self.results, self.results)
        self.assertEqual(code, 2)
        self.assertIn("holds no list 'families'", err)
        bad = ladder()
        del bad["families"][0]["rungs"][1]["ms"]
        code, _, err = self.script("performance_page.py", "--page", self.page, self.results, self.write("y.json", bad))
        self.assertIn("y.json: rung 1 of gemm has no proper 'ms'", err)
        code, _, err = self.script("performance_page.py", "--page", self.page, "absent.json", self.ladder)
        self.assertEqual(err, "performance_page.py: absent.json: cannot be read: No such file or directory\n")
        page = self.write("bare.md", "nothing")
        code, _, err = self.script("performance_page.py", "--page", page, self.results, self.ladder)
        self.assertIn("bare.md: needs one <!-- begin machine --> and an <!-- end machine --> after it", err)
        code, _, err = self.script("performance_page.py", "--page", "absent.md", self.results, self.ladder)
        self.assertEqual(err, "performance_page.py: absent.md: cannot be read: No such file or directory\n")


class Targets(unittest.TestCase):
    def test_the_first_pattern_that_matches_holds(self):
        rows = targets.read()
        self.assertEqual(targets.target(rows, case("conv1.forward.n1")), (0.4, 0.15))
        self.assertEqual(targets.target(rows, case("conv1.forward.n32")), (0.12, 0.04))
        self.assertEqual(targets.target(rows, case("3x3.512@7.grad_weight.n8")), (0.5, 0.3))
        self.assertEqual(targets.target(rows, case("3x3.128@28.grad_weight.n8")), (0.95, 0.7))
        self.assertIsNone(targets.target(rows, case("tiny.conv.forward.n2")))
        for row in rows:
            self.assertLess(row["moonshot"], row["goal"], row)

    def test_bad_targets_are_named(self):
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "t.json"
            for content, expected in [([], "holds no list 'targets'"), ({"targets": [{"cases": "a", "goal": True}]},
                                                                        "target 0 has no proper 'goal'")]:
                path.write_text(json.dumps(content), encoding="utf-8")
                with self.assertRaisesRegex(rf.BadFile, expected):
                    targets.read(path)


class Charts(Folder):
    def test_a_page_has_a_chart_for_each_family_with_what_was_measured(self):
        path = self.write("a.json", results(
            case("conv1.forward.n32", ratio=0.1), case("conv1.forward.n32", "pytorch <2>", ratio=0.05),
            case("conv1.forward.n32", ratio=0.2, threads=2), alone("conv2.forward.n32"),
            case("lstm.h64t40.forward.b1", op="lstm", threads=None, cold=True, layout=None)))
        out = self.folder / "a.html"
        self.assertEqual(self.script("chart_page.py", path, str(out)), (0, "", ""))
        text = out.read_text(encoding="utf-8")
        self.assertNotRegex(text, r"(src|href)=")  # nothing from elsewhere
        charts = [xml.etree.ElementTree.fromstring(svg) for svg in re.findall(r"<svg role.*?</svg>", text, re.S)]
        self.assertEqual(len(charts), 2)
        self.assertEqual(re.findall(r"<h2>(.*?)</h2>", text), ["Convolution", "Recurrent"])
        titles = ["".join(t.itertext()) for t in charts[0].iter("title")]
        self.assertEqual(len(titles), 3)
        self.assertTrue(any("pytorch <2>" in t for t in titles))
        self.assertTrue(any("goal 0.12, met" in t for t in titles))
        self.assertEqual(len([c for c in charts[0].iter("circle") if "hollow" in c.get("class")]), 1)
        self.assertIn("no peer; 50 % of the floor", "".join(charts[0].itertext()))
        self.assertIn("2 threads", "".join(charts[0].itertext()))

    def test_a_point_lies_where_the_axis_says(self):
        scale = chart_page.Scale([0.02, 0.3])
        self.assertLess(scale.low, 0.02)
        self.assertGreater(scale.high, 1)
        self.assertAlmostEqual(scale.x(scale.low), 0)
        self.assertAlmostEqual(scale.x(scale.high), chart_page.PANEL)
        self.assertAlmostEqual(scale.x(0.2) - scale.x(0.1), scale.x(0.1) - scale.x(0.05))

    def test_wrong_usage(self):
        code, _, err = self.script("chart_page.py", "one.json")
        self.assertEqual((code, err), (2, "usage: chart_page.py RESULTS.json PAGE.html\n"))
        path = self.write("a.json", results(case("conv1.forward.n32")))
        code, _, err = self.script("chart_page.py", path, str(self.folder / "no" / "folder.html"))
        self.assertEqual(code, 1)
        self.assertIn("cannot be written: No such file or directory", err)


class Compare(Folder):
    def compared(self, before, after, *options):
        out, err = io.StringIO(), io.StringIO()
        code = compare.main([self.write("a.json", before), self.write("b.json", after), *options], out, err)
        return code, out.getvalue(), err.getvalue()

    def test_a_change_is_marked_if_the_ranges_do_not_overlap(self):
        before = results(case("conv1.forward.n32", ratio=0.5), case("conv2.forward.n32", ratio=0.5), alone("3x3.a"),
                         case("gone", ratio=1))
        after = results(case("conv1.forward.n32", ratio=0.8), case("conv2.forward.n32", ratio=0.52),
                        alone("3x3.a"), case("new", ratio=1))
        after["cases"][2]["ours_samples_ms"] = [1.0, 1.1, 1.2]
        code, out, err = self.compared(before, after)
        self.assertEqual((code, err), (0, ""))
        lines = {line.split()[0]: line for line in out.splitlines()}
        self.assertIn("1.600 [1.309..1.956]  slower  onednn 3.7", lines["conv1.forward.n32"])
        self.assertNotIn("slower", lines["conv2.forward.n32"])
        self.assertIn("faster", lines["3x3.a"])
        self.assertIn("3 compared: 1 faster, 1 slower, the others within their spread; 1 only before, 1 only after", out)
        self.assertNotIn("conv2", self.compared(before, after, "--changed")[1])
        self.assertNotIn("noisy", out)
        after["cases"][0]["noisy"] = True
        self.assertIn("onednn 3.7 (noisy)", self.compared(before, after)[1])

    def test_a_slower_machine_is_no_slower_library(self):
        before = results(case("conv1.forward.n32"))
        slow = case("conv1.forward.n32", ours_ms=20.0, peer_ms=40.0, ours_samples_ms=[18.0, 20.0, 22.0])
        code, out, _ = self.compared(before, results(slow), "--fail-above", "1.05")
        self.assertEqual(code, 0)
        self.assertIn("10.000", out)
        self.assertIn("0 slower", out)

    def test_fail_above(self):
        before, after = results(case("a", ratio=0.5)), results(case("a", ratio=0.7))
        self.assertEqual(self.compared(before, after, "--fail-above", "1.05")[0], 1)
        self.assertIn("FAILS", self.compared(before, after, "--fail-above", "1.05")[1])
        self.assertEqual(self.compared(before, after, "--fail-above", "1.5")[0], 0)
        self.assertEqual(self.compared(after, before, "--fail-above", "1.05")[0], 0)
        code, _, err = self.compared(before, after, "--fail-above", "-1")
        self.assertEqual((code, err), (2, "compare.py: --fail-above -1: must be above 0\n"))

    def test_only_the_same_is_compared(self):
        for other in [case("a", threads=2), case("a", cold=True), case("a", "onednn 3.8"), case("a", device="simt"),
                      case("b")]:
            code, _, err = self.compared(results(case("a")), results(other))
            self.assertEqual(code, 2)
            self.assertIn("have no measured case in common", err)
        code, _, err = self.compared(results(case("a"), case("a")), results(case("a")))
        self.assertIn("a.json: holds a 1t warm against onednn 3.7 twice", err)
        other = results(case("a"))
        other["machine"]["processor"] = "another"
        self.assertIn("note: another processor: a processor and another", self.compared(results(case("a")), other)[1])


if __name__ == "__main__":
    unittest.main()
