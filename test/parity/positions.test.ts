import assert from "node:assert/strict";
import { test } from "node:test";
import { readConfig } from "../../engine/checkpoint/config.ts";
import { invFreq, invFreq64 } from "../../engine/checkpoint/rope.ts";
import { type Config, caseNames, getCase } from "./checkpoint.ts";
import { assertClose, difference, largest } from "./compare.ts";
import { Fixture } from "./fixture.ts";
import { positional } from "./native.ts";

const f = new Fixture("positions");
const positions = f.ids("positions");

function configOf(name: string): Config {
  const released = getCase("released").config;
  if (name === "stale") {
    return { ...released, rope_parameters: { ...released.rope_parameters, factor: 8, high_freq_factor: 4 } };
  }
  if (name === "plain") return { ...released, rope_parameters: { rope_type: "default", rope_theta: 500000 } };
  return getCase(name).config;
}

test("inverse frequencies have the bits of transformers", () => {
  for (const name of [...caseNames, "stale", "plain"]) {
    const config = readConfig(configOf(name), name);
    assert.deepEqual(invFreq(config.rope, config.headDim), f.floats(`${name}/invFreq`), name);
    const exact = f.get(`${name}/invFreq64`).data;
    assertClose([difference(name, invFreq64(config.rope, config.headDim), exact, [exact.length])], 1e-14);
  }
});

for (const name of ["released", "stale", "plain"]) {
  const half = f.floats(`${name}/invFreq`).length;
  const shape = [positions.length, half];

  test(`${name}: rope "hf" turns as transformers does up to position 10,485,759`, () => {
    const { cos, sin } = positional(configOf(name), "hf", positions);
    assertClose(
      [difference("cos", cos, f.floats(`${name}/cos`), shape), difference("sin", sin, f.floats(`${name}/sin`), shape)],
      2.5e-7,
    );
  });

  test(`${name}: rope "accurate" turns by the exact angle of the position within its chunk`, () => {
    const { cos, sin } = positional(configOf(name), "accurate", positions);
    const exact = [f.get(`${name}/cos64`).data, f.get(`${name}/sin64`).data];
    assertClose([difference("cos", cos, exact[0], shape), difference("sin", sin, exact[1], shape)], 2.5e-7);
    // At 131,071 the fp32 product is off by up to 5e-3 rad: the two modes must not be one.
    const hf = positional(configOf(name), "hf", positions);
    const row = 3 * half;
    const angle = (t: { cos: Float32Array; sin: Float32Array }, i: number) => Math.atan2(t.sin[i], t.cos[i]);
    const turn = (p: number, j: number) =>
      (Math.floor(p / 8192) * 8192 * f.get(`${name}/invFreq64`).data[j]) % (2 * Math.PI);
    const apart = Float64Array.from({ length: half }, (_, j) => {
      const d = angle(hf, row + j) - angle({ cos, sin }, row + j) - turn(positions[3], j);
      return d - 2 * Math.PI * Math.round(d / (2 * Math.PI));
    });
    assert.ok(largest(apart) > 1e-3 && largest(apart) < 1e-2, `the modes differ by ${largest(apart)} rad at 131,071`);
  });
}

test("the attention temperature up to position 10,485,759, and its golden values", () => {
  const golden = [1, 1.069315, 1.109861, 1.283321, 1.485981, 1.71554];
  assertClose([difference("golden", f.floats("golden"), golden, [6])], 5e-7);
  const all = Int32Array.of(...positions, ...f.ids("goldenPositions"));
  const want = Float32Array.of(...f.floats("temperature"), ...f.floats("golden"));
  assertClose([difference("temperature", positional(configOf("released"), "hf", all).temperature, want, [12])], 1.5e-7);
});
