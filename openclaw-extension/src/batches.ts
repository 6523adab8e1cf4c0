/**
 * Batches at the gateway: OpenAI's routes for files and batches, with a file of this machine.
 */

import { randomUUID } from "node:crypto";
import { createReadStream } from "node:fs";
import { open, stat } from "node:fs/promises";
import { basename } from "node:path";
import type { Gateway } from "./gateway.js";
import { json, type Body } from "./http.js";
import { each, field, list, number, text } from "./read.js";

export interface Batch {
  id: string;
  /** One of OpenAI's words: `validating`, `in_progress`, `completed`, … */
  status: string;
  total: number;
  completed: number;
  failed: number;
  outputFile: string | undefined;
  errorFile: string | undefined;
  /** What is wrong with its file. */
  errors: string[];
}

/** A file that cannot be a batch: its message says why. */
export class NoBatchFile extends Error {
  override readonly name = "NoBatchFile";
}

/** So many are listed. */
const LISTED_MAX = 20;

/** A first line that is longer is no request of a batch. */
const LINE_BYTES_MAX = 4 * 1024 * 1024;

/** 512 MiB take a while on their way to a disk. */
const UPLOAD_PATIENCE_MS = 5 * 60_000;

/** The newest first. */
export async function listed(gateway: Gateway): Promise<Batch[]> {
  return each(list(await gateway.ask(`/v1/batches?limit=${LISTED_MAX}`), "data"), batch);
}

export async function status(gateway: Gateway, id: string): Promise<Batch> {
  return known(await gateway.ask(`/v1/batches/${encodeURIComponent(id)}`));
}

export async function cancel(gateway: Gateway, id: string): Promise<Batch> {
  return known(await gateway.ask(`/v1/batches/${encodeURIComponent(id)}/cancel`, { method: "POST" }));
}

/** Uploads a file of requests and starts it. */
export async function run(gateway: Gateway, path: string): Promise<Batch> {
  const endpoint = await endpointOf(path);
  const uploaded = await gateway.ask("/v1/files", {
    method: "POST",
    body: await form(path),
    timeoutMs: UPLOAD_PATIENCE_MS,
  });
  const created = await gateway.ask("/v1/batches", {
    method: "POST",
    body: json({ input_file_id: text(uploaded, "id"), endpoint, completion_window: "24h" }),
  });
  return known(created);
}

/** OpenAI wants it said once more beside the file, whose every line says it. */
async function endpointOf(path: string): Promise<string> {
  const line = await firstLine(path);
  try {
    const url = text(JSON.parse(line), "url");
    if (url) return url;
  } catch {
    // Said below, as for JSON that is something else.
  }
  throw new NoBatchFile(`${path} is no batch file: its first line is no JSON object with a "url"`);
}

async function firstLine(path: string): Promise<string> {
  const file = await open(path).catch((error: unknown) => {
    throw new NoBatchFile(`${path} cannot be read (${text(error, "code") ?? String(error)})`);
  });
  try {
    const chunk = Buffer.alloc(Math.min(LINE_BYTES_MAX, (await file.stat()).size));
    const { bytesRead } = await file.read(chunk, 0, chunk.length, 0);
    return chunk.subarray(0, bytesRead).toString().split("\n", 1)[0] ?? "";
  } catch (error) {
    throw new NoBatchFile(`${path} cannot be read (${text(error, "code") ?? String(error)})`);
  } finally {
    await file.close();
  }
}

/** RFC 7578, streamed from the disk. */
async function form(path: string): Promise<Body> {
  const boundary = `lobstah-${randomUUID()}`;
  const name = basename(path).replace(/["\r\n]/g, "_");
  const head = Buffer.from(
    `--${boundary}\r\nContent-Disposition: form-data; name="purpose"\r\n\r\nbatch\r\n` +
      `--${boundary}\r\nContent-Disposition: form-data; name="file"; filename="${name}"\r\n` +
      "Content-Type: application/jsonl\r\n\r\n",
  );
  const tail = Buffer.from(`\r\n--${boundary}--\r\n`);
  const { size } = await stat(path);
  async function* content(): AsyncGenerator<Uint8Array> {
    yield head;
    // A file that grows meanwhile is sent as long as it was: the length was promised.
    if (size > 0) yield* createReadStream(path, { end: size - 1 });
    yield tail;
  }
  return {
    type: `multipart/form-data; boundary=${boundary}`,
    bytes: head.length + size + tail.length,
    content: content(),
  };
}

function known(value: unknown): Batch {
  const found = batch(value);
  if (!found) throw new Error("the gateway answered with something that is no batch");
  return found;
}

function batch(value: unknown): Batch | undefined {
  const id = text(value, "id");
  if (!id) return undefined;
  const counts = field(value, "request_counts");
  return {
    id,
    status: text(value, "status") ?? "unknown",
    total: number(counts, "total") ?? 0,
    completed: number(counts, "completed") ?? 0,
    failed: number(counts, "failed") ?? 0,
    outputFile: text(value, "output_file_id"),
    errorFile: text(value, "error_file_id"),
    errors: each(list(field(value, "errors"), "data"), (one) => text(one, "message")),
  };
}
