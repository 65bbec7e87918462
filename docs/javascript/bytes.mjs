// The two encodings of FORMAT.md, section "envelope", read strictly: bytes to values, or ContractError.
// An integer is a BigInt, any other number a Number, a byte string Bytes, a column a typed array, a map an object.

export class ContractError extends Error {}

export class Bytes extends Uint8Array {
  toString() {
    return Array.from(this, (byte) => byte.toString(16).padStart(2, "0")).join("");
  }
}

export const SAFE = 2n ** 53n - 1n;

const COLUMNS = {
  64: Uint8Array, 69: Uint16Array, 70: Uint32Array, 71: BigUint64Array, 72: Int8Array,
  77: Int16Array, 78: Int32Array, 79: BigInt64Array, 85: Float32Array, 86: Float64Array,
};

export function need(holds, where, want, got) {
  if (!holds) throw new ContractError(`${where}: want ${want}, got ${shown(got)}`);
}

function shown(value) {
  if (value instanceof Bytes) return `${value.length} bytes`;
  if (typeof value === "bigint") return String(value);
  return (JSON.stringify(value, (_, v) => (typeof v === "bigint" ? String(v) : v)) ?? String(value)).slice(0, 80);
}

function fromUtf8(data, where) {
  try {
    return new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(data);
  } catch {
    throw new ContractError(`${where}: want UTF-8, got other bytes`);
  }
}

export function fromCbor(data) {
  const view = new DataView(data.buffer, data.byteOffset, data.byteLength);
  let at = 0;

  function take(n) {
    need(n <= data.length - at, `byte ${at}`, `${n} more bytes`, data.length - at);
    at += Number(n);
    return at - Number(n);
  }

  function argument(low) { // the number in a first byte, or behind it
    need(low <= 27, `byte ${at - 1}`, "a definite length", low);
    if (low < 24) return BigInt(low);
    const width = 1 << (low - 24);
    const start = take(width);
    const n = width === 8 ? view.getBigUint64(start) : BigInt(view[`getUint${8 * width}`](start));
    need(n >= (width === 1 ? 24n : 1n << BigInt(4 * width)), `byte ${start - 1}`, "the shortest form", n);
    return n;
  }

  function text(low) {
    const start = take(argument(low));
    return fromUtf8(data.subarray(start, at), `byte ${start}`);
  }

  function map(n, level) {
    const pairs = [];
    for (let last = ""; n > 0n; n--) {
      const start = at;
      const first = data[take(1)];
      need(first >> 5 === 3, `byte ${start}`, "a text as key", first);
      const name = text(first & 31);
      const key = new Bytes(data.subarray(start, at)).toString();
      need(last < key, `byte ${start}`, "keys in ascending order", name);
      last = key;
      pairs.push([name, item(level)]);
    }
    return Object.fromEntries(pairs);
  }

  function column(tag) {
    need(Object.hasOwn(COLUMNS, tag), `byte ${at - 1}`, "a tag of the table", tag);
    const first = data[take(1)];
    need(first >> 5 === 2, `byte ${at - 1}`, "a byte string", first);
    const n = argument(first & 31);
    const start = take(n);
    const Type = COLUMNS[tag];
    const width = Type.BYTES_PER_ELEMENT;
    need(n % BigInt(width) === 0n, `byte ${start}`, `a multiple of ${width} bytes`, n);
    const get = `get${Type.name.replace("Array", "")}`;
    return Type.from({ length: Number(n) / width }, (_, i) => view[get](start + i * width, true));
  }

  function item(level) {
    const start = at;
    const first = data[take(1)];
    const low = first & 31;
    if (first === 0xfb) return view.getFloat64(take(8));
    if (first >= 0xf4 && first <= 0xf6) return [false, true, null][first - 0xf4];
    if (first === 0xd8) return column(data[take(1)]);
    need(first < 0xc0, `byte ${start}`, "a first byte of the table", first);
    if (first < 0x20) return argument(low);
    if (first < 0x40) return -1n - argument(low);
    if (first < 0x60) return new Bytes(data.subarray(take(argument(low)), at));
    if (first < 0x80) return text(low);
    need(level < 8, `byte ${start}`, "at most 8 levels", level + 1);
    const n = argument(low);
    need(n <= data.length - at, `byte ${start}`, "items that fit into what is left", n);
    return first < 0xa0 ? Array.from({ length: Number(n) }, () => item(level + 1)) : map(n, level + 1);
  }

  const value = item(0);
  need(at === data.length, `byte ${at}`, "the end", data.length - at);
  return value;
}

export function fromJson(data) {
  const text = fromUtf8(data, "byte 0");
  let value;
  try {
    value = JSON.parse(text);
  } catch (error) {
    throw new ContractError(`document: want JSON, got ${error.message}`);
  }
  need(canonical(value, 0) === text, "document", "the canonical form (RFC 8785)", text);
  return JSON.parse(text, (_, v) => (Number.isSafeInteger(v) ? BigInt(v) : v));
}

// Its own numbers and texts are those of RFC 8785; the order of keys and the limits are ours.
function canonical(v, level) {
  if (typeof v === "string") need(!/\p{Surrogate}/u.test(v), "document", "no lone surrogates", v);
  if (typeof v !== "object" || v === null) return JSON.stringify(v);
  need(level < 32, "document", "at most 32 levels", level + 1);
  if (Array.isArray(v)) return `[${v.map((x) => canonical(x, level + 1)).join()}]`;
  const members = Object.keys(v).sort().map((k) => `${canonical(k)}:${canonical(v[k], level + 1)}`);
  return `{${members.join()}}`;
}
