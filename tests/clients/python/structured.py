"""Answers in JSON: any object, one that fits a schema, and one that the SDK parses."""

import json
from typing import Literal

from pydantic import BaseModel

from common import MODEL, ask, check, client, equal

api = client()


class Boat(BaseModel):
    name: str
    kind: Literal["ketch", "sloop"]
    crew: int
    ports: list[str]


free = api.chat.completions.create(model=MODEL, messages=ask("JSON, please."), response_format={"type": "json_object"})
check(isinstance(json.loads(free.choices[0].message.content), dict), "JSON mode gave no object", free)

schema = {
    "type": "object",
    "properties": {"sum": {"type": "integer", "minimum": 3, "maximum": 3}, "why": {"type": "string"}},
    "required": ["sum", "why"],
    "additionalProperties": False,
}
wanted = {"type": "json_schema", "json_schema": {"name": "sum", "strict": True, "schema": schema}}
strict = api.chat.completions.create(model=MODEL, messages=ask("1 + 2?"), response_format=wanted)
read = json.loads(strict.choices[0].message.content)
equal((read["sum"], sorted(read)), (3, ["sum", "why"]), "the answer does not fit the schema")

parsed = api.chat.completions.parse(model=MODEL, messages=ask("Name a boat."), response_format=Boat)
boat = parsed.choices[0].message.parsed
check(isinstance(boat, Boat) and boat.kind in ("ketch", "sloop"), "the SDK could not parse the answer", parsed)

with api.chat.completions.stream(model=MODEL, messages=ask("Name a boat."), response_format=Boat) as stream:
    for _ in stream:
        pass
    streamed = stream.get_final_completion().choices[0].message.parsed
equal(streamed, boat, "streamed, the boat is another")
