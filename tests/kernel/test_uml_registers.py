"""Extended registers in UML, also where the processor has more of them than UML has room for.

Such a processor is faked: ``preload/larger.c`` answers the kernel's ptrace as one with AMX does.
"""

from __future__ import annotations

import base64
import os
import re
import subprocess
import sys
import threading
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from remusnet.lab import xstate
from remusnet.lab.errors import LabDied, LabUnavailable
from remusnet.lab.kernel import built_library, find_kernel
from remusnet.lab.panic import panic_line
from remusnet.lab.uml import Uml
from remusnet.lab.visible import SOURCE

pytestmark = [pytest.mark.kernel, pytest.mark.needs("gcc")]

PRELOAD = Path(__file__).resolve().parent / "lab" / "preload"
LARGER, REGISTERS = PRELOAD / "larger.c", PRELOAD / "registers.c"


def larger(size: int) -> Path:
    """A processor whose XSAVE area has ``size`` bytes, as a library to preload."""
    return built_library(LARGER, SIZE=size)


def processor_flags() -> list[str]:
    """What Linux says of this processor (and the words around it)."""
    return Path("/proc/cpuinfo").read_text().split()


def uml_with(*preload: Path) -> Uml:
    return Uml(kernel=replace(find_kernel(), preload=preload))


@pytest.fixture(scope="module")
def shim() -> Path:
    return built_library(xstate.SHIM)


@pytest.fixture(scope="module")
def amx() -> Path:
    # On a processor that has AMX itself, it has to be larger still.
    return larger(xstate.host_area() + 8192)


@pytest.fixture(scope="module")
def program(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The program that looks at registers."""
    made = tmp_path_factory.mktemp("registers") / "registers"
    subprocess.run(
        ["gcc", "-std=c11", "-O2", "-pthread", "-o", str(made), str(REGISTERS)], check=True
    )
    return made


@pytest.fixture(scope="module")
def registers(program: Path) -> str:
    """Lines of shell that make it /run/registers: its folder is closed to the kernel's account."""
    encoded = base64.encodebytes(program.read_bytes()).decode()
    return f"base64 -d >/run/registers <<'E'\n{encoded}E\nchmod +x /run/registers"


@pytest.mark.parametrize("source", [xstate.SHIM, LARGER, REGISTERS], ids=lambda path: path.stem)
def test_the_compiler_has_nothing_to_say(source: Path, tmp_path: Path) -> None:
    strict = ["-std=c11", "-O2", "-Wall", "-Wextra", "-Werror", "-fPIC", "-pthread"]
    subprocess.run(
        ["gcc", *strict, "-DLIMIT=65536", "-DSIZE=11008", "-c", "-o", tmp_path / "o", source],
        check=True,
    )


class TestShim:
    def test_a_processor_with_amx_is_one_that_uml_dies_of_without_it(self, amx: Path) -> None:
        with pytest.raises(LabDied) as died:
            uml_with(amx).run("true")
        assert str(died.value) == (
            "the UML kernel panicked at its first process: Attempted to kill init! "
            "exitcode=0x0000000b; userspace - ptrace set fp regs failed, errno = 14"
        )

    @pytest.mark.parametrize("processor", ["this", "larger"])
    def test_registers_survive_a_switch_to_another_process_and_thread(
        self, shim: Path, amx: Path, registers: str, processor: str
    ) -> None:
        """`larger` ends the kernel if bits that it doesn't know go to another process."""
        lab = uml_with(shim, *([amx] if processor == "larger" else []))
        result = lab.run(f"{registers}\n/run/registers")
        assert (result.status, result.stderr) == (0, "")
        best = next((name for name in ("avx512f", "avx") if name in processor_flags()), "sse")
        assert result.stdout == best.removesuffix("f") + "\n"

    def test_without_the_shim_they_do_as_well_where_uml_has_room(self, registers: str) -> None:
        result = Uml().run(f"{registers}\n/run/registers")
        assert (result.status, result.stderr) == (0, "")

    def test_a_shim_that_writes_back_too_little_is_noticed(self, registers: str) -> None:
        """Nothing beyond SSE: the program that looks at registers fails, or else could not."""
        lab = uml_with(built_library(xstate.SHIM, COMPONENTS=2))
        try:
            # The shell, too, may stumble over them: glibc copies with the widest registers.
            failed = lab.run(f"{registers}\n/run/registers").status != 0
        except LabDied:
            failed = True
        assert failed == ("avx" in processor_flags())

    def test_much_work_goes_on_with_it(self, shim: Path, amx: Path) -> None:
        result = uml_with(shim, amx).run(
            """
            ip link add ifb0 type ifb
            tc qdisc add dev ifb0 root plug limit 1000000
            for i in 1 2 3 4 5 6 7 8; do sh -c 'echo $$; kill -USR1 $$' | cat & done
            wait
            python3 -c '
from threading import Thread
for _ in range(9):
    Thread(target=sum, args=([1],)).start()
'
            tc qdisc show dev ifb0
            """
        )
        assert result.status == 0, result.stderr
        assert "qdisc plug" in result.stdout

    def test_an_area_that_is_larger_still_is_told_in_the_panics_line(self, shim: Path) -> None:
        with pytest.raises(LabDied) as died:
            uml_with(shim, larger(xstate.LIMIT)).run("true")
        (line,) = str(died.value).splitlines()
        assert "xstate: the host's XSAVE area is larger than the lab's shim handles" in line


class TestAmxInside:
    @pytest.mark.parametrize("forced", [False, True], ids=["as it is", "with the shim"])
    def test_a_process_inside_is_refused_it(self, shim: Path, forced: bool) -> None:
        """ARCH_REQ_XCOMP_PERM for the tiles; then the process has no more than it had."""
        ask = """
import ctypes
libc = ctypes.CDLL(None, use_errno=True)
arch_prctl, get, request, request_guest, tiles = 158, 0x1022, 0x1023, 0x1025, 18
granted = ctypes.c_uint64(0)
for option in (request, request_guest):
    print(libc.syscall(arch_prctl, option, tiles), end=" ")
libc.syscall(arch_prctl, get, ctypes.byref(granted))
print(granted.value >> tiles & 1)
"""
        lab = uml_with(shim) if forced else Uml()
        assert lab.run(["python3", "-c", ask]).stdout == "-1 -1 0\n"

    def test_an_instruction_of_it_ends_the_process_and_not_the_kernel(
        self, shim: Path, registers: str
    ) -> None:
        result = uml_with(shim).run(f"{registers}\n/run/registers amx || echo $?")
        assert result.stdout == f"{128 + 4}\n"  # SIGILL


class TestChoice:
    @pytest.fixture
    def modules(self, tmp_path: Path) -> Path:
        (tmp_path / "6.1.176").mkdir()
        return tmp_path

    @pytest.fixture
    def processor(self, monkeypatch: pytest.MonkeyPatch) -> Callable[[int], None]:
        """``processor(size)``: from here on, its area has so many bytes."""
        monkeypatch.delenv(xstate.VARIABLE, raising=False)

        def set_area(size: int) -> None:
            monkeypatch.setattr(xstate, "host_area", lambda: size)

        return set_area

    def build(self) -> Path:
        return Path("shim")

    def test_this_processors_area_is_as_large_as_cpuid_says(self, program: Path) -> None:
        done = subprocess.run([program, "area"], capture_output=True, text=True, check=True)
        assert xstate.host_area() == int(done.stdout)

    @pytest.mark.parametrize(
        ("size", "version", "wish", "expected"),
        [
            (2432, "6.1.176", "auto", ()),
            (2696, "6.1.176", "auto", ()),
            (2704, "6.1.176", "auto", (Path("shim"),)),
            (11008, "6.12.1", "auto", (Path("shim"),)),
            (11008, "6.13.0", "auto", ()),
            (11008, "7.0.3", "auto", ()),
            (11008, "odd", "auto", (Path("shim"),)),
            (2432, "6.1.176", "always", (Path("shim"),)),
            (11008, "6.1.176", "never", ()),
            (1 << 20, "6.1.176", "never", ()),
        ],
    )
    def test_the_shim_is_loaded_where_the_kernel_has_too_little_room(
        self,
        tmp_path: Path,
        processor: Callable[[int], None],
        monkeypatch: pytest.MonkeyPatch,
        size: int,
        version: str,
        wish: str,
        expected: tuple[Path, ...],
    ) -> None:
        (tmp_path / version).mkdir()
        processor(size)
        monkeypatch.setenv(xstate.VARIABLE, wish)
        assert xstate.preload(tmp_path, self.build) == expected

    def test_a_wish_that_is_none_is_refused(
        self, modules: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv(xstate.VARIABLE, "yes")
        with pytest.raises(LabUnavailable, match="REMUSNET_UML_SHIM='yes': it is one of auto"):
            xstate.preload(modules, self.build)

    def test_an_area_that_is_larger_still_is_told_beforehand(
        self, modules: Path, processor: Callable[[int], None]
    ) -> None:
        processor(xstate.LIMIT)
        with pytest.raises(LabUnavailable, match=r"^this processor's XSAVE area has 65,536 bytes"):
            xstate.preload(modules, self.build)

    def test_without_ptrace_the_processors_flags_decide(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def refused(pid: int) -> int:
            raise PermissionError(1, "Operation not permitted")

        monkeypatch.setattr(xstate, "_area_of", refused)
        for flags, area in (("fpu amx_tile", 11008), ("fpu avx", 0)):
            monkeypatch.setattr(xstate, "_cpuinfo", lambda flags=flags: flags)
            assert xstate.host_area.__wrapped__() == area

    def test_without_a_compiler_it_is_said_what_to_install(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("PATH", str(tmp_path))
        with pytest.raises(LabUnavailable, match="isn't on this machine: install gcc and libc6-"):
            built_library(xstate.SHIM, tmp_path)

    def test_a_compiler_without_headers_is_quoted_in_one_line(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        gcc = tmp_path / "gcc"
        gcc.write_text("#!/bin/sh\necho 'x.c:1: fatal error: elf.h: No such file' >&2\nexit 1\n")
        gcc.chmod(0o755)
        monkeypatch.setenv("PATH", str(tmp_path))
        with pytest.raises(LabUnavailable, match=r"said 'x.c:1: fatal error: elf.h.*libc6-dev$"):
            built_library(xstate.SHIM, tmp_path / "cache")
        assert list((tmp_path / "cache").iterdir()) == []

    def test_two_at_once_each_get_a_whole_library_and_a_third_compiles_nothing(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        found: list[Path] = []
        threads = [
            threading.Thread(target=lambda: found.append(built_library(xstate.SHIM, tmp_path)))
            for _ in range(2)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        monkeypatch.setenv("PATH", "/nonexistent")
        assert found == [built_library(xstate.SHIM, tmp_path)] * 2
        assert list(tmp_path.iterdir()) == [found[0]]

    def test_another_source_is_another_library(self, tmp_path: Path) -> None:
        changed = tmp_path / "shim.c"
        changed.write_text(xstate.SHIM.read_text() + "\n")
        assert built_library(changed, tmp_path) != built_library(xstate.SHIM, tmp_path)


class TestScript:
    def run(self, setup: str, *argv: str) -> subprocess.CompletedProcess[str]:
        """``scripts/uml`` after some lines of Python."""
        program = (
            "import runpy, sys\nfrom pathlib import Path\nfrom remusnet.lab import xstate\n"
            f"{setup}\nsys.argv = ['scripts/uml', *sys.argv[1:]]\n"
            f"runpy.run_path({str(SOURCE / 'scripts/uml')!r}, run_name='__main__')"
        )
        return subprocess.run(
            [sys.executable, "-c", program, *argv],
            cwd=SOURCE,
            env={name: value for name, value in os.environ.items() if name != xstate.VARIABLE},
            capture_output=True,
            text=True,
            check=False,
        )

    def test_a_panic_at_the_first_process_is_125_and_one_line(self, amx: Path) -> None:
        fake = f"xstate.preload = lambda *_: (Path({str(amx)!r}),)"
        done = self.run(fake, "true")
        assert (done.returncode, done.stdout) == (125, "")
        (line,) = done.stderr.splitlines()
        assert line.startswith("scripts/uml: true: the UML kernel panicked at its first process: ")
        assert "Call Trace" in self.run(fake, "--console", "true").stderr

    def test_an_area_that_is_larger_still_is_125_and_one_line(self) -> None:
        done = self.run("xstate.host_area = lambda: 70_000", "true")
        assert (done.returncode, done.stdout) == (125, "")
        (line,) = done.stderr.splitlines()
        assert line.startswith("scripts/uml: this processor's XSAVE area has 70,000 bytes, ")

    def test_check_says_what_there_is_and_tries_it(self) -> None:
        done = self.run("", "--check")
        assert (done.returncode, done.stderr) == (0, "")
        assert re.search(r"^registers: +this processor has [\d,]+ bytes", done.stdout, re.M)
        assert re.search(r"^a run of true: +\d+\.\d s$", done.stdout, re.M)


class TestPanicLine:
    def test_a_console_without_a_panic_has_none(self) -> None:
        assert panic_line("booting\nreboot: Power down\n") is None

    def test_what_led_to_it_is_told_and_the_stack_is_not(self) -> None:
        console = (
            "SELinux: deprecated\r\n"
            "ERROR: ld.so: object './preload0.so' from LD_PRELOAD cannot be preloaded: ignored.\n"
            "userspace - ptrace set fp regs failed, errno = 14\n"
            "[    0.1] Kernel panic - not syncing: Attempted to kill init!\r\nCall Trace:\n"
        )
        assert panic_line(console) == (
            "the UML kernel panicked at its first process: Attempted to kill init!; "
            "ERROR: ld.so: object './preload0.so' from LD_PRELOAD cannot be preloaded: ignored.; "
            "userspace - ptrace set fp regs failed, errno = 14"
        )
