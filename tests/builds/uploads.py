"""The part of Sentry's API that `sentry-cli` needs to upload debug files and to make releases, on loopback.

What is uploaded is put together from its chunks, and kept in a folder under its checksum.
"""

import email.parser
import gzip
import hashlib
import json
import pathlib
import re
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


class Uploads:
    def __init__(self, folder):
        self.folder = pathlib.Path(folder)
        self.folder.mkdir(parents=True, exist_ok=True)
        self.chunks = {}
        self.files = {}  # The name of each file, by its checksum.
        self.releases = {}
        self.asked = []
        uploads = self

        class Handler(BaseHTTPRequestHandler):
            def log_message(self, *_):
                pass

            def do_GET(self):
                self.answer()

            def do_POST(self):
                self.answer()

            def do_PUT(self):
                self.answer()

            def answer(self):
                body = self.rfile.read(int(self.headers.get("content-length", 0)))
                if self.headers.get("authorization") != "Bearer " + TOKEN:
                    status, told = 401, {"detail": "no token"}
                else:
                    status, told = uploads.answer(self.command, self.path, self.headers, body)
                told = json.dumps(told).encode()
                self.send_response(status)
                self.send_header("content-type", "application/json")
                self.send_header("content-length", str(len(told)))
                self.end_headers()
                self.wfile.write(told)

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def answer(self, method, path, headers, body):
        path = path.split("?")[0]
        self.asked.append(f"{method} {path}")
        if path == "/api/0/organizations/shop/chunk-upload/":
            if method == "POST":
                self.take(headers, body)
                return 200, {}
            return 200, {
                "url": self.url + path, "chunkSize": 8 << 20, "chunksPerRequest": 16, "maxRequestSize": 32 << 20, "maxFileSize": 2 << 30,
                "concurrency": 1, "hashAlgorithm": "sha1", "compression": ["gzip"], "accept": ["debug_files", "sources", "pdbs"],
            }
        if path == "/api/0/projects/shop/backend/files/difs/assemble/":
            return 200, {checksum: self.assemble(checksum, file) for checksum, file in json.loads(body).items()}
        if path == "/api/0/organizations/shop/releases/" and method == "POST":
            told = json.loads(body)
            return 201, self.release(told["version"], told)
        if found := re.fullmatch(r"/api/0/organizations/shop/releases/([^/]+)/", path):
            if method == "PUT":
                return 200, self.release(found[1].replace("%40", "@"), json.loads(body))
        return 404, {"detail": "not here"}

    def take(self, headers, body):
        """Keeps the chunks of a form, which are named by their checksums."""
        parts = email.parser.BytesParser().parsebytes(b"content-type: " + headers["content-type"].encode() + b"\r\n\r\n" + body)
        for part in parts.get_payload():
            chunk = part.get_payload(decode=True)
            if part.get_param("name", header="content-disposition") == "file_gzip":
                chunk = gzip.decompress(chunk)
            self.chunks[hashlib.sha1(chunk).hexdigest()] = chunk

    def assemble(self, checksum, file):
        missing = [chunk for chunk in file["chunks"] if chunk not in self.chunks]
        if missing:
            return {"state": "not_found", "missingChunks": missing}
        whole = b"".join(self.chunks[chunk] for chunk in file["chunks"])
        if hashlib.sha1(whole).hexdigest() != checksum:
            return {"state": "error", "missingChunks": [], "detail": "the checksum is another"}
        (self.folder / checksum).write_bytes(whole)
        self.files[checksum] = file["name"]
        dif = {"uuid": file.get("debug_id", ""), "debugId": file.get("debug_id", ""), "objectName": file["name"], "cpuName": "x86_64", "sha1": checksum, "data": {}}
        return {"state": "ok", "missingChunks": [], "dif": dif}

    def release(self, version, told):
        self.releases.setdefault(version, {}).update(told)
        return {**self.releases[version], "version": version, "dateCreated": "2026-01-01T00:00:00Z", "newGroups": 0, "projects": [{"slug": "backend", "name": "backend"}]}


TOKEN = "0b1ec7" * 10 + "0b1e"
