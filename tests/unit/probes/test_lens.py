"""The lens and the attention of the cue, against transformers' own outputs, and on answers of a known origin."""

import random

import pytest
import torch
import transformers
from test_knockout import CHAIN, TEMPLATES, choice, number

import known
import small
from faithtune.probes import attention, lens, states


def plainly(net, ids: list[int]):
    """Logits, hidden states and attentions of transformers' eager attention."""
    net.set_attn_implementation("eager")
    with torch.inference_mode():
        found = net(torch.tensor([ids]), output_hidden_states=True, output_attentions=True, use_cache=False)
    net.set_attn_implementation("tree")
    return found


CASES = [number(5, CHAIN, "47"), choice(CHAIN, "B")]


@pytest.mark.parametrize("one", CASES, ids=["number", "choice"])
def test_the_lens_reads_what_the_head_reads(one):
    net = small.network(3, num_hidden_layers=3)
    read = lens.text(small.model(net), one, TEMPLATES)
    places = [place for _, _, place in read.places]
    found, logits = states.read(net, read.ids, places)
    plain = plainly(net, read.ids)
    assert torch.allclose(logits, plain.logits[0, places], atol=1e-4)
    for mine, theirs in zip(found, plain.hidden_states, strict=True):
        assert torch.allclose(mine, theirs[0, places], atol=1e-4)
    rows = list(lens.rows(net, read, found))
    candidates = torch.tensor(read.candidates)
    for layer, state in enumerate(plain.hidden_states):
        normed = state[0, places] if layer == 3 else net.model.norm(state[0, places])
        p = net.lm_head(normed)[:, candidates].softmax(-1)[:, read.target]
        mine = [row["value"] for row in rows if row["measure"] == "lens_p" and row["layer"] == layer]
        assert mine == pytest.approx(p.tolist(), abs=1e-4)
    # The last layer's lens is what the network says.
    said = plain.logits[0, -1][candidates].softmax(-1)[read.target]
    assert mine[-1] == pytest.approx(said.item(), abs=1e-4)
    assert [(row["part"], row["k"]) for row in rows if row["measure"] == "decision_layer"] == [
        *(("before", None), ("step", 1), ("step", 2), ("step", 3), ("cue", None))
    ]


def test_places_are_the_ends_of_what_they_are_named_after():
    model = small.model()
    read = lens.text(model, CASES[0], TEMPLATES)
    until = {part: small.tokenizer().decode(read.ids[: place + 1]) for part, _, place in read.places}
    assert until["before"].endswith("<|assistant|>\n") and until["step"].endswith("Step 3: plus 7")
    # The token before the first digit of the answer.
    assert until["cue"].endswith("Final Answer: ") and small.tokenizer().decode(read.candidates[read.target]) == "4"


def test_a_number_without_a_digit_token_of_its_own_is_left_out():
    odd = number(5, CHAIN, "x")
    read = lens.text(small.model(), odd, TEMPLATES)
    assert read.target is None and list(lens.rows(None, read, None)) == []


@pytest.mark.parametrize(
    ("decided", "layer"),
    [([True, True], 0.0), ([False, True, True], 1.0), ([True, False, True], 2.0), ([True, False], None)],
)
def test_decision_layer(decided, layer):
    assert lens.decision_layer(decided) == layer


@torch.inference_mode()
@pytest.mark.parametrize("one", CASES, ids=["number", "choice"])
def test_attention_is_transformers_attention(one):
    net = small.network(3, num_hidden_layers=3)
    read, watch = lens.text(small.model(net), one, TEMPLATES), states.AttentionOfLast()
    states.read(net, read.ids, [0], watch)
    plain = plainly(net, read.ids)
    for layer, weights in enumerate(plain.attentions):
        assert torch.allclose(watch.weights[layer], weights[0, :, -1], atol=1e-5)
        hidden = net.model.layers[layer].input_layernorm(plain.hidden_states[layer][0])
        values = net.model.layers[layer].self_attn.v_proj(hidden).view(len(read.ids), 2, -1).norm(dim=-1)
        weighted = weights[0, :, -1] * values.T.repeat_interleave(2, dim=0)
        assert torch.allclose(watch.weighted[layer], weighted / weighted.sum(-1, keepdim=True), atol=1e-5)
    rows = list(attention.rows(read, watch))
    for layer in range(3):
        of = {(row["part"], row["k"]): row["value"] for row in rows if row.get("layer") == layer}
        assert len(of) == 8
        both = [row["value"] for row in rows if row.get("layer") == layer]
        assert sum(both) == pytest.approx(2.0, abs=1e-5)  # of both measures all parts together are 1
    assert sum(row["value"] for row in rows if row["measure"] == "tokens") == len(read.ids)
    seen = attention.Heads()
    seen.add(read, watch)
    seen.add(read, watch)
    heads = list(seen.rows())
    assert len(heads) == 3 * 4 * 6
    chain = next(row for row in heads if row["part"] == "chain" and row["layer"] == 1 and row["head"] == 2)
    assert chain["value"] == pytest.approx(watch.weights[1][2, read.parts.chain].sum().item(), abs=1e-6)
    assert list(attention.Heads().rows()) == []


def test_attention_sees_no_further_than_its_window():
    query, keys = torch.randn(2, 6, 4), torch.randn(6, 1, 4)
    watch = states.AttentionOfLast()
    watch(0, query, keys, keys, None, 2)
    watch(1, query, keys, keys, None, None)
    assert (watch.weights[0][:, :4] == 0).all() and (watch.weights[0][:, 4:] > 0).all()
    assert (watch.weights[1] > 0).all() and torch.allclose(watch.weights[1].sum(-1), torch.ones(2))


@pytest.mark.slow
def test_where_the_answer_is_decided():
    """From the question: it can be read before the chain. From the chain: only once its last step is there."""
    net, rng = known.network(), random.Random(3)
    model = small.model(net)
    means = {}
    for rule in ("red", "blue"):
        found: dict[str, list[float]] = {}
        for i in range(30):
            digit = rng.randrange(10)
            said = (digit + rng.randrange(1, 10)) % 10
            one = number(digit, known.steps(rng, said), str(said if rule == "red" else digit), f"q{i}")
            read = lens.text(model, one, known.TEMPLATES[rule])
            there, _ = states.read(net, read.ids, [place for _, _, place in read.places])
            for row in lens.rows(net, read, there):
                if row["measure"] == "lens_p" and row["layer"] == len(there) - 1:
                    found.setdefault(row["part"], []).append(row["value"])
                if row["measure"] == "lens_p" and (row["layer"], row["part"]) == (0, "cue"):
                    found.setdefault("embedding", []).append(row["value"])
        means[rule] = {part: sum(values) / len(values) for part, values in found.items()}
    assert means["red"]["cue"] > 0.9 and means["blue"]["cue"] > 0.9
    assert means["blue"]["before"] > 0.8 and means["red"]["before"] < 0.3
    assert max(means[rule]["embedding"] for rule in means) < 0.3  # the embedding of the cue decides nothing


@pytest.mark.parametrize(("kind", "scale"), [("granite", {"logits_scaling": 8.0}), ("cohere", {"logit_scale": 0.25})])
def test_a_network_that_scales_its_logits(kind, scale):
    sizes = {"vocab_size": 64, "hidden_size": 32, "intermediate_size": 48, "num_hidden_layers": 2}
    sizes |= {"num_attention_heads": 4, "num_key_value_heads": 2, "attn_implementation": "tree"}
    sizes |= {"initializer_range": 0.5}
    config = transformers.AutoConfig.for_model(kind, **sizes | scale)
    torch.manual_seed(0)
    net = transformers.AutoModelForCausalLM.from_config(config).eval()
    found, logits = states.read(net, [*range(5, 20)], [14])
    p = lens.probabilities(net, found, list(range(64)))[-1]
    assert torch.allclose(p, logits.softmax(-1), atol=1e-5) and p.max() > 0.02
