# SPDX-License-Identifier: Apache-2.0
"""fovea_bench: kernels beside cuDNN. It writes its file after each case, and so does this."""
import json
import os
import tempfile
import time

from stage import FAILED, NOT_RUN, PASSED, Running, Task, how_it_ended, tail


def read_cases(path):
    try:
        with open(path, encoding="utf-8") as file:
            return json.load(file)
    except (OSError, ValueError):
        return None


def take_over(stage, report):
    """One item a case that was reached; a peer that failed is a note, a case that failed has failed."""
    stage.figures["bench"] = report
    missed = []
    for number, case in enumerate(report.get("cases", [])):
        name = str(case.get("name", number)) + (" cold" if case.get("cold") else "")
        if case.get("status") == "not run":
            missed.append(name)
            continue
        name = name if name not in stage.items else f"{name} #{number}"
        ours, ratio = case.get("ours_ms"), case.get("ratio_median")
        passed = case.get("status") == "done" and isinstance(ours, (int, float))
        notes = [f"ours {ours:.4g} ms" if passed else str(case.get("reason") or "no time")]
        if isinstance(ratio, (int, float)):
            notes.append(f"{ratio:.3f} of {case.get('peer')}")
        if case.get("peer_error"):
            notes.append(f"peer: {case['peer_error']}")
        stage.items[name] = {"status": PASSED if passed else FAILED, "seconds": 0.0, "note": ", ".join(notes)}
    stage.figures["not_run"] = missed
    if missed:
        stage.last_words.append(f"{len(missed)} cases not run, the time was up: {', '.join(missed)}")


def run(stage, build, options):
    program = build.program("fovea_bench")
    if program is None:
        stage.done("fovea_bench", NOT_RUN, 0, "this build has no fovea_bench")
        return
    with tempfile.TemporaryDirectory() as folder:
        cases = os.path.join(folder, "cases.json")
        seconds = str(int(max(1, stage.left() - 40)))  # it ends by itself, with what it did not reach
        command = [program, "--device", options.device, "--seconds", seconds, "--json", cases]
        if options.quick:
            command.append("--quick")
        task = Task("fovea_bench", command, None, environment=build.environment)
        one = Running(task, build.root, stage.clock)
        seen, code = 0.0, None
        try:
            while code is None and stage.left() > 0:
                time.sleep(min(1.0, options.pause * 10))
                code = one.process.poll()
                changed = os.path.getmtime(cases) if os.path.exists(cases) else 0.0
                if changed != seen:
                    seen = changed
                    stage.figures["bench"] = read_cases(cases) or stage.figures.get("bench")
                    stage.write()
        finally:
            one.kill()
        report = read_cases(cases)
        if isinstance(report, dict):
            take_over(stage, report)
        seconds = stage.clock() - one.begin
        if code is None:
            stage.done("fovea_bench", NOT_RUN, seconds, "cut off: the time of this stage was up")
        else:
            stage.check("fovea_bench", code == 0 and report is not None,
                        how_it_ended(code) if report is not None else "no results: " + tail(one.output(), 3, 300),
                        seconds, log=tail(one.output()))
        stage.last_words.append(tail(one.output(), 60, 8000))
