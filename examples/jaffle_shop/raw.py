"""The seeds: files that somebody put there."""

from streampro import Source


def seed(name: str, *columns: str) -> Source:
    """Return the file of a name, with a row of titles."""
    fields = {column: (column,) for column in columns}
    return Source(name=name, files=(f"{name}.csv",), format="csv", fields=fields)


raw_customers = seed("raw_customers", "id", "first_name", "last_name")
raw_orders = seed("raw_orders", "id", "user_id", "order_date", "status")
raw_payments = seed("raw_payments", "id", "order_id", "payment_method", "amount")
