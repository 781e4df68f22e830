import { options } from "../check.ts";
import { shows } from "../display/show.ts";
import type { Edit, RunSource } from "../edits/edit.ts";
import { siteEdit } from "../edits/site.ts";
import type { Tensor } from "../tensors/tensor.ts";
import { SITES, type SiteName } from "./names.ts";
import { describeMatch, type Filter, type Layers, type Rows } from "./selector.ts";

/** Which part of a site is meant. */
export interface Only {
  readonly layer?: Layers;
  readonly t?: Rows;
  readonly q?: Rows;
  readonly head?: Rows;
  readonly expert?: Rows;
}

interface Parts {
  readonly name: SiteName;
  /** null where the site has no layer. */
  readonly layer: Layers | null;
  /** One layer named by number: no layer axis. */
  readonly single: boolean;
  readonly only: Only;
}

/** What a site is made of; not on the object, so that completion lists only what a reader may want to call. */
export const partsOf = (site: Site<any>): Parts => Site.parts(site);

/** A place in the model. Its `path` is what is printed and stored; the type carries the axes of what is read there. */
export class Site<A extends string = string> {
  readonly path: string;
  readonly axes: A;
  readonly #parts: Parts;

  /** @internal Use `at`. */
  constructor(parts: Parts) {
    this.#parts = parts;
    const layered = parts.layer !== null && !parts.single;
    this.axes = `${layered ? "layer " : ""}${SITES[parts.name].axes}` as A;
    this.path = parts.layer === null ? parts.name : `layers.${describeMatch(parts.layer)}.${parts.name}`;
  }

  /**
   * Less of it: `at.layer(3).attn.pattern.only({ head: [0, 1], q: -1 })`. Negative `t` and `q` count from the end.
   * What is left out is neither captured nor kept.
   */
  only(which: Only): Site<A> {
    return new Site<A>(narrowed(this.#parts, which));
  }

  toString(): string {
    const only = Object.entries(this.#parts.only)
      .filter(([key]) => key !== "layer")
      .map(([key, v]) => `${key} ${describeMatch(v as Rows)}`);
    return only.length ? `${this.path} (${only.join(", ")})` : this.path;
  }

  toJSON(): object {
    return { site: this.path, ...(Object.keys(this.#parts.only).length ? { only: this.#parts.only } : {}) };
  }

  /** @internal */
  static parts(site: Site<any>): Parts {
    return site.#parts;
  }

  static {
    shows(Site, { text: (s) => `${s.toString()} · ${s.axes}` });
  }
}

/** A place that can be written to. Each verb makes an edit for `m.with`. */
export class EditableSite<A extends string = string> extends Site<A> {
  override only(which: Only): EditableSite<A> {
    return new EditableSite<A>(narrowed(partsOf(this), which));
  }

  /** Puts zeros here: `at.layer(3).shared.out.zero()` is the layer without its shared expert. */
  zero(filter: Filter = {}): Edit {
    return siteEdit(this, { op: "zero" }, filter);
  }

  /** Multiplies what is here. */
  scale(by: number, filter: Filter = {}): Edit {
    return siteEdit(this, { op: "scale", by }, filter);
  }

  /** Adds `amount` times a vector of the site's width: a steering vector. */
  add(vector: Tensor<any>, amount = 1, filter: Filter = {}): Edit {
    return siteEdit(this, { op: "add", vector, amount }, filter);
  }

  /**
   * Puts here what another run had at the same place of its sequence. That run must have captured this site.
   *
   * ```ts
   * await m.with(at.layer(4).resid.post.patch(clean, { pos: 5 })).run(corrupt)
   * ```
   */
  patch(from: RunSource, filter: Filter = {}): Edit {
    return siteEdit(this, { op: "patch", from }, filter);
  }
}

function narrowed(parts: Parts, which: Only): Parts {
  const { layer, ...rest } = options(which, "site.only");
  if (layer === undefined || parts.layer === null) return { ...parts, only: { ...parts.only, ...rest } };
  return { ...parts, layer, single: parts.single && typeof layer === "number", only: { ...parts.only, ...rest } };
}
