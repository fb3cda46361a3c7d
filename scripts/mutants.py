"""Switches off one guard of the token path after another, and tells whether a test notices.

    python3 scripts/mutants.py [--target FOLDER] [--only WORD] [--list] [--before "flock FILE"]

The guards are in `scripts/mutants.toml`. The work is done in a copy of the tree, with a target folder of its own, which is
kept when it is named, so that the next run begins warm. For each guard the test that must fail is run; if it passes, so
are all tests of tokens. Exits with 1 if a guard is missed by all of them, does not compile without, or is not in its file
exactly once.
"""

from __future__ import annotations

import argparse
import shlex
import shutil
import subprocess
import sys
import tempfile
import time
import tomllib
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
TABLE = ROOT / "scripts/mutants.toml"

# Whatever else could notice, tried in this order if the named test does not.
FALLBACKS = ["attacks", "lib token::", "answers", "reload"]

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


@dataclass
class Tree:
    """A copy of the sources, and how cargo is called on it."""

    root: Path
    target: Path
    before: list[str]

    def test(self, which: str, *, build_only: bool = False) -> subprocess.CompletedProcess[str]:
        """Builds and runs the tests that `which` names."""
        selector, name = (["--lib"], which[4:]) if which.startswith("lib ") else (["--test", "tests"], which)
        command = ["cargo", "test", "--locked", "--quiet", "--target-dir", str(self.target), *selector]
        build = subprocess.run([*self.before, *command, "--no-run"], cwd=self.root, capture_output=True, text=True)
        if build.returncode != 0 or build_only:
            build.returncode = -1 if build.returncode != 0 else 0
            return build
        try:
            return subprocess.run(
                [*command, name], cwd=self.root, capture_output=True, text=True, timeout=PATIENCE, check=False
            )
        except subprocess.TimeoutExpired:
            return subprocess.CompletedProcess(command, 1, "", "it did not end")


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


def judge(tree: Tree, mutant: Mutant) -> tuple[bool, str]:
    """Whether a test notices, and what is to be said about it."""
    for which in [mutant.by, *FALLBACKS]:
        ended = tree.test(which)
        output = ended.stdout + ended.stderr
        if ended.returncode == -1:
            return False, "does not compile:\n" + "\n".join(output.splitlines()[-30:])
        if ended.returncode != 0:
            how = "lets in" if '("allow", "")' in output else "answers otherwise"
            late = "" if which == mutant.by else f", though not by {mutant.by}"
            return True, f"{how}, noticed by {which}{late}"
        if "0 passed" in output and which == mutant.by:
            return False, f"no test is called {which}"
    return False, "SURVIVES"


def main() -> int:
    """Runs what the arguments ask for; the exit code."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--target", type=Path, help="cargo's target folder, kept")
    parser.add_argument("--only", default="", help="only mutants with this in their name, file or test")
    parser.add_argument("--list", action="store_true", help="check the table and print it")
    parser.add_argument("--before", default="", help="a command to put before each build")
    arguments = parser.parse_args()
    mutants = read_table()
    chosen = [m for m in mutants if arguments.only in f"{m.name} {m.file} {m.by}"]
    for mutant in mutants:
        mutant.apply((ROOT / mutant.file).read_text())
    if arguments.list:
        print("\n".join(f"{m.file}: {m.name} ({m.by})" for m in chosen))
        return 0
    missed = []
    with tempfile.TemporaryDirectory(prefix="toolgate-mutants-") as scratch:
        tree = Tree(Path(scratch) / "tree", arguments.target or Path(scratch) / "target", shlex.split(arguments.before))
        copy_tree(tree.root)
        for which in ["attacks", "lib token::"]:
            if tree.test(which).returncode != 0:
                print(f"the tests {which} fail as it is", file=sys.stderr)
                return 1
        for number, mutant in enumerate(chosen, 1):
            path = tree.root / mutant.file
            whole = path.read_text()
            started = time.monotonic()
            path.write_text(mutant.apply(whole))
            noticed, what = judge(tree, mutant)
            path.write_text(whole)
            mark = "ok  " if noticed else "MISS"
            print(f"{mark} {number:3}/{len(chosen)} {mutant.name}: {what} ({time.monotonic() - started:.0f} s)", flush=True)
            if not noticed:
                missed.append(mutant.name)
    print(f"{len(chosen) - len(missed)} of {len(chosen)} guards are missed when they are gone")
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
