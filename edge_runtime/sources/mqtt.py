"""The mqtt source: frames that others publish on the device's broker. One rule: a message is whole, or it is left out.

A connection of its own, QoS 1, and no session: what was published while it was away is not wanted. A connection that
breaks is a TransportError, so the daemon opens the source anew, with back-off and a gap. What the broker retained is
old and left out. The formats of a payload are in FORMAT.md, section "frames over mqtt".
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence

from edge_runtime.errors import ContractError, TransportError, UsageError
from edge_runtime.sources.block import BlockDecoder
from edge_runtime.sources.cells import BadLine
from edge_runtime.sources.decode import BROKEN_IN_A_ROW, Decoder, RowDecoder
from edge_runtime.sources.formats import check_format, decoder
from edge_runtime.sources.frames import room
from edge_runtime.sources.lines import MAX_LINE_BYTES
from edge_runtime.sources.port import Request, RowField, RowSource, Source, Value
from edge_runtime.sources.raw import RawDecoder
from edge_runtime.transport.link import Endpoint, MqttLink, Tls

STEP_S = 0.2
"""How late a `stop` is seen at most [s]."""
_FORMATS = ("ndjson", "cbor", "f32", "i16")


def open_source(request: Request) -> Source:
    """`mqtt [format=ndjson] TOPIC`, on the broker of device.toml, or of `broker=HOST:PORT`."""
    chosen = check_format(request.options, "ndjson", name="mqtt", allowed=_FORMATS)
    if request.rate_hz is None or request.channels is None:
        raise UsageError("source mqtt: no rate or no channels given", hint="name the channels, and the rate in Hz")
    if chosen == "cbor":
        columns = request.options["columns"].split(",") if "columns" in request.options else None
        return MqttSource(_Subscription(request), BlockDecoder(request.channels, columns), request.rate_hz)
    frames = decoder(request, default="ndjson")
    return MqttSource(_Subscription(request), frames, request.rate_hz)


def open_rows(request: Request, fields: Sequence[RowField]) -> RowSource:
    """`mqtt TOPIC` as rows; NDJSON alone has them."""
    check_format(request.options, "ndjson", name="mqtt", allowed=("ndjson",))
    return MqttRows(_Subscription(request), RowDecoder(request, fields, default="ndjson"))


class _Subscription:
    """Payloads of one topic, until the connection breaks or `is_stopped`."""

    def __init__(self, request: Request) -> None:
        options = request.options
        topic = _topic(request.words)
        host, _, port = options.get("broker", "").rpartition(":")
        if not host or not port.isdecimal():
            raise UsageError(
                f"source mqtt: no broker, or not HOST:PORT: {options.get('broker', '')!r}",
                hint="add [broker] to device.toml, or write: mqtt broker=HOST:PORT TOPIC",
            )
        tls = Tls(ca=options["ca"], cert=options.get("cert"), key=options.get("key")) if "ca" in options else None
        endpoint = Endpoint(
            host=host,
            port=int(port),
            tls=tls,
            session_expiry_s=0,
            connect_timeout_s=5.0,
            max_packet_bytes=MAX_LINE_BYTES,
        )
        client = options.get("client", f"el-source-{os.getpid()}")
        self._link = MqttLink(endpoint, client_id=client, subscriptions=[topic], will=None)
        self._where = f"source mqtt: {host}:{port}"
        self._was_connected = self.is_stopped = False

    @property
    def dropped(self) -> int:
        """Messages that found no room."""
        return self._link.dropped_messages

    def payloads(self) -> list[bytes]:
        """What came within `STEP_S`. TransportError when there is no connection any more, or none could be made."""
        messages = self._link.receive(STEP_S)
        if self._link.trouble or (self._was_connected and not self._link.session()):
            raise TransportError(f"{self._where}: {self._link.trouble or 'lost'}", hint="is the broker there?")
        self._was_connected = bool(self._link.session())
        return [message.payload for message in messages if not message.retain]

    def close(self) -> None:
        self._link.close(1.0)


class MqttSource:
    """Frames of one topic."""

    def __init__(self, subscription: _Subscription, frames: Decoder, rate_hz: float) -> None:
        self._subscription, self._decoder, self._rate_hz = subscription, frames, rate_hz
        self._broken = 0
        self.times: memoryview | None = None
        self.next_frame = 0

    @property
    def channels(self) -> tuple[str, ...]:
        """The column names, in the order of a frame."""
        return self._decoder.channels or ()

    @property
    def rate_hz(self) -> float:
        """The rate that was given [Hz]."""
        return self._rate_hz

    @property
    def counts(self) -> Mapping[str, int]:
        """What was left out: malformed, too_long, and messages dropped."""
        dropped = self._subscription.dropped
        return self._decoder.counts | ({"dropped": dropped} if dropped else {})

    def read(self, out: memoryview) -> int:
        """See `Source.read`."""
        room(out, len(self.channels))
        while not self._subscription.is_stopped:
            n, self.times = self._decoder.queue.take(out)
            if n:
                self.next_frame += n
                return n
            for payload in self._subscription.payloads():
                self._take(payload)
        return 0

    def _take(self, payload: bytes) -> None:
        made = self._decoder
        try:
            if isinstance(made, RawDecoder):
                if len(payload) % made.frame_bytes:
                    raise BadLine(f"{len(payload)} bytes are no whole frames of {made.frame_bytes}")  # noqa: TRY301
                made.feed(payload)
            else:
                made.feed(payload if isinstance(made, BlockDecoder) else payload + b"\n")
        except BadLine as why:
            made.counts["malformed"] = made.counts.get("malformed", 0) + 1
            self._broken += 1
            if self._broken >= BROKEN_IN_A_ROW:
                self._broken = 0
                message = f"source mqtt: {BROKEN_IN_A_ROW} messages in a row are of another format; last: {why}"
                raise ContractError(message, hint=f"set format= to one of {', '.join(_FORMATS)}") from None
        else:
            self._broken = 0

    def seek(self, frame: int) -> None:
        """Set the number of the next frame; a live source cannot go back."""
        self.next_frame = frame

    def stop(self) -> None:
        """Make `read` return 0 within `STEP_S`; from any thread."""
        self._subscription.is_stopped = True

    def close(self) -> None:
        """End the connection."""
        self.stop()
        self._subscription.close()


class MqttRows:
    """Rows of one topic."""

    def __init__(self, subscription: _Subscription, rows: RowDecoder) -> None:
        self._subscription, self._decoder = subscription, rows

    def read_rows(self, n: int) -> list[tuple[Value, ...]]:
        """See `RowSource.read_rows`."""
        rows = self._decoder.rows
        while not self._subscription.is_stopped:
            if rows:
                taken = rows[:n]
                del rows[:n]
                return taken
            for payload in self._subscription.payloads():
                self._decoder.feed(payload + b"\n")
        return []

    def stop(self) -> None:
        """Make `read_rows` return [] within `STEP_S`; from any thread."""
        self._subscription.is_stopped = True

    def close(self) -> None:
        """End the connection."""
        self.stop()
        self._subscription.close()


def _topic(words: Sequence[str]) -> str:
    topic = words[0] if len(words) == 1 else ""
    levels = topic.split("/")
    is_filter = all(level in ("+", "#") or not set(level) & set("+#\0") for level in levels)
    if not topic or not is_filter or "#" in levels[:-1]:
        raise UsageError(f"source mqtt: want one topic, got {' '.join(words)!r}", hint="as: mqtt plant/pump-7/accel")
    return topic
