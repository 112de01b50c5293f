"""The lines of a batch: the requests in its input file, the results in the files of its output and errors."""

import json

from standin import speaking
from standin.settings import Settings


def read(data: bytes, endpoint: str, limits: Settings, enqueued: int) -> tuple[list[dict], list[dict]]:
    """What is wrong with an input file, else its lines."""
    rows = data.splitlines()
    if len(data) > limits.max_bytes:
        return [mistake("file_too_large", f"The file is larger than {limits.max_bytes} bytes.")], []
    if len(rows) > limits.max_requests:
        return [mistake("too_many_tasks", f"The file has more than {limits.max_requests} requests.")], []
    errors, lines, seen = [], [], set()
    for i, row in enumerate(rows, 1):
        try:
            line = json.loads(row)
            custom_id, url, model = line["custom_id"], line["url"], line["body"]["model"]
        except (ValueError, KeyError, TypeError):
            errors.append(mistake("invalid_json_line", "This line is not a request in JSON.", i))
            continue
        if custom_id in seen:
            errors.append(mistake("duplicate_custom_id", f"custom_id {custom_id} comes twice.", i, "custom_id"))
        if url != endpoint:
            errors.append(mistake("url_mismatch", f"{url} is not the batch's endpoint.", i, "url"))
        if lines and model != lines[0]["body"]["model"]:
            errors.append(mistake("model_mismatch", f"{model} is not the model of the first line.", i, "body.model"))
        seen.add(custom_id)
        lines.append(line)
    if not rows:
        errors.append(mistake("empty_file", "The input file is empty."))
    elif not errors and enqueued + prompt_tokens(lines) > limits.max_enqueued_tokens:
        message = (
            f"Enqueued token limit reached for {lines[0]['body']['model']} in organization org-standin. "
            f"Limit: {limits.max_enqueued_tokens:,} enqueued tokens. "
            "Please try again once some in_progress batches have been completed."
        )
        errors.append(mistake("token_limit_exceeded", message))
    return errors, lines


def custom_ids(lines: list[bytes]) -> list[str]:
    """Of those lines that have one."""
    found = []
    for line in lines:
        try:
            found.append(json.loads(line)["custom_id"])
        except (ValueError, KeyError, TypeError):
            continue
    return found


def prompt_tokens(lines: list[dict]) -> int:
    return sum(speaking.prompt_tokens(line["body"]) for line in lines)


def mistake(code: str, message: str, line: int | None = None, param: str | None = None) -> dict:
    return {"code": code, "message": message, "line": line, "param": param}


def result(batch: str, key: str, response: dict | None, error: dict | None = None) -> dict:
    return {"id": f"batch_req_{batch}_{key}", "custom_id": key, "response": response, "error": error}


def usage(output: list[dict]) -> dict:
    used = [line["response"]["body"]["usage"] for line in output]
    read, written = (sum(each[kind] for each in used) for kind in ("prompt_tokens", "completion_tokens"))
    return {
        "input_tokens": read,
        "input_tokens_details": {"cached_tokens": 0},
        "output_tokens": written,
        "output_tokens_details": {"reasoning_tokens": 0},
        "total_tokens": read + written,
    }
