"""A job that is killed in its middle and run again: the rows of an undisturbed one, to the last digit."""

import pytest
import tiny

from faithtune.arms import answers as answering
from faithtune.arms import blocks, chains
from faithtune.arms.cached_arm import CachedArm
from faithtune.arms.open import committed
from faithtune.arms.row_store import RowStore
from faithtune.data import questions
from faithtune.data.readers import arithmetic
from faithtune.interventions import build
from faithtune.settings.answers import AnswerSettings
from faithtune.settings.chains import ChainSettings
from frames import tampering


class Killed(Exception):
    pass


@pytest.fixture(scope="module")
def asked():
    """Nine sums: two blocks."""
    return questions.frame(arithmetic.generate(9, seed=11), "sums", "eval")


def answers(folder, model, asked, templates, most=None):
    """All answers, computed block by block; killed after `most` rows."""
    network = tiny.model(model, batch_size=4, max_packed_tokens=500)
    with RowStore(folder, together=True) as rows:
        put = rows.put

        def counting(key, value):
            if len(rows.rows) == most:
                raise Killed
            put(key, value)

        rows.put = counting
        found = []
        arm = CachedArm(network, rows, "tiny")
        settings = AnswerSettings(max_new_tokens=8, min_option_mass=0.05, again=0, shuffle=False)
        for block in committed(blocks.cut(asked, 5), arm):
            written = chains.write(arm, block.questions, templates, ChainSettings(max_new_tokens=96))
            tampered = build.build(written, tampering(["early_termination"]), network.count_tokens)
            found.append(answering.answer(arm, block, written, tampered, templates, settings))
        return found


@pytest.mark.parametrize("share", [0.2, 0.5, 0.8])
def test_a_resumed_job_has_the_digits_of_an_undisturbed_one(tmp_path, tiny_model, templates, asked, share):
    undisturbed = answers(tmp_path / "whole", tiny_model, asked, templates)
    most = int(share * len(RowStore(tmp_path / "whole").rows))
    with pytest.raises(Killed):
        answers(tmp_path / "killed", tiny_model, asked, templates, most)
    assert len(RowStore(tmp_path / "killed").rows) < most
    resumed = answers(tmp_path / "killed", tiny_model, asked, templates)
    for one, other in zip(undisturbed, resumed, strict=True):
        assert one.equals(other)
