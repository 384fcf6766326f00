"""transformers on the decoder of decoder_rates.cc and on the same work: trees of solutions scored as a batch of whole texts, and
batched generation. Adds to part 6's file what it took and how many times faster we are, held against the bars.

  transformers_peer.py PART6.json                             on a card
  transformers_peer.py PART6.json --device cpu --shape tiny   a dry run

Bars: scoring at least 3 times, generation at least 5 times as fast, on the same card, with random weights of one shape. Where
transformers is not there nothing can be said, and that fails.
"""
import argparse
import json
import statistics
import sys
import time

# hidden, intermediate, layers, heads, key heads, vocabulary; solutions, shared and own tokens, tokens between two scores; tokens
# that a decode step looks back on
SHAPES = {
    "8b": ((4096, 14336, 32, 32, 8, 92553), (16, 1936, 400, 40), 2304),
    "tiny": ((64, 128, 2, 4, 2, 96), (16, 64, 32, 32), 80),
}
BARS = {"scoring": ("score 16 solutions of 400 tokens", 3.0), "generation": ("decode 16 siblings", 5.0)}
SEQUENCES = 16
NEW_TOKENS = (4, 36)  # the difference of two runs is steps alone


def random_model(shape, device):
    import torch
    from transformers import LlamaConfig, LlamaForCausalLM

    hidden, intermediate, layers, heads, key_heads, vocab = SHAPES[shape][0]
    config = LlamaConfig(
        hidden_size=hidden,
        intermediate_size=intermediate,
        num_hidden_layers=layers,
        num_attention_heads=heads,
        num_key_value_heads=key_heads,
        vocab_size=vocab,
        max_position_embeddings=32768,
        attn_implementation="sdpa",
    )
    torch.set_default_dtype(torch.bfloat16)
    with torch.device(device):
        return LlamaForCausalLM(config).eval()


def milliseconds_of(call, device, times=5):
    import torch

    taken = []
    for _ in range(times + 1):
        began = time.perf_counter()
        call()
        if device != "cpu":
            torch.cuda.synchronize()
        taken.append((time.perf_counter() - began) * 1e3)
    return statistics.median(taken[1:])


def measure(shape, device):
    """Milliseconds: all solutions scored, and one step of generation."""
    import torch
    import transformers

    model = random_model(shape, device)
    vocab = SHAPES[shape][0][5]
    solutions, shared, own, every = SHAPES[shape][1]

    def ids(rows, length):
        return torch.randint(3, vocab, (rows, length), device=device)

    with torch.inference_mode():
        text = ids(solutions, shared + own)
        markers = torch.arange(shared + every - 1, shared + own, every, device=device)
        scoring = milliseconds_of(lambda: model(text, use_cache=False, logits_to_keep=markers), device)
        prompt = ids(SEQUENCES, SHAPES[shape][2] - NEW_TOKENS[1])

        def generate(count):
            options = {"do_sample": False, "min_new_tokens": count, "max_new_tokens": count, "pad_token_id": 0}
            return lambda: model.generate(prompt, attention_mask=torch.ones_like(prompt), **options)

        short, long = (milliseconds_of(generate(count), device, 3) for count in NEW_TOKENS)
    return {"transformers": transformers.__version__, "scoring": scoring, "generation": (long - short) / (NEW_TOKENS[1] - NEW_TOKENS[0])}


def beside(part, taken):
    """Part 6 with the ratios; a ratio below its bar, or one that cannot be had, counts as failed."""
    ours = {figure["case"]: figure["ms"] for figure in part.get("figures", [])}
    ratios = []
    for what, (case, bar) in BARS.items():
        ratio = taken[what] / ours[case] if case in ours and what in taken else None
        ratios.append({"what": what, "case": case, "transformersMs": taken.get(what), "oursMs": ours.get(case), "times": ratio, "bar": bar})
    failed = sum(1 for r in ratios if r["times"] is None or r["times"] < r["bar"])
    return {**part, "failed": part.get("failed", 0) + failed, "beside": {k: v for k, v in taken.items() if k not in BARS} | {"ratios": ratios}}


def main():
    options = argparse.ArgumentParser()
    options.add_argument("part")
    options.add_argument("--device", default="cuda")
    options.add_argument("--shape", default="8b", choices=list(SHAPES))
    given = options.parse_args()
    try:
        taken = measure(given.shape, given.device)
    except Exception as error:  # whatever it is, what the card gave so far must stay
        taken = {"error": f"{type(error).__name__}: {error}"}
    with open(given.part) as file:
        part = beside(json.load(file), taken)
    with open(given.part, "w") as file:
        json.dump(part, file, indent=1)
    for ratio in part["beside"]["ratios"]:
        print(json.dumps(ratio))
    if "error" in taken:
        print(f"transformers: {taken['error']}", file=sys.stderr)
    return 1 if any(r["times"] is None or r["times"] < r["bar"] for r in part["beside"]["ratios"]) else 0


if __name__ == "__main__":
    sys.exit(main())
