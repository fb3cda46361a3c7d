"""How fast toolgate is: one core of it against a bare server on the same core, loaded alike and in turn.

    make bench                        the whole of it, about eight minutes
    make bench ARGS="--rounds 1 --seconds 1"
    make bench ARGS="--only audit"      one part of it: servers, tokens, policies, reload, audit, durable
    make bench ARGS="--tokens 1000000"  and memory after so many different tokens, some minutes more
    make bench ARGS="--records 1000000" and time and memory of reading a trail of so many records

Prints a table and writes target/bench/result.json. What each figure means is in docs/performance.md.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import re
import resource
import shutil
import socket
import statistics
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
WORK = ROOT / "target/bench"
CONFIG = ROOT / "bench/toolgate.yaml"
TOOLGATE = ROOT / "target/release/toolgate"
TOOLS = ROOT / "target/release/examples/bench"
AUDIT = WORK / "audit.jsonl"

GATE, ADMIN, BARE = "127.0.0.1:19191", "127.0.0.1:19192", "127.0.0.1:19193"
AUDITED, UNAUDITED = "127.0.0.1:19194", "127.0.0.1:19195"
PARTS = ["servers", "tokens", "policies", "reload", "audit", "durable"]
METHOD = "/envoy.service.auth.v3.Authorization/Check"
SERVER_CORE, LOAD_CORE = "0", "1"
LOADS = [(1, 32), (8, 32)]
SATURATED = 0.9  # Below it something else held a server back, and its throughput says little about it.
PATIENCE_S = 20.0


@dataclass
class Round:
    """One server under one load for some seconds."""

    requests: int
    per_second: float
    cpu_micros: float
    p50: float
    p99: float
    server_busy: float
    generator_busy: float


@dataclass
class Load:
    """Both servers under one load."""

    connections: int
    streams: int
    toolgate: list[Round] = field(default_factory=list)
    bare: list[Round] = field(default_factory=list)

    def ratio(self, name: str = "per_second") -> float:
        """A figure of toolgate to that of the bare server: the median over the pairs."""
        pairs = zip(self.toolgate, self.bare, strict=True)
        return statistics.median(getattr(a, name) / getattr(b, name) for a, b in pairs)

    def saturated(self) -> bool:
        """Whether both servers were what limited the throughput."""
        busy = [statistics.median(one.server_busy for one in rounds) for rounds in (self.toolgate, self.bare)]
        return min(busy) >= SATURATED


def fail(message: str) -> None:
    sys.exit(f"bench: {message}")


def require_tools() -> None:
    """Linux with two cores, and the load generator, which is installed if that is allowed."""
    if not hasattr(os, "sched_getaffinity") or not {0, 1} <= os.sched_getaffinity(0):
        fail("two cores of a Linux machine are needed: one for the server, one for the load")
    if shutil.which("h2load"):
        return
    install = ["apt-get", "install", "-y", "nghttp2-client"]
    if os.geteuid() != 0 or shutil.which("apt-get") is None or subprocess.run(install).returncode != 0:
        fail(f"h2load is missing; as root: {' '.join(install)}")


def wait_for(address: str) -> None:
    host, port = address.split(":")
    deadline = time.monotonic() + PATIENCE_S
    while time.monotonic() < deadline:
        with contextlib.suppress(OSError), socket.create_connection((host, int(port)), 1):
            return
        time.sleep(0.02)
    fail(f"nothing listens on {address}")


@contextlib.contextmanager
def serving(command: list[str], address: str) -> Iterator[int]:
    """A server on its core. Yields its process id, which is also that of the program: taskset replaces itself."""
    with socket.socket() as probe:
        host, port = address.split(":")
        if probe.connect_ex((host, int(port))) == 0:
            fail(f"{address} is taken")
    process = subprocess.Popen(["taskset", "-c", SERVER_CORE, *command], stdout=subprocess.DEVNULL)
    try:
        wait_for(address)
        yield process.pid
    finally:
        process.terminate()
        process.wait(PATIENCE_S)


def cpu_seconds(pid: int) -> float:
    """User and system time of a process (proc(5): fields 14 and 15 of stat, the second being in parentheses)."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def decisions() -> dict[str, int]:
    """How many decisions toolgate has made, by reason."""
    text = urllib.request.urlopen(f"http://{ADMIN}/metrics", timeout=PATIENCE_S).read().decode()
    counts: dict[str, int] = {}
    for reason, count in re.findall(r'^toolgate_decisions_total\{reason="(\w+)".*\} (\d+)$', text, re.MULTILINE):
        counts[reason] = counts.get(reason, 0) + int(count)
    return counts


def fire(address: str, pid: int, load: Load, seconds: float) -> Round:
    """One round of load."""
    log = WORK / "h2load.tsv"
    log.unlink(missing_ok=True)
    command = ["taskset", "-c", LOAD_CORE, "h2load", f"-D{seconds}", f"-c{load.connections}", f"-m{load.streams}"]
    command += [f"--log-file={log}", f"-d{WORK / 'check.bin'}", "-H", "content-type: application/grpc"]
    command += ["-H", "te: trailers", f"http://{address}{METHOD}"]
    before, own_before = cpu_seconds(pid), children_seconds()
    output = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    cpu, own = cpu_seconds(pid) - before, children_seconds() - own_before
    totals = re.search(r"(\d+) done, (\d+) succeeded, (\d+) failed, (\d+) errored", output)
    if totals is None or totals[1] != totals[2]:
        fail(f"not every request was answered:\n{output}")
    done = int(totals[1])
    micros = sorted(int(line.split("\t")[2]) for line in log.read_text().splitlines())
    return Round(
        requests=done,
        per_second=done / seconds,
        cpu_micros=cpu / done * 1e6,
        p50=micros[len(micros) // 2],
        p99=micros[len(micros) * 99 // 100],
        server_busy=cpu / seconds,
        generator_busy=own / seconds,
    )


def children_seconds() -> float:
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime


def require_allow(address: str = GATE) -> None:
    """h2load does not look at answers, so one is looked at before anything is measured."""
    answer = subprocess.run([TOOLS, "probe", address, WORK], check=True, capture_output=True, text=True).stdout
    if not answer.startswith("allow"):
        fail(f"toolgate answers {answer.strip()!r}, so there is nothing to measure")


def take_records(file: Path = AUDIT) -> int:
    """How many allows were recorded since the last time. The file is emptied, so that the disk does not fill up."""
    records = file.read_bytes().count(b'"decision":"allow"')
    os.truncate(file, 0)
    return records


def require_only_allows(sent: int, recorded: int) -> None:
    """After the load: every decision was an allow, every one is on record, and no request went without."""
    counts = decisions()
    allowed = counts.pop("allow", 0)
    denied = {reason: count for reason, count in counts.items() if count}
    if denied or recorded != allowed or allowed < sent:
        fail(f"{sent} requests, {allowed} allowed, {recorded} on record, others: {denied}")


def measure(rounds: int, seconds: float) -> tuple[list[Load], int]:
    """The loads in turn, toolgate before the bare server in each pair; and how many decisions were made."""
    gate = [str(TOOLGATE), "serve", "--config", str(CONFIG), "--workers", "1"]
    loads = [Load(connections, streams) for connections, streams in LOADS]
    with serving(gate, GATE) as gate_pid, serving([str(TOOLS), "bare", BARE], BARE) as bare_pid:
        require_allow()
        sent, recorded = 1, take_records()
        for load in loads:
            for turn in range(rounds + 1):
                ours = fire(GATE, gate_pid, load, seconds)
                sent, recorded = sent + ours.requests, recorded + take_records()
                theirs = fire(BARE, bare_pid, load, seconds)
                if turn > 0:  # The first pair warms both up.
                    load.toolgate.append(ours)
                    load.bare.append(theirs)
        require_only_allows(sent, recorded)
        return loads, recorded


def tool(*arguments: str | Path) -> str:
    """What a command of the bench program prints; it runs on the server's core."""
    command = ["taskset", "-c", SERVER_CORE, TOOLS, *arguments]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout


def tokens() -> dict[str, object]:
    """What a token costs that was never seen, what one that is remembered, and how long good ones wait while others name unknown keys."""
    storm = subprocess.run([TOOLS, "storm", WORK / "storm"], check=True, capture_output=True, text=True).stdout
    return {
        "cold_micros": json.loads(tool("cold", WORK / "cold")),
        "remembered_micros": json.loads(tool("remembered", WORK / "remembered")),
        "storm_micros": json.loads(storm),
    }


def policies() -> dict[str, object]:
    """What a decision costs by the number of policies, and what it takes to load them."""
    loads = []
    for count, tools in [(10_000, 1_000), (100_000, 1_000), (10_000, 10_000)]:
        tool("policies-of", WORK / "policies", str(count), str(tools))
        loads.append(json.loads(tool("load", WORK / "policies")))
    shutil.rmtree(WORK / "policies")
    decisions = json.loads(tool("policies", WORK / "policies"))
    shutil.rmtree(WORK / "policies")
    return {"policy_loads": loads, "policy_micros": decisions}


def report_policies(figures: dict[str, object]) -> None:
    print("\nCPU of one decision by the number of policies, from the parsed message to the answer, µs")
    micros = dict(figures["policy_micros"])
    unread = micros.pop("unread")
    for series, row in micros.items():
        shown = ", ".join(f"{int(size):,}: {value:.2f}" for size, value in row.items() if size != "ratio")
        print(f"  {series:26} {shown}; ratio {row['ratio']:.3f}")
    print("An argument of 250 KB that no policy reads: the strict reading of the message, and the decision with it, µs")
    for name, row in unread.items():
        print(f"  {name:26} {row['scan']:.1f} and {row['decision']:.1f}, ratio {row['ratio']:.3f}")
    print("Loading: policies, tools, CPU seconds, resident MiB, its peak")
    for row in figures["policy_loads"]:
        print(f"  {row['policies']:7,} {row['tools']:7,} {row['cpu_seconds']:7.2f}", end=" ")
        print(f"{row['resident_mib']:7.0f} {row['peak_mib']:7.0f}")


def report_tokens(figures: dict[str, object]) -> None:
    print("\nCPU of a token that was never seen, µs: all of it, verification, the signature check alone")
    for algorithm, row in figures["cold_micros"].items():
        print(f"  {algorithm:8} {row['cold']:8.2f} {row['verified']:8.2f} {row['raw']:8.2f}", end="   ")
        print(f"beside the check: {row['cold_added']:.2f}, of which verification {row['verified_added']:.2f}")
    remembered = figures["remembered_micros"]
    print("CPU of a whole decision with a remembered token, µs")
    print(f"  signed {remembered['signed']:.2f}, opaque {remembered['opaque']:.2f}, ratio {remembered['ratio']:.3f}")
    quiet, storm = figures["storm_micros"]["quiet"], figures["storm_micros"]["storm"]
    print("A good token, one at a time, µs: alone, and while another thread asks with tokens that name unknown keys")
    print(f"  p50 {quiet['p50']:.1f} and {storm['p50']:.1f}, p99 {quiet['p99']:.1f} and {storm['p99']:.1f},", end=" ")
    print(f"ratio of the p99s {figures['storm_micros']['ratio']:.2f}")


def reload() -> dict[str, object]:
    """How long requests wait while very many policies are reloaded beside them, on both cores."""
    command = [TOOLS, "reload", WORK / "reload"]
    return {"reload_micros": json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)}


def report_reload(figures: dict[str, object]) -> None:
    figures = figures["reload_micros"]
    print(f"\nA request, µs: alone, and during reloads of {figures['policies']:,} policies")
    for row in (figures["one_thread"], figures["each_core"]):
        quiet, reloading = row["quiet"], row["reloading"]
        print(f"  asked on {row['threads']} thread(s): p50 {quiet['p50']:.1f} and {reloading['p50']:.1f},", end=" ")
        print(f"p99 {quiet['p99']:.1f} and {reloading['p99']:.1f}, ratio of the p99s {row['ratio']:.2f}", end=" ")
        print(f"({row['reloads']} reloads, {row['reload_millis']} ms from the change until it held)")


def audited(rounds: int, seconds: float) -> dict[str, object]:
    """What recording costs: throughput with a strict file to that without any record, in turn."""
    file = WORK / "audited.jsonl"
    arguments = [str(CONFIG), str(file)]
    recording = [str(TOOLS), "audited", AUDITED, *arguments]
    silent = [str(TOOLS), "unaudited", UNAUDITED, str(CONFIG), str(WORK / "unaudited.jsonl")]
    loads = [Load(connections, streams) for connections, streams in LOADS]
    with serving(recording, AUDITED) as recording_pid, serving(silent, UNAUDITED) as silent_pid:
        require_allow(AUDITED)
        require_allow(UNAUDITED)
        sent, recorded = 1, take_records(file)
        for load in loads:
            for turn in range(rounds + 1):
                ours = fire(AUDITED, recording_pid, load, seconds)
                sent, recorded = sent + ours.requests, recorded + take_records(file)
                theirs = fire(UNAUDITED, silent_pid, load, seconds)
                if turn > 0:
                    load.toolgate.append(ours)
                    load.bare.append(theirs)
    # What was on its way when a round ended is on record too.
    if recorded < sent:
        fail(f"{sent} requests, and {recorded} on record")
    return {"audit": [summary(load) for load in loads]}


def report_audited(figures: dict[str, object]) -> None:
    print("\nThroughput with every decision in a file (strict), to that of the same server with no records")
    for load in figures["audit"]:
        ratio, cpu = load["throughput_ratio"], load["cpu_ratio"]
        print(f"  {load['connections']} connection(s) x {load['streams']} streams: {ratio:.3f}, so it costs", end=" ")
        print(f"{1 - ratio:.1%}; CPU per request {cpu:.3f} times", "" if load["saturated"] else "(NOT VALID: not saturated)")


def durable() -> dict[str, object]:
    """How long callers wait at a steady rate, with records that wait for the disk and with ones that do not; on both cores."""
    command = [TOOLS, "durable", WORK / "durable"]
    return {"durable_micros": json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)}


def report_durable(figures: dict[str, object]) -> None:
    waits = figures["durable_micros"]
    print(f"\nA decision from when it was due, at {waits['offered']:,} a second, ms: recorded `strict`, and `durable`")
    strict, flushed = waits["strict"], waits["durable"]
    print(f"  p50 {strict['p50'] / 1e3:.2f} and {flushed['p50'] / 1e3:.2f},", end=" ")
    print(f"p99 {strict['p99'] / 1e3:.2f} and {flushed['p99'] / 1e3:.2f};", end=" ")
    print(f"{strict['per_second']:,.0f} and {flushed['per_second']:,.0f} answered a second")


def report_reading(count: int) -> None:
    """Time and memory of the commands that read a trail of so many records. (What the system counts as the peak of a child
    starts with that of this process.)"""
    file = WORK / "trail.jsonl"
    tool("trail", file, str(count))
    print(f"\nReading {count:,} records, {file.stat().st_size / 2**20:,.0f} MiB: seconds, of which CPU, peak of memory in MiB")
    tail = ["tail", str(file)]
    for arguments in [["verify", str(file)], ["stats", str(file)], tail, [*tail, "--principal", "corp:p77", "-n", "1000"]]:
        began = time.monotonic()
        before = children_seconds()
        process = subprocess.Popen([TOOLGATE, "audit", *arguments], stdout=subprocess.DEVNULL)
        peak = 0
        while process.poll() is None:
            peak = max(peak, peak_kib(process.pid))
            time.sleep(0.002)
        took, cpu = time.monotonic() - began, children_seconds() - before
        if process.returncode != 0:
            fail(f"toolgate audit {' '.join(arguments)} failed")
        name = " ".join(["audit", *arguments]).replace(str(file), "FILE")
        print(f"  {name:48} {took:6.2f} {cpu:6.2f} {peak / 1024:6.0f}")
    file.unlink()


def peak_kib(pid: int) -> int:
    """The most resident memory that a process had, as far as it is still there (proc(5): VmHWM)."""
    with contextlib.suppress(OSError):
        found = re.search(r"^VmHWM:\s+(\d+) kB$", Path(f"/proc/{pid}/status").read_text(), re.MULTILINE)
        return int(found[1]) if found else 0
    return 0


def report_memory(count: int) -> None:
    """Memory after very many different tokens: good ones that call one tool or many, of people in few groups or many, and
    ones that name unknown keys. Heavier ones are fewer: it levels off as soon."""
    for share, tools, groups in [(1, 1, 3), (10, 16, 3), (50, 1, 300), (100, 16, 300), (1, 0, 3)]:
        print()
        print(tool("memory", WORK / "memory", str(count // share), str(tools), str(groups)).strip())


def servers(rounds: int, seconds: float) -> dict[str, object]:
    """One core of toolgate against the bare server, and what a decision is made of."""
    steps = json.loads(tool("steps", CONFIG, WORK))
    loads, allowed = measure(rounds, seconds)
    return {"loads": [summary(load) for load in loads], "steps_micros": steps, "allowed": allowed}


def report_servers(figures: dict[str, object]) -> None:
    def median(rounds: list[dict[str, float]], name: str) -> float:
        return statistics.median(one[name] for one in rounds)

    for load in figures["loads"]:
        ratios = [a["per_second"] / b["per_second"] for a, b in zip(load["toolgate"], load["bare"], strict=True)]
        print(f"\n{load['connections']} connection(s) x {load['streams']} streams, {len(ratios)} pairs of rounds")
        print(f"{'':10} {'req/s':>9} {'p50 µs':>8} {'p99 µs':>8} {'CPU µs/req':>11} {'server':>7} {'generator':>10}")
        for name in ("toolgate", "bare"):
            rounds = load[name]
            values = [median(rounds, key) for key in ("per_second", "p50", "p99", "cpu_micros")]
            busy, generator = median(rounds, "server_busy"), median(rounds, "generator_busy")
            shown = f"{values[0]:9,.0f} {values[1]:8,.0f} {values[2]:8,.0f} {values[3]:11.1f}"
            print(f"{name:10} {shown} {busy:7.0%} {generator:10.0%}")
        print(f"throughput {load['throughput_ratio']:.3f} of the bare server's (from {min(ratios):.3f} to {max(ratios):.3f})")
        print(f"CPU per request {load['cpu_ratio']:.2f} times the bare server's")
        if not load["saturated"]:
            print("NOT VALID AS THROUGHPUT: a server had idle time, so the machine or the generator was the limit")
    print("\nCPU of one decision in one thread, µs")
    for step, micros in figures["steps_micros"].items():
        print(f"  {step:40} {micros:7.2f}")
    print(f"\n{figures['allowed']:,} decisions, every one an allow and on record")


def summary(load: Load) -> dict[str, object]:
    ratios = {"throughput_ratio": load.ratio(), "cpu_ratio": load.ratio("cpu_micros"), "saturated": load.saturated()}
    return asdict(load) | ratios


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5, help="pairs of rounds for each load")
    parser.add_argument("--seconds", type=int, default=4, help="length of one round")
    parser.add_argument("--only", nargs="+", choices=PARTS, default=PARTS, help="these parts alone")
    parser.add_argument("--tokens", type=int, default=0, help="different tokens after which memory is looked at")
    parser.add_argument("--records", type=int, default=0, help="records of a trail that is read")
    arguments = parser.parse_args()
    require_tools()
    shutil.rmtree(WORK, ignore_errors=True)
    print(subprocess.run([TOOLS, "prepare", WORK], check=True, capture_output=True, text=True).stdout.strip())
    rounds, seconds = arguments.rounds, arguments.seconds
    measures = {
        "servers": (lambda: servers(rounds, seconds), report_servers),
        "tokens": (tokens, report_tokens),
        "policies": (policies, report_policies),
        "reload": (reload, report_reload),
        "audit": (lambda: audited(rounds, seconds), report_audited),
        "durable": (durable, report_durable),
    }
    result: dict[str, object] = {}
    for part in arguments.only:
        run, report = measures[part]
        figures = run()
        report(figures)
        sys.stdout.flush()
        result |= figures
        (WORK / "result.json").write_text(json.dumps(result, indent=2))
    if arguments.tokens:
        report_memory(arguments.tokens)
    if arguments.records:
        report_reading(arguments.records)
    for large in (*WORK.glob("*.jsonl"), WORK / "h2load.tsv"):
        large.unlink(missing_ok=True)


if __name__ == "__main__":
    main()
