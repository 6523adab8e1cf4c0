/**
 * One HTTP request with bounds, over TCP or through the owner's Unix socket, and what came of it.
 */

import { request as overHttp, type ClientRequest, type IncomingMessage, type RequestOptions } from "node:http";
import { request as overHttps } from "node:https";
import { Readable } from "node:stream";
import { pipeline } from "node:stream/promises";
import { field, text } from "./read.js";

/** Where requests go. */
export type Door =
  | { kind: "tcp"; base: URL; apiKey?: string }
  /** `lobstah.sock`, which only its owner can open. */
  | { kind: "socket"; path: string };

/** What was answered, whatever the status. `value` is undefined if it was no JSON. */
export interface Reply {
  status: number;
  value: unknown;
}

export interface Ask {
  method?: "GET" | "POST";
  body?: Body;
  timeoutMs?: number;
  signal?: AbortSignal | undefined;
}

/** What is sent; a stream says beforehand how long it is. */
export interface Body {
  type: string;
  bytes: number;
  content: AsyncIterable<Uint8Array> | Iterable<Uint8Array>;
}

/** Nobody answered. */
export class NoAnswer extends Error {
  override readonly name = "NoAnswer";
}

/** An answer that is no: its message says what to do. */
export class Refused extends Error {
  override readonly name = "Refused";

  constructor(
    message: string,
    readonly status: number,
    readonly code: string | undefined,
  ) {
    super(message);
  }
}

/** A gateway asks its peers before it answers; one that takes longer hangs. */
const PATIENCE_MS = 15_000;

/** No answer of ours is larger: 500 receipts or 1000 peers stay far below. */
const ANSWER_BYTES_MAX = 16 * 1024 * 1024;

export function json(value: unknown): Body {
  const bytes = Buffer.from(JSON.stringify(value));
  return { type: "application/json", bytes: bytes.length, content: [bytes] };
}

/** The answer's JSON if it is a yes. Throws `NoAnswer` or `Refused`. */
export async function ask(door: Door, path: string, how: Ask = {}): Promise<unknown> {
  const { status, value } = await request(door, path, how);
  if (status >= 200 && status < 300) return value;
  const error = field(value, "error");
  const message = text(error, "message") ?? `${path} was answered with status ${status}`;
  throw new Refused(message, status, text(error, "code"));
}

/** Throws `NoAnswer`. */
export async function request(door: Door, path: string, how: Ask = {}): Promise<Reply> {
  const timeout = AbortSignal.timeout(how.timeoutMs ?? PATIENCE_MS);
  const signal = how.signal ? AbortSignal.any([how.signal, timeout]) : timeout;
  const sent = open(door, path, { method: how.method ?? "GET", signal, headers: headers(door, how.body) });
  try {
    const answered = answer(sent);
    // The answer may come, and be a no, before all was sent.
    const sending = pipeline(Readable.from(how.body?.content ?? []), sent);
    sending.catch(() => {});
    return await read(await answered);
  } catch (error) {
    throw new NoAnswer(timeout.aborted ? "no answer in time" : why(error), { cause: error });
  } finally {
    sent.destroy();
  }
}

function headers(door: Door, body: Body | undefined): Record<string, string> {
  return {
    accept: "application/json",
    ...(body && { "content-type": body.type, "content-length": String(body.bytes) }),
    ...(door.kind === "tcp" && door.apiKey && { authorization: `Bearer ${door.apiKey}` }),
  };
}

function open(door: Door, path: string, options: RequestOptions): ClientRequest {
  // A connection of its own each: nothing keeps OpenClaw's process alive afterwards.
  const own = { ...options, agent: false };
  if (door.kind === "socket") return overHttp({ ...own, socketPath: door.path, path, host: "lobstah" });
  const url = new URL(path, door.base);
  return url.protocol === "https:" ? overHttps(url, own) : overHttp(url, own);
}

function answer(sent: ClientRequest): Promise<IncomingMessage> {
  return new Promise((resolve, reject) => {
    sent.once("response", resolve);
    // It stays: one that comes after the answer is of no interest, and must not end the process.
    sent.on("error", reject);
  });
}

async function read(answered: IncomingMessage): Promise<Reply> {
  const chunks: Buffer[] = [];
  let bytes = 0;
  for await (const chunk of answered as AsyncIterable<Buffer>) {
    bytes += chunk.length;
    if (bytes > ANSWER_BYTES_MAX) throw new Error(`an answer of more than ${ANSWER_BYTES_MAX} bytes`);
    chunks.push(chunk);
  }
  return { status: answered.statusCode ?? 0, value: parsed(Buffer.concat(chunks).toString()) };
}

function parsed(body: string): unknown {
  try {
    return JSON.parse(body);
  } catch {
    return undefined;
  }
}

function why(error: unknown): string {
  const code = text(error, "code");
  if (code === "ECONNREFUSED" || code === "ENOENT") return "nobody answers";
  return error instanceof Error && error.message ? error.message : String(error);
}
