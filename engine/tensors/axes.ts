/**
 * The algebra of axis names. A tensor's type carries its axes in order, as one string: `Tensor<"t head d">`.
 * A plain `string` means "not known to the compiler"; then everything is allowed and checked at run time.
 */
import type { Tensor } from "./tensor.ts";

/** The names in `"t head d"`: `"t" | "head" | "d"`. */
export type AxisOf<S extends string> = S extends `${infer H} ${infer R}` ? H | AxisOf<R> : S;

export type Join<A extends string, B extends string> = A extends "" ? B : B extends "" ? A : `${A} ${B}`;

/** `Without<"t head d", "head">` is `"t d"`. */
export type Without<S extends string, B, Acc extends string = ""> = S extends `${infer H} ${infer R}`
  ? Without<R, B, H extends B ? Acc : Join<Acc, H>>
  : S extends B
    ? Acc
    : Join<Acc, S>;

/** As `Without`, but a union of names means one of them, not all: the result is a union too. */
export type WithoutOne<S extends string, B> = B extends unknown ? Without<S, B> : never;

/** The left tensor's axes, then those of the right one that it lacks. */
export type Broadcast<A extends string, B extends string> = string extends A
  ? string
  : string extends B
    ? A
    : Join<A, Without<B, AxisOf<A>>>;

export type Renamed<S extends string, M> = S extends `${infer H} ${infer R}`
  ? `${H extends keyof M ? M[H] & string : H} ${Renamed<R, M>}`
  : S extends keyof M
    ? M[S] & string
    : S;

/** A tensor over the axes that are left; a number when none is. */
export type Out<S extends string> = S extends "" ? number : string extends S ? any : Tensor<S>;

/** Which place along each axis, by label; negative counts from the end. */
export type Place<A extends string> = { readonly [P in AxisOf<A>]?: number };
