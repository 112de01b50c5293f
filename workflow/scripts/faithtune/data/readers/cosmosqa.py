"""CosmosQA: commonsense reading of everyday narratives.

https://github.com/wilburOne/cosmosqa, data/{train,valid}.csv, has the row

    id       3BFF0DJK8XA7YNK4QYIGCOG1A95STE##...
    context  Do i need to go for a legal divorce ? I wanted to marry a woman but she is not in the same religion , ...
    question Why is this person asking about divorce ?
    answer0  If he gets married in the church he wo nt have to get a divorce .
    answer1  He wants to get married to a different person .
    answer2  He wants to know if he does nt like this girl can he divorce her ?
    answer3  None of the above choices .
    label    1

The traps: 2,985 questions share 2,445 contexts, so they are not independent (the context is the group). Most have an
option "None of the above choices .", which must keep its place. The text is tokenised ("wo nt") and stays so.
allenai/cosmos_qa on the hub is a script, which `datasets` no longer runs.
"""

from faithtune.data.questions import choice
from faithtune.data.readers.layouts import layout, letter

KIND = "choice"
RATIONALE = None
DOMAIN = "common sense"
LICENCE = {"/wilburOne/cosmosqa/": "none stated; the hub's card says CC BY 4.0"}

_OPTIONS = ("answer0", "answer1", "answer2", "answer3")


def questions(records: list[dict]) -> list[dict]:
    """The records as questions; the label counts from 0."""
    layout("cosmosqa", records, {"github": ("context", "question", *_OPTIONS, "label")})
    return [
        choice(
            row["question"],
            [row[name] for name in _OPTIONS],
            letter("cosmosqa", place, row["label"], len(_OPTIONS)),
            context=row["context"],
        )
        for place, row in enumerate(records, 1)
    ]
