// A bundle file (.elb) of FORMAT.md, section "container": every header as it must be, every hash right, or ContractError.

import { Bytes, need } from "./bytes.mjs";

const { subtle } = globalThis.crypto ?? (await import("node:crypto")).webcrypto;
const BLOCK = 512;
const CHUNK = 65536;
const START = new TextEncoder().encode("manifest.json\0");

export const isBundle = (bytes) => START.every((byte, i) => bytes[i] === byte);

export async function sha256(bytes) {
  return String(new Bytes(await subtle.digest("SHA-256", bytes)));
}

// { digest, manifest, members: name -> bytes, signatures or undefined }. `decode` is that of decode.mjs; `digest`: as known from a
// trusted place. Whether a signature is true is for its caller.
export async function unpack(bytes, decode, digest) {
  let at = 0;

  function take(length, where) {
    need(length <= bytes.length - at, where, `${length} more bytes at ${at}`, bytes.length - at);
    at += length;
    return bytes.subarray(at - length, at);
  }

  function content(name, length) {
    const found = take(length, name);
    const gap = take(-length & (BLOCK - 1), name);
    need(gap.every((byte) => byte === 0), name, "zero bytes behind it", gap.find((byte) => byte !== 0));
    return found;
  }

  function file(name, limit) { // its length is in its header
    const found = take(BLOCK, name);
    const length = parseInt(new TextDecoder().decode(found.subarray(124, 135)), 8);
    need(length >= 1 && length <= limit, `${name} length`, `1..${limit}`, length);
    need(same(found, header(name, length)), `${name} header`, `the one for ${length} bytes`, "another");
    return content(name, length);
  }

  const raw = file("manifest.json", 2 ** 20);
  const own = await sha256(raw);
  need(digest === undefined || digest === own, "manifest.json digest", digest, own);
  const manifest = decode(raw, "manifest");
  const members = {};
  for (const { name, length, sha256: whole, chunks } of manifest.members) {
    need(same(take(BLOCK, name), header(name, length)), `${name} header`, `the one for ${length} bytes`, "another");
    members[name] = content(name, length);
    for (const [i, chunk] of chunks.entries()) {
      const found = await sha256(members[name].subarray(i * CHUNK, (i + 1) * CHUNK));
      need(found === chunk, `${name} chunk ${i}`, chunk, found);
    }
    const found = await sha256(members[name]);
    need(found === whole, `${name} sha256`, whole, found);
  }
  const signatures = bytes[at] === 0 ? undefined : file("signatures.json", 16384);
  need(take(2 * BLOCK, "end").every((byte) => byte === 0), "end", "two blocks of zero bytes", "others");
  need(at === bytes.length, "end", "nothing behind it", bytes.length - at);
  return { digest: own, manifest, members, signatures: signatures && decode(signatures, "signatures") };
}

const same = (a, b) => a.every((byte, i) => byte === b[i]);

function header(name, length) {
  const block = new Uint8Array(BLOCK);
  const put = (offset, text) => block.set(new TextEncoder().encode(text), offset);
  const octal = (n, digits) => n.toString(8).padStart(digits, "0");
  put(0, name);
  put(100, `${octal(0o644, 7)}\0${octal(0, 7)}\0${octal(0, 7)}\0${octal(length, 11)}\0${octal(0, 11)}\0        0`);
  put(257, "ustar\x0000");
  put(329, `${octal(0, 7)}\0${octal(0, 7)}\0`);
  put(148, `${octal(block.reduce((sum, byte) => sum + byte), 6)}\0 `);
  return block;
}

// Its documents, decoded: manifest, program, baseline, strata where there are some, golden and signatures.
export async function documents(bytes, decode) {
  const { manifest, members, signatures } = await unpack(bytes, decode);
  const kinds = ["program", "baseline", "strata", "golden"].filter((kind) => `${kind}.json` in members);
  const inside = kinds.map((kind) => decode(members[`${kind}.json`], kind));
  return [manifest, ...inside, ...(signatures ? [signatures] : [])];
}
