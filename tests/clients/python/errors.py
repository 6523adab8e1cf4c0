"""Every error as the class that the SDK has for it, after as many requests as make sense.

Which errors: `errors.py refused` needs nodes in good health; the other words need the trouble they name.
"""

import sys

import openai
from common import MODEL, ask, check, client, equal


def raised(kind, status, code, requests, **settings):
    """Asks, and checks the error that comes of it. `requests` are all that the SDK made, retries included."""
    body = settings.pop("extra_body", None)
    headers = settings.pop("extra_headers", None)
    model = settings.pop("model", MODEL)
    api = client(**settings)
    try:
        api.chat.completions.create(model=model, messages=ask("Hello."), extra_body=body, extra_headers=headers)
    except openai.APIStatusError as error:
        check(type(error) is kind, f"{kind.__name__} was due", error)
        equal((error.status_code, error.code), (status, code), "another error was due")
        made = int(error.request.headers["x-stainless-retry-count"]) + 1
        equal(made, requests, "the SDK tried another number of times")
        check(error.body["message"] and error.body["type"], "the error says nothing", error.body)
        return error
    check(False, f"{kind.__name__} was due and nothing was raised")


def refused():
    raised(openai.BadRequestError, 400, "invalid_value", 1, extra_body={"stream": "yes"})
    error = raised(openai.BadRequestError, 400, "invalid_value", 1, extra_body={"max_tokens": "many"})
    equal(error.param, "max_tokens", "the error does not name the field")
    raised(openai.AuthenticationError, 401, "invalid_api_key", 1, api_key="sk-another")
    raised(openai.PermissionDeniedError, 403, "host_not_allowed", 1, extra_headers={"Host": "evil.example"})
    raised(openai.PermissionDeniedError, 403, "origin_not_allowed", 1, extra_headers={"Origin": "https://evil.example"})
    error = raised(openai.NotFoundError, 404, "model_not_found", 1, model="practice:80b")
    equal(error.param, "model", "the error does not name the field")
    check(MODEL in error.message, "the error does not name the near model", error.message)
    try:
        client().models.retrieve("nobody/has:this")
        check(False, "a model that nobody has was retrieved")
    except openai.NotFoundError as error:
        equal(error.code, "model_not_found", "another error was due")


def conflict():
    """By itself the SDK repeats a 409; it is told that this would not help."""
    raised(openai.ConflictError, 409, None, 1)


def busy():
    error = raised(openai.RateLimitError, 429, "worker_busy", 1, max_retries=0)
    check(int(error.response.headers["retry-after"]) >= 1, "the error does not say when to come back")


def failing():
    """A 502 is worth another try: the first request, and the SDK's two retries."""
    error = raised(openai.InternalServerError, 502, "all_upstreams_failed", 3)
    check(error.body["attempts"][0]["reason"], "the error does not say who failed and how", error.body)


def nobody():
    error = raised(openai.InternalServerError, 503, "no_upstream", 1, max_retries=0)
    check(int(error.response.headers["retry-after"]) >= 1, "the error does not say when to come back")


def broken():
    """A stream that breaks off raises, and does not end as if it were whole."""
    words = []
    try:
        for chunk in client().chat.completions.create(model=MODEL, messages=ask("Go on."), stream=True):
            words.append(chunk.choices[0].delta.content)
    except openai.APIError as error:
        check(type(error) is openai.APIError, "APIError was due", error)
        equal(error.code, "upstream_lost", "another error was due")
        equal(len(words), 5, "not all that came before the break was delivered")
        return
    check(False, "a stream that broke off ended as if it were whole", words)


{"refused": refused, "conflict": conflict, "busy": busy, "failing": failing, "nobody": nobody, "broken": broken}[
    sys.argv[1]
]()
