import { open, readFile } from "node:fs/promises";
import { filePath } from "../check.ts";
import { ArgumentError } from "../errors.ts";

const MAGIC = Buffer.from("\x93NUMPY", "latin1");

/** The NumPy format, version 1.0: magic, header length, a Python dict padded to 64 bytes, the numbers. */
export async function writeNpy(path: string, shape: readonly number[], data: Float32Array): Promise<void> {
  const tuple = shape.length === 1 ? `(${shape[0]},)` : `(${shape.join(", ")})`;
  const dict = `{'descr': '<f4', 'fortran_order': False, 'shape': ${tuple}, }`;
  const length = Math.ceil((MAGIC.length + 4 + dict.length + 1) / 64) * 64 - MAGIC.length - 4;
  const head = Buffer.alloc(4);
  head.set([1, 0]);
  head.writeUInt16LE(length, 2);
  const file = await open(path, "w");
  try {
    await file.writev([
      MAGIC,
      head,
      Buffer.from(`${dict.padEnd(length - 1)}\n`, "latin1"),
      Buffer.from(data.buffer, data.byteOffset, data.byteLength),
    ]);
  } finally {
    await file.close();
  }
}

type Reader = (view: DataView, at: number, little: boolean) => number;
const READERS: Record<string, [bytes: number, read: Reader]> = {
  f2: [2, (v, at, le) => halfToFloat(v.getUint16(at, le))],
  f4: [4, (v, at, le) => v.getFloat32(at, le)],
  f8: [8, (v, at, le) => v.getFloat64(at, le)],
  i1: [1, (v, at) => v.getInt8(at)],
  i2: [2, (v, at, le) => v.getInt16(at, le)],
  i4: [4, (v, at, le) => v.getInt32(at, le)],
  i8: [8, (v, at, le) => Number(v.getBigInt64(at, le))],
  u1: [1, (v, at) => v.getUint8(at)],
  u2: [2, (v, at, le) => v.getUint16(at, le)],
  u4: [4, (v, at, le) => v.getUint32(at, le)],
  u8: [8, (v, at, le) => Number(v.getBigUint64(at, le))],
  b1: [1, (v, at) => v.getUint8(at)],
};

export async function readNpy(path: string): Promise<{ data: Float32Array; shape: number[] }> {
  const file = await readFile(filePath(path, "Tensor.open")).catch((e: Error) => {
    throw new ArgumentError(`Tensor.open: cannot read ${path}: ${e.message}`);
  });
  const bad = (what: string) => new ArgumentError(`Tensor.open: ${path} ${what}`);
  if (file.length < 12 || !file.subarray(0, 6).equals(MAGIC)) throw bad("is not a .npy file");
  const wide = file[6] >= 2;
  const start = wide ? 12 : 10;
  const end = start + (wide ? file.readUInt32LE(8) : file.readUInt16LE(8));
  if (end > file.length) throw bad("is cut within its header");
  const header = file.toString("latin1", start, end);
  const type = /'descr':\s*'([<>|=])([fiub]\d)'/.exec(header);
  const dims = /'shape':\s*\(([\d,\s]*)\)/.exec(header);
  const reader = type && READERS[type[2]];
  if (!reader || !dims) throw bad(`holds something other than an array of plain numbers: ${header.trim()}`);
  const shape = dims[1].split(",").flatMap((s) => (s.trim() === "" ? [] : [Number(s)]));
  const [bytes, read] = reader;
  const n = shape.reduce((a, b) => a * b, 1);
  if (file.length < end + n * bytes)
    throw bad(`is cut: ${n} numbers of ${bytes} bytes were announced, ${file.length - end} bytes are there`);
  const view = new DataView(file.buffer, file.byteOffset + end, n * bytes);
  const data = new Float32Array(n);
  const little = type[1] !== ">";
  for (let i = 0; i < n; i++) data[i] = read(view, i * bytes, little);
  return { data: header.includes("'fortran_order': True") ? fromFortran(data, shape) : data, shape };
}

function fromFortran(data: Float32Array, shape: readonly number[]): Float32Array {
  const out = new Float32Array(data.length);
  const index = shape.map(() => 0);
  for (let i = 0; i < data.length; i++) {
    let at = 0;
    for (let a = 0; a < shape.length; a++) at = at * shape[a] + index[a];
    out[at] = data[i];
    for (let a = 0; a < shape.length && ++index[a] === shape[a]; a++) index[a] = 0;
  }
  return out;
}

function halfToFloat(h: number): number {
  const sign = h & 0x8000 ? -1 : 1;
  const exponent = (h >> 10) & 31;
  const fraction = h & 1023;
  if (exponent === 0) return sign * fraction * 2 ** -24;
  if (exponent === 31) return fraction ? Number.NaN : sign * Infinity;
  return sign * (1 + fraction / 1024) * 2 ** (exponent - 15);
}
