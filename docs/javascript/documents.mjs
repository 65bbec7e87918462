// The documents of FORMAT.md: a table of fields each, and what must hold between them.
// A check takes a value and its place, refuses it or gives what a consumer wants: a field whose range goes beyond 2^53-1 is a
// BigInt always and never by its value, other numbers are Numbers, columns are arrays, digests are hex.

import { numbersOf } from "./brief.mjs";
import { Bytes, ContractError, SAFE, need } from "./bytes.mjs";

const U32 = 2n ** 32n - 1n;
const I63 = 2n ** 63n - 1n;
const U64 = 2n ** 64n - 1n;
const FILE = 2n ** 33n - 1n;

// ---- one value

const bool = (v, where) => (need(typeof v === "boolean", where, "true or false", v), v);
const match = (pattern) => (v, where) => (need(typeof v === "string" && pattern.test(v), where, String(pattern), v), v);
const id = match(/^[a-z0-9-]{1,64}$/);
const hexDigest = match(/^[0-9a-f]{64}$/);
const raw = (low, high) => (v, where) => {
  need(v instanceof Bytes && v.length >= low && v.length <= high, where, `${low}..${high} bytes`, v);
  return String(v);
};
const rawDigest = raw(32, 32);
const int = (low, high) => (v, where) => {
  need(typeof v === "bigint" && v >= low && v <= high, where, `an integer ${low}..${high}`, v);
  return high > SAFE ? v : Number(v);
};
const lines = (low, high) => (v, where) => {
  need(typeof v === "string" && [...v].length >= low && [...v].length <= high, where, `a text of ${low}..${high}`, v);
  return v;
};
const text = (low, high) => (v, where) => {
  lines(low, high)(v, where);
  need(![...v].some((c) => c < " " || c === "\x7f"), where, "no control characters", v);
  return v;
};
const float64 = (holds, want) => (v, where) => (need(typeof v === "number" && holds(v), where, want, v), v);
const number = (holds = () => true, want = "a number") => (v, where) => {
  need((typeof v === "number" || typeof v === "bigint") && holds(Number(v)), where, want, v);
  return Number(v);
};
const positive = [(x) => x > 0 && x < Infinity, "a finite number above 0"];
const single = number((x) => Math.fround(x) === x, "a number exact in float32");
const free = (v) => {
  if (typeof v === "bigint") return Number(v);
  if (Array.isArray(v)) return v.map(free);
  return isMap(v) ? Object.fromEntries(Object.entries(v).map(([k, x]) => [k, free(x)])) : v;
};

// ---- several values

const isMap = (v) => typeof v === "object" && v !== null && !Array.isArray(v) && !ArrayBuffer.isView(v);
const integers = (low, high) => (v, where) => {
  need(ArrayBuffer.isView(v) && !(v instanceof Bytes) && !/Float/.test(v.constructor.name), where, "an integer column", v);
  return Array.from(v, (x, i) => int(low, high)(BigInt(x), `${where}[${i}]`));
};
const floats = (v, where) => (need(v instanceof Float32Array, where, "a float32 column", v), Array.from(v));
const shares = (v, where) => floats(v, where).map((p, i) => (need(p > 0 && p <= 1, `${where}[${i}]`, "0 < p <= 1", p), p));
const list = (low, high, item) => (v, where) => {
  need(Array.isArray(v) && v.length >= low && v.length <= high, where, `${low}..${high} items`, v?.length ?? v);
  return v.map((x, i) => item(x, `${where}[${i}]`));
};
const map = (most, key, item) => (v, where) => {
  need(isMap(v) && Object.keys(v).length <= most, where, `a map of 0..${most}`, v);
  return Object.fromEntries(Object.entries(v).map(([k, x]) => [key(k, `${where} key`), item(x, `${where}.${k}`)]));
};
const left = (check) => Object.assign((v, where) => check(v, where), { mayBeLeftOut: true });
const object = (fields, rule = () => {}) => (v, where) => {
  need(isMap(v), where, "a map", v);
  for (const name of Object.keys(v)) need(Object.hasOwn(fields, name), `${where}.${name}`, "no such field", v[name]);
  const found = known(fields, v, where);
  rule(found, where);
  return found;
};

export function known(fields, v, where) {
  const found = {};
  for (const [name, check] of Object.entries(fields)) {
    if (check.mayBeLeftOut && !Object.hasOwn(v, name)) continue;
    need(Object.hasOwn(v, name), `${where}.${name}`, "a value", undefined);
    found[name] = check(v[name], `${where}.${name}`);
  }
  return found;
}

const sum = (values) => values.reduce((a, b) => a + b, 0);
const most = (values) => values.reduce((a, b) => (b > a ? b : a));
const unique = (values, where) => need(new Set(values).size === values.length, where, "no name twice", values);
const long = (v, where, n, ...names) => {
  for (const name of names) need(v[name].length === n, `${where}.${name}`, `${n} values`, v[name].length);
};
const ascending = (values, where) => values.forEach((x, i) => need(!(x <= values[i - 1]), where, "ascending values", values));

const short = (v, where, n, name) => {
  need(v[name].length === 1 || v[name].length === n, `${where}.${name}`, `1 or ${n} values`, v[name].length);
};

// The rows of a packed batch, times as BigInt.
export function unpacked(d) {
  const at = (values, i) => values[values.length === 1 ? 0 : i];
  const cut = (values, i) => values.slice((i * values.length) / d.n, ((i + 1) * values.length) / d.n);
  const rows = [];
  for (let i = 0, ahead = 0n; i < d.n; ahead += i + 1 < d.n ? at(d.skip, i) : 0n, i++) {
    const label = Math.floor((at(d.said, i) % 195) / 3) - 1;
    rows.push({
      seq: d.seq + BigInt(i), window: d.window + ahead,
      time_ms: BigInt(d.time_ms) + (d.step_us * ahead) / 1000n + at(d.rest_ms, i), label,
      vote: label + at(d.vote, i), reason: 3 * Math.floor(at(d.said, i) / 195) + (at(d.said, i) % 3), probability: at(d.p, i), latency_us: at(d.us, i),
      features: cut(d.x, i), scores: cut(d.y, i),
    });
  }
  return rows;
}

// The summary that a brief is, checked as one.
export function unbriefed({ h: [device, stream, epoch, digests], b }) {
  const found = known(SUMMARY, numbersOf(b), "brief");
  summaryRule(found, "brief");
  return { device, stream, epoch, bundle: digests.slice(0, 64), program: digests.slice(64), ...found };
}

// ---- messages (CBOR)

const epoch = int(0n, U64);
const time = int(0n, SAFE);
const window = int(0n, I63);
const seq = int(1n, I63);
const clock = int(0n, 2n);
const count = int(0n, U32);
const counts = integers(0n, U32);
const labels = integers(-1n, 63n);
const scaled = integers(-(2n ** 20n), 2n ** 20n);
const wide = integers(-I63, I63);
const header = { device: id, stream: id, epoch, bundle: rawDigest, program: rawDigest };

const SUMMARY = {
  seq, period: window, start_ms: time, end_ms: time, clock, first_window: window, last_window: window,
  n_windows: count, label_counts: counts, drops: count, n: counts, n_nan: counts, min: floats, max: floats, first: scaled,
  last: scaled, sum: wide, sum_sq: wide, sum_lag: wide, n_counts: integers(3n, 66n), counts,
  latency_bins: left(integers(0n, 700n)), latency_counts: left(integers(1n, U32)),
};

function summaryRule(d, where) {
  latencies(d, where);
  long(d, where, d.n.length, "n_nan", "min", "max", "first", "last", "sum", "sum_sq", "sum_lag", "n_counts");
  long(d, where, sum(d.n_counts), "counts");
  need(d.n.length <= 1088, `${where}.n`, "0..1088 rows", d.n.length);
  need(d.label_counts.length >= 2 && d.label_counts.length <= 65, `${where}.label_counts`, "2..65 values", d.label_counts.length);
  need(d.first_window <= d.last_window, `${where}.last_window`, `at least ${d.first_window}`, d.last_window);
  for (const [i, own] of byRow(d.counts, d.n_counts).entries()) {
    const [n, low, high] = [d.n[i], d.min[i], d.max[i]];
    need(sum(own) === n, `${where}.counts of row ${i}`, `a sum of ${n}`, sum(own));
    need(n ? low <= high : low !== low && high !== high, `${where}.min of row ${i}`, "min <= max, NaN without values", [low, high]);
  }
}

export const MESSAGES = {
  records: [{
    ...header, first_seq: int(1n, I63 - 1024n), clock, window, windows: integers(0n, I63), time_ms: time, times_ms: integers(0n, SAFE), labels,
    votes: labels, reasons: integers(0n, 5n), probabilities: shares, latencies_us: counts, n_features: int(1n, 1024n),
    features: floats, n_scores: int(1n, 64n), scores: floats,
  }, (d, where) => {
    const n = d.windows.length;
    need(n >= 1 && n <= 1024, `${where}.windows`, "1..1024 rows", n);
    long(d, where, n, "times_ms", "labels", "votes", "reasons", "probabilities", "latencies_us");
    long(d, where, n * d.n_features, "features");
    long(d, where, n * d.n_scores, "scores");
    need(d.window + most(d.windows) <= I63, `${where}.windows`, `sums with ${d.window} up to 2^63-1`, most(d.windows));
    need(d.time_ms + most(d.times_ms) <= SAFE, `${where}.times_ms`, `sums with ${d.time_ms} up to 2^53-1`, most(d.times_ms));
  }],
  packed: [{
    ...header, n: int(1n, 1024n), seq: int(1n, I63 - 1024n), clock, window, skip: integers(0n, I63), time_ms: int(-SAFE, SAFE),
    step_us: window, rest_ms: integers(-(2n ** 63n), U64), said: integers(0n, 389n), vote: integers(-64n, 64n), p: shares,
    us: counts, x: floats, y: floats,
  }, (d, where) => {
    for (const name of ["rest_ms", "said", "vote", "p", "us"]) short(d, where, d.n, name);
    short(d, where, d.n - 1, "skip");
    for (const [name, most] of [["x", 1024], ["y", 64]]) {
      const width = d[name].length / d.n;
      need(Number.isInteger(width) && width >= 1 && width <= most, `${where}.${name}`, `1..${most} values a row`, width);
    }
    for (const row of unpacked(d)) {
      need(row.window <= I63, `${where}.skip`, "windows up to 2^63-1", row.window);
      need(row.time_ms >= 0n && row.time_ms <= SAFE, `${where}.rest_ms`, "times 0..2^53-1", row.time_ms);
      need(row.vote >= -1 && row.vote <= 63, `${where}.vote`, "votes -1..63", row.vote);
    }
  }],
  summary: [{ ...header, ...SUMMARY }, summaryRule],
  brief: [{
    h: (v, where) => {
      need(Array.isArray(v) && v.length === 4, where, "4 items", v);
      return [id, id, epoch, raw(64, 64)].map((check, i) => check(v[i], `${where}[${i}]`));
    },
    b: raw(0, 2 ** 20),
  }, unbriefed],
  window: [{
    ...header, seq, clock, window, time_ms: time, reason: int(0n, 5n), rate_hz: float64(...positive), names: list(1, 64, text(1, 64)),
    n_values: integers(1n, 4096n), values: floats,
  }, (d, where) => {
    unique(d.names, `${where}.names`);
    long(d, where, d.names.length, "n_values");
    need(d.values.length <= 65536, `${where}.values`, "up to 65536 values", d.values.length);
    long(d, where, sum(d.n_values), "values");
  }],
  event: [{
    device: id, epoch, seq, stream: (v, where) => (v === "" ? v : id(v, where)), time_ms: time, event: id,
    fields: map(32, text(1, 64), (v, where) => (typeof v === "string" ? lines(0, 1024) : int(-I63, I63))(v, where)),
  }],
  birth: [{
    site: id, device: id, epoch, time_ms: time, utc_offset_min: int(-1440n, 1440n), versions: map(32, text(1, 64), text(0, 256)),
    streams: list(0, 16, object({
      name: id, bundle: rawDigest, program: rawDigest, version: int(1n, SAFE), window_frames: int(1n, 4096n),
      hop_frames: int(1n, 4096n), rate_hz: float64(...positive), source: text(1, 256),
    }, (s, where) => need(s.hop_frames <= s.window_frames, `${where}.hop_frames`, `at most ${s.window_frames}`, s.hop_frames))),
    raw: left(map(16, id, object({
      channels: list(1, 64, text(1, 64)), reasons: list(1, 16, id), windows: int(1n, 64n),
    }, (r, where) => [r.channels, r.reasons].forEach((names) => unique(names, where))))), raw_bytes_day: left(time),
  }, (d, where) => {
    unique(d.streams.map((s) => s.name), `${where}.streams`);
    need("raw" in d === "raw_bytes_day" in d, `${where}.raw_bytes_day`, "both raw and raw_bytes_day, or none", d.raw_bytes_day);
  }],
  state: [{ online: bool, device: id, epoch, time_ms: time, streams: map(16, id, rawDigest), order_version: time }],
  ack: [{ epoch, first: integers(1n, I63), last: integers(1n, I63) }, (d, where) => {
    need(d.first.length >= 1 && d.first.length <= 1024, `${where}.first`, "1..1024 values", d.first.length);
    long(d, where, d.first.length, "last");
    d.first.forEach((low, i) => need(low <= d.last[i], `${where}.last[${i}]`, `at least ${low}`, d.last[i]));
  }],
};

// Bins of times, each told by its distance from the one before.
function latencies({ latency_bins: steps, latency_counts: many }, where) {
  if (!steps && !many) return;
  need(steps?.length >= 1 && sum(steps) <= 700, `${where}.latency_bins`, "bins up to 700", steps);
  need(steps.slice(1).every((step) => step > 0), `${where}.latency_bins`, "ascending bins", steps);
  need(many?.length === steps.length, `${where}.latency_counts`, `${steps.length} values`, many);
}

// What belongs to each row of a summary, one row's after another's.
export function byRow(values, widths) {
  let at = 0;
  return widths.map((width) => values.slice(at, (at += width)));
}

// ---- files (JSON)

const numbers = (low, high) => list(low, high, number());
const place = int(0n, 1024n);
const words = left(list(1, 1024, text(0, 256)));
const taper = left(match(/^(hann|hamming)$/));
const onFields = (op) => op >= 2000 && op < 3000;
const signature = object({ key_id: match(/^[0-9a-f]{16}$/), sig: match(/^[0-9a-f]{128}$/) });
const signatures = (v, where) => {
  const found = list(0, 16, signature)(v, where);
  unique(found.map((one) => one.key_id), where);
  return found;
};

const channel = object({ name: text(1, 64), unit: text(0, 32), scale: number((x) => x !== 0, "not 0"), offset: number(),
  every: left(int(2n, 2048n)), taper });
const filter = object({ name: text(1, 64), op: int(1n, 65535n), sources: list(1, 8, place), params: numbers(0, 4),
  unit: text(0, 32), taper });
const derived = { op: left(int(2000n, 65535n)), sources: left(list(1, 2, place)), params: left(numbers(1, 256)), words };
const field = object({ name: text(1, 64), kind: match(/^(number|text)$/), ...derived }, (f, where) => {
  for (const name of Object.keys(derived))
    need(name in f ? "op" in f : name !== "sources" || !("op" in f), `${where}.${name}`, "op and sources together", f[name]);
});
const feature = object({ name: text(1, 128), op: int(1n, 65535n), channel: place, params: numbers(0, 256), other: left(place), words });
const timing = object({ policy: match(/^(hold|interpolate|mark|reset)$/), most_frames: int(1n, 65535n) });

function programRule(d, where) {
  const { channels, filters = [], fields = [], features } = d;
  const below = (i, n, at) => need(i < n, at, `a position below ${n}`, i);
  need(channels.length > 0 || (fields.length > 0 && d.window_frames === 1), `${where}.channels`, "channels, or fields", channels);
  need(channels.length > 0 ? d.window_frames > 1 : !filters.length, `${where}.window_frames`, "2..4096, 1 without channels", d.window_frames);
  need(d.hop_frames <= d.window_frames, `${where}.hop_frames`, `at most ${d.window_frames}`, d.hop_frames);
  unique([...channels, ...filters].map((one) => one.name), `${where}.channels`);
  unique(fields.map((one) => one.name), `${where}.fields`);
  unique(features.map((one) => one.name), `${where}.features`);
  filters.forEach((one, i) => one.sources.forEach((s) => below(s, channels.length + i, `${where}.filters[${i}].sources`)));
  fields.forEach((one, i) => {
    one.sources?.forEach((s) => below(s, i, `${where}.fields[${i}].sources`));
    need("op" in one || i === 0 || !("op" in fields[i - 1]), `${where}.fields[${i}]`, "derived fields last", one);
  });
  features.forEach((one, i) => {
    const n = onFields(one.op) ? fields.length : channels.length + filters.length;
    for (const at of [one.channel, one.other ?? 0]) below(at, n, `${where}.features[${i}]`);
    need(onFields(one.op) || i === 0 || !onFields(features[i - 1].op), `${where}.features[${i}]`, "those on fields last", one);
  });
  const timed = channels.length > 0 && d.rate_hz >= 0.001 && d.rate_hz <= 100000;
  need(!d.timing || timed, `${where}.timing`, "channels and a rate of 0.001..100000", d.rate_hz);
}

const policy = object({ thresholds_ppm: list(1, 64, int(0n, 1000000n)), k: int(1n, 16n), n: int(1n, 16n), hold_windows: int(0n, 65535n) },
  (p, where) => need(p.k <= p.n, `${where}.k`, `at most ${p.n}`, p.k));
const lineage = object({ dataset: text(1, 128), dataset_version: int(1n, SAFE), dataset_digest: hexDigest, run_id: text(1, 128) });
const budget = object({ state_bytes: time, model_bytes: time, memory_bytes: time, latency_us: time, record_bytes_day: time });
const member = object({
  name: match(/^(?!(manifest|signatures)\.json$)[a-z0-9][a-z0-9._-]{0,63}$/), length: int(1n, FILE), sha256: hexDigest,
  chunks: list(1, 2 ** 17, hexDigest),
}, (m, where) => long(m, where, Math.ceil(m.length / 65536), "chunks"));

function manifestRule(d, where) {
  const names = d.members.map((one) => one.name);
  const wanted = ["program.json", "model.onnx", "baseline.json", "golden.json"];
  if (d.engine === "native") wanted.push(names.includes("model.erm") ? "model.erm" : "model.erf");
  unique(d.labels, `${where}.labels`);
  unique(names, `${where}.members`);
  long(d.policy, `${where}.policy`, d.labels.length, "thresholds_ppm");
  for (const name of wanted) need(names.includes(name), `${where}.members`, `a ${name}`, names);
  const program = d.members.find((one) => one.name === "program.json").sha256;
  need(d.program_digest === program, `${where}.program_digest`, program, d.program_digest);
}

const bins = object({
  name: text(1, 128), edges: list(2, 65, single), counts: list(3, 66, time), n_nan: time, centre: single,
  scale: number((x) => x > 0 && Math.fround(x) === x, "a number above 0, exact in float32"),
  lag1: number((x) => x >= -1 && x <= 1, "-1..1"),
}, (b, where) => {
  ascending(b.edges, `${where}.edges`);
  long(b, where, b.edges.length + 1, "counts");
});
const stratum = object({ name: text(1, 64), n_windows: time, features: list(1, 1024, bins), scores: list(1, 64, bins),
  label_counts: list(1, 65, time) });
const shape = (s) => JSON.stringify([s.features, s.scores].map((rows) => rows.map((b) => [b.name, b.edges, b.centre, b.scale])));

function baselineRule({ strata }, where) {
  need(strata[0].name === "all", `${where}.strata[0].name`, "all", strata[0].name);
  unique(strata.map((one) => one.name), `${where}.strata`);
  strata.forEach((one, i) => {
    need(shape(one) === shape(strata[0]), `${where}.strata[${i}]`, "names, edges, centre and scale of the first", one.name);
    for (const rows of [one.features, one.scores]) unique(rows.map((b) => b.name), `${where}.strata[${i}]`);
  });
}

const part = object({ name: match(/^(?!all$)/), n_windows: time, counts: list(2, 1088, list(3, 66, time)), n_nan: list(2, 1088, time),
  lag1: list(2, 1088, number((x) => x >= -1 && x <= 1, "-1..1")), label_counts: list(1, 65, time) },
(p, where) => {
  text(1, 64)(p.name, `${where}.name`);
  long(p, where, p.counts.length, "n_nan", "lag1");
});

function goldenRule(d, where) {
  long(d, where, d.features.length, "labels", "scores");
  for (const name of ["features", "scores"])
    for (const row of d[name]) need(row.length === d[name][0].length, `${where}.${name}`, "rows of one length", row.length);
}

function payloadOf(v, where) {
  match(/^([A-Za-z0-9+/]{4})*([A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=)?$/)(v, where);
  const raw = atob(v);
  need(btoa(raw) === v && raw.length >= 1 && raw.length <= 65536, where, "one spelling of 1..65536 bytes", v);
  return v;
}

export const FILES = {
  program: [{
    rate_hz: number(...positive), window_frames: int(1n, 4096n), hop_frames: int(1n, 4096n), channels: list(0, 64, channel),
    features: list(1, 1024, feature), filters: left(list(1, 64, filter)), fields: left(list(1, 1024, field)), timing: left(timing),
  }, programRule],
  manifest: [{
    name: id, version: int(1n, SAFE), labels: list(1, 64, text(1, 64)), task: left(match(/^values$/)), program_digest: hexDigest,
    engine: match(/^(native|onnxruntime)$/), precision: match(/^(float64|float32|int8)$/), policy, lineage, budget,
    evidence: list(0, 1024, (v, where) => (need(isMap(v), where, "an object", v), free(v))), members: list(1, 16, member),
  }, manifestRule],
  baseline: [{ strata: list(1, 64, stratum) }, baselineRule],
  strata: [{ strata: list(1, 63, part) }, (d, where) => unique(d.strata.map((one) => one.name), `${where}.strata`)],
  golden: [{
    features: list(1, 1024, list(1, 1024, single)), labels: list(1, 1024, int(-1n, 63n)), scores: list(1, 1024, numbers(1, 64)),
  }, goldenRule],
  signatures: [{ signatures }],
  order: [{
    site: id, device: id, version: int(1n, SAFE), rollout: id,
    streams: map(16, id, object({ bundle: hexDigest, url: text(1, 2048), length: int(1n, FILE) })),
  }],
  signed: [{ payload: payloadOf, signatures }],
};
