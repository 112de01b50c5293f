"""Lines of a training file, checked as the API checks them."""

import json

from standin import speaking
from standin.shapes import Refusal


def read(data: bytes, method: str, param: str) -> list[dict]:
    """Examples of a JSONL file; refuses the first line of another shape."""
    found = []
    for number, line in enumerate(data.splitlines(), 1):
        try:
            example = json.loads(line)
            whole = _supervised(example) if method == "supervised" else _preference(example)
        except (ValueError, KeyError, TypeError, AttributeError, IndexError):
            whole = False
        if not whole:
            message = (
                f"The job failed due to an invalid {param.replace('_', ' ')}. Invalid file format. Line {number}: "
            )
            message += f"not an example of the method '{method}'."
            raise Refusal(400, message, code=f"invalid_{param}", param=param)
        found.append(example)
    return found


def count(example: dict) -> int:
    """Tokens of an example."""
    if "messages" in example:
        return len(speaking.tokens(speaking.content(example)))
    turns = example["preferred_output"] + example["non_preferred_output"] + example["input"]["messages"]
    return len(speaking.tokens(speaking.content({"messages": turns})))


def _supervised(example: dict) -> bool:
    """{"messages": [..., {"role": "assistant", ...}]}"""
    return set(example) == {"messages"} and _turns(example["messages"]) and _last(example["messages"]) == "assistant"


def _preference(example: dict) -> bool:
    """{"input": {"messages": [...]}, "preferred_output": [one turn], "non_preferred_output": [one turn]}"""
    outputs = [example["preferred_output"], example["non_preferred_output"]]
    asked = example["input"]["messages"]
    one_turn = all(len(turns) == 1 and _turns(turns) and _last(turns) == "assistant" for turns in outputs)
    return one_turn and _turns(asked) and _last(asked) != "assistant"


def _turns(messages: list[dict]) -> bool:
    return all(turn["role"] in speaking.ROLES and isinstance(turn["content"], str) for turn in messages)


def _last(messages: list[dict]) -> str:
    return messages[-1]["role"]
