import assert from "node:assert/strict";
import { test } from "node:test";
import { createShared, RING_BYTES, Word, wordsOf } from "../../kernel/bridge/shared.ts";
import { StreamReader, StreamWriter } from "../../kernel/bridge/stream-ring.ts";

function ring() {
  const shared = createShared();
  let notified = 0;
  const writer = new StreamWriter(shared, () => notified++);
  const reader = new StreamReader(shared);
  const drain = (mark = reader.mark): [number, string, string][] => {
    const out: [number, string, string][] = [];
    for (let next = reader.next(mark); next; next = reader.next(mark)) {
      out.push([next.chunk.cell, next.chunk.stream, next.chunk.text]);
      next.release();
    }
    return out;
  };
  return { shared, writer, reader, drain, notified: () => notified };
}

test("neighbours of one cell and stream are joined, order is kept across streams and cells", () => {
  const { writer, drain } = ring();
  writer.write(1, "stdout", "a");
  writer.write(1, "stdout", "b");
  writer.write(1, "stderr", "c");
  writer.write(2, "stderr", "d");
  writer.write(1, "stdout", "é😀");
  assert.deepEqual(drain(), [
    [1, "stdout", "ab"],
    [1, "stderr", "c"],
    [2, "stderr", "d"],
    [1, "stdout", "é😀"],
  ]);
  assert.deepEqual(drain(), []);
});

test("a mark parts what came before a message from what came after", () => {
  const { writer, drain } = ring();
  writer.write(1, "stdout", "before");
  const { mark } = writer;
  writer.write(1, "stdout", "after");
  assert.deepEqual(drain(mark), [[1, "stdout", "before"]]);
  assert.deepEqual(drain(), [[1, "stdout", "after"]]);
});

test("the reader is told once until it looks again", () => {
  const { writer, reader, notified, drain } = ring();
  for (let i = 0; i < 10; i++) writer.write(1, "stdout", "x");
  assert.equal(notified(), 1);
  reader.rearm();
  drain();
  writer.write(1, "stdout", "y");
  assert.equal(notified(), 2);
});

test("many times the ring's size passes through whole: odd lengths, characters of one to four bytes, the wrap", () => {
  const { writer, drain } = ring();
  let seed = 3;
  const random = (n: number): number => (seed = (seed * 48271) % 2147483647) % n;
  let sent = "";
  let got = "";
  let bytes = 0;
  while (bytes < 3 * RING_BYTES) {
    const text = ["x", "é", "漢", "😀"][random(4)].repeat(random(30_000)) + random(10);
    writer.write(7, "stdout", text);
    sent = (sent + text).slice(-200_000);
    bytes += Buffer.byteLength(text);
    got = (
      got +
      drain()
        .map(([, , t]) => t)
        .join("")
    ).slice(-200_000);
  }
  assert.equal(got, sent);
});

test("the 32-bit positions wrap around", () => {
  const { shared, writer, drain } = ring();
  const words = wordsOf(shared);
  const near = 0x7fffffff - 7 - 64;
  words[Word.ringRead] = words[Word.ringWrite] = near & ~7;
  for (let i = 0; i < 100; i++) {
    writer.write(1, "stdout", `${i},`);
    assert.deepEqual(drain(), [[1, "stdout", `${i},`]]);
  }
  assert.ok(words[Word.ringWrite] < 0);
});

test("nobody reads any more: writing does not wait", () => {
  const { shared, writer } = ring();
  Atomics.store(wordsOf(shared), Word.closed, 1);
  for (let i = 0; i < 100; i++) writer.write(1, "stdout", "z".repeat(100_000));
});
