// The numbers of FORMAT.md, section "brief": bits to the columns that "summary" has, which are not checked further here.

import { need } from "./bytes.mjs";

const U32 = 2n ** 32n - 1n;
const length = (v) => v.toString(2).length; // of v > 0, in bits
const signed = (v) => (v & 1n ? -(v >> 1n) - 1n : v >> 1n);
const within = (low, high, name) => (v) => (need(v >= low && v <= high, `brief.${name}`, `${low}..${high}`, v), v);
const columns = (Type, named) => Object.fromEntries(Object.entries(named).map(([name, values]) => [name, Type.from(values)]));

function reader(hex) {
  const text = BigInt(`0x1${hex}`).toString(2).slice(1);
  let at = 0;
  const bits = (n) => {
    need(n <= text.length - at, "brief.b", `${n} more bits`, text.length - at);
    return BigInt(`0b0${text.slice(at, (at += n))}`);
  };
  const number = (order) => {
    let more = 0;
    while (text[at + more] === "1" && order + more <= 64) more++;
    need(order + more <= 64, "brief.b", "a number up to 2^64-1", order + more);
    at += more;
    bits(1);
    return more ? (1n << BigInt(order + more - 1)) + bits(order + more - 1) : bits(order);
  };
  const order = () => Number(bits(6));
  const column = (n, k = order()) => Array.from({ length: n }, () => (k === 63 ? 0n : number(k)));
  const run = (n, k, level = 4n << BigInt(k)) => Array.from({ length: n }, () => {
    const v = number(level < 4n ? 0 : length(level >> 2n) - 1);
    level += v - (level >> 2n);
    return v;
  });
  const end = () => need(text.length - at < 8 && !text.slice(at).includes("1"), "brief.b", "0 to 7 zeros at the end", text.slice(at));
  return { number, order, column, run, end };
}

// A map of the fields of "summary" but the header: integers as BigInt, columns as typed arrays. All of `hex` is read.
export function numbersOf(hex) {
  const { number, order, column, run, end } = reader(hex);
  const first = [20, 12, 1, 40, 22, 22, 0, 12, 0, 2, 5, 6, 8].map(number);
  const [seq, period, clock, start_ms, span, first_window, beyond, n_windows, drops] = first;
  const [nLabels, nRows, nBins] = [65n, 1088n, 701n].map((most, i) => Number(within(0n, most, "sizes")(first[9 + i])));
  const label_counts = column(nLabels);
  const row = () => column(nRows).map(signed);
  const n_counts = row().map((v) => within(3n, 66n, "n_counts")(v + 12n));
  const n_nan = column(nRows);
  const n = row().map((v, i) => within(0n, U32, "n")(n_windows - n_nan[i] - v));
  const turned = (v) => ((v << 1n) & U32) | (v >> 31n);
  const single = within(0n, U32, "min, max");
  const returned = (t) => (single(t) >> 1n) | ((t & 1n) << 31n);
  const low = row().map((v) => returned(v + 0x7f000000n));
  const high = column(nRows).map((v, i) => (low[i] >> 31n ? returned(turned(low[i] & ~(1n << 31n)) + signed(v)) : single(low[i] + v)));
  const floats = (values) => new Float32Array(Uint32Array.from(values, Number).buffer).map((x, i) => (n[i] ? x : NaN));
  const [begin, last, total] = [row(), row(), row()];
  const sum_sq = row().map((v, i) => BigInt.asIntN(64, (n[i] << 32n) + v));
  const sum_lag = row();
  const k = order();
  const counts = n_counts.flatMap((c, i) => {
    let rest = n[i];
    const told = run(Number(c) - 1, k).map((v, j) => {
      const own = within(0n, rest, "counts")(rest / (c - BigInt(j)) + signed(v));
      rest -= own;
      return own;
    });
    return [...told, rest];
  });
  const latency_bins = [];
  const latency_counts = [];
  for (let i = 0n, from = 0n, v = 0n, zeros = 0; i < nBins; i++) {
    v = number(v ? length(v) - 1 : 0);
    zeros = v ? 0 : zeros + 1;
    if (v) {
      latency_bins.push(first[12] + i - from);
      latency_counts.push(v);
      from = first[12] + i;
    } else if (zeros === 4) [zeros, i] = [0, i + number(4)];
  }
  end();
  return {
    seq, period, clock, start_ms, end_ms: start_ms + signed(span), first_window, last_window: first_window + signed(beyond) + n_windows,
    n_windows, drops, min: floats(low), max: floats(high),
    ...columns(BigUint64Array, { label_counts, n, n_nan, n_counts, counts, ...(latency_bins.length ? { latency_bins, latency_counts } : {}) }),
    ...columns(BigInt64Array, { first: begin, last, sum: total, sum_sq, sum_lag }),
  };
}
