"""What the scripts share. Each talks to OPENAI_BASE_URL and ends with 1 and a message if a promise is broken."""

import os
import sys

from openai import OpenAI

MODEL = "practice:8b"
"""As the practice engine names it, which stands in for Ollama."""

EMBEDDER = "practice-embed:latest"
LONG_NAME = "hf.co/team/practice:Q4_K_M"
"""Ids hold slashes and colons."""

WORKER = os.environ.get("EXPECTED_WORKER", "local")
"""Who is to answer: `local`, or the key of the worker behind the gateway."""


def client(**settings):
    """Address and key come from the environment, as with any tool."""
    return OpenAI(**settings)


def ask(words):
    return [{"role": "user", "content": words}]


def check(condition, broken, *seen):
    if not condition:
        for one in seen:
            print(f"  {one!r}", file=sys.stderr)
        sys.exit(f"{os.path.basename(sys.argv[0])}: {broken}")


def equal(one, other, broken):
    check(one == other, broken, one, other)
