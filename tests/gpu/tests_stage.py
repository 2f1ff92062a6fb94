# SPDX-License-Identifier: Apache-2.0
"""The tests on the device: its self-check, every op row, the other test programs, and one training ten times over."""
import hashlib
import os
import shutil
import tempfile

import rows
from stage import FAILED, PASSED, Task, doctest_verdict, first_line, how_it_ended, run_all

# Programs whose tests follow --device, and which of their source files do (doctest's filter).
PROGRAMS = {"fovea_tensor_tests": "*", "fovea_autograd_tests": "*", "fovea_nn_tests": "*",
            "fovea_models_tests": "*deep_retina*"}
TRAININGS, STEPS = 10, 20


def self_check(stage, build, device):
    begin = stage.clock()
    doctor = build.doctor()
    devices = doctor.get("devices", []) if isinstance(doctor, dict) else []
    found = [x for x in devices if x["name"].split(":")[0] == device]
    note = found[0].get("description", "") if found else str(doctor)
    fault = found[0].get("fault", "") if found else ""
    stage.check("self-check", bool(found) and found[0].get("passed") is True, f"{note} {fault}".strip(),
                stage.clock() - begin)


def training(build, device, recording, folder, steps, extra=()):
    """Command of one small training."""
    settings = {"train.log_every": "1", "train.batch": "16", **dict(text.split("=", 1) for text in extra)}
    sets = [word for key, value in settings.items() for word in ("--set", f"{key}={value}")]
    return [build.program("fovea"), "train", "deep-retina", "--data", recording, "--out", folder, "--device", device,
            "--seed", "7", "--steps", str(steps), *sets]


def checkpoint(folder, steps):
    """SHA-256 of the last checkpoint; None if there is none."""
    try:
        with open(os.path.join(folder, f"checkpoints/step-{steps}.safetensors"), "rb") as file:
            return hashlib.sha256(file.read()).hexdigest()
    except OSError:
        return None


def training_tasks(stage, build, options, recording, folder):
    """Ten runs of one training; each passes if its checkpoint has the bytes of the first that ended."""
    steps = options.steps or STEPS
    sums = [item["sha256"] for item in stage.items.values() if "sha256" in item]  # of those that --continue keeps

    def judge_of(out):
        def judge(code, text):
            if code != 0:
                return FAILED, first_line(text, "error") or how_it_ended(code)
            sums.append(checkpoint(out, steps))
            shutil.rmtree(out, ignore_errors=True)
            same = sums[-1] is not None and sums[-1] == sums[0]
            return (PASSED if same else FAILED), f"checkpoint {str(sums[-1])[:16]}", {"sha256": sums[-1]}
        return judge

    tasks = []
    for number in range(TRAININGS):
        out = os.path.join(folder, f"same-{number}")
        tasks.append(Task(f"same training {number + 1} of {TRAININGS}",
                          training(build, options.device, recording, out, steps), judge_of(out), options.limit,
                          build.environment))
    return tasks


def run(stage, build, options):
    environment = {**build.environment, "CUDA_LAUNCH_BLOCKING": "1"}  # a fault names its kernel
    tasks = []
    for name in rows.op_rows(build, options.only):
        command = [build.program("fovea_ops"), f"--device={options.device}", "--no-version", f"--test-case={name}"]
        tasks.append(Task(f"op {name}", command, doctest_verdict, options.limit, environment))
    for name, files in PROGRAMS.items() if not options.only else ():
        command = [build.program(name) or name, f"--device={options.device}", "--no-version", f"--source-file={files}"]
        tasks.append(Task(name, command, doctest_verdict, options.limit, environment))
    with tempfile.TemporaryDirectory() as folder:
        if not options.only:
            recording = os.path.join(folder, "recording.safetensors")
            code, out, err = build.run("fovea_tiny_recording", recording)
            trainings = training_tasks(stage, build, options, recording, folder)
            stage.expect(["self-check"] + [task.name for task in tasks + trainings])
            self_check(stage, build, options.device)
            if code != 0:
                stage.done("recording", FAILED, 0, (err or out).strip()[-200:])
            else:
                tasks += trainings
        tasks = [task for task in tasks if not stage.is_kept(task.name)]
        run_all(stage, tasks, options.jobs, build.root, options.pause)
