"""The divergence of an arm from base, against transformers' own forward passes."""

import polars as pl
import pytest
import torch
import transformers
from peft import LoraConfig, get_peft_model

import small
from faithtune.core.errors import UserError
from faithtune.core.schemas.chains import CHAINS
from faithtune.core.schemas.probes import DIVERGENCE
from faithtune.data import questions
from faithtune.data.readers import arithmetic
from faithtune.probes import divergence
from faithtune.settings.chains import ChainSettings

TEMPLATES = {"cot_number": "red {question}\nThink."}
# Chains that base might have written, of other lengths, and one that is empty.
TEXTS = [
    "Step 1: red plus 3\nStep 2: blue\nFinal Answer: 7",
    "Step 1: Final Answer: A. red plus 9 plus 9",
    "Step 1:",
]


@pytest.fixture(scope="module")
def asked() -> pl.DataFrame:
    return questions.frame(arithmetic.generate(3, seed=1), "sums", "eval")


def written(asked: pl.DataFrame, texts: list[str]) -> pl.DataFrame:
    """CHAINS of these texts, in another order than the questions, with one more."""
    rows = [{"id": name, "text": text} for name, text in zip(asked["id"], texts, strict=True)]
    return pl.DataFrame([*rows[::-1], {"id": "other", "text": "Step 1: more"}], schema=CHAINS)


def plain(network) -> transformers.LlamaForCausalLM:
    """The same weights with transformers' own attention."""
    config = transformers.LlamaConfig(**network.config.to_dict() | {"attn_implementation": "eager"})
    found = transformers.LlamaForCausalLM(config).eval()
    found.load_state_dict(network.state_dict())
    return found


def by_hand(base, arm, prompt: str, rest: str) -> tuple[int, float | None]:
    """Tokens of the chain and the mean KL, a token at a time, without a tree or a cache."""
    tokenizer, found = small.tokenizer(), []
    before, ids = (tokenizer(text, add_special_tokens=False)["input_ids"] for text in (prompt, prompt + rest))
    assert ids[: len(before)] == before
    for i in range(len(before), len(ids)):
        with torch.no_grad():
            p, q = (net(torch.tensor([ids[:i]])).logits[0, -1].double().softmax(-1) for net in (base, arm))
        found.append(sum(a * (a / b).log() for a, b in zip(p, q, strict=True)).item())
    return len(found), sum(found) / len(found) if found else None


def measured(base, arm, asked: pl.DataFrame, texts: list[str], forced: bool = True) -> pl.DataFrame:
    sides, settings = (small.model(net) for net in (base, arm)), ChainSettings(forced_start=forced)
    return divergence.divergence(*sides, asked, written(asked, texts), TEMPLATES, settings)


@pytest.mark.parametrize("forced", [True, False])
@pytest.mark.parametrize("piece", [divergence.PIECE, 3])
def test_it_is_the_mean_over_the_chains_tokens(asked, monkeypatch, forced, piece):
    monkeypatch.setattr(divergence, "PIECE", piece)
    base, arm = small.network(0), small.network(1)
    texts = TEXTS if forced else ["red plus 3", "Step 1: blue\nFinal Answer: B", ""]
    found = measured(base, arm, asked, texts, forced)
    assert found.schema == DIVERGENCE and found["id"].to_list() == asked["id"].to_list()
    start = "Step 1:" if forced else ""
    sides, expected = (plain(base), plain(arm)), []
    for row, text in zip(asked.to_dicts(), texts, strict=True):
        prompt = small.model(base).render(f"red {row['question']}\nThink.", start)
        expected.append(by_hand(*sides, prompt, text.removeprefix(start)))
    assert found["n_tokens"].to_list() == [n for n, _ in expected]
    assert found["kl"].to_list() == pytest.approx([kl for _, kl in expected], abs=1e-4)
    assert expected[2] == (0, None) and min(kl for kl in found["kl"].drop_nulls()) > 0.01


def test_it_has_a_direction(asked):
    base, arm = small.network(0), small.network(1)
    there, back = measured(base, arm, asked, TEXTS)["kl"], measured(arm, base, asked, TEXTS)["kl"]
    assert (there - back).abs().drop_nulls().min() > 1e-3


def test_an_adapter_that_does_nothing_has_none(asked):
    """As PEFT makes it before the first step: its second matrix is 0."""
    blank = get_peft_model(small.network(0), LoraConfig(r=4, target_modules="all-linear", task_type="CAUSAL_LM")).eval()
    assert measured(small.network(0), blank, asked, TEXTS)["kl"].to_list() == [0.0, 0.0, None]
    torch.manual_seed(0)
    for name, parameter in blank.named_parameters():
        if ".lora_B" in name:
            parameter.data = 0.1 * torch.randn_like(parameter)
    assert min(measured(small.network(0), blank, asked, TEXTS)["kl"].drop_nulls()) > 1e-3


def test_a_network_that_computes_nan_ends_in_one_line(asked):
    broken = small.network(1)
    ids = small.tokenizer()("red plus 3", add_special_tokens=False)["input_ids"]
    broken.lm_head.weight.data[5] = float("nan")
    with pytest.raises(UserError, match="no finite number"):
        divergence.mean_kl(small.network(0), broken, ids, 1)
