"""A program, not a module to import: runs one broker until its standard input closes.

Its one rule: whatever way the parent ends, SIGKILL included, the pipe closes and the broker goes with it.
Usage: `broker_process.py mosquitto|iotcore PROGRAM CONFIG`.
"""

from __future__ import annotations

import os
import subprocess
import sys
import threading


def _mosquitto(program: str, config: str) -> int:
    child = subprocess.Popen([program, "-c", config], stdin=subprocess.DEVNULL)

    def wait_for_parent() -> None:
        sys.stdin.buffer.read()
        child.terminate()

    threading.Thread(target=wait_for_parent, daemon=True).start()
    return child.wait()


def _iotcore(config: str) -> int:
    from iotcore import IotCoreBroker

    def wait_for_parent() -> None:
        sys.stdin.buffer.read()
        os._exit(0)  # rumqttd has no shutdown call

    threading.Thread(target=wait_for_parent, daemon=True).start()
    IotCoreBroker(config_path=config, listen="127.0.0.1", port=1).run_forever()
    return 0


def main() -> int:
    """Exit status of the broker that argv names."""
    name, program, config = sys.argv[1:]
    return _mosquitto(program, config) if name == "mosquitto" else _iotcore(config)


if __name__ == "__main__":
    sys.exit(main())
