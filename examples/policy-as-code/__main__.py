"""A policy pack that limits the cost of a session.

    pulumi up --policy-pack path/to/policy-as-code

The bounds come from the pack's configuration (--policy-pack-config), or are those below.
"""

from pulumi_policy import (
    EnforcementLevel,
    PolicyConfigSchema,
    PolicyPack,
    ReportViolation,
    ResourceValidationArgs,
    ResourceValidationPolicy,
)

SESSION = "pulumi-python:dynamic/athena:Session"
MAX_DPUS = 20
MAX_IDLE_MINUTES = 60
SERVICES_IDLE_MINUTES = 20
"""The service's default idle timeout, in minutes."""


def cap_dpus(args: ResourceValidationArgs, report_violation: ReportViolation) -> None:
    """Refuse sessions with more DPUs than allowed, or without a maximum."""
    if args.resource_type != SESSION or not args.props.get("work_group"):
        return  # another resource, or a session that is only read (Session.get)
    allowed = args.get_config().get("maxConcurrentDpus", MAX_DPUS)
    dpus = (args.props.get("engine_configuration") or {}).get("max_concurrent_dpus")
    if dpus is None:
        report_violation(f"Set engine_configuration.max_concurrent_dpus, to {allowed:g} at most.")
    elif dpus > allowed:
        report_violation(f"max_concurrent_dpus is {dpus:g}; {allowed:g} are allowed.")


def cap_idle_timeout(args: ResourceValidationArgs, report_violation: ReportViolation) -> None:
    """Refuse sessions with a longer idle timeout than allowed."""
    if args.resource_type != SESSION or not args.props.get("work_group"):
        return
    allowed = args.get_config().get("idleTimeoutMinutes", MAX_IDLE_MINUTES)
    minutes = args.props.get("session_idle_timeout_in_minutes") or SERVICES_IDLE_MINUTES
    if minutes > allowed:
        report_violation(
            f"session_idle_timeout_in_minutes is {minutes:g}; {allowed:g} are allowed."
        )


def bound(name: str, default: int) -> PolicyConfigSchema:
    """Describe the configuration of a policy: one number."""
    return PolicyConfigSchema(
        properties={name: {"type": "number", "minimum": 1, "default": default}}
    )


POLICIES = [
    ResourceValidationPolicy(
        name="cap-session-dpus",
        description="Bounds the DPUs that a session may run at once.",
        validate=cap_dpus,
        config_schema=bound("maxConcurrentDpus", MAX_DPUS),
    ),
    ResourceValidationPolicy(
        name="cap-session-idle-timeout",
        description="Bounds how long an idle session goes on.",
        validate=cap_idle_timeout,
        config_schema=bound("idleTimeoutMinutes", MAX_IDLE_MINUTES),
    ),
]

if __name__ == "__main__":
    PolicyPack(
        name="athena-sessions",
        enforcement_level=EnforcementLevel.MANDATORY,
        policies=POLICIES,
    )
