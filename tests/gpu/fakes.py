# SPDX-License-Identifier: Apache-2.0
"""fakes.py NAME ARGS…: stands in for program NAME, as $FAKE (JSON) tells it to; for check_stages.py."""
import json
import os
import signal
import sys
import time

NAME, ARGUMENTS = sys.argv[1], sys.argv[2:]
FAKE = json.loads(os.environ.get("FAKE", "{}"))


def note(text):
    with open(os.environ["FAKE_CALLS"], "a", encoding="utf-8") as file:
        file.write(text + "\n")


def option(name, default=None):
    for number, word in enumerate(ARGUMENTS):
        if word == name:
            return ARGUMENTS[number + 1]
        if word.startswith(name + "="):
            return word[len(name) + 1:]
    return default


def hang():
    note(f"hanging {os.getpid()}")
    time.sleep(100)


def doctest(cases=1, checks=5, failed=0):
    print(f"[doctest] test cases: {cases} | {cases - failed} passed | {failed} failed | 9 skipped")
    print(f"[doctest] assertions: {checks} | {checks - failed} passed | {failed} failed |")
    sys.exit(1 if failed else 0)


def nvidia_smi():
    values = {"name": "Fake GPU", "driver_version": "580.1", "clocks.sm": "1980", "power.draw": "[N/A]"}
    print(", ".join(values.get(field, "1") for field in option("--query-gpu").split(",")))


def ldd():
    needs = FAKE.get("needs")
    if needs and FAKE.get("libraries") not in os.environ.get("LD_LIBRARY_PATH", "").split(":"):
        print(f"\t{needs} => not found")


def fovea_ops():
    if "--list-test-cases" in ARGUMENTS:
        print("[doctest] listing all test case names\n=====\n" + "\n".join(FAKE["rows"]) + "\n=====")
        return
    row = option("--test-case")
    if os.environ.get("CUDA_LAUNCH_BLOCKING") == "1":
        note("blocking")
    if row.startswith("hangs"):
        hang()
    if row == "skips":
        print("skipped: no such device")
        sys.exit(77)
    if row == "crashes":
        os.kill(os.getpid(), signal.SIGSEGV)
    if row == "fails":
        print("ERROR: CHECK( y ) is off by 1")
        doctest(failed=1)
    doctest(0, 0) if row == "empty" else doctest()


def compute_sanitizer():
    tool, row = option("--tool"), option("--test-case")
    note(f"sanitizer {tool} {row}")
    print("========= COMPUTE-SANITIZER")
    if FAKE.get("broken_tool"):
        print("========= Error: Device not supported")
        sys.exit(1)
    print("[doctest] test cases: 1 | 1 passed | 0 failed |\n[doctest] assertions: 2 | 2 passed | 0 failed |")
    bad = FAKE.get("bad", {}).get(tool) == row
    if bad and tool == "memcheck":
        print("========= Invalid __global__ write of size 4 bytes\n"
              "=========     at matmul_kernel in /home/builder/src/kernels/cuda/matmul.cu:12")
    if tool == "racecheck":
        hazards = 2 if bad else 0
        print(f"========= RACECHECK SUMMARY: {hazards} hazards displayed ({hazards} errors, 0 warnings)")
    else:
        print(f"========= ERROR SUMMARY: {3 if bad else 0} errors")
    sys.exit(86 if bad else 0)


def doctor():
    there = not FAKE.get("no_gpu")
    description = "cuda:0 Fake GPU" if there else "no NVIDIA GPU"
    cuda = {"name": "cuda", "there": there, "description": description, "passed": there}
    devices = [{"name": "cpu", "there": True, "description": "cpu", "passed": True}, cuda]
    build = {"id": FAKE.get("build", "abc Release"), "cuda": "on (nvcc 13.0.88, architectures 90a)"}
    print(json.dumps({"build": build, "devices": devices}))


def train():
    if "--keys" in ARGUMENTS:
        print(FAKE.get("keys", "train.graph = auto\ntrain.math = fp32"))
        return
    device, out, steps = option("--device"), option("--out"), int(option("--steps"))
    if FAKE.get("train_fails"):
        print("error: out of memory", file=sys.stderr)
        sys.exit(1)
    log, done = os.path.join(out, "metrics.jsonl"), 0
    os.makedirs(os.path.join(out, "checkpoints"), exist_ok=True)
    made_on = os.path.join(out, "device")
    if "--resume" in ARGUMENTS:
        with open(log, encoding="utf-8") as file:
            done = len(file.read().splitlines())
        with open(made_on, encoding="utf-8") as file:
            before = file.read()
        if before != device and not FAKE.get("silent"):
            print(f"warning: the run was made on {before} and goes on with {device}: its last bits may differ")
    with open(made_on, "w", encoding="utf-8") as file:
        file.write(device)
    off = 1 + FAKE.get("off", 1e-7) if device != "cpu" else 1
    with open(log, "a", encoding="utf-8") as file:
        for step in range(done + 1, steps + 1 if steps <= 30 else 2):
            file.write(json.dumps({"step": step, "loss": 3 / step * off}) + "\n")
            file.flush()
            time.sleep(0.003)
    with open(os.path.join(out, f"checkpoints/step-{steps}.safetensors"), "w", encoding="utf-8") as file:
        file.write(f"weights {steps} " + (str(os.getpid()) if FAKE.get("unequal") else ""))
    with open(os.path.join(out, "summary.json"), "w", encoding="utf-8") as file:
        json.dump({"seconds": 1 + steps / 100}, file)


def fovea():
    if ARGUMENTS[0] == "doctor":
        doctor()
    elif ARGUMENTS[0] == "train":
        train()
    elif ARGUMENTS[0] == "data":
        open(option("--out"), "w").close()


def fovea_bench():
    cases = [{"name": "conv", "status": "done", "ours_ms": 0.8, "peer": "cuDNN", "peer_ms": 1.0, "ratio_median": 0.8}]
    if not FAKE.get("bench_hangs"):
        cases.append({"name": "pool", "status": "done", "ours_ms": 0.1, "peer": None, "peer_error": "no engine"})
        cases.append({"name": "lstm", "status": "not run", "reason": "no time left", "ours_ms": None})
    with open(option("--json"), "w", encoding="utf-8") as file:
        json.dump({"math_mode": "fp32", "cases": cases}, file)
    print("conv 0.8 ms")
    if FAKE.get("bench_hangs"):
        hang()


if NAME in ("fovea_tensor_tests", "fovea_nn_tests", "fovea_autograd_tests", "fovea_models_tests"):
    doctest(7)
elif NAME == "fovea_tiny_recording":
    open(ARGUMENTS[0], "w").close()
elif NAME == "ldconfig":
    print(FAKE.get("ldconfig", ""))
else:
    {"nvidia-smi": nvidia_smi, "ldd": ldd, "compute-sanitizer": compute_sanitizer, "fovea_ops": fovea_ops,
     "fovea": fovea, "fovea_bench": fovea_bench}[NAME]()
