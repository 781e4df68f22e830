import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";
import { invFreq, invFreq64, type RopeScaling } from "../../../engine/checkpoint/rope.ts";

type Golden = Record<string, Record<string, number[]>>;
const { about: _about, ...golden } = JSON.parse(readFileSync("test/engine/checkpoint/rope.json", "utf8")) as Golden & {
  about: unknown;
};

const scalingOf = (key: string): RopeScaling | null => {
  if (key === "default") return null;
  const [factor, lowFreqFactor, highFreqFactor, originalContext] = key.split(",").map(Number);
  return { type: "llama3", factor, lowFreqFactor, highFreqFactor, originalContext };
};

for (const [shape, tables] of Object.entries(golden as Golden))
  for (const [key, bits] of Object.entries(tables))
    test(`theta, head size ${shape}, scaling ${key}: torch's bits`, () => {
      const [theta, dim] = shape.split(",").map(Number);
      const ours = invFreq({ theta, scaling: scalingOf(key) }, dim);
      assert.deepEqual([...new Int32Array(ours.buffer)], bits);
    });

test("the doubles are the formula itself, and agree with f32 to its precision", () => {
  const rope = { theta: 500000, scaling: scalingOf("16,1,1,8192") };
  const wide = invFreq64(rope, 128);
  assert.equal(wide[0], 1);
  assert.ok(Math.abs(wide[10] - 500000 ** (-20 / 128)) < 1e-16);
  // Waves longer than 8,192 positions, j >= 35, are slowed sixteenfold (spec section 1).
  assert.ok(Math.abs(wide[34] * 500000 ** (68 / 128) - 1) < 1e-12);
  assert.ok(Math.abs(wide[35] * 16 * 500000 ** (70 / 128) - 1) < 1e-12);
  invFreq(rope, 128).forEach((x, j) => {
    assert.ok(Math.abs(x / wide[j] - 1) < 3e-7);
  });
});
