"""The port to the broker. One rule: it promises nothing; what must not be lost the courier sends again."""

from __future__ import annotations

from edge_runtime.lean import Protocol, dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Letter:
    """What goes up: topic, payload, QoS 0 or 1, and whether the broker keeps it as the topic's last."""

    topic: str
    payload: bytes
    qos: int = 1
    retain: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Message:
    """What came down; `retain`: the broker had kept it."""

    topic: str
    payload: bytes
    retain: bool = False


class Link(Protocol):
    """One thread uses it; no call waits longer than its time-out plus one connection attempt.

    Attributes:
        trouble: Why there is no connection, "" while there is one or one is being made.
    """

    trouble: str

    def receive(self, timeout_s: float) -> list[Message]:
        """What came down. Moves the traffic on, waits at most `timeout_s`, connects again where need be."""
        ...

    def send(self, letter: Letter) -> bool:
        """Take the letter for sending; False, and nothing done, if not connected or the queue is full."""
        ...

    def session(self) -> int:
        """Number of the present connection, from 1; 0 while there is none."""
        ...

    def backlog(self) -> int:
        """Letters with QoS 1 that the broker has not taken yet. Taken is not kept: see the courier."""
        ...

    def close(self, timeout_s: float) -> None:
        """Say goodbye (the last will, by ourselves) and end the connection."""
        ...
