"""The release of a version: a DSSE statement by the offline release key that this model may leave training.

Decides: what a release says and when it holds against a root document. Never: where the private key lies (the plane
does not hold it) nor whether the plane knows the version. Limits: one signature; a retired key releases nothing.
Source: trust.md ("an offline release key it does not hold"); DSSE by way of crypto/dsse.py.
"""

import msgspec

from podium.crypto.dsse import open_statement, seal_statement
from podium.crypto.root import active_key, active_keys
from podium.crypto.sign import key_id, public_key
from podium.wire.canonical import canonical, decode_canonical
from podium.wire.messages import RootDocument
from podium.wire.problems import DeviceFault, OperatorFault

ROLE = "release"
RELEASE_TYPE = "application/vnd.podium.release+json"


class Terms(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What is signed: `version` ("sha256:<hex>") of plane `plane_id`, trained by the task `task_digest` ("" if
    somebody brought it in)."""

    plane_id: str
    version: str
    task_digest: str


class Release(msgspec.Struct, frozen=True, kw_only=True):
    """A release that held: its terms and the id of the key that signed them."""

    plane_id: str
    version: str
    task_digest: str
    key_id: str


def seal_release(document: RootDocument, seed: bytes, version: str, task_digest: str) -> bytes:
    """The DSSE envelope that releases `version` of the plane of `document`, signed by the release key of `seed`.

    `OperatorFault(release-invalid)` if the 32-byte seed's key is none of the role `release` of `document`.
    """
    name = key_id(public_key(seed))
    known = _release_keys(document)
    if name not in known:
        why = (
            f"the key is {name}; root version {document.version} of plane {document.plane_id} names {', '.join(known)}"
        )
        raise OperatorFault("release-invalid", what="that is not the plane's release key", why=why)
    terms = Terms(plane_id=document.plane_id, version=version, task_digest=task_digest)
    return seal_statement(seed, RELEASE_TYPE, canonical(terms))


def open_release(document: RootDocument, envelope: bytes) -> Release:
    """The release in `envelope` once a key of the role `release` of `document` signed it and it names that plane.

    `OperatorFault(release-invalid)` when the root has no such role, on another key, payload type, plane or signature,
    and on a payload that is not canonical.
    """
    why = "no release key signed it"
    for name in _release_keys(document):
        try:
            payload = open_statement(active_key(document, ROLE, name), RELEASE_TYPE, envelope)
        except DeviceFault as error:
            why = error.why or error.what
            continue
        return _opened(document, payload, name)
    raise OperatorFault("release-invalid", what="verify the release", why=why)


def _release_keys(document: RootDocument) -> tuple[str, ...]:
    known = active_keys(document, ROLE)
    if not known:
        raise OperatorFault(
            "release-invalid",
            what=f"plane {document.plane_id} has no release key",
            why=f"version {document.version} of its root document names none",
            next="podium key rotate --role release",
        )
    return known


def _opened(document: RootDocument, payload: bytes, name: str) -> Release:
    try:
        terms = decode_canonical(payload, Terms)
    except DeviceFault as error:
        raise OperatorFault("release-invalid", what="read the release", why=error.why or error.what) from error
    if terms.plane_id != document.plane_id:
        why = f"it is of plane {terms.plane_id}, the root of {document.plane_id}"
        raise OperatorFault("release-invalid", what="verify the release", why=why)
    return Release(plane_id=terms.plane_id, version=terms.version, task_digest=terms.task_digest, key_id=name)
