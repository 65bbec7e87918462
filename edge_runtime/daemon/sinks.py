"""Where decisions go. One rule: a sink takes a finished decision and never waits for a network."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable, Mapping
from typing import TextIO

from edge_runtime.contract import cbor, topics
from edge_runtime.transport import Letter


class StdoutSink:
    """One JSON line a decision (NDJSON), written a block at a time."""

    def __init__(self, out: TextIO | None = None) -> None:
        self._out = out or sys.stdout
        self._lines: list[str] = []

    def emit(self, line: Mapping[str, object]) -> None:
        """Take one decision."""
        self._lines.append(json.dumps(line, separators=(",", ":")))

    def flush(self) -> None:
        """Write what was taken.

        Raises:
            OSError: nobody reads any more; what Python still holds goes nowhere, so that the exit status stays true.
        """
        if not self._lines:
            return
        text = "\n".join(self._lines) + "\n"
        self._lines.clear()
        try:
            self._out.write(text)
            self._out.flush()
        except OSError:
            nowhere = os.open(os.devnull, os.O_WRONLY)
            os.dup2(nowhere, self._out.fileno())
            os.close(nowhere)
            raise


class MqttSink:
    """The `dec/` topic: QoS 0, dropped and counted while the link is down."""

    def __init__(self, post: Callable[[Letter], None], *, site: str, device: str, stream: str) -> None:
        self._post = post
        self._topic = topics.up(site, device, "dec", stream)

    def emit(self, line: Mapping[str, object]) -> None:
        """Hand one decision to the link thread's queue."""
        self._post(Letter(topic=self._topic, payload=cbor.dumps(dict(line)), qos=0))

    def flush(self) -> None:
        """Nothing waits here."""
