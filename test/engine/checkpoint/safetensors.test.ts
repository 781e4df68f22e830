import assert from "node:assert/strict";
import { mkdtempSync, rmSync, truncateSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, test } from "node:test";
import { readHeader } from "../../../engine/checkpoint/safetensors.ts";
import { fault } from "../fault.ts";
import { file, safetensors } from "../folder.ts";

const folder = mkdtempSync(join(tmpdir(), "moescope-header-"));
after(() => rmSync(folder, { recursive: true }));
let n = 0;
const write = (bytes: Uint8Array): string => {
  const path = join(folder, `${n++}.safetensors`);
  writeFileSync(path, bytes);
  return path;
};
const header = (h: unknown, data = 8): string =>
  write(file(Buffer.from(typeof h === "string" ? h : JSON.stringify(h)), Buffer.alloc(data)));
const entry = (from: number, to: number, o: object = {}) => ({
  dtype: "F32",
  shape: [(to - from) / 4],
  data_offsets: [from, to],
  ...o,
});

test("a header gives names, shapes and offsets from the start of the file", async () => {
  const bytes = safetensors(
    new Map([
      ["a", { shape: [2, 3], data: new Float32Array(6) }],
      ["b", { shape: [], data: new Float32Array(1) }],
    ]),
  );
  const h = await readHeader(write(bytes));
  const a = h.tensors.get("a")!;
  assert.deepEqual([a.dtype, a.shape, a.bytes], ["F32", [2, 3], 24]);
  assert.equal(h.tensors.get("b")!.offset, bytes.length - 4);
  assert.deepEqual(h.metadata, { format: "pt" });
});

test("the data of a huge file is not read", async () => {
  const bytes = Number(8n << 30n);
  const path = header({ a: entry(0, bytes) }, 0);
  const size = (await import("node:fs")).statSync(path).size;
  truncateSync(path, size + bytes); // sparse
  const begun = process.memoryUsage().rss;
  const t = performance.now();
  assert.equal((await readHeader(path)).tensors.get("a")!.bytes, bytes);
  assert.ok(performance.now() - t < 500 && process.memoryUsage().rss - begun < 100e6);
  truncateSync(path, 0);
});

const FAULTS: [string, () => string, ...string[]][] = [
  ["missing", () => join(folder, "none.safetensors"), "missing"],
  ["empty", () => write(Buffer.alloc(0)), "is cut", "0 bytes"],
  ["cut in the length", () => write(Buffer.alloc(5)), "is cut", "5 bytes"],
  [
    "a header longer than the file",
    () => write(file(Buffer.alloc(0), Buffer.alloc(0)).fill(200, 0, 1)),
    "is cut",
    "200 bytes long",
  ],
  ["a huge header length", () => write(Buffer.alloc(64, 255)), "claims to be 18446744073709551615 bytes"],
  ["not JSON", () => header("{nope"), "not JSON"],
  ["not UTF-8", () => write(file(Buffer.from([0x7b, 0xff, 0x7d]), Buffer.alloc(0))), "not JSON"],
  ["not an object", () => header("[1]"), "not an object"],
  ["an entry that is no object", () => header({ a: 3 }), '"a"', "not described by an object"],
  ["an unknown dtype", () => header({ a: entry(0, 8, { dtype: "F31" }) }), '"a"', "F31"],
  ["no shape", () => header({ a: entry(0, 8, { shape: "2" }) }), '"a"', "no valid shape"],
  ["a negative shape", () => header({ a: entry(0, 8, { shape: [-2] }) }), '"a"', "no valid shape"],
  ["a shape too large to exist", () => header({ a: entry(0, 8, { shape: [2 ** 40, 2 ** 40] }) }), '"a"', "too large"],
  ["offsets that go backwards", () => header({ a: entry(0, 8, { data_offsets: [8, 0] }) }), "data_offsets"],
  ["offsets that do not match the shape", () => header({ a: entry(0, 8, { shape: [3] }) }), "needs 12 bytes", "span 8"],
  ["overlapping tensors", () => header({ a: entry(0, 8), b: entry(4, 12) }, 12), '"a" and "b" overlap'],
  ["a hole", () => header({ a: entry(0, 4), b: entry(8, 12) }, 12), '4 bytes before tensor "b"'],
  ["data cut short", () => header({ a: entry(0, 16) }), "is cut", "describes 16 bytes", "8 are there"],
  ["data longer than described", () => header({ a: entry(0, 4) }), "4 bytes follow"],
  [
    "a name given twice",
    () =>
      header(
        '{"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]},"\\u0061":{"dtype":"F32","shape":[1],"data_offsets":[4,8]}}',
      ),
    '"a" is described twice',
  ],
];
for (const [name, make, ...words] of FAULTS)
  test(`refused: ${name}`, async () => {
    const path = make();
    await fault(() => readHeader(path), "checkpoint", path, ...words);
  });
