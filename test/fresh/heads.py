"""Reward heads that the package trained, opened by transformers' classes and by classes of the published layouts: heads.ts runs it.

    python heads.py WORK

Every tensor of a file must have its place, and every place its tensor. Needs torch and transformers.
"""

import json
import pathlib
import sys

import torch
import transformers
from safetensors.torch import load_file
from torch import nn


class Value(nn.Module):
    """Skywork's: a value head beside a whole causal model."""

    def __init__(self, config):
        super().__init__()
        self.causal = transformers.Qwen2ForCausalLM._from_config(config)
        self.v_head = nn.ModuleDict({"summary": nn.Linear(config.hidden_size, 1)})

    def load(self, weights):
        own = lambda key: key if key.startswith("v_head.") else f"causal.{key}"
        if self.causal.config.tie_word_embeddings:
            weights["lm_head.weight"] = weights["model.embed_tokens.weight"]
        self.load_state_dict({own(k): v for k, v in weights.items()}, strict=True)

    def forward(self, ids):
        return self.v_head["summary"](self.causal.model(ids).last_hidden_state)


class TwoLayer(nn.Module):
    """Qwen2.5-Math-PRM's."""

    def __init__(self, config):
        super().__init__()
        self.model = transformers.Qwen2Model._from_config(config)
        C = config.hidden_size
        self.score = nn.Sequential(nn.Linear(C, C), nn.ReLU(), nn.Linear(C, 2))

    def load(self, weights):
        self.load_state_dict(weights, strict=True)

    def forward(self, ids):
        return self.score(self.model(ids).last_hidden_state)


class Batched(nn.Module):
    def __init__(self, heads, inner, outer):
        super().__init__()
        self.weight = nn.Parameter(torch.empty(heads, inner, outer))
        self.bias = nn.Parameter(torch.empty(heads, outer))

    def forward(self, x):
        return torch.baddbmm(self.bias.unsqueeze(1), x, self.weight)


class Heads(nn.Module):
    def __init__(self, heads, C, width):
        super().__init__()
        self.nn1, self.nn2, self.nn_out = Batched(heads, C, width), Batched(heads, width, width), Batched(heads, width, 1)

    def forward(self, x):
        x = x.expand(len(self.nn1.bias), -1, -1)
        return self.nn_out(torch.relu(self.nn2(torch.relu(self.nn1(x))))).squeeze(-1).T.unsqueeze(0)


class Ensemble(nn.Module):
    """ActPRM's: the heads, and the frozen copy that they are held to."""

    def __init__(self, config):
        super().__init__()
        self.model = transformers.Qwen2Model._from_config(config)
        of = lambda: Heads(config.num_ensemble, config.hidden_size, config.width)
        self.score = nn.ModuleDict({"model": of(), "reg_model": of()})

    def load(self, weights):
        self.load_state_dict(weights, strict=True)

    def forward(self, ids):
        return self.score["model"](self.model(ids).last_hidden_state)


LAYOUTS = {"Qwen2ForPrmModel": Value, "Qwen2ForProcessRewardModel": TwoLayer, "Qwen2ForEnsemblePRM": Ensemble}


def open_model(folder):
    """The class and its logits."""
    config = json.loads((folder / "config.json").read_text())
    name = config["architectures"][0]
    if name not in LAYOUTS:
        model, info = transformers.AutoModelForTokenClassification.from_pretrained(
            folder, dtype=torch.float32, attn_implementation="eager", output_loading_info=True
        )
        assert not any(info[key] for key in ("missing_keys", "unexpected_keys", "mismatched_keys")), info
        assert type(model).__name__ == name
        return f"transformers' {name}", lambda ids: model.eval()(ids).logits
    weights = {k: v.float() for k, v in load_file(folder / "model.safetensors").items()}
    of = transformers.Qwen2Config.from_dict({k: v for k, v in config.items() if k not in ("dtype", "torch_dtype")})
    if name == "Qwen2ForEnsemblePRM":
        of.width = weights["score.model.nn1.weight"].shape[2]
    model = LAYOUTS[name](of).float().eval()
    model.load(weights)
    return f"the layout of {name}", model


def main(work):
    found = {}
    for folder in sorted((work / "trained").iterdir()):
        expected = json.loads((folder / "ours.json").read_text())
        opened, model = open_model(folder)
        with torch.no_grad():
            theirs = model(torch.tensor([expected["ids"]]))[0].flatten()
        ours = torch.tensor(expected["logits"])
        found[folder.name] = {"opened": opened, "off": ((ours - theirs).norm() / theirs.norm()).item()}
    print(json.dumps({"transformers": transformers.__version__, "found": found}))


main(pathlib.Path(sys.argv[1]))
