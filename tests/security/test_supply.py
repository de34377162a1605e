"""S55, S57 to S59: what is shipped, what importing it does, and how a key is looked up."""

from __future__ import annotations

import ast
import inspect
import json
import re
import subprocess
import sys
import textwrap
import zipfile
from pathlib import Path

import pytest

import bursar
from bursar.identity import keys

ROOT = Path(__file__).parents[2]
PACKAGE = Path(bursar.__file__).parent
LOCKS = sorted((ROOT / "requirements").glob("*.lock"))


@pytest.mark.slow
def test_a_wheel_holds_the_package_and_nothing_that_runs_by_itself(tmp_path: Path) -> None:
    """S57: no .pth, no test, no script of its own at the installation, no file beside the package."""
    subprocess.run(
        [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(tmp_path)],
        cwd=ROOT,
        check=True,
        capture_output=True,
        timeout=120,
    )
    (wheel,) = tmp_path.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        names = set(archive.namelist())
        entry_points = next(archive.read(name).decode() for name in names if name.endswith("entry_points.txt"))
    packaged = {name for name in names if name.startswith("bursar/")}
    meta = {name.split("/", 1)[1] for name in names - packaged}
    assert meta == {"METADATA", "WHEEL", "RECORD", "entry_points.txt", "licenses/LICENSE"}
    source = {
        f"bursar/{path.relative_to(PACKAGE).as_posix()}"
        for path in PACKAGE.rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }
    assert packaged == source
    assert {Path(name).suffix for name in packaged} <= {
        ".py",
        ".sql",
        ".json",
        ".yaml",
        ".typed",
        ".lua",
        ".html",
        ".css",
        ".js",
    }
    assert entry_points.split() == ["[console_scripts]", "bursar", "=", "bursar.cli:main"]


@pytest.mark.parametrize("lock", LOCKS, ids=lambda path: path.stem)
def test_each_locked_package_has_its_hashes(lock: Path) -> None:
    """S58: what pip fetches is the file that was looked at, or nothing."""
    text = re.sub(r"\\\n", " ", lock.read_text(encoding="utf-8"))
    lines = [line for line in text.splitlines() if line.strip() and not line.strip().startswith("#")]
    assert lines
    for line in lines:
        assert re.match(r"[A-Za-z0-9._-]+(?:\[[a-z,]+\])?==\S+ .*--hash=sha256:[0-9a-f]{64}", line), line[:100]
        assert "://" not in line, "a package comes from the index alone"


BY_HAND = {"frameworks"}
"""Its lists are pinned without hashes, some hundreds of packages each: run by hand, and nothing of it reaches a user or
the tests (docs/dependencies.md)."""


def test_every_installation_by_our_scripts_asks_for_hashes() -> None:
    for script in (path for path in (ROOT / "scripts").iterdir() if path.name not in BY_HAND):
        for line in re.sub(r"\\\n", " ", script.read_text(encoding="utf-8")).splitlines():
            if re.search(r"-r \S*requirements/|-r \S+\.lock", line):
                assert "--require-hashes" in line, f"{script.name}: {line.strip()}"


AUDITED = """
import sys
opened, done = [], []
def hook(event, args):
    if event == "open":
        opened.extend(str(args[0]) for _ in (1,) if not isinstance(args[0], int))
    elif event.split(".")[0] in ("socket", "subprocess", "os") and event not in ("os.listdir", "os.scandir"):
        done.append((event, str(args)[:200]))
    elif event.startswith(("urllib", "http.", "ftplib", "smtplib", "winreg", "webbrowser", "ctypes.dlopen")):
        done.append((event, str(args)[:200]))
import os
class Watched(dict):
    def __getitem__(self, key): read.append(key); return dict.__getitem__(self, key)
    def get(self, key, default=None): read.append(key); return dict.get(self, key, default)
    def __iter__(self): read.append("(all of them)"); return dict.__iter__(self)
    def items(self): read.append("(all of them)"); return dict.items(self)
    def copy(self): read.append("(all of them)"); return dict.copy(self)
read = []
os.environ = Watched(os.environ)
os.getenv = os.environ.get
sys.addaudithook(hook)
import importlib
for name in {modules!r}:
    importlib.import_module(name)
import json
print(json.dumps([opened, done, read]))
"""
LIBRARY = [
    "bursar",
    "bursar.errors",
    "bursar.core.ledger",
    "bursar.config.load",
    "bursar.pricing.book",
    "bursar.identity.keys",
    "bursar.stores.sqlite",
    "bursar.wire.openai_chat",
    "bursar.wiring.ledger",
]


def test_importing_the_library_does_nothing_but_read_code(tmp_path: Path) -> None:
    """S59: no network, no process, no sweep through the environment, no file outside of installed code."""
    code = AUDITED.replace("{modules!r}", repr(LIBRARY))
    # Without -B the interpreter itself writes the byte code that a fresh clone has not yet.
    done = subprocess.run(
        [sys.executable, "-I", "-B", "-c", code], cwd=tmp_path, capture_output=True, text=True, timeout=60, check=True
    )
    opened, acts, read = json.loads(done.stdout)
    places = {Path(path).resolve() for path in (sys.prefix, sys.base_prefix, PACKAGE)}
    outside = [path for path in opened if not any(Path(path).resolve().is_relative_to(place) for place in places)]
    assert [path for path in outside if not _is_zone(path)] == []
    assert acts == []
    assert "(all of them)" not in read
    assert not [name for name in read if re.search("KEY|SECRET|TOKEN|PASSWORD|BURSAR", name)]
    assert list(tmp_path.iterdir()) == []


def _is_zone(path: str) -> bool:
    """Time zones are read from the system where it has them."""
    return "zoneinfo" in path or path in ("/etc/localtime", "/dev/urandom")


def test_importing_bursar_itself_loads_next_to_nothing() -> None:
    code = "import sys; import bursar; print(sorted(name for name in sys.modules if name.startswith('bursar')))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout.strip() == "['bursar']"


def test_a_key_is_looked_up_by_its_whole_digest_and_compared_in_constant_time() -> None:
    """S55: a telling time needs a comparison that ends early, or that depends on where a key differs.

    So the shape of the code is what is tested: one digest, one look-up by all of it, one `compare_digest`, whatever
    came; no `==`, no slice and no loop over keys.
    """
    tree = ast.parse(textwrap.dedent(inspect.getsource(keys.Keyring.find)))
    called = [
        node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
        for node in ast.walk(tree)
        if isinstance(node, ast.Call)
    ]
    assert called.count("digest") == 1 and called.count("compare_digest") == 1
    assert not any(isinstance(node, ast.For | ast.While | ast.comprehension | ast.Slice) for node in ast.walk(tree))
    compared = [node for node in ast.walk(tree) if isinstance(node, ast.Compare)]
    assert all(isinstance(op, ast.Is | ast.IsNot) for node in compared for op in node.ops)
    returned = [node for node in ast.walk(tree) if isinstance(node, ast.Return)]
    assert len(returned) == 1, "none leaves early"
