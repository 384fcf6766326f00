"""Asks a server with OpenAI's client for Python, one by one and many at once; prints what it was told as JSON.

usage: openai_client.py BASE_URL REQUEST.json
"""
import asyncio
import json
import sys

from openai import AsyncOpenAI, OpenAI

CLIENTS = 64

base_url, path = sys.argv[1:]
with open(path) as file:
    request = json.load(file)
short = {**request, "n": 1, "max_tokens": 40}
client = OpenAI(base_url=base_url, api_key="none", max_retries=0)


async def at_once() -> list[str | None]:
    """What each of them was told: a third asks for the whole, a third reads a stream slowly, a third leaves it (None)."""
    clients = AsyncOpenAI(base_url=base_url, api_key="none", max_retries=0)

    async def ask(seed: int) -> str | None:
        if seed % 3 == 0:
            return (await clients.chat.completions.create(**short, seed=seed)).choices[0].message.content
        text = ""
        stream = await clients.chat.completions.create(**short, seed=seed, stream=True)
        async for chunk in stream:
            text += "".join(choice.delta.content or "" for choice in chunk.choices)
            if seed % 3 == 1:
                await stream.close()
                return None
            await asyncio.sleep(0.02)
        return text

    return await asyncio.gather(*(ask(seed) for seed in range(CLIENTS)))


del short["seed"]
whole = client.chat.completions.create(**request)
texts = [""] * request["n"]
for chunk in client.chat.completions.create(**request, stream=True):
    for choice in chunk.choices:
        texts[choice.index] += choice.delta.content or ""
models = [model.id for model in client.models.list()]
told = {"whole": [c.message.content for c in whole.choices], "streamed": texts, "models": models}
print(json.dumps({**told, "atOnce": asyncio.run(at_once())}))
