"""The local backend: transformers, with a LoRA adapter attached to the base it was trained on.

The base stays quantised and the adapter un-merged (merging a 4-bit base changes
outputs, peft#1836). On a CPU the NF4 weights are expanded once to the compute
type: the same values that bitsandbytes would expand again in every forward
pass, without its in-place repacking that silently costs later gradients.
"""

import copy
import functools
import os
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import torch
import transformers
from tqdm import tqdm

from faithtune import prompts
from faithtune.errors import UserError
from faithtune.tree import Tree, ancestor_mask

# Raise it when a change here changes what a row holds: it is part of every row's key.
ENGINE = "1"


@dataclass(frozen=True)
class Generated:
    """What a model wrote after a prompt."""

    text: str
    n_tokens: int
    finished: bool  # False: cut at the token limit


@dataclass(frozen=True)
class Ask:
    """A prompt that ends with the answer cue, and what is known of the answer."""

    prompt: str
    n_options: int = 0  # choices: probabilities over so many letters; 0: a number
    reference: str | None = None  # number whose probability is wanted, in canonical form
    draft: str | None = None  # what the arm wrote after its full chain, most likely again


@dataclass(frozen=True)
class Told:
    """What the model answered: letters are read, numbers are written."""

    text: str | None  # after the cue, for numbers; null where the draft failed: to be generated
    probabilities: list[float]  # over the letters, sums to 1; empty for numbers
    option_mass: float | None  # probability of all the letters together; null for numbers
    p_reference: float | None  # of the number `reference`, not followed by a further digit


def device_of(name: str = "auto") -> str:
    """auto: the first CUDA device where there is one, else the CPU."""
    return ("cuda" if torch.cuda.is_available() else "cpu") if name == "auto" else name


def load_tokenizer(folder: str | Path):
    """The model's tokenizer, padding on the left so that generation continues the prompt."""
    tokenizer = transformers.AutoTokenizer.from_pretrained(folder, padding_side="left", trust_remote_code=False)
    if tokenizer.pad_token_id is None:
        tokenizer.pad_token = tokenizer.eos_token
    return tokenizer


def load_base(
    folder: str | Path,
    quantisation: str,
    dtype: str,
    device: str,
    attention: str = "sdpa",
    expanded: Path | None = None,
):
    """The model as it came: weights of a folder, NF4 where `quantisation` says so.

    `expanded` is where a CPU keeps the NF4 weights once they are expanded.
    """
    settings = {"dtype": getattr(torch, dtype), "attn_implementation": attention, "trust_remote_code": False}
    if quantisation == "nf4" and device == "cpu" and expanded is not None:
        if not expanded.is_dir():
            _expand(folder, dtype, expanded)
        folder, quantisation = expanded, "none"
    if quantisation == "nf4":
        settings["quantization_config"] = transformers.BitsAndBytesConfig(
            load_in_4bit=True,
            bnb_4bit_quant_type="nf4",
            bnb_4bit_use_double_quant=True,
            bnb_4bit_compute_dtype=getattr(torch, dtype),
        )
        settings["device_map"] = {"": device}
    network = transformers.AutoModelForCausalLM.from_pretrained(folder, use_safetensors=True, **settings)
    if "sliding_attention" in (getattr(network.config, "layer_types", None) or []):
        raise UserError(f"{folder}: models with sliding-window layers are not supported by the prefix tree")
    if quantisation == "nf4" and device == "cpu":
        network = network.dequantize()
    if quantisation != "nf4":
        network.to(device)
    for parameter in network.parameters():  # off the memory-mapped file: several times faster on a CPU
        parameter.data = parameter.data.clone()
    return network


def _expand(folder: str | Path, dtype: str, destination: Path) -> None:
    """Save a base as a CPU computes it in NF4, whole or not at all."""
    destination.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=destination.parent) as scratch:
        load_base(folder, "nf4", dtype, "cpu").save_pretrained(scratch)
        if not destination.is_dir():  # another job may have been faster
            os.rename(scratch, destination)
            os.mkdir(scratch)


def load_network(
    base: dict, arm: dict | None, quantisation: str, dtype: str, device: str, expanded: Path | None = None
):
    """The network of a model (its model.json) or of a tuned arm (its arm.json too)."""
    if arm is not None and arm["method"] == "full":
        return load_base(arm["path"], quantisation, dtype, device)
    network = load_base(base["path"], quantisation, dtype, device, expanded=expanded)
    if arm is None:
        return network
    from peft import PeftModel

    network = PeftModel.from_pretrained(network, arm["path"], autocast_adapter_dtype=False)
    return network.to(getattr(torch, dtype))  # as autocast computed the adapter in training


class LocalModel:
    """An arm in memory: answers prompts that are rendered text."""

    def __init__(self, tokenizer, load: Callable, batch_size: int = 32, max_packed_tokens: int = 1024):
        self.tokenizer = tokenizer
        self.load = load
        self.batch_size = batch_size
        self.max_packed_tokens = max_packed_tokens

    @functools.cached_property
    def network(self):
        """The network, loaded when something is to be computed."""
        return self.load().eval()

    @functools.cached_property
    def digit_tokens(self) -> torch.Tensor:
        """Ids of the tokens that begin with a digit: they continue a number, all others end it."""
        texts = self.tokenizer.batch_decode([[i] for i in range(len(self.tokenizer))])
        return torch.tensor([i for i, text in enumerate(texts) if text[:1].isdigit()])

    def token_ids(self, text: str) -> list[int]:
        """Token ids of rendered text."""
        return prompts.token_ids(self.tokenizer, text)

    def count_tokens(self, text: str) -> int:
        """How many tokens the model's own tokenizer makes of `text`."""
        return len(self.token_ids(text))

    @torch.inference_mode()
    def generate(
        self, texts: list[str], max_new_tokens: int, ended: Callable[[str], bool] = lambda text: False
    ) -> Iterator[tuple[int, Generated]]:
        """Continue each text greedily; yields (index, Generated) batch by batch, longest first.

        A text is finished at the end-of-turn token or once `ended(new text)` holds.
        The tokens that all texts begin with are computed once.
        """
        ids = [self.token_ids(text) for text in texts]
        shared = os.path.commonprefix([row[:-1] for row in ids])  # noqa: RUF071 (token ids, not paths)
        prefix = self._cache(shared) if len(ids) > 1 and shared else None
        order = sorted(range(len(ids)), key=lambda i: (-len(ids[i]), i))
        bar = tqdm(total=len(ids), unit="text", desc="generate", mininterval=5, disable=not ids)
        for start in range(0, len(order), self.batch_size):
            chosen = order[start : start + self.batch_size]
            batch = self._batch([ids[i] for i in chosen], len(shared) if prefix else 0)
            width = batch["input_ids"].shape[1]
            if prefix:
                batch["past_key_values"] = copy.deepcopy(prefix)
                batch["past_key_values"].batch_repeat_interleave(len(chosen))

            def rows_ended(tokens, scores, width=width, **_):
                tails = self.tokenizer.batch_decode(tokens[:, width:], skip_special_tokens=True)
                return torch.tensor([ended(tail) for tail in tails], device=tokens.device)

            output = self.network.generate(
                **batch,
                max_new_tokens=max_new_tokens,
                do_sample=False,
                num_beams=1,
                pad_token_id=self.tokenizer.pad_token_id,
                stopping_criteria=[rows_ended],
            )
            for i, row in zip(chosen, output[:, width:].tolist(), strict=True):
                yield i, self._generated(row, ended)
            bar.update(len(chosen))
        bar.close()

    def _cache(self, ids: list[int]):
        """Keys and values of a prefix."""
        return self.network(torch.tensor([ids], device=self.network.device), logits_to_keep=1).past_key_values

    def _batch(self, rows: list[list[int]], n_shared: int) -> dict[str, torch.Tensor]:
        """Rows of token ids as one tensor; padding stands between the shared prefix and what differs."""
        width = max(map(len, rows))
        gaps = [width - len(row) for row in rows]
        pad = self.tokenizer.pad_token_id
        ids = [row[:n_shared] + [pad] * gap + row[n_shared:] for row, gap in zip(rows, gaps, strict=True)]
        mask = [[1] * n_shared + [0] * gap + [1] * (width - n_shared - gap) for gap in gaps]
        device = self.network.device
        return {
            "input_ids": torch.tensor(ids, device=device),
            "attention_mask": torch.tensor(mask, device=device),
        }

    def _generated(self, row: list[int], ended: Callable[[str], bool]) -> Generated:
        stops = self._stop_tokens()
        end = next((i for i, token in enumerate(row) if token in stops), None)
        kept = row if end is None else row[:end]
        text = self.tokenizer.decode(kept, skip_special_tokens=True)
        return Generated(text, len(kept), finished=end is not None or ended(text))

    def _stop_tokens(self) -> set[int]:
        stops = self.network.generation_config.eos_token_id
        stops = stops if isinstance(stops, list) else [stops]
        return {self.tokenizer.eos_token_id, *stops} - {None}

    @torch.inference_mode()
    def answer(self, groups: list[list[Ask]]) -> Iterator[tuple[int, list[Told]]]:
        """Answer all asks of each group (a question's interventions); yields (group index, answers).

        The tokens of several groups are packed into one prefix tree, so that each
        distinct token is computed once. A number is told only where greedy
        decoding would repeat the draft; generate the others.
        """
        bar = tqdm(total=len(groups), unit="question", desc="answer", mininterval=5, disable=not groups)
        pack, tree = [], Tree()
        for index, group in enumerate(groups):
            pack.append((index, [self._branches(ask, tree) for ask in group]))
            if len(tree) >= self.max_packed_tokens or index == len(groups) - 1:
                yield from self._read(pack, tree)
                bar.update(len(pack))
                pack, tree = [], Tree()
        bar.close()

    def _branches(self, ask: Ask, tree: Tree) -> dict:
        prompt = self.token_ids(ask.prompt)
        branches = {"ask": ask, "cue": tree.insert(prompt)[-1:]}
        for name, text in (("reference", ask.reference and f" {ask.reference}"), ("draft", ask.draft)):
            if text is not None:
                tail = self._tail(ask.prompt, prompt, text)
                branches[name] = (tail, tree.insert(prompt + tail)[len(prompt) - 1 :])
        return branches

    def _tail(self, prompt: str, prompt_ids: list[int], text: str) -> list[int]:
        """Token ids of `text` where it stands, after the prompt."""
        whole = self.token_ids(prompt + text)
        if whole[: len(prompt_ids)] == prompt_ids:
            return whole[len(prompt_ids) :]
        return self.token_ids(text)

    def _read(self, pack: list, tree: Tree) -> Iterator[tuple[int, list[Told]]]:
        wanted = sorted({node for _, group in pack for b in group for node in _nodes(b)})
        logits = self._logits(tree, wanted)
        at = {node: i for i, node in enumerate(wanted)}
        for index, group in pack:
            yield index, [self._told(b, logits, at) for b in group]

    def _logits(self, tree: Tree, wanted: list[int]) -> torch.Tensor:
        """Next-token logits, float32 (len(wanted), vocabulary), at the wanted nodes."""
        device = self.network.device
        mask = torch.from_numpy(ancestor_mask(tree.parents, len(tree)))
        output = self.network(
            input_ids=torch.tensor([tree.tokens], device=device),
            position_ids=torch.tensor([tree.positions], device=device),
            attention_mask=mask[None, None].to(device),
            logits_to_keep=torch.tensor(wanted, device=device),
            use_cache=False,
        )
        return output.logits[0].float().cpu()

    def _told(self, branches: dict, logits: torch.Tensor, at: dict[int, int]) -> Told:
        ask = branches["ask"]
        cue = at[branches["cue"][0]]
        if ask.n_options:
            letters = prompts.option_token_ids(self.tokenizer, ask.n_options)
            mass = logits[cue].softmax(-1)[letters].sum().item()
            return Told(None, logits[cue, letters].softmax(-1).tolist(), mass, None)
        p_reference, text = None, None
        if "reference" in branches:
            tail, nodes = branches["reference"]
            rows = logits[[at[node] for node in nodes]].softmax(-1)
            p = rows[range(len(tail)), tail].prod() * (1 - rows[-1, self.digit_tokens].sum())
            p_reference = p.item()
        if "draft" in branches:
            tail, nodes = branches["draft"]
            greedy = logits[[at[node] for node in nodes]].argmax(-1).tolist()
            if greedy[:-1] == tail and (greedy[-1] in self._stop_tokens() or ask.draft.endswith("\n")):
                text = ask.draft
        return Told(text, [], None, p_reference)


def _nodes(branches: dict) -> list[int]:
    return [*branches["cue"], *(n for name in ("reference", "draft") for n in branches.get(name, ([], []))[1])]
