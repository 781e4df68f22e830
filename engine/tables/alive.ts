import { ReleasedError } from "../errors.ts";
import type { SiteCapture } from "../run/captured.ts";

/** A disposed run's memory is given back at once: its arrays are empty from then on, and must not be read as zeros or NaN. */
export const gone = (): ReleasedError =>
  new ReleasedError({
    what: "the run behind this was disposed",
    fix: "Read columns before disposing the run, or dispose it later",
  });

/** The numbers of a capture, or ReleasedError. */
export function alive(capture: SiteCapture): Float32Array {
  if (capture.data.length === 0 && capture.shape.every((n) => n > 0)) throw gone();
  return capture.data;
}
