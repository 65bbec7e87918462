"""Planted bugs: each must turn a test of this folder red. `python -m tests.contract.mutants` plants one after another.

A bug that no test sees is printed and gives exit status 1.
"""

from __future__ import annotations

import sys
from typing import Final

from tests.planting import Mutant, plant

CONTRACT: Final = "edge_runtime/contract/"
COPIED: Final = (
    "edge_runtime",
    "tests/contract",
    "tests/__init__.py",
    "docs/javascript",
    "pyproject.toml",
    "FORMAT.md",
)
QUICK: Final = ("values", "canonical", "cbor", "documents")
TESTS: Final = (*(f"tests/contract/test_{name}.py" for name in QUICK), "tests/contract")
MUTANTS: Final[tuple[tuple[str, str, str], ...]] = (
    # file of edge_runtime/contract, what stands there, the bug
    ("canonical.py", 'name.encode("utf-16-be", "surrogatepass")', "name"),
    ("canonical.py", "n <= point <= 21", "n <= point <= 20"),
    ("canonical.py", "-6 < point <= 0", "-7 < point <= 0"),
    ("canonical.py", "if len(fields) != len(pairs)", "if False"),
    ("canonical.py", "MAX_INT: Final = 2**53 - 1", "MAX_INT: Final = 2**63 - 1"),
    ("canonical.py", "        if not value.isascii() and any", "        if False and any"),
    ("cbor.py", '"I": 70, "Q": 71', '"I": 71, "Q": 70'),
    ("cbor.py", "tuple(sorted((_text(name), name) for name in keys))", "tuple((_text(name), name) for name in keys)"),
    ("cbor.py", "or key <= last", "or key < last"),
    ("cbor.py", "if major != 7 and n <", "if False and n <"),
    ("cbor.py", "    if n < 2**8:\n", "    if n <= 2**8:\n"),
    ("cbor.py", '"BHIQbhiq"', '"HIQbhiq"'),
    ("cbor.py", "        values.byteswap()\n    raw", "    raw"),
    ("cbor.py", "        values = values[:]\n", ""),
    ("cbor.py", "    if end != len(data):\n", "    if False:\n"),
    ("birth.py", "if not isinstance(rate_hz, float):", "if not isinstance(rate_hz, float | int):"),
    ("columns.py", "if steps and min(steps) < 0:", "if False:"),
    ("records.py", "what=what, high=SAFE)", "what=what)"),
    ("canonical.py", "depth >= MAX_DEPTH and isinstance(value, dict | list):", "depth > MAX_DEPTH:"),
    ("checks.py", "or (isinstance(value, bool) and kind is not bool)", ""),
    ("checks.py", "if kept != wanted:", "if False:"),
    ("checks.py", r'_ID = re.compile(r"[a-z0-9-]{1,64}")', r'_ID = re.compile(r"[A-Za-z0-9-]{1,64}")'),
    ("document.py", 'if version.partition(".")[0] != _MAJOR:', "if False:"),
    ("document.py", "if not is_canonical and canonical.dumps(given) != bytes(data):", "if False:"),
    ("canonical.py", "_ODD.sub(_respelt, _PLAIN.encode(value)) == text", "_PLAIN.encode(value) == text"),
    ("canonical.py", "isinstance(value, dict) and is_plain", "is_plain"),
    ("canonical.py", 'max(text) < "\\ud800")', 'text != "")'),
    ("canonical.py", " and _depth(text) <= MAX_DEPTH", ""),
    ("canonical.py", 'return text if abs(int(text)) <= MAX_INT else ""', "return text"),
    ("canonical.py", "allow_nan=False, sort_keys=True", "allow_nan=False, sort_keys=False"),
    ("document.py", "    if found != kind:\n", "    if False:\n"),
    ("document.py", '        value["format"] = version\n', "        pass\n"),
    ("document.py", "    if clash:\n", "    if False:\n"),
    ("manifest.py", "if program.sha256 != self.program_digest:", "if False:"),
    ("manifest.py", "if len(self.chunks) != want:", "if False:"),
    ("manifest.py", "    none_left(found, what)\n", ""),
    ("baseline.py", "if _shape(stratum) != _shape(first):", "if False:"),
    ("baseline.py", "a >= b for a, b", "a > b for a, b"),
    ("records.py", "            rows(values, n, ", "            rows(values, len(values), "),
    ("records.py", "rows(column, n * width,", "rows(column, len(column),"),
    ("records.py", "if not 0 < p <= 1:", "if not 0 <= p <= 1:"),
    ("records.py", "self.first_seq + len(self.windows) - 1", "self.first_seq + len(self.windows)"),
    ("packed.py", "if min(_distances(self.windows), default=0) < 0:", "if False:"),
    ("packed.py", "column.count(column[0]) == len(column)", "column.count(column[0]) > 1"),
    ("packed.py", "step_us * (w - first) // 1000 + r", "step_us * w // 1000 + r"),
    ("packed.py", "    rows(column, n, f", "    rows(column, len(column), f"),
    ("packed.py", "tuple(map(add, labels,", "tuple(map(max, labels,"),
    ("packed.py", "if not column or len(column) % n:", "if not column:"),
    ("bits.py", "if order + more > 64:", "if False:"),
    ("bits.py", "(below >= above)", "(below > above + 1)"),
    ("bits.py", "if len(rest) > 7 or", "if"),
    ("bits.py", 'or "1" in rest:', "or False:"),
    ("bits.py", "(value + _I63 & U64) - _I63", "value"),
    ("brief.py", "what=KIND, high=MAX_BYTES)", "what=KIND)"),
    ("brief.py", "        count(size, f", "        count(0, f"),
    ("brief.py", ", low=3, high=66)", ", low=2, high=67)"),
    ("brief.py", '    integers(n, f"{KIND}.n", high=U32)\n', ""),
    ("brief.py", "if not 0 <= own <= left:", "if False:"),
    ("brief.py", "return integer(bits, f", "return bits or integer(0, f"),
    ("brief.py", "unfolded(folded((own << 32) + rest))", "(own << 32) + rest"),
    ("brief.py", "min=lows[i] if n[i] else nan", "min=lows[i]"),
    ("brief.py", "if low & SIGN else high - low", "if False else high - low"),
    ("brief.py", "zeros, at = 0, at + bits.number(GAP)", "zeros = 0"),
    ("columns.py", 'if column.typecode in "fd":', "if False:"),
    ("summary.py", "if total != self.n:", "if False:"),
    ("summary.py", 'rows(flat, sum(sizes), f"{what}.counts")', "pass"),
    ("window.py", 'rows(self.values, sum(self.n_values), "window.values")', "pass"),
    ("window.py", 'unique(self.names, "window.names")', "pass"),
    ("window.py", 'rows(self.n_values, len(self.names), "window.n_values")', "pass"),
    ("window.py", "            at += n\n", ""),
    ("birth.py", "if (self.raw is None) != (self.raw_bytes_day is None):", "if False:"),
    ("birth.py", "        none_left(value, what)\n    return found", "    return found"),
    ("ack.py", 'rows(last, len(first), "ack.last")', "pass"),
    ("ack.py", 'integer(last, "ack.last", low=first', 'integer(last, "ack.last", low=1'),
    ("order.py", "if base64.b64encode(payload).decode() != spelled:", "if False:"),
    ("order.py", 'unique([signature.key_id for signature in signatures], "signatures.key_id")', "pass"),
    ("topics.py", "    if made != topic:\n", "    if False:\n"),
    ("bundle.py", "if (yield BLOCK) != _header(member.name, member.length):", "if not (yield BLOCK):"),
    ("bundle.py", "if length < 1 or block != _header(name, length):", "if length < 1:"),
    ("bundle.py", "if chunk.hexdigest() != want:", "if False:"),
    ("bundle.py", "if whole.hexdigest() != member.sha256:", "if False:"),
    ("bundle.py", "if any(piece[length:]):", "if False:"),
    ("bundle.py", "if block != _ZEROS or (yield BLOCK) != _ZEROS:", "if block != _ZEROS or not (yield BLOCK):"),
    ("bundle.py", "            if self._bundle is not None:\n", "            if False:\n"),
    ("bundle.py", "if self._digest is not None and found != self._digest:", "if False:"),
    ("bundle.py", "        if total > self._max_bytes:\n", "        if False:\n"),
    ("bundle.py", "    if length > limit:\n", "    if False:\n"),
    ("bundle.py", 'b"%011o\\0" % length + b"00000000000\\0"', 'b"%011o\\0" % length + b"00000000001\\0"'),
    ("bundle.py", 'b"%06o\\0 " % checksum', 'b"%07o\\0" % checksum'),
    ("bundle.py", 'b"%06o\\0 " % checksum', 'b"%06o\\0 " % (checksum + 1)'),
)


def main() -> int:
    """Plant them; 1 where one survives."""
    mutants = [Mutant(file=CONTRACT + file, right=right, wrong=wrong, tests=TESTS) for file, right, wrong in MUTANTS]
    return plant(mutants, copied=COPIED, words=sys.argv[1:])


if __name__ == "__main__":
    sys.exit(main())
