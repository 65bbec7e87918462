"""From the words of a project to a feature program. One rule: every mistake is told with what there is instead."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from edge_runtime.contract.program import FIELD_KINDS, TAPERS, Channel, Field
from edge_runtime.contract.timing import Timing
from edge_runtime.errors import ContractError, UsageError
from edge_runtime.features.draft import Draft
from edge_runtime.features.expand import add_derived, add_features
from edge_runtime.features.shown import FeatureProgram
from edge_runtime.features.spec import Spec, near, parse

KEYS = ("from", "unit", "taper")
Entry = str | Spec
Derived = Entry | Mapping[str, Entry]


def build_program(
    channels: Sequence[Channel],
    *,
    rate_hz: float,
    window_frames: int,
    hop_frames: int,
    features: Sequence[Entry],
    derived: Mapping[str, Derived] | None = None,
    fields: Mapping[str, str] | None = None,
    timing: Timing | None = None,
) -> FeatureProgram:
    """The program of `features` over `channels` and `fields`, checked against the core.

    Args:
        channels: Columns of a frame; none where every record is decided by itself.
        rate_hz: Frames per second, > 0 [Hz].
        window_frames: 2..4096; 1 without channels.
        hop_frames: 1..window_frames.
        features: Each `op`, `op(param,...)`, or with `glob:` before it for the channels it is for (without: every
            channel). "acc_*:band_power(0.5,4)" gives "acc_x.band_power(0.5,4)", one a channel, in the channels' order.
            "acc_x,acc_y:correlation" is of two channels. "acc_x:lowpass(5,0.7071)|rms" is the rms of a derived channel.
            "colour:one_hot(red,green)" is of a field, one feature a word; "mic:mfcc(0..12,40,512,256)" are 13.
        derived: Name -> "mag" = "acc_x,acc_y,acc_z:magnitude", "slow" = "mag:lowpass(5,1)": channels (or fields) that
            the features read as any other. Or {"from": "mag:lowpass(5,1)", "unit": "g", "taper": "hann"}.
        fields: Name -> "number" or "text": columns of a record.
        timing: What gaps in the times of frames mean; None: times are ignored.

    Raises:
        UsageError: Names the entry, what is wrong with it and what there is.
    """
    try:
        draft = Draft(channels, [Field(name=name, kind=kind) for name, kind in (fields or {}).items()])
    except ContractError as why:
        raise UsageError(str(why), hint=f"a field is one of: {', '.join(FIELD_KINDS)}") from why
    for name, entry in (derived or {}).items():
        _derive(draft, name, entry)
    for each in features:
        add_features(draft, parse(each) if isinstance(each, str) else each)
    return draft.program(rate_hz=rate_hz, window_frames=window_frames, hop_frames=hop_frames, timing=timing)


def _derive(draft: Draft, name: str, entry: Derived) -> None:
    values: dict[str, Any] = {"from": entry} if isinstance(entry, str | Spec) else dict(entry)
    for key in values:
        if key not in KEYS:
            raise UsageError(f"derived {name}: unknown key {key!r}{near(key, KEYS)}", hint=f"known: {', '.join(KEYS)}")
    if "from" not in values:
        raise UsageError(f"derived {name}: `from` is missing", hint='write e.g. from = "acc_x:lowpass(5,0.7071)"')
    taper = values.get("taper", "none")
    if taper not in TAPERS:
        raise UsageError(f"derived {name}: taper {taper!r}{near(taper, TAPERS)}", hint=f"one of: {', '.join(TAPERS)}")
    source = values["from"]
    spec = source if isinstance(source, Spec) else parse(source, what=f"derived {name} =")
    add_derived(draft, name, spec, unit=values.get("unit"), taper=taper)
