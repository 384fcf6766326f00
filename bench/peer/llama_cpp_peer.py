"""The rollout and the scoring benchmark on llama.cpp, through the C interface that llama-cpp-python binds.

    pip install llama-cpp-python      (in an environment of its own, built for the machine: GGML_NATIVE=ON)
    python llama_cpp_peer.py generate|score --model MODEL.gguf [--dtype bf16|q8_0|q4_0] [--threads N] [--runs N]
                             [--rows R] [--prefixes P] [--new-tokens T] [--candidates N]

The best way known: one unified cache, siblings by copying a sequence (no data moves), all rows of a step in one batch,
logits only where they are read, the library's own samplers. Another dtype than the model's own is quantised next to it.
"""

import argparse
import ctypes
import json
import os
import time
from importlib.metadata import PackageNotFoundError, version

import llama_cpp as llama

PROMPT_TOKENS = 512
CANDIDATE_TOKENS = 256
MARKERS = 8
BATCH = 512
FILE_TYPES = {"q8_0": llama.LLAMA_FTYPE_MOSTLY_Q8_0, "q4_0": llama.LLAMA_FTYPE_MOSTLY_Q4_0}


def tokens(count: int, seed: int, vocab: int) -> list[int]:
    """Ids from a fixed linear congruential sequence."""
    out = []
    state = seed
    for _ in range(count):
        state = (state * 1664525 + 1013904223) & 0xFFFFFFFF
        out.append((state >> 8) % (vocab - 1))
    return out


def with_dtype(model: str, dtype: str) -> str:
    if dtype == "bf16":
        return model
    out = f"{model.removesuffix('.gguf')}-{dtype}.gguf"
    if not os.path.exists(out):
        params = llama.llama_model_quantize_default_params()
        params.ftype = FILE_TYPES[dtype]
        params.nthread = 2
        if llama.llama_model_quantize(model.encode(), f"{out}.part".encode(), ctypes.byref(params)) != 0:
            raise RuntimeError(f"cannot quantise {model} to {dtype}")
        os.rename(f"{out}.part", out)
    return out


class Peer:
    def __init__(self, model: str, threads: int, sequences: int, cells: int):
        params = llama.llama_model_default_params()
        params.n_gpu_layers = 0
        self.model = llama.llama_model_load_from_file(model.encode(), params)
        self.vocab = llama.llama_vocab_n_tokens(llama.llama_model_get_vocab(self.model))
        params = llama.llama_context_default_params()
        params.n_ctx = cells
        params.n_batch = params.n_ubatch = BATCH
        params.n_seq_max = sequences
        params.n_threads = params.n_threads_batch = threads
        params.kv_unified = True
        params.no_perf = True
        self.context = llama.llama_init_from_model(self.model, params)
        self.memory = llama.llama_get_memory(self.context)
        self.batch = llama.llama_batch_init(BATCH, 0, 1)
        self.batch.n_tokens = 0

    def add(self, token: int, position: int, sequence: int, wants_logits: bool) -> int:
        """Returns the row in the batch."""
        i = self.batch.n_tokens
        self.batch.token[i] = token
        self.batch.pos[i] = position
        self.batch.n_seq_id[i] = 1
        self.batch.seq_id[i][0] = sequence
        self.batch.logits[i] = wants_logits
        self.batch.n_tokens = i + 1
        return i

    def decode(self) -> None:
        if llama.llama_decode(self.context, self.batch) != 0:
            raise RuntimeError("llama_decode failed")
        self.batch.n_tokens = 0

    def evaluate(self, prompt: list[int], sequence: int) -> None:
        for position, token in enumerate(prompt):
            self.add(token, position, sequence, False)
            if self.batch.n_tokens == BATCH:
                self.decode()
        if self.batch.n_tokens > 0:
            self.decode()

    def forget(self, sequence: int, first: int) -> None:
        llama.llama_memory_seq_rm(self.memory, sequence, first, -1)

    def copy(self, source: int, target: int) -> None:
        llama.llama_memory_seq_cp(self.memory, source, target, 0, -1)


def sampler(seed: int) -> "llama.llama_sampler_p":
    """Without the repetition penalty that the engine applies: in the peer's favour."""
    chain = llama.llama_sampler_chain_init(llama.llama_sampler_chain_default_params())
    parts = [llama.llama_sampler_init_top_k(50), llama.llama_sampler_init_top_p(0.9, 1)]
    parts += [llama.llama_sampler_init_temp(1.0), llama.llama_sampler_init_dist(seed)]
    for part in parts:
        llama.llama_sampler_chain_add(chain, part)
    return chain


def generate(peer: Peer, rows: int, prefixes: int, new_tokens: int, seed: int) -> float:
    """Seconds for `new_tokens` tokens of each row; the prompts but for their last token are in the cache."""
    prompts = [tokens(PROMPT_TOKENS, 1 + p, peer.vocab) for p in range(prefixes)]
    samplers = [sampler(seed * rows + row) for row in range(rows)]
    last = [prompts[row % prefixes][-1] for row in range(rows)]
    began = time.perf_counter()
    for position in range(PROMPT_TOKENS - 1, PROMPT_TOKENS - 1 + new_tokens):
        at = [peer.add(last[row], position, row, True) for row in range(rows)]
        peer.decode()
        last = [llama.llama_sampler_sample(samplers[row], peer.context, at[row]) for row in range(rows)]
    seconds = time.perf_counter() - began
    for row in range(rows):
        peer.forget(row, PROMPT_TOKENS - 1)
        llama.llama_sampler_free(samplers[row])
    return seconds


def first_token(peer: Peer, seed: int) -> float:
    """Seconds from a prompt that nobody has seen to its first token."""
    prompt = tokens(PROMPT_TOKENS, 1000 + seed, peer.vocab)
    chain = sampler(seed)
    peer.forget(-1, 0)
    began = time.perf_counter()
    at = [peer.add(token, i, 0, i == PROMPT_TOKENS - 1) for i, token in enumerate(prompt)][-1]
    peer.decode()
    llama.llama_sampler_sample(chain, peer.context, at)
    seconds = time.perf_counter() - began
    llama.llama_sampler_free(chain)
    peer.forget(-1, 0)
    return seconds


def score(peer: Peer, candidates: int) -> float:
    """Seconds for the prompt and all candidates behind it, two logits read at each marker."""
    peer.forget(-1, 0)
    every = CANDIDATE_TOKENS // MARKERS
    began = time.perf_counter()
    peer.evaluate(tokens(PROMPT_TOKENS, 1, peer.vocab), 0)
    for candidate in range(1, candidates):
        peer.copy(0, candidate)
    for first in range(0, candidates, BATCH // CANDIDATE_TOKENS):
        marked = []
        for candidate in range(first, first + BATCH // CANDIDATE_TOKENS):
            for i, token in enumerate(tokens(CANDIDATE_TOKENS, candidate + 2, peer.vocab)):
                row = peer.add(token, PROMPT_TOKENS + i, candidate, i % every == every - 1)
                if i % every == every - 1:
                    marked.append(row)
        peer.decode()
        for row in marked:
            logits = llama.llama_get_logits_ith(peer.context, row)
            _ = logits[0] - logits[1]
    return time.perf_counter() - began


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("task", choices=["generate", "score"])
    parser.add_argument("--model", required=True)
    parser.add_argument("--dtype", default="bf16", choices=["bf16", *FILE_TYPES])
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--rows", type=int, default=16)
    parser.add_argument("--prefixes", type=int, default=1)
    parser.add_argument("--new-tokens", type=int, default=64)
    parser.add_argument("--candidates", type=int, default=16)
    args = parser.parse_args()

    silent = llama.llama_log_callback(lambda level, text, data: None)
    llama.llama_log_set(silent, None)
    llama.llama_backend_init()
    model = with_dtype(args.model, args.dtype)
    common = {"peer": f"llama.cpp {args.dtype} ({package_version()})", "model": model, "threads": args.threads}
    if args.task == "generate":
        cells = args.prefixes * PROMPT_TOKENS + args.rows * args.new_tokens + BATCH
        peer = Peer(model, args.threads, args.rows, cells)
        first = sorted(first_token(peer, run) for run in range(args.runs))
        for row in range(args.rows):
            if row < args.prefixes:
                peer.evaluate(tokens(PROMPT_TOKENS, 1 + row, peer.vocab)[:-1], row)
            else:
                peer.copy(row % args.prefixes, row)
        work = args.rows * args.new_tokens
        seconds = [generate(peer, args.rows, args.prefixes, args.new_tokens, run) for run in range(args.runs + 1)][1:]
        common |= {"rows": args.rows, "newTokens": args.new_tokens, "firstTokenSeconds": first[len(first) // 2]}
    else:
        work = PROMPT_TOKENS + args.candidates * CANDIDATE_TOKENS
        peer = Peer(model, args.threads, args.candidates, work + BATCH)
        seconds = [score(peer, args.candidates) for _ in range(args.runs + 1)][1:]
        common["uniqueTokens"] = work
    seconds.sort()
    print(json.dumps(common | {"seconds": seconds, "best": work / seconds[0], "median": work / seconds[len(seconds) // 2]}))


def package_version() -> str:
    try:
        return f"llama-cpp-python {version('llama-cpp-python')}"
    except PackageNotFoundError:
        return f"llama-cpp-python {llama.__version__}"


main()
