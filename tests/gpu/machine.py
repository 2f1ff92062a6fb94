# SPDX-License-Identifier: Apache-2.0
"""What a result was measured on: the build, its CUDA libraries, the GPU, the host. Asks only; changes no setting."""
import glob
import json
import os
import platform
import re
import shutil
import site
import subprocess
import sys

STATIC = ["name", "driver_version", "compute_cap", "memory.total", "clocks.max.sm", "clocks.max.memory"]
MOVING = ["clocks.sm", "clocks.mem", "temperature.gpu", "power.draw", "memory.used"]


def output(command, timeout=60, **more):
    """(exit code, stdout, stderr) of a command; 127 if there is no such program, 124 if it does not end."""
    try:
        done = subprocess.run(command, capture_output=True, encoding="utf-8", errors="replace", timeout=timeout,
                              stdin=subprocess.DEVNULL, **more)
        return done.returncode, done.stdout, done.stderr
    except OSError as error:
        return 127, "", str(error)
    except subprocess.TimeoutExpired:
        return 124, "", f"{command[0]}: no end after {timeout} s"


class Build:
    """Programs of a build folder (build/gpu) or of a pack, and what they need to start."""

    def __init__(self, folder, root):
        self.folder, self.root = os.path.abspath(folder), os.path.abspath(root)
        self.searched = []
        self.environment = dict(os.environ)

    def program(self, name):
        """Path of a program; None if this build has none of that name."""
        for place in ("bin", "", "tests", "bench"):
            path = os.path.join(self.folder, place, name)
            if os.path.isfile(path) and os.access(path, os.X_OK):
                return path
        return None

    def run(self, name, *arguments, timeout=60):
        program = self.program(name)
        if program is None:
            return 127, "", f"{name} is not in {self.folder}"
        return output([program, *arguments], timeout, env=self.environment, cwd=self.root)

    def missing_libraries(self):
        """Shared libraries that the loader does not find for `fovea` and fovea_bench."""
        missing = set()
        for name in ("fovea", "fovea_ops", "fovea_bench"):
            if self.program(name):
                _, out, err = output(["ldd", self.program(name)], env=self.environment)
                missing |= set(re.findall(r"^\s*(\S+) => not found", out + err, re.M))
        return missing

    def find_libraries(self):
        """Puts the folders of CUDA's libraries on the search path of the programs; returns what is still missing."""
        folders = library_folders()
        self.searched = folders
        missing = self.missing_libraries()
        while missing:
            found = [folder for folder in folders if any(os.path.exists(os.path.join(folder, x)) for x in missing)]
            if not found:
                break
            self.add_folder(found[0])
            folders = [folder for folder in folders if folder != found[0]]
            missing = self.missing_libraries()
        for folder in self.searched:  # loaded by name while the bench runs
            if os.path.exists(os.path.join(folder, "libcudnn.so.9")):
                self.add_folder(folder)
                break
        return sorted(missing)

    def add_folder(self, folder):
        path = self.environment.get("LD_LIBRARY_PATH", "")
        if folder not in path.split(":"):
            self.environment["LD_LIBRARY_PATH"] = f"{path}:{folder}".strip(":")

    def doctor(self):
        """What `fovea doctor --json` says, or a text that says why it says nothing."""
        code, out, err = self.run("fovea", "doctor", "--json")
        try:
            return json.loads(out)
        except ValueError:
            return f"fovea doctor: exit code {code}: {(err or out).strip()[-400:] or 'no output'}"


def library_folders():
    """Where CUDA's libraries may be: the loader's own places first, then the toolkit's, then those of pip."""
    folders = [x for x in os.environ.get("LD_LIBRARY_PATH", "").split(":") if x]
    folders += re.findall(r"=> (/\S+)/lib(?:cublas|cudnn)\.so\.\d+$", output(["ldconfig", "-p"])[1], re.M)
    for pattern in ("/usr/local/cuda*/lib64", "/usr/local/cuda*/targets/x86_64-linux/lib"):
        folders += sorted(glob.glob(pattern), reverse=True)
    packages = [x for x in sys.path + site.getsitepackages() if x.endswith("-packages")]
    python = shutil.which("python3")  # may be another one than this
    if python:
        packages += output([python, "-c", "import sys; print('\\n'.join(sys.path))"])[1].split("\n")
    for package in packages:
        if package.endswith("-packages"):
            folders += sorted(glob.glob(os.path.join(package, "nvidia/*/lib"))) + [os.path.join(package, "torch/lib")]
    return [x for x in dict.fromkeys(folders) if os.path.isdir(x)]


def library_version(build, name, function, arguments):
    """A version number out of a library, asked in a process of its own; None if it has none to tell."""
    text = f"import ctypes; lib = ctypes.CDLL({name!r}); v = ctypes.c_int(); print({arguments})"
    code, out, _ = output([sys.executable, "-c", text.replace("FUNCTION", f"lib.{function}")], env=build.environment)
    return out.strip() if code == 0 else None


def versions(build, doctor):
    """Of nvcc, the CUDA runtime linked into the build, cuBLAS and cuDNN."""
    cuda = doctor.get("build", {}).get("cuda", "") if isinstance(doctor, dict) else ""
    nvcc = re.search(r"nvcc ([\d.]+)", cuda)
    parts = "'.'.join(str((FUNCTION(i, ctypes.byref(v)), v.value)[1]) for i in range(3))"
    return {
        "nvcc": nvcc[1] if nvcc else None,
        "cuda_runtime": nvcc[1] if nvcc else None,  # static, of the same toolkit
        "build_cuda": cuda,
        "cublas": library_version(build, "libcublas.so.13", "cublasGetProperty", parts),
        "cudnn": library_version(build, "libcudnn.so.9", "cudnnGetVersion", "FUNCTION()"),
        "python": platform.python_version(),
    }


def ask_gpu(fields, index=0):
    """nvidia-smi's answers as {field: text}; {} if it gives none."""
    command = ["nvidia-smi", f"--id={index}", "--format=csv,noheader,nounits"]
    code, out, _ = output(command + ["--query-gpu=" + ",".join(fields)])
    values = [x.strip() for x in out.strip().split(",")]
    if code == 0 and len(values) == len(fields):
        return {key: value for key, value in zip(fields, values) if not value.startswith("[")}
    if len(fields) == 1:
        return {}
    return {key: value for field in fields for key, value in ask_gpu([field], index).items()}


def host():
    """Processor, cores and memory of the host."""
    facts = {"cpu": platform.processor() or platform.machine(), "cores": len(os.sched_getaffinity(0)),
             "kernel": platform.release()}
    for path, pattern, key in (("/proc/cpuinfo", r"^model name\s*: (.*)$", "cpu"),
                               ("/proc/meminfo", r"^MemTotal:\s*(\d+) kB$", "memory_kib"),
                               ("/etc/os-release", r'^PRETTY_NAME="(.*)"$', "system")):
        try:
            with open(path, encoding="utf-8") as file:
                found = re.search(pattern, file.read(), re.M)
        except OSError:
            continue
        if found:
            facts[key] = int(found[1]) if key == "memory_kib" else found[1]
    return facts


def facts(build, device):
    """All of it, for the head of a result; `device` is there or this stage does not begin."""
    doctor = build.doctor()
    known = doctor if isinstance(doctor, dict) else {}
    descriptions = {x.get("name"): x.get("description") for x in known.get("devices", [])}
    machine = {"device": device, "description": descriptions.get(device), "host": host()}
    if device == "cuda":
        machine["gpu"] = ask_gpu(STATIC)
        machine["before"] = ask_gpu(MOVING)
    return {"machine": machine, "versions": versions(build, doctor), "build": known.get("build", {})}


def why_no_device(build, device):
    """Why nothing can be run on the device; empty if it can."""
    missing = build.find_libraries()
    if missing:
        return (f"the programs do not start without {', '.join(missing)}; searched "
                f"{', '.join(build.searched) or 'no folder: there is none'}; another one: LD_LIBRARY_PATH=FOLDER")
    doctor = build.doctor()
    if not isinstance(doctor, dict):
        return doctor
    for entry in doctor.get("devices", []):
        if entry.get("name", "").split(":")[0] == device and entry.get("there"):
            return ""
    reasons = [x.get("description", "") for x in doctor.get("devices", []) if x.get("name") == device]
    return reasons[0] if reasons else f"fovea doctor does not know {device}"
