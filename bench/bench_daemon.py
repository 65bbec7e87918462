"""What a device pays to run: memory over the bare interpreter, and the time from its start to its first decision.

decide_*       `edge-runtime decide`: a bundle, frames on stdin, lines on stdout; native engine, no telemetry
full_*         `edge-runtime run`: native engine, spool, telemetry by TLS to a broker on this machine, after it has sent
onnxruntime_*  the same with the onnxruntime engine, by its C API; onnxruntime_package_* by its Python package
start_*        from the start of a process to its first line, less that of an interpreter that only says one: CPU time
               of all its threads, as other load is nobody's; `*_wall_ms` by the clock
The bundle is the monitor of `endtoend`. Memory is VmRSS and Private_Dirty, settled, and VmHWM as `*_peak_*`; medians.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path
from statistics import median
from typing import Any

from bench import monitor
from bench.bench_features import CHANNELS
from bench.process import BARE, command, cpu_ms, environment, memory_kib, settled
from cloud_trainer.rollout.keys import public_keys, signer
from edge_runtime.contract import topics
from edge_runtime.contract.ack import Ack
from edge_runtime.contract.brief import read_summary
from edge_runtime.contract.event import Event
from edge_runtime.contract.packed import read_records
from edge_runtime.daemon.service import TRIM_S
from tests.daemon.rig import KEYS
from tests.spool.common import until
from tests.transport.mosquitto import EXECUTABLE, Mosquitto
from tests.transport.test_tls import Authority

N_WINDOWS, RUNS, STARTS = 100, 5, 11
SOURCE = "stdin format=f32 columns=" + ",".join(f"c{i}" for i in range(CHANNELS))
BY_PACKAGE = "import edge_runtime.native as n; n.ort_library = lambda: None; "


def figures(_results: dict[str, float]) -> dict[str, float]:
    """All of them; those that need mosquitto are left out, with a line that says so, where there is none."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        cache, given = folder / "pyc", monitor.windows()[0][:N_WINDOWS].tobytes()
        (folder / "monitor.elb").write_bytes(monitor.bundle(signer=signer(KEYS.release)))
        bare = [settled(BARE, cache, cwd=folder) for _ in range(RUNS)]
        words = command("decide", "monitor.elb", "--source", SOURCE)
        alone = [settled(words, cache, cwd=folder, given=given, n_lines=N_WINDOWS) for _ in range(RUNS)]
        found = over("decide", alone, bare)
        found |= starts("decide_start_to_decision_over_python_", words, cache, folder)
        if EXECUTABLE is None:
            print("SKIP full_*, onnxruntime_*: mosquitto is not installed (make test SYSTEM=1)")
        else:
            found |= daemons(folder, cache, given, bare)
    for key, value in found.items():
        print(f"  {key:<44}{value:>10}")
    return found


def over(name: str, ours: list[Mapping[str, int]], bare: list[Mapping[str, int]]) -> dict[str, float]:
    """Medians over the bare interpreter [MiB]."""
    keys = {"rss": "VmRSS", "private": "Private_Dirty", "peak": "VmHWM"}
    return {
        f"{name}_{key}_over_python_mib": round((middle(ours, field) - middle(bare, field)) / 1024, 2)
        for key, field in keys.items()
    }


def middle(runs: list[Mapping[str, int]], field: str) -> float:
    return median(run[field] for run in runs)


def starts(name: str, words: list[str], cache: Path, folder: Path) -> dict[str, float]:
    """From start to first line, of us and of the bare interpreter in turn [ms]."""
    window = monitor.windows()[0][:1].tobytes()
    cpu: dict[str, list[float]] = {"ours": [], "bare": []}
    wall: dict[str, list[float]] = {"ours": [], "bare": []}
    for _ in range(STARTS):
        for who, each in (("ours", words), ("bare", BARE)):
            before = time.perf_counter()
            with subprocess.Popen(
                each, cwd=folder, env=environment(cache), stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
            ) as process:  # fmt: skip
                assert process.stdin
                assert process.stdout
                if who == "ours":
                    process.stdin.write(window)
                    process.stdin.flush()
                assert process.stdout.readline()
                wall[who].append(1000 * (time.perf_counter() - before))
                cpu[who].append(cpu_ms(process.pid))
                process.stdin.close()
    over = {"ms": cpu, "wall_ms": wall}
    return {f"{name}{key}": round(median(times["ours"]) - median(times["bare"]), 1) for key, times in over.items()}


def daemons(folder: Path, cache: Path, given: bytes, bare: list[Mapping[str, int]]) -> dict[str, float]:
    """The whole daemon, by each engine."""
    found: dict[str, float] = {}
    authority = Authority(folder / "authority")
    pem, key = authority.issue("broker")
    extra = f"cafile {authority.path}\ncertfile {pem}\nkeyfile {key}\nrequire_certificate true\n"
    with Mosquitto(folder, extra) as broker:
        ways = (
            ("full", "native", ""), ("onnxruntime", "onnxruntime", ""),
            ("onnxruntime_package", "onnxruntime", BY_PACKAGE),
        )  # fmt: skip
        for name, engine, patch in ways:
            device = Device(folder / name, engine, patch, authority, broker.port)
            runs = [device.run(cache, given) for _ in range(RUNS + 1)][1:]  # the first installs and compiles
            if name == "full":
                found |= over(name, runs, bare)
                found |= starts("start_to_decision_over_python_", device.words, cache, device.folder)
            else:
                found[f"{name}_rss_mib"] = round(middle(runs, "VmRSS") / 1024, 2)
                found[f"{name}_private_mib"] = round(middle(runs, "Private_Dirty") / 1024, 2)
    return found


class Device:
    """A folder with a device.toml; its daemon sends by TLS, and who listens at the broker is heard.

    With `is_silent` the table of the broker is left out of device.toml: nothing is sent.
    """

    def __init__(
        self, folder: Path, engine: str, patch: str, authority: Authority, port: int, *, is_silent: bool = False
    ) -> None:
        folder.mkdir()
        self.folder, self._port, self._authority, self._is_silent = folder, port, authority, is_silent
        (folder / "monitor.elb").write_bytes(monitor.bundle(engine=engine, signer=signer(KEYS.release)))
        cert, key = authority.issue(f"device-{folder.name}")
        trust = "\n".join(f'{role} = ["{keys[0]}"]' for role, keys in public_keys(KEYS).items())
        pems = f'ca = "{authority.path}"\ncert = "{cert}"\nkey = "{key}"\n'
        broker = "" if is_silent else f'[broker]\nhost = "127.0.0.1"\nport = {port}\n{pems}'
        (folder / "device.toml").write_text(
            f'[device]\nsite = "lab"\nid = "dev"\n[trust]\n{trust}\n{broker}'
            f'[[stream]]\nname = "m"\nsource = "{SOURCE}"\nbundle = "monitor.elb"\n'
            f"period_windows = 20\nperiod_s = 0\ncommit_s = 0.2\n"
        )
        start = patch + "import sys; from edge_runtime.cli import main; sys.exit(main())"
        self.words = [sys.executable, "-c", start, "run", "--config", "device.toml"]

    def run(self, cache: Path, given: bytes) -> Mapping[str, int]:
        """Its memory [KiB] once all windows are decided, and told to a store that has acknowledged."""
        seen: list[str] = []
        listener = self._listener(seen)
        with subprocess.Popen(
            self.words, cwd=self.folder, env=environment(cache), stdin=subprocess.PIPE, stdout=subprocess.PIPE,
            stderr=(self.folder / "log.txt").open("ab"),
        ) as process:  # fmt: skip
            assert process.stdin
            assert process.stdout
            process.stdin.write(given)
            process.stdin.flush()
            for _ in range(N_WINDOWS):
                assert process.stdout.readline(), (self.folder / "log.txt").read_text()
            told = 0 if self._is_silent else N_WINDOWS // 20
            assert until(lambda: seen.count("sum") >= told, 30), f"the broker saw {seen}"
            time.sleep(TRIM_S + 1)  # once more given back, and idle
            found = memory_kib(process.pid)
            process.terminate()
            process.stdin.close()
        listener.disconnect()
        listener.loop_stop()
        return found

    def _listener(self, seen: list[str]) -> Any:
        import paho.mqtt.client as mqtt
        from paho.mqtt.enums import CallbackAPIVersion

        cert, key = self._authority.issue("listener")
        client = mqtt.Client(CallbackAPIVersion.VERSION2, protocol=mqtt.MQTTv5)
        client.tls_set(ca_certs=str(self._authority.path), certfile=cert, keyfile=key)
        client.on_connect = lambda client, *_: client.subscribe("el/#", qos=1)
        client.on_message = lambda client, _, message: seen.append(acknowledged(client, message))
        ready: list[bool] = []
        client.on_subscribe = lambda *_: ready.append(True)
        client.connect("127.0.0.1", self._port)
        client.loop_start()
        assert until(lambda: bool(ready))
        return client


READERS = {"rec": read_records, "sum": read_summary, "ev": Event.from_bytes}


def acknowledged(client: Any, message: Any) -> str:
    """What kind of message it is; a store's acknowledgement goes out."""
    topic = topics.parse(message.topic)
    if topic.leaf in READERS:
        batch: Any = READERS[topic.leaf](message.payload)
        origin = getattr(batch, "header", batch)
        first = batch.first_seq if topic.leaf == "rec" else batch.seq
        last = first + len(batch) - 1 if topic.leaf == "rec" else first
        ack = Ack(epoch=origin.epoch, ranges=((first, last),)).to_bytes()
        client.publish(topics.down(topic.site, topic.device, "ack"), ack, qos=1)
    return topic.leaf
