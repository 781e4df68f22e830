import assert from "node:assert/strict";
import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { makeTensor, Tensor } from "../../../engine/tensors/tensor.ts";

let folder = "";
before(async () => {
  folder = await mkdtemp(join(tmpdir(), "moescope-"));
});
after(() => rm(folder, { recursive: true }));

test(".npy files come back as they were written", async () => {
  const path = join(folder, "a.npy");
  const t = Tensor.from(
    Float32Array.from({ length: 24 }, (_, i) => i / 7),
    "a b c",
    [2, 3, 4],
  );
  await t.toNpy(path);
  const bytes = await readFile(path);
  assert.equal((bytes.readUInt16LE(8) + 10) % 64, 0);
  assert.match(bytes.toString("latin1", 10, 80), /^\{'descr': '<f4', 'fortran_order': False, 'shape': \(2, 3, 4\), \}/);
  const back = await Tensor.open(path, "a b c");
  assert.deepEqual(back.shape, [2, 3, 4]);
  assert.deepEqual(back.data, t.data);
  assert.equal((await Tensor.open(path)).axes, "i j k");
  await assert.rejects(Tensor.open(path, "a b"), /has 3 axes/);
  const view = t.at({ a: 1 });
  await view.toNpy(path);
  assert.deepEqual((await Tensor.open(path)).data, view.data);
  await Tensor.from([1, 2], "d").toNpy(path);
  assert.match((await readFile(path)).toString("latin1", 10, 80), /'shape': \(2,\)/);
});

/** Version 1.0 by hand, as numpy writes it. */
function npy(descr: string, shape: string, body: Buffer, fortran = "False"): Buffer {
  const dict = `{'descr': '${descr}', 'fortran_order': ${fortran}, 'shape': ${shape}, }`;
  const head = Buffer.from(`\x93NUMPY\x01\x00..${dict.padEnd(117)}\n`, "latin1");
  head.writeUInt16LE(118, 8);
  return Buffer.concat([head, body]);
}

test(".npy files of other number types and orders are read", async () => {
  const path = join(folder, "b.npy");
  const cases: [string, Buffer, number[]][] = [
    ["<f8", Buffer.from(Float64Array.of(1.5, -2).buffer), [1.5, -2]],
    ["<i8", Buffer.from(BigInt64Array.of(3n, -4n).buffer), [3, -4]],
    ["|u1", Buffer.from([7, 255]), [7, 255]],
    [">i2", Buffer.from([0, 5, 255, 254]), [5, -2]],
    ["<f2", Buffer.from(Uint16Array.of(0x3c00, 0xc001).buffer), [1, -2.001953125]],
  ];
  for (const [descr, body, expected] of cases) {
    await writeFile(path, npy(descr, "(2,)", body));
    assert.deepEqual(Array.from((await Tensor.open(path)).data), expected, descr);
  }
  await writeFile(path, npy("<f4", "(2, 3)", Buffer.from(Float32Array.of(0, 1, 2, 3, 4, 5).buffer), "True"));
  assert.deepEqual(Array.from((await Tensor.open(path)).data), [0, 2, 4, 1, 3, 5]);
});

test("a file that is not what it says is refused", async () => {
  const path = join(folder, "c.npy");
  await writeFile(path, "not numpy at all");
  await assert.rejects(Tensor.open(path), /is not a .npy file/);
  await writeFile(path, npy("<f4", "(9,)", Buffer.alloc(4)));
  await assert.rejects(Tensor.open(path), /is cut: 9 numbers of 4 bytes were announced, 4 bytes are there/);
  await writeFile(path, npy("<c8", "(1,)", Buffer.alloc(8)));
  await assert.rejects(Tensor.open(path), /something other than an array of plain numbers/);
  await assert.rejects(Tensor.open(join(folder, "none.npy")), { name: "ArgumentError" });
});

test("Arrow shares the memory and carries the labels", () => {
  const t = makeTensor(
    "layer t d",
    [2, 2, 3],
    Float32Array.from({ length: 12 }, (_, i) => i),
    { labels: { layer: [3, 7] } },
  );
  const table = t.toArrow();
  assert.deepEqual(
    table.schema.fields.map((f) => f.name),
    ["layer", "t", "value"],
  );
  assert.deepEqual(Array.from(table.getChild("layer")!.toArray()), [3, 3, 7, 7]);
  assert.deepEqual(Array.from(table.getChild("value")!.get(2)!), [6, 7, 8]);
  assert.equal(table.getChild("value")!.data[0].children[0].values.buffer, t.data.buffer);
  assert.equal(Tensor.from(t.data, "d").toArrow().getChild("value")!.toArray().buffer, t.data.buffer);
});
