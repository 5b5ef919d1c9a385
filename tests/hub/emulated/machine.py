"""A machine of its own, emulated: a real kernel of Debian with control groups of version 2, and one program on it.

The machine that tests run on may have its controllers in version 1, as containers often have. QEMU needs no support of
the processor for this, only patience. Debian's emulator is installed where root may; its kernel is only unpacked.
"""

from __future__ import annotations

import gzip
import os
import re
import shutil
import stat
import subprocess
import sys
import sysconfig
from collections.abc import Iterator
from pathlib import Path

EMULATOR = "qemu-system-x86_64"
KERNEL = "linux-image-cloud-amd64"
LEFT_OUT = {"test", "idlelib", "tkinter", "turtledemo", "site-packages", "ensurepip", "lib2to3", "asyncio"}
_INIT = """#!{python} -S
import ctypes, os, runpy, sys, traceback
libc = ctypes.CDLL(None, use_errno=True)
for kind, where in (("proc", "/proc"), ("sysfs", "/sys"), ("devtmpfs", "/dev")):
    os.makedirs(where, exist_ok=True)
    libc.mount(b"none", where.encode(), kind.encode(), 0, None)
libc.mount(b"none", b"/sys/fs/cgroup", b"cgroup2", 0, None)
os.chmod("/tmp", 0o1777)  # no file system of its own: this interpreter may live below it
try:
    runpy.run_path("/guest/main.py", run_name="__main__")
except BaseException:
    print("FAILED", traceback.format_exc(), flush=True)
sys.stdout.flush()
libc.reboot(0x1234567)
"""


def find_emulator() -> bool:
    """Whether there is one, installed from Debian where allowed."""
    if not shutil.which(EMULATOR) and os.geteuid() == 0 and shutil.which("apt-get"):
        quiet = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
        for line in (["update"], ["install", "-y", "--no-install-recommends", "qemu-system-x86"]):
            subprocess.run(["apt-get", *line], env=quiet, capture_output=True, check=False)
    return bool(shutil.which(EMULATOR))


def kernel(folder: Path) -> Path | None:
    """Debian's kernel for machines like this one, unpacked in a folder; None where it cannot be had."""
    told = subprocess.run(["apt-cache", "depends", KERNEL], capture_output=True, text=True, check=False).stdout
    named = re.search(r"Depends: (linux-image-\S+)", told)
    if not named:
        return None
    subprocess.run(["apt-get", "download", named[1]], cwd=folder, capture_output=True, check=False)
    for package in folder.glob("linux-image-*.deb"):
        subprocess.run(["dpkg-deb", "-x", package, folder / "unpacked"], check=True, capture_output=True)
    return next(iter((folder / "unpacked" / "boot").glob("vmlinuz-*")), None)


def run(kernel: Path, folder: Path, files: dict[str, Path], seconds: float) -> str:
    """What the machine has said: it runs ``/guest/main.py``, which has the other files beside it, and ends."""
    image = folder / "initrd.gz"
    with gzip.open(image, "wb", compresslevel=1) as packed:
        for part in _archive({**_python(), **{f"guest/{name}": path.read_bytes() for name, path in files.items()}}):
            packed.write(part)
    line = [
        EMULATOR,
        "-accel",
        "tcg",
        "-cpu",
        "max",
        "-m",
        "768",
        "-smp",
        "2",
        "-nodefaults",
        "-display",
        "none",
        "-serial",
        "stdio",
    ]
    line += ["-no-reboot", "-kernel", str(kernel), "-initrd", str(image)]
    # What the kernel does not know it hands to the program as environment. Before /proc is mounted, the linker cannot
    # find what lies beside the interpreter by itself.
    beside = f"LD_LIBRARY_PATH={Path(sys.executable).resolve().parents[1] / 'lib'}"
    line += ["-append", f"console=ttyS0 quiet loglevel=3 panic=-1 cgroup_no_v1=all PYTHONHASHSEED=0 {beside}"]
    done = subprocess.run(line, capture_output=True, text=True, timeout=seconds, check=False, stdin=subprocess.DEVNULL)
    return done.stdout + done.stderr


def _python() -> dict[str, bytes]:
    """This interpreter with its own library, at the very same places, and the libraries that it is linked with."""
    python = Path(sys.executable).resolve()
    library = Path(sysconfig.get_path("stdlib")).resolve()
    found = {"init": _INIT.format(python=python).encode(), str(python)[1:]: python.read_bytes()}
    for path in library.rglob("*"):
        parts = path.relative_to(library).parts
        if path.is_file() and path.suffix in (".py", ".so") and not LEFT_OUT & set(parts):
            found[str(path)[1:]] = path.read_bytes()
    linked = {str(python), *(f"/{name}" for name in found if name.endswith(".so"))}
    told = subprocess.run(["ldd", *sorted(linked)], capture_output=True, text=True, check=False).stdout
    for path in set(re.findall(r"(?:=> |^\s+)(/\S+) \(", told, re.MULTILINE)):
        found[os.path.normpath(path)[1:]] = Path(path).read_bytes()
    return found


def _archive(files: dict[str, bytes]) -> Iterator[bytes]:
    """A cpio archive of the kind that the kernel unpacks at its start."""
    folders = {str(parent) for name in files for parent in Path(name).parents} - {"."}
    folders |= {"dev", "proc", "sys", "tmp"}
    entries = [(name, stat.S_IFDIR | 0o755, b"") for name in sorted(folders)]
    entries += [(name, stat.S_IFREG | 0o755, content) for name, content in files.items()]
    for number, (name, mode, content) in enumerate([*entries, ("TRAILER!!!", 0, b"")], 1):
        fields = (number, mode, 0, 0, 1, 0, len(content), 0, 0, 0, 0, len(name) + 1, 0)
        head = b"070701" + b"".join(b"%08x" % field for field in fields) + name.encode() + b"\0"
        yield head + bytes(-len(head) % 4)
        yield content + bytes(-len(content) % 4)
