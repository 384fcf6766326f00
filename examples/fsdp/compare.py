"""The first loss and gradients of train.py on two processes against those of `mm-prm train`, on data that the shipped policy makes.

    npm run build && python examples/fsdp/compare.py        (needs torch, transformers >= 5, pillow; writes equal.json)

`mm-prm train` tells its loss in metrics.jsonl, and its gradient as AdamW's first moment after one step, which is a tenth of it.
"""

import json
import subprocess
import sys
import tempfile
from pathlib import Path

import torch
import transformers
from PIL import Image
from safetensors.torch import load_file

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent.parent
LIMIT = 1e-4
PROCESSES = 2
FEW_TILES = {"crop_to_patches": True, "max_patches": 4}
CASES = [
    ("mini-prm", "prefill-prm", {}),
    ("mini-prm", "internvl2_5-prm-train", FEW_TILES),
    ("mini-policy", "prefill-prm", {}),
]
"""The policy lacks the marker, Yes and No: both add them, alike, so that the head alone has a slope."""


def mm_prm(*args: object) -> None:
    subprocess.run(["node", ROOT / "dist/cli/main.js", *map(str, args)], check=True, stdout=subprocess.DEVNULL)


def torchrun(*args: object) -> None:
    run = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", PROCESSES, HERE / "train.py", *args]
    subprocess.run(list(map(str, run)), check=True)


def make_data(work: Path) -> Path:
    """Every other picture is drawn out to twice its width, so that it is cut into tiles where a model does that."""
    mm_prm("tasks", "--out", work / "tasks", "--count", 8)
    for path in sorted((work / "tasks/images").iterdir())[::2]:
        picture = Image.open(path).convert("RGB")
        picture.resize((2 * picture.width, picture.height)).save(path)
    model = ROOT / "models/mini-policy"
    search = ["--problems", work / "tasks/problems.jsonl", "--out", work / "run", "--rollout-budget", 32]
    mm_prm("search", "--model", model, *search)
    mm_prm("dataset", "--run", work / "run", "--out", work / "data", "--min-words", 0)
    return work / "data/train.jsonl"


def ours(model: Path, data: Path, template: str) -> dict[str, torch.Tensor]:
    recipe = {"compute": "f32", "batchSize": 10**6, "maxSteps": 1, "checkpointEvery": 1, "clip": 0, "freeze": []}
    out, path = model.with_suffix(".ours"), model.with_suffix(".json")
    path.write_text(json.dumps({**recipe, "template": template}))
    mm_prm("train", "--task", "prm", "--init", model, "--data", data, "--out", out, "--recipe", path)
    state = load_file(out / "checkpoints/step-00000001/state.safetensors")
    loss = json.loads((out / "metrics.jsonl").read_text().splitlines()[0])["loss"]
    return {"loss": torch.tensor([loss])} | {n.removeprefix("m/"): m / 0.1 for n, m in state.items() if n.startswith("m/")}


def theirs(model: Path, data: Path, template: str) -> dict[str, torch.Tensor]:
    kept = model.with_suffix(".safetensors")
    options = ["--model", model, "--data", data, "--out", model.with_suffix(".unused"), "--template", template]
    torchrun(*options, "--batch-size", 10**6, "--micro-batch", 2, "--train-vision", "--keep-first", kept)
    return load_file(kept)


def compare(case: str, a: dict[str, torch.Tensor], b: dict[str, torch.Tensor]) -> dict:
    if a.keys() != b.keys():
        raise SystemExit(f"{case}: only one of them has {sorted(a.keys() ^ b.keys())}")
    losses = [a.pop("loss").item(), b.pop("loss").item()]
    off = {name: (a[name].double() - b[name].double()).norm().item() for name in a}
    size = {name: a[name].double().norm().item() for name in a}
    whole = sum(s * s for s in size.values()) ** 0.5
    # A bias of keys shifts all scores of a query alike: its gradient is 0, and what is left of it is rounding.
    sloping = [name for name in a if size[name] > 1e-5 * whole]
    result = {
        "loss": {"mm-prm train": losses[0], "fsdp": losses[1], "off": abs(losses[1] / losses[0] - 1)},
        "gradient": {"norm": whole, "off": sum(o * o for o in off.values()) ** 0.5 / whole},
        "tensors": {"compared": len(sloping), "flat": len(a) - len(sloping), "off": max(off[n] / size[n] for n in sloping)},
    }
    if not all(result[part]["off"] <= LIMIT for part in ("loss", "gradient", "tensors")):
        raise SystemExit(f"not equal: {json.dumps(result, indent=2)}")
    return result


def check_whole_run(work: Path, model: Path, data: Path) -> None:
    """What train.py saves is a model that mm-prm scores with."""
    torchrun("--model", model, "--data", data, "--out", work / "trained", "--batch-size", 5, "--learning-rate", 1e-4)
    sample = json.loads(data.read_text().splitlines()[0])
    (work / "in.jsonl").write_text(json.dumps({key: sample[key] for key in ("id", "question", "image", "steps")}))
    mm_prm("score", "--model", work / "trained", "--input", work / "in.jsonl", "--output", work / "scores.jsonl")
    print((work / "scores.jsonl").read_text())


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        work = Path(folder)
        data = make_data(work)
        cases = []
        for name, template, pictures in CASES:
            model = work / f"{name}-{template}"
            mm_prm("export", "--model", ROOT / "models" / name, "--layout", "transformers-native", "--out", model)
            path = model / "preprocessor_config.json"
            path.write_text(json.dumps(json.loads(path.read_text()) | pictures))
            found = [side(model, data, template) for side in (ours, theirs)]
            cases.append({"model": name, "template": template, "pictures": pictures, **compare(name, *found)})
        check_whole_run(work, work / "mini-policy-prefill-prm", data)
        samples = len(data.read_text().splitlines())
    versions = {"torch": torch.__version__, "transformers": transformers.__version__, "processes": PROCESSES}
    result = {"samples": samples, "limit": LIMIT, **versions, "cases": cases}
    (HERE / "equal.json").write_text(json.dumps(result, indent=2) + "\n")
    print(json.dumps(result, indent=2))


main()
