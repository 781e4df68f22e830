/** What must not compile, and what the compiler must know. These run too, but the compiler is the judge. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { Tensor } from "../../../engine/tensors/tensor.ts";

type Same<A, B> = (<T>() => T extends A ? 1 : 2) extends <T>() => T extends B ? 1 : 2 ? true : false;
const same = <A, B>(yes: Same<A, B>): void => assert.ok(yes);

const x = Tensor.from(new Float32Array(24), "layer t d", [2, 3, 4]);
const v = Tensor.from(new Float32Array(4), "d");

test("axes are known to the compiler", () => {
  const row = x.at({ layer: 1 });
  same<typeof row, Tensor<"t d">>(true);
  const place = x.at({ layer: 1, t: 0 });
  same<typeof place, Tensor<"d">>(true);
  const one = x.at({ layer: 1, t: 0, d: -1 });
  same<typeof one, number>(true);
  const mean = x.mean("t");
  same<typeof mean, Tensor<"layer d">>(true);
  const all = x.norm();
  same<typeof all, number>(true);
  const steered = x.mean("t").sub(v);
  same<typeof steered, Tensor<"layer d">>(true);
  const wide = v.add(x);
  same<typeof wide, Tensor<"d layer t">>(true);
  const scores = x.dot(v, "d");
  same<typeof scores, Tensor<"layer t">>(true);
  const cosine = v.cosine(v, "d");
  same<typeof cosine, number>(true);
  const renamed = x.rename({ t: "q" });
  same<typeof renamed, Tensor<"layer q d">>(true);
  const doubled = x.mul(2);
  same<typeof doubled, Tensor<"layer t d">>(true);
});

test("a wrong axis does not compile, and throws where nobody compiled", () => {
  // @ts-expect-error: no axis head
  assert.throws(() => x.mean("head"));
  // @ts-expect-error: no axis head
  assert.throws(() => x.at({ head: 0 }));
  // @ts-expect-error: the two have no axis t in common
  assert.throws(() => x.dot(v, "t"));
  // @ts-expect-error: no axis q
  assert.throws(() => x.slice({ q: [0, 1] }));
  // @ts-expect-error: no axis q
  assert.throws(() => x.softmax("q"));
});
