"""Streams: the same text as a whole answer, usage only for who asked, leaving in the middle."""

from common import MODEL, WORKER, ask, check, client, equal

api = client()
question = {"model": MODEL, "messages": ask("Tell me a story."), "seed": 3}
whole = api.chat.completions.create(**question)


def text(chunks):
    return "".join(choice.delta.content or "" for chunk in chunks for choice in chunk.choices)


plain = list(api.chat.completions.create(**question, stream=True))
equal(text(plain), whole.choices[0].message.content, "streamed, the answer is another")
check(all(chunk.choices for chunk in plain), "a chunk without choices, which nobody asked for", plain[-1])
check(all(chunk.usage is None for chunk in plain), "a usage that nobody asked for", plain[-1])
equal(plain[-1].choices[0].finish_reason, "stop", "the last chunk does not say that it is the end")

counted = list(api.chat.completions.create(**question, stream=True, stream_options={"include_usage": True}))
equal(text(counted), text(plain), "with usage, the answer is another")
equal(counted[-1].choices, [], "the usage has no chunk of its own")
equal(counted[-1].usage.completion_tokens, whole.usage.completion_tokens, "the usage is another than that of a whole answer")
equal(len(counted), len(plain) + 1, "asking for the usage changed more than the end")

with api.chat.completions.with_streaming_response.create(**question, stream=True) as raw:
    equal(raw.headers["content-type"], "text/event-stream", "this is no event stream")
    equal(raw.headers["x-lobstah-worker"], WORKER, "somebody else answered")
    events = [line for line in raw.iter_lines() if line]
check(not any("lobstah-receipt" in event for event in events), "the receipt reached the tool", events[-2:])
equal(events[-1], "data: [DONE]", "the stream does not end as it should")

with api.chat.completions.stream(**question) as helper:
    for _ in helper:
        pass
    final = helper.get_final_completion()
equal(final.choices[0].message.content, text(plain), "the SDK's helper put another answer together")

leaving = api.chat.completions.create(**question, stream=True)
next(iter(leaving))
leaving.close()
equal(text(api.chat.completions.create(**question, stream=True)), text(plain), "after one was left, streams are broken")

old = list(api.completions.create(model=MODEL, prompt="Once upon a time", max_tokens=5, stream=True))
check("".join(chunk.choices[0].text for chunk in old), "the older endpoint streamed no text", old)
