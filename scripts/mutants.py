"""Switches off one guard of the token path or of the policies after another, and tells whether a test notices.

    python3 scripts/mutants.py [--target FOLDER] [--only WORD] [--list] [--batch N] [--lock FILE]

The guards are in `scripts/mutants.toml`, each with the test that must fail without it. The work is done in a copy of the
tree, with a target folder of its own that is kept when it is named, so that the next run begins warm. Exits with 1 if a
test passes although its guard is gone, if the rest does not compile, or if a guard is not in its file exactly once.

Where a machine is shared, `--lock` holds a file's lock while it compiles, for `--batch` guards at a time.
"""

from __future__ import annotations

import argparse
import contextlib
import fcntl
import json
import shutil
import subprocess
import sys
import tempfile
import time
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
TABLE = ROOT / "scripts/mutants.toml"

# What the attacks alone need of `tests/tests.rs`: most of the time goes into compiling and linking it.
NEEDED = {"attacks", "support"}

# This crate without debug information compiles and links sooner; what it depends on stays as it was built.
LEAN = ["--config", "profile.dev.package.toolgate.debug=0"]

# A mutant may make a test wait for ever.
PATIENCE = 300


@dataclass
class Mutant:
    """One guard, and what switches it off."""

    name: str
    file: str
    old: str
    new: str
    by: str

    def apply(self, text: str) -> str:
        """The file without the guard."""
        found = text.count(self.old)
        if found != 1:
            raise SystemExit(f"{self.name}: its text is {found} times in {self.file}")
        return text.replace(self.old, self.new)

    @property
    def kind(self) -> str:
        """Which binary has the test: the attacks alone, all integration tests, or the unit tests."""
        if self.by.startswith("lib "):
            return "lib"
        return "attacks" if self.by.startswith("attacks::") else "tests"

    @property
    def test(self) -> str:
        """The test's name within its binary."""
        return self.by.removeprefix("lib ")


@dataclass
class Tree:
    """A copy of the sources, and where it is built."""

    root: Path
    target: Path

    def build(self, kind: str, to: Path) -> str:
        """Builds the tests of `kind`, and copies the binary to `to`; what is wrong, or nothing."""
        selector = ["--lib"] if kind == "lib" else ["--test", "tests"]
        command = ["cargo", "test", "--locked", "--no-run", "--message-format=json", "--target-dir", str(self.target)]
        ended = subprocess.run([*command, *LEAN, *selector], cwd=self.root, capture_output=True, text=True, check=False)
        messages = [json.loads(line) for line in ended.stdout.splitlines() if line.startswith("{")]
        if ended.returncode != 0:
            errors = [m["message"]["rendered"] for m in messages if m.get("message", {}).get("level") == "error"]
            return "\n".join(errors) or ended.stderr
        (executable,) = [m["executable"] for m in messages if m.get("executable") and m["profile"]["test"]]
        shutil.copy2(executable, to)
        return ""

    def list_modules(self, *, needed_only: bool) -> None:
        """Writes the list of the integration tests' modules: all, or those that the attacks need."""
        lines = (ROOT / "tests/tests.rs").read_text().splitlines(keepends=True)
        modules = {line: line.removeprefix("mod ").split(";")[0] for line in lines if line.startswith("mod ")}
        kept = [line for line in lines if not needed_only or line not in modules or modules[line] in NEEDED]
        (self.root / "tests/tests.rs").write_text("".join(kept))


@dataclass
class Result:
    """What became of one mutant."""

    mutant: Mutant
    noticed: bool
    what: str


def read_table() -> list[Mutant]:
    """All mutants, in the order of the table."""
    rows = tomllib.loads(TABLE.read_text())["mutant"]
    return [Mutant(row["name"], row["file"], row["from"], row["to"], row["by"]) for row in rows]


def copy_tree(to: Path) -> None:
    """What git knows, as it stands in the folder now."""
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    for name in filter(None, listed.split("\0")):
        source, target = ROOT / name, to / name
        if source.is_file():
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(source, target)


@contextlib.contextmanager
def locked(path: Path | None) -> Iterator[None]:
    """Holds the lock of `path`, if there is one."""
    if path is None:
        yield
        return
    with path.open("a") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def run(tree: Tree, binary: Path, test: str) -> tuple[bool, str]:
    """Whether the test passes, and what it says."""
    try:
        ended = subprocess.run(
            [binary, test], cwd=tree.root, capture_output=True, text=True, timeout=PATIENCE, check=False
        )
    except subprocess.TimeoutExpired:
        return False, "it did not end"
    if "running 0 tests" in ended.stdout:
        raise SystemExit(f"no test is called {test}")
    return ended.returncode == 0, ended.stdout + ended.stderr


def batches(mutants: list[Mutant], size: int) -> Iterator[list[Mutant]]:
    """The mutants whose test is in the same binary, so many at a time."""
    for kind in ["attacks", "tests", "lib"]:
        same = [mutant for mutant in mutants if mutant.kind == kind]
        # Some integration tests run the program itself, which is the one that was built last.
        many = 1 if kind == "tests" else size
        for start in range(0, len(same), many):
            yield same[start : start + many]


def build_batch(tree: Tree, batch: list[Mutant], scratch: Path) -> Iterator[tuple[Mutant, Path, str]]:
    """Builds the tests of each without its guard: the binary, and what is wrong if there is none."""
    tree.list_modules(needed_only=batch[0].kind == "attacks")
    for number, mutant in enumerate(batch):
        path, binary = tree.root / mutant.file, scratch / f"mutant-{number}"
        whole = path.read_text()
        path.write_text(mutant.apply(whole))
        yield mutant, binary, tree.build(mutant.kind, binary)
        path.write_text(whole)


def judge(tree: Tree, mutant: Mutant, binary: Path, problem: str) -> Result:
    """Whether the test that must fail does."""
    if problem:
        return Result(mutant, False, f"does not compile:\n{problem}")
    passes, said = run(tree, binary, mutant.test)
    binary.unlink()
    how = "lets in" if '("allow", "")' in said else "answers otherwise"
    return Result(mutant, not passes, f"SURVIVES {mutant.by}" if passes else f"{how}: {mutant.by}")


def judge_all(tree: Tree, mutants: list[Mutant], scratch: Path, size: int, lock: Path | None) -> Iterator[Result]:
    """Batch after batch, and before the first of each kind the tree as it is, whose tests must pass."""
    seen: set[str] = set()
    for batch in batches(mutants, size):
        kind, whole = batch[0].kind, scratch / "whole"
        is_first = kind not in seen
        seen.add(kind)
        if is_first:
            tree.list_modules(needed_only=kind == "attacks")
            with locked(lock):
                problem = tree.build(kind, whole)
            if problem:
                raise SystemExit(problem)
            tests = {"attacks::"} if kind == "attacks" else {m.test for m in mutants if m.kind == kind}
            for test in sorted(tests):
                passes, said = run(tree, whole, test)
                if not passes:
                    raise SystemExit(f"{test} fails as it is:\n{said}")
        with locked(lock):
            built = list(build_batch(tree, batch, scratch))
        for mutant, binary, problem in built:
            yield judge(tree, mutant, binary, problem)


def main() -> int:
    """Runs what the arguments ask for; the exit code."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--target", type=Path, help="cargo's target folder, kept")
    parser.add_argument("--only", default="", help="only mutants with this in their name, file or test")
    parser.add_argument("--list", action="store_true", help="check the table and print it")
    parser.add_argument("--lock", type=Path, help="a file to lock while compiling")
    parser.add_argument("--batch", type=int, default=10, help="how many to compile under one lock")
    arguments = parser.parse_args()
    mutants = read_table()
    chosen = [m for m in mutants if arguments.only in f"{m.name} {m.file} {m.by}"]
    for mutant in mutants:
        mutant.apply((ROOT / mutant.file).read_text())
    if arguments.list:
        print("\n".join(f"{m.file}: {m.name} ({m.by})" for m in chosen))
        return 0
    done, missed, started = 0, 0, time.monotonic()
    with tempfile.TemporaryDirectory(prefix="toolgate-mutants-") as scratch:
        folder = Path(scratch)
        target = arguments.target.resolve() if arguments.target else folder / "target"
        tree = Tree(folder / "tree", target)
        copy_tree(tree.root)
        for result in judge_all(tree, chosen, folder, arguments.batch, arguments.lock):
            done, missed = done + 1, missed + (not result.noticed)
            mark = "ok  " if result.noticed else "MISS"
            print(f"{mark} {done:3}/{len(chosen)} {result.mutant.name}: {result.what}", flush=True)
    took = time.monotonic() - started
    print(f"{done - missed} of {done} guards are noticed when they are gone ({took:.0f} s)")
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
