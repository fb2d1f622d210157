"""What the account spent, and tokens for programs."""

from __future__ import annotations

from typing import TYPE_CHECKING

from puter.doors.base import Doors, share_docstrings
from puter.operations import account

if TYPE_CHECKING:
    from puter.account import AccountUsage


class AccountDoors(Doors):
    """What the account spent, and tokens for programs."""

    def account_usage(self) -> AccountUsage:
        """What the account spent this month and has left, in US dollars. Free.

        Raises:
            PuterAuthError: Not signed in, or the token is no longer good.
            PuterAPIError: The server failed or did not answer.

        Examples:
            >>> ai.account_usage().remaining  # doctest: +SKIP
            Decimal('0.4983')
        """
        return self._run(account.account_usage)

    async def async_account_usage(self) -> AccountUsage:
        return await self._async_run(account.account_usage)

    def create_api_token(
        self, label: str | None = None, expires_in: int | str | None = None
    ) -> str:
        """Make a token with full access, for a program to use instead of the password.

        Needs the session that ``login()`` gives. Keep it as you would a password.

        Args:
            label: A name for it, 64 characters at most.
            expires_in: Seconds, or a span such as ``"30d"``. Default: never.

        Raises:
            PuterInputError: An argument is wrong.
            PuterPermissionError: API tokens may not make others; sign in first.
            PuterRateLimitError: More than 20 in an hour (Puter backend).

        Examples:
            >>> token = ai.create_api_token("nightly job", "30d")  # doctest: +SKIP
        """
        return self._run(account.create_api_token, label, expires_in)

    async def async_create_api_token(
        self, label: str | None = None, expires_in: int | str | None = None
    ) -> str:
        return await self._async_run(account.create_api_token, label, expires_in)

    def revoke_api_token(self, token: str) -> None:
        """Make a token worthless. Needs the session that ``login()`` gives.

        Args:
            token: The token, or its id.

        Raises:
            PuterPermissionError: An API token may not do this; sign in first.
            PuterAPIError: The server failed or did not answer.

        Examples:
            >>> ai.revoke_api_token(token)  # doctest: +SKIP
        """
        self._run(account.revoke_api_token, token)

    async def async_revoke_api_token(self, token: str) -> None:
        await self._async_run(account.revoke_api_token, token)


share_docstrings(AccountDoors)
