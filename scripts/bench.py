"""Runs benchmarks one after the other and writes what they print to benchmarks/RESULTS.md, with machine and versions.

python scripts/bench.py [NAME ...]    # for example: train_step masks; by default all that need nothing else

The section of a benchmark that is not run stays as it is. `python scripts/generated_parts.py` then copies the sections
into the pages.
"""

from __future__ import annotations

import datetime
import os
import platform
import re
import subprocess
import sys
from importlib import metadata
from pathlib import Path

FOLDER = Path(__file__).resolve().parents[1] / "benchmarks"
RESULTS = FOLDER / "RESULTS.md"
NOT_BY_THEMSELVES = ("accuracy_and_speed", "bursts")  # needs trained sweeps; is imported by others
PACKAGES = ("tensorflow", "tf-keras", "keras", "tensorflow-model-optimization", "numpy", "torch", "jax", "onnxruntime")
EXTENSIONS = ("avx2", "avx512f", "avx512_vnni", "avx512_bf16", "amx_tile")
HEAD = """# Results of the benchmarks

`make bench` writes this file, and `make bench ONLY="NAME ..."` the sections of some benchmarks. A section is what its
benchmark printed; its first line says when, on which machine and with which versions. Figures are ratios measured side
by side in one run, with their spread; times in milliseconds belong to the machine.
"""


def machine() -> str:
    """Returns the processor, its cores and its vector extensions in one line."""
    try:
        text = Path("/proc/cpuinfo").read_text()
    except OSError:
        return f"{platform.processor() or platform.machine()}, {os.cpu_count()} cores"
    name = re.search(r"model name\s*: (.*)", text)
    flags = set((re.search(r"flags\s*: (.*)", text) or [" "])[0].split())
    has = [extension for extension in EXTENSIONS if extension in flags]
    return (
        f"{name[1] if name else platform.machine()}, {os.cpu_count()} cores, {' '.join(has) or 'no vector extensions'}"
    )


def versions() -> str:
    """Returns the versions of Python and of the packages that matter to speed."""
    found = [f"Python {platform.python_version()}"]
    for package in PACKAGES:
        try:
            found.append(f"{package} {metadata.version(package)}")
        except metadata.PackageNotFoundError:
            found.append(f"no {package}")
    return ", ".join(found)


def section(name: str, printed: str) -> str:
    """Returns the section of one benchmark."""
    today = datetime.datetime.now(datetime.UTC).date()
    return f"\n## {name}\n\n{today}; {machine()}; {versions()}.\n\n```text\n{printed.strip()}\n```\n"


def sections(text: str) -> dict[str, str]:
    """Returns the sections of a file written before, by the name of the benchmark."""
    return {part.split("\n", 1)[0]: f"\n## {part}" for part in re.split(r"\n## ", text)[1:]}


def main(names: list[str]) -> int:
    """Runs the named benchmarks, writes their sections after each, and returns the number of those that failed."""
    known = sorted(path.stem for path in FOLDER.glob("*.py"))
    unknown = [name for name in names if name not in known]
    if unknown:
        raise SystemExit(f"no benchmark {', '.join(unknown)}: there are {', '.join(known)}")
    failed = 0
    for name in names or [name for name in known if name not in NOT_BY_THEMSELVES]:
        print(f"== {name}", flush=True)
        done = subprocess.run(
            [sys.executable, f"benchmarks/{name}.py"], cwd=FOLDER.parent, stdout=subprocess.PIPE, text=True
        )
        print(done.stdout, flush=True)
        if done.returncode:
            print(f"{name} failed with exit status {done.returncode}; its section stays as it was", file=sys.stderr)
            failed += 1
            continue
        found = sections(RESULTS.read_text()) if RESULTS.exists() else {}
        found[name] = section(name, done.stdout)
        RESULTS.write_text(HEAD + "".join(found[key] for key in sorted(found)))
    return failed


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
