"""Has every text of a folder summarised in one batch, and writes a review of them: python review.py FOLDER"""

import hashlib
import io
import json
import os
import sys
import time
from pathlib import Path

from openai import OpenAI

MODEL = os.environ.get("MODEL", "llama3.2")
SUMMARISE = "Summarise this paper in three sentences: what was done, what was found, what stays open."
REVIEW = "Write a review of half a page from these summaries: what they agree on, where they differ, what to study next."

api = OpenAI()


def line(path):
    messages = [{"role": "system", "content": SUMMARISE}, {"role": "user", "content": path.read_text()}]
    body = {"model": MODEL, "messages": messages, "max_tokens": 300}
    return json.dumps({"custom_id": path.name, "method": "POST", "url": "/v1/chat/completions", "body": body}) + "\n"


def submit(lines):
    """The batch of these lines: the one that runs already, if this was started before."""
    run = hashlib.sha256(lines.encode()).hexdigest()
    for batch in api.batches.list():
        if (batch.metadata or {}).get("review") == run and batch.status not in ("failed", "expired", "cancelled"):
            return batch
    file = api.files.create(file=("papers.jsonl", io.BytesIO(lines.encode())), purpose="batch")
    return api.batches.create(
        input_file_id=file.id,
        endpoint="/v1/chat/completions",
        completion_window="24h",
        metadata={"review": run},
    )


def finished(batch):
    while batch.status not in ("completed", "failed", "expired", "cancelled"):
        time.sleep(2)
        batch = api.batches.retrieve(batch.id)
        counts = batch.request_counts
        print(f"\r{batch.status}: {counts.completed} of {counts.total} summaries", end="", file=sys.stderr)
    print(file=sys.stderr)
    if not batch.output_file_id:
        sys.exit(f"the batch {batch.id} is {batch.status}, and nothing was summarised: {batch.errors or missing(batch)}")
    return batch


def missing(batch):
    """What has no summary, and why."""
    if not batch.error_file_id:
        return []
    errors = map(json.loads, api.files.content(batch.error_file_id).text.splitlines())
    return [f"{line['custom_id']}: {(line['error'] or line['response']['body']['error'])['message']}" for line in errors]


def summaries(batch):
    for text in api.files.content(batch.output_file_id).text.splitlines():
        said = json.loads(text)
        yield said["custom_id"], said["response"]["body"]["choices"][0]["message"]["content"].strip()


papers = sorted(Path(sys.argv[1]).glob("*.txt")) if len(sys.argv) == 2 else []
if not papers:
    sys.exit("name a folder of .txt files: python review.py FOLDER")
batch = finished(submit("".join(map(line, papers))))
parts = [f"## {name}\n\n{summary}" for name, summary in summaries(batch)]
question = [{"role": "system", "content": REVIEW}, {"role": "user", "content": "\n\n".join(parts)}]
review = api.chat.completions.create(model=MODEL, messages=question).choices[0].message.content
Path("review.md").write_text("\n\n".join(["# Review", review.strip(), "# Summaries", *parts]) + "\n")
print("review.md")
if left_out := missing(batch):
    sys.exit("without a summary, and not in the review:\n" + "\n".join(left_out))
