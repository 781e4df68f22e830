import { maxVio } from "../metrics/max-vio.ts";
import type { Captured } from "../run/captured.ts";
import { countLoad } from "../tables/expert-load.ts";
import { num, sparkline } from "./format.ts";

/** One line about a run's load: how far the busiest expert of each layer is above its fair share. Empty without captured routing. */
export function loadStrip(run: Captured): string {
  if (![...run.captures.values()].some((c) => c.site === "router.choice" && c.rows.length > 0)) return "";
  const c = countLoad(run);
  const values = Float64Array.from(c.layers, (_, l) => maxVio(c.count.subarray(l * c.experts, (l + 1) * c.experts)));
  const finite = values.filter(Number.isFinite);
  if (finite.length === 0) return "";
  return `load by layer ${sparkline(values)}  MaxVio ${num(Math.min(...finite), 2)} to ${num(Math.max(...finite), 2)} (0: even)`;
}
