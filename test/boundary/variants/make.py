"""Makes variants.json and variants.safetensors beside it: golden checkpoints with another config or another head, and
what transformers computes with them in fp32.

    python make.py ../../golden/models

needs torch, transformers, safetensors and pillow. A variant is small because it names its `base`, a golden folder: `config` is
laid over its config.json (a key of null is taken out), `tensors` are put beside or in the place of its own.
"""

import copy
import json
import pathlib
import sys

import torch
import transformers
from PIL import Image
from safetensors.torch import load_file, save_file
from tokenizers import Tokenizer

GOLDEN = pathlib.Path(sys.argv[1])
HERE = pathlib.Path(__file__).parent
QUESTION = "The bar chart shows 12 apples and 30 oranges. How many fruits are there?"
STEPS = ["12 + 30 = 42.", "So there are 42 fruits.", "Answer: 42"]
cases, stored = [], {}


def config_of(base, change):
    config = json.loads((GOLDEN / base / "config.json").read_text())
    for key, value in change.items():
        if value is None:
            config.pop(key, None)
        else:
            config[key] = copy.deepcopy(value)  # transformers writes into what it is given
    return config


def open_model(cls, base, config):
    """The base's weights in fp32 under another config."""
    kind = transformers.CONFIG_MAPPING[config["model_type"]]
    config = {k: v for k, v in config.items() if k not in ("dtype", "torch_dtype")}
    model = getattr(transformers, cls)._from_config(kind.from_dict(config), attn_implementation="eager")
    weights = {k: v.float() for k, v in load_file(GOLDEN / base / "model.safetensors").items()}
    return model.float().eval(), weights


def load(model, weights, also_missing=()):
    missing, unexpected = model.load_state_dict(weights, strict=False)
    missing = [k for k in missing if k != "lm_head.weight" and k not in also_missing]
    assert not missing and not unexpected, (missing, unexpected)
    model.tie_weights()
    return model


def logits(name, base, change, length, rows):
    """Logits at some rows of a random sequence."""
    config = config_of(base, change)
    model, weights = open_model(config["architectures"][0], base, config)
    load(model, weights)
    ids = torch.randint(0, config["vocab_size"], (1, length), generator=torch.Generator().manual_seed(len(name)))
    with torch.no_grad():
        stored[name] = model(ids).logits[0, rows].contiguous()
    cases.append({"name": name, "kind": "logits", "base": base, "config": change, "inputIds": ids[0].tolist(), "rows": rows})


def pictured(name, base, text, length, picture="image-2.png"):
    """Logits of a random sequence with a golden picture in its middle, under another config of the language model."""
    config = config_of(base, {})
    config["text_config"].update(copy.deepcopy(text))
    change = {"text_config": copy.deepcopy(config["text_config"])}
    kind = transformers.CONFIG_MAPPING[config["model_type"]].from_dict(config)
    model = getattr(transformers, config["architectures"][0])
    model = model.from_pretrained(GOLDEN / base, config=kind, dtype=torch.float32, attn_implementation="eager").eval()
    processor = transformers.AutoImageProcessor.from_pretrained(GOLDEN / base, backend="pil")
    seen = dict(processor(images=[Image.open(GOLDEN / base / picture).convert("RGB")], return_tensors="pt"))
    rows = int(seen["image_grid_thw"].prod()) // config["vision_config"]["spatial_merge_size"] ** 2
    ids = torch.randint(0, 600, (length,), generator=torch.Generator().manual_seed(len(name))).tolist()
    shown = [config["vision_start_token_id"], *[config["image_token_id"]] * rows, config["vision_end_token_id"]]
    ids = ids[: length // 2] + shown + ids[length // 2 :]
    places = (torch.tensor([ids]) == config["image_token_id"]).int()
    read = [0, length // 2 + 1, length // 2 + rows, length // 2 + rows + 2, len(ids) - 1]
    with torch.no_grad():
        stored[name] = model(input_ids=torch.tensor([ids]), mm_token_type_ids=places, **seen).logits[0, read].contiguous()
    cases.append({"name": name, "kind": "logits", "base": base, "config": change, "inputIds": ids, "rows": read,
                  "images": [picture]})


def generated(name, base, change, length, count):
    """Greedy tokens behind a random sequence, from transformers' own loop and cache."""
    config = config_of(base, change)
    model, weights = open_model(config["architectures"][0], base, config)
    load(model, weights)
    ids = torch.randint(0, config["vocab_size"], (1, length), generator=torch.Generator().manual_seed(len(name)))
    with torch.no_grad():
        out = model.generate(ids, attention_mask=torch.ones_like(ids), do_sample=False, min_new_tokens=count,
                             max_new_tokens=count, eos_token_id=None, pad_token_id=0)
        again = ids
        for _ in range(count):
            again = torch.cat([again, model(again).logits[:, -1:].argmax(-1)], 1)
    assert torch.equal(out, again), name
    cases.append({"name": name, "kind": "generated", "base": base, "config": change, "inputIds": ids[0].tolist(),
                  "tokens": out[0, length:].tolist()})


def classes(name, cls, base, num_labels, reads):
    """A linear head over the base: logits where TRL's PRMTrainer puts a step's label, behind each step's separator."""
    config = config_of(base, {"architectures": [cls]})
    config["num_labels"] = num_labels
    model, weights = open_model(cls, base, config)
    head = {k: v for k, v in model.state_dict().items() if k.startswith("score.")}
    generator = torch.Generator().manual_seed(len(name))
    head = {k: torch.randn(v.shape, generator=generator).bfloat16().float() for k, v in head.items()}
    weights = {k: v for k, v in weights.items() if not k.startswith("lm_head.")}
    load(model, {**weights, **head})
    tokenizer = Tokenizer.from_file(str(GOLDEN / base / "tokenizer.json"))
    bos = json.loads((GOLDEN / base / "tokenizer_config.json").read_text()).get("bos_token")
    bos = bos["content"] if isinstance(bos, dict) else bos
    encode = lambda text: tokenizer.encode(text, add_special_tokens=False).ids
    ids, positions = ([tokenizer.token_to_id(bos)] if bos else []) + encode(QUESTION), []
    for step in STEPS:
        ids += encode(step) + encode("\n")
        positions.append(len(ids) - 1)
    with torch.no_grad():
        hidden = model.model(torch.tensor([ids])).last_hidden_state
        rows = model.score(hidden)[0, positions]
        whole = model(torch.tensor([ids])).logits
    assert torch.equal(whole[0, positions] if reads == "tokens" else whole[0], rows if reads == "tokens" else rows[-1])
    stored[name] = rows.contiguous()
    stored.update({f"{name}/{k}": v.bfloat16() for k, v in head.items()})
    scores = rows.sigmoid()[:, 0] if num_labels == 1 else rows.softmax(-1)[:, 1]
    cases.append({"name": name, "kind": "classes", "base": base, "config": {"architectures": [cls], "id2label": None},
                  "tensors": list(head), "question": QUESTION, "steps": STEPS, "inputIds": ids, "positions": positions,
                  "scores": scores.tolist()})


def implicit(name, base, reference, question, steps, first, positions):
    """Steps by what the base makes likelier than it does under another config. Where a step ends the published code of
    implicit PRMs says; with this tokenizer it counts so."""
    tokenizer = Tokenizer.from_file(str(GOLDEN / base / "tokenizer.json"))
    turn = lambda role, text: f"<|im_start|>{role}\n{text}<|im_end|>\n"
    ids = tokenizer.encode(turn("user", question) + turn("assistant", "\n\n".join(steps)), add_special_tokens=False).ids
    logprobs = []
    for change in ({}, reference):
        config = config_of(base, change)
        model, weights = open_model(config["architectures"][0], base, config)
        with torch.no_grad():
            every = load(model, weights)(torch.tensor([ids])).logits[0].log_softmax(-1)
        logprobs.append(every[range(len(ids) - 1), ids[1:]])
    ratios = logprobs[0] - logprobs[1]
    cases.append({"name": name, "kind": "implicit", "base": base, "config": {}, "reference": reference, "question": question,
                  "steps": steps, "inputIds": ids, "values": [0.001 * ratios[first : end + 1].sum().item() for end in positions]})


ACT_SYSTEM = ("You are a helpful and harmless assistant. You should think step-by-step and put your final answer within "
              "\\boxed{}.")


def ensemble(name, base, heads, width, steps, read):
    """Heads as ActPRM stores them, (heads, in, out), over the base: the probability of each behind each step. `read`: the steps
    as its evaluation hands them over."""
    config = config_of(base, {})
    model, weights = open_model(config["architectures"][0], base, config)
    load(model, weights)
    C, generator = config["hidden_size"], torch.Generator().manual_seed(len(name))
    shapes = {"nn1": (C, width), "nn2": (width, width), "nn_out": (width, 1)}
    tensors = {}
    for part in ("model", "reg_model"):
        for layer, (n_in, n_out) in shapes.items():
            made = torch.randn(heads, n_in, n_out, generator=generator) * (2 / n_in) ** 0.5
            tensors[f"score.{part}.{layer}.weight"] = made.bfloat16().float()
            tensors[f"score.{part}.{layer}.bias"] = (torch.randn(heads, n_out, generator=generator) / 4).bfloat16().float()
    tokenizer = Tokenizer.from_file(str(GOLDEN / base / "tokenizer.json"))
    turn = lambda role, text: f"<|im_start|>{role}\n{text}<|im_end|>\n"
    text = turn("system", ACT_SYSTEM) + turn("user", QUESTION) + "<|im_start|>assistant\n"
    ids = tokenizer.encode(text + "".join(step + "<extra_0>" for step in read), add_special_tokens=False).ids
    positions = [i for i, id in enumerate(ids) if id == tokenizer.token_to_id("<extra_0>")]
    with torch.no_grad():
        rows = model.model(torch.tensor([ids])).last_hidden_state[0, positions]
        for e in range(heads):
            x = rows
            for layer in shapes:
                x = x @ tensors[f"score.model.{layer}.weight"][e] + tensors[f"score.model.{layer}.bias"][e]
                x = x.relu() if layer != "nn_out" else x
            stored[name] = torch.cat([stored[name], x], 1) if e else x
    p = stored[name].sigmoid()
    stored.update({f"{name}/{k}": v.bfloat16() for k, v in tensors.items()})
    cases.append({"name": name, "kind": "ensemble", "base": base,
                  "config": {"architectures": ["Qwen2ForEnsemblePRM"], "num_ensemble": heads, "rr_token": "<extra_0>"},
                  "tensors": list(tensors), "question": QUESTION, "steps": steps, "inputIds": ids, "positions": positions,
                  "scores": p.mean(1).tolist(), "std": (p.std(1) if heads > 1 else torch.zeros(len(positions))).tolist()})


def yarn(**more):
    return {"rope_type": "yarn", "factor": 4.0, "original_max_position_embeddings": 64, **more}


def rows_of(length):
    return [0, 1, 63, 64, length - 1]


# As Qwen2.5 is published: `rope_scaling`, the positions before they are stretched.
logits("yarn-qwen2", "qwen2-tied", {"rope_scaling": {"type": "yarn", "factor": 4.0, "original_max_position_embeddings": 64},
                                    "max_position_embeddings": 64}, 200, rows_of(200))
# As Qwen3 is saved by transformers 5: `rope_parameters` with theta inside; as many rows as two chunks of keys have.
logits("yarn-qwen3", "qwen3", {"rope_parameters": yarn(rope_theta=1000000.0), "max_position_embeddings": 256}, 256, rows_of(256))
logits("yarn-qwen3-ramp", "qwen3", {"rope_parameters": yarn(rope_theta=10000.0, beta_fast=8.0, beta_slow=2.0, truncate=False,
                                                            attention_factor=1.25)}, 150, rows_of(150))
logits("yarn-llama3-mscale", "llama3", {"rope_scaling": yarn(mscale=0.7, mscale_all_dim=1.3)}, 150, rows_of(150))
logits("yarn-mistral-short", "mistral-math-shepherd", {"rope_scaling": yarn(factor=1.0), "sliding_window": None}, 90, rows_of(90))
# Of angles that are taken of time, row and column.
for scaling in ({"rope_type": "linear", "factor": 3.0}, yarn()):
    for base in ("qwen2_5_vl", "qwen3_vl"):
        rope = {**config_of(base, {})["text_config"]["rope_parameters"], **scaling}
        pictured(f"{scaling['rope_type']}-{base}", base, {"rope_parameters": rope, "max_position_embeddings": 256}, 120)
# Windows, of all layers and of some, over sequences that end where they begin to matter.
window = {"use_sliding_window": True, "sliding_window": 96}
logits("window-qwen2-some", "qwen2-tied", {**window, "max_window_layers": 1}, 96, [0, 63, 64, 95])
logits("window-qwen3-types", "qwen3", {**window, "layer_types": ["full_attention", "sliding_attention", "full_attention"]},
       96, [0, 63, 64, 95])
# And over longer ones: of all layers and of some, behind one chunk of keys (256) and over several, by every way of saying it.
logits("slide-mistral", "mistral-math-shepherd", {"sliding_window": 40}, 200, [0, 39, 40, 119, 199])
logits("slide-qwen2-some", "qwen2-tied", {**window, "sliding_window": 70, "max_window_layers": 1}, 330, [69, 70, 255, 256, 329])
logits("slide-qwen3-types", "qwen3", {**window, "sliding_window": 300, "layer_types": ["sliding_attention", "full_attention",
                                                                                   "sliding_attention"]}, 620, [299, 300, 555, 556, 619])
logits("slide-mistral-self", "mistral-math-shepherd", {"sliding_window": 1}, 50, [0, 1, 49])
generated("write-mistral", "mistral-math-shepherd", {"sliding_window": 24}, 60, 40)
generated("write-qwen2-some", "qwen2-tied", {**window, "sliding_window": 30, "max_window_layers": 1}, 300, 30)
generated("write-qwen3-types", "qwen3", {**window, "sliding_window": 20, "layer_types": ["full_attention", "sliding_attention",
                                                                                     "sliding_attention"]}, 10, 40)

classes("token-qwen2", "Qwen2ForTokenClassification", "qwen2-tied", 2, "tokens")
classes("token-qwen3", "Qwen3ForTokenClassification", "qwen3", 2, "tokens")
classes("token-llama", "LlamaForTokenClassification", "llama3", 2, "tokens")
classes("token-mistral", "MistralForTokenClassification", "mistral-math-shepherd", 1, "tokens")
classes("sequence-qwen2", "Qwen2ForSequenceClassification", "qwen2-tied", 1, "last")
classes("sequence-qwen3", "Qwen3ForSequenceClassification", "qwen3", 2, "last")
classes("sequence-llama", "LlamaForSequenceClassification", "llama3", 1, "last")
classes("sequence-mistral", "MistralForSequenceClassification", "mistral-math-shepherd", 2, "last")

blank = ["12 + 30\n\nis 42. ", "So there are 42 fruits.", "\nAnswer: \n\n\n42"]
ensemble("ensemble-qwen2", "qwen2-tied", 3, 16, blank, ["12 + 30 is 42.", "So there are 42 fruits.", "Answer: 42"])
ensemble("ensemble-qwen2-one", "qwen2-tied", 1, 24, STEPS, STEPS)

other = {"rope_theta": 200.0}
implicit("implicit-qwen2", "qwen2-tied", other, QUESTION, ["Step 1: read the chart: 12 and 30.", "Step 2: 12 + 30 = 42.",
                                                           "Answer: 42"], 34, [53, 69, 72])
implicit("implicit-qwen2-one", "qwen2-tied", other, "如图，已知 ∠B=35°，则 ∠C 的度数是多少？", ["I guess 41."], 24, [33])

about = {"transformers": transformers.__version__, "torch": torch.__version__.split("+")[0], "cases": cases}
(HERE / "variants.json").write_text(json.dumps(about, indent=1, ensure_ascii=False) + "\n")
save_file(stored, HERE / "variants.safetensors")
