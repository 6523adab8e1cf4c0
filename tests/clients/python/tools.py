"""Tool calls: the whole round trip, and the same as a stream."""

import json

from common import MODEL, ask, check, client, equal

api = client()
weather = {
    "type": "function",
    "function": {
        "name": "weather",
        "description": "The weather in a town.",
        "parameters": {
            "type": "object",
            "properties": {"town": {"type": "string"}, "unit": {"type": "string", "enum": ["celsius", "fahrenheit"]}},
            "required": ["town", "unit"],
        },
    },
}
question = {"model": MODEL, "messages": ask("What is the weather in Lisbon?"), "tools": [weather]}


def fits(arguments):
    read = json.loads(arguments)
    return isinstance(read["town"], str) and read["unit"] in ("celsius", "fahrenheit")


first = api.chat.completions.create(**question)
equal(first.choices[0].finish_reason, "tool_calls", "no tool is called")
message = first.choices[0].message
call = message.tool_calls[0]
equal(call.function.name, "weather", "another tool is called")
check(call.id and fits(call.function.arguments), "the call does not fit the tool", call)

result = {"role": "tool", "tool_call_id": call.id, "content": json.dumps({"degrees": 21})}
second = api.chat.completions.create(**{**question, "messages": [*question["messages"], message, result]})
equal(second.choices[0].finish_reason, "stop", "after the tool spoke there is no answer")
check(second.choices[0].message.content, "after the tool spoke the answer is empty", second)

name, arguments, finish = "", "", None
for chunk in api.chat.completions.create(**question, stream=True):
    choice = chunk.choices[0]
    for part in choice.delta.tool_calls or []:
        name += part.function.name or ""
        arguments += part.function.arguments or ""
    finish = choice.finish_reason or finish
equal((name, finish), ("weather", "tool_calls"), "streamed, the call is another")
equal(json.loads(arguments), json.loads(call.function.arguments), "streamed, the arguments are others")

none = api.chat.completions.create(**question, tool_choice="none")
equal(none.choices[0].finish_reason, "stop", "a tool is called though none may be")
