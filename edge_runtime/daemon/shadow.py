"""A bundle that decides beside the one that is obeyed, on the same features. One rule: it costs no more than its model.

It reads what the core has made for the active bundle, so both must have one feature program; its own policy runs over
its own scores. What it decides goes nowhere but into a comparison. Whatever it raises ends it and nothing else.
"""

from __future__ import annotations

from array import array

from edge_runtime.contract import cbor
from edge_runtime.contract.bundle import Bundle
from edge_runtime.contract.event import Event
from edge_runtime.contract.program import Feature, Field, Program
from edge_runtime.engines import Engine, needed_to_run, open_engine, program_of
from edge_runtime.errors import ContractError
from edge_runtime.lean import TYPE_CHECKING, Any, Final, replace
from edge_runtime.native import NAN, RESET, Stream
from edge_runtime.spool import Draft
from edge_runtime.update import slots

if TYPE_CHECKING:
    from pathlib import Path

    from edge_runtime.update import Updater

_NO_FRAMES: Final = array("f")


class Shadow:
    """Life: `refuse_misfit` once, then `differs` for each decision, `finish` at the end of a period.

    Attributes:
        bundle: As loaded; its members are let go of.
        engine: That runs its model.
        nbytes: All that it needs [bytes].
        windows: Compared in this period.
        differ: Those in which the labels differ.

    Raises:
        ContractError: A member is malformed, or no engine here can run it.
    """

    def __init__(self, bundle: Bundle) -> None:
        self.engine: Engine = open_engine(bundle, program=program_of(bundle))
        self.bundle = replace(bundle, members={})
        self.windows = self.differ = 0
        self._pairs: dict[tuple[int, int], int] = {}
        self._policy = Stream(_tick(), bundle.manifest.policy)
        self.nbytes = self.engine.nbytes + self._policy.nbytes
        self.begin()

    def begin(self) -> None:
        """Forget the votes: what was voted before a gap says nothing of the time after it."""
        self._policy = self._policy.anew()
        self._policy.record((0.0,))

    def refuse_misfit(self, active: Bundle) -> None:
        """Raise where it cannot be compared with the active bundle.

        Raises:
            ContractError: Names what differs.
        """
        ours, theirs = self.bundle.manifest, active.manifest
        for what, one, other in (
            ("feature program", ours.program_digest[:12], theirs.program_digest[:12]),
            ("task", ours.task, theirs.task),
            ("labels", ", ".join(ours.labels), ", ".join(theirs.labels)),
        ):
            if one != other:
                raise ContractError(
                    f"shadow {ours.name}: its {what} is {one}, that of the active bundle {other}",
                    hint="export it from the same project and dataset fields, or leave shadow out",
                )
        if ours.task != "labels":
            raise ContractError(f"shadow {ours.name}: it tells {ours.task}, only labels are compared")

    def differs(self, features: memoryview[Any], label: int, *, flags: int) -> bool:
        """Whether its label of this window is another than `label`; a window without a number asks no model."""
        if flags & RESET:
            self.begin()
        if flags & NAN:
            return False
        self._policy.step(_NO_FRAMES, 0, 1)
        mine = self._policy.decide(self.engine.scores(features)).label
        self.windows += 1
        if mine == label:
            return False
        self.differ += 1
        self._pairs[label, mine] = self._pairs.get((label, mine), 0) + 1
        return True

    def finish(self, *, device: str, epoch: int, stream: str, active: str, time_ms: int) -> list[Draft]:
        """The draft of its event of a period, none where nothing was compared; the next one begins."""
        if not self.windows:
            return []
        fields = self._told(active)
        self.windows = self.differ = 0
        self._pairs = {}

        def encode(seq: int) -> bytes:
            return Event(
                device=device, epoch=epoch, seq=seq, stream=stream, time_ms=time_ms, kind="shadow", fields=fields
            ).to_bytes()

        return [Draft(kind="ev", stream="", rows=1, encode=encode)]

    def _told(self, active: str) -> dict[str, str | int]:
        """How often it was asked and differed, and how most often."""
        names = self.bundle.manifest.labels
        fields: dict[str, str | int] = {
            "bundle": self.bundle.digest, "active": active, "windows": self.windows, "differ": self.differ,
        }  # fmt: skip
        if self._pairs:
            (label, mine), n = max(self._pairs.items(), key=lambda item: (item[1], item[0]))
            fields |= {"active_says": _name(names, label), "shadow_says": _name(names, mine), "most": n}
        return fields

    def save(self) -> bytes:
        """Counts and votes, for the checkpoint."""
        pairs = [[*pair, n] for pair, n in self._pairs.items()]
        counts = {"bundle": self.bundle.digest, "windows": self.windows, "differ": self.differ, "pairs": pairs}
        return cbor.dumps({**counts, "votes": self._policy.save()})

    def restore(self, data: bytes) -> None:
        """Go on where `save` stood; of another bundle with nothing.

        Raises:
            ContractError: The bytes are not of `save`.
        """
        match cbor.loads(data, what="checkpoint.shadow"):
            case {"bundle": str(bundle)} if bundle != self.bundle.digest:
                pass
            case {"windows": int(windows), "differ": int(differ), "pairs": [*pairs], "votes": bytes(votes)}:
                self._policy.restore(votes)
                self._policy.record((0.0,))
                self.windows, self.differ = windows, differ
                self._pairs = dict(map(_pair, pairs))
            case _:
                raise ContractError("checkpoint.shadow: want bundle, windows, differ, pairs and votes")


def open_shadow(path: Path, updater: Updater) -> Shadow:
    """The bundle of a file, checked as a factory bundle is, by an updater whose slots nothing else uses.

    Raises:
        EdgeloopError: It is refused, as `Updater.factory` says.
    """
    for left in updater.disk.root.rglob("*"):  # the slots begin empty each time: nothing here is confirmed
        if left.is_file():
            left.unlink()
    updater.factory(path).raise_if_refused()
    return Shadow(slots.start(updater.disk, keep=needed_to_run).bundle)


def _tick() -> Program:
    """A program that makes a window whenever it is asked: the core then runs the policy over scores from outside."""
    return Program(
        rate_hz=1.0, channels=(), window_frames=1, hop_frames=1,
        fields=(Field(name="tick"),), features=(Feature(name="tick", op=2000, channel=0),),
    )  # fmt: skip


def _pair(value: object) -> tuple[tuple[int, int], int]:
    match value:
        case [int(label), int(mine), int(n)]:
            return (label, mine), n
    raise ContractError("checkpoint.shadow: want two labels and how often")


def _name(labels: tuple[str, ...], label: int) -> str:
    return labels[label] if label >= 0 else "abstain"
