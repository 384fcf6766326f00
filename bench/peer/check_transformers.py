"""Opens checkpoints of this project in transformers and compares: weights, config, token ids, fp32 logits.

    node --import tsx bench/peer/write-logits.ts --fresh OUT      (or MODEL OUT for one that is there)
    python bench/peer/check_transformers.py OUT [--result bench/results/transformers-check.json]

Needs torch, transformers >= 5 and safetensors. A text model is opened as it stands (AutoModelForCausalLM). Of an
InternVL layout, whose own modelling code lives on a hub, the language model is opened as the class that its llm_config
names, and the whole as transformers' native InternVL, weights renamed one to one. Fails where any logits differ by more
than 1e-4 (relative, by norm), any ids differ, or any weight is missing or left over.
"""

import argparse
import json
import platform
import re
import subprocess
import sys
from pathlib import Path

import torch
import transformers
from safetensors.torch import load_file
from transformers import AutoConfig, AutoModelForCausalLM, AutoTokenizer, InternVLConfig, InternVLForConditionalGeneration

LIMIT = 1e-4
MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
VISION = [
    (r"embeddings\.class_embedding", "embeddings.cls_token"),
    (r"embeddings\.position_embedding", "embeddings.position_embeddings"),
    (r"embeddings\.patch_embedding", "embeddings.patch_embeddings.projection"),
    (r"encoder\.layers\.", "encoder.layer."),
    (r"attn\.proj", "attention.projection_layer"),
    (r"attn\.(q|k)_norm", r"attention.\1_norm"),
    (r"norm1", "layernorm_before"),
    (r"norm2", "layernorm_after"),
    (r"ls1", "lambda_1"),
    (r"ls2", "lambda_2"),
]
PROJECTOR = {"mlp1.0": "layer_norm", "mlp1.1": "linear_1", "mlp1.3": "linear_2"}


def relative(actual: torch.Tensor, expected: torch.Tensor) -> float:
    return ((actual.double() - expected.double()).norm() / expected.double().norm()).item()


def weights_of(folder: Path) -> dict[str, torch.Tensor]:
    return {name: tensor.float() for file in sorted(folder.glob("*.safetensors")) for name, tensor in load_file(file).items()}


def renamed(weights: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """Names of InternVL's own code to those of transformers' native model."""
    out = {}
    for name, tensor in weights.items():
        part, _, rest = name.partition(".")
        if part == "language_model":
            out["lm_head.weight" if rest == "lm_head.weight" else f"model.language_model.{rest.removeprefix('model.')}"] = tensor
        elif part == "mlp1":
            module, leaf = name.rsplit(".", 1)
            out[f"model.multi_modal_projector.{PROJECTOR[module]}.{leaf}"] = tensor
        else:
            for pattern, replacement in VISION:
                rest = re.sub(pattern, replacement, rest)
            if ".attn.qkv." in rest:
                for piece, third in zip("qkv", tensor.chunk(3)):
                    out[f"model.vision_tower.{rest.replace('attn.qkv', f'attention.{piece}_proj')}"] = third
            else:
                out[f"model.vision_tower.{rest}"] = tensor
    return out


def load_strictly(model: torch.nn.Module, weights: dict[str, torch.Tensor]) -> torch.nn.Module:
    model.load_state_dict(weights, strict=not model.config.get_text_config().tie_word_embeddings)
    return model.float().eval()


def open_text(folder: Path) -> torch.nn.Module:
    model, info = AutoModelForCausalLM.from_pretrained(
        folder, dtype=torch.float32, attn_implementation="eager", output_loading_info=True
    )
    problems = {key: sorted(value) for key, value in info.items() if value}
    if problems:
        raise SystemExit(f"{folder}: {problems}")
    return model.eval()


def open_language_model(folder: Path, config: dict) -> torch.nn.Module:
    text = AutoConfig.for_model(**config["llm_config"])
    model = AutoModelForCausalLM.from_config(text, attn_implementation="eager", dtype=torch.float32)
    prefix = "language_model."
    return load_strictly(model, {n.removeprefix(prefix): t for n, t in weights_of(folder).items() if n.startswith(prefix)})


def open_whole(folder: Path, config: dict, picture_id: int) -> torch.nn.Module:
    vision = config["vision_config"]
    hf = InternVLConfig(
        vision_config={
            **{key: vision[key] for key in ("hidden_size", "intermediate_size", "num_hidden_layers", "num_attention_heads")},
            "image_size": [config.get("force_image_size", vision["image_size"])] * 2,
            "patch_size": [vision["patch_size"]] * 2,
            "attention_bias": vision["qkv_bias"],
            "use_qk_norm": vision["qk_normalization"],
            "norm_type": vision["norm_type"],
            "layer_norm_eps": vision["layer_norm_eps"],
            "hidden_act": vision["hidden_act"],
            "use_absolute_position_embeddings": True,
            "use_mask_token": False,
            "use_mean_pooling": True,
        },
        text_config=config["llm_config"],
        image_token_id=picture_id,
        downsample_ratio=config["downsample_ratio"],
        vision_feature_layer=config["select_layer"],
        tie_word_embeddings=config["llm_config"].get("tie_word_embeddings", False),
    )
    hf._attn_implementation = "eager"
    return load_strictly(InternVLForConditionalGeneration(hf), renamed(weights_of(folder)))


def pixels_of(path: Path, size: int) -> torch.Tensor:
    rgb = torch.frombuffer(bytearray(path.read_bytes()), dtype=torch.uint8).view(size, size, 3)
    mean, std = (torch.tensor(v).view(3, 1, 1) for v in (MEAN, STD))
    return ((rgb.permute(2, 0, 1).float() / 255 - mean) / std).unsqueeze(0)


@torch.no_grad()
def check(expected_folder: Path) -> list[dict]:
    expected = json.loads((expected_folder / "expected.json").read_text())
    folder = Path(expected["model"])
    config = json.loads((folder / "config.json").read_text())
    tokenizer = AutoTokenizer.from_pretrained(folder)
    for case in expected["texts"]:
        ids = tokenizer(case["text"])["input_ids"]
        if ids != case["ids"]:
            raise SystemExit(f"{folder}: {case['text']!r}: ids {ids}, the engine has {case['ids']}")
    sees = "vision_config" in config
    language = open_language_model(folder, config) if sees else open_text(folder)
    whole = open_whole(folder, config, tokenizer.convert_tokens_to_ids("<IMG_CONTEXT>")) if sees else None
    rows = []
    for case in expected["cases"]:
        tokens = torch.tensor([case["tokens"]])
        logits = torch.frombuffer(bytearray((expected_folder / case["logits"]).read_bytes()), dtype=torch.float32)
        logits = logits.view(len(case["tokens"]), case["width"])
        if "image" in case:
            image = pixels_of(expected_folder / case["image"]["file"], case["image"]["size"])
            found = {"whole": whole(input_ids=tokens, pixel_values=image).logits[0]}
        else:
            found = {"language model": language(input_ids=tokens).logits[0]}
            if whole:
                found["whole"] = whole(input_ids=tokens).logits[0]
        for opened, actual in found.items():
            off = relative(actual, logits)
            print(f"{folder.name} {case['name']} ({opened}): {off:.2e}")
            if not off <= LIMIT:
                raise SystemExit(f"{folder}: logits of {case['name']} differ by {off}")
            rows.append({"name": f"{folder.name}, {case['name']}, {opened}", "off": off, "tokens": tokens.numel()})
    parameters = sum(t.numel() for t in weights_of(folder).values())
    print(f"{folder.name}: {parameters} parameters, {len(expected['texts'])} texts: all ids equal")
    return [{**row, "parameters": parameters, "texts": len(expected["texts"])} for row in rows]


def git(*args: str) -> str:
    return subprocess.run(["git", *args], cwd=Path(__file__).parent, capture_output=True, text=True, check=True).stdout.strip()


def write_result(path: Path, rows: list[dict]) -> None:
    """In the form of bench/results.ts."""
    cpu = re.search(r"model name\s*: (.*)", Path("/proc/cpuinfo").read_text())
    memory = re.search(r"MemTotal:\s*(\d+)", Path("/proc/meminfo").read_text())
    dirty = git("status", "--porcelain", "--untracked-files=no", "--", ":!/bench/results", ":!/README.md")
    measurements = [
        {
            "name": f"logits of {row['name']}",
            "unit": "relative distance to transformers",
            "median": row["off"],
            "p95": row["off"],
            "samples": 1,
            "details": {"tokens": row["tokens"], "parameters": row["parameters"], "textsWithEqualIds": row["texts"]},
        }
        for row in rows
    ]
    result = {
        "bench": path.stem,
        "machine": {
            "cpu": cpu.group(1) if cpu else platform.processor(),
            "threads": torch.get_num_threads(),
            "instructionSet": torch.backends.cpu.get_cpu_capability().lower(),
            "memoryGiB": round(int(memory.group(1)) / 2**20) if memory else 0,
            "node": subprocess.run(["node", "--version"], capture_output=True, text=True).stdout.strip(),
        },
        "commit": git("rev-parse", "--short", "HEAD") + ("+" if dirty else ""),
        "recipe": {
            "limit": LIMIT,
            "torch": torch.__version__,
            "transformers": transformers.__version__,
            "attention": "eager, fp32",
        },
        "measurements": measurements,
    }
    path.write_text(json.dumps(result, indent=2) + "\n")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("out", type=Path, help="folder that write-logits.ts wrote to")
    parser.add_argument("--result", type=Path)
    options = parser.parse_args()
    folders = sorted(path.parent for path in options.out.glob("expected/*/expected.json"))
    if not folders:
        sys.exit(f"{options.out}: no expected/*/expected.json; run write-logits.ts first")
    rows = [row for folder in folders for row in check(folder)]
    if options.result:
        write_result(options.result, rows)


if __name__ == "__main__":
    main()
