"""The lines of docs/security.md that check a keystore: a good one passes, one that was tampered with does not.

The keystore is made with openssl as sros2 makes its own: one certificate authority on prime256v1, a certificate for
each enclave, documents signed as S/MIME text with the signature detached.
"""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from coedge_ros.nodes.composition import cluster_of
from coedge_ros.nodes.security_policy import absolute, cluster_access

PAGE = Path(__file__).parents[2] / "docs" / "security.md"
pytestmark = pytest.mark.skipif(shutil.which("openssl") is None, reason="the command openssl is not installed")
ENCLAVES = cluster_access(cluster_of(""))


def openssl(*arguments: str, cwd: Path) -> None:
    done = subprocess.run(["openssl", *arguments], cwd=cwd, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def authority(folder: Path, name: str) -> None:
    """A key and a certificate that may sign others, as sros2 names and limits it."""
    subject = ["-subj", f"/CN={name}", "-days", "3650", "-addext", "basicConstraints=critical,CA:TRUE,pathlen:1"]
    key = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"]
    openssl("req", "-x509", *key, *subject, "-keyout", f"{name}.key.pem", "-out", f"{name}.cert.pem", cwd=folder)


def signed(folder: Path, document: Path, to: Path) -> None:
    who = ["-signer", "sros2CA.cert.pem", "-inkey", "sros2CA.key.pem"]
    openssl("smime", "-sign", "-text", *who, "-in", str(document), "-out", str(to), cwd=folder)


@pytest.fixture(scope="module")
def keystore(tmp_path_factory) -> Path:
    """Folder that has keystore/ in it, for the shipped cluster."""
    root = tmp_path_factory.mktemp("security")
    private, public, enclaves = (root / "keystore" / name for name in ("private", "public", "enclaves"))
    for folder in (private, public, enclaves):
        folder.mkdir(parents=True)
    authority(private, "sros2CA")
    for kind in ("identity_ca", "permissions_ca"):
        shutil.copy(private / "sros2CA.cert.pem", public / f"{kind}.cert.pem")
    (enclaves / "governance.xml").write_text("<dds><domain_access_rules/></dds>\n")
    signed(private, enclaves / "governance.xml", enclaves / "governance.p7s")
    for enclave in ENCLAVES:
        folder = enclaves / enclave.path[1:]
        folder.mkdir(parents=True)
        for name in ("identity_ca.cert.pem", "permissions_ca.cert.pem"):
            (folder / name).symlink_to(os.path.relpath(public / name, folder))
        (folder / "governance.p7s").symlink_to(os.path.relpath(enclaves / "governance.p7s", folder))
        key = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-keyout", "key.pem"]
        subject = "/CN=" + enclave.path.replace("/", "\\/")
        openssl("req", *key, "-subj", subject, "-out", "request.pem", cwd=folder)
        by = ["-CA", str(private / "sros2CA.cert.pem"), "-CAkey", str(private / "sros2CA.key.pem"), "-CAcreateserial"]
        openssl("x509", "-req", *by, "-days", "3650", "-in", "request.pem", "-out", "cert.pem", cwd=folder)
        names = {absolute(t, enclave.namespace, n.node) for n in enclave.nodes for t in n.publish}
        topics = "".join(f"<topic>rt{name}</topic>" for name in sorted(names))
        (folder / "permissions.xml").write_text(f"<dds><permissions>{topics}</permissions></dds>\n")
        signed(private, folder / "permissions.xml", folder / "permissions.p7s")
    return root


def check(root: Path) -> subprocess.CompletedProcess:
    """Run the page's block as it stands."""
    blocks = re.findall(r"^```sh\n(.*?)^```$", PAGE.read_text(), re.M | re.S)
    (block,) = [text for text in blocks if "openssl" in text]
    programs = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    return subprocess.run(
        ["bash", "-c", block], cwd=root, capture_output=True, text=True, env=os.environ | {"PATH": programs}
    )


def test_a_good_keystore_passes(keystore):
    done = check(keystore)
    assert done.returncode == 0 and "keystore is good" in done.stdout, done.stdout + done.stderr
    assert done.stdout.count("cert.pem: OK") == len(ENCLAVES)


def _other_permissions(enclave: Path, other: Path) -> None:
    text = (enclave / "permissions.p7s").read_text()
    (enclave / "permissions.p7s").write_text(text.replace("rt/coedge/worker_status", "rt/coedge/partition_plan", 1))


def _other_signer(enclave: Path, other: Path) -> None:
    authority(other, "sros2CA")
    signed(other, enclave / "permissions.xml", enclave / "permissions.p7s")


def _other_identity(enclave: Path, other: Path) -> None:
    authority(other, "stranger")
    shutil.copy(other / "stranger.cert.pem", enclave / "cert.pem")


def _no_permissions(enclave: Path, other: Path) -> None:
    (enclave / "permissions.p7s").unlink()


@pytest.mark.parametrize("damage", [_other_permissions, _other_signer, _other_identity, _no_permissions])
def test_one_that_was_tampered_with_does_not(keystore, tmp_path, damage):
    shutil.copytree(keystore / "keystore", tmp_path / "keystore", symlinks=True)
    other = tmp_path / "other"
    other.mkdir()
    damage(tmp_path / "keystore" / "enclaves" / "coedge" / "worker_2", other)
    done = check(tmp_path)
    assert done.returncode != 0 and "keystore is good" not in done.stdout
