"""A source in a file of the user's own: `my_source.py:MySource WORD ...`. One rule: it is only called.

`MySource(words, *, rate_hz, channels)` gives a `Source` (see `port`); a class attribute `is_live = False` says that it
can go back as a recording can. The file runs with the rights of the daemon: only who writes device.toml names it.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path

from edge_runtime.errors import ContractError, EdgeloopError, UsageError
from edge_runtime.lean import Any
from edge_runtime.sources.port import Request, Source

PORT = ("channels", "rate_hz", "read", "seek", "stop", "close")


def open_source(request: Request) -> Source:
    """The source that the file makes, checked for the names of the port."""
    made = factory(request.name)
    try:
        source: Source = made(list(request.words), rate_hz=request.rate_hz, channels=request.channels)
    except EdgeloopError:
        raise
    except Exception as why:
        raise ContractError(
            f"source {request.name}: {type(why).__name__}: {why}", hint="it is called (words, *, rate_hz, channels)"
        ) from why
    missing = [name for name in PORT if not hasattr(source, name)]
    if missing:
        raise ContractError(
            f"source {request.name}: has no {', '.join(missing)}", hint=f"a source has: {', '.join(PORT)}"
        )
    if request.channels is not None and tuple(source.channels) != request.channels:
        raise ContractError(
            f"source {request.name}: has channels {', '.join(source.channels)}, not {', '.join(request.channels)}",
            hint="give the channels that were asked for, in their order",
        )
    return source


@lru_cache(maxsize=16)
def factory(name: str) -> Callable[..., Any]:
    """What `FILE.py:NAME` names; the file is run once.

    Raises:
        UsageError: There is no such file, it fails, or has no such name.
    """
    file, _, attribute = name.rpartition(":")
    path = Path(file)
    if not path.is_file():
        raise UsageError(f"source {name}: no file {path}", hint="name it beside device.toml")
    spec = spec_from_file_location(f"edgeloop_source_{path.stem}", path)
    if spec is None or spec.loader is None:
        raise UsageError(f"source {name}: {path} is no Python file", hint="name a .py file")
    module = module_from_spec(spec)
    try:
        spec.loader.exec_module(module)
        made: Callable[..., Any] = getattr(module, attribute)
    except Exception as why:
        raise UsageError(
            f"source {name}: {type(why).__name__}: {why}", hint="run the file by itself to see why"
        ) from why
    return made
