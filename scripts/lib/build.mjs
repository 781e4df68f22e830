// All that must be there before the program runs, in order.
import { native } from "./native.mjs";
import { checkNode } from "./node.mjs";
import { packages } from "./packages.mjs";
import { typescript } from "./typescript.mjs";

export async function build() {
  checkNode();
  await packages();
  await native();
  await typescript();
}
