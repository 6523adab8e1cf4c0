/**
 * What was earned and spent, and the receipts that say so, as a node tells it.
 */

import { each, field, list, number, text } from "./read.js";

/** `GET /balance` of the gateway, or of the owner's socket, which also tells the accounts. In credits. */
export interface Balance {
  pubkey: string;
  earned: number;
  spent: number;
  accounts: Account[];
}

/** How things stand with one peer. */
export interface Account {
  pubkey: string;
  label: string | undefined;
  owedToMe: number;
  owedByMe: number;
}

/** One of `GET /ledger`. Times in Unix milliseconds. */
export interface Receipt {
  worker: string;
  requester: string;
  model: string;
  inputTokens: number;
  outputTokens: number;
  completedAt: number;
}

export function balance(value: unknown): Balance {
  const self = field(value, "self");
  return {
    pubkey: text(value, "pubkey") ?? "",
    earned: number(self, "earned") ?? 0,
    spent: number(self, "spent") ?? 0,
    accounts: each(list(value, "peers"), account),
  };
}

function account(value: unknown): Account | undefined {
  const pubkey = text(value, "pubkey");
  if (!pubkey) return undefined;
  return {
    pubkey,
    label: text(value, "label"),
    owedToMe: number(value, "owedToMe") ?? 0,
    owedByMe: number(value, "owedByMe") ?? 0,
  };
}

export function receipt(value: unknown): Receipt | undefined {
  const inner = field(value, "receipt");
  const worker = text(inner, "workerPubkey");
  const model = text(inner, "model");
  if (!worker || !model) return undefined;
  return {
    worker,
    model,
    requester: text(inner, "requesterPubkey") ?? "",
    inputTokens: number(inner, "inputTokens") ?? 0,
    outputTokens: number(inner, "outputTokens") ?? 0,
    completedAt: number(inner, "completedAt") ?? 0,
  };
}
