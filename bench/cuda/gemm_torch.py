"""torch's matmul on the grid of gemm_grid.cc: one JSON object a line. Recorded graphs, rotating weights, random numbers."""
import json
import statistics
import sys

import torch

MATRICES = {"qkv": (6144, 4096), "o": (4096, 4096), "gate_up": (28672, 4096), "down": (4096, 14336), "head": (92560, 4096)}
ROWS = (1, 4, 16, 64, 128, 256, 512, 1024, 2048, 4096, 8192)


def seconds_of(call, guess):
    calls = max(4, min(64, int(0.002 / guess)))
    stream = torch.cuda.Stream()
    with torch.cuda.stream(stream):
        for i in range(3):
            call(i)
    torch.cuda.synchronize()
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph, stream=stream):
        for i in range(calls):
            call(i)
    times = []
    for _ in range(8):
        begin, end = torch.cuda.Event(enable_timing=True), torch.cuda.Event(enable_timing=True)
        begin.record()
        graph.replay()
        end.record()
        end.synchronize()
        times.append(begin.elapsed_time(end) * 1e-3 / calls)
    return statistics.median(times[1:])


def main():
    out = open(sys.argv[1], "w") if len(sys.argv) > 1 else sys.stdout
    for name, (n, k) in MATRICES.items():
        sets = max(2, (320 << 20) // (n * k * 2))
        w = [torch.randn(n, k, device="cuda", dtype=torch.bfloat16) for _ in range(sets)]
        x = torch.randn(8192, k, device="cuda", dtype=torch.bfloat16)
        y = torch.empty(8192, n, device="cuda", dtype=torch.bfloat16)
        for rows in ROWS:
            flops = 2.0 * rows * n * k
            s = seconds_of(lambda i: torch.mm(x[:rows], w[i % sets].T, out=y[:rows]), max(flops / 6e14, 2.0 * n * k / 3e12))
            line = {"matrix": name, "N": n, "K": k, "rows": rows, "us": s * 1e6, "tflops": flops / s * 1e-12, "weights_tbs": 2e-12 * n * k / s}
            print(json.dumps(line), file=out, flush=True)
        del w, x, y


main()
