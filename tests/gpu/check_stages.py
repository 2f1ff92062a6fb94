# SPDX-License-Identifier: Apache-2.0
"""What tests/gpu promises, with stand-ins for the programs, nvidia-smi and compute-sanitizer (fakes.py): what counts as
passed, budgets, results at any moment, exit codes, and the pack. Needs no GPU and no build."""
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import unittest

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, HERE)
sys.dont_write_bytecode = True

import machine  # noqa: E402
import pack  # noqa: E402
import rows  # noqa: E402
import sanitize_stage  # noqa: E402
import stage  # noqa: E402
import train_stage  # noqa: E402

PROGRAMS = pack.PROGRAMS


class Sandbox(unittest.TestCase):
    """A folder with a build made of stand-ins; `fake` holds their settings."""

    def setUp(self):
        self.folder = tempfile.mkdtemp()
        self.addCleanup(shutil.rmtree, self.folder, ignore_errors=True)
        self.build, self.tools, self.out = (os.path.join(self.folder, x) for x in ("build", "tools", "results"))
        os.makedirs(os.path.join(self.build, "bin"))
        os.makedirs(self.tools)
        for name in PROGRAMS:
            self.stand_in(os.path.join(self.build, "bin", name))
        for name in ("nvidia-smi", "compute-sanitizer", "ldd", "ldconfig"):
            self.stand_in(os.path.join(self.tools, name))
        self.fake = {"rows": ["conv2d", "matmul", "zeros"]}

    def stand_in(self, path):
        with open(path, "w", encoding="utf-8") as file:
            file.write(f"#!/bin/sh\nexec {sys.executable} -S -E -B {HERE}/fakes.py {os.path.basename(path)} \"$@\"\n")
        os.chmod(path, 0o755)

    def command(self, *arguments):
        return [sys.executable, "-B", os.path.join(HERE, "main.py"), "--build", self.build, "--root", self.folder,
                "--out", self.out, "--pause", "0.005", "--jobs", "4", *arguments]

    def environment(self):
        return {**os.environ, "PATH": f"{self.tools}:{os.environ['PATH']}", "FAKE": json.dumps(self.fake),
                "FAKE_CALLS": os.path.join(self.folder, "calls")}

    def run_gpu(self, *arguments):
        done = subprocess.run(self.command(*arguments), capture_output=True, encoding="utf-8", env=self.environment(),
                              timeout=60)
        self.stdout, self.stderr = done.stdout, done.stderr
        return done.returncode

    def result(self, name):
        with open(os.path.join(self.out, f"{name}.json"), encoding="utf-8") as file:
            return json.load(file)

    def status(self, name):
        return {key: item["status"] for key, item in self.result(name)["items"].items()}

    def calls(self):
        try:
            with open(os.path.join(self.folder, "calls"), encoding="utf-8") as file:
                return file.read().splitlines()
        except OSError:
            return []


class Tests(Sandbox):
    def test_all_well(self):
        self.assertEqual(self.run_gpu("tests"), 0, self.stderr)
        result = self.result("tests")
        self.assertTrue(result["passed"])
        self.assertEqual(set(self.status("tests").values()), {"passed"})
        self.assertEqual(sum(name.startswith("same training") for name in result["items"]), 10)
        self.assertEqual(result["machine"]["gpu"]["name"], "Fake GPU")
        self.assertEqual(result["machine"]["before"]["clocks.sm"], "1980")
        self.assertIn("after", result["machine"])
        self.assertEqual(result["versions"]["nvcc"], "13.0.88")
        self.assertEqual(result["build"]["id"], "abc Release")
        self.assertTrue(self.stdout.endswith("on Fake GPU\n"))
        self.assertIn("tests: PASSED", self.stdout.splitlines()[-1])
        self.assertIn("blocking", self.calls())  # CUDA_LAUNCH_BLOCKING

    def test_each_kind_of_bad_row(self):
        self.fake["rows"] = ["conv2d", "fails", "hangs", "skips", "empty", "crashes"]
        self.assertEqual(self.run_gpu("tests", "--limit", "1", "--only", "."), 1)
        self.assertEqual(self.status("tests"), {"op conv2d": "passed", "op fails": "failed", "op hangs": "failed",
                                                "op skips": "skipped", "op empty": "failed", "op crashes": "failed"})
        items = self.result("tests")["items"]
        self.assertEqual(items["op hangs"]["note"], "no end after 1 s")
        self.assertEqual(items["op empty"]["note"], "it ran no test")
        self.assertIn("SIGSEGV", items["op crashes"]["note"])
        self.assertIn("off by 1", items["op fails"]["log"])
        table = self.stdout.splitlines()
        self.assertIn("1 passed, 4 failed, 1 skipped, 0 not run", table[-1])
        self.assertTrue(table[-2].startswith("failed"))

    def test_a_skipped_row_alone_is_no_proof(self):
        self.fake["rows"] = ["conv2d", "skips"]
        self.assertEqual(self.run_gpu("tests", "--only", "."), 1)
        self.assertFalse(self.result("tests")["passed"])

    def test_unequal_trainings(self):
        self.fake["unequal"] = True
        self.assertEqual(self.run_gpu("tests"), 1)
        self.assertIn("failed", {x for name, x in self.status("tests").items() if name.startswith("same training")})

    def test_the_time_is_up(self):
        self.fake["rows"] = ["conv2d", "hangs", "hangs_too", "hangs_also", "hangs_as_well", "matmul", "zeros"]
        begin = time.monotonic()
        self.assertEqual(self.run_gpu("tests", "--seconds", "3", "--jobs", "1", "--only", "."), 1)
        self.assertLess(time.monotonic() - begin, 20)
        status = self.status("tests")
        self.assertEqual(status["op conv2d"], "passed")
        self.assertEqual([status["op hangs"], status["op zeros"]], ["not run", "not run"])
        self.assertEqual(self.result("tests")["ended_by"], "time")
        self.assertIn("cut off", self.result("tests")["items"]["op hangs"]["note"])

    def test_results_are_there_at_any_moment_and_a_signal_ends_all(self):
        self.fake["rows"] = ["conv2d", "hangs"]
        process = subprocess.Popen(self.command("tests", "--jobs", "1", "--only", "."), env=self.environment(),
                                   stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        deadline = time.monotonic() + 30
        while time.monotonic() < deadline:
            try:
                if self.status("tests").get("op conv2d") == "passed" and "hanging" in " ".join(self.calls()):
                    break
            except OSError:
                pass
            time.sleep(0.02)
        result = self.result("tests")
        self.assertEqual([result["ended_by"], result["passed"]], [None, False])
        self.assertEqual(self.status("tests")["op hangs"], "not run")
        process.send_signal(signal.SIGTERM)
        self.assertEqual(process.wait(20), 143)
        self.assertEqual(self.result("tests")["ended_by"], "signal 15")
        number = int(next(x for x in self.calls() if x.startswith("hanging")).split()[1])
        self.assertFalse(os.path.exists(f"/proc/{number}"))

    def test_no_gpu_claims_nothing(self):
        self.fake["no_gpu"] = True
        self.assertEqual(self.run_gpu("tests"), 1)
        self.assertIn("nothing was run: cuda is not there: no NVIDIA GPU", self.stderr)
        self.assertFalse(os.path.exists(self.out))

    def test_no_cublas_says_where_it_looked(self):
        self.fake["needs"] = "libcublas.so.13"
        self.fake["libraries"] = os.path.join(self.folder, "elsewhere")
        os.makedirs(self.fake["libraries"])
        self.assertEqual(self.run_gpu("tests"), 1)
        self.assertIn("do not start without libcublas.so.13; searched ", self.stderr)

    def test_cublas_is_found(self):
        folder = os.path.join(self.folder, "site-packages")
        self.fake.update(needs="libcublas.so.13", libraries=folder)
        os.makedirs(folder)
        open(os.path.join(folder, "libcublas.so.13"), "w").close()
        self.fake["ldconfig"] = f"\tlibcublas.so.13 (libc6,x86-64) => {folder}/libcublas.so.13"
        self.assertEqual(self.run_gpu("tests", "--only", "."), 0, self.stderr)

    def test_wrong_usage(self):
        self.assertEqual(self.run_gpu("sanitise"), 2)
        self.assertIn("unknown stage 'sanitise'; nearest is 'sanitize'", self.stderr)
        self.assertEqual(self.run_gpu("bench", "--device", "cpu"), 2)
        self.assertIn("stage bench runs on a GPU only, not on cpu", self.stderr)
        self.assertEqual(self.run_gpu("tests", "--fast"), 2)
        shutil.rmtree(os.path.join(self.build, "bin"))
        self.assertEqual(self.run_gpu("tests"), 1)
        self.assertIn("there is no build in", self.stderr)

    def test_exec(self):
        command = self.command("exec", "fovea", "doctor", "--json")
        del command[7:-4]  # --out and what follows
        done = subprocess.run(command, capture_output=True, encoding="utf-8", env=self.environment())
        self.assertEqual(json.loads(done.stdout)["build"]["id"], "abc Release", done.stderr)


class Sanitize(Sandbox):
    def test_all_well_and_in_order(self):
        self.assertEqual(self.run_gpu("sanitize", "--jobs", "1"), 0, self.stderr)
        order = [x.split()[1:] for x in self.calls() if x.startswith("sanitizer")]
        self.assertEqual(order[:3], [["memcheck", "conv2d"], ["memcheck", "matmul"], ["racecheck", "conv2d"]])
        self.assertEqual(len(order), 12)
        self.assertEqual(self.result("sanitize")["figures"]["racecheck"], {"rows": 3, "rows_run": 3, "errors": 0})
        self.assertIn("memcheck: 3 of 3 rows run, 0 errors", self.stdout)

    def test_errors_are_counted_and_the_first_is_kept(self):
        self.fake.update(rows=["conv2d", "matmul"], bad={"memcheck": "matmul", "racecheck": "conv2d"})
        self.assertEqual(self.run_gpu("sanitize"), 1)
        items = self.result("sanitize")["items"]
        self.assertEqual(items["memcheck matmul"]["errors"], 3)
        self.assertIn("Invalid __global__ write", items["memcheck matmul"]["first_error"])
        self.assertIn("kernels/cuda/matmul.cu:12", items["memcheck matmul"]["first_error"])
        self.assertNotIn("/home/builder", items["memcheck matmul"]["first_error"])
        self.assertEqual(items["racecheck conv2d"]["errors"], 2)
        self.assertEqual(items["memcheck conv2d"]["status"], "passed")
        self.assertIn("memcheck: 2 of 2 rows run, 3 errors", self.stdout)

    def test_a_tool_that_breaks_off_proves_nothing(self):
        self.fake["broken_tool"] = True
        self.assertEqual(self.run_gpu("sanitize"), 1)
        self.assertEqual(set(self.status("sanitize").values()), {"failed"})

    def test_go_on_with_what_has_not_passed(self):
        self.fake["bad"] = {"memcheck": "matmul"}
        self.assertEqual(self.run_gpu("sanitize"), 1)
        os.remove(os.path.join(self.folder, "calls"))
        del self.fake["bad"]
        self.assertEqual(self.run_gpu("sanitize", "--continue"), 0)
        self.assertEqual([x for x in self.calls() if x.startswith("sanitizer")], ["sanitizer memcheck matmul"])
        self.assertEqual(len(self.status("sanitize")), 12)
        self.fake["build"] = "def Release"  # another build has passed nothing yet
        os.remove(os.path.join(self.folder, "calls"))
        self.assertEqual(self.run_gpu("sanitize", "--continue"), 0)
        self.assertEqual(sum(x.startswith("sanitizer") for x in self.calls()), 12)

    def test_no_sanitizer(self):
        os.remove(os.path.join(self.tools, "compute-sanitizer"))
        found = sanitize_stage.find_sanitizer()
        if found is None:
            self.assertEqual(self.run_gpu("sanitize"), 1)
            self.assertEqual(self.status("sanitize"), {"compute-sanitizer": "not run"})


class Train(Sandbox):
    def test_all_well(self):
        self.assertEqual(self.run_gpu("train", "--steps", "30"), 0, self.stdout + self.stderr)
        status = self.status("train")
        for name in ("loss of step 1", "losses of steps 1 to 20", "killed", "killed and resumed", "graph on and off",
                     "resumed on the cpu", "resumed from the cpu", "math tf32", "math bf16"):
            self.assertEqual(status[name], "passed", name)
        self.assertEqual(set(self.result("train")["figures"]["steps_per_second"]), {"cuda", "cpu"})

    def test_losses_that_are_too_far_off(self):
        self.fake["off"] = 2e-5
        self.assertEqual(self.run_gpu("train", "--steps", "30"), 1)
        status = self.status("train")
        self.assertEqual([status["loss of step 1"], status["losses of steps 1 to 20"]], ["failed", "passed"])
        self.fake["off"] = 2e-3
        self.assertEqual(self.run_gpu("train", "--steps", "30"), 1)
        self.assertEqual(self.status("train")["losses of steps 1 to 20"], "failed")

    def test_other_bits(self):
        self.fake.update(unequal=True, keys="train.graph = auto")
        self.assertEqual(self.run_gpu("train", "--steps", "30"), 1)
        status = self.status("train")
        self.assertEqual([status["graph on and off"], status["killed and resumed"]], ["failed", "failed"])
        self.assertNotIn("math tf32", status)
        self.assertIn("this build has no key train.math", self.stdout)

    def test_no_warning(self):
        self.fake.update(silent=True)
        self.assertEqual(self.run_gpu("train", "--steps", "30"), 1)
        self.assertEqual(self.status("train")["resumed on the cpu"], "failed")

    def test_training_that_fails(self):
        self.fake["train_fails"] = True
        self.assertEqual(self.run_gpu("train"), 1)
        self.assertEqual(self.status("train")["device"], "failed")
        self.assertIn("error: out of memory", self.result("train")["items"]["device"]["note"])
        self.assertEqual(self.status("train")["killed and resumed"], "not run")


class Bench(Sandbox):
    def test_absent(self):
        self.assertEqual(self.run_gpu("bench"), 1)
        self.assertIn("this build has no fovea_bench", self.stdout)

    def test_all_well_and_a_peer_that_fails(self):
        self.stand_in(os.path.join(self.build, "bin", "fovea_bench"))
        self.assertEqual(self.run_gpu("bench", "--seconds", "60"), 0, self.stdout + self.stderr)
        self.assertEqual(self.status("bench"), {"conv": "passed", "pool": "passed", "fovea_bench": "passed"})
        self.assertIn("0.800 of cuDNN", self.result("bench")["items"]["conv"]["note"])
        self.assertIn("peer: no engine", self.result("bench")["items"]["pool"]["note"])
        self.assertEqual(self.result("bench")["figures"]["bench"]["math_mode"], "fp32")
        self.assertIn("1 cases not run, the time was up: lstm", self.stdout)

    def test_broken_off(self):
        self.stand_in(os.path.join(self.build, "bin", "fovea_bench"))
        self.fake["bench_hangs"] = True
        self.assertEqual(self.run_gpu("bench", "--seconds", "3"), 1)
        self.assertEqual(self.status("bench"), {"conv": "passed", "fovea_bench": "not run"})


class All(Sandbox):
    def test_eight_files_at_most(self):
        self.stand_in(os.path.join(self.build, "bin", "fovea_bench"))
        self.assertEqual(self.run_gpu("all", "--steps", "30", "--seconds", "100"), 0, self.stdout + self.stderr)
        self.assertEqual(sorted(os.listdir(self.out)), sorted(
            f"{name}.{kind}" for name in ("tests", "sanitize", "train", "bench") for kind in ("json", "txt")))


class Words(unittest.TestCase):
    def test_what_a_sanitizer_says(self):
        count = sanitize_stage.count_errors
        self.assertEqual(count("========= ERROR SUMMARY: 0 errors"), 0)
        self.assertEqual(count("========= ERROR SUMMARY: 1 error"), 1)
        self.assertEqual(count("========= RACECHECK SUMMARY: 4 hazards displayed (4 errors, 0 warnings)"), 4)
        self.assertIsNone(count("========= COMPUTE-SANITIZER"))

    def test_what_a_test_program_says(self):
        text = ("[doctest] test cases:  1 |  1 passed | 0 failed | 9 skipped\n"
                "[doctest] assertions: 7 | 7 passed | 0 failed |\n")
        self.assertEqual(stage.doctest_verdict(0, text), ("passed", "7 checks"))
        self.assertEqual(stage.doctest_verdict(0, text.replace("7", "0")),
                         ("skipped", "it checks nothing on this device"))
        self.assertEqual(stage.doctest_verdict(0, text.replace("1", "0")), ("failed", "it ran no test"))
        self.assertEqual(stage.doctest_verdict(0, "")[0], "failed")
        self.assertEqual(stage.doctest_verdict(1, text)[0], "failed")
        self.assertEqual(stage.doctest_verdict(77, "skipped: no GPU"), ("skipped", "skipped: no GPU"))

    def test_relative_differences(self):
        self.assertEqual(train_stage.differences({1: 2.0, 2: 4.0, 3: 1.0}, {1: 2.0, 2: 5.0}), {1: 0.0, 2: 0.2})

    def test_rows_that_matter_come_first(self):
        self.assertEqual(sorted(["zeros", "lstm", "conv2d_groups", "matmul"], key=rows.rank),
                         ["conv2d_groups", "matmul", "lstm", "zeros"])


class Pack(unittest.TestCase):
    """Of programs that are copies of `true`: libraries, refusals, and nothing half-written."""

    def setUp(self):
        self.folder = tempfile.mkdtemp()
        self.addCleanup(shutil.rmtree, self.folder, ignore_errors=True)
        self.source, build = os.path.join(self.folder, "source"), os.path.join(self.folder, "build")
        for name in ("tests/golden", "tests/gpu", "docs"):
            os.makedirs(os.path.join(self.source, name))
        for name in ("tests/golden/a.txt", "docs/GPU.md", "LICENSE", "tests/gpu/main.py", "tests/gpu/run-gpu"):
            with open(os.path.join(self.source, name), "w", encoding="utf-8") as file:
                file.write("text\n")
        os.makedirs(build)
        for name in pack.PROGRAMS:
            shutil.copy(shutil.which("true"), os.path.join(build, name))
        self.build, self.target = machine.Build(build, self.source), os.path.join(self.folder, "out/pack")
        os.makedirs(os.path.dirname(self.target))

    def refusal(self):
        with self.assertRaises(pack.PackError) as caught:
            pack.make(self.build, self.source, self.target)
        self.assertEqual([x for x in os.listdir(os.path.dirname(self.target)) if x.endswith(".new")], [])
        return str(caught.exception)

    def test_made_and_made_again(self):
        facts = pack.make(self.build, self.source, self.target)
        self.assertTrue(pack.is_pack(self.target))
        self.assertIn("bin/fovea_ops", [x["path"] for x in facts["files"]])
        self.assertFalse(any("libc.so" in x["path"] for x in facts["files"]))
        open(os.path.join(self.target, "old"), "w").close()
        pack.make(self.build, self.source, self.target)
        self.assertFalse(os.path.exists(os.path.join(self.target, "old")))

    def test_refuses_what_is_not_its_own(self):
        os.makedirs(self.target)
        open(os.path.join(self.target, "precious"), "w").close()
        self.assertIn("is neither empty nor a pack", self.refusal())
        self.assertEqual(os.listdir(self.target), ["precious"])
        shutil.rmtree(self.target)
        open(self.target, "w").close()
        self.assertIn("is not a folder", self.refusal())

    def test_refuses_to_be_incomplete_or_large(self):
        os.remove(os.path.join(self.build.folder, "fovea_ops"))
        self.assertIn("has no program fovea_ops", self.refusal())
        shutil.copy(shutil.which("true"), os.path.join(self.build.folder, "fovea_ops"))
        with open(os.path.join(self.source, "tests/golden/large.txt"), "wb") as file:
            file.truncate(51 * 10**6)
        self.assertIn("MB, more than 50; the largest: tests/golden/large.txt 51.0", self.refusal())
        self.assertFalse(os.path.exists(self.target))


if __name__ == "__main__":
    unittest.main()
