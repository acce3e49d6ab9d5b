"""Every configuration key of pulumi-aws: what it means for a session, and which values it takes.

The keys are those of the stack's configuration (``aws:region``); the ``aws`` argument of a resource
has the same ones in snake_case. Pure: nothing here reads a file or calls a service.
"""

from __future__ import annotations

import difflib
import enum
import json
import math
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any
from urllib.parse import urlsplit

Reader = Callable[[Any], Any]
"""Turns a value of Pulumi's into a hashable one; raises ValueError that continues the key's name.

Scalars of the stack's configuration arrive as text, and numbers of arguments as floats.
"""

_AWS_DOMAINS = (".amazonaws.com", ".amazonaws.com.cn", ".api.aws", ".amazonwebservices.com.cn")

MINIMUM_ROLE_SECONDS, MAXIMUM_ROLE_SECONDS = 900, 43200
"""How long the credentials of a role may last: 15 minutes to 12 hours (STS AssumeRole)."""

_DURATION = re.compile(r"(\d+(?:\.\d*)?|\.\d+)(ns|us|µs|μs|ms|s|m|h)")
_UNIT_SECONDS = {"h": 3600.0, "m": 60.0, "s": 1.0, "ms": 1e-3, "us": 1e-6, "ns": 1e-9}


class Treatment(enum.Enum):
    """What is done with a key."""

    OBEYED = "obeyed"
    REFUSED = "refused"
    HARMLESS = "harmless"


@dataclass(frozen=True)
class Key:
    """One configuration key."""

    name: str
    """As in the stack's configuration, without the namespace: ``assumeRoles``."""
    read: Reader
    note: str
    """What it does here; for a refused key what to do instead, for a harmless one why it is."""
    treatment: Treatment = Treatment.OBEYED
    structured: bool = False
    """Whether the stack's configuration has it as a list or a map."""
    secret: bool = False
    """Whether it may not be an argument of a resource, because arguments are in the state."""

    @property
    def argument(self) -> str:
        """The name in the ``aws`` argument of a resource."""
        return snake_case(self.name)


@dataclass(frozen=True)
class Role:
    """A role to assume, with the members of STS AssumeRole."""

    role_arn: str
    session_name: str | None = None
    external_id: str | None = field(default=None, repr=False)
    policy: str | None = None
    policy_arns: tuple[str, ...] = ()
    source_identity: str | None = None
    tags: tuple[tuple[str, str], ...] = ()
    transitive_tag_keys: tuple[str, ...] = ()
    duration_seconds: int | None = None


@dataclass(frozen=True)
class WebIdentityRole:
    """A role to assume with the token of an identity provider (AssumeRoleWithWebIdentity)."""

    role_arn: str | None = None
    """None for that of the environment variable AWS_ROLE_ARN."""
    session_name: str | None = None
    policy: str | None = None
    policy_arns: tuple[str, ...] = ()
    duration_seconds: int | None = None
    token: str | None = field(default=None, repr=False)
    token_file: str | None = None
    """None for that of the environment variable AWS_WEB_IDENTITY_TOKEN_FILE."""


@dataclass(frozen=True)
class IgnoredTags:
    """Tags that are neither set nor changed nor removed."""

    keys: tuple[str, ...] = ()
    key_prefixes: tuple[str, ...] = ()

    def __contains__(self, key: object) -> bool:
        return key in self.keys or str(key).startswith(self.key_prefixes)


@dataclass(frozen=True)
class AwsSettings:
    """Where and as whom to call AWS; hashable, so that clients can be shared by it.

    Each field has the name of its configuration key in snake_case; None and empty say that the
    key is not set.
    """

    region: str | None = None
    profile: str | None = None
    access_key: str | None = field(default=None, repr=False)
    secret_key: str | None = field(default=None, repr=False)
    token: str | None = field(default=None, repr=False)
    assume_roles: tuple[Role, ...] = ()
    assume_role_with_web_identity: WebIdentityRole | None = None
    shared_config_files: tuple[str, ...] = ()
    shared_credentials_files: tuple[str, ...] = ()
    endpoints: tuple[tuple[str, str], ...] = ()
    """Pairs of a service's name and its endpoint URL."""
    default_tags: tuple[tuple[str, str], ...] = ()
    ignore_tags: IgnoredTags = IgnoredTags()
    allowed_account_ids: tuple[str, ...] = ()
    forbidden_account_ids: tuple[str, ...] = ()
    use_fips_endpoint: bool | None = None
    use_dualstack_endpoint: bool | None = None
    http_proxy: str | None = field(default=None, repr=False)
    https_proxy: str | None = field(default=None, repr=False)
    no_proxy: str | None = None
    custom_ca_bundle: str | None = None
    insecure: bool | None = None
    max_retries: int | None = None
    retry_mode: str | None = None
    ec2_metadata_service_endpoint: str | None = None
    ec2_metadata_service_endpoint_mode: str | None = None
    sts_region: str | None = None
    skip_metadata_api_check: bool | None = None
    skip_region_validation: bool | None = None
    skip_requesting_account_id: bool | None = None
    s3_use_path_style: bool | None = None
    s3_us_east1_regional_endpoint: str | None = None
    user_agents: tuple[str, ...] = ()

    def endpoint(self, service: str) -> str | None:
        """Return the endpoint URL set for a service, None for AWS's own.

        An emulator of AWS has all services at one place: STS without an endpoint of its own is
        asked where Athena is, and not at AWS with credentials that are not meant for it.
        """
        endpoints = dict(self.endpoints)
        if found := endpoints.get(service) or endpoints.get(service.replace("-", "")):
            return found
        athena = endpoints.get("athena")
        if service != "sts" or not athena:
            return None
        host = f".{urlsplit(athena).hostname}"
        return None if host.endswith(_AWS_DOMAINS) else athena

    def tags(self, own: Mapping[str, str]) -> dict[str, str]:
        """Return the tags to give to a session that has these of its own."""
        merged = {**dict(self.default_tags), **own}
        return {key: value for key, value in merged.items() if key not in self.ignore_tags}


def camel_case(name: str) -> str:
    """Return the name that a key of the stack's configuration has."""
    head, *rest = name.split("_")
    return head + "".join(word[:1].upper() + word[1:] for word in rest)


def snake_case(name: str) -> str:
    """Return the name that a key has in Python."""
    return re.sub(r"(?<=[a-z0-9])([A-Z])", lambda match: "_" + match[1].lower(), name)


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """Return a sentence's end that names the known word closest to a wrong one, or all of them."""
    names = sorted(known)
    lower = {known_name.lower(): known_name for known_name in names}
    close = difflib.get_close_matches(name.lower(), lower, n=1)
    if close:
        return f'did you mean "{lower[close[0]]}"?'
    return f"the known ones are {', '.join(names)}"


def parsed(value: Any) -> Any:
    """Read a structured value, which Pulumi hands over as JSON text; raises ValueError."""
    if not isinstance(value, str):
        return value
    if not value.strip():
        return None
    try:
        return json.loads(value)
    except (ValueError, RecursionError):
        # The text is not shown: it may be a secret.
        raise ValueError("is not valid JSON") from None


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise ValueError("must be text")
    if not value or value.strip() != value or not value.isprintable():
        raise ValueError("must be text without blanks around it and without control characters")
    return value


def _region(value: Any) -> str:
    if not isinstance(value, str) or not re.fullmatch(r"[A-Za-z0-9-]{1,63}", value):
        raise ValueError("must be the name of a region, such as eu-west-1")
    return value


def _credential(value: Any) -> str:
    if not isinstance(value, str) or not re.fullmatch(r"[!-~]+", value):
        raise ValueError("must be text without blanks, line ends and letters outside ASCII")
    return value


def _file(value: Any) -> str:
    text = _text(value)
    if "\0" in text:
        raise ValueError("must be the path of a file")
    return text


def _document(value: Any) -> str:
    """Read an IAM policy, which may be given as text or as the structure itself."""
    try:
        document = json.dumps(value, sort_keys=True) if isinstance(value, Mapping) else value
    except (TypeError, ValueError):
        document = None  # what Pulumi handed over is no JSON
    if not isinstance(document, str) or not isinstance(parsed(document), Mapping):
        raise ValueError("must be an IAM policy in JSON")
    return document


def _boolean(value: Any) -> bool:
    # The texts are those of Go's strconv.ParseBool, by which Pulumi's bridge reads them.
    if isinstance(value, bool):
        return value
    if isinstance(value, str) and value in ("1", "t", "T", "TRUE", "true", "True"):
        return True
    if isinstance(value, str) and value in ("0", "f", "F", "FALSE", "false", "False"):
        return False
    raise ValueError("must be true or false")


def _whole_number(low: int, high: int) -> Reader:
    def read(value: Any) -> int:
        number: float | None = None
        if isinstance(value, (int, float)) and not isinstance(value, bool):
            number = value
        elif isinstance(value, str) and re.fullmatch(r"[0-9]{1,9}", value):
            number = int(value)
        if number is None or not math.isfinite(number) or number != int(number):
            raise ValueError(f"must be a whole number from {low} to {high}")
        if not low <= number <= high:
            raise ValueError(f"is {int(number)}, and must be from {low} to {high}")
        return int(number)

    return read


def _choice(*options: str) -> Reader:
    def read(value: Any) -> str:
        lower = {option.lower(): option for option in options}
        if not isinstance(value, str) or value.lower() not in lower:
            raise ValueError(f"must be one of {', '.join(options)}")
        return lower[value.lower()]

    return read


def _items(value: Any, example: str) -> list[Any]:
    value = parsed(value)
    if not isinstance(value, (list, tuple)):
        raise ValueError(f"must be a list such as {example}")
    return list(value)


def _list_of(read: Reader, example: str) -> Reader:
    def read_list(value: Any) -> tuple[Any, ...]:
        found = []
        for position, item in enumerate(_items(value, example)):
            try:
                found.append(read(item))
            except ValueError as exc:
                raise ValueError(f"has at position {position + 1} an entry that {exc}") from None
        return tuple(found)

    return read_list


def _account_id(value: Any) -> str:
    # `pulumi config set --path` stores digits as a number.
    if isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value):
        value = str(int(value)) if value == int(value) else ""
    if not isinstance(value, str) or not re.fullmatch(r"[0-9]{12}", value):
        # A number that has lost its leading zeros may be any account: it is not guessed.
        raise ValueError("is an invalid account id, which is text of 12 digits; put it in quotes")
    return value


def _url(value: Any) -> str:
    text = _text(value)
    try:
        parts = urlsplit(text)
        host, _ = parts.hostname, parts.port
    except ValueError:
        host = None
    if not host or parts.scheme not in ("http", "https"):
        raise ValueError("must be a URL such as https://example.com")
    if "@" in parts.netloc:
        raise ValueError("has a user name or a password in its URL, which AWS's endpoints have not")
    return text


def _proxy(value: Any) -> str:
    # Empty text means no proxy, even if the environment names one.
    if value == "":
        return ""
    text = _text(value)
    try:
        parts = urlsplit(text if "://" in text else f"http://{text}")
        host, _ = parts.hostname, parts.port
    except ValueError:
        host = None
    if not host or parts.scheme not in ("http", "https"):
        raise ValueError("must be the URL of a proxy such as http://proxy.example.com:3128")
    return text if "://" in text else f"http://{text}"


def _hosts(value: Any) -> str:
    if not isinstance(value, str) or (value and not value.isprintable()):
        raise ValueError("must be text, host names with commas between them")
    return value


def _tags(value: Any) -> tuple[tuple[str, str], ...]:
    value = parsed(value)
    if not isinstance(value, Mapping):
        raise ValueError('must be a map of tags such as {"team": "data"}')
    return tuple(sorted((str(key), _tag_value(str(key), tag)) for key, tag in value.items()))


def _tag_value(key: str, value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, (int, float)) and math.isfinite(value):
        return str(int(value)) if value == int(value) else str(value)
    if not isinstance(value, str):
        raise ValueError(f"has a tag {key} whose value is no text")
    return value


def _duration(value: Any) -> int:
    """Read a duration as Go writes it: ``15m``, ``1h30m``, ``900s``."""
    text = value if isinstance(value, str) else ""
    parts = _DURATION.findall(text)
    if not parts or "".join(number + unit for number, unit in parts) != text:
        raise ValueError('is an invalid duration; write it as in "15m", "1h30m" or "3600s"')
    seconds = sum(
        float(number) * _UNIT_SECONDS[unit if unit in _UNIT_SECONDS else "us"]
        for number, unit in parts
    )
    return _role_seconds(seconds)


def _role_seconds(seconds: float) -> int:
    if not MINIMUM_ROLE_SECONDS <= seconds <= MAXIMUM_ROLE_SECONDS:
        raise ValueError("must be from 15 minutes to 12 hours")
    return round(seconds)


def _duration_seconds(value: Any) -> int:
    return _role_seconds(_whole_number(0, 999_999_999)(value))


_texts = _list_of(_text, '["..."]')


def _structure(members: Mapping[str, tuple[str, Reader]], value: Any) -> dict[str, Any]:
    """Read a map of known members, in either case; raises ValueError."""
    value = parsed(value)
    if not isinstance(value, Mapping):
        raise ValueError(f"must be a map of {', '.join(members)}")
    found: dict[str, Any] = {}
    for key, item in value.items():
        name = camel_case(str(key))
        if name not in members:
            raise ValueError(f'has the unknown key "{key}"; {did_you_mean(name, members)}')
        target, read = members[name]
        if item is None or item == "":
            continue
        if target in found:
            raise ValueError(f"has two keys for {target}; remove one")
        try:
            found[target] = read(item)
        except ValueError as exc:
            raise ValueError(f"has a {key} that {exc}") from None
    return found


_ROLE: dict[str, tuple[str, Reader]] = {
    "roleArn": ("role_arn", _text),
    "sessionName": ("session_name", _text),
    "externalId": ("external_id", _text),
    "policy": ("policy", _document),
    "policyArns": ("policy_arns", _texts),
    "sourceIdentity": ("source_identity", _text),
    "tags": ("tags", _tags),
    "transitiveTagKeys": ("transitive_tag_keys", _texts),
    "duration": ("duration_seconds", _duration),
    "durationSeconds": ("duration_seconds", _duration_seconds),  # before pulumi-aws 7
}

_WEB_IDENTITY: dict[str, tuple[str, Reader]] = {
    **{
        name: _ROLE[name]
        for name in (
            "roleArn", "sessionName", "policy", "policyArns", "duration", "durationSeconds",
        )
    },
    "webIdentityToken": ("token", _credential),
    "webIdentityTokenFile": ("token_file", _file),
}  # fmt: skip

_DEFAULT_TAGS: dict[str, tuple[str, Reader]] = {"tags": ("tags", _tags)}

_IGNORE_TAGS: dict[str, tuple[str, Reader]] = {
    "keys": ("keys", _texts),
    "keyPrefixes": ("key_prefixes", _texts),
}


def _role(value: Any) -> Role:
    found = _structure(_ROLE, value)
    if "role_arn" not in found:
        raise ValueError("needs a roleArn")
    return Role(**found)


def _one_role(value: Any) -> tuple[Role, ...]:
    return (_role(value),)


def _web_identity(value: Any) -> WebIdentityRole:
    found = WebIdentityRole(**_structure(_WEB_IDENTITY, value))
    if found.token and found.token_file:
        raise ValueError("has a webIdentityToken and a webIdentityTokenFile; remove one")
    return found


def _default_tags(value: Any) -> tuple[tuple[str, str], ...]:
    """Read ``{"tags": {...}}``, or the map of tags itself."""
    value = parsed(value)
    if not isinstance(value, Mapping):
        raise ValueError('must be a map such as {"tags": {"team": "data"}}')
    if not isinstance(value.get("tags"), Mapping):
        return _tags({key: tag for key, tag in value.items() if key != "tags" or tag is not None})
    tags: tuple[tuple[str, str], ...] = _structure(_DEFAULT_TAGS, value).get("tags", ())
    return tags


def _ignored_tags(value: Any) -> IgnoredTags:
    return IgnoredTags(**_structure(_IGNORE_TAGS, value))


def _endpoints(value: Any) -> tuple[tuple[str, str], ...]:
    """Read a list of maps of service to URL, or one such map."""
    value = parsed(value)
    maps = [value] if isinstance(value, Mapping) else value
    if not isinstance(maps, (list, tuple)) or not all(isinstance(one, Mapping) for one in maps):
        raise ValueError('must be a list such as [{"athena": "https://..."}]')
    found: dict[str, str] = {}
    for service, url in ((str(name), url) for one in maps for name, url in one.items()):
        # Pulumi knows some 300 services: only a typo of Athena is recognized.
        if service != "athena" and difflib.get_close_matches(service.lower(), ["athena"], 1, 0.8):
            raise ValueError(f'has the unknown service "{service}"; did you mean "athena"?')
        if url is None or url == "":
            continue
        try:
            found[service] = _url(url)
        except ValueError as exc:
            raise ValueError(f"has an endpoint for {service} that {exc}") from None
    return tuple(sorted(found.items()))


def _tag_policy(value: Any) -> str:
    level: str = _choice("error", "warning", "disabled")(value)
    if level == "error":
        raise ValueError(
            "is error, and a session cannot be held against the organization's tag policies before "
            'it starts. Set tag_policy_compliance="disabled" in the AwsConfig of the session, and '
            "give the tags that the policies require by aws:defaultTags"
        )
    return level


def _products(value: Any) -> tuple[str, ...]:
    products = _texts(value)
    if not all(product.isascii() for product in products):
        raise ValueError("must be a list of texts in ASCII")
    return tuple(products)


_ROWS = (
    Key("region", _region, "The region of the session."),
    Key(
        "profile",
        _text,
        "The profile of the shared files. Beside keys of the same place, the keys are used.",
    ),
    Key("accessKey", _credential, "With secretKey, the credentials.", secret=True),
    Key("secretKey", _credential, "With accessKey, the credentials.", secret=True),
    Key("token", _credential, "The session token of temporary keys.", secret=True),
    Key(
        "assumeRole",
        _one_role,
        "One role to assume; the form before pulumi-aws 7.",
        structured=True,
    ),
    Key(
        "assumeRoles",
        _list_of(_role, '[{"roleArn": "arn:aws:iam::..."}]'),
        "Roles to assume, one after the other.",
        structured=True,
    ),
    Key(
        "assumeRoleWithWebIdentity",
        _web_identity,
        "The role to assume with the token of an identity provider, before those of assumeRoles.",
        structured=True,
    ),
    Key(
        "sharedConfigFiles",
        _list_of(_file, '["~/.aws/config"]'),
        "Configuration files; a later one wins.",
        structured=True,
    ),
    Key(
        "sharedCredentialsFiles",
        _list_of(_file, '["~/.aws/credentials"]'),
        "Credentials files; a later one wins.",
        structured=True,
    ),
    Key(
        "endpoints",
        _endpoints,
        "The endpoints of athena, sts, s3, sso and ssooidc. STS is asked at "
        "an endpoint of athena that is not AWS's own, such as an emulator's.",
        structured=True,
    ),
    Key("defaultTags", _default_tags, "Tags of each session; its own tags win.", structured=True),
    Key(
        "ignoreTags",
        _ignored_tags,
        "Tags that the provider does not set, change or remove.",
        structured=True,
    ),
    Key(
        "allowedAccountIds",
        _list_of(_account_id, '["123456789012"]'),
        "The accounts to work in; sessions of others are not touched.",
        structured=True,
    ),
    Key(
        "forbiddenAccountIds",
        _list_of(_account_id, '["123456789012"]'),
        "The accounts not to work in.",
        structured=True,
    ),
    Key("useFipsEndpoint", _boolean, "Call the FIPS endpoint, where endpoints names none."),
    Key(
        "useDualstackEndpoint",
        _boolean,
        "Call the dual-stack endpoint, where endpoints names none.",
    ),
    Key("httpProxy", _proxy, "The proxy for http, and for https without one of its own."),
    Key("httpsProxy", _proxy, "The proxy for https."),
    Key("noProxy", _hosts, "Hosts that are called without a proxy."),
    Key("customCaBundle", _file, "The file of certificates that TLS trusts."),
    Key("insecure", _boolean, "Do not check the certificates of TLS."),
    Key(
        "maxRetries", _whole_number(0, 1000), "How often a call is sent at the most; 3 by default."
    ),
    Key(
        "retryMode", _choice("standard", "adaptive"), "How calls are repeated; standard by default."
    ),
    Key("ec2MetadataServiceEndpoint", _url, "Where credentials of an EC2 instance are read."),
    Key(
        "ec2MetadataServiceEndpointMode",
        _choice("IPv4", "IPv6"),
        "How the EC2 metadata service is called.",
    ),
    Key("stsRegion", _region, "The region of the calls to STS."),
    Key("skipMetadataApiCheck", _boolean, "Do not look for credentials of an EC2 instance."),
    Key(
        "skipRegionValidation",
        _boolean,
        "Where it is false, a region that the SDK does not know is refused.",
    ),
    Key(
        "skipRequestingAccountId",
        _boolean,
        "Do not ask STS for the account: the outputs arn and "
        "account_id are empty, and tags cannot be changed.",
    ),
    Key(
        "skipCredentialsValidation",
        _boolean,
        "Credentials are never called for validation alone, "
        "whatever this says: the first call that a command needs shows whether they are valid.",
    ),
    Key("s3UsePathStyle", _boolean, "How the deletion guard of a work group calls S3."),
    Key(
        "s3UsEast1RegionalEndpoint",
        _choice("legacy", "regional"),
        "Where the deletion guard of a work group calls S3 in us-east-1.",
    ),
    Key(
        "tokenBucketRateLimiterCapacity",
        _whole_number(0, 1_000_000),
        "A limit of the AWS SDK for Go on repeated calls; here maxRetries bounds them.",
        Treatment.HARMLESS,
    ),
    Key(
        "tagPolicyCompliance",
        _tag_policy,
        "The value error is refused, because tag policies cannot "
        "be read before a session starts; warning and disabled change nothing.",
        Treatment.REFUSED,
    ),
    Key("userAgents", _products, "Added to the header User-Agent of each call.", structured=True),
)

KEYS: Mapping[str, Key] = MappingProxyType({key.name: key for key in _ROWS})
"""The table: a configuration key of pulumi-aws that has no row here fails a test."""
