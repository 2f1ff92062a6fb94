# SPDX-License-Identifier: Apache-2.0
"""pack.py BUILD SOURCE DIR: the programs of a `gpu` build and all they read, in a folder that runs anywhere.

Without the C library and CUDA's libraries: those of the machine are used. DIR becomes the pack whole or not at all."""
import hashlib
import json
import os
import re
import shutil
import sys

import machine

LIMIT_MB = 50
PROGRAMS = ["fovea", "fovea_ops", "fovea_tensor_tests", "fovea_autograd_tests", "fovea_nn_tests",
            "fovea_models_tests", "fovea_tiny_recording"]
OPTIONAL = ["fovea_bench"]
OF_THE_SYSTEM = r"linux-vdso|ld-linux|lib(c|m|dl|rt|pthread|mvec|resolv|util|nsl)\.so"
OF_CUDA = r"libcu(da|dart|blas|blasLt|dnn|rand|sparse|fft)\w*\.so|libnv"


class PackError(Exception):
    pass


def is_pack(folder):
    try:
        with open(os.path.join(folder, "MANIFEST.json"), encoding="utf-8") as file:
            return json.load(file).get("what") == "fovea gpu pack"
    except (OSError, ValueError):
        return False


def check_target(folder):
    if os.path.lexists(folder) and not os.path.isdir(folder):
        raise PackError(f"{folder}: is not a folder")
    if os.path.isdir(folder) and os.listdir(folder) and not is_pack(folder):
        raise PackError(f"{folder}: is neither empty nor a pack; choose another folder, or remove it")


def tool(*command):
    code, out, err = machine.output(list(command), 300)
    if code != 0:
        raise PackError(f"{' '.join(command)}: exit code {code}: {err.strip()[-300:]}")
    return out


def needed(path, environment):
    """{name: file} of the libraries that a program loads from this machine and that are to be taken along."""
    code, out, err = machine.output(["ldd", path], env=environment)
    if code != 0:
        raise PackError(f"ldd {path}: {err.strip()}")
    found = {}
    for name, where in re.findall(r"^\s*(\S+) => (.+?)(?: \(0x\w+\))?$", out, re.M):
        if re.match(OF_THE_SYSTEM, name) or re.match(OF_CUDA, name):
            continue
        if where.strip() == "not found":
            raise PackError(f"{path}: needs {name}, which is not found")
        found[name] = where.strip()
    return found


def copy(source, target, strip=False):
    os.makedirs(os.path.dirname(target), exist_ok=True)
    shutil.copyfile(os.path.realpath(source), target)
    shutil.copymode(os.path.realpath(source), target)
    os.chmod(target, os.stat(target).st_mode | 0o644)
    if strip:
        tool("strip", "--strip-unneeded", target)


def fill(folder, build, source):
    """Programs and libraries stripped; golden files and scripts as they are."""
    libraries = {}
    for name in PROGRAMS + OPTIONAL:
        program = build.program(name)
        if program is None:
            if name in OPTIONAL:
                continue
            raise PackError(f"{build.folder}: has no program {name}")
        libraries.update(needed(program, build.environment))
        copy(program, os.path.join(folder, "bin", name), strip=True)
    for name, path in libraries.items():
        copy(path, os.path.join(folder, "lib", name), strip=name.startswith("libfovea"))
    for name in sorted(os.listdir(os.path.join(source, "tests/golden"))):
        if name.endswith((".safetensors", ".txt")):
            copy(os.path.join(source, "tests/golden", name), os.path.join(folder, "tests/golden", name))
    for name in sorted(os.listdir(os.path.join(source, "tests/gpu"))):
        if name.endswith(".py") and name not in ("pack.py", "check_stages.py", "fakes.py"):
            copy(os.path.join(source, "tests/gpu", name), os.path.join(folder, "gpu", name))
    copy(os.path.join(source, "tests/gpu/run-gpu"), os.path.join(folder, "run-gpu"))
    copy(os.path.join(source, "docs/GPU.md"), os.path.join(folder, "README.md"))
    copy(os.path.join(source, "LICENSE"), os.path.join(folder, "LICENSE"))


def files_of(folder):
    return sorted(os.path.relpath(os.path.join(at, name), folder) for at, _, names in os.walk(folder) for name in names)


def check_search_paths(folder):
    """No program or library of ours looks into a folder of this machine."""
    for path in files_of(folder):
        if path.startswith(("bin/", "lib/libfovea")):
            section = tool("readelf", "-d", os.path.join(folder, path))
            for folders in re.findall(r"\((?:RUNPATH|RPATH)\).*\[(.*)\]", section):
                if not all(x.startswith("$ORIGIN") for x in folders.split(":")):
                    raise PackError(f"{path}: looks for libraries in {folders}")


def manifest(folder, build):
    entries = []
    for path in files_of(folder):
        with open(os.path.join(folder, path), "rb") as file:
            data = file.read()
        entries.append({"path": path, "bytes": len(data), "sha256": hashlib.sha256(data).hexdigest()})
    doctor = build.doctor()
    about = doctor.get("build", {}) if isinstance(doctor, dict) else {}
    total = sum(entry["bytes"] for entry in entries)
    return {"what": "fovea gpu pack", "build": about, "bytes": total, "files": entries}


def make(build, source, target):
    """Fills a folder beside `target` and puts it into its place; returns the manifest."""
    target = os.path.abspath(target)
    check_target(target)
    fresh = f"{target}.{os.getpid()}.new"
    try:
        fill(fresh, build, source)
        check_search_paths(fresh)
        facts = manifest(fresh, build)
        if facts["bytes"] > LIMIT_MB * 1e6:
            largest = sorted(facts["files"], key=lambda x: -x["bytes"])[:5]
            raise PackError(f"{facts['bytes'] / 1e6:.1f} MB, more than {LIMIT_MB}; the largest: " +
                            ", ".join(f"{x['path']} {x['bytes'] / 1e6:.1f}" for x in largest))
        with open(os.path.join(fresh, "MANIFEST.json"), "w", encoding="utf-8") as file:
            json.dump(facts, file, indent=1)
        if os.path.isdir(target):  # a pack, or empty
            shutil.rmtree(target)
        os.rename(fresh, target)
    except OSError as error:
        raise PackError(f"{error.filename or target}: {error.strerror}") from error
    finally:
        shutil.rmtree(fresh, ignore_errors=True)
    return facts


def main(arguments):
    if len(arguments) != 3:
        print("error: pack.py BUILD SOURCE DIR", file=sys.stderr)
        return 2
    build = machine.Build(arguments[0], arguments[1])
    missing = build.find_libraries()
    try:
        facts = make(build, arguments[1], arguments[2])
    except PackError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    if missing:
        print(f"warning: not on this machine, so nothing of the pack was tried: {', '.join(missing)}", file=sys.stderr)
    print(f"{arguments[2]}: {len(facts['files'])} files, {facts['bytes'] / 1e6:.1f} MB, "
          f"{facts['build'].get('id', 'build id unknown')}")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
