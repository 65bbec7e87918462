"""MQTT topics. See FORMAT.md section "topics".

One rule: `el/v1/<site>/<device>/<leaf>`, ids `[a-z0-9-]{1,64}`.
"""

from __future__ import annotations

from edge_runtime.contract.checks import ident, one_of
from edge_runtime.errors import ContractError
from edge_runtime.lean import Final, dataclass

ROOT: Final = "el/v1"
STREAM_LEAFS: Final = ("sum", "rec", "raw", "dec")
"""Leafs with a stream behind them: summaries, records, raw windows (by allow-list), decisions (opt-in, QoS 0)."""
DEVICE_LEAFS: Final = ("birth", "state", "ev", "res")
"""Leafs of the device itself; birth and state are retained."""
DOWN_LEAFS: Final = ("ack", "desired")
"""From the cloud; desired is retained."""
VERBS: Final = ("status", "flush", "log", "selftest", "fallback")
"""Commands: leaf `cmd/<verb>`."""
INGEST: Final = tuple(
    f"$share/ingest/{ROOT}/+/+/{leaf}" for leaf in ("rec/+", "raw/+", "sum/+", "ev", "birth", "state")
)
"""What a consumer subscribes to. A broker sends no retained message for a shared subscription."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Topic:
    """A topic taken apart.

    Attributes:
        site: Id.
        device: Id.
        leaf: One of the leafs above, or "cmd/<verb>".
        stream: Id for a leaf of `STREAM_LEAFS`, else "".
    """

    site: str
    device: str
    leaf: str
    stream: str = ""


def up(site: str, device: str, leaf: str, stream: str = "") -> str:
    """The topic that a device publishes to.

    Raises:
        ContractError: An id or leaf is not of the form, or a stream is missing or too many.
    """
    one_of(leaf, "topic.leaf", STREAM_LEAFS + DEVICE_LEAFS)
    if leaf in STREAM_LEAFS:
        return f"{_root(site, device)}/{leaf}/{ident(stream, 'topic.stream')}"
    if stream:
        raise ContractError(f"topic.stream: leaf {leaf!r} has none, got {stream!r}")
    return f"{_root(site, device)}/{leaf}"


def down(site: str, device: str, leaf: str) -> str:
    """The topic that a device listens to.

    Raises:
        ContractError: An id or leaf is not of the form.
    """
    one_of(leaf, "topic.leaf", DOWN_LEAFS + tuple(f"cmd/{verb}" for verb in VERBS))
    return f"{_root(site, device)}/{leaf}"


def parse(topic: str) -> Topic:
    """The parts of `topic`.

    Raises:
        ContractError: It is none of ours.
    """
    parts = topic.split("/")
    if len(parts) not in (5, 6) or "/".join(parts[:2]) != ROOT:
        raise ContractError(f"topic: want {ROOT}/<site>/<device>/<leaf>, got {topic[:200]!r}")
    site, device, leaf, rest = parts[2], parts[3], parts[4], parts[5] if len(parts) == 6 else ""
    found = Topic(site=site, device=device, leaf=leaf, stream=rest)
    if leaf in STREAM_LEAFS + DEVICE_LEAFS:
        made = up(site, device, leaf, rest)
    else:
        found = Topic(site=site, device=device, leaf="/".join(parts[4:]))
        made = down(site, device, found.leaf)
    if made != topic:
        raise ContractError(f"topic: want {made}, got {topic[:200]!r}")
    return found


def _root(site: str, device: str) -> str:
    return f"{ROOT}/{ident(site, 'topic.site')}/{ident(device, 'topic.device')}"
