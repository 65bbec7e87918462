// Documents of Edgeloop as plain JavaScript values, written from FORMAT.md alone. No packages; Node 18 or a browser of its time.
//
//   import { decode, rows } from "./decode.mjs";   decode(bytes) gives { format, kind, ...fields } or throws ContractError
//   node decode.mjs [--rows] FILE...               a line of JSON a document, those inside a bundle too; --rows: a line a record
//                                                  and a line a row of a summary
//   mosquitto_sub -t 'el/v1/+/+/rec/+' -F %x | node decode.mjs --rows -        the same of hex, a message a line
//
// In lines of JSON, what a JSON number cannot hold is text: integers that may pass 2^53-1, "NaN", "Infinity", "-Infinity", "-0".

import { Bytes, ContractError, fromCbor, fromJson, need } from "./bytes.mjs";
import { FILES, MESSAGES, byRow, known, unbriefed, unpacked } from "./documents.mjs";

// One document; of this kind alone where one is told. Fields that a newer minor number added are kept as they are.
export function decode(bytes, kind) {
  const isJson = bytes[0] === 0x7b; // "{", which no map of CBOR begins with
  const value = isJson ? fromJson(bytes) : fromCbor(bytes);
  const kinds = isJson ? FILES : MESSAGES;
  need(Object.hasOwn(value ?? {}, "format"), "document", "a map with format", value);
  need(typeof value.format === "string" && /^0\.(0|[1-9]\d{0,3})$/.test(value.format), "format", "0.0 .. 0.9999", value.format);
  need(kind === undefined || kind === value.kind, "kind", kind, value.kind);
  need(Object.hasOwn(kinds, value.kind), "kind", Object.keys(kinds).join(" or "), value.kind);
  const [fields, rule] = kinds[value.kind];
  const found = known(fields, value, value.kind);
  rule?.(found, value.kind);
  return { ...value, ...found };
}

// One object a record, or a feature or score of a summary; any other document is its own row.
export function rows(document) {
  return (ROWS[document.kind] ?? ((d) => [d]))(document);
}

const ROWS = {
  records({ kind, device, stream, epoch, bundle, program, clock, ...d }) {
    const cut = (values, width, i) => values.slice(i * width, (i + 1) * width);
    return d.windows.map((ahead, i) => ({
      kind, device, stream, epoch, seq: d.first_seq + BigInt(i), bundle, program, clock, window: d.window + ahead,
      time_ms: d.time_ms + d.times_ms[i], label: d.labels[i], vote: d.votes[i], reason: d.reasons[i],
      probability: d.probabilities[i], latency_us: d.latencies_us[i], features: cut(d.features, d.n_features, i),
      scores: cut(d.scores, d.n_scores, i),
    }));
  },
  packed({ device, stream, epoch, bundle, program, clock, ...d }) {
    return unpacked(d).map(({ seq, window, time_ms, ...row }) => ({
      kind: "records", device, stream, epoch, seq, bundle, program, clock, window, time_ms: Number(time_ms), ...row,
    }));
  },
  brief(d) {
    return ROWS.summary({ kind: "summary", ...unbriefed(d) });
  },
  summary({ kind, device, stream, epoch, seq, bundle, program, period, ...d }) {
    const counts = byRow(d.counts, d.n_counts);
    const names = ["n", "n_nan", "min", "max", "first", "last", "sum", "sum_sq", "sum_lag"];
    return counts.map((own, row) => ({
      kind, device, stream, epoch, seq, bundle, program, period, row,
      ...Object.fromEntries(names.map((name) => [name, d[name][row]])), counts: own,
    }));
  },
};

export function line(value) {
  return JSON.stringify(value, (_, v) => {
    if (typeof v === "bigint" || v instanceof Bytes) return String(v);
    if (Object.is(v, -0)) return "-0";
    if (typeof v === "number" && !Number.isFinite(v)) return String(v);
    return ArrayBuffer.isView(v) ? Array.from(v) : v;
  });
}

async function main(args) {
  const { readFile } = await import("node:fs/promises");
  const { createInterface } = await import("node:readline");
  const { documents, isBundle } = await import("./bundle.mjs");
  const asRows = args[0] === "--rows";
  let refused = 0;
  const show = async (bytes, kind, name) => {
    try {
      const found = isBundle(bytes) ? await documents(bytes, decode) : [decode(bytes, kind)];
      for (const one of asRows ? found.flatMap(rows) : found) console.log(line(one));
    } catch (error) {
      if (!(error instanceof ContractError)) throw error;
      refused += 1;
      console.log(line({ refused: name, error: error.message }));
    }
  };
  for (const name of args.slice(asRows ? 1 : 0)) {
    if (name !== "-") await show(await readFile(name), undefined, name);
    else
      for await (const text of createInterface({ input: process.stdin })) {
        const [hex, kind] = text.trim().split(" ").reverse(); // "HEX" or "KIND HEX"
        await show(Buffer.from(hex, "hex"), kind, hex.slice(0, 40));
      }
  }
  process.exitCode = refused ? 3 : 0;
}

if (globalThis.process?.argv[1] && import.meta.url === new URL(`file://${process.argv[1]}`).href) await main(process.argv.slice(2));
