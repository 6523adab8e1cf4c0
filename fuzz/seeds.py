"""Writes what the fuzzers begin with: python3 seeds.py [FOLDER], one folder a target below ../target/fuzz/seeds.

Nothing of it is kept in the repository: it is all made of the vectors of `protocol`, of the settings that
`config` ships, and of a few streams and bodies below.
"""

import base64
import json
import pathlib
import shutil
import sys

ROOT = pathlib.Path(__file__).resolve().parent.parent
VECTORS = ROOT / "protocol" / "tests" / "vectors"

CHUNK = 'data: {"choices":[{"index":0,"delta":{"content":"ä"}}]}\n\n'
USAGE = 'data: {"choices":[],"usage":{"prompt_tokens":3,"completion_tokens":4}}\r\n\r\n'
RECEIPT = ":lobstah-receipt:eyJyZWNlaXB0Ijp7fX0=\n\n"
DONE = "data: [DONE]\n\n"

STREAMS = [
    CHUNK + USAGE + RECEIPT + DONE,
    ": waiting\n\n" + CHUNK + 'data: {"error":{"message":"boom","code":"upstream_lost"}}\n\n',
    "\ufeff" + CHUNK + "event: ping\nid: 7\ndata: 1\ndata: 2\n\n" + DONE[:-1],
]

BODIES = [
    {"model": "llama3.1:8b", "messages": [{"role": "user", "content": "hi"}]},
    {"model": "m", "stream": True, "stream_options": {"include_usage": False}, "max_tokens": 7, "n": 1},
    {"model": "m", "stream": True, "stream_options": None, "max_completion_tokens": None, "temperature": 0.2},
    {"model": "m", "max_tokens": 0, "max_completion_tokens": 9, "messages": [{"role": "developer", "content": []}]},
    {"model": "m", "stream": True, "stream_options": {}, "prompt": "Once", "tools": [{"type": "function"}]},
]


def vectors(name):
    return json.loads((VECTORS / name).read_text())


def text(value):
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False)


def cut(stream, cuts):
    return bytes([len(cuts), *cuts]) + stream.encode()


def seeds():
    orders, receipts = vectors("orders.json"), vectors("receipts.json")
    announcements, events = vectors("announcements.json"), vectors("nostr.json")
    acks, tracker = vectors("acks.json"), vectors("tracker.json")
    worker, requester = orders[0]["worker"], orders[0]["signed"]["order"]["requesterPubkey"]
    sample, defaults = ROOT / "config" / "tests" / "sample.toml", ROOT / "config" / "src" / "defaults.toml"
    return {
        "order": [text(case["signed"]) for case in orders] + [orders[0]["header"]],
        "receipt": [text(case["signed"]) for case in acks["receipts"] + receipts] + [receipts[0]["header"]],
        "ack": [text({"acks": [case["signed"] for case in acks["acks"]]})]
        + [text({"acks": [case["signed"]]}) for case in acks["acks"]],
        "announcement": [text(case["signed"]) for case in announcements]
        + [text(event) for name, event in events.items() if isinstance(event, dict)]
        + [text(case["event"]) for case in announcements if "event" in case]
        + [text(expiring(announcements[0]["event"]))],
        "sse": [cut(stream, cuts) for stream in STREAMS for cuts in ([], [57], [1] * 9, [56, 1, 74])],
        "request_body": [text(body) for body in BODIES] + [json.dumps(body, indent=2) for body in BODIES],
        "headers": [receipts[0]["header"], orders[0]["header"], text(tracker["unannounce"]), worker, "anonymous"]
        + [f"{requester}.1790000000000.{'ab' * 64}", "hf.co/team/model:Q4_K_M", "/v1/receipts/7"]
        + [base64.b64encode(text(announcements[0]["signed"]).encode()).decode()],
        "config_text": [sample.read_text(), defaults.read_text(), *sections(sample.read_text())],
    }


def expiring(event):
    return {**event, "tags": [*event["tags"], ["expiration", "1790000300"]]}


def sections(toml):
    return ["[" + section for section in toml.split("\n[")[1:]]


def main():
    folder = pathlib.Path(sys.argv[1]) if len(sys.argv) > 1 else ROOT / "target" / "fuzz" / "seeds"
    for target, inputs in seeds().items():
        shutil.rmtree(folder / target, ignore_errors=True)
        (folder / target).mkdir(parents=True)
        for number, data in enumerate(inputs):
            data = data if isinstance(data, bytes) else data.encode()
            (folder / target / f"{number:03}").write_bytes(data)


main()
