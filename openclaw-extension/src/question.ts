/**
 * What was asked with `/lobstah`.
 */

export type Question =
  | { kind: "status" }
  | { kind: "peers" }
  | { kind: "share"; wanted: "on" | "off" | "status" }
  | { kind: "batches" }
  | { kind: "batch"; id: string }
  | { kind: "cancelBatch"; id: string }
  | { kind: "runBatch"; path: string }
  | { kind: "route"; model: string }
  | { kind: "help" }
  | { kind: "unclear"; said: string };

export const HELP = [
  "/lobstah: how things are",
  "/lobstah peers: who there is",
  "/lobstah share on, off or status: serve others from this machine",
  "/lobstah batch: the batches",
  "/lobstah batch run FILE: start one from a file of this machine",
  "/lobstah batch status ID or cancel ID: one of them",
  "/lobstah route explain MODEL: who would be asked, and why",
].join("\n");

export function parse(args: string | undefined): Question {
  const said = (args ?? "").trim();
  const [first = "", second = ""] = said.split(/\s+/).map((word) => word.toLowerCase());
  // The rest as it was written: paths have blanks and capitals.
  const rest = said.replace(/^\S+\s*\S*\s*/, "");
  switch (first) {
    case "":
    case "status":
      return { kind: "status" };
    case "peers":
      return { kind: "peers" };
    case "help":
      return { kind: "help" };
    case "share":
      return share(second, said);
    case "batch":
    case "batches":
      return batch(second, rest, said);
    case "route":
      return second === "explain" && rest ? { kind: "route", model: rest } : { kind: "unclear", said };
    default:
      return { kind: "unclear", said };
  }
}

function share(wanted: string, said: string): Question {
  if (wanted === "") return { kind: "share", wanted: "status" };
  if (wanted === "on" || wanted === "off" || wanted === "status") return { kind: "share", wanted };
  return { kind: "unclear", said };
}

function batch(verb: string, rest: string, said: string): Question {
  if (verb === "" || verb === "list" || (verb === "status" && rest === "")) return { kind: "batches" };
  if (rest === "") return { kind: "unclear", said };
  switch (verb) {
    case "run":
      return { kind: "runBatch", path: rest };
    case "status":
      return { kind: "batch", id: rest };
    case "cancel":
      return { kind: "cancelBatch", id: rest };
    default:
      return { kind: "unclear", said };
  }
}
