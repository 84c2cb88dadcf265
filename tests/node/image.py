"""The image of the Dockerfile, as an archive in the cache; built by buildah on a base of Debian packages.

No registry is contacted: the base is the file system of tests/node/system.py with Debian's Python, in place of the
Dockerfile's default.
"""

from __future__ import annotations

import hashlib
import shutil
from pathlib import Path
from typing import TYPE_CHECKING

from tests.controlplane.meter import to_stderr
from tests.controlplane.programs import cache_folder, cached
from tests.node.programs import find_programs
from tests.node.system import cached_system, find_system, run_quietly

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from tests.controlplane.meter import Progress

ROOT = Path(__file__).parents[2]
OPERATOR = "localhost/trainingjob-operator:test"
PAUSE = "localhost/pause:test"
SOURCES = (
    *("Dockerfile", ".dockerignore", "LICENSE", "README.md", "image", "operator/trainingjob_operator"),
    *("pyproject.toml", "requirements.lock", "requirements-dev.lock"),
)

ENTER = """
set -eu
root=$1 system=$2 sources=$3 programs=$4 out=$5 certificates=$6 inner=$7
shift 7
mount --make-rprivate /
mount --bind "$root" "$root"
mount -t proc proc "$root/proc"
mount --rbind /dev "$root/dev"
mount --rbind /sys "$root/sys"
for folder in run tmp; do mount -t tmpfs tmpfs "$root/$folder"; done
mkdir "$out/storage" "$root/tmp/sources" "$root/tmp/programs" "$root/tmp/out"
mount --bind "$sources" "$root/tmp/sources"
mount --bind "$programs" "$root/tmp/programs"
mount --bind "$out" "$root/tmp/out"
cp "$system/base.tar" "$out/storage/base.tar"
cp "$certificates" "$out/storage/ca.crt"
exec chroot "$root" env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin HOME=/tmp sh -c "$inner" sh "$@"
"""
BUILD = """
set -eu
operator=$1 pause=$2 revision=$3
storage=/tmp/out/storage
export STORAGE_DRIVER=overlay TMPDIR=$storage
store() { buildah --root $storage/graph --runroot $storage/run "$@"; }
build() {
    store build --isolation chroot --pull=never --network host \
        --ulimit nofile=20000:20000 --ulimit nproc=4096:4096 "$@"
}
cd $storage
printf 'FROM scratch\nADD base.tar /\n' > base.file
build --file base.file --tag localhost/base:test .
rm base.tar
printf 'FROM scratch\nCOPY pause /pause\nENTRYPOINT ["/pause"]\n' > pause.file
build --file pause.file --tag "$pause" /tmp/programs
build --build-arg BASE=localhost/base:test --build-arg REVISION="$revision" \
    --volume $storage/ca.crt:/etc/ssl/certs/ca-certificates.crt:ro --tag "$operator" /tmp/sources
store push --quiet "$operator" oci-archive:/tmp/out/operator.tar:"$operator"
store push --quiet "$pause" oci-archive:/tmp/out/pause.tar:"$pause"
rm -rf $storage
"""


def cached_image(environment: Mapping[str, str]) -> Path:
    """The folder for operator.tar and pause.tar of the present sources, before and after their build."""
    digest = hashlib.sha256(f"{ENTER}{BUILD}{cached_system(environment).name}".encode())
    for file in source_files():
        digest.update(f"{file.relative_to(ROOT)}\0".encode() + file.read_bytes())
    return cache_folder(environment) / f"image-{digest.hexdigest()[:8]}"


def source_files() -> Iterator[Path]:
    """Yield the source files of the image, in a fixed order."""
    for source in SOURCES:
        path = ROOT / source
        files = [path] if path.is_file() else sorted(file for file in path.rglob("*") if file.is_file())
        yield from (file for file in files if "__pycache__" not in file.parts)


def find_image(environment: Mapping[str, str], progress: Progress = to_stderr) -> Path:
    """The folder of cached_image, built if it is missing. Raises ProgramsMissingError."""

    def build(folder: Path) -> None:
        for old in folder.parent.glob("image-????????"):
            shutil.rmtree(old)
        system, programs = find_system(environment, progress), find_programs(environment, progress)
        progress("building the image: about 2 minutes")
        certificates = environment.get("SSL_CERT_FILE", "/etc/ssl/certs/ca-certificates.crt")
        command = ["unshare", "--mount", "sh", "-c", ENTER, "sh", str(system / "root"), str(system), str(ROOT)]
        run_quietly([*command, str(programs), str(folder), certificates, BUILD, OPERATOR, PAUSE, "test"])

    return cached(cached_image(environment), build, progress)
