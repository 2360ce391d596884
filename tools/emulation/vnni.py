"""The panels of AVX-512 VNNI and AVX-VNNI on processors emulated by bochs.

The panels are compiled for a processor, linked to a driver without an operating system and booted
in place of a BIOS. The driver reads the cases from a disk, calls the panels and prints the outputs
to a file; the definition in NumPy says what they must be. The last case has one wrong weight and
must come out wrong. An instruction that the processor lacks ends the run.
"""

from __future__ import annotations

import importlib
import os
import pty
import subprocess
import time
from contextlib import suppress
from pathlib import Path
from typing import Any, NamedTuple

import llvmlite.binding as llvm

from emulation import debian
from emulation.cases import KINDS, every, wrong
from emulation.image import Image, build, compare, expected
from intnet.backends.simd import emit
from intnet.backends.simd.isa import Isa

HERE = Path(__file__).parent
TRIPLE = "x86_64-unknown-linux-gnu"
CODE, CASES = 0x200000, 0x1000000  # where driver and cases lie
SECTOR, HEADS, TRACK = 512, 16, 63  # of the disk
SECONDS = 300  # at most; some 10 are usual
FLAGS = [
    "-O2", "-Wall", "-Wextra", "-Werror", "-ffreestanding", "-fno-pic", "-fno-pie",
    "-fcf-protection=none", "-fno-asynchronous-unwind-tables", "-mno-red-zone",
    "-mgeneral-regs-only",
]  # fmt: skip
LINK = ["ld", "-m", "elf_x86_64", "-static", "-z", "noexecstack"]
PACKAGES = ("bochs", "bochs-term")  # of trixie: the first with a processor that has AVX-VNNI


class Machine(NamedTuple):
    """An instruction set, the processor LLVM compiles for, those of bochs that have it."""

    name: str
    cpu: str
    models: tuple[str, ...]


MACHINES = (
    Machine("vnni512", "icelake-server", ("corei7_icelake_u", "sapphire_rapids")),
    Machine("vnni", "alderlake", ("arrow_lake",)),
)


def run(cache: Path, *, plant: bool) -> bool:
    """Every machine; True if all outputs are right and the control is wrong."""
    debian.need("gcc", "as", "ld", "objcopy", package="gcc binutils")
    root = debian.prepared(
        cache / "bochs", f"trixie {PACKAGES}",
        lambda folder: debian.unpack("trixie", "amd64", PACKAGES, folder),
    )  # fmt: skip
    work = cache / "vnni"
    work.mkdir(exist_ok=True)
    right = [boot_all(root, work, machine, plant=plant) for machine in MACHINES]
    return all(right)


def boot_all(root: Path, work: Path, machine: Machine, *, plant: bool) -> bool:
    """One instruction set on each of its processors."""
    isa: Isa = importlib.import_module(f"intnet.backends.simd.{machine.name}").ISA
    cases = list(every(isa))
    wanted = [expected(case) for case in (*cases, cases[-1])]
    placed = [*cases, wrong(cases[-1])]
    if plant:
        placed[len(cases) - 10] = wrong(cases[-10])
    image = build(isa, placed, CASES)
    link(work, isa, machine.cpu, image)
    right = True
    for model in machine.models:
        started = time.perf_counter()
        message = boot(root, work, model)
        faults = compare(placed, wanted, (work / "out.bin").read_bytes())
        right &= not faults
        seconds = time.perf_counter() - started
        print(f"{machine.name} on {model}: {len(cases)} cases, {sum(map(len, wanted))} bytes, "
              f"{len(faults)} faults, {seconds:.1f} s", flush=True)  # fmt: skip
        for fault in faults[:10]:
            print(f"  {fault}")
        if faults and "shutdown requested" not in message:
            print(f"  {message}")
    return right


def link(work: Path, isa: Isa, cpu: str, image: Image) -> None:
    """Files of a machine: the BIOS, the driver with the panels, the disk with the cases."""
    track = SECTOR * HEADS * TRACK
    disk = bytes(image.data) + bytes(-len(image.data) % track)
    (work / "disk.bin").write_bytes(disk)
    objects = [compiled(work, isa, kind, cpu) for kind in KINDS]
    defines = [f"-DCASES={CASES:#x}", f"-DSECTORS={len(disk) // SECTOR}"]
    driver, elf, boot = work / "driver.o", work / "driver.elf", work / "boot.o"
    call("gcc", *FLAGS, *defines, "-c", HERE / "driver.c", "-o", driver)
    call(*LINK, f"-Ttext={CODE:#x}", "-e", "run_cases", "-o", elf, driver, *objects)
    call("objcopy", "-O", "binary", elf, work / "driver.bin")
    call("as", "--64", HERE / "boot.S", "-o", boot)
    call(*LINK, "-Ttext=0xF0000", "-e", "0xF0000", "--oformat", "binary", "-R", elf,
         "-o", work / "bios.bin", boot)  # fmt: skip


def call(*command: str | Path) -> None:
    """A program that must succeed."""
    subprocess.run([str(part) for part in command], check=True)


def compiled(work: Path, isa: Isa, kind: str, cpu: str) -> Path:
    """A panel as an object file, optimised as numba does it."""
    llvm.initialize_all_targets()
    llvm.initialize_all_asmprinters()
    module = emit.module(isa, kind)
    module.triple = TRIPLE
    parsed: Any = llvm.parse_assembly(str(module))
    parsed.verify()
    target = llvm.Target.from_triple(TRIPLE)
    machine = target.create_target_machine(cpu=cpu, opt=3, reloc="static", codemodel="small")
    passes = llvm.create_pass_builder(machine, llvm.PipelineTuningOptions(speed_level=3))
    passes.getModulePassManager().run(parsed, passes)
    path = work / f"{kind}.o"
    path.write_bytes(machine.emit_object(parsed))
    call("objcopy", "--redefine-sym", f"panel=panel_{kind}", path)
    return path


def boot(root: Path, work: Path, model: str) -> str:
    """Run until the driver or a fault ends it; what bochs says at its end."""
    usr = root / "usr"
    library = usr / "lib" / "x86_64-linux-gnu"
    settings = configuration(usr, work, model)
    (work / "bochsrc").write_text(settings, encoding="utf-8")
    (work / "commands").write_text("continue\nquit\n", encoding="utf-8")  # Debian's has a debugger
    (work / "out.bin").write_bytes(b"")
    command = [usr / "lib64/ld-linux-x86-64.so.2", "--library-path", library, usr / "bin/bochs-bin",
               "-q", "-f", work / "bochsrc", "-rc", work / "commands"]  # fmt: skip
    changed = {"LTDL_LIBRARY_PATH": str(library / "bochs/plugins"), "TERM": "linux",
               "BXSHARE": str(usr / "share/bochs")}  # fmt: skip
    screen, terminal = pty.openpty()  # the only display that needs no X
    with subprocess.Popen(
        [str(part) for part in command], env=os.environ | changed,
        stdin=terminal, stdout=terminal, stderr=terminal,
    ) as process:  # fmt: skip
        os.close(terminal)
        text = watched(process, screen)
    os.close(screen)
    lines = (work / "log.txt").read_text(encoding="utf-8", errors="replace").splitlines()
    panics = [line for line in lines if ">>PANIC<<" in line]
    return panics[0] if panics else text[-300:]


def watched(process: subprocess.Popen[bytes], screen: int) -> str:
    """All that a process writes to its terminal; it is ended when it takes too long."""
    os.set_blocking(screen, False)
    text, limit = b"", time.monotonic() + SECONDS
    while process.poll() is None and time.monotonic() < limit:
        time.sleep(0.05)
        with suppress(OSError):  # nothing to read, or the terminal is closed
            text += os.read(screen, 65536)
    if process.poll() is None:
        process.kill()
        text += f"ended after {SECONDS} s".encode()
    return text.decode(errors="replace")


def configuration(usr: Path, work: Path, model: str) -> str:
    """The settings of bochs: a processor, memory, our BIOS, a disk and a printer."""
    cylinders = (work / "disk.bin").stat().st_size // (SECTOR * HEADS * TRACK)
    return f"""\
cpu: model={model}, count=1, ips=50000000, reset_on_triple_fault=0, ignore_bad_msrs=0
memory: guest=128, host=128
romimage: file={work}/bios.bin
vgaromimage: file={usr}/share/vgabios/vgabios.bin
optramimage1: file={work}/driver.bin, address={CODE:#x}
ata0: enabled=1, ioaddr1=0x1f0, ioaddr2=0x3f0, irq=14
ata0-master: type=disk, path={work}/disk.bin, mode=flat, cylinders={cylinders}, heads={HEADS}, \
spt={TRACK}
ata1: enabled=0
parport1: enabled=1, file={work}/out.bin
com1: enabled=0
vga: extension=none
speaker: enabled=0
display_library: term
log: {work}/log.txt
panic: action=fatal
error: action=report
info: action=report
"""
