/** Reads the fixtures: safetensors with F32, F64 and I32 tensors. */
import { readFileSync } from "node:fs";
import { HERE } from "./checkpoint.ts";

export interface Reference {
  shape: number[];
  data: Float32Array | Float64Array | Int32Array;
}

export class Fixture {
  readonly tensors = new Map<string, Reference>();
  readonly metadata: Record<string, string>;

  constructor(name: string) {
    const file = readFileSync(`${HERE}/fixtures/${name}.safetensors`);
    const start = 8 + Number(file.readBigUInt64LE(0));
    const { __metadata__, ...header } = JSON.parse(file.toString("utf8", 8, start));
    this.metadata = __metadata__ ?? {};
    const types = { F32: Float32Array, F64: Float64Array, I32: Int32Array };
    for (const [key, t] of Object.entries<{ dtype: keyof typeof types; shape: number[]; data_offsets: number[] }>(
      header,
    )) {
      const bytes = new Uint8Array(file.subarray(start + t.data_offsets[0], start + t.data_offsets[1]));
      this.tensors.set(key, { shape: t.shape, data: new types[t.dtype](bytes.slice().buffer) });
    }
  }

  get(name: string): Reference {
    const t = this.tensors.get(name);
    if (!t) throw new Error(`the fixture has no ${name}; make it again (test/parity/README.md)`);
    return t;
  }

  floats(name: string): Float32Array {
    return this.get(name).data as Float32Array;
  }

  ids(name: string): Int32Array {
    return this.get(name).data as Int32Array;
  }
}
