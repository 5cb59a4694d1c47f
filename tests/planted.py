"""Secrets of every kind, made up anew for each test, and what only looks like one."""

from __future__ import annotations

import base64
import random
import string
import uuid

_LETTERS = string.ascii_letters + string.digits


def _word(source: random.Random, size: int, letters: str = _LETTERS) -> str:
    return "".join(source.choice(letters) for _ in range(size))


def secrets_by_kind(seed: int) -> dict[str, str]:
    """Return one secret of each kind that is recognised by its looks alone.

    Put together from pieces, so that no scanner takes this file for a leak.

    Args:
        seed: Makes them different from those of another seed.

    """
    source = random.Random(seed)  # noqa: S311  (they guard nothing)

    def word(size: int, letters: str = _LETTERS) -> str:
        return _word(source, size, letters)

    low = string.ascii_lowercase + string.digits
    web = _LETTERS + "_-"
    up = string.ascii_uppercase + string.digits
    head = base64.urlsafe_b64encode(b'{"alg":"HS256"}').decode().rstrip("=")
    body = base64.urlsafe_b64encode(b'{"sub":"' + word(9).encode() + b'"}').decode()
    return {
        "aws": "AK" + "IA" + word(16, up),
        "artifactory": "AK" + "C" + word(12),
        "azure": "Account" + "Key=" + word(86) + "==",
        "discord": "M" + word(23) + "." + word(6) + "." + word(27),
        "github": "gh" + "p_" + word(36),
        "gitlab": "gl" + "pat-" + word(20),
        "jwt": f"{head}.{body.rstrip('=')}.{word(43)}",
        "mailchimp": word(32, low) + "-us" + "7",
        "npm": "np" + "m_" + word(36),
        "openai": "sk" + "-" + word(20) + "T3Blbk" + "FJ" + word(20),
        "pypi": "py" + "pi-AgEIcHlwaS5" + "vcmc" + word(80),
        "sendgrid": "S" + "G." + word(22, web[:62]) + "." + word(43, web[:62]),
        "slack": "xo" + "xb-" + word(12, string.digits) + "-" + word(24, low),
        "square": "sq0" + "csp-" + word(43),
        "stripe": "sk_" + "live_" + word(24),
        "telegram": word(9, string.digits) + ":" + word(35),
        "twilio": "S" + "K" + word(32, low),
        "vault": "hv" + "s." + word(30),
        "pulumi": "pu" + "l-" + word(40, "0123456789abcdef"),
    }


_SHA = "1f3870be274f6c49b3e31a0c6728957f1f3870be"
_PNG = base64.b64encode(b"\x89PNG\r\n\x1a\n" + bytes(range(256)) * 4).decode()
LOOK_ALIKES = (
    "ami-0df7e95b351bd8408",
    "i-0df7e95b351bd8408",
    "sg-0df7e95b351bd8408 subnet-0df7e95b351bd8408 vpc-0df7e95b",
    f"commit {_SHA}",
    "commit 1f3870b",
    "sha256:" + "ab12" * 16,
    "ab12" * 16 + "  package.whl",
    "arn:aws:iam::123456789012:role/deployer",
    "arn:aws:secretsmanager:us-east-1:123456789012:secret:tika-AbCdEf",
    "7d0b1f6a-3c58-4d0e-9b35-7f8f2f9d3c11",
    "019ac0de-1234-7abc-8def-0123456789ab",
    "docker.io/library/debian@sha256:" + "0f" * 32,
    "https://docs.example.org/tokens/password?page=2#secret",
    "git+ssh://git@example.org/tika.git",
    "urn:pulumi:CI::tika::aws:autoscaling/group:Group::tika-ci",
    "openjdk-17-jre 17.0.13+11-2~deb12u1",
    "/etc/systemd/system/tika.service",
    _PNG,
    "--hash=sha256:" + "9c" * 32,
    "account 123456789012",
    "password: [secret]",
    'password = os.environ["DB_PASSWORD"]',
    "docker login --password-stdin registry",
    "secure: v1:Ab3dEf5hIj7lMn9p:qRs2uVw4yZ6a8Bc0dEf1hIj3lMn5p7rS",
    "a token in prose: it is what the bucket gives, and password: required",
    "secret_arn, token_type, password_file and api_key are variable names",
    "def connect(password: str, token: str | None = None) -> None:",
    "token_count = 123456, token: 123456 of 200000",
    "password = settings.database.password",
    "key_name: tika-ci, kms_key_id: " + str(uuid.UUID(int=7 << 76)),
    "TOKEN=${VAULT_TOKEN} PASSWORD=$PASSWORD",
    "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJ2kFz0mE2x3bqkZ9fF8uVw1cT7d tika",
    "Translating amd64 APIs, MACs and the SKU",
)
