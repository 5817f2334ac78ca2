"""A signed statement: DSSE in a Sigstore bundle v0.3, with a key of one's own.

Sources: https://github.com/secure-systems-lab/dsse, sigstore/protobuf-specs (bundle v0.3).
"""

from __future__ import annotations

import base64
import binascii
import json
from hashlib import sha256
from typing import TYPE_CHECKING, Any

from harness.errors import UsageError
from harness.formatting import one_line

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.types import PrivateKeyTypes
    from securesystemslib.signer import SSlibKey

NAME = "attestation.sigstore.json"
MEDIA_TYPE = "application/vnd.dev.sigstore.bundle.v0.3+json"
PAYLOAD_TYPE = "application/vnd.in-toto+json"
MAKE_KEY = "openssl genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-256 -out harness.key"


def signed(payload: bytes, key: bytes, password: str, shown: str) -> bytes:
    """Sign a statement with a private key in PEM; return the bundle. UsageError where the key is none.

    ``shown``: the key's file, for messages.
    """
    from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
    from securesystemslib.dsse import Envelope
    from securesystemslib.signer import CryptoSigner

    private = _private(key, password, shown)
    envelope = Envelope(payload, PAYLOAD_TYPE, {})
    envelope.sign(CryptoSigner(private))
    (signature,) = envelope.signatures.values()
    public = private.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    bundle = {
        "mediaType": MEDIA_TYPE,
        "verificationMaterial": {"publicKey": {"hint": sha256(public).hexdigest()}, "tlogEntries": []},
        "dsseEnvelope": {
            "payload": base64.b64encode(payload).decode(),
            "payloadType": PAYLOAD_TYPE,
            "signatures": [{"sig": base64.b64encode(bytes.fromhex(signature.signature)).decode(), "keyid": ""}],
        },
    }
    return (json.dumps(bundle, indent=1) + "\n").encode()


def opened(bundle: bytes, public: bytes, shown: str, shown_key: str) -> dict[str, Any]:
    """Return the statement in a bundle that the key has signed. UsageError where it has not, or it is no bundle."""
    from securesystemslib.dsse import Envelope
    from securesystemslib.exceptions import UnverifiedSignatureError, VerificationError
    from securesystemslib.signer import Signature

    key = _public(public, shown_key)
    try:
        content = json.loads(bundle)
        if content["mediaType"] != MEDIA_TYPE:
            raise ValueError("its mediaType is another")
        sealed = content["dsseEnvelope"]
        if sealed["payloadType"] != PAYLOAD_TYPE:
            raise ValueError("its payload is no in-toto statement")
        payload = base64.b64decode(sealed["payload"], validate=True)
        (given,) = sealed["signatures"]
        signature = Signature(key.keyid, base64.b64decode(given["sig"], validate=True).hex())
        key.verify_signature(signature, Envelope(payload, PAYLOAD_TYPE, {}).pae())
        statement = json.loads(payload)
        if not isinstance(statement, dict):
            raise ValueError("its payload is no in-toto statement")
    except (UnverifiedSignatureError, VerificationError) as error:
        raise UsageError(f"{shown} was not signed by {shown_key}, or changed since; do not release by it") from error
    except (ValueError, KeyError, TypeError, RecursionError, binascii.Error) as error:
        reason = one_line(f"no {error}" if isinstance(error, KeyError) else str(error), 120)
        raise UsageError(
            f"{shown} is no attestation that can be verified: {reason}; run harness attest again"
        ) from error
    return statement


def _private(key: bytes, password: str, shown: str) -> PrivateKeyTypes:
    from cryptography.exceptions import UnsupportedAlgorithm
    from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, EllipticCurvePrivateKey
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
    from cryptography.hazmat.primitives.serialization import load_pem_private_key

    try:
        private = load_pem_private_key(key, password.encode() or None)
    except TypeError as error:
        way = "drop HARNESS_KEY_PASSWORD" if password else "put its password into HARNESS_KEY_PASSWORD"
        raise UsageError(f"{shown}: {one_line(str(error), 120)}; {way}") from error
    except (ValueError, UnsupportedAlgorithm) as error:
        wrong = "its password is another" if b"ENCRYPTED" in key and password else "it is no private key in PEM"
        raise UsageError(f"{shown} cannot be read: {wrong}; make a key: {MAKE_KEY}") from error
    curve = isinstance(private, EllipticCurvePrivateKey) and isinstance(private.curve, SECP256R1)
    if not (curve or isinstance(private, Ed25519PrivateKey)):
        raise UsageError(f"{shown} is a key of another kind than ECDSA P-256 and Ed25519; make one: {MAKE_KEY}")
    return private


def _public(key: bytes, shown: str) -> SSlibKey:
    from cryptography.exceptions import UnsupportedAlgorithm
    from cryptography.hazmat.primitives.serialization import load_pem_public_key
    from securesystemslib.signer import SSlibKey

    try:
        return SSlibKey.from_crypto(load_pem_public_key(key))
    except (ValueError, UnsupportedAlgorithm) as error:
        way = "make it of the private one: openssl pkey -in harness.key -pubout -out harness.pub"
        raise UsageError(f"{shown} is no public key in PEM; {way}") from error
