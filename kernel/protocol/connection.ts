/** The connection file that a front end writes for its kernel. */
import { readFileSync } from "node:fs";

export interface Connection {
  transport: "tcp" | "ipc";
  ip: string;
  shell_port: number;
  control_port: number;
  iopub_port: number;
  stdin_port: number;
  hb_port: number;
  key: string;
  signature_scheme: string;
}

export class ConnectionFileError extends Error {
  override name = "ConnectionFileError";
}

const PORTS = ["shell_port", "control_port", "iopub_port", "stdin_port", "hb_port"] as const;

export function readConnectionFile(path: string): Connection {
  let text: string;
  try {
    text = readFileSync(path, "utf8");
  } catch (error) {
    throw new ConnectionFileError(
      `Cannot read the connection file ${path}: ${(error as Error).message}. Jupyter writes it and passes its path.`,
    );
  }
  let value: Partial<Connection>;
  try {
    value = JSON.parse(text);
  } catch (error) {
    throw new ConnectionFileError(`The connection file ${path} is not JSON: ${(error as Error).message}.`);
  }
  const connection = {
    transport: "tcp",
    ip: "127.0.0.1",
    key: "",
    signature_scheme: "hmac-sha256",
    ...value,
  } as Connection;
  for (const port of PORTS) {
    if (!Number.isInteger(connection[port]))
      throw new ConnectionFileError(`The connection file ${path} lacks a whole number "${port}".`);
  }
  if (connection.key && !/^hmac-\w+$/.test(connection.signature_scheme)) {
    throw new ConnectionFileError(
      `The connection file ${path} asks for the signature scheme "${connection.signature_scheme}"; known are hmac-*, such as hmac-sha256.`,
    );
  }
  return connection;
}

export const address = (c: Connection, port: (typeof PORTS)[number]): string =>
  c.transport === "ipc" ? `ipc://${c.ip}-${c[port]}` : `tcp://${c.ip}:${c[port]}`;
