"""Samples of `mm-prm dataset` (format `steps`) as a process reward model reads them: prompts and pictures of `mm-prm train`."""

import json
from dataclasses import dataclass
from pathlib import Path

import torch
from PIL import Image
from transformers import PreTrainedTokenizerBase

MARKER = "<prm>"
PIECES = [MARKER, "Yes", "No"]
SYSTEM = "你是书生·万象，英文名是InternVL，是由上海人工智能实验室、清华大学及多家合作单位联合开发的多模态大语言模型。"
"""InternVL2.5's, where the config has none."""


@dataclass
class Row:
    ids: list[int]
    """Tokens of the whole prompt, one marker behind each step."""
    markers: list[int]
    """Positions in `ids`."""
    labels: list[float]
    weights: list[float]
    """Of each label; 0 where nothing is known of a step."""
    pixels: torch.Tensor | None
    """[tiles, 3, side, side]; None without a picture."""


def weights_of(sample: dict) -> list[float]:
    labels = sample["labels"]
    given = sample.get("weights") or [1.0] * len(labels)
    return [0.0 if label is None else weight for label, weight in zip(labels, given, strict=True)]


def turn(role: str, text: str) -> str:
    return f"<|im_start|>{role}\n{text}<|im_end|>\n"


def prefill_prm(system: str, pictures: str, question: str, steps: list[str]) -> list[str]:
    """Question and steps as the policy itself reads and writes them."""
    asked = turn("system", system) + turn("user", f"{pictures}Question: {question}") + "<|im_start|>assistant\n"
    return [asked, *(part for step in steps for part in (f"<step>{step.strip()}</step>", MARKER))]


def internvl_prm(system: str, pictures: str, question: str, steps: list[str]) -> list[str]:
    """MM-PRM's own: an empty question, and all of it in the answer."""
    process = "\n\n".join(step + MARKER for step in steps)
    value = f"{pictures}Question: {question}\nProcess: {process}"
    return [turn("system", system), turn("user", ""), turn("assistant", value)]


TEMPLATES = {"prefill-prm": prefill_prm, "internvl2_5-prm-train": internvl_prm}
"""Parts that are tokenised apart, by the names that mm-prm.json has."""


def grid_of(picture: Image.Image, side: int, least: int, most: int) -> tuple[int, int]:
    """Columns and rows whose shape is closest to the picture's; of equals the last that the picture fills by half."""
    sizes = {(c, r) for c in range(1, most + 1) for r in range(1, most + 1) if least <= c * r <= most}
    best, off = (1, 1), float("inf")
    for c, r in sorted(sizes, key=lambda size: (size[0] * size[1], size)):
        here = abs(picture.width / picture.height - c / r)
        if here < off or (here == off and picture.width * picture.height > 0.5 * side * side * c * r):
            best, off = (c, r), here
    return best


def tiles_of(picture: Image.Image, config: dict) -> torch.Tensor:
    """Tiles row by row, and the whole as a thumbnail where there are several."""
    side = config["size"]["height"]
    most = config["max_patches"] if config["crop_to_patches"] else 1
    columns, rows = grid_of(picture, side, min(config["min_patches"], most), most)
    whole = picture.resize((side * columns, side * rows), Image.Resampling.BICUBIC)
    tiles = [
        whole.crop((side * c, side * r, side * (c + 1), side * (r + 1))) for r in range(rows) for c in range(columns)
    ]
    if len(tiles) > 1:
        tiles.append(picture.resize((side, side), Image.Resampling.BICUBIC))
    flat = torch.frombuffer(bytearray(b"".join(tile.tobytes() for tile in tiles)), dtype=torch.uint8)
    mean, std = (torch.tensor(config[key]).view(3, 1, 1) for key in ("image_mean", "image_std"))
    return (flat.view(-1, side, side, 3).permute(0, 3, 1, 2).float() / 255 - mean) / std


class Reader:
    def __init__(self, model: Path, tokenizer: PreTrainedTokenizerBase, template: str | None):
        self.config = json.loads((model / "config.json").read_text())
        self.pictures = json.loads((model / "preprocessor_config.json").read_text())
        record = model / "mm-prm.json"
        recorded = json.loads(record.read_text()).get("template") if record.exists() else None
        self.system = self.config.get("system_message") or SYSTEM
        self.template = template or (recorded if recorded in TEMPLATES else "internvl2_5-prm-train")
        self.tokenizer = tokenizer
        self.marker = tokenizer.convert_tokens_to_ids(MARKER)

    def read(self, sample: dict, folder: Path) -> Row:
        """@param folder: where paths of pictures begin"""
        steps, path = sample["steps"], sample.get("image")
        pixels = tiles_of(Image.open(folder / path).convert("RGB"), self.pictures) if path else None
        seen = "" if pixels is None else "<IMG_CONTEXT>" * (len(pixels) * self.config["image_seq_length"])
        shown = f"<img>{seen}</img>\n" if seen else ""
        parts = TEMPLATES[self.template](self.system, shown, sample["question"], steps)
        ids = [token for part in parts for token in self.tokenizer(part, add_special_tokens=False)["input_ids"]]
        markers = [at for at, token in enumerate(ids) if token == self.marker]
        if len(markers) != len(steps):
            raise ValueError(f"sample {sample['id']}: {len(steps)} steps, but {len(markers)} markers {MARKER}")
        return Row(ids, markers, [label or 0.0 for label in sample["labels"]], weights_of(sample), pixels)
