"""A STAND-IN for Pulumi's real AWS plugin. It is no part of the package and serves tests only.

The real ``pulumi-resource-aws`` is on no package index, so the end-to-end tests put the executable
beside this file on PATH, where the engine finds it by its name. It speaks the same gRPC protocol,
by the stubs that the Pulumi SDK ships, and makes the few kinds of resources that
``SparkWorkgroup`` uses by boto3, in moto, at the endpoints that the provider is configured with.

It is strict where a mistake in the program would otherwise be found on AWS only: every property,
nested ones included, has to be one that the installed pulumi_aws package knows, required ones
have to be there, and its own outputs are held against the package, too.

What it has of the real plugin beyond that: names of its own for what has none, default tags,
roles to assume, known outputs in preview, and which changes replace a resource. It reads the
provider's configuration with code of its own, so that it can disagree with the code under test.
"""

# The methods of the plugin have the names and parameters that gRPC gives them.
# ruff: noqa: N802, ARG002

from __future__ import annotations

import inspect
import json
import os
import sys
import time
from collections.abc import Mapping
from concurrent import futures
from importlib import metadata
from typing import TYPE_CHECKING, Any, ClassVar, get_args, get_origin

import boto3
import grpc
import pulumi_aws
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError
from google.protobuf import empty_pb2, json_format, struct_pb2
from pulumi import _types
from pulumi.runtime.proto import plugin_pb2, provider_pb2, provider_pb2_grpc
from pulumi.runtime.rpc import UNKNOWN, _special_sig_key

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

Properties = dict[str, Any]


class Account:
    """Clients for one configuration of the provider, and what it is."""

    def __init__(self, configuration: Mapping[str, Any]) -> None:
        """Read the configuration; assume roles, if there are any."""
        self.configuration = configuration
        tags = configuration.get("defaultTags") or {}
        self.default_tags: dict[str, str] = dict(tags.get("tags") or {})
        self.region: str = configuration["region"]
        session = boto3.Session(
            aws_access_key_id=configuration.get("accessKey"),
            aws_secret_access_key=configuration.get("secretKey"),
            aws_session_token=configuration.get("token"),
            profile_name=None if configuration.get("accessKey") else configuration.get("profile"),
            region_name=self.region,
        )
        for role in configuration.get("assumeRoles") or []:
            answer = self._client(session, "sts").assume_role(
                RoleArn=role["roleArn"], RoleSessionName=role.get("sessionName", "standin")
            )["Credentials"]
            session = boto3.Session(
                aws_access_key_id=answer["AccessKeyId"],
                aws_secret_access_key=answer["SecretAccessKey"],
                aws_session_token=answer["SessionToken"],
                region_name=self.region,
            )
        self._session = session

    def client(self, service: str) -> Any:
        """Make a client."""
        return self._client(self._session, service)

    def _client(self, session: Any, service: str) -> Any:
        endpoints = {
            name: url
            for entry in self.configuration.get("endpoints") or []
            for name, url in entry.items()
        }
        return session.client(
            service,
            # Without one this would be a call to AWS, which no test may make.
            endpoint_url=endpoints[service],
            config=Config(s3={"addressing_style": "path"}, retries={"total_max_attempts": 2}),
        )

    def tags_all(self, inputs: Mapping[str, Any]) -> dict[str, str]:
        """Give the tags of a resource with the provider's default tags."""
        return {**self.default_tags, **(inputs.get("tags") or {})}


class Kind:
    """One kind of resource: how to make, change and delete it."""

    cls: ClassVar[type]
    """Its class in pulumi_aws, which says what properties there are."""
    named_by: ClassVar[str | None] = None
    """The property that gets a generated name where the program gives none."""
    replaced_by: ClassVar[frozenset[str]] = frozenset()
    """The properties whose change replaces the resource."""
    known_outputs: ClassVar[frozenset[str]] = frozenset()
    """The outputs that are known in preview beside the inputs."""

    def __init__(self, account: Account) -> None:
        """Work in an account."""
        self.account = account

    def create(self, inputs: Properties) -> tuple[str, Properties]:
        """Make it; give its id and outputs."""
        raise NotImplementedError

    def update(self, id_: str, olds: Properties, inputs: Properties) -> Properties:
        """Change it; give its outputs."""
        raise NotImplementedError

    def delete(self, id_: str, outputs: Properties) -> None:
        """Delete it."""
        raise NotImplementedError

    def exists(self, id_: str, outputs: Properties) -> bool:
        """Tell whether it is there."""
        del id_, outputs
        return True


def tag_list(tags: Mapping[str, str]) -> list[dict[str, str]]:
    return [{"Key": key, "Value": value} for key, value in tags.items()]


class Bucket(Kind):
    """A bucket."""

    cls = pulumi_aws.s3.Bucket
    named_by = "bucket"
    replaced_by = frozenset({"bucket", "region"})

    def create(self, inputs: Properties) -> tuple[str, Properties]:
        client = self.account.client("s3")
        name = inputs["bucket"]
        arguments: dict[str, Any] = {"Bucket": name}
        if self.account.region != "us-east-1":
            arguments["CreateBucketConfiguration"] = {"LocationConstraint": self.account.region}
        client.create_bucket(**arguments)
        return name, self.update(name, {}, inputs)

    def update(self, id_: str, olds: Properties, inputs: Properties) -> Properties:
        del olds
        tags = self.account.tags_all(inputs)
        client = self.account.client("s3")
        client.delete_bucket_tagging(Bucket=id_)
        if tags:
            client.put_bucket_tagging(Bucket=id_, Tagging={"TagSet": tag_list(tags)})
        return {
            **inputs,
            "arn": f"arn:aws:s3:::{id_}",
            "bucketRegion": self.account.region,
            "tagsAll": tags,
        }

    def delete(self, id_: str, outputs: Properties) -> None:
        client = self.account.client("s3")
        if outputs.get("forceDestroy"):
            for entry in client.list_objects_v2(Bucket=id_).get("Contents", []):
                client.delete_object(Bucket=id_, Key=entry["Key"])
        client.delete_bucket(Bucket=id_)


class OfBucket(Kind):
    """A setting of a bucket; its id is the bucket's."""

    replaced_by = frozenset({"bucket"})
    setting: ClassVar[str]

    def create(self, inputs: Properties) -> tuple[str, Properties]:
        return inputs["bucket"], self.update(inputs["bucket"], {}, inputs)

    def update(self, id_: str, olds: Properties, inputs: Properties) -> Properties:
        del olds
        put = getattr(self.account.client("s3"), f"put_{self.setting}")
        put(Bucket=id_, **self.request(inputs))
        return inputs

    def delete(self, id_: str, outputs: Properties) -> None:
        del outputs
        # S3 has one word for these two: "lifecycle" for a "lifecycle configuration".
        setting = self.setting.removesuffix("_configuration")
        getattr(self.account.client("s3"), f"delete_{setting}")(Bucket=id_)

    def request(self, inputs: Properties) -> dict[str, Any]:
        raise NotImplementedError


class BucketPublicAccessBlock(OfBucket):
    """What keeps a bucket private."""

    cls = pulumi_aws.s3.BucketPublicAccessBlock
    setting = "public_access_block"

    def request(self, inputs: Properties) -> dict[str, Any]:
        names = (
            "blockPublicAcls",
            "blockPublicPolicy",
            "ignorePublicAcls",
            "restrictPublicBuckets",
        )
        block = {name[0].upper() + name[1:]: inputs.get(name, False) for name in names}
        return {"PublicAccessBlockConfiguration": block}


class BucketEncryption(OfBucket):
    """How a bucket's objects are encrypted."""

    cls = pulumi_aws.s3.BucketServerSideEncryptionConfiguration
    setting = "bucket_encryption"

    def request(self, inputs: Properties) -> dict[str, Any]:
        (rule,) = inputs["rules"]
        default = rule["applyServerSideEncryptionByDefault"]
        by_default = {"SSEAlgorithm": default["sseAlgorithm"]}
        if "kmsMasterKeyId" in default:
            by_default["KMSMasterKeyID"] = default["kmsMasterKeyId"]
        rules = [
            {
                "ApplyServerSideEncryptionByDefault": by_default,
                "BucketKeyEnabled": rule.get("bucketKeyEnabled", False),
            }
        ]
        return {"ServerSideEncryptionConfiguration": {"Rules": rules}}


class BucketLifecycle(OfBucket):
    """When a bucket's objects expire."""

    cls = pulumi_aws.s3.BucketLifecycleConfiguration
    setting = "bucket_lifecycle_configuration"

    def request(self, inputs: Properties) -> dict[str, Any]:
        rules = [
            {
                "ID": rule["id"],
                "Status": rule["status"],
                "Filter": {"Prefix": rule["filter"].get("prefix", "")},
                "Expiration": {"Days": rule["expiration"]["days"]},
                "AbortIncompleteMultipartUpload": {
                    "DaysAfterInitiation": rule["abortIncompleteMultipartUpload"][
                        "daysAfterInitiation"
                    ]
                },
            }
            for rule in inputs["rules"]
        ]
        return {"LifecycleConfiguration": {"Rules": rules}}


class BucketPolicy(OfBucket):
    """A bucket's policy."""

    cls = pulumi_aws.s3.BucketPolicy
    setting = "bucket_policy"

    def request(self, inputs: Properties) -> dict[str, Any]:
        return {"Policy": inputs["policy"]}


class Role(Kind):
    """An IAM role."""

    cls = pulumi_aws.iam.Role
    named_by = "name"
    replaced_by = frozenset({"name", "path"})

    def create(self, inputs: Properties) -> tuple[str, Properties]:
        tags = self.account.tags_all(inputs)
        role = self.account.client("iam").create_role(
            RoleName=inputs["name"],
            AssumeRolePolicyDocument=inputs["assumeRolePolicy"],
            Description=inputs.get("description", ""),
            Tags=tag_list(tags),
        )["Role"]
        return role["RoleName"], {
            **inputs,
            "arn": role["Arn"],
            "uniqueId": role["RoleId"],
            "createDate": role["CreateDate"].isoformat(),
            "tagsAll": tags,
        }

    def update(self, id_: str, olds: Properties, inputs: Properties) -> Properties:
        self.account.client("iam").update_assume_role_policy(
            RoleName=id_, PolicyDocument=inputs["assumeRolePolicy"]
        )
        return {**olds, **inputs, "tagsAll": self.account.tags_all(inputs)}

    def delete(self, id_: str, outputs: Properties) -> None:
        del outputs
        self.account.client("iam").delete_role(RoleName=id_)


class RolePolicy(Kind):
    """A policy within a role."""

    cls = pulumi_aws.iam.RolePolicy
    named_by = "name"
    replaced_by = frozenset({"name", "role"})

    def create(self, inputs: Properties) -> tuple[str, Properties]:
        id_ = f"{inputs['role']}:{inputs['name']}"
        return id_, self.update(id_, {}, inputs)

    def update(self, id_: str, olds: Properties, inputs: Properties) -> Properties:
        del id_, olds
        self.account.client("iam").put_role_policy(
            RoleName=inputs["role"], PolicyName=inputs["name"], PolicyDocument=inputs["policy"]
        )
        return inputs

    def delete(self, id_: str, outputs: Properties) -> None:
        del id_
        self.account.client("iam").delete_role_policy(
            RoleName=outputs["role"], PolicyName=outputs["name"]
        )


class LogGroup(Kind):
    """A log group of CloudWatch."""

    cls = pulumi_aws.cloudwatch.LogGroup
    named_by = "name"
    replaced_by = frozenset({"name"})

    def create(self, inputs: Properties) -> tuple[str, Properties]:
        tags = self.account.tags_all(inputs)
        arguments = {"kmsKeyId": inputs["kmsKeyId"]} if inputs.get("kmsKeyId") else {}
        client = self.account.client("logs")
        client.create_log_group(logGroupName=inputs["name"], tags=tags, **arguments)
        return inputs["name"], self.update(inputs["name"], {}, inputs)

    def update(self, id_: str, olds: Properties, inputs: Properties) -> Properties:
        del olds
        client = self.account.client("logs")
        if days := inputs.get("retentionInDays"):
            client.put_retention_policy(logGroupName=id_, retentionInDays=days)
        (group,) = client.describe_log_groups(logGroupNamePrefix=id_)["logGroups"]
        return {**inputs, "arn": group["arn"], "tagsAll": self.account.tags_all(inputs)}

    def delete(self, id_: str, outputs: Properties) -> None:
        del outputs
        self.account.client("logs").delete_log_group(logGroupName=id_)


class Workgroup(Kind):
    """A work group of Athena."""

    cls = pulumi_aws.athena.Workgroup
    named_by = "name"
    replaced_by = frozenset({"name", "region"})

    def create(self, inputs: Properties) -> tuple[str, Properties]:
        self.account.client("athena").create_work_group(
            Name=inputs["name"],
            Configuration=self._configuration(inputs["configuration"]),
            Description=inputs.get("description", ""),
            Tags=tag_list(self.account.tags_all(inputs)),
        )
        return inputs["name"], self._outputs(inputs)

    def update(self, id_: str, olds: Properties, inputs: Properties) -> Properties:
        client = self.account.client("athena")
        updates = self._configuration(inputs["configuration"])
        results = updates.pop("ResultConfiguration", None)
        if results:
            updates["ResultConfigurationUpdates"] = results
        client.update_work_group(WorkGroup=id_, ConfigurationUpdates=updates)
        outputs = self._outputs(inputs)
        if outputs["tagsAll"] != olds.get("tagsAll"):
            gone = sorted(set(olds.get("tagsAll") or {}) - set(outputs["tagsAll"]))
            if gone:
                client.untag_resource(ResourceARN=outputs["arn"], TagKeys=gone)
            client.tag_resource(ResourceARN=outputs["arn"], Tags=tag_list(outputs["tagsAll"]))
        return outputs

    def delete(self, id_: str, outputs: Properties) -> None:
        self.account.client("athena").delete_work_group(
            WorkGroup=id_, RecursiveDeleteOption=bool(outputs.get("forceDestroy"))
        )

    def exists(self, id_: str, outputs: Properties) -> bool:
        del outputs
        client = self.account.client("athena")
        try:
            client.get_work_group(WorkGroup=id_)
        except client.exceptions.InvalidRequestException:
            return False
        return True

    def _outputs(self, inputs: Properties) -> Properties:
        identity = self.account.client("sts").get_caller_identity()
        arn = f"arn:aws:athena:{self.account.region}:{identity['Account']}"
        return {
            **inputs,
            "arn": f"{arn}:workgroup/{inputs['name']}",
            "tagsAll": self.account.tags_all(inputs),
        }

    @staticmethod
    def _configuration(configuration: Properties) -> dict[str, Any]:
        request: dict[str, Any] = {
            "ExecutionRole": configuration["executionRole"],
            "EngineVersion": {
                "SelectedEngineVersion": configuration["engineVersion"]["selectedEngineVersion"]
            },
        }
        results = configuration["resultConfiguration"]
        request["ResultConfiguration"] = {"OutputLocation": results["outputLocation"]}
        if encryption := results.get("encryptionConfiguration"):
            request["ResultConfiguration"]["EncryptionConfiguration"] = {
                "EncryptionOption": encryption["encryptionOption"],
                **({"KmsKey": encryption["kmsKeyArn"]} if "kmsKeyArn" in encryption else {}),
            }
        if monitoring := configuration.get("monitoringConfiguration"):
            logs = monitoring["cloudWatchLoggingConfiguration"]
            request["MonitoringConfiguration"] = {
                "CloudWatchLoggingConfiguration": {
                    "Enabled": logs["enabled"],
                    "LogGroup": logs["logGroup"],
                },
                "ManagedLoggingConfiguration": {
                    "Enabled": monitoring["managedLoggingConfiguration"]["enabled"]
                },
            }
        return request


KINDS: dict[str, type[Kind]] = {
    "aws:athena/workgroup:Workgroup": Workgroup,
    "aws:cloudwatch/logGroup:LogGroup": LogGroup,
    "aws:iam/role:Role": Role,
    "aws:iam/rolePolicy:RolePolicy": RolePolicy,
    "aws:s3/bucket:Bucket": Bucket,
    "aws:s3/bucketLifecycleConfiguration:BucketLifecycleConfiguration": BucketLifecycle,
    "aws:s3/bucketPolicy:BucketPolicy": BucketPolicy,
    "aws:s3/bucketPublicAccessBlock:BucketPublicAccessBlock": BucketPublicAccessBlock,
    "aws:s3/bucketServerSideEncryptionConfiguration:BucketServerSideEncryptionConfiguration": (
        BucketEncryption
    ),
}


def caller_identity(account: Account) -> Properties:
    identity = account.client("sts").get_caller_identity()
    return {
        "id": identity["Account"],
        "accountId": identity["Account"],
        "arn": identity["Arn"],
        "userId": identity["UserId"],
    }


def region(account: Account) -> Properties:
    return {
        "id": account.region,
        "region": account.region,
        "name": account.region,
        "description": account.region,
        "endpoint": f"ec2.{account.region}.amazonaws.com",
    }


def partition(account: Account) -> Properties:
    del account
    return {
        "id": "aws",
        "partition": "aws",
        "dnsSuffix": "amazonaws.com",
        "reverseDnsPrefix": "com.amazonaws",
    }


FUNCTIONS: dict[str, Callable[[Account], Properties]] = {
    "aws:index/getCallerIdentity:getCallerIdentity": caller_identity,
    "aws:index/getRegion:getRegion": region,
    "aws:index/getPartition:getPartition": partition,
}


def misfits(inputs: Mapping[str, Any], cls: type) -> Iterator[tuple[str, str]]:
    """Find the inputs that a class of pulumi_aws does not have or misses: (path, reason)."""
    module = inspect.getmodule(cls)
    # "InitArgs" where a structure of another resource has the plain name already.
    arguments = getattr(module, f"{cls.__name__}InitArgs", None) or getattr(
        module, f"{cls.__name__}Args"
    )
    yield from _misfits_of_structure(inputs, arguments, "")


def _misfits_of_structure(
    value: Mapping[str, Any], structure: type, path: str
) -> Iterator[tuple[str, str]]:
    types = _types.input_type_types(structure)
    names = _types.input_type_py_to_pulumi_names(structure)
    for name in value:
        if name not in types:
            yield path + name, f"pulumi_aws knows no such property of {structure.__name__}"
        else:
            yield from _misfits_of_value(value[name], types[name], path + name)
    for python_name, parameter in inspect.signature(structure).parameters.items():
        if parameter.default is parameter.empty and names[python_name] not in value:
            yield path + names[python_name], f"is required of {structure.__name__}"


def _misfits_of_value(value: Any, type_: Any, path: str) -> Iterator[tuple[str, str]]:
    if isinstance(value, Mapping):
        if structure := _structure_in(type_):
            yield from _misfits_of_structure(value, structure, f"{path}.")
    elif isinstance(value, list):
        for number, item in enumerate(value):
            yield from _misfits_of_value(item, type_, f"{path}[{number}]")


def _structure_in(type_: Any) -> type | None:
    """Find the input type in a type such as ``Sequence[Union[Args, Awaitable[Args]]]``."""
    if isinstance(type_, type) and _types.is_input_type(type_):
        return type_
    if get_origin(type_) is None:
        return None
    return next(filter(None, map(_structure_in, get_args(type_))), None)


def check_outputs(outputs: Mapping[str, Any], cls: type) -> None:
    """Hold our own outputs against the package."""
    unknown = set(outputs) - set(_types.resource_types(cls))
    if unknown:
        raise ValueError(f"the stand-in gives {unknown}, which pulumi_aws does not know of {cls}")


def from_struct(struct: struct_pb2.Struct) -> Properties:
    plain: Properties = _plain(json_format.MessageToDict(struct))
    return {key: value for key, value in plain.items() if not key.startswith("__")}


def _plain(value: Any) -> Any:
    """Leave out null members, open secrets, and give whole numbers as integers."""
    if isinstance(value, Mapping):
        if _special_sig_key in value:
            return _plain(value["value"])
        return {key: _plain(item) for key, item in value.items() if item is not None}
    if isinstance(value, list):
        return [_plain(item) for item in value]
    if isinstance(value, float) and value.is_integer():
        return int(value)
    return value


def to_struct(properties: Mapping[str, Any]) -> struct_pb2.Struct:
    struct = struct_pb2.Struct()
    struct.update(properties)
    return struct


class Plugin(provider_pb2_grpc.ResourceProviderServicer):
    """The plugin's side of the protocol."""

    _account: Account

    def GetPluginInfo(self, request: Any, context: Any) -> plugin_pb2.PluginInfo:
        """Give the version that the package wants."""
        return plugin_pb2.PluginInfo(version=metadata.version("pulumi_aws"))

    def CheckConfig(self, request: Any, context: Any) -> provider_pb2.CheckResponse:
        """Take the provider's inputs as they are."""
        return provider_pb2.CheckResponse(inputs=request.news)

    def DiffConfig(self, request: Any, context: Any) -> provider_pb2.DiffResponse:
        """Tell what changed of the provider; another region replaces everything in it."""
        olds, news = from_struct(request.olds), from_struct(request.news)
        diffs = [name for name in {*olds, *news} if olds.get(name) != news.get(name)]
        replaces = [name for name in diffs if name == "region"]
        return _diff_response(diffs, replaces)

    def Configure(self, request: Any, context: Any) -> provider_pb2.ConfigureResponse:
        """Read the provider's inputs; structured ones come as JSON."""
        configuration = from_struct(request.args)
        for name in ("endpoints", "assumeRoles", "defaultTags"):
            if isinstance(configuration.get(name), str):
                configuration[name] = json.loads(configuration[name])
        with _refusing(context):
            self._account = Account(configuration)
        return provider_pb2.ConfigureResponse(supportsPreview=True)

    def Invoke(self, request: Any, context: Any) -> provider_pb2.InvokeResponse:
        """Answer a function."""
        with _refusing(context):
            return provider_pb2.InvokeResponse(
                **{"return": to_struct(FUNCTIONS[request.tok](self._account))}
            )

    def Check(self, request: Any, context: Any) -> provider_pb2.CheckResponse:
        """Hold the inputs against the package, and give a name to what has none."""
        kind = self._kind(request)
        olds, news = from_struct(request.olds), from_struct(request.news)
        if kind.named_by and kind.named_by not in news:
            suffix = request.randomSeed.hex()[:7]
            name = request.urn.rsplit("::", 1)[-1]
            news[kind.named_by] = olds.get(kind.named_by) or f"{name}-{suffix}".lower()
        failures = [
            provider_pb2.CheckFailure(property=path, reason=reason)
            for path, reason in misfits(news, kind.cls)
        ]
        return provider_pb2.CheckResponse(inputs=to_struct(news), failures=failures)

    def Diff(self, request: Any, context: Any) -> provider_pb2.DiffResponse:
        """Tell what changed."""
        kind = self._kind(request)
        state, news = from_struct(request.olds), from_struct(request.news)
        olds = from_struct(request.old_inputs)
        diffs = [name for name in sorted({*olds, *news}) if olds.get(name) != news.get(name)]
        detailed = dict(detailed_diff(olds, news))
        if "tagsAll" in state and state["tagsAll"] != self._account.tags_all(news):
            diffs.append("tagsAll")
            detailed["tagsAll"] = provider_pb2.PropertyDiff.UPDATE
        replaces = [name for name in diffs if name in kind.replaced_by]
        return _diff_response(diffs, replaces, detailed)

    def Create(self, request: Any, context: Any) -> provider_pb2.CreateResponse:
        """Make a resource; in preview, tell what is known of it."""
        kind = self._kind(request)
        inputs = from_struct(request.properties)
        if request.preview:
            unknown = dict.fromkeys(set(_types.resource_types(kind.cls)) - {"id", "urn"}, UNKNOWN)
            return provider_pb2.CreateResponse(properties=to_struct({**unknown, **inputs}))
        with _refusing(context):
            id_, outputs = kind.create(inputs)
            check_outputs(outputs, kind.cls)
        return provider_pb2.CreateResponse(id=id_, properties=to_struct(outputs))

    def Update(self, request: Any, context: Any) -> provider_pb2.UpdateResponse:
        """Change a resource."""
        kind = self._kind(request)
        olds, inputs = from_struct(request.olds), from_struct(request.news)
        if request.preview:
            return provider_pb2.UpdateResponse(properties=to_struct({**olds, **inputs}))
        with _refusing(context):
            outputs = kind.update(request.id, olds, inputs)
            check_outputs(outputs, kind.cls)
        return provider_pb2.UpdateResponse(properties=to_struct(outputs))

    def Read(self, request: Any, context: Any) -> provider_pb2.ReadResponse:
        """Tell whether a resource is still there; drift is not looked for."""
        state = from_struct(request.properties)
        with _refusing(context):
            if not self._kind(request).exists(request.id, state):
                return provider_pb2.ReadResponse()
        return provider_pb2.ReadResponse(
            id=request.id, properties=request.properties, inputs=request.inputs
        )

    def Delete(self, request: Any, context: Any) -> empty_pb2.Empty:
        """Delete a resource."""
        with _refusing(context):
            self._kind(request).delete(request.id, from_struct(request.properties))
        return empty_pb2.Empty()

    def Cancel(self, request: Any, context: Any) -> empty_pb2.Empty:
        """Nothing here takes long."""
        return empty_pb2.Empty()

    def _kind(self, request: Any) -> Kind:
        type_ = request.urn.split("::")[2].split("$")[-1]
        return KINDS[type_](self._account)


def detailed_diff(
    old: Mapping[str, Any], new: Mapping[str, Any], path: str = ""
) -> Iterator[tuple[str, Any]]:
    """Return each changed leaf by its path, as the bridge of Terraform providers does."""
    for name in {*old, *new}:
        before, after = old.get(name), new.get(name)
        if isinstance(before, Mapping) and isinstance(after, Mapping):
            yield from detailed_diff(before, after, f"{path}{name}.")
        elif before is None:
            yield f"{path}{name}", provider_pb2.PropertyDiff.ADD
        elif after is None:
            yield f"{path}{name}", provider_pb2.PropertyDiff.DELETE
        elif before != after:
            yield f"{path}{name}", provider_pb2.PropertyDiff.UPDATE


def _diff_response(
    diffs: list[str],
    replaces: list[str],
    detailed: Mapping[str, Any] | None = None,
) -> provider_pb2.DiffResponse:
    changes = provider_pb2.DiffResponse.DIFF_SOME if diffs else provider_pb2.DiffResponse.DIFF_NONE
    replacing = {"ADD": "ADD_REPLACE", "DELETE": "DELETE_REPLACE", "UPDATE": "UPDATE_REPLACE"}
    kinds = provider_pb2.PropertyDiff.Kind
    return provider_pb2.DiffResponse(
        changes=changes,
        diffs=diffs,
        replaces=replaces,
        hasDetailedDiff=detailed is not None,
        detailedDiff={
            path: provider_pb2.PropertyDiff(
                kind=kinds.Value(replacing[kinds.Name(kind)])
                if path.split(".")[0] in replaces
                else kind
            )
            for path, kind in (detailed or {}).items()
        },
    )


class _refusing:  # noqa: N801 - reads as a word of the language
    """Give an error of AWS to the engine as the real plugin does: as text, without a traceback."""

    def __init__(self, context: grpc.ServicerContext) -> None:
        self._context = context

    def __enter__(self) -> None:
        pass

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        if isinstance(error, (ClientError, BotoCoreError)):
            self._context.abort(grpc.StatusCode.UNKNOWN, str(error))


def main() -> None:
    """Serve until the engine ends the process, or has ended itself."""
    engine = os.getppid()
    server = grpc.server(futures.ThreadPoolExecutor(max_workers=32))
    provider_pb2_grpc.add_ResourceProviderServicer_to_server(Plugin(), server)
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    sys.stdout.write(f"{port}\n")
    sys.stdout.flush()
    while os.getppid() == engine:
        time.sleep(0.5)
