"""Two slots of one stream: the bundle that is confirmed and the one that may replace it.

One rule: what to run is decided by a state record that was written and synced before it is acted on; there are
two, `state.0` and `state.1`, and a write goes to the one that is not in force. Bundles are files named by their digest.

A stream whose two records are both unreadable is EMPTY and takes its factory bundle again (its order version
restarts at 0 with it): a device that starts beats one that does not.
"""

from __future__ import annotations

from enum import StrEnum

from edge_runtime.contract import canonical
from edge_runtime.contract.bundle import Bundle, Keep, unpack
from edge_runtime.errors import ContractError, EdgeloopError, TrustError, UsageError
from edge_runtime.lean import Any, dataclass, field, items_of, replace, sha256
from edge_runtime.update.disk import Disk

FORMAT = "0.1"


class Phase(StrEnum):
    """Where an update stands; derived from a `State`, never stored."""

    EMPTY = "empty"  # no bundle yet
    STEADY = "steady"  # the confirmed bundle runs
    STAGED = "staged"  # another bundle waits for its one trial
    TRIAL = "trial"  # its trial is spent: confirm it, or the next start falls back


class Event(StrEnum):
    """What happens to a stream's slots."""

    INSTALL = "install"  # a verified bundle, another than the confirmed one
    KEEP = "keep"  # an order that changes nothing here
    START = "start"
    CONFIRM = "confirm"
    FALL_BACK = "fall-back"


NEXT: dict[tuple[Phase, Event], Phase] = {
    (Phase.EMPTY, Event.INSTALL): Phase.STEADY,  # the factory bundle: nothing to fall back to
    (Phase.STEADY, Event.INSTALL): Phase.STAGED,
    (Phase.STEADY, Event.KEEP): Phase.STEADY,
    (Phase.STEADY, Event.START): Phase.STEADY,
    (Phase.STEADY, Event.FALL_BACK): Phase.STEADY,  # by command, to the bundle confirmed before
    (Phase.STAGED, Event.INSTALL): Phase.STAGED,  # a newer order replaces what waits
    (Phase.STAGED, Event.KEEP): Phase.STAGED,
    (Phase.STAGED, Event.START): Phase.TRIAL,
    (Phase.STAGED, Event.FALL_BACK): Phase.STEADY,  # also: a newer order wants the confirmed bundle
    (Phase.TRIAL, Event.START): Phase.STEADY,
    (Phase.TRIAL, Event.CONFIRM): Phase.STEADY,
    (Phase.TRIAL, Event.FALL_BACK): Phase.STEADY,
}
# Refused with a UsageError that names both; an order waits until a trial is settled.
REFUSED: frozenset[tuple[Phase, Event]] = frozenset(
    {
        (Phase.EMPTY, Event.KEEP),
        (Phase.EMPTY, Event.START),
        (Phase.EMPTY, Event.CONFIRM),
        (Phase.EMPTY, Event.FALL_BACK),
        (Phase.STEADY, Event.CONFIRM),
        (Phase.STAGED, Event.CONFIRM),
        (Phase.TRIAL, Event.INSTALL),
        (Phase.TRIAL, Event.KEEP),
    }
)


@dataclass(frozen=True, slots=True, kw_only=True)
class State:
    """All that the slots of a stream know.

    Attributes:
        a: digest of the bundle in slot a, None where it is empty.
        b: the same of slot b.
        running: slot of the confirmed bundle, "a" or "b".
        trial: the other slot holds a bundle that is not confirmed.
        attempts: starts of that bundle, 0..1.
        order_version: version of the newest order acted on; never goes back.
        rollout: id of the newest order that named this stream, for the events that answer it.
        counter: number of the record, one more with each change.
        extra: fields of a newer minor format, kept for the program that knows them.
    """

    a: str | None = None
    b: str | None = None
    running: str = "a"
    trial: bool = False
    attempts: int = 0
    order_version: int = 0
    rollout: str = ""
    counter: int = 0
    extra: dict[str, Any] = field(default_factory=dict)

    @property
    def phase(self) -> Phase:
        """Where the update stands."""
        if self.trial:
            return Phase.TRIAL if self.attempts else Phase.STAGED
        return Phase.EMPTY if self.confirmed is None else Phase.STEADY

    @property
    def confirmed(self) -> str | None:
        """Digest of the bundle to run when there is no trial."""
        return self.a if self.running == "a" else self.b

    @property
    def other(self) -> str | None:
        """Digest in the other slot: on trial, or confirmed before."""
        return self.b if self.running == "a" else self.a


@dataclass(frozen=True, slots=True, kw_only=True)
class Started:
    """What `start` found to run.

    Attributes:
        digest: of the bundle.
        bundle: every byte checked against the digest.
        is_trial: confirm it, or the next start falls back.
        fell_back: digest that was given up for it, "" if none.
        rollout: whose order this answers.
    """

    digest: str
    bundle: Bundle
    is_trial: bool
    fell_back: str
    rollout: str


def _with_other(state: State, digest: str | None) -> State:
    """Return *state* with *digest* in the slot that is not running, no trial."""
    if state.running == "a":
        return replace(state, b=digest, trial=False, attempts=0)
    return replace(state, a=digest, trial=False, attempts=0)


def _swapped(state: State) -> State:
    """Return *state* with the other slot confirmed."""
    return replace(state, running="b" if state.running == "a" else "a", trial=False, attempts=0)


def step(state: State, event: Event, digest: str | None = None) -> State:
    """Return the state after *event*; the counter is the writer's. *digest* belongs to INSTALL.

    Raises:
        UsageError: the event does not belong to the phase (`REFUSED`), or there is nothing to fall back to.
    """
    phase = state.phase
    if (phase, event) not in NEXT:
        raise UsageError(f"slots: {event} in phase {phase}", hint="confirm or fall back first")
    after = _with_other(state, None)  # a waiting or started trial is given up, unless:
    if event is Event.KEEP or (phase, event) == (Phase.STEADY, Event.START):
        after = state
    elif event is Event.INSTALL:
        is_first = phase is Phase.EMPTY
        after = replace(state, a=digest) if is_first else replace(_with_other(state, digest), trial=True)
    elif (phase, event) == (Phase.STAGED, Event.START):
        after = replace(state, attempts=1)
    elif event is Event.CONFIRM:
        after = _swapped(state)
    elif (phase, event) == (Phase.STEADY, Event.FALL_BACK):
        if state.other is None:
            raise UsageError("slots: no earlier bundle to fall back to", hint="order one by a rollout")
        after = _with_other(_swapped(state), None)
    return after


def _record(state: State) -> bytes:
    known = items_of(state)
    body = canonical.dumps({**known.pop("extra"), "format": FORMAT, "kind": "slots", **known})
    return sha256(body).hexdigest().encode() + b"\n" + body


def _parse(record: bytes | None, index: int) -> State | None:
    """Return the state in `state.<index>`, None unless it is whole.

    A field that an older minor format lacks has its default, those of a newer one are kept.
    """
    checksum, _, body = (record or b"").partition(b"\n")
    if checksum != sha256(body).hexdigest().encode():
        return None
    found = canonical.loads(body, what=f"state.{index}")
    if not isinstance(found, dict) or str(found.get("format")).partition(".")[0] != "0":
        raise ContractError(
            f"state.{index}: format {found.get('format') if isinstance(found, dict) else found!r}, this build reads 0",
            hint="start the newer program again; nothing was changed",
        )
    known = {name: found.pop(name) for name in items_of(State()) if name in found}
    state = State(**{**known, "extra": {name: found[name] for name in found if name not in ("format", "kind")}})
    return state if state.counter % 2 == index else None


def load(disk: Disk) -> State:
    """Return the state in force; an EMPTY one where no record is whole.

    Raises:
        ContractError: a whole record of a newer format.
    """
    states = [state for i in (0, 1) if (state := _parse(disk.read(f"state.{i}"), i))]
    return max(states, key=lambda state: state.counter, default=State())


def _save(disk: Disk, before: State, after: State) -> State:
    """Make *after* the state in force (unless it is *before*) and return it."""
    if after == before:
        return before
    if after.order_version < before.order_version:
        raise TrustError(f"order version {after.order_version} is older than {before.order_version}")
    after = replace(after, counter=before.counter + 1)
    name = f"state.{after.counter % 2}"
    disk.write(name, _record(after))
    disk.sync(name)
    return after


def bundle_name(digest: str) -> str:
    """Return the file name of a bundle."""
    return f"bundles/{digest}.elb"


def stage(disk: Disk, part: str, digest: str) -> None:
    """Give the verified file *part* its name by digest, durably; it is not yet installed."""
    disk.sync(part)
    disk.rename(part, bundle_name(digest))
    disk.sync(bundle_name(digest))


def install(disk: Disk, digest: str, *, order_version: int, rollout: str = "") -> State:
    """Put a staged bundle on trial. The first one is confirmed at once; the confirmed one just ends what waits.

    Raises:
        TrustError: *order_version* is older than one acted on, or the bundle is not staged.
        UsageError: a trial runs.
    """
    state = load(disk)
    if disk.read(bundle_name(digest)) is None:
        raise TrustError(f"{bundle_name(digest)} is not on this device", hint="let the update child fetch it first")
    event = Event.INSTALL
    if digest == state.confirmed:
        event = Event.FALL_BACK if state.phase is Phase.STAGED else Event.KEEP
    after = step(state, event, digest)
    return _save(disk, state, replace(after, order_version=order_version, rollout=rollout))


def keep(disk: Disk, *, order_version: int) -> State:
    """Note an order that does not name this stream.

    Raises:
        TrustError: *order_version* is older than one acted on.
        UsageError: a trial runs.
    """
    state = load(disk)
    return _save(disk, state, replace(step(state, Event.KEEP), order_version=order_version))


def _whole(disk: Disk, digest: str, keep: Keep | None) -> Bundle:
    """Return the bundle, every byte checked against its digest, with the members to keep."""
    data = disk.read(bundle_name(digest))
    if data is None:
        raise TrustError(f"{bundle_name(digest)} is gone", hint="order the bundle again")
    return unpack(data, digest=digest, keep=keep)


def start(disk: Disk, *, keep: Keep | None = None) -> Started:
    """Return the bundle to run now. A trial is spent by this call; one that was spent before falls back.

    *keep* names the members that it shall hold (`engines.needed_to_run`); None: all.

    A bundle that is no longer whole is given up for the other slot's.

    Raises:
        UsageError: no bundle was installed.
        ContractError, TrustError: no slot holds a whole bundle.
    """
    before = load(disk)
    state = _save(disk, before, step(before, Event.START))
    fell_back = before.other or "" if before.phase is Phase.TRIAL else ""
    while True:
        is_trial = state.phase is Phase.TRIAL
        digest = (state.other if is_trial else state.confirmed) or ""
        try:
            bundle = _whole(disk, digest, keep)
            return Started(digest=digest, bundle=bundle, is_trial=is_trial, fell_back=fell_back, rollout=state.rollout)
        except EdgeloopError:
            if state.other is None:
                raise
        state, fell_back = _save(disk, state, step(state, Event.FALL_BACK)), digest


def confirm(disk: Disk) -> State:
    """Make the running trial the bundle to run from now on."""
    state = load(disk)
    return _save(disk, state, step(state, Event.CONFIRM))


def fall_back(disk: Disk) -> State:
    """Give up the trial, or, where none is, go back to the bundle that was confirmed before."""
    state = load(disk)
    return _save(disk, state, step(state, Event.FALL_BACK))


def collect(disk: Disk) -> list[str]:
    """Delete the bundles and partial downloads that no slot names, and return their names."""
    state = load(disk)
    named = {f"{digest}.elb" for digest in (state.a, state.b) if digest}
    stale = [name for name in disk.names("bundles") if name not in named]
    for name in stale:
        disk.remove(f"bundles/{name}")
    return stale
