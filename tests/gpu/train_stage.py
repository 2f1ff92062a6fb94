# SPDX-License-Identifier: Apache-2.0
"""Deep Retina trained on the device and on the cpu, side by side; graph on and off; resumed across; killed.

The limits below were fixed before any run on a GPU."""
import json
import os
import signal
import tempfile
import time

from stage import FAILED, PASSED, Running, Task, first_line, how_it_ended, run_all, tail
from tests_stage import checkpoint, training

FIRST_STEP_LIMIT = 1e-5  # |loss - loss of the cpu| / loss of the cpu
EARLY_STEPS, EARLY_LIMIT = 20, 1e-3  # later steps are reported: rounding grows as training goes on

STEPS = {"cuda": 100, "cpu": 40, "simt": 3}
RATE_STEPS = {"cuda": (100, 1100), "cpu": (10, 40), "simt": (1, 2)}  # two runs; the difference has no start-up in it
EVERY = {"cuda": 10, "cpu": 10, "simt": 1}  # steps between checkpoints


def losses(folder):
    """{step: loss} of a run."""
    found = {}
    try:
        with open(os.path.join(folder, "metrics.jsonl"), encoding="utf-8") as file:
            for line in file:
                row = json.loads(line)
                if "loss" in row:
                    found[row["step"]] = row["loss"]
    except (OSError, ValueError):
        pass
    return found


def summary(folder):
    try:
        with open(os.path.join(folder, "summary.json"), encoding="utf-8") as file:
            return json.load(file)
    except (OSError, ValueError):
        return {}


def differences(ours, reference):
    """Relative difference of the loss at each step that both have."""
    return {step: abs(ours[step] - reference[step]) / max(abs(reference[step]), 1e-30)
            for step in sorted(ours) if step in reference}


class Training:
    """The items of this stage; each run has a folder of its own."""

    def __init__(self, stage, build, options, folder):
        self.stage, self.build, self.options, self.folder = stage, build, options, folder
        self.device = options.device
        self.steps = options.steps or STEPS[self.device]
        self.every = EVERY[self.device] if self.steps > EVERY[self.device] else 1
        self.recording = os.path.join(folder, "recording.safetensors")
        self.keys = build.run("fovea", "train", "deep-retina", "--keys")[1]

    def out(self, name):
        return os.path.join(self.folder, name)

    def has(self, key):
        return key in self.keys

    def run(self, name, command, judge):
        task = Task(name, command, judge, self.options.limit, self.build.environment)
        run_all(self.stage, [task], 1, self.build.root, self.options.pause)
        return self.stage.items[name]["status"] == PASSED

    def report(self, text):
        self.stage.last_words.append(text)

    def record(self):
        """Data for all runs: a simulated recording; the tests' tiny one where the device is no GPU."""
        if self.device == "cuda":
            command = [self.build.program("fovea"), "data", "retina", "--stimulus", "dead-leaves", "--minutes", "1",
                       "--seed", "7", "--out", self.recording]
        else:
            command = [self.build.program("fovea_tiny_recording"), self.recording]
        return self.run("recording", command, lambda code, text: (PASSED, "") if code == 0 else
                        (FAILED, tail(text, 2, 300) or how_it_ended(code)))

    def train(self, name, device, steps, *more, out=None, settings=()):
        """One run as an item; returns whether it ended well."""
        out = out or self.out(name)
        settings = (f"train.checkpoint_every={self.every}", *settings)
        seen = {}

        def judge(code, text):
            seen["text"] = text
            if code != 0:
                return FAILED, first_line(text, "error") or how_it_ended(code)
            return PASSED, f"{steps} steps, last loss {losses(out).get(steps)}"

        command = training(self.build, device, self.recording, out, steps, settings) + list(more)
        passed = self.run(name, command, judge)
        self.text = seen.get("text", "")
        return passed

    def compare(self):
        """Losses beside the cpu's, step by step."""
        apart = differences(losses(self.out("device")), losses(self.out("cpu")))
        early = {step: value for step, value in apart.items() if step <= EARLY_STEPS}
        later = {step: value for step, value in apart.items() if step > EARLY_STEPS}
        self.stage.figures["loss_relative_difference"] = apart
        self.stage.figures["limits"] = {"step 1": FIRST_STEP_LIMIT, f"steps 1 to {EARLY_STEPS}": EARLY_LIMIT}
        whole = len(early) == min(EARLY_STEPS, self.steps)
        first = apart.get(1)
        self.stage.check("loss of step 1", first is not None and first <= FIRST_STEP_LIMIT,
                         f"off by {first} of the cpu's, limit {FIRST_STEP_LIMIT:g}")
        self.stage.check(f"losses of steps 1 to {min(EARLY_STEPS, self.steps)}",
                         whole and all(value <= EARLY_LIMIT for value in early.values()),
                         f"off by at most {max(early.values(), default=None)}, limit {EARLY_LIMIT:g}")
        if later:
            self.report(f"losses after step {EARLY_STEPS}: off by up to {max(later.values())} of the cpu's (no limit)")

    def same_bits(self, name, one, other, steps=None):
        """Equal losses at each step and equal bytes of the last checkpoint."""
        steps = steps or self.steps
        a, b = losses(self.out(one)), losses(self.out(other))
        sums = checkpoint(self.out(one), steps), checkpoint(self.out(other), steps)
        self.stage.check(name, len(a) == steps and a == b and sums[0] is not None and sums[0] == sums[1],
                         f"{sum(a.get(x) != b.get(x) for x in a)} of {len(a)} losses differ, "
                         f"checkpoints {str(sums[0])[:12]} {str(sums[1])[:12]}")

    def graph(self):
        """A step as one CUDA graph and as single launches: no bit may differ."""
        if self.device == "cpu":  # has no graphs
            return
        good = [self.train(f"graph {x}", self.device, self.steps, settings=[f"train.graph={x}"]) for x in ("on", "off")]
        if all(good):
            self.same_bits("graph on and off", "graph on", "graph off")

    def across(self, name, first, second):
        """Begun on one device and gone on with on the other, which must warn."""
        half = max(1, self.steps // 2)
        if not self.train(f"{name}: begun", first, half, out=self.out(name)):
            return
        if self.train(name, second, self.steps, "--resume", out=self.out(name)):
            warned = "may differ" in self.text
            reached = losses(self.out(name)).get(self.steps) is not None
            if first != second:
                self.stage.check(name, warned and reached, first_line(self.text, "warning") or "no warning was given")

    def killed(self):
        """kill -9 in the middle, then --resume: the bits of the unbroken run."""
        name, out = "killed and resumed", self.out("killed")
        half = max(1, self.steps // 2)
        command = training(self.build, self.device, self.recording, out, self.steps,
                           [f"train.checkpoint_every={self.every}"])
        task = Task("killed", command, None, environment=self.build.environment)
        one = Running(task, self.build.root, self.stage.clock)
        try:
            while one.process.poll() is None and len(losses(out)) < half and self.stage.left() > 0:
                time.sleep(0.002)
        finally:
            one.kill()
        struck = one.process.returncode == -signal.SIGKILL
        self.stage.check("killed", struck, f"after step {max(losses(out), default=0)}" if struck else
                         "it ended before it was killed: " + tail(one.output(), 2, 300), self.stage.clock() - one.begin)
        if not struck:
            return
        if self.train(name, self.device, self.steps, "--resume", out=out):
            self.same_bits(name, "device", "killed")

    def rates(self):
        """Steps per second of each device, from the difference of two runs."""
        for device in dict.fromkeys([self.device, "cpu"]):
            seconds = []
            for steps in RATE_STEPS[device]:
                name = f"rate of {device}, {steps} steps"
                quiet = ["train.log_every=1000000", "train.checkpoint_every=0", "train.eval_every=0", "train.batch=64"]
                if self.train(name, device, steps, settings=quiet):
                    seconds.append(summary(self.out(name)).get("seconds"))
            if len(seconds) == 2 and all(seconds) and seconds[1] > seconds[0]:
                rate = (RATE_STEPS[device][1] - RATE_STEPS[device][0]) / (seconds[1] - seconds[0])
                self.stage.figures.setdefault("steps_per_second", {})[device] = rate
                self.report(f"{device}: {rate:.3g} steps of 64 a second")

    def math(self):
        """Losses in other arithmetic, reported only."""
        if self.device == "cpu":
            return
        if not self.has("train.math"):
            self.report("tf32, bf16: not compared, this build has no key train.math")
            return
        for math in ("tf32", "bf16"):
            if self.train(f"math {math}", self.device, self.steps, settings=[f"train.math={math}"]):
                apart = differences(losses(self.out(f"math {math}")), losses(self.out("device")))
                self.stage.figures[f"loss_relative_difference_{math}"] = apart
                self.report(f"{math}: losses off by at most {max(apart.values())} of fp32's (no limit)")


def run(stage, build, options):
    with tempfile.TemporaryDirectory() as folder:
        one = Training(stage, build, options, folder)
        stage.expect(["recording", "device", "cpu", "loss of step 1", "killed and resumed", "resumed on the cpu",
                      "resumed from the cpu"])
        if one.record() and one.train("device", options.device, one.steps) and one.train("cpu", "cpu", one.steps):
            one.compare()
            one.killed()
            one.graph()
            one.across("resumed on the cpu", options.device, "cpu")
            one.across("resumed from the cpu", "cpu", options.device)
            one.math()
            one.rates()
