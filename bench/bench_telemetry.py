"""What telemetry costs: bytes and time of a record on the device, CPU time of the consumer that stores it, memory.

record_bytes   of a batch of 32 records with 16 features and 3 scores, as the sampler keeps them of an hour by a
               clock that jitters; the largest of ten
encode_us      `to_bytes` of such a batch, a record; seal_us: from sampled rows to bytes, checks included
summary_bytes  of an hour of 2,812 windows with 20 features and 3 scores as of the field (tests/contract/period.py), the
               largest of ten; summary_200_bytes: of the least period; summary_us: `to_bytes` of it
tally_ns       counting a feature of a window; sketch_ns: its time into the sketch (bench/tally.py)
records_per_s_core    records stored by CPU-seconds of the consumer process, without its start: commits, acks and
               compaction are in it, the broker and the sender are not; the least of `_mosquitto` and `_iotcore`
consumer_rss_  VmRSS of that consumer after 51,200 records, half of those measured, and all of them
lost, duplicated      records, of `lost_of`, after 50 SIGKILLs each of device, broker and consumer at random moments on
               each broker (half of the broker's while no consumer is there), and an hour of outage, a full disk, torn
               tails, clocks a year off and restored images; kills_: the least of a process on one broker
rss_added_mib  the device daemon with a broker by TLS, after it has sent, over the same daemon without one; medians
"""

from __future__ import annotations

import random
import subprocess
import sys
import tempfile
import time
import timeit
from array import array
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from bench import monitor, tally
from bench.bench_daemon import N_WINDOWS, Device, middle
from cloud_trainer.ingest import view
from cloud_trainer.ingest.broker import ProcessBroker, available, open_broker
from cloud_trainer.simulate.watch import cpu_s, rss_mib
from cloud_trainer.tables import Tables
from cloud_trainer.workspace import Workspace
from edge_runtime.contract import topics
from edge_runtime.contract.header import Header
from edge_runtime.contract.packed import PackedBatch
from edge_runtime.sampling import Sampled, Sampler
from tests.contract.period import counted
from tests.durability.rig import Sitting, events
from tests.durability.test_faults import FAULTS
from tests.durability.world import World
from tests.transport.mosquitto import EXECUTABLE, Mosquitto
from tests.transport.test_tls import Authority

ROWS, FEATURES, SCORES, RUNS = 32, 16, 3, 5
KILLS = 50
WINDOWS_OF_HOUR, WINDOW_MS = 2812, 1280
DEVICES, WARM = 50, 1600
MEASURED = {"mosquitto": 32_000, "iotcore": 12_800}  # batches: 1,024,000 records; 200 commits as iotcore waits for each
HEADER = Header(device="pump-7", stream="motor", epoch=0x0123456789ABCDEF, bundle="ab" * 32, program="cd" * 32)


def figures(_results: dict[str, float]) -> dict[str, float]:
    """All of them; a broker that is not here is left out, with a line that says so."""
    found = device_side() | tally.figures()
    for name in ("mosquitto", "iotcore"):
        if name in available():
            found |= ingested(name)
        else:
            print(f"SKIP records_per_s_core_{name}: {name} is not installed")
    rates = [value for key, value in found.items() if key.startswith("records_per_s_core")]
    found |= {"records_per_s_core": min(rates)} if rates else {}
    found |= survived([name for name in ("mosquitto", "iotcore") if name in available()])
    found |= memory_added()
    for key, value in found.items():
        print(f"  {key:<36}{value:>12}")
    return found


def sampled_hour(seed: int = 1) -> list[Sampled]:
    """What the sampler keeps of an hour: three labels, one of them rare."""
    rng = random.Random(seed)  # noqa: S311
    sampler = Sampler(ROWS, epoch=HEADER.epoch, stream="pump-7/motor", n_labels=SCORES)
    for window in range(WINDOWS_OF_HOUR):
        top = rng.random() ** 0.5
        label = rng.choices((0, 1, 2), (60, 38, 2))[0]
        rest = (1 - top) * rng.random()
        sampler.offer(
            window, label, vote=label if rng.random() < 0.9 else rng.randrange(3), margin=abs(top - rest),
            time_ms=1_760_000_000_000 + WINDOW_MS * window + rng.randrange(-3, 4), latency_us=rng.randrange(15, 200),
            features=memoryview(array("f", [rng.gauss(0, 1) for _ in range(FEATURES)])),
            scores=memoryview(array("d", [top, rest, 1 - top - rest])),
        )  # fmt: skip
    return sampler.finish(0)


def batch_of(rows: list[Sampled], header: Header = HEADER, first_seq: int = 412_345) -> PackedBatch:
    """As a period seals it."""
    features, scores = array("f"), array("f")
    for row in rows:
        features.frombytes(row.features)
        scores.frombytes(row.scores)
    return PackedBatch(
        header=header, first_seq=first_seq, clock=1,
        windows=tuple(row.window for row in rows), times_ms=tuple(row.time_ms for row in rows),
        labels=tuple(row.label for row in rows), votes=tuple(row.vote for row in rows),
        reasons=tuple(row.reason for row in rows), probabilities=array("f", [row.probability for row in rows]),
        latencies_us=tuple(row.latency_us for row in rows), features=features, scores=scores,
        n_features=FEATURES, n_scores=SCORES,
    )  # fmt: skip


def survived(names: list[str]) -> dict[str, float]:
    """What of the records is not in the store once; see `tests/durability`."""
    lost = duplicated = made = 0
    kills = Counter[str]()
    for name in names:
        with tempfile.TemporaryDirectory() as folder:
            with Sitting(Path(folder) / "kills", name, consumers=3 if name == "mosquitto" else 1) as sitting:
                sitting.kill_at_random(events(KILLS))
                counted = sitting.finish()
            with World(Path(folder) / "faults", name) as world:
                for fault in FAULTS.values():
                    fault(world)
                    world.settle()
                stored = world.stored()
            kept = set(stored)
        lost += counted.lost + len(world.ledger - kept)
        duplicated += counted.duplicated + len(stored) - len(kept)
        made += counted.made + len(world.ledger)
        kills = Counter({part: min(kills[part] or n, n) for part, n in counted.kills.items()})
    return {"lost": lost, "duplicated": duplicated, "lost_of": made} | {f"kills_{k}": n for k, n in kills.items()}


def device_side() -> dict[str, float]:
    rows = sampled_hour()
    batch = batch_of(rows)
    sizes = [len(batch_of(sampled_hour(seed)).to_bytes()) for seed in range(10)]

    def us(work: Any) -> float:  # the least of many short runs: what else the machine does is nobody's
        return round(min(timeit.repeat(work, number=8, repeat=2000)) / 8 / ROWS * 1e6, 3)

    return {
        "record_bytes": max(sizes) / ROWS,
        "encode_us": us(batch.to_bytes),
        "seal_us": us(lambda: batch_of(rows).to_bytes()),
    } | summary_side()


def summary_side() -> dict[str, float]:
    hours = [counted(WINDOWS_OF_HOUR, seed) for seed in range(10)]
    return {
        "summary_bytes": max(len(hour.to_bytes()) for hour in hours),
        "summary_200_bytes": max(len(counted(200, seed).to_bytes()) for seed in range(10)),
        "summary_us": round(1e6 * min(timeit.repeat(hours[0].to_bytes, number=1, repeat=500))),
    }


# ---- the consumer


def ingested(name: str) -> dict[str, float]:
    """CPU time of a consumer between a store that is warm and one with so many batches more."""
    with tempfile.TemporaryDirectory() as folder, running_broker(name) as broker:
        where = Path(folder)
        options = ["--workspace", folder + "/ws", "--port", str(broker.port)]
        options += [] if broker.shares else ["--no-shared"]
        words = [sys.executable, "-c", CLOUD, "ingest", *options]
        with subprocess.Popen(words, stderr=(where / "log").open("wb"), stdout=subprocess.PIPE) as consumer:
            assert consumer.stdout
            assert consumer.stdout.readline(), (where / "log").read_text()
            ws = Workspace(where / "ws")
            sender = Sender(broker.port)
            sender.send(WARM)
            stored(ws, sender.rows)
            before, rows = cpu_s(consumer.pid), sender.rows
            memory = [rss_mib(consumer.pid)]
            for _ in range(2):
                sender.send(MEASURED[name] // 2)
                stored(ws, sender.rows)
                memory.append(rss_mib(consumer.pid))
            spent_s, rows = cpu_s(consumer.pid) - before, sender.rows - rows
            sender.stop()
            consumer.terminate()
    places = zip(("first", "middle", "last"), memory, strict=True)
    return {f"records_per_s_core_{name}": round(rows / spent_s)} | {
        f"consumer_rss_{place}_{name}_mib": round(mib, 1) for place, mib in places
    }


CLOUD = "import sys; from cloud_trainer.cli import main; sys.exit(main())"


@contextmanager
def running_broker(name: str) -> Iterator[ProcessBroker]:
    broker: Any = open_broker(prefer=name)
    broker.start()
    try:
        yield broker
    finally:
        broker.stop()


class Sender:
    """Batches of `DEVICES` devices by one connection, so many under way as a broker takes."""

    def __init__(self, port: int) -> None:
        import paho.mqtt.client as mqtt
        from paho.mqtt.enums import CallbackAPIVersion

        self.rows = 0
        self._client = mqtt.Client(CallbackAPIVersion.VERSION2, protocol=mqtt.MQTTv5)
        self._client.max_inflight_messages_set(64)
        self._client.connect("127.0.0.1", port)
        self._client.loop_start()
        self._sampled = [sampled_hour(seed) for seed in range(5)]
        self._seq = dict.fromkeys(range(DEVICES), 1)

    def send(self, batches: int) -> None:
        """Publish so many, and return when the broker has them."""
        under_way: list[Any] = []
        for number in range(batches):
            device = number % DEVICES
            header = Header(device=f"d-{device}", stream="motor", epoch=7, bundle="ab" * 32, program="cd" * 32)
            payload = batch_of(self._sampled[number % 5], header, self._seq[device]).to_bytes()
            self._seq[device] += ROWS
            under_way.append(self._client.publish(topics.up("lab", f"d-{device}", "rec", "motor"), payload, qos=1))
            if len(under_way) >= 400:
                under_way.pop(0).wait_for_publish(60)
            self.rows += ROWS
        for one in under_way:
            one.wait_for_publish(60)

    def stop(self) -> None:
        """Disconnect."""
        self._client.disconnect()
        self._client.loop_stop()


def stored(ws: Workspace, rows: int, timeout_s: float = 300) -> None:
    """Return when the store holds so many records, each once."""
    deadline = time.monotonic() + timeout_s
    while not ws.tables.exists("raw_records") or count(ws.tables, "raw_records") < rows:
        assert time.monotonic() < deadline, f"{rows} records were not stored within {timeout_s:g} s"
        time.sleep(0.5)
    assert view.sql(ws, "select count(*) from records").fetchall()[0][0] == rows


def count(tables: Tables, name: str) -> int:
    """Rows of a table, from the ends of its files."""
    return int(tables.sql(f"select count(*) from {name}").fetchall()[0][0])


# ---- the daemon


def memory_added() -> dict[str, float]:
    """VmRSS of the daemon that sends over the one that does not."""
    if EXECUTABLE is None:
        print("SKIP rss_added_mib: mosquitto is not installed (make test SYSTEM=1)")
        return {}
    given = monitor.windows()[0][:N_WINDOWS].tobytes()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        authority = Authority(folder / "authority")
        pem, key = authority.issue("broker")
        extra = f"cafile {authority.path}\ncertfile {pem}\nkeyfile {key}\nrequire_certificate true\n"
        with Mosquitto(folder, extra) as broker:
            kib = []
            for which, is_silent in (("on", False), ("off", True)):
                device = Device(folder / which, "native", "", authority, broker.port, is_silent=is_silent)
                runs = [device.run(folder / "pyc", given) for _ in range(RUNS + 1)][1:]  # the first one compiles
                kib.append(middle(runs, "VmRSS"))
    return {"rss_added_mib": round((kib[0] - kib[1]) / 1024, 2)}
