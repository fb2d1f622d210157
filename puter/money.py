"""Amounts of money as people read them; what programs read is exact."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from decimal import Decimal


def amount(value: Decimal) -> str:
    """A number with six digits after its point, or six that count where it is small, at most.

    Examples:
        >>> from decimal import Decimal
        >>> amount(Decimal("0.250000")), amount(Decimal("1E+3")), amount(Decimal("0.00000145"))
        ('0.25', '1,000', '0.00000145')
    """
    text = f"{value:,.{max(6, 5 - value.adjusted())}f}"
    return text.rstrip("0").rstrip(".")


def usd(cost: Decimal | None, unpriced: int = 0) -> str:
    """What calls cost, and how many more there are whose cost is not known, if not of all.

    Examples:
        >>> from decimal import Decimal
        >>> usd(Decimal("0.0310"), 2), usd(Decimal(0), 2)
        ('0.031 USD and 2 of unknown cost', 'cost not known')
    """
    if cost is None or (unpriced and not cost):
        return "cost not known"
    return f"{amount(cost)} USD" + (f" and {unpriced} of unknown cost" if unpriced else "")
