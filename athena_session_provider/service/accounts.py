"""Which account is worked in, and whether it may be."""

from __future__ import annotations

from typing import TYPE_CHECKING

from athena_session_provider.service.errors import AccountNotAllowedError

if TYPE_CHECKING:
    from athena_session_provider.service.configuration_keys import AwsSettings

_CHANGED = (
    "`pulumi refresh` and `pulumi destroy` see a changed configuration with `--run-program` only."
)


def is_restricted(settings: AwsSettings) -> bool:
    """Return whether the settings allow or forbid accounts."""
    return bool(settings.allowed_account_ids or settings.forbidden_account_ids)


def require_allowed(settings: AwsSettings, account_id: str | None, *, why: str = "") -> None:
    """Do nothing for an account that may be worked in.

    Args:
        settings: With ``aws:allowedAccountIds`` and ``aws:forbiddenAccountIds``.
        account_id: The account; None where it is not known.
        why: Why it is not known.

    Raises:
        AccountNotAllowedError: The account is not allowed, is forbidden, or is not known although
            accounts are allowed or forbidden.
    """
    allowed, forbidden = settings.allowed_account_ids, settings.forbidden_account_ids
    if not is_restricted(settings):
        return
    if account_id is None:
        keys = " and ".join(
            key
            for key, accounts in (
                ("aws:allowedAccountIds", allowed),
                ("aws:forbiddenAccountIds", forbidden),
            )
            if accounts
        )
        raise AccountNotAllowedError(
            None,
            f"Nothing was done, because {keys} cannot be checked: the account of the credentials "
            f"could not be found out{f' ({why})' if why else ''}. Make STS GetCallerIdentity "
            "reachable; `aws:endpoints` may name an endpoint for sts.",
        )
    if account_id in forbidden:
        raise AccountNotAllowedError(
            account_id,
            f"Nothing was done in account {account_id}, because aws:forbiddenAccountIds has it. "
            f"Use credentials of another account, or take it out of the list. {_CHANGED}",
        )
    if allowed and account_id not in allowed:
        raise AccountNotAllowedError(
            account_id,
            f"Nothing was done in account {account_id}, because aws:allowedAccountIds does not "
            f"have it ({', '.join(allowed)}). Use credentials of one of these accounts, or add it "
            f"to the list. {_CHANGED}",
        )
