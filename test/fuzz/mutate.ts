/** Seeded changes to bytes and to JSON values. */

export type Random = (below: number) => number;

/** Integers in [0, below) from a 32-bit seed (Weyl sequence through MurmurHash3's finaliser). */
export function random(seed: number): Random {
  let state = seed >>> 0;
  return (below) => {
    let x = (state = (state + 0x9e3779b9) >>> 0);
    x = Math.imul(x ^ (x >>> 16), 0x85ebca6b);
    x = Math.imul(x ^ (x >>> 13), 0xc2b2ae35);
    return ((x ^ (x >>> 16)) >>> 0) % below;
  };
}

export const pick = <T>(r: Random, list: readonly T[]): T => list[r(list.length)];

const TOKENS = [
  "{",
  "}",
  "[",
  "]",
  ",",
  ":",
  '"',
  "\\",
  "\\u0000",
  "null",
  "true",
  "-",
  "1e999",
  "9007199254740993",
  "__proto__",
  "\u0000",
  " ",
];

/** One to four edits: flipped bits, cut, doubled, moved or inserted pieces. */
export function mutateBytes(r: Random, bytes: Uint8Array): Uint8Array {
  let b = Buffer.from(bytes);
  for (let n = 1 + r(4); n > 0; n--) {
    const at = r(b.length + 1);
    const length = 1 + r(r(4) === 0 ? 200 : 4);
    const piece = Buffer.from(b.subarray(at, at + length));
    switch (r(6)) {
      case 0:
        if (at < b.length) b[at] ^= 1 << r(8);
        break;
      case 1:
        b = Buffer.concat([b.subarray(0, at), b.subarray(at + length)]);
        break;
      case 2:
        b = Buffer.concat([b.subarray(0, at), piece, b.subarray(at)]);
        break;
      case 3:
        b = Buffer.concat([b.subarray(0, at), Buffer.from(pick(r, TOKENS)), b.subarray(at)]);
        break;
      case 4: {
        const to = r(b.length + 1);
        b = Buffer.concat([b.subarray(0, to), piece, b.subarray(to)]);
        break;
      }
      default:
        if (r(8) === 0) b = Buffer.from(b.subarray(0, at));
        else if (at < b.length) b[at] = pick(r, [0, 0x22, 0x30, 0x39, 0x2d, 0x80, 0xc3, 0xff]);
    }
  }
  return b;
}

function oddValue(r: Random): unknown {
  return pick<unknown>(r, [
    ...[
      null,
      true,
      false,
      0,
      -0,
      1,
      -1,
      2,
      3,
      0.5,
      255,
      256,
      65536,
      2 ** 28,
      2 ** 28 + 1,
      2 ** 31,
      2 ** 32,
      2 ** 53,
      2 ** 53 - 1,
      1e308,
    ],
    ...[
      "",
      "0",
      "1",
      "BF16",
      "F8_E4M3",
      "F32",
      "I64",
      "toString",
      "__proto__",
      "llama4_text",
      "llama3",
      "é".repeat(300),
      "a\u0000b",
    ],
    ...[
      [],
      [0],
      [1, 2],
      [0, 0],
      [-1, 4],
      [4, 1],
      [2 ** 40, 2 ** 40],
      Array(40).fill(1),
      [[1]],
      {},
      { a: 1 },
      { constructor: 1 },
    ],
    1 + r(200),
  ]);
}

type Box = Record<string, unknown> | unknown[];

/** All places in a JSON value: the container and the key in it. */
function places(value: unknown, out: [Box, string | number][] = []): [Box, string | number][] {
  if (typeof value !== "object" || value === null) return out;
  for (const key of Object.keys(value)) {
    out.push([value as Box, key]);
    places((value as Record<string, unknown>)[key], out);
  }
  return out;
}

/** One to three changes of values, keys or places of a JSON text. The result is a text: it may repeat keys. */
export function mutateJson(r: Random, text: string): string {
  const root = JSON.parse(text);
  for (let n = 1 + r(3); n > 0; n--) {
    const all = places(root);
    if (all.length === 0) break;
    const [box, key] = pick(r, all);
    const value = (box as any)[key];
    const put = (k: string | number, v: unknown) =>
      Object.defineProperty(box, k, { value: v, enumerable: true, writable: true, configurable: true });
    switch (r(7)) {
      case 0:
        if (Array.isArray(box)) box.splice(Number(key), 1);
        else delete box[key];
        break;
      case 1: {
        const [other, otherKey] = pick(r, all);
        put(key, structuredClone((other as any)[otherKey]));
        break;
      }
      case 2:
        if (typeof value === "number") put(key, value + pick(r, [-1, 1, -2, 2, 8, 0.5, 4096, -value, value]));
        else put(key, oddValue(r));
        break;
      case 3:
        if (!Array.isArray(box))
          put(pick(r, [`${key}_`, String(key).slice(0, -1), "__metadata__", "__proto__"]), value);
        break;
      case 4:
        if (Array.isArray(value)) value.push(oddValue(r));
        else put(key, [value]);
        break;
      default:
        put(key, oddValue(r));
    }
  }
  const out = JSON.stringify(root);
  // A key said twice: a legal text, which a plain parser silently halves.
  const key = r(20) === 0 ? /"[^"]+":/.exec(out.slice(r(out.length)))?.[0] : undefined;
  return key ? out.replace("{", `{${key}1,`) : out;
}
