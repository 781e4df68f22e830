import { type FileHandle, open } from "node:fs/promises";
import { basename } from "node:path";
import { CheckpointError } from "../errors.ts";

/** Where one tensor lies in its file. */
export interface TensorEntry {
  readonly name: string;
  readonly dtype: string;
  readonly shape: readonly number[];
  /** From the start of the file, in bytes. */
  readonly offset: number;
  readonly bytes: number;
}

/** Header of one `.safetensors` file: 8 bytes of length, JSON, then the data without holes. */
export interface Header {
  readonly path: string;
  readonly fileBytes: number;
  readonly tensors: ReadonlyMap<string, TensorEntry>;
  readonly metadata: Readonly<Record<string, string>>;
}

/** The format's own limit. */
const MAX_HEADER = 100_000_000;

const BITS: Readonly<Record<string, number>> = {
  BOOL: 8,
  U8: 8,
  I8: 8,
  F8_E4M3: 8,
  F8_E5M2: 8,
  F8_E8M0: 8,
  F8_E4M3FNUZ: 8,
  F8_E5M2FNUZ: 8,
  I16: 16,
  U16: 16,
  F16: 16,
  BF16: 16,
  I32: 32,
  U32: 32,
  F32: 32,
  F64: 64,
  I64: 64,
  U64: 64,
  C64: 64,
  F4: 4,
  F6_E2M3: 6,
  F6_E3M2: 6,
};

/** Reads and checks a header. Of the file's data nothing is read: only its length is compared. */
export async function readHeader(path: string): Promise<Header> {
  const file = await openFile(path);
  try {
    const { size } = await file.stat();
    const length = await headerLength(file, size, path);
    const bytes = Buffer.alloc(length);
    const { bytesRead } = await file.read(bytes, 0, length, 8);
    if (bytesRead !== length) throw cut(path, `its header ends after ${bytesRead} of ${length} bytes`);
    return parseHeader(bytes, size, path);
  } finally {
    await file.close();
  }
}

async function openFile(path: string): Promise<FileHandle> {
  try {
    return await open(path, "r");
  } catch (e) {
    const code = (e as NodeJS.ErrnoException).code;
    throw new CheckpointError({
      where: path,
      what: code === "ENOENT" ? "the file is missing" : `the file cannot be opened (${code})`,
      fix:
        code === "ENOENT"
          ? "Download it; the folder must hold every shard that the index names"
          : "Check its permissions",
    });
  }
}

async function headerLength(file: FileHandle, size: number, path: string): Promise<number> {
  const first = Buffer.alloc(8);
  const { bytesRead } = await file.read(first, 0, 8, 0);
  if (bytesRead < 8) throw cut(path, `it has ${bytesRead} bytes, not even the 8 of the header's length`);
  const length = first.readBigUInt64LE();
  if (length > BigInt(MAX_HEADER))
    throw new CheckpointError({
      where: path,
      what: `the header claims to be ${length} bytes long (at most ${MAX_HEADER} are allowed)`,
      fix: "It is probably not a safetensors file; download it again",
    });
  if (length > BigInt(size - 8))
    throw cut(path, `the header is ${length} bytes long, but only ${size - 8} bytes follow`);
  return Number(length);
}

/** Checks everything that the header says against itself and against the length of the file. */
export function parseHeader(bytes: Uint8Array, fileBytes: number, path: string): Header {
  const fail = (what: string, fix = "Download the file again"): never => {
    throw new CheckpointError({ where: path, what, fix });
  };
  let json: string;
  let root: unknown;
  try {
    json = new TextDecoder("utf-8", { fatal: true }).decode(bytes);
    root = JSON.parse(json);
  } catch (e) {
    return fail(`the header is not JSON (${(e as Error).message.slice(0, 120)})`);
  }
  if (typeof root !== "object" || root === null || Array.isArray(root)) return fail("the header is not an object");
  const twice = duplicateKey(json);
  if (twice !== null) fail(`the tensor "${clip(twice)}" is described twice`);

  const base = 8 + bytes.length;
  const dataBytes = fileBytes - base;
  const tensors = new Map<string, TensorEntry>();
  let metadata: Record<string, string> = {};
  for (const [name, value] of Object.entries(root)) {
    if (name === "__metadata__")
      metadata = isObject(value) ? (value as Record<string, string>) : fail("__metadata__ is not an object");
    else tensors.set(name, entry(name, value, base, fail));
  }
  checkLayout([...tensors.values()], base, dataBytes, path, fail);
  return { path, fileBytes, tensors, metadata };
}

type Fail = (what: string, fix?: string) => never;

function entry(name: string, value: unknown, base: number, fail: Fail): TensorEntry {
  const at = `tensor "${clip(name)}"`;
  if (!isObject(value)) return fail(`${at} is not described by an object`);
  const { dtype, shape, data_offsets: offsets } = value as { dtype: unknown; shape: unknown; data_offsets: unknown };
  if (typeof dtype !== "string" || !Object.hasOwn(BITS, dtype))
    return fail(`${at} has the unknown dtype ${clip(JSON.stringify(dtype) ?? "none")}`);
  if (!isCounts(shape)) return fail(`${at} has no valid shape`);
  if (!isCounts(offsets) || offsets.length !== 2 || offsets[0] > offsets[1])
    return fail(`${at} has no valid data_offsets`);
  const elements = shape.reduce((a, b) => a * b, 1);
  const bytes = (elements * BITS[dtype]) / 8;
  if (!Number.isSafeInteger(elements) || !Number.isSafeInteger(Math.ceil(bytes)))
    fail(`${at} of shape [${shape.join(", ")}] is too large to exist`);
  if (offsets[1] - offsets[0] !== bytes)
    fail(`${at}: ${dtype} [${shape.join(", ")}] needs ${bytes} bytes, but its offsets span ${offsets[1] - offsets[0]}`);
  return { name, dtype, shape, offset: base + offsets[0], bytes };
}

/** Tensors must follow each other without hole or overlap, and end where the file ends. */
function checkLayout(entries: TensorEntry[], base: number, dataBytes: number, path: string, fail: Fail): void {
  entries.sort((a, b) => a.offset - b.offset || a.bytes - b.bytes);
  let end = base;
  let before = "";
  for (const e of entries) {
    if (e.offset < end) fail(`the tensors "${clip(before)}" and "${clip(e.name)}" overlap`);
    if (e.offset > end) fail(`${e.offset - end} bytes before tensor "${clip(e.name)}" belong to no tensor`);
    end = e.offset + e.bytes;
    before = e.name;
  }
  const described = end - base;
  if (described > dataBytes)
    throw cut(path, `its header describes ${described} bytes of data, but ${dataBytes} are there`);
  if (described < dataBytes) fail(`${dataBytes - described} bytes follow the last tensor that the header describes`);
}

const cut = (path: string, what: string): CheckpointError =>
  new CheckpointError({ where: path, what: `${basename(path)} is cut: ${what}`, fix: "Download it again" });

const isObject = (v: unknown): v is object => typeof v === "object" && v !== null && !Array.isArray(v);
const isCounts = (v: unknown): v is number[] =>
  Array.isArray(v) && v.length <= 16 && v.every((n) => Number.isSafeInteger(n) && n >= 0);
const clip = (s: string): string => (s.length > 120 ? `${s.slice(0, 117)}…` : s);

/** The first key of the outermost object that appears twice: JSON.parse would keep the last without a word. `json` is valid. */
function duplicateKey(json: string): string | null {
  const seen = new Set<string>();
  let depth = 0;
  for (let i = 0; i < json.length; i++) {
    const c = json.charCodeAt(i);
    if (c === 0x7b || c === 0x5b) depth++;
    else if (c === 0x7d || c === 0x5d) depth--;
    else if (c === 0x22) {
      const start = i;
      for (i++; json.charCodeAt(i) !== 0x22; i++) if (json.charCodeAt(i) === 0x5c) i++;
      if (depth !== 1) continue;
      const after = /[^\s]/g;
      after.lastIndex = i + 1;
      if (after.exec(json)?.[0] !== ":") continue;
      const key = JSON.parse(json.slice(start, i + 1)) as string;
      if (seen.has(key)) return key;
      seen.add(key);
    }
  }
  return null;
}
