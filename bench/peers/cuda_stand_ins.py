# SPDX-License-Identifier: Apache-2.0
"""Stand-ins for the CUDA libraries that PyTorch's wheel is linked to, on a machine without a GPU.

    python cuda_stand_ins.py TORCH_FOLDER OUT

The wheel wants gigabytes of libraries to be there before it can be imported, even if all that it is to do is compute on
the CPU. Each missing one is made here, empty but for the names that PyTorch looks up, with the versions that it asks for;
all functions return 0, but cudaGetDeviceCount says that there is no device. Needs readelf, nm and gcc. OUT goes into
LD_LIBRARY_PATH of that one process.
"""
import pathlib
import re
import subprocess
import sys

NO_DEVICE = 100  # cudaErrorNoDevice


def output_of(*command):
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout


def wanted_by(files):
    """{library: versions of names that are asked of it}, and the undefined names, "name" or "name@version"."""
    present = {file.name for file in files}
    libraries, undefined, defined = {}, set(), set()
    for file in files:
        for name in re.findall(r"NEEDED.*\[(.*?)\]", output_of("readelf", "-d", file)):
            if name not in present and re.match(r"lib(cu|nv|nccl)", name):
                libraries.setdefault(name, set())
        library = None
        for line in output_of("readelf", "-VW", file).splitlines():
            if match := re.search(r"File: (\S+)", line):
                library = match[1]
            elif (match := re.search(r"Name: (\S+)\s+Flags: ", line)) and library in libraries:
                libraries[library].add(match[1])
        for line in output_of("nm", "-D", file).splitlines():
            *_, kind, name = line.split()
            (undefined if kind == "U" else defined).add(name)
    plain = {name.split("@")[0] for name in defined}
    return libraries, {name for name in undefined
                       if re.match(r"_*(cu|nv|nccl)", name, re.IGNORECASE) and name.split("@")[0] not in plain}


def main():
    folder, out = pathlib.Path(sys.argv[1]), pathlib.Path(sys.argv[2])
    out.mkdir(parents=True, exist_ok=True)
    libraries, undefined = wanted_by(sorted((folder / "lib").glob("*.so*")))
    source, script = out / "stand_in.s", out / "versions"
    for library, versions in sorted(libraries.items()):
        if versions:
            names = sorted({name.split("@")[0] for name in undefined if name.rpartition("@")[2] in versions})
        else:
            names = sorted(name for name in undefined if "@" not in name)
        source.write_text(".text\n" + "".join(
            f".globl {name}\n.type {name},@function\n{name}:\n  movl ${NO_DEVICE if name == 'cudaGetDeviceCount' else 0}, %eax\n"
            "  ret\n" for name in names) + '.section .note.GNU-stack,"",@progbits\n', encoding="utf-8")
        script.write_text("".join(f"{version} {{ global: *; }};\n" for version in sorted(versions)), encoding="utf-8")
        subprocess.run(["gcc", "-shared", "-nostdlib", f"-Wl,-soname,{library}",
                        *([f"-Wl,--version-script,{script}"] if versions else []), "-o", out / library, source],
                       check=True)
    source.unlink(missing_ok=True)
    script.unlink(missing_ok=True)


if __name__ == "__main__":
    main()
