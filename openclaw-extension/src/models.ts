/**
 * From what the gateway lists to what OpenClaw keeps of a model.
 */

import type { Model } from "./gateway.js";
import type { DynamicModel, LocalService, ModelRow, ProviderConfig } from "./host.js";
import { apiUrl, PROVIDER } from "./place.js";

/** Where the gateway does not know a model's context. Ollama gives so much or less unless told otherwise. */
const CONTEXT_WHEN_UNKNOWN = 32_768;

/** The most that one answer is ordered to have; a worker reserves credits for all of it. */
const ANSWER_TOKENS_MAX = 8_192;

/** The gateway may load a model, and try several workers, before the first word. */
const TIMEOUT_SECONDS = 900;

/** What OpenClaw keeps in `models.providers.lobstah`. */
export function providerConfig(
  base: URL,
  models: readonly Model[],
  more: { apiKey?: string | undefined; localService?: LocalService | undefined } = {},
): ProviderConfig {
  const { apiKey, localService } = more;
  return {
    baseUrl: apiUrl(base),
    api: "openai-completions",
    ...(apiKey && { apiKey }),
    ...(localService && { localService }),
    timeoutSeconds: TIMEOUT_SECONDS,
    models: models.filter(chats).map(row),
  };
}

export function row(model: Pick<Model, "id" | "contextLength">): ModelRow {
  const contextWindow = model.contextLength ?? CONTEXT_WHEN_UNKNOWN;
  return {
    id: model.id,
    name: model.id,
    reasoning: /\br1\b|reason|think|\bqwq\b/i.test(model.id),
    input: ["text"],
    // Credits are no money, and OpenClaw counts money here.
    cost: { input: 0, output: 0, cacheRead: 0, cacheWrite: 0 },
    contextWindow,
    maxTokens: Math.min(ANSWER_TOKENS_MAX, Math.max(1, Math.floor(contextWindow / 2))),
  };
}

export function dynamic(model: Pick<Model, "id" | "contextLength">, base: URL): DynamicModel {
  return { ...row(model), provider: PROVIDER, api: "openai-completions", baseUrl: apiUrl(base) };
}

/** The one to begin with: the gateway lists its owner's own first. */
export function starter(models: readonly Model[]): Model | undefined {
  return models.find(chats);
}

/** As Ollama compares names: `llama3.2` is `llama3.2:latest`. */
export function sameModel(one: string, other: string): boolean {
  const tagged = (name: string) => (/:[^/]*$/.test(name) ? name : `${name}:latest`);
  return tagged(one).toLowerCase() === tagged(other).toLowerCase();
}

/** Models for embeddings answer no chat. The gateway does not say which those are; their names do. */
function chats(model: Model): boolean {
  return !/embed|\bbge\b|minilm/i.test(model.id);
}
