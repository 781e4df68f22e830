/** Messages, their headers, and the types of what they hold (from @jupyterlab/services, at compile time only). */
import { randomUUID } from "node:crypto";
import { userInfo } from "node:os";
import type { KernelMessage } from "@jupyterlab/services";

export type { KernelMessage };

export const PROTOCOL_VERSION = "5.4";

export interface Header {
  msg_id: string;
  msg_type: string;
  session: string;
  username: string;
  date: string;
  version: string;
  [other: string]: unknown;
}

export interface Message<Content = unknown> {
  /** Of the client, on a router socket; the topic, on iopub. */
  identities: Uint8Array[];
  header: Header;
  parent: Header | Record<string, never>;
  metadata: Record<string, unknown>;
  content: Content;
  buffers: Uint8Array[];
}

/** The content of a message type, as @jupyterlab/services declares it. */
export type Content<M extends KernelMessage.IMessage> = M["content"];

/** The kernel's own id: new for every process, never the client's. */
const session = randomUUID();

const username = ((): string => {
  try {
    return userInfo().username;
  } catch {
    return "kernel";
  }
})();

export const createHeader = (type: string): Header => ({
  msg_id: randomUUID(),
  msg_type: type,
  session,
  username,
  date: new Date().toISOString(),
  version: PROTOCOL_VERSION,
});

export function createMessage<C>(
  type: string,
  content: C,
  o: {
    parent?: Header | null;
    identities?: Uint8Array[];
    metadata?: Record<string, unknown>;
    buffers?: Uint8Array[];
  } = {},
): Message<C> {
  return {
    identities: o.identities ?? [],
    header: createHeader(type),
    parent: o.parent ?? {},
    metadata: o.metadata ?? {},
    content,
    buffers: o.buffers ?? [],
  };
}
