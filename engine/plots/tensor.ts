import type { Tensor } from "../tensors/tensor.ts";
import type { Plot } from "./plot.ts";

export interface TensorPlots {
  heatmap(): Plot;
  histogram(): Plot;
}

export function tensorPlots(x: Tensor<any>): TensorPlots {
  return { heatmap: () => heatmap(x), histogram: () => histogram(x) };
}
