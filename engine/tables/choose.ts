import { ArgumentError } from "../errors.ts";
import type { LayerFacts } from "../run/captured.ts";
import { describeMatch, type Layers, layersOf } from "../sites/selector.ts";

/** Which of the layers at hand an option names; all of them where it is absent. */
export function chooseLayers(
  want: Layers | undefined,
  have: ArrayLike<number>,
  facts: readonly LayerFacts[],
  where: string,
): number[] {
  const meant = new Set(layersOf(want, facts, where).map((l) => l.index));
  const chosen = Array.from(have).filter((layer) => meant.has(layer));
  if (chosen.length > 0) return chosen;
  throw new ArgumentError(
    `${where}: no captured layer is ${describeMatch(want ?? "*")}; there are ${Array.from(have).join(", ") || "none"}`,
  );
}
