# SPDX-License-Identifier: Apache-2.0
"""One stage: items that pass, fail, are skipped or are not reached in time, and the two files that tell of them."""
import datetime
import json
import os
import re
import signal
import subprocess
import sys
import tempfile
import time

PASSED, FAILED, SKIPPED, NOT_RUN = "passed", "failed", "skipped", "not run"
ORDER = [PASSED, SKIPPED, NOT_RUN, FAILED]  # in the table: what matters most comes last


class Interrupted(Exception):
    """SIGINT or SIGTERM: what is there gets written, then the program ends with 130 or 143."""


def write_file(path, text):
    """Whole or not at all."""
    temporary = f"{path}.{os.getpid()}.tmp"
    try:
        with open(temporary, "w", encoding="utf-8") as file:
            file.write(text)
        os.replace(temporary, path)
    except BaseException:
        if os.path.exists(temporary):
            os.remove(temporary)
        raise


def tail(text, lines=30, characters=4000):
    return "\n".join(text.strip().splitlines()[-lines:])[-characters:]


class Stage:
    """Writes OUT/NAME.json and OUT/NAME.txt at the start and after each item."""

    def __init__(self, name, out, facts, seconds, clock=time.monotonic):
        self.name, self.out, self.facts, self.seconds, self.clock = name, out, facts, seconds, clock
        self.begin = clock()
        self.started = datetime.datetime.now(datetime.timezone.utc).isoformat(timespec="seconds")
        self.items, self.figures, self.last_words = {}, {}, []
        self.ended_by = None  # still running
        os.makedirs(out, exist_ok=True)

    def keep(self, previous):
        """Takes over what an earlier run of the same build on the same GPU has passed."""
        same = all(previous.get(key) == self.facts[key] for key in ("build", "versions"))
        same = same and previous.get("machine", {}).get("gpu") == self.facts["machine"].get("gpu")
        for name, item in previous.get("items", {}).items() if same else ():
            if item["status"] == PASSED:
                self.items[name] = {**item, "kept": True}

    def is_kept(self, name):
        return self.items.get(name, {}).get("kept", False)

    def elapsed(self):
        return self.clock() - self.begin

    def left(self):
        return self.seconds - self.elapsed()

    def expect(self, names):
        """Names what this stage will run; until it has, it is `not run`."""
        for name in names:
            self.items.setdefault(name, {"status": NOT_RUN, "seconds": 0.0, "note": ""})
        self.write()

    def done(self, name, status, seconds=0.0, note="", **more):
        self.items[name] = {"status": status, "seconds": round(seconds, 3), "note": note, **more}
        self.write()
        return status == PASSED

    def check(self, name, condition, note="", seconds=0.0, **more):
        return self.done(name, PASSED if condition else FAILED, seconds, note, **more)

    def count(self, status):
        return sum(1 for item in self.items.values() if item["status"] == status)

    def passed(self):
        """All items ran and passed; an empty stage has proved nothing."""
        return self.count(PASSED) == len(self.items) > 0

    def summary(self):
        counts = ", ".join(f"{self.count(status)} {status}" for status in (PASSED, FAILED, SKIPPED, NOT_RUN))
        verdict = "running" if self.ended_by is None else "PASSED" if self.passed() else "NOT PASSED"
        machine = self.facts["machine"]
        where = machine.get("gpu", {}).get("name") or machine.get("description") or machine["device"]
        return f"{self.name}: {verdict}: {counts}; {self.elapsed():.0f} s on {where}"

    def write(self):
        head = {"stage": self.name, "passed": self.ended_by is not None and self.passed(), "ended_by": self.ended_by,
                "started": self.started, "seconds": round(self.elapsed(), 1), "budget_s": self.seconds}
        body = {**head, **self.facts, "figures": self.figures, "items": self.items}
        write_file(os.path.join(self.out, f"{self.name}.json"), json.dumps(body, indent=1) + "\n")
        write_file(os.path.join(self.out, f"{self.name}.txt"), self.table())

    def table(self):
        build, versions = self.facts["build"], self.facts["versions"]
        lines = [f"fovea {build.get('id', '?')}, CUDA {versions.get('cuda_runtime')}, "
                 f"cuBLAS {versions.get('cublas')}, cuDNN {versions.get('cudnn')}, started {self.started}"]
        for status in ORDER:
            for name, item in self.items.items():
                if item["status"] == status:
                    lines.append(f"{status:8} {item['seconds']:7.1f} s  {name}  {item['note']}".rstrip())
        return "\n".join(lines + self.last_words + [self.summary()]) + "\n"

    def finish(self, ended_by="all done"):
        """Writes the end; returns the exit code."""
        self.ended_by = ended_by
        self.write()
        return 0 if self.passed() else 1


class Task:
    """A process of a stage. `judge(code, output)` gives (status, note) or (status, note, more)."""

    def __init__(self, name, command, judge, limit=120.0, environment=None):
        self.name, self.command, self.judge, self.limit, self.environment = name, command, judge, limit, environment


class Running:
    def __init__(self, task, root, clock):
        self.task, self.begin = task, clock()
        self.log = tempfile.TemporaryFile()
        self.process = subprocess.Popen(task.command, stdout=self.log, stderr=subprocess.STDOUT, cwd=root,
                                        stdin=subprocess.DEVNULL, env=task.environment, start_new_session=True)

    def kill(self):
        if self.process.poll() is None:  # else its number may be another's by now
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()

    def output(self):
        self.log.seek(0)
        return self.log.read().decode("utf-8", "replace")


def run_all(stage, tasks, jobs, root, pause=0.02):
    """Runs tasks, `jobs` at a time, in their order, as long as the stage has time. One that takes longer than its limit
    has failed; one that the end of the stage cuts off was not run."""
    stage.expect([task.name for task in tasks])
    waiting, running = list(tasks), []
    try:
        while waiting or running:
            while waiting and len(running) < jobs and stage.left() > 0:
                task = waiting.pop(0)
                try:
                    running.append(Running(task, root, stage.clock))
                except OSError as error:
                    stage.done(task.name, FAILED, 0, f"{task.command[0]}: {error.strerror}")
            for one in list(running):
                finish_one(stage, one, running)
            if stage.left() <= 0:
                return
            time.sleep(pause)
    finally:
        for one in running:
            one.kill()
            seconds = stage.clock() - one.begin
            stage.done(one.task.name, NOT_RUN, seconds, "cut off: the time of this stage was up")


def finish_one(stage, one, running):
    seconds = stage.clock() - one.begin
    code = one.process.poll()
    if code is None and seconds < one.task.limit:
        return
    running.remove(one)
    if code is None:
        one.kill()
        stage.done(one.task.name, FAILED, seconds, f"no end after {one.task.limit:.0f} s", log=tail(one.output()))
        return
    text = one.output()
    status, note, *more = one.task.judge(code, text)
    details = more[0] if more else {}
    if status == FAILED:
        details = {"exit_code": code, "log": tail(text), **details}
    stage.done(one.task.name, status, seconds, note, **details)


def how_it_ended(code):
    if code >= 0:
        return f"exit code {code}"
    try:
        return f"killed by {signal.Signals(-code).name}"
    except ValueError:
        return f"killed by signal {-code}"


def doctest_verdict(code, text):
    """Of a test program: passed only if it says itself that it ran cases and checked something."""
    if code == 77:
        return SKIPPED, first_line(text, "skipped") or "the program says that there is no such device"
    cases = re.search(r"test cases:\s*(\d+)\s*\|\s*(\d+) passed\s*\|\s*(\d+) failed", text)
    asserts = re.search(r"assertions:\s*(\d+)\s*\|\s*(\d+) passed", text)
    if code != 0:
        return FAILED, first_line(text, "ERROR") or how_it_ended(code)
    if not cases or not asserts or int(cases[2]) == 0:
        return FAILED, "it ran no test"
    if int(asserts[2]) == 0:
        return SKIPPED, "it checks nothing on this device"
    return PASSED, f"{cases[2]} cases, {asserts[2]} checks" if int(cases[2]) > 1 else f"{asserts[2]} checks"


def first_line(text, word):
    for line in text.splitlines():
        if word in line:
            return line.strip()[:200]
    return ""


def on_signals():
    """SIGINT and SIGTERM become Interrupted, so that results are written and children ended."""
    def stop(number, _):
        raise Interrupted(number)

    signal.signal(signal.SIGINT, stop)
    signal.signal(signal.SIGTERM, stop)


def say(text):
    print(text, file=sys.stderr, flush=True)
