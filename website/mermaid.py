"""`python -m website.mermaid FILE`: fetch the program that draws the diagrams, of one version, with npm."""

from __future__ import annotations

import base64
import hashlib
import json
import subprocess
import sys
import tarfile
import tempfile
from pathlib import Path

PACKAGE = "mermaid@12.3.0"
"""Of the major version that Zensical supports."""
SHA512 = "4113TdXeLAsMruJ79OpFL5O8+LTFXhQqZ260rF3tgUmiNAtRm4Uume04I+65PRN6yZ69J4f8rVYWW8zRk65UYw=="
PROGRAM = "package/dist/mermaid.min.js"


def main() -> None:
    target = Path(sys.argv[1])
    with tempfile.TemporaryDirectory() as folder:
        command = ["npm", "pack", PACKAGE, "--json", "--pack-destination", folder]
        [about] = json.loads(subprocess.run(command, check=True, stdout=subprocess.PIPE).stdout)
        archive = Path(folder, about["filename"])
        digest = base64.b64encode(hashlib.sha512(archive.read_bytes()).digest()).decode()
        if digest != SHA512:
            sys.exit(f"{PACKAGE} has the SHA-512 {digest} instead of {SHA512}")
        with tarfile.open(archive) as files:
            files.extract(PROGRAM, folder, filter="data")
        target.write_bytes(Path(folder, PROGRAM).read_bytes())


if __name__ == "__main__":
    main()
