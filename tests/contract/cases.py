"""Documents as they may come: of a newer minor, with bytes or values changed, and spelled in every way.

One rule: the same cases for every reader, by seed and by kind, right ones and wrong ones.
"""

from __future__ import annotations

import contextlib
import itertools
import math
import random
from array import array
from collections.abc import Iterator
from typing import Any, Final

from edge_runtime.contract import bits, canonical, cbor
from edge_runtime.contract.brief import ORDERS
from edge_runtime.contract.bundle import BLOCK, unpack
from edge_runtime.contract.checks import I63, SAFE, U64
from edge_runtime.errors import ContractError
from tests.contract.arbitrary import MESSAGES, U32, anything
from tests.contract.samples import BUNDLE, DOCUMENTS, MANIFEST, Document

READ: Final = {document.kind: document for document in DOCUMENTS} | {
    "container": Document(kind="container", value=None, read=unpack, is_json=False)
}
Case = tuple[str, bytes]


def load(document: Document, data: bytes) -> Any:
    return canonical.loads(data, what="x") if document.is_json else cbor.loads(data, what="x")


def dump(document: Document, value: Any) -> bytes:
    return canonical.dumps(value) if document.is_json else cbor.dumps(value)


def spelled() -> list[Case]:
    """A document with one more field, whose value is spelled in each way, right and wrong; and what is around it."""
    texts = [bytes.fromhex(text) for text in TEXTS.split()]
    values = [("state", bytes.fromhex(text)) for text in CBOR.split()]
    values += [("state", bytes([0x60 + len(text)]) + text) for text in texts]
    values += [("order", text.replace("_", " ").replace("^", "\n").encode()) for text in JSON.split()]
    values += [("order", b'"' + text + b'"') for text in texts]
    found = [(kind, with_field(kind, raw)) for kind, raw in (*values, *levels())]
    packed = READ["packed"]  # a vote of -2 by its distance from label 1, which no other change of the golden bytes says
    found.append(("packed", dump(packed, load(packed, packed.golden) | {"vote": array("b", [-3])})))
    return found + [(kind, data) for kind in ("state", "order") for data in around(READ[kind].golden)]


def with_field(kind: str, raw: bytes) -> bytes:
    given = dump(READ[kind], load(READ[kind], READ[kind].golden) | {"zz": "DEEP"})
    return given.replace(dump(READ[kind], "DEEP"), raw)


def levels() -> Iterator[Case]:
    """Arrays inside each other, empty and not, on both sides of both limits."""
    for n, inner in itertools.product((*range(5, 10), *range(29, 36)), (b"", b"0")):
        yield "order", b"[" * n + inner + b"]" * n
        yield "state", b"\x81" * (n - 1) + (b"\x81\x00" if inner else b"\x80")


def around(golden: bytes) -> tuple[bytes, ...]:
    """Nothing, a byte order mark, something before, between and behind."""
    mark = b"\xef\xbb\xbf"
    return (b"", mark + golden, b" " + golden, golden + b" ", golden + b"\n", golden + b"\0", golden + golden,
            golden.replace(b'"}', b'" }'), golden.replace(b":", b": "), golden.upper())  # fmt: skip


def broken_bundles(n: int) -> list[Case]:
    """The golden bundle, wrong in n random bytes, in each header, hash, gap and at its end; never right."""
    rng = random.Random(7)
    manifest = len(MANIFEST.to_bytes())
    gap = BLOCK + manifest
    places = [*rng.sample(range(len(BUNDLE)), n), *range(0, BLOCK, 7), gap, len(BUNDLE) - 1, len(BUNDLE) - BLOCK - 1]
    found = [BUNDLE[:at] + bytes([BUNDLE[at] ^ 0x80]) + BUNDLE[at + 1 :] for at in places]
    for member in MANIFEST.members:  # the manifest stays valid, and names another hash
        for digest in ({member.sha256, *member.chunks}) - {MANIFEST.program_digest}:
            other = digest[:-1] + ("0" if digest[-1] != "0" else "1")
            keys = ('"sha256":"', '"chunks":["')
            found += [BUNDLE.replace((key + digest).encode(), (key + other).encode()) for key in keys]
    found += [BUNDLE[:at] for at in rng.sample(range(len(BUNDLE)), 20)]
    found += [BUNDLE[:-BLOCK], BUNDLE + bytes(BLOCK), BUNDLE + b"x"]
    return [("container", data) for data in found if data != BUNDLE]


def newer(rng: random.Random, n: int) -> list[Case]:
    """Random documents, n of each kind of message, some of a later minor number with fields that nobody knows yet."""
    cases: list[Case] = []
    for make in MESSAGES * n:
        fields = cbor.loads(make(rng).to_bytes(), what="x")
        assert isinstance(fields, dict)
        if rng.random() < 0.3:
            fields |= {"format": f"0.{rng.randrange(10_000)}", "zz": anything(rng, 6), "__proto__": anything(rng, 2)}
        cases.append((str(fields["kind"]), cbor.dumps(fields)))
    return cases


def changed(document: Document, n_bytes: int, n_values: int) -> list[Case]:
    """The document with some bytes changed, and with some values changed."""
    rng = random.Random(document.kind)
    golden = document.golden
    found = [golden[:at] for at in rng.sample(range(len(golden)), 40)]
    for _ in range(n_bytes):
        at, byte = rng.randrange(len(golden)), rng.choice((0, 0x18, 0x1B, 0x22, 0x7F, 0xFF, rng.randrange(256)))
        flipped = bytes([golden[at] ^ 1 << rng.randrange(8)])
        found += [golden[:at] + new + golden[end:] for new, end in (
            (flipped, at + 1), (bytes([byte]), at + 1), (bytes([byte]), at), (b"", at + 1))]  # fmt: skip
    said = list(changes(load(document, golden)))
    for value in rng.sample(said, min(len(said), n_values)):
        with contextlib.suppress(ContractError):  # some values have no JSON form, such as NaN
            found.append(dump(document, value))
    return [(document.kind, data) for data in found]


def flipped() -> list[Case]:
    """A brief with each bit of its numbers the other way round, with bits behind them, too few, and ones alone."""
    brief = READ["brief"]
    fields = load(brief, brief.golden)
    golden = fields["b"]
    whole, size = int.from_bytes(golden, "big"), len(golden)
    found = [(whole ^ 1 << at).to_bytes(size, "big") for at in range(8 * size)]
    found += [golden + more for more in (b"\0", b"\1", b"\x80", b"\0\0")]
    found += [golden[:-2], b"", *(b"\xff" * n + bytes(80) for n in range(12)), *(b"\xff" * n for n in (8, 9, 40))]
    heads = [[bits.number(value, order) for order in ORDERS] for value in (0, 1, 3, 65, U64)]
    found += [bits.packed(head) + golden[40:] for head in heads]
    return [("brief", dump(brief, fields | {"b": data})) for data in found]


TEXTS: Final = "efbbbf c080 eda080 f4908080 e282 ff 00 7f c280 e280a8 ee8080 f09d849e"
"""Insides of texts: UTF-8, right and wrong."""
CBOR: Final = (
    "17 1700 1800 1817 1818 18ff 1900ff 190100 19ffff 1a0000ffff 1a00010000 1affffffff 1b00000000ffffffff"
    " 1b0000000100000000 1bffffffffffffffff 1c 1d 1e 1f 37 3817 3818 3900ff 390100 3a0000ffff 3a00010000"
    " 3b00000000ffffffff 3b0000000100000000 3bffffffffffffffff 3f 40 5800 4100 580100 5f4100ff 5b0000000000000001"
    " 60 7800 6161 780161 7f6161ff 7bffffffffffffffff 80 9800 8100 980100 9f00ff 9bffffffffffffffff 81"
    " a0 b800 a1616100 b801616100 bf616100ff a2616100616100 a2616200616100 a2616100616200 a262616100616200"
    " a2616200626161 a2616200626161f6 a10000 a1410000 a1f600 bbffffffffffffffff a161ff00"
    " c000 d84040 d84041ff d9004041ff d84100 d8405801ff d85f4100 d84441ff d84141ff d84541ff d84542ff00 d8464400000080"
    " d8474800000000000000ff d84841ff d84d42feff d84d41ff d84e44feffffff d84f48feffffffffffffff d85040 d85440"
    " d855440000c07f d85544000080ff d85544000000ff d8554400000080 d85642ffff d85648000000000000f0bf d85740 d840f6 d8"
    " e0 f4 f5 f6 f7 f800 f8ff f90000 fa00000000 fb0000000000000000 fb8000000000000000 fb7ff0000000000000"
    " fbfff0000000000000 fb7ff8000000000000 fbfff8000000000001 fb7ff0000000000001 fb0000000000000001 fb fc ff"
)
"""One value each: shortest and longer forms, definite and not, keys in and out of order, tags, floats."""
JSON: Final = (
    '{"\ue000":1,"\U0001d11e":2} {"\U0001d11e":1,"\ue000":2} '  # UTF-16 and code points differ in order
    "0 -0 0.0 1.0 1e0 1E5 1e5 100000 01 +1 .5 0.5 5. -1 1e21 1e+21 1e20 100000000000000000000 1e-6 0.000001 1e-7"
    " 1.0e-7 5e-324 1.7976931348623157e+308 1e400 -1e400 9007199254740991 9007199254740992 9007199254740993"
    " -9007199254740991 -9007199254740992 0.1 0.10 0.30000000000000004 1234567890123456789012 123456789012345680000"
    " 333333333.3333333 333333333.33333329 NaN Infinity -Infinity nan null true false True [] [1,2] [1,] {} [1,_2]"
    r' {"a":1} {"b":1,"a":2} {"a":1,"b":2} {"a":1,"a":1} {"":0} {"a":1,} {a:1} {"__proto__":1} {"10":1,"9":2}'
    r' {"9":1,"10":2} {"^":1,"_":2} "" "a" "\u0061" "\/" "/"'
    r' "\n" "\u000a" "\u000A" "\t" "\b" "\f" "\r" "\u0000" "\u001f" "\u001F" "\u007f" "é" "\u00e9" "\ud800" "\udc00"'
    r' "\ud834\udd1e" "𝄞" "\u2028" "\x" "\\" "\"" \'a\' 1_2 "a^b" {"a":_1}'
)
r"""As `CBOR`: numbers, texts and objects as RFC 8785 spells them, and otherwise; _ is a space, ^ the end of a line."""
ODD: Final[tuple[Any, ...]] = (
    None, True, False, "", "x", "1.0", "QR==", "Ä" * 64, "𝄞" * 64, "𝄞" * 65, "a\x7f", "a\x85b", "a\nb", "a" * 300,
    0, 1, -1, 2, 65, 127, 128, 1025, 65535, 65536, 2**31, U32, U32 + 1, SAFE, SAFE + 1, -SAFE,
    I63 - 1024, I63 - 1023, I63, I63 + 1, -I63, -I63 - 1, U64, -U64 - 1,
    0.0, -0.0, 1.0, 0.5, 0.1, 50.0, 1e20, 2.0**53, 1e21, 1e300, math.inf, -math.inf, math.nan,
    b"", b"x" * 32, [], {}, [0], {"a": 0}, array("B", [1, 2, 3]), array("f", [1, 2, 3]), array("d", [1, 2, 3]),
)  # fmt: skip


def changes(value: Any) -> Iterator[Any]:
    """`value` with one thing changed, at every place."""
    yield from ODD
    if isinstance(value, dict):
        for name in value:
            yield {key: item for key, item in value.items() if key != name}
            yield {(key + "x" if key == name else key): item for key, item in value.items()}
            for item in changes(value[name]):
                yield value | {name: item}
        yield value | {"new": 0}
        yield value | {f"k{i}": "v" for i in range(33 - len(value))}
    elif isinstance(value, list):
        yield from (value[:-1], value + value[-1:], value[::-1], value * 2, (value * 65)[:65], (value * 1025)[:1025])
        for i in range(len(value)):
            for item in changes(value[i]):
                yield [*value[:i], item, *value[i + 1 :]]
    elif isinstance(value, array):
        yield from columns(value)
    elif isinstance(value, str):
        yield from (value + "x", value.upper(), value + "\n", value[:-1], value + "=")


def columns(column: array[Any]) -> Iterator[array[Any]]:
    """The column in every width, one value longer and shorter, and with each odd value at its end."""
    values = column.tolist()
    for code in cbor.TAGS:
        for changed in (
            values, values[:-1], [*values, values[-1]], [], values * 400,
            *([*values[:-1], odd] for odd in ODD if type(odd) in (int, float)),
        ):  # fmt: skip
            try:
                yield array(code, changed)
            except (OverflowError, TypeError):
                continue
