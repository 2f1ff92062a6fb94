# SPDX-License-Identifier: Apache-2.0
"""check_tutorial.py PROGRAM PAGE: does what a tutorial says, block by block, in a fresh folder.

```sh        commands, run as they stand; each must succeed
```console   `$ ` commands with what they print: each line shown must be printed (`…` stands for anything); a command
             that shows an error (`fovea NAME: …`) must fail, any other must succeed
```py        a script of the repository, named in its first line; must be what that file holds
```toml      a settings file, named in its first line; is written for the commands after it

Other blocks are only shown. QUICK and MINUTES make trainings and recording short. Exit code 1 if something differs, 77:
skipped, no Python with h5py, or a program without HDF5."""
import os
import pathlib
import re
import subprocess
import sys
import tempfile

import repository

PYTHON = "/usr/bin/python3"  # Debian's h5py is a module of that one
SETTINGS = {"QUICK": "--steps=3", "MINUTES": "0.4"}


def blocks(text):
    """(line, language, content) of each fenced block."""
    for match in re.finditer(r"^```(\w+)\n(.*?)^```$", text, re.M | re.S):
        yield text.count("\n", 0, match.start()) + 1, match[1], match[2]


def sessions(content):
    """(command, lines shown) of a console block."""
    for part in re.split(r"^\$ ", content, flags=re.M)[1:]:
        command, _, shown = part.partition("\n")
        yield command, shown.splitlines()


def named(content):
    """(file, content) of a block whose first line is a comment with the file's name."""
    first, _, rest = content.partition("\n")
    return first.removeprefix("# "), rest


def printed(line, output):
    pattern = ".*".join(re.escape(piece) for piece in line.rstrip().split("…"))
    return re.search(rf"^{pattern}\s*$", output, re.M) is not None


class Reader:
    """One who follows the page."""

    def __init__(self, program, folder):
        self.folder, self.wrong = folder, []
        self.environment = os.environ | SETTINGS | {"PATH": f"{folder}/bin:{os.environ['PATH']}"}
        (folder / "bin").mkdir()
        (folder / "bin" / "python3").symlink_to(PYTHON)
        (folder / "docs").symlink_to(repository.ROOT / "docs")
        (folder / "run").write_text(f'#!/bin/sh\nshift\nexec {program} "$@"\n')
        (folder / "run").chmod(0o755)

    def does(self, command):
        return subprocess.run(["bash", "-euo", "pipefail", "-c", command], cwd=self.folder, env=self.environment,
                              stdout=subprocess.PIPE, stderr=subprocess.STDOUT, encoding="utf-8")

    def follow(self, line, language, content):
        if language == "sh":
            done = self.does(content)
            if done.returncode != 0:
                self.wrong.append(f"{line}: exit code {done.returncode}:\n{content}{done.stdout}")
        elif language == "console":
            for command, shown in sessions(content):
                done = self.does(command)
                fails = any(re.match(r"fovea \w+: ", text) for text in shown)
                if (done.returncode != 0) != fails:
                    self.wrong.append(f"{line}: `{command}`: exit code {done.returncode}:\n{done.stdout}")
                self.wrong += [f"{line}: `{command}` does not print '{text}':\n{done.stdout}"
                               for text in shown if not printed(text, done.stdout)]
        elif language == "py":
            name, code = named(content)
            if code.strip() not in repository.read(name):
                self.wrong.append(f"{line}: is not what {name} holds")
        elif language == "toml":
            name, settings = named(content)
            (self.folder / name).write_text(settings)


def main():
    program, page = pathlib.Path(sys.argv[1]).resolve(), sys.argv[2]
    if subprocess.run([PYTHON, "-c", "import h5py"], capture_output=True).returncode != 0:
        print("skipped: no h5py (apt-get install python3-h5py)")
        sys.exit(77)
    if '"hdf5": ""' in subprocess.run([program, "doctor", "--json"], capture_output=True, encoding="utf-8").stdout:
        print("skipped: built without HDF5")
        sys.exit(77)
    with tempfile.TemporaryDirectory() as folder:
        reader, count = Reader(program, pathlib.Path(folder)), 0
        for line, language, content in blocks(repository.read(page)):
            reader.follow(line, language, content)
            count += 1
    print("\n".join(f"{page}:{text}" for text in reader.wrong) or f"{count} blocks, all of them true")
    sys.exit(1 if reader.wrong or count == 0 else 0)


if __name__ == "__main__":
    main()
