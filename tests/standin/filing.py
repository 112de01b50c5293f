"""Files: multipart uploads, kept in memory."""

from standin.settings import Settings
from standin.shapes import listed, missing, need, now
from standin.wire import Request, Response

PURPOSES = ("batch", "fine-tune")


class Files:
    def __init__(self, settings: Settings):
        self.settings = settings
        self.objects: dict[str, dict] = {}
        self.looks: dict[str, int] = {}  # retrievals until an uploaded file has been worked through
        self.contents: dict[str, bytes] = {}

    def add(self, purpose: str, filename: str, data: bytes) -> dict:
        name = f"file-{len(self.contents) + 1}"
        self.objects[name] = {
            "id": name,
            "object": "file",
            "bytes": len(data),
            "created_at": now(),
            "filename": filename,
            "purpose": purpose,
            "status": "processed",
            "expires_at": None,
            "status_details": None,
        }
        self.contents[name] = data
        return self.objects[name]

    def create(self, request: Request) -> dict:
        fields = parts(request)
        need("file" in fields, "'file' is a required property", "file")
        purpose = fields.get("purpose", ("", b""))[1].decode()
        need(purpose in PURPOSES, f"'{purpose}' is not one of {list(PURPOSES)} - 'purpose'", "purpose")
        filename, data = fields["file"]
        need(data, "File is empty.", "file")
        found = self.add(purpose, filename, data)
        self.looks[found["id"]] = self.settings.file_looks
        if self.settings.file_looks or self.settings.file_fault:
            found["status"] = "uploaded"
        return found

    def page(self, request: Request) -> dict:
        purpose = request.query.get("purpose")
        return listed([f for f in self.objects.values() if purpose in (None, f["purpose"])], request.query)

    def retrieve(self, request: Request, name: str) -> dict:
        if name not in self.objects:
            raise missing("File", name)
        found = self.objects[name]
        if found["status"] in ("uploaded", "pending"):
            self._work(found)
        return found

    def _work(self, found: dict) -> None:
        """One look nearer to the end of its processing."""
        self.looks[found["id"]] -= 1
        if self.looks[found["id"]] > 0:
            found["status"] = "pending"  # not a state of the API's own, but of hosts that take their time
        else:
            fault = self.settings.file_fault
            found |= {"status": "error" if fault else "processed", "status_details": fault}

    def content(self, request: Request, name: str) -> Response:
        self.retrieve(request, name)
        return Response(200, self.contents[name], {"content-type": "application/octet-stream"})

    def delete(self, request: Request, name: str) -> dict:
        self.retrieve(request, name)
        del self.objects[name]  # its content stays, so that no id comes twice
        return {"id": name, "object": "file", "deleted": True}

    def lines(self, name: object, purpose: str, param: str) -> list[bytes]:
        """Of an uploaded file, for a batch or a job; refuses one that is not there or for something else."""
        need(name in self.objects, f"File '{name}' does not exist.", param)
        found, status = (self.objects[name][key] for key in ("purpose", "status"))
        need(status == "processed", f"File '{name}' is in state '{status}', not processed yet.", param)
        need(found == purpose, f"File '{name}' has purpose '{found}', '{purpose}' is needed.", param)
        return self.contents[name].splitlines()


def parts(request: Request) -> dict[str, tuple[str, bytes]]:
    """Name -> file name and content of each part of a multipart body."""
    kind = request.headers.get("content-type", "")
    need(kind.startswith("multipart/form-data"), "The body must be multipart/form-data.")
    boundary = b"--" + kind.partition("boundary=")[2].strip('"').encode()
    found = {}
    for part in request.body.split(boundary)[1:-1]:
        head, _, data = part.partition(b"\r\n\r\n")
        marks = dict(mark.strip().split("=", 1) for mark in _disposition(head).split(";")[1:])
        name, filename = (marks.get(key, "").strip('"') for key in ("name", "filename"))
        found[name] = filename, data.removesuffix(b"\r\n")
    return found


def _disposition(head: bytes) -> str:
    return next(line for line in head.decode().split("\r\n") if line.lower().startswith("content-disposition:"))
