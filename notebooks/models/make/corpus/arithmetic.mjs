/** Sums and small tables, at a size that a model of ten million parameters can learn. */
import { numberWord } from "./world.mjs";

const number = (rng) => rng.weighted([[3, rng.int(0, 9)], [5, rng.int(10, 99)], [2, rng.int(100, 999)]]);

/** One problem as { p, a }: the text up to the answer, and the answer with its leading space. */
export function problem(rng) {
  const kind = rng.weighted([[6, "+"], [4, "-"], [4, "x"], [1, "words"], [1, "max"], [1, "next"], [1, "sort"], [0.5, "div"]]);
  if (kind === "+") {
    const [a, b] = [number(rng), number(rng)];
    return { p: `${a} + ${b} =`, a: ` ${String(a + b)}`, kind };
  }
  if (kind === "-") {
    const [a, b] = [number(rng), number(rng)].sort((x, y) => y - x);
    return { p: `${a} - ${b} =`, a: ` ${String(a - b)}`, kind };
  }
  if (kind === "x") {
    const [a, b] = rng.chance(0.7) ? [rng.int(0, 12), rng.int(0, 12)] : [rng.int(10, 99), rng.int(2, 9)];
    return { p: `${a} x ${b} =`, a: ` ${String(a * b)}`, kind };
  }
  if (kind === "div") {
    const [a, b] = [rng.int(1, 12), rng.int(1, 12)];
    return { p: `${a * b} / ${a} =`, a: ` ${String(b)}`, kind };
  }
  if (kind === "words") {
    const [a, b] = [rng.int(0, 49), rng.int(0, 49)];
    return { p: `${numberWord(a)} plus ${numberWord(b)} is`, a: ` ${numberWord(a + b)}`, kind };
  }
  if (kind === "max") {
    const list = Array.from({ length: rng.int(2, 6) }, () => rng.int(0, 99));
    const most = rng.chance(0.5);
    return { p: `${most ? "max" : "min"}(${list.join(", ")}) =`, a: ` ${String(most ? Math.max(...list) : Math.min(...list))}`, kind };
  }
  if (kind === "sort") {
    const list = Array.from({ length: rng.int(2, 7) }, () => rng.int(0, 99));
    return { p: `sort ${list.join(" ")} ->`, a: ` ${list.slice().sort((x, y) => x - y).join(" ")}`, kind };
  }
  const [start, step, n] = [rng.int(0, 30), rng.int(1, 12), rng.int(3, 6)];
  const list = Array.from({ length: n }, (_, i) => start + i * step);
  return { p: `${list.join(", ")},`, a: ` ${String(start + n * step)}`, kind };
}

export function arithmeticDocument(rng) {
  const n = rng.weighted([[3, rng.int(1, 6)], [4, rng.int(8, 30)], [2, rng.int(30, 60)]]);
  return Array.from({ length: n }, () => problem(rng))
    .map(({ p, a }) => p + a)
    .join("\n");
}
