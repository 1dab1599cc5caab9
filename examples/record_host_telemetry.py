"""Record telemetry with faults
============================

Record data like those of ``timesad.datasets.load_host_telemetry`` on your own machine.

A small hash service serves requests on the loopback interface. A load generator repeats a cycle of 8 s. Every third
cycle the service runs a compaction, so there is a second period of 24 s. A batch job flushes a file to disk in each
cycle. The recorder reads the counters of the host and the service five times a second.

The first half has no faults. In the second half faults are injected one after the other, with pauses. A row has the
label 1 exactly while a fault is on.

*Obvious* faults leave the normal range of a channel: a CPU hog, memory growth, a flood of disk writes, a storm of
context switches. *Contextual* faults keep every channel in its normal range: a load cycle that is skipped, twice as
fast, or shifted by half a cycle; a flat load; the latency of the peak in the valley; a missing batch job.

Run ``python examples/record_host_telemetry.py --minutes 44 --out host_telemetry.csv.gz`` for a full recording. It needs
psutil and a machine without other load. ``--minutes 0.5`` is a short trial. ``--seed`` fixes the faults.
"""

from __future__ import annotations

import argparse
import gzip
import hashlib
import http.client
import json
import math
import multiprocessing as mp
import os
import random
import sys
import tempfile
import threading
import time
from dataclasses import asdict, dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from queue import Empty, SimpleQueue

import psutil

SAMPLE_SECONDS = 0.2  # five rows a second
CYCLE_SECONDS = 8.0  # the load's period: 40 rows
COMPACTION_EVERY = 3  # cycles; the slow period is 120 rows
VALLEY_RATE, PEAK_RATE = 15.0, 110.0  # requests per second
CLIENT_THREADS = 4
HASH_BLOCK = b"timesad" * 9_362  # about 64 KiB
SLOW_SECONDS = 0.006  # added by "latency_wrong": about the difference between valley and peak

OBVIOUS = ("cpu_hog", "memory_growth", "disk_flood", "switch_storm")
CONTEXTUAL = (
    "cycle_skipped",
    "cycle_doubled",
    "cycle_shifted",
    "flat_load",
    "latency_wrong",
    "batch_missing",
)
# First phase and length of each fault, in cycles. A fault is on only while it has an effect, so that labels are true:
# the batch job runs, and queues are shortest, near the end of a cycle.
FAULT_SPANS = {
    "cpu_hog": (0.25, 0.5),
    "memory_growth": (0.5, 0.5),
    "disk_flood": (0.25, 0.5),
    "switch_storm": (0.5, 0.5),
    "cycle_skipped": (0.0, 1.0),
    "cycle_doubled": (0.0, 1.0),
    "cycle_shifted": (0.0, 1.0),
    "flat_load": (0.0, 1.0),
    "latency_wrong": (0.75, 0.5),
    "batch_missing": (0.75, 0.5),
}
CYCLES_BETWEEN = (5, 8)  # smallest and largest number of cycles without a fault between two faults

CHANNELS = (
    "cpu0_percent",
    "cpu1_percent",
    "memory_used_mb",
    "disk_write_mb_per_s",
    "disk_writes_per_s",
    "context_switches_per_s",
    "interrupts_per_s",
    "loopback_kb_per_s",
    "service_cpu_percent",
    "service_memory_mb",
    "request_rate",
    "latency_mean_ms",
    "latency_max_ms",
    "requests_in_flight",
)


@dataclass(frozen=True)
class Fault:
    """One injected fault, in seconds from the start of the recording."""

    kind: str
    start: float
    end: float


def plan_faults(first: float, last: float, seed: int) -> list[Fault]:
    """Faults between the seconds `first` and `last`, each at its phase of the load cycle.

    Every kind occurs once before any occurs twice. No kind follows itself.
    """
    rng = random.Random(seed)
    faults: list[Fault] = []
    cycle = math.ceil(first / CYCLE_SECONDS) + 2
    while True:
        kinds = list(OBVIOUS + CONTEXTUAL)
        rng.shuffle(kinds)
        if faults and kinds[0] == faults[-1].kind:
            kinds.reverse()
        for kind in kinds:
            phase, cycles = FAULT_SPANS[kind]
            fault = Fault(kind, (cycle + phase) * CYCLE_SECONDS, (cycle + phase + cycles) * CYCLE_SECONDS)
            if fault.end > last - CYCLE_SECONDS:
                return faults
            faults.append(fault)
            cycle += math.ceil(phase + cycles) + rng.randint(*CYCLES_BETWEEN)


def load_shape(phase: float) -> float:
    """Normal load, in [0, 1], at a phase in [0, 1): a ramp, a plateau with a dip, a fall."""
    if phase < 0.25:
        return phase / 0.25
    if phase < 0.6:
        return 1.0 - 0.25 * math.sin(math.pi * (phase - 0.25) / 0.35)
    return max(0.0, 1.0 - (phase - 0.6) / 0.2) ** 2


def request_rate(seconds: float, fault: str) -> float:
    """Planned requests per second at a time, with the fault that is on."""
    phase = seconds / CYCLE_SECONDS % 1.0
    shapes = {
        "cycle_skipped": 0.0,
        "cycle_doubled": load_shape(2.0 * phase % 1.0),
        "cycle_shifted": load_shape((phase + 0.5) % 1.0),
        "flat_load": 0.45,
    }
    return VALLEY_RATE + (PEAK_RATE - VALLEY_RATE) * shapes.get(fault, load_shape(phase))


class Board:
    """State that the processes share: zero of the clock, current fault, counters of the load generator."""

    def __init__(self) -> None:
        self.zero = mp.Value("d", 0.0)
        self.stop = mp.Event()
        self.lock = mp.Lock()
        self._fault = mp.Value("i", 0)
        self.completed = mp.Value("i", 0, lock=False)
        self.latency_sum = mp.Value("d", 0.0, lock=False)
        self.latency_max = mp.Value("d", 0.0, lock=False)
        self.in_flight = mp.Value("i", 0, lock=False)

    @property
    def fault(self) -> str:
        return ("", *OBVIOUS, *CONTEXTUAL)[self._fault.value]

    @fault.setter
    def fault(self, kind: str) -> None:
        self._fault.value = ("", *OBVIOUS, *CONTEXTUAL).index(kind)

    def seconds(self) -> float:
        return time.monotonic() - self.zero.value

    def take_requests(self) -> tuple[int, float, float, int]:
        """Completed requests, mean and largest latency in seconds since the last call, and requests in flight."""
        with self.lock:
            completed, total = self.completed.value, self.latency_sum.value
            largest, in_flight = self.latency_max.value, self.in_flight.value
            self.completed.value, self.latency_sum.value, self.latency_max.value = 0, 0.0, 0.0
        return completed, total / max(completed, 1), largest, in_flight


def serve(board: Board, port: mp.Queue) -> None:
    """Run the service: each request hashes some blocks, more of them at a high load."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        disable_nagle_algorithm = True

        def do_GET(self) -> None:
            blocks = int(self.path.rpartition("=")[2])
            for _ in range(blocks):
                digest = hashlib.sha256(HASH_BLOCK).hexdigest()
            if board.fault == "latency_wrong" and board.in_flight.value <= 1:
                time.sleep(SLOW_SECONDS)
            body = json.dumps({"digest": digest, "padding": "x" * 40 * blocks}).encode()
            self.send_response(200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *args: object) -> None:
            """Log nothing: writes of a log would show in the disk channels."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, daemon=True).start()
    port.put(server.server_address[1])
    cache: list[bytes] = []
    compacted = -1
    while not board.stop.wait(0.1):
        cycles = board.seconds() / CYCLE_SECONDS
        cache.append(os.urandom(262_144))  # the cache grows by 2.5 MB/s
        if cycles % COMPACTION_EVERY > COMPACTION_EVERY - 0.1 and int(cycles) != compacted:
            compacted = int(cycles)  # a compaction hashes and empties it
            hashlib.sha256(b"".join(cache)).hexdigest()
            cache.clear()
    server.shutdown()


def generate_load(board: Board, port: int) -> None:
    """Send requests at the planned rate from a few client threads, and record their latencies."""
    tickets: SimpleQueue[int] = SimpleQueue()

    def client() -> None:
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
        while not board.stop.is_set():
            try:
                blocks = tickets.get(timeout=0.5)
            except Empty:
                continue
            with board.lock:
                board.in_flight.value += 1
            begin = time.perf_counter()
            connection.request("GET", f"/hash?blocks={blocks}")
            connection.getresponse().read()
            latency = time.perf_counter() - begin
            with board.lock:
                board.in_flight.value -= 1
                board.completed.value += 1
                board.latency_sum.value += latency
                board.latency_max.value = max(board.latency_max.value, latency)

    for _ in range(CLIENT_THREADS):
        threading.Thread(target=client, daemon=True).start()
    owed = 0.0
    tick = 0.02
    deadline = time.monotonic()
    while not board.stop.is_set():
        rate = request_rate(board.seconds(), board.fault)
        owed += rate * tick
        blocks = 10 + round(30 * (rate - VALLEY_RATE) / (PEAK_RATE - VALLEY_RATE))
        for _ in range(int(owed)):
            tickets.put(blocks)
        owed -= int(owed)
        deadline += tick
        time.sleep(max(0.0, deadline - time.monotonic()))


def run_batch_job(board: Board, folder: str) -> None:
    """Write a file of 3 MB and flush it to disk once per cycle, in the valley."""
    target = Path(folder, "batch.bin")
    done = -1
    while not board.stop.wait(0.05):
        cycles = board.seconds() / CYCLE_SECONDS
        if cycles % 1.0 > 0.85 and int(cycles) != done:
            done = int(cycles)
            if board.fault != "batch_missing":
                flush_to_disk(target, megabytes=3)


def flush_to_disk(target: Path, megabytes: int) -> None:
    with target.open("wb") as stream:
        for _ in range(megabytes):
            stream.write(os.urandom(1_000_000))
            stream.flush()
            os.fsync(stream.fileno())


def hog_cpu(stop: mp.Event) -> None:
    while not stop.is_set():
        for _ in range(50):
            hashlib.sha256(HASH_BLOCK).digest()


def grow_memory(stop: mp.Event) -> None:
    held = []
    while not stop.wait(0.1):
        held.append(os.urandom(3_000_000))


def flood_disk(stop: mp.Event) -> None:
    with tempfile.TemporaryDirectory() as folder:
        while not stop.is_set():
            flush_to_disk(Path(folder, "flood.bin"), megabytes=4)


def storm_switches(stop: mp.Event) -> None:
    """Pass a token between two threads: thousands of context switches per second, little CPU."""
    ping, pong = threading.Semaphore(1), threading.Semaphore(0)

    def hand_over(mine: threading.Semaphore, theirs: threading.Semaphore) -> None:
        while not stop.is_set():
            if mine.acquire(timeout=0.1):
                time.sleep(0.0002)
                theirs.release()

    other = threading.Thread(target=hand_over, args=(pong, ping), daemon=True)
    other.start()
    hand_over(ping, pong)
    other.join()


FAULT_PROCESSES = {
    "cpu_hog": hog_cpu,
    "memory_growth": grow_memory,
    "disk_flood": flood_disk,
    "switch_storm": storm_switches,
}


class FaultSwitch:
    """Turns the planned faults on and off."""

    def __init__(self, board: Board, faults: list[Fault]) -> None:
        self.board, self.faults = board, faults
        self._process: mp.Process | None = None
        self._stop = mp.Event()

    def update(self, seconds: float) -> str:
        due = next((f.kind for f in self.faults if f.start <= seconds < f.end), "")
        if due != self.board.fault:
            self._end()
            self.board.fault = due
            if due in FAULT_PROCESSES:
                self._stop = mp.Event()
                self._process = mp.Process(target=FAULT_PROCESSES[due], args=(self._stop,), daemon=True)
                self._process.start()
        return due

    def _end(self) -> None:
        if self._process is not None:
            self._stop.set()
            self._process.join(timeout=2.0)
            self._process.kill()
            self._process = None


class Counters:
    """Reads the counters of the host and the service; a row holds rates since the last reading."""

    def __init__(self, service: psutil.Process) -> None:
        self.service = service
        self._before = self._read()

    def _read(self) -> dict[str, float]:
        cpus = psutil.cpu_times(percpu=True)
        busy = [sum(cpu) - cpu.idle - getattr(cpu, "iowait", 0.0) for cpu in (cpus[0], cpus[-1])]
        disk, stats = psutil.disk_io_counters(), psutil.cpu_stats()
        loopback = psutil.net_io_counters(pernic=True).get("lo")
        times = self.service.cpu_times()
        return {
            "time": time.monotonic(),
            "cpu0": busy[0],
            "cpu1": busy[1],
            "disk_bytes": disk.write_bytes if disk else 0,
            "disk_writes": disk.write_count if disk else 0,
            "switches": stats.ctx_switches,
            "interrupts": stats.interrupts,
            "loopback": loopback.bytes_sent if loopback else 0,
            "service_cpu": times.user + times.system,
        }

    def row(self, board: Board) -> list[float]:
        now, before = self._read(), self._before
        self._before = now
        elapsed = now["time"] - before["time"]
        rate = {name: (now[name] - before[name]) / elapsed for name in now}
        completed, latency, largest, in_flight = board.take_requests()
        return [
            100 * rate["cpu0"],
            100 * rate["cpu1"],
            psutil.virtual_memory().used / 1e6,
            rate["disk_bytes"] / 1e6,
            rate["disk_writes"],
            rate["switches"],
            rate["interrupts"],
            rate["loopback"] / 1e3,
            100 * rate["service_cpu"],
            self.service.memory_info().rss / 1e6,
            completed / elapsed,
            1e3 * latency,
            1e3 * largest,
            in_flight,
        ]


def record(minutes: float, seed: int) -> tuple[list[list[float]], list[int], list[Fault]]:
    """Run the experiment; return rows, labels and faults."""
    total = 60.0 * minutes
    faults = plan_faults(total / 2, total, seed)
    board, port = Board(), mp.Queue()
    with tempfile.TemporaryDirectory() as folder:
        service = mp.Process(target=serve, args=(board, port), daemon=True)
        service.start()
        board.zero.value = time.monotonic() + 3.0  # three seconds for all processes to start
        others = [
            mp.Process(target=generate_load, args=(board, port.get()), daemon=True),
            mp.Process(target=run_batch_job, args=(board, folder), daemon=True),
        ]
        for process in others:
            process.start()
        time.sleep(max(0.0, -board.seconds()))
        rows, labels = sample(board, FaultSwitch(board, faults), psutil.Process(service.pid), total)
        board.stop.set()
        for process in (*others, service):
            process.join(timeout=3.0)
    return rows, labels, faults


def sample(
    board: Board, switch: FaultSwitch, service: psutil.Process, total: float
) -> tuple[list[list[float]], list[int]]:
    """Record a row every `SAMPLE_SECONDS`, with the label 1 if a fault was on."""
    counters = Counters(service)
    board.take_requests()
    rows, labels = [], []
    for step in range(1, round(total / SAMPLE_SECONDS) + 1):
        fault = switch.update(board.seconds())
        time.sleep(max(0.0, step * SAMPLE_SECONDS - board.seconds()))
        rows.append(counters.row(board))
        labels.append(int(bool(fault)))
    return rows, labels


def write_csv(path: Path, rows: list[list[float]], labels: list[int]) -> None:
    opener = gzip.open if path.suffix == ".gz" else open
    with opener(path, "wt") as stream:
        stream.write(",".join(("seconds", *CHANNELS, "label")) + "\n")
        for index, (row, label) in enumerate(zip(rows, labels, strict=True)):
            values = ",".join(f"{value:.4g}" if value < 1e4 else f"{value:.0f}" for value in row)
            stream.write(f"{index * SAMPLE_SECONDS:.1f},{values},{label}\n")


def main(argv: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--minutes", type=float, default=44.0, help="length of the recording (default: 44)")
    parser.add_argument("--seed", type=int, default=2026, help="fixes the faults and their order")
    parser.add_argument("--out", type=Path, default=Path("host_telemetry.csv.gz"))
    args = parser.parse_args(argv)
    rows, labels, faults = record(args.minutes, args.seed)
    write_csv(args.out, rows, labels)
    sidecar = args.out.with_name(args.out.name.partition(".")[0] + "_faults.json")
    sidecar.write_text(json.dumps([asdict(fault) for fault in faults], indent=1) + "\n")
    sys.stdout.write(f"{len(rows)} rows, {len(faults)} faults, {sum(labels)} faulty rows -> {args.out}\n")


if __name__ == "__main__":
    main()
