import { bytes } from "./display/format.ts";

/**
 * Every error that the engine throws on purpose. A message says what is wrong, where, and what to do; `code` and `where` are
 * for programs. Anything else that comes out of the engine is a fault of ours.
 */
export type ErrorCode =
  | "argument"
  | "site"
  | "capture"
  | "config"
  | "architecture"
  | "checkpoint"
  | "tokenizer"
  | "template"
  | "trace"
  | "memory"
  | "budget"
  | "nonfinite"
  | "released"
  | "cancelled"
  | "device"
  | "package"
  | "internal";

export interface Fault {
  /** What is wrong, with the numbers. */
  what: string;
  /** Which file, field, site, row. */
  where?: string;
  /** What the reader can do about it. */
  fix?: string;
  cause?: unknown;
}

const sentence = (text: string): string => (/[.!?…]$/.test(text) ? text : `${text}.`);

function compose(fault: Fault): string {
  const head = fault.where ? `${fault.where}: ${fault.what}` : fault.what;
  return fault.fix ? `${sentence(head)} ${sentence(fault.fix)}` : head;
}

export class MoescopeError extends Error {
  readonly code: ErrorCode;
  readonly where: string | undefined;
  readonly fix: string | undefined;

  constructor(code: ErrorCode, fault: string | Fault) {
    const f = typeof fault === "string" ? { what: fault } : fault;
    super(compose(f), f.cause === undefined ? undefined : { cause: f.cause });
    this.code = code;
    this.where = f.where;
    this.fix = f.fix;
    this.name = new.target.name;
  }
}

/** A wrong value, index, shape or option was passed. */
export class ArgumentError extends MoescopeError {
  constructor(fault: string | Fault) {
    super("argument", fault);
  }
}
/** No such site, layer, head or expert. */
export class SiteError extends MoescopeError {
  constructor(fault: string | Fault) {
    super("site", fault);
  }
}
/** Something is read that the run did not capture. */
export class CaptureError extends MoescopeError {
  constructor(fault: string | Fault) {
    super("capture", fault);
  }
}
/** A field of config.json is missing, of the wrong type, or does not fit the others. */
export class ConfigError extends MoescopeError {
  constructor(fault: string | Fault) {
    super("config", fault);
  }
}
/** The model is not of the Llama 4 family. */
export class ArchitectureError extends MoescopeError {
  constructor(fault: string | Fault) {
    super("architecture", fault);
  }
}
/** A file of the checkpoint is missing, cut, or not what its header says. */
export class CheckpointError extends MoescopeError {
  constructor(fault: string | Fault) {
    super("checkpoint", fault);
  }
}
export class TokenizerError extends MoescopeError {
  constructor(fault: string | Fault) {
    super("tokenizer", fault);
  }
}
/** The chat template cannot be rendered, or not in time. */
export class TemplateError extends MoescopeError {
  constructor(fault: string | Fault) {
    super("template", fault);
  }
}
/** A saved trace cannot be read. */
export class TraceError extends MoescopeError {
  constructor(fault: string | Fault) {
    super("trace", fault);
  }
}
/** The machine does not have the memory. Refused before anything is allocated. */
export class MemoryError extends MoescopeError {
  constructor(fault: string | Fault) {
    super("memory", fault);
  }
}
/** What is to be captured is larger than the budget. Refused before anything is allocated. */
export class BudgetError extends MoescopeError {
  constructor(fault: string | Fault) {
    super("budget", fault);
  }
}
/** NaN or infinity in an activation; `where` names the first site that had it. */
export class NonFiniteError extends MoescopeError {
  constructor(fault: string | Fault) {
    super("nonfinite", fault);
  }
}
/** The model, run or tensor was disposed. */
export class ReleasedError extends MoescopeError {
  constructor(fault: string | Fault) {
    super("released", fault);
  }
}
/** Stopped by an AbortSignal or by the notebook's interrupt. The model can be used again. */
export class CancelledError extends MoescopeError {
  constructor(fault: string | Fault = "Stopped before it was done") {
    super("cancelled", fault);
  }
}
/** The device asked for is not there or was lost by a fault, or the native engine is not built. */
export class DeviceError extends MoescopeError {
  constructor(fault: string | Fault) {
    super("device", fault);
  }
}
/** An optional npm package is not installed. */
export class PackageError extends MoescopeError {
  constructor(fault: string | Fault) {
    super("package", fault);
  }
}
/** Of a package that something needs and does not find; `fix`: how it comes, or what does without. */
export const notInstalled = (name: string, what: string, fix: string, cause?: unknown): PackageError =>
  new PackageError({ what: `${what} needs the package ${name}, which is not installed`, fix, cause });

/** A fault of the engine itself. */
export class InternalError extends MoescopeError {
  constructor(fault: string | Fault) {
    super("internal", fault);
  }
}

/** The names of `known` nearest to `name` by edit distance, best first: for "did you mean". */
export function nearest(name: unknown, known: Iterable<string>, count = 3): string[] {
  if (typeof name !== "string") return [];
  const wanted = name.toLowerCase();
  const scored: { name: string; distance: number }[] = [];
  for (const candidate of known) {
    const distance = editDistance(wanted, candidate.toLowerCase());
    const inside = candidate.toLowerCase().includes(wanted);
    if (inside || distance <= Math.max(3, Math.ceil(candidate.length * 0.5)))
      scored.push({ name: candidate, distance: inside ? Math.min(distance, 2) : distance });
  }
  return scored
    .sort((a, b) => a.distance - b.distance)
    .slice(0, count)
    .map((s) => s.name);
}

/** `, did you mean "a", "b"?`, or nothing. */
export const didYouMean = (name: unknown, known: Iterable<string>): string => {
  const near = nearest(name, known);
  return near.length ? `, did you mean ${near.map((n) => `"${n}"`).join(", ")}?` : "";
};

/** Levenshtein's distance. Names longer than 200 characters are cut: it is for messages only. */
function editDistance(a: string, b: string): number {
  const s = a.slice(0, 200);
  const t = b.slice(0, 200);
  let previous = Array.from({ length: t.length + 1 }, (_, i) => i);
  for (let i = 1; i <= s.length; i++) {
    const current = [i];
    for (let j = 1; j <= t.length; j++) {
      current[j] = Math.min(previous[j] + 1, current[j - 1] + 1, previous[j - 1] + (s[i - 1] === t[j - 1] ? 0 : 1));
    }
    previous = current;
  }
  return previous[t.length];
}

/** What to do when a fault has ended the GPU's context: nothing brings it back within the process. */
export const AFTER_LOSS =
  'Save what you need with r.save(path) and restart the kernel, or go on on the CPU in this very process: Model.load(name, { device: "cpu" })';

/** Counts of bytes as people read them. */
const readable = (text: string): string => text.replace(/\b(\d{7,15})( bytes)?\b/g, (_, n) => bytes(Number(n)));

/** Turns an error of the addon (`code`, `where`) into the typed one. */
export function fromNative(error: unknown): Error {
  if (error instanceof MoescopeError) return error;
  const e = error as { code?: unknown; where?: unknown; message?: unknown };
  const what = readable(String(e?.message ?? error));
  const where = typeof e?.where === "string" && e.where !== "" ? e.where : undefined;
  switch (e?.code) {
    case "cancelled":
      return new CancelledError({ what: what || "Stopped before it was done", where });
    case "released":
      return new ReleasedError({ what, where });
    case "memory":
      return new MemoryError({
        what,
        where,
        fix: "Use a shorter context, bf16 weights or a smaller model; Model.plan(name) shows the parts",
      });
    case "budget":
      return new BudgetError({
        what,
        where,
        fix: "Capture fewer sites, layers or rows (site.only), or dispose runs that are no longer needed",
      });
    case "file":
      return new CheckpointError({ what, where, fix: "Download the file again" });
    case "nonfinite":
      return new NonFiniteError({
        what,
        where,
        fix: "m.warnings lists weights that are not finite; if there are none, values grew beyond f32, and the sites before this one show where",
      });
    case "argument":
      return new ArgumentError({ what, where });
    case "device":
      return new DeviceError({ what, where, fix: 'Use { device: "cpu" }; `moescope doctor` says what is here' });
    case "lost":
      return new DeviceError({ what, where, fix: AFTER_LOSS });
    default:
      return new InternalError({ what, where, cause: error });
  }
}
