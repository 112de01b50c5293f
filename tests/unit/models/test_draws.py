"""Tokens drawn at a temperature: in the right shares, the same in any batch, and the likeliest where it is cold."""

import dataclasses

import pytest
import tiny
import torch
from scipy import stats

import small
from faithtune.data import prompts
from faithtune.data.readers import arithmetic
from faithtune.models import local
from faithtune.models.decoding.draws import SAMPLER, Draw, derive_seed
from faithtune.models.decoding.text import Decoding, choose_tokens
from faithtune.models.tree import Tree
from faithtune.models.tree_cache import TreeCache

PROMPTS = [f"Final Answer: A. red plus {i}" for i in range(3)]


def drawn(model, texts: list[str], n: int, temperature: float, n_draws: int) -> list[str]:
    """`n_draws` texts of n tokens after each text, in order."""
    many = [text for text in texts for _ in range(n_draws)]
    draws = [Draw(temperature, derive_seed(7, text, i)) for text in texts for i in range(n_draws)]
    return [one.text for _, one in sorted(model.generate(many, n, draws=draws), key=lambda pair: pair[0])]


def test_what_is_drawn_belongs_to_the_samplers_number():
    """If this fails, stored draws would be drawn otherwise now: raise draws.SAMPLER and enter what is drawn."""
    draw = Draw(1.0, derive_seed(42, [1, 2], 1))
    assert (SAMPLER, draw.seed) == ("1", 7292096128942750130)
    assert [round(draw.number(place), 9) for place in range(3)] == [0.710046228, 0.801081558, 0.80326053]


def test_numbers_are_uniform_and_differ_by_seed_and_place():
    numbers = [Draw(1.0, seed).number(place) for seed in range(200) for place in range(20)]
    assert len(set(numbers)) == len(numbers)
    assert stats.kstest(numbers, "uniform").pvalue > 0.01


@pytest.mark.parametrize("temperature", [0.5, 1, 2.0])
def test_the_shares_of_the_first_token_are_those_of_the_softmax(temperature):
    logits = torch.tensor([2.0, 1.0, 0.0, -1.0, 3.0])
    texts = [Decoding(0, [0], draw=Draw(temperature, seed)) for seed in range(4000)]
    found = torch.tensor(choose_tokens(logits.expand(len(texts), -1), texts)).bincount(minlength=5)
    expected = (logits / temperature).softmax(-1).double() * len(texts)
    assert stats.chisquare(found, expected / expected.sum() * len(texts)).pvalue > 0.01


def test_the_shares_of_a_model_are_those_of_its_softmax():
    model = small.model(batch_size=64)
    with torch.inference_mode():
        logits = model.network(torch.tensor([model.token_ids(PROMPTS[0])])).logits[0, -1]
    p = (logits.double() / 3).softmax(-1)
    frequent = p.argsort(descending=True)[:8].tolist()
    draws = [Draw(3, seed) for seed in range(1000)]
    texts = [Decoding(0, [0], draw=draw) for draw in draws]
    chosen = choose_tokens(logits.expand(len(texts), -1), texts)
    assert [one.text for _, one in sorted(model.generate(PROMPTS[:1] * 64, 1, draws=draws[:64]))] == [
        model.tokenizer.decode([token], skip_special_tokens=True) for token in chosen[:64]
    ]
    found = [chosen.count(token) for token in frequent]
    expected = [1000 * p[token].item() for token in frequent]
    rest = 1000 - sum(found), 1000 - sum(expected)
    assert stats.chisquare([*found, rest[0]], [*expected, rest[1]]).pvalue > 0.01


@pytest.mark.parametrize("number", [0.0, 0.5, 1 - 2**-53])
def test_a_token_without_probability_is_never_drawn(number, monkeypatch):
    monkeypatch.setattr(Draw, "number", lambda draw, place: number)
    logits = torch.full((1, 9), -torch.inf)
    logits[0, [2, 6]] = 0.0
    [token] = choose_tokens(logits, [Decoding(0, [0], draw=Draw(1.0, 0))])
    assert token == (2 if number < 0.5 else 6)


def test_drawn_and_greedy_texts_share_a_batch():
    logits = torch.tensor([[0.0, 0.1, 0.0]] * 400)
    texts = [Decoding(0, [0], draw=Draw(1.0, i) if i % 2 else None) for i in range(400)]
    chosen = choose_tokens(logits, texts)
    assert set(chosen[::2]) == {1} and set(chosen[1::2]) == {0, 1, 2}


def test_a_cold_draw_is_the_greedy_text():
    model = small.model()
    greedy = [one.text for _, one in sorted(model.generate(PROMPTS, 12))]
    assert drawn(model, PROMPTS, 12, 1e-5, 2) == [text for text in greedy for _ in range(2)]
    assert drawn(model, PROMPTS, 12, 2.0, 1) != greedy


@pytest.mark.parametrize("sizes", [{"batch_size": 1}, {"batch_size": 5}, {"batch_size": 4, "max_packed_tokens": 30}])
def test_a_text_does_not_depend_on_its_batch(sizes):
    texts = drawn(small.model(), PROMPTS, 12, 1.0, 5)
    assert len(set(texts)) > 10
    assert drawn(small.model(**sizes), PROMPTS, 12, 1.0, 5) == texts
    alone = [drawn(small.model(), [text], 12, 1.0, 5) for text in reversed(PROMPTS)]
    assert [text for some in reversed(alone) for text in some] == texts


def test_the_prompt_of_many_draws_is_computed_once(monkeypatch):
    caches, model = [], small.model(batch_size=4)
    monkeypatch.setattr(local, "TreeCache", lambda load: caches.append(TreeCache(load)) or caches[-1])
    drawn(model, PROMPTS, 6, 1.0, 8)
    tree = Tree()
    for text in PROMPTS:
        tree.insert(model.token_ids(text))
    [cache] = caches
    # Of each text up to five new tokens; a text that starts later computes the prompt's last token again.
    assert len(tree) <= cache.n_computed <= len(tree) + 3 * 8 * (5 + 1)


def test_cold_chains_of_the_tiny_model_are_its_greedy_chains(tiny_model, templates):
    model = tiny.model(tiny_model, batch_size=8)
    users = [prompts.user_turn(templates, "cot", question) for question in arithmetic.generate(6, seed=3)]
    texts = [model.render(user, prompts.CHAIN_START) for user in users]
    greedy = dict(model.generate(texts, 64))
    cold = dict(model.generate(texts, 64, draws=[Draw(1e-5, i) for i in range(len(texts))]))
    assert {i: dataclasses.astuple(one) for i, one in cold.items()} == {
        i: dataclasses.astuple(one) for i, one in greedy.items()
    }
