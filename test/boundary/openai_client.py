"""Asks a server with OpenAI's client for Python; prints what it was told as JSON.

usage: openai_client.py BASE_URL REQUEST.json
"""
import json
import sys

from openai import OpenAI

base_url, path = sys.argv[1:]
with open(path) as file:
    request = json.load(file)
client = OpenAI(base_url=base_url, api_key="none", max_retries=0)
whole = client.chat.completions.create(**request)
texts = [""] * request["n"]
for chunk in client.chat.completions.create(**request, stream=True):
    for choice in chunk.choices:
        texts[choice.index] += choice.delta.content or ""
models = [model.id for model in client.models.list()]
print(json.dumps({"whole": [c.message.content for c in whole.choices], "streamed": texts, "models": models}))
