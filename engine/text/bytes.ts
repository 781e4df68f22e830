/** What tokens stand for, in bytes. A token may end inside a character; only the bytes of several together are text. */

/** Byte-level BPE writes each byte as a printable character: this is that table, inverted. */
function byteLevelTable(): Map<string, number> {
  const table = new Map<string, number>();
  let spare = 256;
  for (let b = 0; b < 256; b++) {
    const printable = (b >= 0x21 && b <= 0x7e) || (b >= 0xa1 && b <= 0xac) || (b >= 0xae && b <= 0xff);
    table.set(String.fromCodePoint(printable ? b : spare++), b);
  }
  return table;
}

const TABLE = byteLevelTable();
const encoder = new TextEncoder();

/** How a vocabulary writes its tokens. */
export type Alphabet = "byte-level" | "sentencepiece" | "plain";

/** From the decoder and pre-tokenizer of a `tokenizer.json`. */
export function alphabetOf(tokenizer: Readonly<Record<string, unknown>>): Alphabet {
  const parts = JSON.stringify([tokenizer.decoder ?? null, tokenizer.pre_tokenizer ?? null]);
  if (parts.includes('"ByteLevel"')) return "byte-level";
  if (parts.includes('"Metaspace"') || parts.includes('"ByteFallback"') || parts.includes("▁")) return "sentencepiece";
  return "plain";
}

/** The bytes of a vocabulary entry. Characters outside the alphabet (added tokens) stand for themselves. */
export function tokenBytes(token: string, alphabet: Alphabet): Uint8Array {
  if (alphabet === "sentencepiece") {
    const byte = /^<0x([0-9A-Fa-f]{2})>$/.exec(token);
    return byte ? Uint8Array.of(Number.parseInt(byte[1], 16)) : encoder.encode(token.replaceAll("▁", " "));
  }
  if (alphabet === "plain") return encoder.encode(token);
  const bytes: number[] = [];
  for (const c of token) {
    const b = TABLE.get(c);
    if (b === undefined) return encoder.encode(token);
    bytes.push(b);
  }
  return Uint8Array.from(bytes);
}

/** For display: text where the bytes are text, `\xE2` where they are a part of a character. */
export function showBytes(bytes: Uint8Array): string {
  let out = "";
  let i = 0;
  while (i < bytes.length) {
    const n = sequenceLength(bytes, i);
    if (n > 0) out += new TextDecoder("utf-8", { ignoreBOM: true }).decode(bytes.subarray(i, i + n));
    else out += `\\x${bytes[i].toString(16).toUpperCase().padStart(2, "0")}`;
    i += Math.max(1, n);
  }
  return out;
}

/** Bytes of the whole character that begins at `i`; 0 when none does. */
function sequenceLength(bytes: Uint8Array, i: number): number {
  const b = bytes[i];
  const n = b < 0x80 ? 1 : b >= 0xc2 && b < 0xe0 ? 2 : b >= 0xe0 && b < 0xf0 ? 3 : b >= 0xf0 && b < 0xf5 ? 4 : 0;
  if (n === 0 || i + n > bytes.length) return 0;
  for (let k = 1; k < n; k++) if ((bytes[i + k] & 0xc0) !== 0x80) return 0;
  try {
    new TextDecoder("utf-8", { fatal: true }).decode(bytes.subarray(i, i + n));
    return n;
  } catch {
    return 0;
  }
}

export type Offset = readonly [from: number, to: number];

/**
 * Where each token lies in the text, in UTF-16 units as JavaScript counts. A token that is part of a character gets the whole character.
 * Null when the tokens' bytes are not the text's (a normalizer changed it).
 */
export function offsets(text: string, tokens: readonly Uint8Array[]): Offset[] | null {
  const bytes = encoder.encode(text);
  // The UTF-16 place at which the character of each byte begins, and where it ends.
  const begin = new Uint32Array(bytes.length + 1);
  const end = new Uint32Array(bytes.length + 1);
  let at = 0;
  for (let i = 0; i < bytes.length; ) {
    const b = bytes[i];
    const n = b < 0x80 ? 1 : b < 0xe0 ? 2 : b < 0xf0 ? 3 : 4;
    const units = n === 4 ? 2 : 1;
    begin.fill(at, i, i + n);
    end.fill(at + units, i, i + n);
    at += units;
    i += n;
  }
  begin[bytes.length] = end[bytes.length] = text.length;
  const out: Offset[] = [];
  let from = 0;
  for (const token of tokens) {
    for (let k = 0; k < token.length; k++) if (bytes[from + k] !== token[k]) return null;
    const to = from + token.length;
    out.push(token.length === 0 ? [begin[from], begin[from]] : [begin[from], end[to - 1]]);
    from = to;
  }
  return from === bytes.length ? out : null;
}
