import type { Config } from "../checkpoint/config.ts";
import { shows } from "../display/show.ts";
import { ArgumentError, SiteError } from "../errors.ts";
import type { LayerFacts, LayerKind } from "../run/captured.ts";
import { makeTensor, type Tensor } from "../tensors/tensor.ts";
import type { Handle } from "./handle.ts";

/** A weight matrix as f32, read when first touched. */
function weight<A extends string>(handle: Handle, slot: string, axes: A, shape: readonly number[]): Tensor<A> {
  return makeTensor(axes, shape, () => handle.weight(slot));
}

/** A SwiGLU block: a routed expert, the shared expert, or the FFN of a dense layer. */
export class Ffn {
  readonly gate: Tensor<"ff d">;
  readonly up: Tensor<"ff d">;
  readonly down: Tensor<"d ff">;

  /** @internal */
  constructor(handle: Handle, slot: string, d: number, ff: number) {
    this.gate = weight(handle, `${slot}.gate`, "ff d", [ff, d]);
    this.up = weight(handle, `${slot}.up`, "ff d", [ff, d]);
    this.down = weight(handle, `${slot}.down`, "d ff", [d, ff]);
  }

  /**
   * The block as a function of its own input, `down(silu(gate·x) ⊙ up·x)`, sums in f64. The last axis of `x` must be `d` wide. A routed
   * expert in the model gets its input times the score (spec 2.4).
   */
  async run<A extends string>(x: Tensor<A>): Promise<Tensor<A>> {
    const [ff, d] = this.gate.shape;
    if (x.shape.at(-1) !== d)
      throw new ArgumentError({
        where: "expert.run",
        what: `the last axis is ${x.shape.at(-1)} wide, the block takes ${d}`,
        fix: "Give the normed input of the FFN, for example r.get(at.layer(2).router.in)",
      });
    const gate = this.gate.data;
    const up = this.up.data;
    const down = this.down.data;
    const rows = x.data.length / d;
    const out = new Float32Array(x.data.length);
    const act = new Float64Array(ff);
    for (let r = 0; r < rows; r++) {
      const row = x.data.subarray(r * d, (r + 1) * d);
      for (let f = 0; f < ff; f++) {
        const g = dot(gate, f * d, row);
        act[f] = (g / (1 + Math.exp(-g))) * dot(up, f * d, row);
      }
      for (let i = 0; i < d; i++) {
        let sum = 0;
        for (let f = 0; f < ff; f++) sum += down[i * ff + f] * act[f];
        out[r * d + i] = sum;
      }
      // Wide blocks take long: let an interrupt and the rest of the program in between rows.
      if (r % 16 === 15) await new Promise<void>((next) => setImmediate(next));
    }
    return makeTensor(x.axes, x.shape, out);
  }
}

function dot(matrix: Float32Array, from: number, x: Float32Array): number {
  let sum = 0;
  for (let i = 0; i < x.length; i++) sum += matrix[from + i] * x[i];
  return sum;
}

/** Attention matrices, by head. */
export interface AttnWeights {
  readonly q: Tensor<"head dh d">;
  readonly k: Tensor<"head dh d">;
  readonly v: Tensor<"head dh d">;
  readonly o: Tensor<"d head dh">;
}

/** One layer and its weights: f32 tensors, read when first touched. */
export class Layer {
  readonly index: number;
  readonly kind: LayerKind;
  readonly moe: boolean;
  /** RoPE, or no position encoding. */
  readonly rope: boolean;
  readonly #handle: Handle;
  readonly #config: Config;

  /** @internal */
  constructor(handle: Handle, config: Config, facts: LayerFacts) {
    this.#handle = handle;
    this.#config = config;
    this.index = facts.index;
    this.kind = facts.kind;
    this.moe = facts.moe;
    this.rope = facts.rope;
  }

  /** MoE layers. */
  get router(): Tensor<"expert d"> {
    this.#need(true, "router");
    const { experts, d } = this.#config;
    return weight(this.#handle, this.#slot("router"), "expert d", [experts, d]);
  }

  /** MoE layers: a routed expert, counted from 0. */
  expert(e: number): Ffn {
    this.#need(true, "experts");
    const { experts, d, ff } = this.#config;
    if (!Number.isInteger(e) || e < 0 || e >= experts)
      throw new SiteError({
        where: `layer ${this.index}`,
        what: `there is no expert ${e}`,
        fix: `There are ${experts}, counted from 0 to ${experts - 1}`,
      });
    return new Ffn(this.#handle, this.#slot(`expert.${e}`), d, ff);
  }

  /** MoE layers: the expert that every token passes. */
  get shared(): Ffn {
    this.#need(true, "shared expert");
    return new Ffn(this.#handle, this.#slot("shared"), this.#config.d, this.#config.ff);
  }

  /** Dense layers. */
  get mlp(): Ffn {
    this.#need(false, "dense FFN");
    return new Ffn(this.#handle, this.#slot("mlp"), this.#config.d, this.#config.ffDense);
  }

  get attn(): AttnWeights {
    const { heads, kvHeads, headDim, d } = this.#config;
    const h = this.#handle;
    const slot = (name: string): string => this.#slot(`attn.${name}`);
    return {
      q: weight(h, slot("q"), "head dh d", [heads, headDim, d]),
      k: weight(h, slot("k"), "head dh d", [kvHeads, headDim, d]),
      v: weight(h, slot("v"), "head dh d", [kvHeads, headDim, d]),
      o: weight(h, slot("o"), "d head dh", [d, heads, headDim]),
    };
  }

  get norms(): { readonly attn: Tensor<"d">; readonly ffn: Tensor<"d"> } {
    const { d } = this.#config;
    return {
      attn: weight(this.#handle, this.#slot("norm.attn"), "d", [d]),
      ffn: weight(this.#handle, this.#slot("norm.ffn"), "d", [d]),
    };
  }

  #slot(name: string): string {
    return `layers.${this.index}.${name}`;
  }

  #need(moe: boolean, what: string): void {
    if (this.moe === moe) return;
    const fitting = this.#config.layerFacts.filter((l) => l.moe === moe).map((l) => l.index);
    throw new SiteError({
      where: `layer ${this.index}`,
      what: `it is ${this.moe ? "a MoE layer" : "dense"} and has no ${what}`,
      fix: fitting.length ? `Layers that do: ${fitting.join(", ")}` : "No layer of this model does",
    });
  }

  static {
    shows(Layer, {
      text: (l) =>
        `Layer ${l.index} · ${l.kind} attention, ${l.rope ? "RoPE" : "no position encoding"} · ${l.moe ? `MoE, ${l.#config.experts} experts + shared` : "dense"}`,
    });
  }
}
