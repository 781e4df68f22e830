/** The public API, nothing else. */
export { display } from "./display/display.ts";
export { attn } from "./edits/attn.ts";
export type { Edit, ScoreRule } from "./edits/edit.ts";
export { route } from "./edits/route.ts";
export {
  ArchitectureError,
  ArgumentError,
  BudgetError,
  CancelledError,
  CaptureError,
  CheckpointError,
  ConfigError,
  DeviceError,
  MemoryError,
  MoescopeError,
  NonFiniteError,
  PackageError,
  ReleasedError,
  SiteError,
  TemplateError,
  TokenizerError,
  TraceError,
} from "./errors.ts";
export type { Metric } from "./metrics/metric.ts";
export type { GenerateOptions, RunOptions, Step, Stream } from "./model/generate.ts";
export type { Input } from "./model/input.ts";
export { Model } from "./model/model.ts";
export type { LoadOptions } from "./model/options.ts";
export type { ProfileOptions } from "./model/profile.ts";
export type { Plot } from "./plots/plot.ts";
export type { Diff } from "./run/diff.ts";
export type { Profile } from "./run/profile.ts";
export { Run } from "./run/run.ts";
export { at } from "./sites/at.ts";
export type { Capture } from "./sites/capture.ts";
export type { Filter, Layers } from "./sites/selector.ts";
export type { Site } from "./sites/site.ts";
export type { Table } from "./tables/table.ts";
export { Tensor } from "./tensors/tensor.ts";
export type { Message } from "./text/chat.ts";
