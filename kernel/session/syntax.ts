/** Small questions about a syntax tree. */
import { type Node, visitorKeys } from "oxc-parser";

/** The names that a declaration's pattern binds. */
export function bindingNames(pattern: Node): string[] {
  switch (pattern.type) {
    case "Identifier":
      return [pattern.name];
    case "ObjectPattern":
      return pattern.properties.flatMap((p) => bindingNames(p.type === "RestElement" ? p.argument : p.value));
    case "ArrayPattern":
      return pattern.elements.flatMap((e) => (e ? bindingNames(e) : []));
    case "AssignmentPattern":
      return bindingNames(pattern.left);
    case "RestElement":
      return bindingNames(pattern.argument);
    default:
      return [];
  }
}

/** The nodes directly below. */
export function* children(node: Node): Generator<Node> {
  for (const key of visitorKeys[node.type] ?? []) {
    const value = (node as unknown as Record<string, Node | (Node | null)[] | null>)[key];
    if (Array.isArray(value)) {
      for (const child of value) if (child) yield child;
    } else if (value) yield value;
  }
}
