"""Statuses and buffers at the seam. One rule: a status below zero never passes in silence."""

from __future__ import annotations

from array import array

from edge_runtime.errors import ContractError
from edge_runtime.lean import Any, TypeAlias
from edge_runtime.native._er import ffi, lib

Floats: TypeAlias = Any
"""float32 values behind the buffer protocol: memoryview, array, numpy array (on 3.11 no type names all three)."""


Times: TypeAlias = Any
"""int64 values behind the buffer protocol [µs], or None."""


def text_of(status: int) -> str:
    """What the core says of `status`."""
    return str(ffi.string(lib.er_status_text(status)).decode())


def fpu_check() -> None:
    """Check that this thread keeps denormals; where it does not, numbers would differ from other machines.

    Raises:
        ContractError: They are flushed to zero.
    """
    if lib.er_fpu_check() != lib.ER_OK:
        raise ContractError(
            "this process flushes denormal numbers to zero (FTZ/DAZ), so features would not have the same bits",
            hint="a library built with -ffast-math switches it on when loaded; start without it",
        )


def one_heap() -> None:
    """Let all threads share one heap: call it before the first. glibc gives each its own, which stays as it grew."""
    lib.el_one_heap()


def trim() -> None:
    """Give memory that was freed back to the system: what a start, a handshake or a swap took for a moment."""
    lib.el_trim()


def floats(data: Floats, *, what: str) -> tuple[Any, int, Any]:
    """(`float *` on `data`, number of floats, what the caller must hold while it uses the pointer).

    The memory is held through the object behind a memoryview, never through the view: a view that is exported
    cannot be cleared by the garbage collector (CPython 3.11 then frees it all the same, and crashes).

    Raises:
        ValueError: Not float32, or not contiguous.
    """
    view = memoryview(data)
    if view.format != "f" or not view.c_contiguous:
        raise ValueError(f"{what}: want contiguous float32, got format {view.format!r}, strides {view.strides}")
    address, keep = _pin(view)
    return ffi.cast("float *", address), view.nbytes // 4, keep


def times_of(data: Times) -> tuple[Any, int, Any]:
    """(`int64_t *` on `data`, number of times, what the caller must hold), as `floats`.

    Raises:
        ValueError: Not int64, or not contiguous.
    """
    view = memoryview(data)
    if view.format not in {"q", "l"} or view.itemsize != 8 or not view.c_contiguous:
        raise ValueError(f"times: want contiguous int64 [µs], got format {view.format!r}, strides {view.strides}")
    address, keep = _pin(view)
    return ffi.cast("int64_t *", address), view.nbytes // 8, keep


def _pin(view: memoryview) -> tuple[int, Any]:
    pinned = ffi.from_buffer(view)
    address = int(ffi.cast("uintptr_t", pinned))
    ffi.release(pinned)
    keep = ffi.from_buffer(view.obj) if isinstance(view.obj, (array, bytearray)) else view.obj  # these can move
    return address, keep


def memory(nbytes: int) -> Any:
    """Zeroed, 8-byte aligned memory of at least `nbytes`."""
    return ffi.new("uint64_t[]", (nbytes + 7) // 8)
