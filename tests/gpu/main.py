# SPDX-License-Identifier: Apache-2.0
"""main.py STAGE [options]: proves a build on this machine's GPU. `./run gpu` and `run-gpu` of a pack call it.

Exit code 0 if everything that was to pass has passed, 1 if not, 2 for wrong usage, 130 and 143 when interrupted."""
import argparse
import difflib
import json
import os
import sys

import bench_stage
import machine
import sanitize_stage
import tests_stage
import train_stage
from stage import Interrupted, Stage, on_signals, say

STAGES = {"tests": tests_stage, "sanitize": sanitize_stage, "train": train_stage, "bench": bench_stage}


def fail(text, hint, code=1):
    say(f"error: {text}")
    say(f"hint: {hint}")
    sys.exit(code)


def options_of(arguments):
    parser = argparse.ArgumentParser(prog="./run gpu", allow_abbrev=False,
                                     description="Proves the build on a GPU; docs/GPU.md says what each stage means.")
    parser.add_argument("stage", metavar="STAGE", help="tests, sanitize, train, bench, all; exec PROGRAM ARGS… runs "
                        "one program of the build with CUDA's libraries on its path")
    parser.add_argument("--out", default="gpu-results", help="folder of the results (default: gpu-results)")
    parser.add_argument("--seconds", type=float, default=440, help="time of each stage (default: 440)")
    parser.add_argument("--jobs", type=int, default=0, help="processes at once (default: the cores, at most 16)")
    parser.add_argument("--device", default="cuda", choices=["cuda", "simt", "cpu"], help="default: cuda; the others "
                        "try the stages tests and train themselves")
    parser.add_argument("--only", default="", help="of tests and sanitize: op rows that this regular expression finds")
    parser.add_argument("--continue", dest="go_on", action="store_true", help="of tests and sanitize: run only what "
                        "the results in --out do not show as passed by this build on this GPU")
    parser.add_argument("--steps", type=int, default=0, help="of tests and train: steps of a training")
    parser.add_argument("--quick", action="store_true", help="of bench: the most telling cases, few rounds")
    parser.add_argument("--build", default="build/gpu", help=argparse.SUPPRESS)
    parser.add_argument("--root", default=".", help=argparse.SUPPRESS)
    parser.add_argument("--sanitizer", default="", help=argparse.SUPPRESS)
    parser.add_argument("--limit", type=float, default=240, help=argparse.SUPPRESS)
    parser.add_argument("--pause", type=float, default=0.02, help=argparse.SUPPRESS)
    options = parser.parse_args(arguments)
    options.jobs = options.jobs or min(16, len(os.sched_getaffinity(0)))
    if options.stage not in [*STAGES, "all"]:
        nearest = difflib.get_close_matches(options.stage, [*STAGES, "all", "exec", "pack"], 1, 0)
        fail(f"unknown stage '{options.stage}'; nearest is '{nearest[0]}'",
             "the stages are tests, sanitize, train, bench, all", 2)
    if options.device != "cuda" and options.stage not in ("tests", "train"):
        fail(f"stage {options.stage} runs on a GPU only, not on {options.device}",
             "the stages tests and train run there", 2)
    return options


def previous_results(path):
    try:
        with open(path, encoding="utf-8") as file:
            return json.load(file)
    except (OSError, ValueError):
        return {}


def run_stage(name, build, options):
    facts = machine.facts(build, options.device)
    previous = previous_results(os.path.join(options.out, f"{name}.json")) if options.go_on else {}
    stage = Stage(name, options.out, facts, options.seconds)
    stage.keep(previous)
    ended_by, code = "all done", None
    try:
        stage.write()
        STAGES[name].run(stage, build, options)
        if stage.left() <= 0:
            ended_by = "time"
    except Interrupted as signal_:
        ended_by, code = f"signal {signal_.args[0]}", 128 + signal_.args[0]
    except RuntimeError as error:
        stage.done("start", "failed", 0, str(error))
    if options.device == "cuda":
        facts["machine"]["after"] = machine.ask_gpu(machine.MOVING)
    result = stage.finish(ended_by)
    print(stage.table(), end="", flush=True)
    if code is not None:
        sys.exit(code)
    return result


def execute(build, arguments):
    """One program of the build, in place of this one."""
    missing = build.find_libraries()
    program = build.program(arguments[0]) if arguments else None
    if program is None:
        fail(f"no program '{' '.join(arguments[:1])}' in {build.folder}", "run-gpu exec fovea doctor", 2)
    if missing:
        say(f"warning: not found: {', '.join(missing)}; searched {', '.join(build.searched)}")
    os.execve(program, [program, *arguments[1:]], build.environment)


def main(arguments):
    if "exec" in arguments[:5]:  # after --build and --root
        at = arguments.index("exec")
        hidden = dict(zip(arguments[:at:2], arguments[1:at:2]))
        execute(machine.Build(hidden.get("--build", "build/gpu"), hidden.get("--root", ".")), arguments[at + 1:])
    options = options_of(arguments)
    build = machine.Build(options.build, options.root)
    if build.program("fovea") is None:
        fail(f"there is no build in {build.folder}", "./run gpu tests builds it where nvcc is on PATH")
    reason = machine.why_no_device(build, options.device)
    if reason:
        fail(f"nothing was run: {options.device} is not there: {reason}", "fovea doctor says what is missing")
    on_signals()
    stages = list(STAGES) if options.stage == "all" else [options.stage]
    return max([run_stage(name, build, options) for name in stages])


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
