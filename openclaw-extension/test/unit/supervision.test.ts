import assert from "node:assert/strict";
import { test } from "node:test";
import { next, pauseMs, READY_WITHIN_MS, restMs, STEADY_MS, type Seen, type State } from "../../src/supervision.js";

const READY = { kind: "ready" } as const;
const NOBODY = { kind: "nobody", why: "nobody answers" } as const;
const UP = { kind: "up", binary: "/bin/lobstah" } as const;

function seen(what: Partial<Seen>): Seen {
  return { now: 1_000_000, presence: NOBODY, start: UP, child: { kind: "none" }, ...what };
}

test("a gateway that answers is used, whoever started it", () => {
  const step = next({ kind: "looking" }, seen({ presence: READY }));
  assert.deepEqual(step, { state: { kind: "using" }, act: "nothing" });
});

test("where nobody answers one is started", () => {
  for (const state of [{ kind: "looking" }, { kind: "using" }] satisfies State[]) {
    assert.equal(next(state, seen({})).act, "start", state.kind);
  }
});

test("a child that is slow is waited for, and one that hangs is stopped", () => {
  const starting: State = { kind: "starting", since: 1_000_000, failures: 0 };
  const child = { kind: "alive" } as const;
  assert.equal(next(starting, seen({ child })).act, "nothing");
  const late = next(starting, seen({ child, now: 1_000_001 + READY_WITHIN_MS }));
  assert.equal(late.act, "stop");
});

test("a child that was ready is not ended for being slow", () => {
  const running: State = { kind: "running", since: 1_000_000, failures: 0 };
  const step = next(running, seen({ child: { kind: "alive" }, now: 9_000_000 }));
  assert.deepEqual(step, { state: running, act: "nothing" });
});

test("a child that ends is started again, after a rest", () => {
  const ended = next({ kind: "running", since: 0, failures: 0 }, seen({ child: { kind: "ended", lastWords: "boom" } }));
  assert.deepEqual(ended.state, { kind: "resting", until: 1_001_000, failures: 1, why: "boom" });
  assert.equal(next(ended.state, seen({ now: 1_000_999 })).act, "nothing");
  const again = next(ended.state, seen({ now: 1_001_000 }));
  assert.deepEqual(again, { state: { kind: "starting", since: 1_001_000, failures: 1 }, act: "start" });
});

test("rests grow and have a bound", () => {
  assert.deepEqual([1, 2, 3].map(restMs), [1_000, 2_000, 4_000]);
  assert.equal(restMs(1_000), 60_000);
});

test("one that ran well for a while has its failures forgiven", () => {
  const child = { kind: "alive" } as const;
  const running = next({ kind: "starting", since: 0, failures: 5 }, seen({ child, presence: READY }));
  assert.deepEqual(running.state, { kind: "running", since: 1_000_000, failures: 5 });
  const steady = next(running.state, seen({ child, presence: READY, now: 1_000_000 + STEADY_MS }));
  assert.deepEqual(steady.state, { kind: "running", since: 1_000_000, failures: 0 });
});

test("of two that start at once, who comes second uses the first", () => {
  const starting: State = { kind: "starting", since: 1_000_000, failures: 0 };
  const step = next(starting, seen({ presence: READY, child: { kind: "ended", lastWords: "cannot listen" } }));
  assert.deepEqual(step, { state: { kind: "using" }, act: "nothing" });
});

test("what would not help is not started, and said", () => {
  const cases: [Partial<Seen>, RegExp][] = [
    [{ start: { kind: "noBinary" } }, /cargo install/],
    [{ start: { kind: "elsewhere", listen: "127.0.0.1:1" } }, /would listen on 127\.0\.0\.1:1/],
    [{ presence: { kind: "other" } }, /another program has its port/],
  ];
  for (const [what, why] of cases) {
    const { state, act } = next({ kind: "looking" }, seen(what));
    assert.equal(act, "nothing");
    assert.ok(state.kind === "helpless" && why.test(state.why), JSON.stringify(state));
  }
});

test("a program that is installed later is found", () => {
  const step = next({ kind: "helpless", why: "not installed" }, seen({}));
  assert.equal(step.act, "start");
});

test("it looks often while one starts, and seldom where none can", () => {
  assert.ok(pauseMs({ kind: "starting", since: 0, failures: 0 }) < pauseMs({ kind: "using" }));
  assert.ok(pauseMs({ kind: "using" }) < pauseMs({ kind: "helpless", why: "" }));
});
