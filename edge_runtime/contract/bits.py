"""Integers in as many bits as they need: what the numbers of a brief are made of. See FORMAT.md section "brief".

One rule: a number of order k takes k + 1 bits where k bits hold it, and two more for each bit that they do not.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Iterator, Sequence

from edge_runtime.contract.checks import U64
from edge_runtime.errors import ContractError
from edge_runtime.lean import Final

WIDTH: Final = 6  # bits of an order
ZEROS: Final = 63  # the order of a column of zeros, which are left out
_I63: Final = 2**63


def folded(value: int) -> int:
    """0, -1, 1, -2, .. as 0, 1, 2, 3, ..; `value` is taken modulo 2^64."""
    value = (value + _I63 & U64) - _I63
    return 2 * value if value >= 0 else -2 * value - 1


def unfolded(number: int) -> int:
    """The value that `folded` was given, -2^63..2^63-1."""
    return number >> 1 if number % 2 == 0 else -(number >> 1) - 1


def number(value: int, order: int) -> str:
    """The bits of 0..2^64-1, as text of 0 and 1."""
    more = value.bit_length() - order
    return f"{value:0{order + 1}b}" if more <= 0 else "1" * more + "0" + f"{value:b}"[1:]


def order_of(values: Sequence[int]) -> int:
    """The order that makes the bits of all values the fewest, 0..62."""
    sizes = sorted(map(int.bit_length, values))
    middle = sizes[(len(sizes) - 1) // 2] if sizes else 0
    below, above = bisect_left(sizes, middle), len(sizes) - bisect_right(sizes, middle)
    return min(max(middle - (below >= above), 0), ZEROS - 1)  # one more costs a bit below and saves one above


def column(values: Sequence[int]) -> str:
    """Bits of one order for all values, and of each."""
    if not any(values):
        return f"{ZEROS:0{WIDTH}b}"
    order = order_of(values)
    return f"{order:0{WIDTH}b}" + "".join([number(value, order) for value in values])


def run(values: Iterable[int], order: int) -> Iterator[str]:
    """Bits of values whose order follows those before it, from `order` on."""
    level = 4 << order
    for value in values:
        yield number(value, _order_at(level))
        level += value - (level >> 2)


def packed(texts: Iterable[str]) -> bytes:
    """Bytes of the bits, highest bit first; 0 to 7 zeros fill up the last one."""
    text = "".join(texts)
    size = -(-len(text) // 8)
    return int(text + "0" * (8 * size - len(text)) or "0", 2).to_bytes(size, "big")


def _order_at(level: int) -> int:
    return (level >> 2 | 1).bit_length() - 1


class Reader:
    """Bits from the first to the last.

    Args:
        data: What `packed` gave.
        what: Name of the field, for messages.
    """

    __slots__ = ("_at", "_text", "_what")

    def __init__(self, data: bytes, what: str) -> None:
        self._text = format(int.from_bytes(b"\1" + data, "big"), "b")[1:]
        self._what, self._at = what, 0

    def number(self, order: int) -> int:
        """The next number.

        Raises:
            ContractError: The bits end before it, or it is above 2^64-1.
        """
        text, at = self._text, self._at
        zero = text.find("0", at)
        more = (len(text) if zero < 0 else zero) - at
        if order + more > 64:
            raise ContractError(f"{self._what}: want numbers up to 2^64-1, got a greater one at bit {at}")
        self._at = end = at + order + 1 + (2 * more - 1 if more else 0)
        if end > len(text):
            raise self._truncated()
        return int("1" + text[zero + 1 : end] if more else text[at:end], 2)

    def order(self) -> int:
        """The next order, 0..63."""
        digits = self._text[self._at : self._at + WIDTH]
        if len(digits) < WIDTH:
            raise self._truncated()
        self._at += WIDTH
        return int(digits, 2)

    def column(self, n: int) -> list[int]:
        """The next `n` values.

        Raises:
            ContractError: As of `number`.
        """
        order = self.order()
        return [0] * n if order == ZEROS else [self.number(order) for _ in range(n)]

    def run(self, n: int, order: int) -> Iterator[int]:
        """The next `n` values that `run` was given.

        Raises:
            ContractError: As of `number`.
        """
        level = 4 << order
        for _ in range(n):
            value = self.number(_order_at(level))
            level += value - (level >> 2)
            yield value

    def end(self) -> None:
        """Nothing is left.

        Raises:
            ContractError: More than what fills a byte up, or no zeros.
        """
        rest = self._text[self._at :]
        if len(rest) > 7 or "1" in rest:
            raise ContractError(f"{self._what}: want 0 to 7 zeros at the end, got {len(rest)} bits after {self._at}")

    def _truncated(self) -> ContractError:
        return ContractError(f"{self._what}: truncated at bit {len(self._text)}")
