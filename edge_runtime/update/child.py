"""`python -m edge_runtime.update.child`: everything that touches bytes not yet trusted, in a process of its own.

One rule: one JSON request on stdin, one JSON line on stdout, and a bundle appears under its digest only after the
last check passed. Request fields: `Request`. The exit code is that of the error's class.
"""

from __future__ import annotations

import base64
import errno
import json
import os
import resource
import sys
from pathlib import Path

from edge_runtime.contract.bundle import Bundle, unpack
from edge_runtime.contract.order import Order, OrderStream, Signed
from edge_runtime.errors import BudgetError, ContractError, EdgeloopError, TransportError, TrustError, UsageError
from edge_runtime.lean import Any
from edge_runtime.update.disk import PosixDisk
from edge_runtime.update.fetch import fetch
from edge_runtime.update.inspect import inspect
from edge_runtime.update.preflight import preflight
from edge_runtime.update.request import Request
from edge_runtime.update.slots import bundle_name, stage
from edge_runtime.update.trust import Trust, verify

PR_SET_PDEATHSIG = 1  # linux/prctl.h


def read_order(request: Request, trust: Trust) -> tuple[Order, OrderStream | None]:
    """Return the verified order and the part of it for this stream, None where it names none.

    Raises:
        ContractError: not an order.
        TrustError: no rollout key signed it, it is for another device, or older than one acted on.
    """
    signed = Signed.from_bytes(base64.b64decode(request.order))
    verify(signed.payload, signed.signatures, trust.rollout_keys, what="order")
    order = Order.from_bytes(signed.payload)
    if (order.site, order.device) != (request.site, request.device):
        raise TrustError(
            f"order is for {order.site}/{order.device}, this is {request.site}/{request.device}",
            hint="publish each device's own order on its own topic",
        )
    if order.version < request.last_version:
        raise TrustError(
            f"order version {order.version} is older than {request.last_version}",
            hint="make a new order; versions never go back",
        )
    return order, order.streams.get(request.stream)


def _check(bundle: Bundle, request: Request, trust: Trust) -> dict[str, Any]:
    """Return the report of a bundle whose bytes are verified against its digest."""
    key = verify(bundle.manifest_bytes, bundle.signatures, trust.release_keys, what=f"bundle {bundle.manifest.name}")
    counted = inspect(bundle)
    measured = preflight(bundle, latency_us=request.latency_us)
    manifest = bundle.manifest
    return {"name": manifest.name, "version": manifest.version, "key": key, **counted, **measured}


def _run_order(request: Request, disk: PosixDisk, trust: Trust, answer: dict[str, Any]) -> None:
    order, mine = read_order(request, trust)
    answer |= {"order_version": order.version, "rollout": order.rollout, "kind": "kept", "digest": ""}
    if mine is None or order.version == request.last_version:  # a device acts on a version once
        return
    answer["digest"] = mine.bundle
    if mine.bundle == request.confirmed:
        return
    answer["kind"] = "staged"
    part = f"bundles/{mine.bundle}.part"
    for name in disk.names("bundles"):  # one download at a time
        if name.endswith(".part") and f"bundles/{name}" != part:
            disk.remove(f"bundles/{name}")
    if (here := _whole(disk, mine.bundle)) is not None:
        answer["report"] = _check(here, request, trust)
        return
    bundle = fetch(mine.url, disk.root / part, digest=mine.bundle, length=mine.length, max_bytes=request.max_bytes)
    answer["report"] = _staged(bundle, part, mine.bundle, disk=disk, request=request, trust=trust)


def _whole(disk: PosixDisk, digest: str) -> Bundle | None:
    """Return the bundle that is already here; one that rotted is deleted, so that it is fetched anew."""
    data = disk.read(bundle_name(digest))
    if data is None:
        return None
    try:
        return unpack(data, digest=digest)
    except (ContractError, TrustError):
        disk.remove(bundle_name(digest))
        return None


def _run_file(request: Request, disk: PosixDisk, trust: Trust, answer: dict[str, Any]) -> None:
    try:
        with Path(request.path).open("rb") as file:
            size = os.fstat(
                file.fileno()
            ).st_size  # a read of n bytes takes their memory, whether they are there or not
            data = file.read(min(size, request.max_bytes))
    except OSError as error:
        raise UsageError(f"bundle {request.path}: {error.strerror}", hint="name an .elb file in device.toml") from error
    if size > request.max_bytes:
        raise BudgetError(f"{request.path}: over {request.max_bytes} bytes", hint="raise budget.bundle_bytes")
    bundle = unpack(data)
    digest = bundle.digest
    part = f"bundles/{digest}.part"
    disk.write(part, data)
    answer |= {"kind": "staged", "digest": digest, "order_version": request.last_version, "rollout": ""}
    answer["report"] = _staged(bundle, part, digest, disk=disk, request=request, trust=trust)


def _staged(
    bundle: Bundle, part: str, digest: str, *, disk: PosixDisk, request: Request, trust: Trust
) -> dict[str, Any]:
    """Check the bundle in *part*, give it its name and return the report; a refused one is deleted."""
    try:
        report = _check(bundle, request, trust)
    except BaseException:
        disk.remove(part)
        raise
    stage(disk, part, digest)
    return report


def _die_with_parent() -> None:
    """Let the kernel end this process with its daemon: two children must not write one download (Linux)."""
    import ctypes
    import signal

    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)


def _fence(request: Request) -> None:
    """Bound what hostile bytes can make this process take."""
    for what, limit in (
        (resource.RLIMIT_DATA, request.memory_bytes),
        (resource.RLIMIT_CPU, request.cpu_s),
        (resource.RLIMIT_FSIZE, request.max_bytes + (1 << 20)),
        (resource.RLIMIT_CORE, 0),
    ):
        hard = resource.getrlimit(what)[1]
        lower = limit if hard == resource.RLIM_INFINITY else min(limit, hard)
        resource.setrlimit(what, (lower, lower))
    os.nice(10)


def run(request: Request, answer: dict[str, Any]) -> None:
    """Fill *answer* with what is known of *request*: of a refusal too, which order and bundle it is about.

    Raises:
        EdgeloopError: the order or the bundle is refused, or could not be fetched.
    """
    trust = Trust(release_keys=request.release_keys, rollout_keys=request.rollout_keys)
    disk = PosixDisk(Path(request.folder))
    try:
        {"order": _run_order, "file": _run_file}[request.mode](request, disk, trust, answer)
    except MemoryError as error:
        raise _no_memory(request) from error
    except OSError as error:
        if error.errno == errno.ENOMEM:
            raise _no_memory(request) from error
        raise TransportError(f"{type(error).__name__}: {error}", hint="is the disk full or read-only?") from error
    except EdgeloopError:
        raise
    except Exception as error:
        if isinstance(error, ImportError) and "failed to map" in str(error):  # what dlopen says of it
            raise _no_memory(request) from error
        raise ContractError(f"the check failed: {type(error).__name__}: {error}", hint="report this bundle") from error


def _no_memory(request: Request) -> BudgetError:
    return BudgetError(f"the check needs more than {request.memory_bytes} bytes", hint="raise budget.memory_bytes")


def main() -> int:
    """Answer the request on stdin and return the exit code."""
    _die_with_parent()
    fields: dict[str, Any] = json.loads(sys.stdin.buffer.read())
    for role in ("release_keys", "rollout_keys"):
        fields[role] = tuple(fields.get(role, ()))
    request = Request(**fields)
    answers = os.dup(1)
    os.dup2(2, 1)  # what an engine prints is not an answer
    _fence(request)
    code = 0
    answer: dict[str, Any] = {"ok": True}
    try:
        run(request, answer)
    except EdgeloopError as error:
        code = error.exit_code
        answer |= {"ok": False, "error": type(error).__name__, "message": str(error), "hint": error.hint}
    os.write(answers, json.dumps(answer).encode() + b"\n")
    return code


if __name__ == "__main__":
    sys.exit(main())
