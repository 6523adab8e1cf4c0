"""Whole answers: text, usage, limits, roles, and the headers that say who answered."""

from common import MODEL, WORKER, ask, check, client, equal

api = client()

raw = api.chat.completions.with_raw_response.create(
    model=MODEL, messages=ask("Say something."), temperature=0.2, seed=7, extra_headers={"x-request-id": "mine-1"}
)
answer = raw.parse()
choice = answer.choices[0]
check(choice.message.content, "the answer has no text", answer)
equal(choice.message.role, "assistant", "the role is wrong")
equal(choice.finish_reason, "stop", "the finish reason is wrong")
check(answer.usage.prompt_tokens > 0 < answer.usage.completion_tokens, "the usage is missing", answer.usage)
equal(raw.headers["x-request-id"], "mine-1", "the request id is not ours")
equal(raw.headers["x-lobstah-worker"], WORKER, "somebody else answered")
equal(raw.headers["x-lobstah-attempts"], "1", "it took several tries")
equal("x-lobstah-receipt" in raw.headers, WORKER != "local", "a receipt comes from a worker, and from nobody else")

again = api.chat.completions.create(model=MODEL, messages=ask("Say something."), temperature=0.2, seed=7)
equal(again.choices[0].message.content, choice.message.content, "the same question got another answer")

# The engine knows only the older name of the limit, and would ignore this one.
short = api.chat.completions.create(model=MODEL, messages=ask("Say a lot."), max_completion_tokens=7)
equal(short.usage.completion_tokens, 7, "max_completion_tokens was lost")
equal(short.choices[0].finish_reason, "length", "the finish reason does not tell of the limit")

picture = {"type": "image_url", "image_url": {"url": "data:image/png;base64," + "iVBORw0KGgo" * 10_000}}
talk = api.chat.completions.create(
    model=MODEL,
    messages=[
        {"role": "developer", "content": "Be brief."},
        {"role": "user", "content": [{"type": "text", "text": "What is this?"}, picture]},
        {"role": "assistant", "content": "A picture."},
        {"role": "user", "content": "Of what?"},
    ],
)
check(talk.choices[0].message.content, "a talk with a picture got no answer", talk)

old = api.completions.create(model=MODEL, prompt="Once upon a time", max_tokens=5)
check(old.choices[0].text, "the older endpoint gave no text", old)
equal(old.usage.completion_tokens, 5, "the older endpoint lost max_tokens")
