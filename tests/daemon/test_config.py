"""A wrong key is named, with what would be right."""

from __future__ import annotations

from pathlib import Path

import pytest

from edge_runtime.daemon import load_config
from edge_runtime.daemon.config import CAPTURE, BrokerConfig, DeviceConfig, broker_options
from edge_runtime.errors import UsageError
from edge_runtime.transport.link import client_id

GOOD = """
[device]
site = "lab"
id = "d-1"
[broker]
host = "127.0.0.1"
[budget]
memory_bytes = 100000000
[[stream]]
name = "motor"
source = "playback a.csv 'b c.csv'"
bundle = "m.elb"
"""


def load(tmp_path: Path, text: str) -> object:
    path = tmp_path / "device.toml"
    path.write_text(text, encoding="utf-8")
    return load_config(path)


def test_no_two_connections_to_a_broker_have_one_client_id() -> None:
    """A broker ends the older of two that have: both would come back for ever."""
    broker = BrokerConfig(host="127.0.0.1")
    ids = [client_id("lab", name) for name in ("pump", "pump-main", "pump-main-aux")]
    for device, streams in (("pump", ("main", "main-aux", "capture")), ("pump-main", ("aux", "capture"))):
        config = DeviceConfig(site="lab", id=device)
        ids += [broker_options(config, broker, stream)["client"] for stream in (*streams, CAPTURE)]
    assert len(set(ids)) == len(ids), ids


def test_files_are_found_beside_the_config(tmp_path: Path) -> None:
    path = tmp_path / "device.toml"
    path.write_text(GOOD, encoding="utf-8")
    stream = load_config(path).streams[0]
    assert stream.bundle == str(tmp_path / "m.elb")
    assert stream.source == f"playback {tmp_path}/a.csv '{tmp_path}/b c.csv'"


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ('id = "d-1"', 'id = "D 1"', "device.id"),
        ('id = "d-1"', "", r"\[device\]: id is missing"),
        ('host = "127.0.0.1"', 'host = "127.0.0.1"\nport = 99999', "broker.port: 99999 is outside 1..65535"),
        ("memory_bytes = 100000000", 'memory_bytes = "64M"', "budget.memory_bytes: want int, got '64M'"),
        ("memory_bytes = 100000000", "memory_byte = 5", "unknown key 'memory_byte'"),
        ('name = "motor"', 'name = "motor"\nspeed = -1', "stream.speed: -1.0 is outside"),
        ('name = "motor"', 'name = "motor"\nat_end = "loop"', "'loop' is not one of stop, wait"),
        ('name = "motor"', 'name = "motor"\ndecisions = ["kafka"]', "'kafka' is not one of stdout, mqtt"),
        ("[[stream]]", "[stream]", "1..16"),
        ('name = "motor"', 'name = "motor"\nsample_k = 0', "stream.sample_k: 0 is outside 1..1024"),
        ("'b c.csv'", "'b c.csv", "stream.source: .*No closing quotation"),
        ('host = "127.0.0.1"', 'host = "x"\ncert = "c.pem"\nkey = "k.pem"', "cert and key go together, and with ca"),
        ('host = "127.0.0.1"', 'host = "x"\nca = "ca.pem"', "ca.pem is no file"),
        ("[device]", "[device", "not TOML"),
    ],
)
def test_a_wrong_key_is_named(tmp_path: Path, old: str, new: str, message: str) -> None:
    assert old in GOOD
    with pytest.raises(UsageError, match=message):
        load(tmp_path, GOOD.replace(old, new))


def test_the_files_of_the_broker_are_found_beside_the_config(tmp_path: Path) -> None:
    (tmp_path / "ca.pem").write_text("", encoding="utf-8")
    path = tmp_path / "device.toml"
    path.write_text(GOOD.replace("[budget]", 'ca = "ca.pem"\n[budget]'), encoding="utf-8")
    broker = load_config(path).broker
    assert broker is not None
    assert broker.ca == str(tmp_path / "ca.pem")


def test_an_unknown_key_gets_the_near_one_as_a_hint(tmp_path: Path) -> None:
    with pytest.raises(UsageError) as caught:
        load(tmp_path, GOOD.replace("memory_bytes", "memory_byte"))
    assert caught.value.hint == "did you mean 'memory_bytes'?"


def test_two_streams_of_one_name_are_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="names one stream twice"):
        load(tmp_path, GOOD + '[[stream]]\nname = "motor"\nsource = "host"\n')


def test_decisions_to_a_broker_that_is_not_named_are_refused(tmp_path: Path) -> None:
    text = GOOD.replace('[broker]\nhost = "127.0.0.1"\n', "") + 'decisions = ["mqtt"]\n'
    with pytest.raises(UsageError, match=r"there is no \[broker\]"):
        load(tmp_path, text)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="No such file"):
        load_config(tmp_path / "none.toml")


def test_context_gives_the_facts_of_the_device(tmp_path: Path) -> None:
    text = GOOD + '[context]\nroom = "cellar"\nfloor = -1\narea_m2 = 12.5\n'
    path = tmp_path / "device.toml"
    path.write_text(text, encoding="utf-8")
    assert load_config(path).context == {"room": "cellar", "floor": -1.0, "area_m2": 12.5}
    path.write_text(GOOD, encoding="utf-8")
    assert load_config(path).context == {}


@pytest.mark.parametrize("value", ["true", "[1]", "{ a = 1 }", "2024-01-01"])
def test_a_fact_is_a_number_or_a_text(tmp_path: Path, value: str) -> None:
    with pytest.raises(UsageError, match=r"context\.x: want a number or a text"):
        load(tmp_path, GOOD + f"[context]\nx = {value}\n")


@pytest.mark.parametrize("value", ["nan", "-inf", "1" + "0" * 400])
def test_a_fact_is_a_finite_number(tmp_path: Path, value: str) -> None:
    with pytest.raises(UsageError, match=r"context\.x: want a finite number, got"):
        load(tmp_path, GOOD + f"[context]\nx = {value}\n")


def test_two_streams_on_one_stdin_are_refused(tmp_path: Path) -> None:
    text = GOOD.replace("playback a.csv 'b c.csv'", "stdin format=csv") + '[[stream]]\nname = "n"\nsource = "stdin"\n'
    with pytest.raises(UsageError, match="two streams read stdin"):
        load(tmp_path, text)


def test_an_unknown_source_is_refused_by_the_config(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"stream.source: source 'modbus 1': unknown"):
        load(tmp_path, GOOD.replace("playback a.csv 'b c.csv'", "modbus 1"))
