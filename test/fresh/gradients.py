"""What autograd and AdamW of torch make of the Qwen-VL families, on checkpoints and batches that the package's tests train on too.

    python gradients.py ../golden/models ../boundary/qwen-vl/gradients.json; npx biome check --write test/boundary/qwen-vl

Losses, gradients and losses of three optimizer steps, in fp32. A gradient is written as its norm and its sums with four
patterns of signs: a difference of two gradients changes such a sum by about its own norm. Needs torch and transformers.
"""

import json
import pathlib
import sys

import torch
import transformers
from safetensors import safe_open

MODELS = {"qwen2_5_vl": 14, "qwen3_vl": 16}  # pixels a side of a patch
MERGE, FRAMES = 2, 2
IMAGE, START, END, RIGHT, WRONG = 659, 656, 657, 319, 318
PREFERENCE = {"beta": 0.3, "labelSmoothing": 0.1, "chosenWeight": 0.2}
GRIDS = [(4, 6), (6, 4)]  # patches; windows of 2 merge blocks a side leave narrow ones at the edge
# WHY that eps: gradients that are nothing but rounding would make steps of full length, each program its own.
STEPS = {"learningRate": 1e-3, "beta1": 0.9, "beta2": 0.999, "eps": 1e-5, "weightDecay": 0.01, "decayVectors": True, "maxNorm": 1}


def numbers(seed):
    while True:
        seed = (seed * 1103515245 + 12345) % 2**31
        yield seed >> 16


def picture_bytes(index, patch):
    rows, columns = GRIDS[index]
    source = numbers(1 + index)
    return torch.tensor([next(source) % 256 for _ in range(rows * columns * patch * patch * 3)]).reshape(rows * patch, columns * patch, 3)


def patches(pixels, patch, mean, std):
    """[patches, 3 · frames · patch²], merge block by merge block."""
    x = ((pixels.float() / 255 - torch.tensor(mean)) / torch.tensor(std)).permute(2, 0, 1)
    rows, columns = x.shape[1] // patch, x.shape[2] // patch
    x = x.reshape(3, rows // MERGE, MERGE, patch, columns // MERGE, MERGE, patch).permute(1, 4, 2, 5, 0, 3, 6)
    return x.unsqueeze(5).expand(-1, -1, -1, -1, -1, FRAMES, -1, -1).reshape(rows * columns, -1)


def samples():
    """Two pictures, none, one; what is learnt stands behind the pictures."""
    source = numbers(99)
    ids = lambda n: [10 + next(source) % 500 for _ in range(n)]
    shown = lambda i: [START, *[IMAGE] * (GRIDS[i][0] * GRIDS[i][1] // MERGE**2), END]
    first = [*ids(3), *shown(0), *ids(5), *shown(1), *ids(8)]
    for tokens, pictures, learnt in [(first, [0, 1], 8), (ids(12), [], 9), ([*shown(0), *ids(7)], [0], 6)]:
        n = len(tokens)
        yield {
            "tokens": tokens,
            "pictures": pictures,
            "tokenWeights": [0] * (n - learnt) + [[1, 0.5, 2][i % 3] for i in range(learnt)],
            "markers": [n - 5, n - 3, n - 1],
            "labels": [0.75, 0, 1],
            "markerWeights": [1, 0.5, 2],
        }


def pairs():
    """The samples beside other answers that begin like theirs, and log-probabilities as a reference might give them."""
    source = numbers(5)
    for i, sample in enumerate(samples()):
        learnt = sum(w > 0 for w in sample["tokenWeights"])
        start = len(sample["tokens"]) - learnt
        other = [*sample["tokens"][: start + 1], *(10 + next(source) % 500 for _ in range(learnt + i - 1))]
        weights = lambda tokens: [0] * start + [1] * (len(tokens) - start)
        yield {
            "pictures": sample["pictures"],
            "answers": [{"tokens": tokens, "tokenWeights": weights(tokens)} for tokens in (sample["tokens"], other)],
            "reference": [-50 - i, -51 + 2 * i],
        }


def preference_loss(model, pair, pictures):
    """TRL's sigmoid loss with label smoothing, and the preferred answer's own mean cross-entropy."""
    logps = [-loss_of(model, {**pair, **answer}, pictures, "tokens") for answer in pair["answers"]]
    chosen, rejected = (logp - reference for logp, reference in zip(logps, pair["reference"]))
    beta, smoothing, weight = PREFERENCE.values()
    sigmoid = torch.nn.functional.logsigmoid
    margin = beta * (chosen - rejected)
    loss = -sigmoid(margin) * (1 - smoothing) - sigmoid(-margin) * smoothing
    return loss - weight * logps[0] / sum(pair["answers"][0]["tokenWeights"])


def loss_of(model, sample, pictures, task):
    if task == "pairs":
        return preference_loss(model, sample, pictures)
    shown = [pictures[i] for i in sample["pictures"]]
    tokens = torch.tensor([sample["tokens"]])
    given = {"input_ids": tokens, "attention_mask": torch.ones_like(tokens), "mm_token_type_ids": (tokens == IMAGE).int()}
    if shown:
        given["pixel_values"] = torch.cat(shown)
        given["image_grid_thw"] = torch.tensor([(1, *GRIDS[i]) for i in sample["pictures"]])
    logits = model(**given).logits[0]
    if task == "tokens":
        each = torch.nn.functional.cross_entropy(logits[:-1], tokens[0, 1:], reduction="none")
        return (each * torch.tensor(sample["tokenWeights"])[1:]).sum()
    at = logits[sample["markers"]]
    labels = torch.tensor(sample["labels"])
    each = torch.nn.functional.binary_cross_entropy_with_logits(at[:, RIGHT] - at[:, WRONG], labels, reduction="none")
    return (each * torch.tensor(sample["markerWeights"])).sum()


def signs(count):
    source = numbers(7)
    bits = torch.tensor([next(source) for _ in range(count)])
    return [((bits >> b) % 2 * 2 - 1).double() for b in range(4)]


SIGNS = None


def sketch(gradient):
    global SIGNS
    values = gradient.detach().flatten().double()
    if SIGNS is None or len(SIGNS[0]) < len(values):
        SIGNS = signs(len(values))
    sums = [(values * s[: len(values)]).sum().item() for s in SIGNS]
    return [float(f"{v:.7g}") for v in (values.norm().item(), *sums)]


def stored_name(name, stored):
    """As the file has it, which memory may not."""
    for candidate in (name, name.replace("model.visual.", "visual."), name.replace("model.language_model.", "model.")):
        if candidate in stored:
            return candidate
    raise KeyError(name)


def run(folder, patch, task):
    stored = set(safe_open(folder / "model.safetensors", "pt").keys())
    processor = json.loads((folder / "preprocessor_config.json").read_text())
    pictures = [patches(picture_bytes(i, patch), patch, processor["image_mean"], processor["image_std"]) for i in range(len(GRIDS))]
    model = transformers.AutoModelForImageTextToText.from_pretrained(folder, dtype=torch.float32, attn_implementation="eager").eval()
    all_samples = list(pairs() if task == "pairs" else samples())
    batch = lambda: sum(loss_of(model, s, pictures, task) for s in all_samples)
    loss = batch()
    loss.backward()
    gradients = {stored_name(n, stored): sketch(p.grad) for n, p in model.named_parameters() if p.grad is not None}
    options = torch.optim.AdamW(
        model.parameters(),
        lr=STEPS["learningRate"],
        betas=(STEPS["beta1"], STEPS["beta2"]),
        eps=STEPS["eps"],
        weight_decay=STEPS["weightDecay"],
    )
    losses = []
    for _ in range(3):
        torch.nn.utils.clip_grad_norm_(model.parameters(), STEPS["maxNorm"])
        options.step()
        options.zero_grad()
        loss_now = batch()
        losses.append(loss_now.item())
        loss_now.backward()
    return {"loss": loss.item(), "losses": losses, "gradients": gradients}


def main(golden, out):
    torch.manual_seed(0)
    torch.set_num_threads(1)
    models = {
        name: {task: run(golden / name, patch, task) for task in ("tokens", "markers", "pairs")} | {"patch": patch}
        for name, patch in MODELS.items()
    }
    all_of_it = {
        "transformers": transformers.__version__,
        "torch": torch.__version__.split("+")[0],
        "imageToken": IMAGE,
        "pair": [RIGHT, WRONG],
        "grids": GRIDS,
        "step": STEPS,
        "samples": list(samples()),
        "preference": PREFERENCE,
        "pairs": list(pairs()),
        "models": models,
    }
    out.write_text(json.dumps(all_of_it, indent=2) + "\n")


main(pathlib.Path(sys.argv[1]), pathlib.Path(sys.argv[2]))
