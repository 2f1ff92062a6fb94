# SPDX-License-Identifier: Apache-2.0
"""compute-sanitizer over the op rows: one process for each tool and row."""
import glob
import re
import shutil

import rows
from stage import FAILED, NOT_RUN, PASSED, SKIPPED, Task, doctest_verdict, first_line, run_all, tail

TOOLS = ["memcheck", "racecheck", "initcheck", "synccheck"]


def find_sanitizer():
    found = shutil.which("compute-sanitizer")
    places = [path for folder in ("bin", "compute-sanitizer")
              for path in glob.glob(f"/usr/local/cuda*/{folder}/compute-sanitizer")]
    return found or (sorted(places)[-1] if places else None)


def count_errors(text):
    """What the tool's own last line counts; None if it never came to it."""
    found = re.findall(r"ERROR SUMMARY: (\d+) error", text)
    hazards = re.findall(r"RACECHECK SUMMARY: (\d+) hazard", text)
    numbers = [int(x) for x in found + hazards]
    return max(numbers) if numbers else None


def first_error(text):
    """The first report of the tool, without the paths of the machine that built the kernels."""
    lines = text.splitlines()
    first = next((i for i, line in enumerate(lines) if line.startswith("=========") and
                  re.search(r"Invalid|Error|ERROR|hazard|Uninitialized|Barrier|Program hit|leaked", line)), 0)
    return re.sub(r"/\S*/((?:kernels|tensor|autograd|nn|tests)/)", r"\1", tail("\n".join(lines[first:first + 40]), 40))


def verdict(code, text):
    if code == 77:
        return SKIPPED, first_line(text, "skipped") or "no such device"
    errors = count_errors(text)
    if errors is None:
        note = first_line(text, "Error") or "the tool did not come to its end"
        return FAILED, note, {"first_error": first_error(text)}
    if errors > 0:
        return FAILED, f"{errors} errors", {"errors": errors, "first_error": first_error(text)}
    status, note = doctest_verdict(code, text)
    return status, "0 errors" if status == PASSED else f"0 errors, but: {note}", {"errors": 0}


def run(stage, build, options):
    """Every row under every tool: the important rows first, memcheck before the others."""
    sanitizer = options.sanitizer or find_sanitizer()
    if sanitizer is None:
        stage.done("compute-sanitizer", NOT_RUN, 0,
                   "not found on PATH or under /usr/local/cuda*/bin (the CUDA Toolkit has it)")
        return
    names = rows.op_rows(build, options.only)
    important = [name for name in names if rows.rank(name) < len(rows.IMPORTANT)]
    tasks = []
    for group in (important, [name for name in names if name not in important]):
        for tool in TOOLS:
            for name in group:
                command = [sanitizer, "--tool", tool, "--error-exitcode", "86", "--print-limit", "20",
                           build.program("fovea_ops"), f"--device={options.device}", "--once", "--no-version",
                           f"--test-case={name}"]
                tasks.append(Task(f"{tool} {name}", command, verdict, options.limit, build.environment))
    run_all(stage, [task for task in tasks if not stage.is_kept(task.name)], options.jobs, build.root)
    for tool in TOOLS:
        of_tool = [item for name, item in stage.items.items() if name.startswith(tool + " ")]
        ran = [item for item in of_tool if item["status"] in (PASSED, FAILED)]
        errors = sum(item.get("errors", 0) for item in ran)
        stage.figures[tool] = {"rows": len(of_tool), "rows_run": len(ran), "errors": errors}
        stage.last_words.append(f"{tool}: {len(ran)} of {len(of_tool)} rows run, {errors} errors")
