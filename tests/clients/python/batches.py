"""Batches: created, listed, cancelled, and why one fails. `batches.py answered` waits for answers."""

import io
import json
import sys
import time

import openai
from common import MODEL, ask, check, client, equal

api = client()
PATIENCE = 60


def upload(lines):
    text = "".join(json.dumps(line) + "\n" for line in lines)
    return api.files.create(file=("lines.jsonl", io.BytesIO(text.encode())), purpose="batch")


def line(custom_id, **more):
    body = {"model": MODEL, "messages": ask(f"Say {custom_id}."), "max_tokens": 5, **more}
    return {"custom_id": custom_id, "method": "POST", "url": "/v1/chat/completions", "body": body}


def create(lines, **more):
    return api.batches.create(
        input_file_id=upload(lines).id, endpoint="/v1/chat/completions", completion_window="24h", **more
    )


def wait(batch, *states):
    deadline = time.monotonic() + PATIENCE
    while time.monotonic() < deadline:
        batch = api.batches.retrieve(batch.id)
        if batch.status in states:
            return batch
        time.sleep(0.1)
    check(False, f"the batch never was {' or '.join(states)}", batch)


def results(file_id):
    return [json.loads(text) for text in api.files.content(file_id).text.splitlines()] if file_id else []


def created():
    # So many that they are not all answered before the cancelling.
    many = create([line(f"line-{at}") for at in range(5000)], metadata={"mine": "x"})
    equal((many.status, many.metadata), ("validating", {"mine": "x"}), "another batch")
    many = wait(many, "in_progress")
    equal((many.request_counts.total, many.model), (5000, MODEL), "its lines were read otherwise")
    api.batches.cancel(many.id)
    many = wait(many, "cancelled")
    counts = many.request_counts
    equal(counts.completed + counts.failed, 5000, "a line is missing from the counts")
    errors = results(many.error_file_id)
    check(errors and errors[-1]["custom_id"] == "line-4999", "the last line has no error", errors[-1:])
    equal(errors[-1]["error"]["code"], "batch_cancelled", "the error is another")
    equal(len(errors) + len(results(many.output_file_id)), 5000, "a line is in neither file, or in both")

    bad = wait(create([line("good"), line("streamed", stream=True), line("good")]), "failed")
    equal([(problem.line, problem.param) for problem in bad.errors.data][0], (2, "body.stream"), "the problem is another")
    equal(len(bad.errors.data), 2, "not every problem is named")
    try:
        api.batches.cancel(bad.id)
        check(False, "what is over was cancelled")
    except openai.ConflictError as error:
        equal(error.code, "not_cancellable", "another error was due")

    listed = [one.id for one in api.batches.list(limit=1)]
    equal(listed[:2], [bad.id, many.id], "pages do not add up to the list")
    try:
        api.batches.create(input_file_id="file-none", endpoint="/v1/chat/completions", completion_window="24h")
        check(False, "a batch of no file was created")
    except openai.NotFoundError as error:
        equal(error.code, "not_found", "another error was due")


def answered():
    wanted = [f"line-{at}" for at in range(20)]
    batch = wait(create([line(name) for name in wanted]), "completed")
    equal((batch.request_counts.completed, batch.error_file_id), (20, None), "not all were answered")
    said = results(batch.output_file_id)
    equal([one["custom_id"] for one in said], wanted, "the order is not that of the input")
    for one in said:
        equal((one["error"], one["response"]["status_code"]), (None, 200), "a line has an error")
        check(one["response"]["body"]["choices"][0]["message"]["content"], "an answer has no text", one)
    check(batch.usage.output_tokens > 0, "the usage is missing", batch.usage)


{"created": created, "answered": answered}[sys.argv[1]]()
