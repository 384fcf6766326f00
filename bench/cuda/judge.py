"""Part 5's files to one: every figure of ours beside torch's of the same run, as ratios, held against the bars.

  judge.py FOLDER > part5.json

Bars: gemm at least 0.90 of torch's matmul for 1,024 rows and more; at 64 rows and fewer at least 0.80 of the copy rate,
where the matrix does not fit into L2. A figure below its bar counts as failed, and the text says what costs it; without torch
there are no ratios, and that fails too.
"""
import json
import os
import sys


def lines(folder, name):
    path = os.path.join(folder, name)
    if not os.path.exists(path):
        return []
    with open(path) as f:
        return [json.loads(line) for line in f if line.strip()]


def losses(line, empty, reached, multiprocessors):
    """Shares of a figure's own time. Blocks: multiprocessors without a tile while the last tiles are computed. Launch gaps: what a
    launch and a tile have at their ends, where nothing is multiplied; `empty` is the time of the same where nothing is stored.
    Bytes in flight: the rest of what is missing, in which products wait for copies."""
    features, tokens = map(int, line["config"].split()[1].split("x"))
    tiles = -(-line["N"] // features) * -(-line["rows"] // tokens)
    lost = {"blocks": 1 - tiles / multiprocessors / -(-tiles // multiprocessors) if multiprocessors else None}
    lost["launch gaps"] = max(0.0, 1 - empty / line["us"]) if empty else None
    lost["bytes in flight"] = max(0.0, 1 - reached - (lost["blocks"] or 0) - (lost["launch gaps"] or 0))
    return lost


def told(lost):
    cause = max(lost, key=lambda name: lost[name] or 0)
    shares = ", ".join(f"{name} {'unknown' if share is None else f'{share:.2f}'}" for name, share in lost.items())
    return f"{cause} cost most ({shares})"


def main(folder):
    ours, torch = lines(folder, "grid.jsonl"), lines(folder, "torch.jsonl")
    attention, sdpa = lines(folder, "attention.jsonl"), lines(folder, "attention-torch.jsonl")
    roof = next((line for line in sdpa if line.get("roof")), {})
    matmul = {(line["matrix"], line["rows"]): line["us"] for line in torch}
    reference = {line["attention"]: line["us"] for line in sdpa if "attention" in line}
    empty = {(line["matrix"], line["rows"], line["config"]): line["us"] for line in ours if line["output"] == "none"}
    results, below, chosen = [], [], set()
    for line in ours:
        us = matmul.get((line["matrix"], line["rows"]))
        line["of_torch"] = us / line["us"] if us else None
        line["of_copy"] = line["weights_tbs"] / roof["copy_tbs"] if roof else None
        bar = None
        first = (line["matrix"], line["rows"], line["output"]) not in chosen  # a sweep's other configurations follow
        chosen.add((line["matrix"], line["rows"], line["output"]))
        if not first or line["output"] == "none":
            pass
        elif line["rows"] >= 1024:
            bar, reached = 0.90, line["of_torch"]
        elif line["rows"] <= 64 and line["N"] * line["K"] * 2 > 100e6:
            bar, reached = 0.80, line["of_copy"]
        if bar is not None:
            line["bar"] = bar
            if reached is None or reached < bar:
                text = f"{line['matrix']} {line['rows']} rows ({line['output']}): "
                if reached is None:
                    text += f"no rate to hold it to, the bar is {bar}"
                else:
                    bare = empty.get((line["matrix"], line["rows"], line["config"]))
                    line["lost"] = losses(line, bare, reached, roof.get("multiprocessors"))
                    text += f"{reached:.2f} of {bar}; {told(line['lost'])}"
                below.append(text)
        results.append(line)
    for line in attention:
        us = reference.get(line["attention"])
        line["of_torch"] = us / line["us"] if us else None
        results.append(line)
    missing = [name for name, part in (("gemm", ours), ("gemm beside torch", torch), ("attention", attention), ("sdpa", sdpa), ("the card's own rates", roof)) if not part]
    print(json.dumps({"part": 5, "roof": roof, "failed": len(below) + len(missing), "missing": missing, "below": below, "results": results}, indent=1))
    for text in below + [f"missing: {name}" for name in missing]:
        print(text, file=sys.stderr)
    return 1 if below or missing else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
