"""bytemill names operating systems in one package, `system`, and works without what Windows lacks.

Windows is imitated in a process of its own: modules that Windows lacks are hidden, and `sys.platform`, `os` and
`signal` look as they do there. Paths stay those of this machine.
"""

import ast
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import bytemill
from bytemill.extras import EXTRA_OF

PACKAGE = Path(bytemill.__file__).parent
MODULES = sorted(
    ".".join(("bytemill", *path.relative_to(PACKAGE).with_suffix("").parts)).removesuffix(".__init__")
    for path in PACKAGE.rglob("*.py")
    if path.name != "__main__.py"
)
EXTRAS = tuple(EXTRA_OF)
OPEN_BYTES = ("os", "archive", "gzip")
"""What has an `open` that gives bytes if no mode says otherwise."""
NAMES_OF_SYSTEMS = re.compile(
    r"\bsys\.platform\b|\bos\.name\b|\bplatform\.system\b|(?:/proc|/sys)/"
    r"|\b(?:has|get)attr\((?:os|signal)\b|\bos\.(?:O_(?:NO\w+|BINARY|CLOEXEC)|fork\w*|\w*uid|sysconf|mkfifo|sched_\w+|statvfs)\b"
    r"|^\s*(?:import|from) (?:fcntl|resource|msvcrt|pwd|grp|termios|tty|pty|winreg|ctypes)\b",
    re.MULTILINE,
)

IMITATION = """
import ctypes, fcntl, importlib, os, signal, struct, sys, types

sys.modules.update(dict.fromkeys(EXTRAS))

def importable():
    found = set()
    for name in MODULES:
        try:
            importlib.import_module(name)
            found.add(name)
        except ModuleNotFoundError as error:
            assert error.name.partition(".")[0] in EXTRAS, (name, error)
    return found

here = importable()  # with all modules of other packages, which do not see the imitation
for name in list(sys.modules):
    if name.partition(".")[0] == "bytemill" and name != "bytemill._core":
        del sys.modules[name]

flock = fcntl.flock
msvcrt = types.ModuleType("msvcrt")
msvcrt.LK_NBLCK = 2

def locking(descriptor, mode, n_bytes):
    assert (mode, n_bytes) == (msvcrt.LK_NBLCK, 1)
    assert os.lseek(descriptor, 0, os.SEEK_CUR) == 0
    try:
        flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        raise PermissionError(13, "Permission denied") from None

class Kernel32:
    def __init__(self, name):
        assert name == "kernel32"
        self.GetCurrentProcess = lambda: -1
        self.K32GetProcessMemoryInfo = self.process_memory

    def GlobalMemoryStatusEx(self, status):
        fill(status, struct.pack("<II7Q", 64, 50, 16 << 30, 8 << 30, 0, 0, 0, 0, 0))
        return 1

    @staticmethod
    def process_memory(process, counters, n_bytes):
        assert (process, n_bytes) == (-1, 72)
        fill(counters, struct.pack("<II8Q", 72, 1, 3 << 20, 2 << 20, 0, 0, 0, 0, 0, 0))
        return 1

def fill(pointer, content):
    place = pointer._obj
    assert ctypes.sizeof(place) == len(content)
    assert struct.unpack("<I", bytes(place)[:4]) == (len(content),)
    ctypes.memmove(ctypes.addressof(place), content, len(content))

msvcrt.locking, ctypes.WinDLL = locking, Kernel32
sys.modules.update(dict.fromkeys(["fcntl", "resource", "pwd", "grp", "termios", "tty", "pty", "posix", "readline"]))
sys.modules["msvcrt"] = msvcrt
sys.platform = "win32"
for name in dir(os):
    if name.startswith("O_NO") or name in ("fork", "forkpty", "getuid", "geteuid", "sysconf", "mkfifo", "O_CLOEXEC",
                                           "sched_getaffinity", "killpg", "setsid"):
        delattr(os, name)
os.O_BINARY = 0
for name in ("SIGHUP", "SIGKILL", "SIGUSR1", "SIGUSR2", "SIGALRM"):
    delattr(signal, name)
signal.SIGBREAK = signal.SIGTTIN  # both have the number 21

assert importable() == here, here ^ importable()
"""
IMPORTS = IMITATION + "print(len(here))"
WORK = (
    IMITATION
    + """
from pathlib import Path
from bytemill import Tokenizer, files
from bytemill.data import prepare, verify
from bytemill.data.fetch import _alone
from bytemill.errors import ConfigError
from bytemill.system import locks, memory, processes, processor
from bytemill.system.files import flush_folder, open_descriptor
from bytemill.system.streams import use_utf8

assert memory.total_memory() == 16 << 30 and memory.free_memory() == 8 << 30
assert memory.peak_resident_memory() == 3 << 20
assert processor.usable_cores() >= 1 and not processor.has_spinning_threads()
assert processes.STOP_SIGNALS == (signal.SIGTERM, signal.SIGINT, signal.SIGBREAK)
assert processes.HANG_UP_SIGNALS == (signal.SIGTERM, signal.SIGBREAK)
use_utf8()
assert sys.stdout.encoding == sys.stdin.encoding == "utf-8" and sys.stdout.errors == "replace"

folder = Path("folder with spaces, 北京")
folder.mkdir()
text = folder / "text.txt"
text.write_bytes("the cat sat on the mat, 北京\\r\\n".encode() * 300)
tokenizer = Tokenizer.train(files=[text], vocab_size=300)
tokenizer.save(folder / "tokenizer.json")
assert Tokenizer.load(folder / "tokenizer.json").decode(tokenizer.encode("北京\\r\\n")) == "北京\\r\\n"
prepare(text, folder / "shards", tokenizer=tokenizer, val=0)
verify(folder / "shards")
lines = files.LineFile(folder / "lines", "one\\n")
lines.append("two\\n")
lines.close()
assert (folder / "lines").read_bytes() == b"one\\ntwo\\n"
flush_folder(folder)
os.symlink("lines", folder / "link")
try:
    files.open_to_append(folder / "link")
    raise AssertionError("the link was followed")
except OSError as error:
    assert "is a symbolic link" in str(error)

with files.open_to_append(folder / "lock") as one, files.open_to_append(folder / "lock") as two:
    assert locks.try_lock(one.fileno()) and not locks.try_lock(two.fileno())
with _alone(folder, "data", print):
    pass
print("done")
"""
)
TRAINING = (
    IMITATION
    + """
from pathlib import Path
import torch
from bytemill.errors import ConfigError
from bytemill.train.machine.facts import examine
from bytemill.train.machine.hardware import free_memory_mib, peak_memory_mib
from bytemill.train.run.folder_lock import alone_in
from bytemill.train.signals import StopSignals

with alone_in(Path("run"), others="another run"):
    try:
        with alone_in(Path("run"), others="another run"):
            raise AssertionError("two have the lock")
    except ConfigError as error:
        assert "another run is using this folder" in str(error)
with StopSignals() as signals:
    signal.raise_signal(signal.SIGBREAK)
assert signals.received == signal.SIGBREAK
assert (free_memory_mib(torch.device("cpu")), peak_memory_mib(torch.device("cpu"))) == (8 << 10, 3.0)
assert examine().memory_bytes <= 16 << 30
print("done")
"""
)


def imitated(code: str, folder: Path, absent: tuple[str, ...]) -> str:
    """Run code that begins with the imitation; return what it prints."""
    code = f"EXTRAS, MODULES = {absent!r}, {MODULES!r}\n{code}"
    done = subprocess.run(
        [sys.executable, "-X", "utf8", "-c", code], cwd=folder, capture_output=True, encoding="utf-8", check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_only_one_package_names_operating_systems() -> None:
    named = {
        path.relative_to(PACKAGE).as_posix(): found
        for path in sorted(PACKAGE.rglob("*.py"))
        if "system" not in path.relative_to(PACKAGE).parts
        if (found := NAMES_OF_SYSTEMS.findall(path.read_text(encoding="utf-8")))
    }
    assert named == {}


def test_names_of_operating_systems_are_found() -> None:
    for line in (
        'if sys.platform == "win32":',
        "    import fcntl",
        "from resource import getrusage",
        'Path("/proc/meminfo")',
        'getattr(os, "O_NOFOLLOW", 0)',
        "os.O_NONBLOCK",
        "os.getuid()",
    ):
        assert NAMES_OF_SYSTEMS.search(line), line
    for line in ("import resources", "os.O_RDWR | os.O_CREAT", "a.resource", "os.environ", "platform.platform()"):
        assert not NAMES_OF_SYSTEMS.search(line), line


def without_encoding(tree: ast.AST) -> Iterator[ast.Call]:
    """The calls that would take the encoding of the system's region for text."""
    for call in ast.walk(tree):
        if not isinstance(call, ast.Call) or any(one.arg == "encoding" for one in call.keywords):
            continue
        name = call.func.attr if isinstance(call.func, ast.Attribute) else getattr(call.func, "id", "")
        is_method = isinstance(call.func, ast.Attribute)
        owner = getattr(getattr(call.func, "value", None), "id", "")
        modes = [*call.args, *(one.value for one in call.keywords if one.arg == "mode")]
        is_binary = any(
            isinstance(one, ast.Constant) and re.fullmatch("[rwax+]*b[rwax+]*", str(one.value)) for one in modes
        )
        is_text = any(one.arg in ("text", "universal_newlines") for one in call.keywords)
        if (
            (name in ("read_text", "write_text") and is_method)
            or (name == "open" and not is_binary and owner not in OPEN_BYTES)
            or (name in ("run", "Popen", "check_output") and is_text)
        ):
            yield call


def test_text_is_utf8_everywhere() -> None:
    found = {
        f"{path.relative_to(PACKAGE).as_posix()}:{call.lineno}"
        for path in sorted(PACKAGE.rglob("*.py"))
        for call in without_encoding(ast.parse(path.read_text(encoding="utf-8")))
    }
    assert found == set()


def test_text_of_another_encoding_is_found() -> None:
    for line in (
        "open(p)",
        'p.open("w")',
        "p.read_text()",
        'p.write_text("b")',
        "subprocess.run(c, text=True)",
        "open(b)",
    ):
        assert list(without_encoding(ast.parse(line))), line
    for line in (
        'open(p, "rb")',
        'p.open(mode="xb")',
        "os.open(p, f)",
        "write_text(p, t)",
        'open(p, encoding="ascii")',
    ):
        assert not list(without_encoding(ast.parse(line))), line


def test_every_module_is_imported_without_what_windows_lacks(tmp_path: Path) -> None:
    assert int(imitated(IMPORTS, tmp_path, absent=())) == len(MODULES)


def test_modules_that_need_no_extra_are_too(tmp_path: Path) -> None:
    assert 50 < int(imitated(IMPORTS, tmp_path, absent=EXTRAS)) < len(MODULES)


@pytest.mark.parametrize("absent", [(), EXTRAS], ids=["all extras", "no extras"])
def test_tokenizers_and_shards_work_there(tmp_path: Path, absent: tuple[str, ...]) -> None:
    assert imitated(WORK, tmp_path, absent) == "done\n"


def test_locks_signals_and_memory_of_training_work_there(tmp_path: Path) -> None:
    assert imitated(TRAINING, tmp_path, absent=()) == "done\n"
