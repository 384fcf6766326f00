"""scaled_dot_product_attention on the shapes of attention_grid.cc: one JSON object a line. It knows no shared pages, so
siblings have keys of their own here."""
import json
import statistics
import sys

import torch
from torch.nn.functional import scaled_dot_product_attention

# name: D, H, G, sequences, keys, rows, causal
SHAPES = {
    "decode 16 siblings": (128, 32, 8, 16, 2304, 1, False),
    "decode 16 x 16 siblings": (128, 32, 8, 256, 2304, 1, False),
    "decode 64 alone": (128, 32, 8, 64, 2304, 1, False),
    "prefill 4096": (128, 32, 8, 1, 4096, 4096, True),
    "vision 13 tiles": (64, 16, 16, 13, 1025, 1025, False),
}


def random(*shape):
    return torch.randn(*shape, device="cuda", dtype=torch.bfloat16)


def seconds_of(call, calls):
    stream = torch.cuda.Stream()
    with torch.cuda.stream(stream):
        for _ in range(3):
            call()
    torch.cuda.synchronize()
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph, stream=stream):
        for _ in range(calls):
            call()
    times = []
    for _ in range(8):
        begin, end = torch.cuda.Event(enable_timing=True), torch.cuda.Event(enable_timing=True)
        begin.record()
        graph.replay()
        end.record()
        end.synchronize()
        times.append(begin.elapsed_time(end) * 1e-3 / calls)
    return statistics.median(times[1:])


def roofs():
    """The card's own rates: a copy, read and written, and one large product."""
    a, b = random(1 << 30), torch.empty(1 << 30, device="cuda", dtype=torch.bfloat16)
    # WHY two: a recorded copy_ is the driver's own copy, which is slower than a kernel's on some systems.
    copy = 2.0 * a.numel() * 2 / min(seconds_of(lambda: b.copy_(a), 4), seconds_of(lambda: torch.neg(a, out=b), 4))
    del a, b
    x, w, y = random(8192, 8192), random(8192, 8192), torch.empty(8192, 8192, device="cuda", dtype=torch.bfloat16)
    product = 2.0 * 8192**3 / seconds_of(lambda: torch.mm(x, w.T, out=y), 8)
    card = torch.cuda.get_device_properties(0)
    return {
        "roof": True,
        "device": card.name,
        "multiprocessors": card.multi_processor_count,
        "torch": torch.__version__,
        "copy_tbs": copy * 1e-12,
        "matmul_tflops": product * 1e-12,
    }


def main():
    out = open(sys.argv[1], "w") if len(sys.argv) > 1 else sys.stdout
    print(json.dumps(roofs()), file=out, flush=True)
    for name, (d, heads, groups, sequences, keys, rows, causal) in SHAPES.items():
        q, k, v = random(sequences, heads, rows, d), random(sequences, groups, keys, d), random(sequences, groups, keys, d)
        grouped = heads != groups
        s = seconds_of(lambda: scaled_dot_product_attention(q, k, v, is_causal=causal, enable_gqa=grouped), 16 if rows == 1 else 4)
        flops = 4.0 * sequences * heads * d * rows * keys * (0.5 if causal else 1)
        print(json.dumps({"attention": name, "us": s * 1e6, "tflops": flops / s * 1e-12}), file=out, flush=True)
        del q, k, v


if __name__ == "__main__":
    main()
