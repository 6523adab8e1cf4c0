/**
 * Reading JSON that another program wrote. What is missing or of another kind is `undefined`; nothing throws.
 */

/** What stands under a key. */
export function field(value: unknown, key: string): unknown {
  if (typeof value !== "object" || value === null) return undefined;
  return (value as Record<string, unknown>)[key];
}

export function text(value: unknown, key: string): string | undefined {
  const found = field(value, key);
  return typeof found === "string" ? found : undefined;
}

export function flag(value: unknown, key: string): boolean {
  return field(value, key) === true;
}

export function number(value: unknown, key: string): number | undefined {
  const found = field(value, key);
  return typeof found === "number" && Number.isFinite(found) ? found : undefined;
}

/** What stands under a key, if it is a list; else an empty one. */
export function list(value: unknown, key: string): unknown[] {
  const found = field(value, key);
  return Array.isArray(found) ? found : [];
}

export function texts(value: unknown, key: string): string[] {
  return list(value, key).filter((one) => typeof one === "string");
}

/** Those that could be read. */
export function each<T>(values: unknown, one: (value: unknown) => T | undefined): T[] {
  if (!Array.isArray(values)) return [];
  return values.flatMap((value) => one(value) ?? []);
}
