"""What autograd and AdamW of torch make of reward heads and of losses over siblings, on checkpoints that the package's tests train on.

    python head_gradients.py .. ../boundary/heads/gradients.json; npx biome check --write test/boundary/heads

Losses, gradients and losses after three optimizer steps, in fp32, of the formulas as their papers have them over transformers'
backbones. Gradients are written as gradients.py writes them. Needs torch and transformers.
"""

import json
import pathlib
import sys

import torch
import transformers
from safetensors.torch import load_file

PAIR = (319, 318)
ANCHOR = 0.5
RANK = {"weight": 0.5, "margin": 0.1}
STEPS = {"learningRate": 1e-3, "beta1": 0.9, "beta2": 0.999, "eps": 1e-5, "weightDecay": 0.01, "decayVectors": True, "maxNorm": 1}
# Name: folder of test/golden/models, variant of test/boundary/variants or nothing, kind of head, loss.
CASES = {
    "pieces, rank": ("qwen2-tied", "", "pieces", "rank"),
    "value, bce": ("skywork-qwen2", "", "value", "bce"),
    "value, rank": ("skywork-qwen2", "", "value", "rank"),
    "one label, bce": ("mistral-math-shepherd", "token-mistral", "value", "bce"),
    "two labels, cross-entropy": ("llama3", "token-llama", "classes", "cross-entropy"),
    "two layers, cross-entropy": ("qwen2-reward-head", "", "two-layer", "cross-entropy"),
    "two layers, rank": ("qwen2-reward-head", "", "two-layer", "rank"),
    "ensemble, bce": ("qwen2-tied", "ensemble-qwen2", "ensemble", "bce"),
    "ensemble, rank": ("qwen2-tied", "ensemble-qwen2", "ensemble", "rank"),
}


def numbers(seed):
    while True:
        seed = (seed * 1103515245 + 12345) % 2**31
        yield seed >> 16


def samples():
    """Siblings of one prefix, of another, and a path with marks on its way; labels with ties and close ones."""
    source = numbers(5)
    ids = lambda n: [10 + next(source) % 500 for _ in range(n)]
    for group, (prefix, tails, labels) in enumerate([(9, (4, 3, 5), (0.9, 0.25, 0.8)), (6, (3, 4), (0, 1))]):
        shared = ids(prefix)
        for tail, label in zip(tails, labels):
            tokens = [*shared, *ids(tail)]
            yield {"tokens": tokens, "markers": [prefix - 1, len(tokens) - 1], "labels": [0, label], "markerWeights": [0, 1],
                   "group": group, "siblings": group}
    tokens = ids(12)
    yield {"tokens": tokens, "markers": [4, 8, 11], "labels": [0.75, 0.5, 0], "markerWeights": [1, 0.5, 2], "group": 2, "siblings": -1}


class Case:
    def __init__(self, root, folder, variant, kind):
        golden = root / "golden/models" / folder
        config = json.loads((golden / "config.json").read_text())
        config = {k: v for k, v in config.items() if k not in ("dtype", "torch_dtype", "auto_map")}
        stored = {k: v.float() for k, v in load_file(golden / "model.safetensors").items()}
        if variant:
            added = load_file(root / "boundary/variants/variants.safetensors")
            stored |= {k.removeprefix(f"{variant}/"): v.float() for k, v in added.items() if k.startswith(f"{variant}/")}
        kind_of = transformers.CONFIG_MAPPING[config["model_type"]]
        self.backbone = transformers.AutoModel.from_config(kind_of.from_dict(config), attn_implementation="eager").float().eval()
        weights = {k.removeprefix("model."): v for k, v in stored.items() if k.startswith("model.")}
        missing, unexpected = self.backbone.load_state_dict(weights, strict=False)
        assert not missing and not unexpected, (missing, unexpected)
        self.kind = kind
        heads = ("v_head.", "score.model.", "score.") if kind != "pieces" else ()
        self.head = {k: v.requires_grad_() for k, v in stored.items() if k.startswith(heads) and "reg_model" not in k} if heads else {}
        self.start = {k: stored[k.replace(".model.", ".reg_model.")] for k in self.head if ".model." in k}

    def parameters(self):
        return {f"model.{n}": p for n, p in self.backbone.named_parameters()} | self.head

    def margins(self, hidden):
        """[marks, heads] logits of p."""
        w = self.head
        linear = torch.nn.functional.linear
        if self.kind == "pieces":
            rows = self.backbone.get_input_embeddings().weight[list(PAIR)]
            return linear(hidden, rows[:1]) - linear(hidden, rows[1:])
        if self.kind == "ensemble":
            x = hidden
            for i, part in enumerate(("nn1", "nn2", "nn_out")):
                x = torch.relu(x) if i else x.unsqueeze(0).expand(len(w["score.model.nn1.bias"]), -1, -1)
                x = torch.bmm(x, w[f"score.model.{part}.weight"]) + w[f"score.model.{part}.bias"].unsqueeze(1)
            return x.squeeze(-1).T
        if self.kind == "two-layer":
            inner = torch.relu(linear(hidden, w["score.0.weight"], w["score.0.bias"]))
            out = linear(inner, w["score.2.weight"], w["score.2.bias"])
        else:
            prefix = "v_head.summary" if "v_head.summary.weight" in w else "score"
            out = linear(hidden, w[f"{prefix}.weight"], w[f"{prefix}.bias"])
        return out if self.kind == "value" else out[:, 1:] - out[:, :1]

    def loss(self, kind):
        functional = torch.nn.functional
        total, sets = 0, {}
        for s in samples():
            z = self.margins(self.backbone(torch.tensor([s["tokens"]])).last_hidden_state[0, s["markers"]])
            for z_i, y, w in zip(z, s["labels"], s["markerWeights"]):
                target = torch.full_like(z_i, y)
                if kind == "cross-entropy" or self.kind in ("classes", "two-layer"):
                    both = torch.stack([torch.zeros_like(z_i), z_i], -1)
                    each = functional.cross_entropy(both, torch.stack([1 - target, target], -1), reduction="none")
                else:
                    each = functional.binary_cross_entropy_with_logits(z_i, target, reduction="none")
                total = total + w * each.mean()
                if s["siblings"] >= 0 and w > 0:
                    sets.setdefault(s["siblings"], []).append((z_i, y, w))
        if kind != "rank":
            return total
        for members in sets.values():
            gaps = [a - b for a, y_a, _ in members for b, y_b, _ in members if y_a > y_b and y_a - y_b >= RANK["margin"] - 1e-6]
            weight = sum(w for *_, w in members)
            total = total - RANK["weight"] * weight * functional.logsigmoid(torch.stack(gaps)).mean()
        return total

    def anchor(self):
        gaps = [(self.head[k] - self.start[k]).flatten() for k in self.start]
        return ANCHOR * torch.cat(gaps).square().mean() if gaps else 0


def signs(count):
    source = numbers(7)
    bits = torch.tensor([next(source) for _ in range(count)])
    return [((bits >> b) % 2 * 2 - 1).double() for b in range(4)]


SIGNS = signs(700 * 64)


def sketch(gradient):
    values = gradient.detach().flatten().double()
    sums = [(values * s[: len(values)]).sum().item() for s in SIGNS]
    return [float(f"{v:.7g}") for v in (values.norm().item(), *sums)]


def run(root, folder, variant, kind, loss_kind):
    case = Case(root, folder, variant, kind)
    parameters = case.parameters()
    optimizer = torch.optim.AdamW(parameters.values(), lr=STEPS["learningRate"], betas=(STEPS["beta1"], STEPS["beta2"]), eps=STEPS["eps"],
                                  weight_decay=STEPS["weightDecay"])
    loss = case.loss(loss_kind)
    loss.backward()
    gradients = {n: sketch(p.grad) for n, p in parameters.items() if p.grad is not None}
    losses = []
    for _ in range(3):
        if case.start:
            case.anchor().backward()
        torch.nn.utils.clip_grad_norm_(parameters.values(), STEPS["maxNorm"])
        optimizer.step()
        optimizer.zero_grad()
        now = case.loss(loss_kind)
        losses.append(now.item())
        now.backward()
    return {"base": folder, "variant": variant, "kind": kind, "loss": loss_kind, "value": loss.item(), "losses": losses, "gradients": gradients}


def main(root, out):
    torch.manual_seed(0)
    torch.set_num_threads(1)
    all_of_it = {
        "transformers": transformers.__version__,
        "torch": torch.__version__.split("+")[0],
        "pair": PAIR,
        "anchor": ANCHOR,
        "rank": RANK,
        "step": STEPS,
        "samples": list(samples()),
        "cases": {name: run(root, *case) for name, case in CASES.items()},
    }
    out.write_text(json.dumps(all_of_it, indent=2) + "\n")


main(pathlib.Path(sys.argv[1]), pathlib.Path(sys.argv[2]))
